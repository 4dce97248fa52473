"""What training adds to builds on many machines: `python -m benchmarks.cluster_training`.

Needs RETRIEVER_DATA, and `results/cluster.json` for what reading and giving out a task costs.
Measures the processor time of a fit of word counts (abstracts, a list at a time) and of structures
with two numbers of cells (drawn vectors): training once, adding, merging the part. Then it
simulates both, as `cluster.py` does embedding, for up to a billion documents on up to 1,000
workers: texts are counted and vectors added by workers; the writer reads, trains and merges. Writes
`results/cluster_training.json`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.certificate import RESULTS, certificate, checksum, data_folder, save
from benchmarks.cluster import ABSTRACTS, SIZES, WORKERS, Costs, simulate, texts
from indexes.neighbors import Keys
from indexes.pipeline.structure_parts import MOST_PARTS, PART_ROWS
from indexes.vectors.blocks import Block
from indexes.vectors.engines import FAISS
from indexes.vectors.faiss_engine.factory import POINTS, POINTS_PER_CELL, TRAINING_ROWS
from indexes.vectors.nodes import NO_KEYS
from retriever import StaticEmbedder
from retriever.embedders.static.corpus_counts import count_words

ROWS, DIM, CENTERS, SPREAD = 131_072, 384, 1_000, 0.7
RECALL, CELLS = 0.98, (512, 2_048)
# Assumed: cores of the writer, which train together.
WRITER_CORES = 8


@dataclass(frozen=True)
class StructureCosts:
    """Processor seconds of a structure, and bytes of a row: its vector, and its code.

    Training takes `quantizer` and `point` for each point and cell; adding takes `code` for each
    row, and `cell` for each row and cell; merging `merge` for each row.
    """

    quantizer: float
    point: float
    code: float
    cell: float
    merge: float
    vector_bytes: int
    code_bytes: float

    @classmethod
    def of(cls, few: dict[str, Any], many: dict[str, Any]) -> StructureCosts:
        """Return the costs that two measured structures have in common."""
        trained = [points_of(one["cells"]) * one["cells"] for one in (few, many)]
        point = (many["train"] - few["train"]) / (trained[1] - trained[0])
        more = many["rows"] * many["cells"] - few["rows"] * few["cells"]
        cell = (many["add"] - few["add"]) / more
        return cls(
            quantizer=max(0.0, few["train"] - point * trained[0]),
            point=point,
            code=max(0.0, few["add"] / few["rows"] - cell * few["cells"]),
            cell=cell,
            merge=many["merge"] / many["rows"],
            vector_bytes=4 * DIM,
            code_bytes=many["code_bytes"],
        )

    def training(self, cells: int) -> float:
        """Return the seconds of training so many cells, by one core."""
        return self.quantizer + self.point * points_of(cells) * cells

    def filling(self, documents: int, cells: int, give: float) -> Costs:
        """Return the costs of a part, as of a task."""
        rows = max(PART_ROWS, -(-documents // MOST_PARTS))
        return Costs(
            passages=rows,
            read=0.0,
            give=give,
            embed=rows * (self.code + self.cell * cells),
            size=round(rows * (self.vector_bytes + self.code_bytes)),
            commit=rows * self.merge,
        )


def points_of(cells: int) -> int:
    """Return the number of vectors that so many cells are trained on."""
    return min(TRAINING_ROWS, max(POINTS, POINTS_PER_CELL * cells))


def cells_of(documents: int) -> int:
    """Return the number of cells of the automatic structure for so many documents."""
    factory = FAISS.automatic(documents, DIM, RECALL).get("factory", "")
    found = re.search(r"IVF(\d+)", factory)
    return int(found[1]) if found else 0


def measured_structure(cells: int) -> dict[str, Any]:
    """Return the processor seconds of a structure over drawn vectors, filled as one part."""
    random = np.random.default_rng(7)
    centers = random.standard_normal((CENTERS, DIM), np.float32)
    vectors = centers[random.integers(0, CENTERS, ROWS)]
    vectors += SPREAD * random.standard_normal((ROWS, DIM), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    blocks = [Block(np.arange(1, ROWS + 1), vectors)]
    times = list[float]()

    def fill(trained: bytes, deleted: Keys) -> Iterator[bytes]:
        times.append(time.process_time())
        part = FAISS.part(trained, blocks, deleted)
        times.append(time.process_time())
        sizes.append(len(part) - len(trained))
        yield part

    sizes, started = list[int](), time.process_time()
    definition = {"factory": f"IVF{cells},PQ{DIM // 2}x4fsr"}
    FAISS.build(definition, DIM, blocks, NO_KEYS, fill)
    ended = time.process_time()
    return {
        "cells": cells,
        "rows": ROWS,
        "train": times[0] - started,
        "add": times[1] - times[0],
        "merge": ended - times[1],
        "code_bytes": sizes[0] / ROWS,
    }


def measured_fit() -> dict[str, Any]:
    """Return the processor seconds of counting the words of a list of texts, and of adding it."""
    embedder = StaticEmbedder("glove-6b-50d", weighting="idf")
    counting, lists = list[float](), list[int]()

    def count_all(batches: Any) -> Iterator[Any]:
        for batch in batches:
            started = time.process_time()
            part = embedder.part_of_fit(batch)
            counting.append(time.process_time() - started)
            lists.append(len(batch))
            yield part

    abstracts = [document.text for document in texts()]
    embedder.part_of_fit(abstracts[:100])  # loads
    started = time.process_time()
    count_words(abstracts, embedder._vocabulary, count_all)
    total = time.process_time() - started
    return {
        "texts": len(abstracts),
        "list": max(lists),
        "count_per_text": sum(counting) / len(abstracts),
        "add_per_text": (total - sum(counting)) / len(abstracts),
    }


def builds_of(
    fit: dict[str, Any], structure: StructureCosts, read: float, give: float
) -> Iterator[dict[str, Any]]:
    """Yield what a fit and a structure take, for each size and number of workers."""
    lists = fit["list"]
    counting = Costs(
        passages=lists,
        read=read * lists,
        give=give,
        embed=fit["count_per_text"] * lists,
        size=0,
        commit=fit["add_per_text"] * lists,
    )
    for documents in SIZES:
        cells = cells_of(documents)
        training = structure.training(cells) / WRITER_CORES / 3600
        for workers in WORKERS:
            filled = simulate(structure.filling(documents, cells, give), documents, workers)
            fitted = simulate(counting, documents, workers)
            yield {
                "documents": documents,
                "workers": workers,
                "fit": asdict(fitted),
                "cells": cells,
                "training_hours": training,
                "filling": asdict(filled),
            }


def main() -> None:
    """Measure, simulate, and write the result."""
    known = json.loads((RESULTS / "cluster.json").read_bytes())["measured"]
    fit, structures = measured_fit(), [measured_structure(cells) for cells in CELLS]
    costs = StructureCosts.of(*structures)
    give = known["contextual"]["give_ray"]
    builds = list(builds_of(fit, costs, known["read_per_passage"], give))
    facts = certificate(data=checksum(data_folder() / ABSTRACTS))
    found = {"fit": fit, "structures": structures, "costs": asdict(costs)}
    save("cluster_training", {**facts, "measured": found, "builds": builds})
    print(json.dumps(found, indent=1))
    for row in builds:
        print(
            f"{row['documents']:>13,} {row['workers']:>5} fit {row['fit']['hours']:7.2f} h "
            f"({row['fit']['bound']}), {row['cells']} cells, training "
            f"{row['training_hours']:6.3f} h, filling {row['filling']['hours']:8.3f} h "
            f"({row['filling']['bound']})"
        )


if __name__ == "__main__":
    main()
