"""A disk that fails on demand: each durable step of a writer is counted, and one goes wrong.

    python -m tests.support.faults.runner OPERATION [MODE [STEP]]

runs an operation (see `faults_operations`) once for every durable step that it takes and every mode
(see `faults_steps.MODES`), or only for those given (modes with commas between them), and prints
what it found as JSON.

Each error is a run of its own, in a fork of a process that has imported everything and has computed
nothing, on a copy of the collection. A process that dies leaves its files as they are: one run
writes, before each of its steps, what would be left (`test_faults` also kills real processes).
Another fork then opens what is left, checks it, and runs the operation again. Many cases leave the
same bytes: a step that only waits for the disk, or a power cut that takes several writes at once;
and what was checked needs no second check.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # One thread each: a fork of a process with threads may wait for them forever. They are started
    # by the imports below.
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")})

import contextlib
import gc
import importlib
import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from retriever import Collection, RetrieverError
from tests.support.faults.disk import fingerprint
from tests.support.faults.operations import (
    BASE,
    EMBEDDER,
    OPERATIONS,
    query_vectors,
    remember_queries,
    small,
    state_of,
)
from tests.support.faults.steps import DEADLY, MODES, Faults, shared_counts
from tests.support.fresh import fork

WORKERS = 2
# Steps next to each other often leave the same bytes: one worker has them, and checks them once.
BLOCK = 8
CASE_SECONDS = 60


class Bench:
    """One operation, prepared: its collection, its steps, and the states that it goes through."""

    def __init__(self, name: str, work: Path) -> None:
        self.name, self.operation = name, OPERATIONS[name]
        self._work, self._shared = work, shared_counts()
        self.before, self._verdicts = work / "before", work / "verdicts"
        self.before.mkdir()
        self._verdicts.mkdir()
        small()
        for module in in_fork(work, self._prepare):
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        remember_queries(in_fork(work, query_vectors))
        gc.collect()
        gc.freeze()
        self.steps, commits = in_fork(work, lambda: self._clean_run(work / "first", snaps=True))
        again, _ = in_fork(work, lambda: self._clean_run(work / "second"))
        if self.steps != again:
            raise RuntimeError(f"Two runs of {name} took different steps: {self.steps} {again}")
        self.states = in_fork(work, lambda: self._states(commits))

    def _prepare(self) -> list[str]:
        Faults(self._work)
        if self.operation.prepare:
            with Collection.create(self.before / "library") as collection:
                self.operation.prepare(collection)
        with Collection.open_or_create(self._work / "warm" / "library") as collection:
            collection.add(BASE)
            collection.build("graph", EMBEDDER, ann="HNSW8")
            state_of(collection)
        return sorted(sys.modules)

    def _clean_run(self, root: Path, *, snaps: bool = False) -> tuple[list[Any], int]:
        shutil.copytree(self.before, root)
        commits = 0

        def committed(count: int) -> None:
            nonlocal commits
            commits = count
            if snaps and self.operation.prepare:
                leave = shutil.ignore_patterns("*-shm")
                shutil.copytree(root, self._work / f"after-{count}", ignore=leave)

        faults = Faults(root, committed=committed)
        with Collection.open_or_create(root / "library") as collection:
            self.operation.run(collection, self._work)
        faults.step("end", str(root / "library"))
        return faults.steps, commits

    def _states(self, commits: int) -> list[Any]:
        """Before, after each commit, and at the end of an uninterrupted run."""
        Faults(self._work)
        roots = [self.before, *(self._work / f"after-{n + 1}" for n in range(commits))]
        if not self.operation.prepare:
            roots = []
        states = []
        for root in [*roots, self._work / "second"]:
            with Collection.open(root / "library") as collection:
                states.append(state_of(collection))
        return states

    def cases(self, mode: str) -> list[int]:
        """The numbers of the steps that a mode can happen at."""
        return [n for n, (kind, _) in enumerate(self.steps, start=1) if kind in MODES[mode]]

    def leave(self, mode: str, folder: Path) -> dict[int, int]:
        """Write to folders what a deadly fault at each step leaves; the commits before each."""
        folder.mkdir()
        root = folder / "root"
        shutil.copytree(self.before, root)

        def run() -> list[Any]:
            faults = Faults(root, mode, folder=folder)
            with Collection.open_or_create(root / "library") as collection:
                self.operation.run(collection, self._work)
            faults.step("end", str(root / "library"))
            return [faults.steps, list(faults.left.items())]

        steps, left = in_fork(folder, run)
        if steps != self.steps:
            raise RuntimeError(f"With {mode}, {self.name} took other steps: {steps} {self.steps}")
        return dict(left)

    def deadly_case(self, at: int, commits: int, root: Path) -> str:
        """Check what a deadly fault has left; what is wrong, or nothing."""
        if at == len(self.steps) and not (root / "library").exists():
            return "the power cut took the collection"
        numbers = range(len(self.states))
        return self._verdict(root, numbers[commits : commits + 2] or numbers[-1:])

    def case(self, mode: str, at: int, root: Path) -> str:
        """Run one case of an error; what is wrong, or nothing."""
        shutil.copytree(self.before, root)
        self._shared[:] = 0
        outcome = root.with_suffix(".outcome")
        outcome.unlink(missing_ok=True)
        status = _limited(lambda: outcome.write_text(json.dumps(self._attempt(root, mode, at))))
        steps, commits, happened, before = self._shared.tolist()
        if not happened:
            return f"the step was never reached: there were {steps} ({status})"
        if status:
            return f"died of the error: {status}"
        numbers = range(len(self.states))
        allowed = numbers[commits : commits + 2]
        ended, said, live = json.loads(outcome.read_text())
        if ended == "broke":
            return f"ended in an error that is not ours: {said}"
        if ended == "returned":
            allowed = numbers[-1:]
        elif self.operation.takes_back and before <= 1:
            allowed = numbers[: before + 2]
        if live is not None and live not in [self.states[n] for n in allowed]:
            return f"the open collection answers neither before nor after: {said or 'no error'}"
        return self._verdict(root, allowed or numbers[-1:])

    def _verdict(self, root: Path, allowed: range) -> str:
        """What is wrong with what is left; what has the same names and bytes is checked once."""
        verdict = self._verdicts / f"{fingerprint(root)}-{allowed[0]}-{allowed[-1]}"
        if not verdict.exists():
            wrong = in_fork(root.parent, lambda: self._check(root, allowed))
            unfinished = root.with_suffix(".verdict")
            unfinished.write_text(wrong)
            unfinished.replace(verdict)
        return verdict.read_text()

    @property
    def checked(self) -> int:
        """How many different things the cases have left until now."""
        return len(list(self._verdicts.iterdir()))

    def _attempt(self, root: Path, mode: str, at: int) -> tuple[str, str, Any]:
        """How the operation ended, what it said, and the state that the open collection shows."""
        faults = Faults(root, mode, at, shared=self._shared)
        ended, said, live = "returned", "", None
        try:
            with Collection.open_or_create(root / "library") as collection:
                try:
                    self.operation.run(collection, self._work)
                except RetrieverError as error:
                    ended, said = "refused", str(error)
                    faults.armed = False
                    if mode == "full":
                        self.operation.run(collection, self._work)
                        ended = "returned"
                    live = state_of(collection)
        except RetrieverError as error:
            if ended != "returned":
                return "broke", f"after an error, in the same process: {traceback.format_exc()}", 0
            ended, said = "refused", str(error)
        except Exception:
            return "broke", traceback.format_exc(), None
        faults.step("end", str(root / "library"))
        return ended, said, live

    def _check(self, root: Path, allowed: range) -> str:
        """What is wrong with what is left, and with running the operation again."""
        Faults(root)
        library = root / "library"
        try:
            with Collection.open_or_create(library) as collection:
                if not (checked := collection.verify()).ok:
                    return f"verify: {'; '.join(map(str, checked.problems))}"
                state = state_of(collection)
                at = [n for n, known in enumerate(self.states) if known == state]
                if not set(at) & set(allowed):
                    return f"the state is {at or _brief(state)}; expected one of {list(allowed)}"
                self.operation.run(collection, self._work)
            with Collection.open(library) as collection:
                collection.delete([])  # the next writer sweeps
                if not (checked := collection.verify()).ok:
                    return f"verify after the rerun: {'; '.join(map(str, checked.problems))}"
                if left := [*checked.leftovers, *_strange_files(library)]:
                    return f"files are left after the rerun: {left}"
                if (state := state_of(collection)) != self.states[-1]:
                    return f"the rerun ended with another state: {_brief(state)}"
        except Exception:
            return f"the check failed: {traceback.format_exc(limit=-6, chain=False)}"
        return ""


def _strange_files(library: Path) -> list[str]:
    """Files next to the catalog that do not belong there."""
    known = {"catalog.db", "catalog.db-commit", "catalog.db-wal", "catalog.db-shm", "writer.lock"}
    known |= {"vectors", "ann", "lexical", "fitted", "images"}
    return [path.name for path in library.iterdir() if path.name not in known]


def _brief(state: Any) -> str:
    documents, answers, _ = state
    return f"{[document[0] for document in documents]} {json.dumps(answers)[:500]}"


def _limited(work: Callable[[], object]) -> int:
    return fork(work, CASE_SECONDS)


def in_fork(folder: Path, work: Callable[[], Any]) -> Any:
    """What something gives, run in a fork."""
    answer = folder / f"answer-{os.getpid()}.json"
    status = _limited(lambda: answer.write_text(json.dumps(work())))
    if status:
        raise RuntimeError(f"A fork ended with {status}.")
    found = json.loads(answer.read_text())
    answer.unlink()
    return found


def run_cases(bench: Bench, mode: str, steps: list[int], work: Path) -> list[dict[str, Any]]:
    """Run the cases of a mode, some side by side; those that went wrong."""
    folder = work / f"left-{mode}"
    left = bench.leave(mode, folder) if mode in DEADLY else {}

    def some(worker: int) -> list[dict[str, Any]]:
        failures = []
        for at in (at for n, at in enumerate(steps) if n // BLOCK % WORKERS == worker):
            root = work / f"case-{worker}" / f"{mode}-{at}"
            root.parent.mkdir(exist_ok=True)
            if mode in DEADLY:
                wrong = bench.deadly_case(at, left[at], (folder / str(at)).rename(root))
            else:
                wrong = bench.case(mode, at, root)
            if wrong:
                failures.append({"mode": mode, "step": at, "what": bench.steps[at - 1]})
                failures[-1]["wrong"] = wrong
            shutil.rmtree(root, ignore_errors=True)
        return failures

    answers = [work / f"worker-{worker}.json" for worker in range(WORKERS)]
    children = []
    for worker, answer in enumerate(answers):
        child = os.fork()
        if not child:
            bench._shared = shared_counts()
            answer.write_text(json.dumps(some(worker)))
            os._exit(0)
        children.append(child)
    for child in children:
        if status := os.waitpid(child, 0)[1]:
            raise RuntimeError(f"A worker ended with {os.waitstatus_to_exitcode(status)}.")
    return [failure for answer in answers for failure in json.loads(answer.read_text())]


def main(name: str, modes: str = "", step: str = "") -> None:
    """Run an operation's cases and print the report."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        # Through links in temporary folders, indexes of words are opened.
        tempfile.tempdir = folder
        work = Path(folder).resolve()
        bench = Bench(name, work)
        failures, ran = [], {}
        for mode in modes.split(",") if modes else MODES:
            started, before = time.monotonic(), bench.checked
            steps = [int(step)] if step else bench.cases(mode)
            failures += run_cases(bench, mode, steps, work)
            seconds = round(time.monotonic() - started, 1)
            ran[mode] = {"cases": len(steps), "checked": bench.checked - before, "seconds": seconds}
    print(json.dumps({"steps": bench.steps, "ran": ran, "failures": failures}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
