"""Static encoding in this checkout and another one, in processes that take turns.

`python -m benchmarks.static --against CHECKOUT` runs it. A process stays for all turns, so that
what it reads or computes once counts for neither side. Times are processor time, as others may use
the machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.certificate import data_folder

__all__ = ["against", "spread"]

HERE = Path(__file__).resolve().parent.parent
SETS = ("cranfield", "scifact")
SIZES = ("all", "256", "32", "one query")
PAIRS = 25
# Public names only: it runs in checkouts whose modules have other names.
CHILD = r"""
import json, sys, time
from pathlib import Path
from retriever import StaticEmbedder, read_queries

embedder = StaticEmbedder("glove-6b-50d")
texts, queries = {}, {}
for name in sys.argv[2:]:
    folder = Path(sys.argv[1]) / name
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    texts[name] = [f"{row.get('title', '')} {row['text']}".strip() for row in rows]
    queries[name] = list(read_queries(folder / "queries.jsonl").values())

def encode(name, size):
    if size == "one query":
        for text in queries[name]:
            embedder.encode_queries([text])
        return
    step = len(texts[name]) if size == "all" else int(size)
    for start in range(0, len(texts[name]), step):
        embedder.encode_documents(texts[name][start : start + step])

for line in sys.stdin:
    started = time.process_time()
    encode(*json.loads(line))
    print(time.process_time() - started, flush=True)
"""


class Encoder:
    """A process that encodes in one checkout, each time that it is asked to."""

    def __init__(self, checkout: Path, sets: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(data_folder()), *sets],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )

    def __enter__(self) -> Encoder:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()

    def seconds(self, of: str, size: str) -> float:
        """Return the processor time of encoding all texts of a set in batches, or its queries."""
        asking, answers = self._process.stdin, self._process.stdout
        assert asking is not None
        assert answers is not None
        asking.write(json.dumps([of, size]) + "\n")
        asking.flush()
        return float(answers.readline())


def against(
    checkout: Path, sets: Sequence[str] = SETS, pairs: int = PAIRS
) -> dict[str, dict[str, Any]]:
    """Return the processor time of this checkout to that of another one, and both in seconds.

    By set, and by the size of the batches. After one pair of warm-up; who begins alternates.
    """
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        here, other = (stack.enter_context(Encoder(one, sets)) for one in (HERE, checkout))
        for of in sets:
            for size in SIZES:
                taken: list[tuple[float, float]] = []
                for number in range(pairs + 1):
                    order = (here, other) if number % 2 else (other, here)
                    seconds = {side: side.seconds(of, size) for side in order}
                    taken.append((seconds[here], seconds[other]))
                del taken[0]
                found.setdefault(of, {})[size] = {
                    "here_to_other": spread([ours / theirs for ours, theirs in taken]),
                    "here_s": spread([ours for ours, _ in taken]),
                    "other_s": spread([theirs for _, theirs in taken]),
                }
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of some values, with the least and the greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
