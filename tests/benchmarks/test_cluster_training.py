"""What training adds on many machines: by hand."""

import pytest

from benchmarks.cluster import simulate
from benchmarks.cluster_training import StructureCosts, builds_of, cells_of, points_of


def structure(cells, train, add):
    return {
        "cells": cells,
        "rows": 1_000,
        "train": train,
        "add": add,
        "merge": 0.5,
        "code_bytes": 64.0,
    }


def test_what_two_structures_have_in_common():
    # 65,536 points for 100 cells, and 131,072 for 2,048; 1,000 rows.
    assert [points_of(cells) for cells in (100, 2_048, 10**6)] == [65_536, 131_072, 262_144]
    few, many = 65_536 * 100, 131_072 * 2_048
    costs = StructureCosts.of(
        structure(100, 3 + few * 1e-8, 1_000 * (2e-5 + 100 * 1e-7)),
        structure(2_048, 3 + many * 1e-8, 1_000 * (2e-5 + 2_048 * 1e-7)),
    )
    assert costs.quantizer == pytest.approx(3)
    assert costs.point == pytest.approx(1e-8)
    assert costs.code == pytest.approx(2e-5)
    assert costs.cell == pytest.approx(1e-7)
    assert (costs.merge, costs.vector_bytes, costs.code_bytes) == (5e-4, 1_536, 64.0)
    assert costs.training(2_048) == pytest.approx(3 + many * 1e-8)


def test_a_part_is_a_task_of_the_simulation():
    costs = StructureCosts(0, 0, code=1e-5, cell=1e-8, merge=0, vector_bytes=0, code_bytes=0)
    part = costs.filling(10**9, 1_000, 0.0)
    assert part.passages == 3_906_250  # a 256th
    assert part.embed == pytest.approx(3_906_250 * 2e-5)
    assert simulate(part, 10**9, 1).hours == pytest.approx(2e-5 * 10**9 / 3600)
    assert simulate(part, 10**9, 1_000).hours == pytest.approx(part.embed / 3600)


def test_cells_grow_with_the_documents_and_reading_bounds_a_fit():
    assert [cells_of(count) for count in (1_000_000, 10**9)] == [1_024, 32_768]
    fit = {"list": 4_000, "count_per_text": 3e-5, "add_per_text": 0.0}
    costs = StructureCosts(0, 0, 1e-5, 1e-8, 0, 0, 0)
    rows = list(builds_of(fit, costs, read=2e-5, give=0.0))
    assert len(rows) == 16
    alone, _, _, many = (row["fit"] for row in rows[:4])
    # The writer reads the next list meanwhile.
    assert alone["hours"] * 3600 == pytest.approx(1_000_000 * 3e-5, rel=0.01)
    assert many["hours"] * 3600 == pytest.approx(1_000_000 * 2e-5, rel=0.01)
    assert many["bound"] == "writer"
