"""Measurements in a separate process: `python -m benchmarks.peers.child TASK`.

The task's arguments come as JSON on standard input, its result goes as JSON to standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers import material, rounds
from benchmarks.peers.systems import system

K = rounds.K


def embed() -> dict[str, float]:
    """Embed documents and queries, unless an earlier run has stored them."""
    return material.embedded()


def build(name: str, folder: str) -> dict[str, Any]:
    """Store the corpus, its vectors given: seconds, memory, bytes on disk."""
    with _timed() as importing:
        made = system(name)
    corpus = material.corpus()
    before = _memory("VmRSS")
    _forget_peak()
    with _timed() as building:
        made.build(Path(folder), corpus)
    return {
        "name": made.name,
        "how": made.how,
        "package": made.package,
        "version": _version(made.package),
        "import_s": importing[0],
        "build_s": building[0],
        "before_MB": before,
        "peak_MB": _memory("VmHWM"),
        "bytes": sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()),
    }


def first(name: str, folder: str, modules: Sequence[str]) -> dict[str, Any]:
    """Open what is stored, and answer one query whose vector is given.

    `modules` are imported before the clock starts: all that this system has loaded by its first
    answer, as found by a run without any. So a late import costs a system nothing here.
    """
    asked = material.queries()
    text, encode = asked.texts[0], material.given(asked)
    bare = _memory("VmRSS")
    loaded = list(sys.modules)
    with _timed() as importing:
        for module in modules:
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        made = system(name)
    imported = _memory("VmRSS")
    with _timed() as opening:
        made.open(Path(folder), encode)
        answer = made.search_one(text, K)
    resident = _memory("VmRSS")
    assert len(made.read_one(answer)) == K
    return {
        "import_s": importing[0],
        "open_s": opening[0],
        "bare_MB": bare,
        "imported_MB": imported,
        "resident_MB": resident,
        "modules": sorted(set(sys.modules) - set(loaded), key=list(sys.modules).index),
    }


def ask(folders: dict[str, str], repeats: int) -> dict[str, Any]:
    """Run the queries through all systems in turns, their vectors given; return the hits too."""
    asked = material.queries()
    encode = material.given(asked)
    with _open(folders, encode) as opened:
        right = {
            name: rounds.agreement(one, material.corpus(), asked) for name, one in opened.items()
        }
        return {
            "right": right,
            "one": rounds.one_by_one(opened, asked.texts, repeats),
            "batch": rounds.together(opened, asked.texts, repeats),
        }


def by_threads(name: str, folder: str) -> dict[str, float]:
    """Run the queries through one system by several threads at once, their vectors given."""
    asked = material.queries()
    with _open({name: folder}, material.given(asked)) as opened:
        rate = rounds.by_threads(opened[name], asked.texts)
    return {"by_threads_per_second": rate}


def whole(folders: dict[str, str], repeats: int, count: int) -> dict[str, Any]:
    """Run queries through all systems in turns, from their text: the model encodes each."""
    with _open(folders, material.model()) as opened:
        return {"one": rounds.one_by_one(opened, material.queries().texts[:count], repeats)}


TASKS = {task.__name__: task for task in (embed, build, first, ask, by_threads, whole)}


@contextlib.contextmanager
def _open(folders: dict[str, str], encode: material.Encode) -> Iterator[dict[str, Any]]:
    opened = {name: system(name) for name in folders}
    for name, one in opened.items():
        one.open(Path(folders[name]), encode)
    yield opened
    for one in opened.values():
        one.close()


@contextlib.contextmanager
def _timed() -> Iterator[list[float]]:
    seconds: list[float] = []
    started = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - started)


def _memory(what: str) -> float:
    """Return `VmRSS` (current) or `VmHWM` (peak) memory of this process, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{what}:")[1].split()[0]) / 1000


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # the checkout, not installed
        return "this checkout"


if __name__ == "__main__":
    # What a library prints must not mix with the result.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with answer:
        json.dump(TASKS[sys.argv[1]](**json.load(sys.stdin)), answer)
