"""Runs in TREC's six columns: what a retriever answered, for any tool to judge."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise

from indexes.errors import BadRecord, InputError
from retriever.formats.faults import Faults
from retriever.formats.lines import read_lines
from retriever.formats.sources import Source, open_source, require_path
from retriever.formats.trec import check_token
from retriever.formats.writing import replacing


def write_run(
    path: str | os.PathLike[str], run: Mapping[str, Sequence[tuple[str, float]]], tag: str
) -> None:
    """Write `run`, query_id to (doc_id, score) pairs with the best first, as a TREC run.

    The columns are `query_id Q0 doc_id rank score tag`, ranks count from 1, and a score reads back
    as the very same number. A query without hits leaves no line. Gzipped if `path` ends in `.gz`.

    Raises:
        InputError: an id or the tag does not stay in its column (`check_token`), a document comes
            twice, scores are not finite or rise along the ranks (tools that judge runs go by
            score), or `path` cannot be written. Nothing is written then.
    """
    check_token("tag", tag)
    for query_id, hits in run.items():
        _check_hits(query_id, hits)
    with replacing(path) as file:
        for query_id, hits in run.items():
            for rank, (doc_id, score) in enumerate(hits, 1):
                # float() because NumPy's numbers print their type; of a float32 it is exact.
                file.write(f"{query_id} Q0 {doc_id} {rank} {float(score)!r} {tag}\n")


def read_run(path: str | os.PathLike[str]) -> dict[str, list[tuple[str, float]]]:
    """Read a TREC run: query_id, in the file's order, to (doc_id, score) pairs.

    Pairs are sorted by score, highest first, then by rank. Gzipped or not. An empty file is a run
    without queries.

    Raises:
        BadRecordsError: lines without six columns, scores that are not finite numbers, ranks that
            are not whole numbers, a document twice for one query; all of them together.
        InputError: no such file, or it cannot be read.
        FileFormatError: not text, or cut off.
    """
    name = os.fspath(path)
    require_path(name)
    ranked: dict[str, dict[str, tuple[float, int]]] = {}
    faults = Faults()
    with open_source(Source(name, "run", name.lower().endswith(".gz") or None)) as stream:
        for place, line in read_lines(stream, name):
            bad = line if isinstance(line, BadRecord) else _take_line(place, line, ranked)
            if bad:
                faults.add(bad)
    faults.raise_any()
    return {query_id: _best_first(found) for query_id, found in ranked.items()}


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


def _take_line(
    place: str, line: str, ranked: dict[str, dict[str, tuple[float, int]]]
) -> BadRecord | None:
    cells = line.split()
    if len(cells) != 6:
        reason = f"{len(cells)} columns; expected 'query_id Q0 doc_id rank score tag'"
        return BadRecord(place, reason)
    query_id, _, doc_id, rank, score, _ = cells
    try:
        entry = (float(score), int(rank))
    except ValueError:
        return BadRecord(place, f"rank '{rank}' and score '{score}' are not both numbers")
    if not math.isfinite(entry[0]):
        return BadRecord(place, f"score '{score}' is not finite")
    found = ranked.setdefault(query_id, {})
    if doc_id in found:
        return BadRecord(place, f"document '{doc_id}' is in query '{query_id}' twice")
    found[doc_id] = entry
    return None


def _best_first(found: Mapping[str, tuple[float, int]]) -> list[tuple[str, float]]:
    hits = sorted(found.items(), key=lambda item: (-item[1][0], item[1][1]))
    return [(doc_id, score) for doc_id, (score, _) in hits]
