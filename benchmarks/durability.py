"""The cost of durability: `python -m benchmarks.durability`.

Needs RETRIEVER_DATA. Writes `results/durability.json`. Times are ratios side by side in one run,
medians of several repeats with their spread; memory is the peak of a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.certificate import certificate, checksum, data_folder, repeated, save, summary
from indexes.catalog.sqlite.connections import Connections
from retriever import Collection, Document, StaticEmbedder, read_queries
from retriever.formats import read_documents

REPEATS = 5
HUNDRED_THOUSAND = 100_000
LARGE = 588_000
ABSTRACTS = "arxiv-100k/corpus.jsonl.gz"
STATIC = "glove-6b-50d"


# -- corpora ------------------------------------------------------------------------------------


def abstracts(count: int) -> Iterator[Document]:
    """Yield that many documents: the arXiv abstracts, repeated under new ids."""
    for turn in range(1 + count // HUNDRED_THOUSAND):
        left = count - turn * HUNDRED_THOUSAND
        for number, document in enumerate(
            islice(read_documents(data_folder() / ABSTRACTS), max(0, left))
        ):
            assert isinstance(document, Document)
            position = turn * HUNDRED_THOUSAND + number
            yield Document(
                f"{turn}/{document.doc_id}",
                document.text,
                document.title,
                {"number": position, "half": position % 2},
            )


# -- tasks in separate processes ---------------------------------------------------------------


def add(folder: Path, count: int) -> dict[str, Any]:
    """Add that many documents."""
    with Collection.create(folder) as library:
        library.index_fields("number")
        seconds = _seconds(lambda: library.add(abstracts(count)))
        return {"documents": len(library), "seconds": seconds}


def build(folder: Path, _: int) -> dict[str, Any]:
    """Embed them all with GloVe 50d, for exact search."""
    with Collection.open(folder) as library:
        return {"seconds": _seconds(lambda: library.build("glove", StaticEmbedder(STATIC)))}


def search(folder: Path, _: int) -> dict[str, Any]:
    """Open the collection and run one query."""
    opened = time.perf_counter()
    with Collection.open(folder) as library:
        opened = time.perf_counter() - opened
        first = _seconds(lambda: library.search(QUERY, index="glove"))
        return {"open_s": opened, "first_search_s": first}


def compact(folder: Path, _: int) -> dict[str, Any]:
    """Delete half of the documents, and compact."""
    with Collection.open(folder) as library:
        deleting = _seconds(lambda: library.delete(where={"half": 1}))
        before = _size(folder)
        seconds = _seconds(library.compact)
        return {
            "delete_s": deleting,
            "compact_s": seconds,
            "bytes_before": before,
            "bytes_after": _size(folder),
            "whole": library.verify().ok,
        }


def write_on(folder: Path, _: int) -> dict[str, Any]:
    """Build repeatedly until killed."""
    with Collection.open(folder) as library:
        embedder = StaticEmbedder(STATIC)
        while True:
            library.build("again", embedder)
            library.drop("again")


TASKS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    task.__name__: task for task in (add, build, search, compact, write_on)
}
QUERY = "galaxy clusters and dark matter"


def in_a_process(task: str, folder: Path, count: int = 0) -> dict[str, Any]:
    """Run a task in a separate process; return its result and its peak memory in MB."""
    done = subprocess.run(_command(task, folder, count), stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _command(task: str, folder: Path, count: int = 0) -> list[str]:
    return [sys.executable, "-m", "benchmarks.durability", task, str(folder), str(count)]


# -- measurements -------------------------------------------------------------------------------


def memory(counts: tuple[int, ...]) -> dict[str, Any]:
    """Measure peak memory of each step, for corpora of several sizes."""
    result: dict[str, Any] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "library"
            result[f"{count} documents"] = {
                task: in_a_process(task, folder, count)
                for task in ("add", "build", "search", "compact")
            }
            print(json.dumps(result[f"{count} documents"]), file=sys.stderr)
    return result


def adding(documents: list[Document]) -> dict[str, Any]:
    """Time adding with and without fsync, and adding the same again from memory and a file."""
    source = data_folder() / ABSTRACTS
    times: dict[str, list[float]] = {}

    def note(name: str, action: Callable[[], object]) -> None:
        times.setdefault(name, []).append(_seconds(action))

    for _ in range(REPEATS):
        with _fresh() as folder, Collection.create(folder) as library:
            note("first", partial(library.add, documents))
            note("unchanged", partial(library.add, documents))
        with _fresh() as folder, Collection.create(folder) as library:
            note("file_first", partial(library.add, source))
            note("file_unchanged", partial(library.add, source))
        with _unsafe(), _fresh() as folder, Collection.create(folder) as library:
            note("unsafe_first", partial(library.add, documents))
    medians = {name: summary(seconds) for name, seconds in times.items()}
    return {
        **{f"{name}_s": value for name, value in medians.items()},
        "documents_per_second": len(documents) / medians["first"]["median"],
        "file_documents_per_second": len(documents) / medians["file_first"]["median"],
        "cost_of_waiting_for_the_disk": _ratio(medians, "first", "unsafe_first"),
        "unchanged_faster": _ratio(medians, "first", "unchanged"),
        "file_unchanged_faster": _ratio(medians, "file_first", "file_unchanged"),
    }


def building(folder: Path) -> dict[str, Any]:
    """Time embedding with and without fsync."""
    times: dict[str, list[float]] = {"safe": [], "unsafe": []}
    embedder = StaticEmbedder(STATIC)
    with Collection.open(folder) as library:
        for _ in range(REPEATS):
            times["safe"].append(_seconds(lambda: library.build("again", embedder)))
            library.drop("again")
            with _unsafe():
                times["unsafe"].append(_seconds(lambda: library.build("again", embedder)))
            library.drop("again")
    medians = {name: summary(seconds) for name, seconds in times.items()}
    return {**medians, "cost_of_waiting_for_the_disk": _ratio(medians, "safe", "unsafe")}


def opening(folder: Path) -> dict[str, dict[str, float]]:
    """Time opening a collection, after imports, each time in a fresh process."""
    runs = [in_a_process("search", folder) for _ in range(REPEATS + 1)][1:]
    return {
        "open_s": summary([run["open_s"] for run in runs]),
        "open_and_first_search_s": summary([run["open_s"] + run["first_search_s"] for run in runs]),
    }


def querying(folder: Path, queries: list[str]) -> dict[str, Any]:
    """Time single queries on an idle collection, and while another process builds."""
    with Collection.open(folder) as library:
        quiet = _p50(library, queries)
        writer = subprocess.Popen(_command("write_on", folder), stdout=subprocess.DEVNULL)
        try:
            _wait_for_a_writer(library)
            busy = _p50(library, queries)
        finally:
            writer.kill()
            writer.wait()
    return {"quiet_p50_ms": quiet, "while_building_p50_ms": busy, "ratio": busy / quiet}


def filtering(folder: Path) -> dict[str, Any]:
    """Time queries with filters that keep few, half and nearly all, and without a filter."""
    few, half = {"number": {"<": 10}}, {"half": 1}
    most = {"number": {">=": 10}}
    with Collection.open(folder) as library:
        retriever = library.retriever("glove")
        library.search(QUERY, index="glove")
        result: dict[str, Any] = {}
        for name, where in (("none", None), ("10", few), ("half", half), ("all but 10", most)):
            warm = repeated(
                partial(retriever.search, QUERY, 10, where=where), repeats=51, warm_up=5
            )
            result[name] = {"ms": 1000 * warm["median"]}
        # A filter that was never used before: another ten documents each time.
        new = iter(range(1000))
        cold = repeated(lambda: retriever.search(QUERY, 10, where=_ten(next(new))), repeats=51)
        result["10, a new filter each time"] = {"ms": 1000 * cold["median"]}
        scan = repeated(
            lambda: retriever.search(QUERY, 10, where={"half": {"!=": next(new) + 2}}), repeats=9
        )
        result["nearly all, by a field without an index, a new filter each time"] = {
            "ms": 1000 * scan["median"]
        }
    return result


def _ten(turn: int) -> dict[str, Any]:
    return {"number": {">=": 10 * turn, "<": 10 * turn + 10}}


def _p50(library: Collection, queries: list[str]) -> float:
    retriever = library.retriever("glove")
    timings = [_seconds(partial(retriever.search, text)) for text in queries[:20] + queries]
    return 1000 * summary(timings[20:])["median"]


def _wait_for_a_writer(library: Collection) -> None:
    until = time.monotonic() + 60
    while "again" not in library.index_names() and time.monotonic() < until:
        time.sleep(0.02)


@contextmanager
def _unsafe() -> Iterator[None]:
    """Disable fsync, for comparison only."""
    connect = Connections._connect

    def connect_unsafely(connections: Connections) -> Any:
        opened = connect(connections)
        opened.conn.execute("PRAGMA synchronous = OFF")
        return opened

    with (
        patch.object(os, "fsync", lambda _: None),
        patch.object(Connections, "_connect", connect_unsafely),
    ):
        yield


@contextmanager
def _fresh() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp())
    try:
        yield parent / "library"
    finally:
        shutil.rmtree(parent)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _ratio(medians: dict[str, dict[str, float]], a: str, b: str) -> float:
    return medians[a]["median"] / medians[b]["median"]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _child(task: str, folder: str, count: str) -> None:
    result = TASKS[task](Path(folder), int(count))
    print(json.dumps({**result, "peak_MB": _peak()}))


def _peak() -> float:
    """Return the peak memory of this process in MB, mapped files included.

    Not `ru_maxrss`: that includes the memory of the parent process at the fork.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def main() -> None:
    """Measure everything, print it, save it."""
    queries = list(read_queries(data_folder() / "arxiv-100k" / "queries.jsonl").values())[:300]
    documents = list(abstracts(HUNDRED_THOUSAND))
    with _fresh() as folder:
        result: dict[str, Any] = {"adding": adding(documents)}
        with Collection.create(folder) as library:
            library.index_fields("number")
            library.add(documents)
            library.build("glove", StaticEmbedder(STATIC))
        del documents
        result |= {
            "opening": opening(folder),
            "filtering": filtering(folder),
            "querying": querying(folder, queries),
            "building": building(folder),
        }
    result["memory"] = memory((10_000, HUNDRED_THOUSAND, LARGE))
    print(json.dumps(result, indent=2))
    facts = {
        "data": "100,000 arXiv abstracts; 588,000: the same under six sets of ids",
        "data_checksum": checksum(data_folder() / ABSTRACTS),
        "command": "python -m benchmarks.durability",
        "repeats": REPEATS,
    }
    save("durability", {"certificate": certificate(**facts), **result})


if __name__ == "__main__":
    if len(sys.argv) == 4:
        _child(*sys.argv[1:])
    else:
        main()
