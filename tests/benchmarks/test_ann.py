"""What the comparison of approximate search counts as found, and whom it compares with."""

import numpy as np
import pytest

from benchmarks.ann.rounds import exact, ratios, recalls
from benchmarks.ann.vectors import Vectors

# 120 directions in a plane, each a little further from the query.
ANGLES = np.arange(120) / 100
DOCUMENTS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
ALL = Vectors([], DOCUMENTS, [], DOCUMENTS[:1], "")


def test_the_nearest_are_all_of_them():
    nearest = np.arange(100)[None]
    assert recalls(ALL, exact(ALL), nearest) == [1.0, 1.0, 1.0]


def test_their_order_does_not_count_but_a_missed_one_does():
    found = np.array([[3, 2, 1, 0, 4, 5, 6, 7, 110, -1]])
    assert recalls(ALL, exact(ALL), found) == pytest.approx([1.0, 0.8])


def test_a_row_as_near_as_the_last_of_the_nearest_is_one_of_them():
    twice = Vectors([], np.concatenate([DOCUMENTS, DOCUMENTS[9:10]]), [], DOCUMENTS[:1], "")
    found = np.array([[0, 1, 2, 3, 4, 5, 6, 7, 8, 120]])
    assert recalls(twice, exact(twice), found) == [1.0, 1.0]


def row(system, asked, reached, per_second, microseconds, build):
    return {
        "system": system,
        "asked": asked,
        "recall": {"10": reached},
        "batch_per_cpu_s": {"median": per_second},
        "rounds": [[per_second, microseconds, per_second, microseconds]],
        "build_s": build,
        "build_cpu_s": build,
    }


def test_the_best_peer_is_the_fastest_of_those_that_reach_the_recall():
    rows = [
        row("hnswlib", 0.95, 0.95, 1000, 400, 50),
        row("usearch", 0.95, 0.94, 9000, 100, 10),
        row("FAISS HNSW32", 0.95, 0.96, 500, 800, 20),
        row("Retriever auto", 0.95, 0.97, 3000, 100, 5),
    ]
    found = ratios({f"{one['system']} {one['asked']}": one for one in rows})
    ours = found["Retriever auto 0.95"]
    assert ours["best_peer"] == "hnswlib"
    assert ours["batch"]["median"] == 3.0
    assert ours["alone"]["median"] == 4.0
    assert ours["build"] == 10.0
