"""What grows with a collection, and how: `python -m benchmarks.scale --rows 100000 1000000`.

Needs RETRIEVER_DATA. Writes `results/scale.json`. Documents of a short text are added, embedded,
and indexed in a structure over half-precision vectors; each step runs in a process of its own,
whose peak of memory leaves out pages of mapped files. Vectors are drawn as in `synthetic.py`, like
those of 100,000 arXiv abstracts by wordllama's table, 256 wide, or by that of another static model
(`--table FOLDER`: model2vec, or sentence-transformers' static); these themselves are measured too.
Milliseconds are of processor time, except p50 and p95. With `--keep`, collections stay, and an
interrupted run goes on after its last finished step. 10 million rows take 8 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann.vectors import wordllama_table
from benchmarks.certificate import certificate, checksum, collection_folder, data_folder, save
from benchmarks.durability import ABSTRACTS, HUNDRED_THOUSAND, abstracts
from indexes.progress import PEAK_MEMORY, Peak
from indexes.storage.verified import NAME as NOTES

QUERIES, BATCH, SINGLE = 1_000, 500, 200
K, TIMES = 10, 5
TITLED = 1_000
WORDS = "owl elk moss fern salt iron rope sail lamp bell clay reed wind sand tide moon".split()  # noqa: SIM905
# A fifth of the documents passes the filter.
YEARS = (1990, 1997, 2004, 2011, 2018)
FILTER = {"year": {">=": 2018}}
MIXTURE, VECTORS, ASKED = "mixture.npz", "vectors.npy", "queries.npy"
# What is measured of a collection, beside sizes: the exponent of growth is reported of each.
GROWING = {
    "add": ("cpu_s", "peak_mb", "catalog_mb"),
    "embed": ("cpu_s", "peak_mb", "vectors_mb"),
    "structure": ("cpu_s", "peak_mb", "structure_mb"),
    "first": ("open_ms", "first_query_ms", "opened_mb"),
    "again": ("open_ms", "first_query_ms"),
    "ask": ("p50_ms", "cpu_ms", "batch_cpu_ms"),
    "catalog": (
        "fetch_ms",
        "filter_unchecked_ms",
        "filter_first_ms",
        "filter_again_ms",
        "count_ms",
        "info_ms",
        "verify_cpu_s",
    ),
}


def documents(count: int) -> Iterator[Any]:
    """Yield short texts with a year, each after its number."""
    from retriever import Document

    for number in range(count):
        some = " ".join(WORDS[number >> shift & 15] for shift in (0, 4, 8, 12, 16, 20))
        metadata = {"year": YEARS[number % len(YEARS)]}
        yield Document(str(number), f"{number} {some}", metadata=metadata)


def structure_of(rows: int) -> str:
    """Return the structure for a number of rows: four times the cells for ten times the rows."""
    cells = 4 ** round(math.log(math.sqrt(rows), 4))
    return f"IVF{cells},PQ128x4fs"


def embedder_of(kind: str) -> Any:
    """Return the embedder of drawn (`synthetic`) or given (`real`) vectors."""
    from benchmarks.synthetic import Mixture, Real, Synthetic

    folder = collection_folder("scale")
    if kind == "synthetic":
        return Synthetic(Mixture.load(folder / MIXTURE))
    return Real(np.load(folder / VECTORS, mmap_mode="r"), np.load(folder / ASKED))


def prepare(table: Path | None) -> None:
    """Encode the abstracts, with their titles as queries, and fit the mixture; once."""
    from benchmarks.synthetic import Mixture
    from retriever import StaticEmbedder

    folder = collection_folder("scale")
    if (folder / MIXTURE).exists():
        return
    folder.mkdir(exist_ok=True)
    embedder = StaticEmbedder(table or wordllama_table(folder / "table"))
    corpus = list(abstracts(HUNDRED_THOUSAND))
    vectors = embedder.encode_documents([document.text for document in corpus])
    queries = embedder.encode_queries([document.title for document in corpus[:TITLED]])
    answers = vectors[:TITLED]
    vectors = vectors[vectors.any(axis=1)]
    np.save(folder / VECTORS, vectors)
    np.save(folder / ASKED, queries)
    Mixture.fitted(vectors, queries, answers).save(folder / MIXTURE)


# -- steps, each in a process of its own ---------------------------------------------------------


def add(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Add the documents, with an index of the field `year`."""
    from retriever import Collection

    with Collection.create(folder) as library:
        library.index_fields("year")
        done = measured(lambda: library.add(documents(rows)))
        size = library.info().catalog_size
    return {**done, "documents_per_cpu_s": rows / done["cpu_s"], "catalog_mb": size / 1e6}


def embed(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Write the vectors, in half precision; `encoder_s` of the time is the embedder's."""
    from retriever import Collection

    with Collection.open(folder) as library:
        embedder = embedder_of(kind)
        done = measured(lambda: library.build("flat", embedder, ann="exact", dtype="float16"))
        info = library.index_info("flat")
    size = info.vectors_size / 1e6
    return {**done, "encoder_s": info.embedding_seconds, "vectors_mb": size}


def structure(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Build the structure over them."""
    from retriever import Collection

    with Collection.open(folder) as library:
        library.use("flat", embedder_of(kind))
        ann = structure_of(rows)
        done = measured(lambda: library.build("ann", vectors="flat", ann=ann))
        info, row = library.index_info("ann"), library._store.index("ann")
    measured_when_built = {
        "build_peak_mb": row.report[PEAK_MEMORY] / 1e6,
        "estimated_recall": info.recall,
    }
    size = info.structure_size / 1e6
    return {"factory": ann, **done, **measured_when_built, "structure_mb": size}


def first(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Open the collection as one that was never verified here, and ask it once; see `again`."""
    (folder / NOTES).unlink(missing_ok=True)
    return again(folder, rows, kind)


def again(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Open the collection, and ask it once; what is imported for that is loaded before."""
    import faiss  # noqa: F401

    import retriever.indexing.embedder_pool
    import retriever.search.retriever  # noqa: F401
    from retriever import Collection

    embedder = embedder_of(kind)
    embedder.encode_queries(["query0"])
    with Peak() as peak:
        started = time.process_time()
        with Collection.open(folder) as library:
            opened = time.process_time()
            library.use("ann", embedder)
            library.search("query0", index="ann")
            asked = time.process_time()
    return {
        "open_ms": 1000 * (opened - started),
        "first_query_ms": 1000 * (asked - opened),
        "opened_mb": peak.bytes / 1e6,
    }


def ask(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Ask single queries and a batch, with texts; compare with exact search."""
    from retriever import Collection

    numbers = np.random.default_rng(2).choice(min(rows, TITLED), QUERIES, replace=rows < QUERIES)
    texts = [f"query{number}" for number in numbers.tolist()]
    with Collection.open(folder) as library:
        embedder = embedder_of(kind)
        known = dict(zip(texts, embedder.encode_queries(texts), strict=True))
        # Only the search is to be timed: the queries' vectors are known.
        embedder.encode_queries = lambda some: np.stack([known[text] for text in some])
        library.use("ann", embedder)
        search = partial(library.search_many, index="ann", k=K)
        for text in texts[:20]:
            library.search(text, index="ann", k=K)
        taken, used = zip(
            *[
                _timed(partial(library.search, text, index="ann", k=K))
                for text in texts[20 : 20 + SINGLE]
            ],
            strict=True,
        )
        batches = [_timed(partial(search, texts[:BATCH])) for _ in range(TIMES)]
        found = search(texts[:SINGLE])
        library.use("flat", embedder)
        true = library.search_many(texts[:SINGLE], index="flat", k=K)
        pairs = zip(found, true, strict=True)
        hits = sum(hit.score >= best[-1].score for some, best in pairs for hit in some)
    batch_cpu = min(cpu for _, cpu in batches) / BATCH
    return {
        "p50_ms": 1000 * float(np.percentile(taken, 50)),
        "p95_ms": 1000 * float(np.percentile(taken, 95)),
        "cpu_ms": 1000 * float(np.median(used)),
        "batch_queries_per_s": BATCH / min(wall for wall, _ in batches),
        "batch_cpu_ms": 1000 * batch_cpu,
        "recall_at_10": hits / (K * SINGLE),
    }


def catalog(folder: Path, rows: int, kind: str) -> dict[str, Any]:
    """Time what the catalog does: fetching, filtering, counting, info and verify."""
    from retriever import Collection

    embedder = embedder_of(kind)
    (folder / NOTES).unlink(missing_ok=True)
    with Collection.open(folder) as library:
        library.use("ann", embedder)
        library.search("query1", index="ann", k=K)
        unchecked = _timed(partial(library.search, "query1", index="ann", k=K, where=FILTER))[1]
    with Collection.open(folder) as library:
        library.use("ann", embedder)
        ask_filtered = partial(library.search, "query1", index="ann", k=K, where=FILTER)
        random = np.random.default_rng(3)
        wanted = [random.integers(1, rows, K).tolist() for _ in range(200)]
        corpus = library._store.corpus
        fetch = [_timed(partial(corpus.found, keys))[1] for keys in wanted]
        library.search("query1", index="ann", k=K)
        result = {
            "fetch_ms": 1000 * float(np.median(fetch)),
            "filter_unchecked_ms": 1000 * unchecked,
            "filter_first_ms": 1000 * _timed(ask_filtered)[1],
            "filter_again_ms": 1000 * min(_timed(ask_filtered)[1] for _ in range(TIMES)),
            "count_ms": 1000 * _timed(lambda: len(library))[1],
            "info_ms": 1000 * _timed(library.info)[1],
        }
        verified = measured(library.verify)
    return {**result, "verify_cpu_s": verified["cpu_s"], "verify_peak_mb": verified["peak_mb"]}


STEPS: dict[str, Callable[[Path, int, str], dict[str, Any]]] = {
    "add": add,
    "embed": embed,
    "structure": structure,
    "first": first,
    "again": again,
    "ask": ask,
    "catalog": catalog,
}


def measured(call: Callable[[], object]) -> dict[str, float]:
    """Return the seconds of a call, by the clock and of all cores, and its peak of memory."""
    with Peak() as peak:
        wall, cpu = _timed(call)
    return {"seconds": wall, "cpu_s": cpu, "peak_mb": peak.bytes / 1e6}


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of a call, and the processor seconds of all threads."""
    started, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - used


# -- the whole -----------------------------------------------------------------------------------


def collection(rows: int, kind: str, keep: bool) -> dict[str, Any]:
    """Run all steps over one collection, which is removed afterwards unless it is to be kept."""
    folder = collection_folder("scale") / f"{kind}-{rows}"
    finished = folder.with_suffix(".json")
    result: dict[str, Any] = json.loads(finished.read_text()) if finished.exists() else {}
    for step in [step for step in STEPS if step not in result]:
        if step == "add":
            shutil.rmtree(folder, ignore_errors=True)
        command = [sys.executable, "-m", "benchmarks.scale", "--step", step, str(folder)]
        command += [str(rows), kind]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        result[step] = json.loads(done.stdout)
        print(rows, kind, step, json.dumps(result[step]), flush=True)
        finished.write_text(json.dumps(result))
    if not keep:
        shutil.rmtree(folder)
        finished.unlink()
    return result


def exponents(by_rows: dict[int, dict[str, Any]]) -> dict[str, float]:
    """Return the slope of each figure over the rows, both as logarithms (least squares)."""
    found: dict[str, float] = {}
    for step, names in GROWING.items():
        for name in names:
            pairs = [(rows, result[step][name]) for rows, result in by_rows.items()]
            if len(pairs) > 1 and all(value > 0 for _, value in pairs):
                x, y = np.log(np.array(pairs, np.float64)).T
                found[f"{step} {name}"] = round(float(np.polyfit(x, y, 1)[0]), 2)
    return found


def main() -> None:
    """Measure all sizes, print and save; or run one step in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--table", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--step", nargs=4, metavar=("STEP", "FOLDER", "ROWS", "KIND"))
    options = parser.parse_args()
    if options.step:
        step, folder, rows, kind = options.step
        print(json.dumps(STEPS[step](Path(folder), int(rows), kind)))
        return
    prepare(options.table)
    real = collection(HUNDRED_THOUSAND, "real", options.keep)
    by_rows = {rows: collection(rows, "synthetic", options.keep) for rows in options.rows}
    source = data_folder() / ABSTRACTS
    save(
        "scale",
        {
            "certificate": certificate(
                data="100,000 arXiv abstracts, and vectors drawn like theirs",
                data_checksum=checksum(source),
                command="python -m benchmarks.scale",
            ),
            "real": real,
            "synthetic": by_rows,
            "exponents": exponents(by_rows),
        },
    )


if __name__ == "__main__":
    main()
