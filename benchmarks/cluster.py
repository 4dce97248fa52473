"""Builds on many machines, by simulation: `python -m benchmarks.cluster`.

Needs RETRIEVER_DATA. Measures here, on this machine, what a task costs (reading, embedding, writing
its shard, committing it) and what it costs to give one out (no-op tasks in processes, and on Ray
where it is installed). Then it simulates builds of up to a billion documents on up to 1,000 workers
with these costs, event by event: one writer, which reads tasks and commits shards; one shared
storage; and workers that embed. Writes `results/cluster.json`.
"""

from __future__ import annotations

import heapq
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, checksum, data_folder, save, summary
from indexes.catalog.records import EmbeddingRow, ShardRow
from indexes.pipeline.executors.base import Executor
from indexes.pipeline.executors.inline import InlineExecutor
from indexes.pipeline.executors.processes import ProcessExecutor
from indexes.pipeline.worker import EmbeddingTask, EmbeddingWorker, WorkerSetup
from indexes.storage.files import NO_FILE
from retriever import Collection, ContextualEmbedder, Document, StaticEmbedder
from retriever.formats import read_documents
from retriever.indexing.workers import DocumentEncoder, WorkerEmbedder

ABSTRACTS = "arxiv-100k/corpus.jsonl.gz"
DOCUMENTS, REPEATS, NO_OPS = 16_384, 5, 40
COMMITTED = 2_000
WORKERS = (1, 10, 100, 1_000)
SIZES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
# What the simulation assumes and does not measure: bytes a second of the shared storage.
STORAGE = 1e9
# Beyond so many tasks, what is left is taken to go on as the second half of these did.
SIMULATED = 200_000


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of one task: of the writer, of a worker, and of the shared storage."""

    passages: int
    read: float
    give: float
    embed: float
    size: int
    commit: float


@dataclass(frozen=True)
class Build:
    """A simulated build: hours, the share of them that a worker computes, and what bounds it."""

    documents: int
    workers: int
    hours: float
    efficiency: float
    bound: str


def simulate(costs: Costs, documents: int, workers: int) -> Build:
    """Run the tasks of a build: each is given out when a worker and the writer are free."""
    tasks = -(-documents // costs.passages)
    count = min(tasks, SIMULATED)
    writing = costs.size / STORAGE
    free = [0.0] * min(workers, count)  # when each worker is
    writer = storage = middle = end = 0.0
    for number in range(count):
        ready = heapq.heappop(free)
        # The next task is read ahead, so that a worker waits for a message alone.
        writer = max(writer + costs.read + costs.commit, ready) + costs.give
        embedded = writer + costs.embed
        storage = max(storage, embedded) + writing
        heapq.heappush(free, storage)
        end = max(end, storage)
        if number == count // 2:
            middle = end
    seconds = end + (tasks - count) * (end - middle) / max(1, count - count // 2)
    ideal = tasks * costs.embed / min(workers, tasks)
    each = {
        "workers": ideal,
        "writer": tasks * (costs.read + costs.commit + costs.give),
        "storage": tasks * writing,
    }
    bound = max(each, key=lambda name: each[name])
    return Build(documents, workers, seconds / 3600, min(1.0, ideal / seconds), bound)


def texts() -> Iterator[Document]:
    for document in islice(read_documents(data_folder() / ABSTRACTS), DOCUMENTS):
        assert isinstance(document, Document)
        yield document


def timed(action: Any, repeats: int = REPEATS) -> dict[str, float]:
    action()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return summary(seconds)


def tasks_of(collection: Collection, passages: int, count: int) -> list[EmbeddingTask]:
    corpus = collection._store.corpus
    found = list(corpus.passages(1, corpus.stop_key(), passages * count))
    parts = [found[start : start + passages] for start in range(0, len(found), passages)]
    return [EmbeddingTask(part[0].key, part[-1].key + 1, part) for part in parts if part]


def embedding_cost(
    collection: Collection, index: str, embedder: Any, passages: int
) -> tuple[dict[str, float], int]:
    """Seconds of a worker for one task, with its file and sidecar; and bytes of the file."""
    embedding = collection._store.embedding(index)
    load = DocumentEncoder(WorkerEmbedder.of(embedder, collection.path))
    setup = WorkerSetup(collection.path, embedding, load)
    worker, (task, *_) = EmbeddingWorker(setup), tasks_of(collection, passages, 1)
    result = worker.run(task)
    size = sum(shard.digest.size for shard in result.shards)
    return timed(lambda: worker.run(task), 3), size


def giving_cost(collection: Collection, executor: Executor, index: str, passages: int) -> float:
    """Seconds of giving out one task of so many passages and taking its result, to two workers."""
    embedding = collection._store.embedding(index)
    nothing = WorkerSetup(collection.path, replace(embedding, dim=1), NoOp())
    (task, *_) = tasks_of(collection, passages, 1)
    started, first, count = 0.0, True, 0
    for _ in executor.run(nothing, (task for _ in range(NO_OPS)), NO_OPS):
        count += 1
        if first:  # the workers have started
            first, started = False, time.perf_counter()
    return (time.perf_counter() - started) / (count - 1)


class NoOp:
    """Loads an encoder that finds nothing to embed: no file is written."""

    def __call__(self) -> Any:
        return lambda contents: (np.zeros((len(contents), 1), np.float32), {})


def commit_cost(collection: Collection, embedding: EmbeddingRow) -> float:
    """Seconds of the rows of one shard, in commits of many as a build makes them."""
    store, number = collection._store, collection._store.registry.next_shard()
    first = store.corpus.stop_key() + 1
    rows = [
        ShardRow(
            number + n, embedding.number, first + n, first + n + 1, 1, None, None, NO_FILE, 0.0, {}
        )
        for n in range(COMMITTED)
    ]
    started = time.perf_counter()
    for start in range(0, COMMITTED, 100):
        with store.catalog.writing():
            for row in rows[start : start + 100]:
                store.registry.add_shard(row)
    seconds = time.perf_counter() - started
    with store.catalog.writing():
        store.registry.drop_shards(rows)
    return seconds / COMMITTED


def executors() -> Iterator[tuple[str, Executor]]:
    yield "inline", InlineExecutor()
    yield "processes", ProcessExecutor(2)
    try:
        import ray  # noqa: F401
    except ImportError:
        return
    from indexes.pipeline.executors.ray_cluster import RayExecutor

    yield "ray", RayExecutor()


def measure(folder: Path) -> dict[str, Any]:
    """Measure the costs of tasks on this machine."""
    with Collection.create(folder / "library") as collection:
        started = time.perf_counter()
        collection.add(texts())
        added = time.perf_counter() - started
        size = collection._store.catalog_size()
        static = StaticEmbedder("glove-6b-50d")
        # On one core each, as workers are.
        contextual = ContextualEmbedder("all-MiniLM-L6-v2", device="cpu", runtime="torch")
        passages = {"static": 8_192, "contextual": contextual.task_passages}
        corpus = collection._store.corpus
        read = timed(lambda: corpus.passages(1, corpus.stop_key(), passages["static"]))
        found: dict[str, Any] = {
            "documents": DOCUMENTS,
            "added_per_second": DOCUMENTS / added,
            "catalog_bytes_per_document": size / DOCUMENTS,
            "read_per_passage": read["median"] / passages["static"],
            "read": read,
        }
        collection.build("static", static, ann="exact")
        collection.build("small", StaticEmbedder("glove-6b-50d"), ann="exact")
        found["commit_per_shard"] = commit_cost(collection, collection._store.embedding("static"))
        for kind, embedder in (("static", static), ("contextual", contextual)):
            if kind == "contextual":
                with Collection.create(folder / kind) as other:
                    other.add(islice(texts(), 512))
                    other.build(kind, embedder, workers=1)
                    seconds, written = embedding_cost(other, kind, embedder, passages[kind])
            else:
                seconds, written = embedding_cost(collection, kind, embedder, passages[kind])
            found[kind] = {"passages": passages[kind], "task": seconds, "bytes": written}
        for name, executor in executors():
            for kind, count in passages.items():
                cost = giving_cost(collection, executor, "static", count)
                found[kind][f"give_{name}"] = cost
    return found


def main() -> None:
    """Measure, simulate, and write the result."""
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
    builds = dict[str, list[dict[str, Any]]]()
    for kind in ("static", "contextual"):
        one = measured[kind]
        costs = Costs(
            passages=one["passages"],
            read=measured["read_per_passage"] * one["passages"],
            give=one.get("give_ray", one["give_processes"]),
            embed=one["task"]["median"],
            size=one["bytes"],
            commit=measured["commit_per_shard"],
        )
        one["costs"] = asdict(costs)
        builds[kind] = [
            asdict(simulate(costs, documents, workers))
            for documents in SIZES
            for workers in WORKERS
        ]
    facts = certificate(data=checksum(data_folder() / ABSTRACTS), repeats=REPEATS)
    save("cluster", {**facts, "measured": measured, "storage": STORAGE, "builds": builds})
    for kind, rows in builds.items():
        print(kind)
        for row in rows:
            print(
                f"  {row['documents']:>13,} {row['workers']:>5} {row['hours']:10.2f} h "
                f"{row['efficiency']:6.2f} {row['bound']}"
            )


if __name__ == "__main__":
    main()
