"""Readers and writers of runs in TREC's six columns."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from indexes.errors import InputError
from retriever.formats.lines import read_lines, take_records
from retriever.formats.sources import Source, open_source, require_path
from retriever.formats.trec import check_token
from retriever.formats.writing import atomic_writer


def write_run(
    path: str | os.PathLike[str], run: Mapping[str, Sequence[tuple[str, float]]], tag: str
) -> None:
    """Write `run`, query_id to (doc_id, score) pairs with the best first, as a TREC run.

    The columns are `query_id Q0 doc_id rank score tag`; ranks count from 1, and scores round-trip
    exactly. A query without hits writes no line. Gzipped if `path` ends in `.gz`.

    Raises:
        InputError: an id or the tag does not fit its column (`check_token`), a document is
            repeated, scores are not finite or increase along the ranks (evaluation tools sort by
            score), or `path` cannot be written. Nothing is written then.
    """
    lines = run_lines(run, tag)
    with atomic_writer(path) as file:
        file.writelines(lines)


def run_lines(run: Mapping[str, Sequence[tuple[str, float]]], tag: str) -> Iterator[str]:
    """Check a run, then return its lines with their ends; see `write_run`."""
    check_token("tag", tag)
    for query_id, hits in run.items():
        _check_hits(query_id, hits)
    return (
        # float(), because NumPy scalars print their type; exact for float32.
        f"{query_id} Q0 {doc_id} {rank} {float(score)!r} {tag}\n"
        for query_id, hits in run.items()
        for rank, (doc_id, score) in enumerate(hits, 1)
    )


def read_run(path: str | os.PathLike[str]) -> dict[str, list[tuple[str, float]]]:
    """Read a TREC run: query_id, in the file's order, to (doc_id, score) pairs.

    Pairs are sorted by score, highest first, then by rank. The file may be gzipped; an empty one
    is a run without queries.

    Raises:
        BadRecordsError: lines without six columns, scores that are not finite, ranks that are not
            integers, repeated documents of one query; all of them together.
        InputError: the file does not exist or cannot be read.
        FileFormatError: the file is not text, or is truncated.
    """
    name = os.fspath(path)
    require_path(name)
    ranked: dict[str, dict[str, tuple[float, int]]] = {}
    with open_source(Source(name, "run", name.lower().endswith(".gz") or None)) as stream:
        take_records(read_lines(stream, name), lambda line: _take_line(line, ranked))
    runs: dict[str, list[tuple[str, float]]] = {}
    for query_id, found in ranked.items():
        hits = sorted(found.items(), key=lambda item: (-item[1][0], item[1][1]))
        runs[query_id] = [(doc_id, score) for doc_id, (score, _) in hits]
    return runs


def _check_hits(query_id: str, hits: Sequence[tuple[str, float]]) -> None:
    check_token("query id", query_id)
    for doc_id, score in hits:
        check_token("document id", doc_id)
        if not math.isfinite(score):
            raise InputError(f"The score of '{doc_id}' for query '{query_id}' is {score}.")
    for (above, higher), (below, lower) in pairwise(hits):
        if lower > higher:
            raise InputError(
                f"Query '{query_id}' has '{below}' ({lower}) ranked below '{above}' ({higher}); "
                "expected the highest score first."
            )
    if len({doc_id for doc_id, _ in hits}) < len(hits):
        raise InputError(f"Query '{query_id}' has the same document at two ranks.")


def _take_line(line: str, ranked: dict[str, dict[str, tuple[float, int]]]) -> str | None:
    """Add the entry of `line` to `ranked`, or return why it is unusable."""
    cells = line.split()
    if len(cells) != 6:
        return f"{len(cells)} columns; expected 'query_id Q0 doc_id rank score tag'"
    query_id, _, doc_id, rank, score, _ = cells
    try:
        # Python would also read `1_0`, and digits of other scripts.
        if "_" in (numbers := score + rank) or not numbers.isascii():
            raise ValueError
        entry = (float(score), int(rank))
    except ValueError:
        return f"rank '{rank}' and score '{score}' are not both numbers"
    if not math.isfinite(entry[0]):
        return f"score '{score}' is not finite"
    found = ranked.setdefault(query_id, {})
    if doc_id in found:
        return f"document '{doc_id}' is in query '{query_id}' twice"
    found[doc_id] = entry
    return None
