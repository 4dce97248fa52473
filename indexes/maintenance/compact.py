"""Rows of deleted passages dropped from the files, and their space returned to the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from indexes.pipeline.bm25_builder import Bm25Builder
from indexes.pipeline.builder import Builder
from indexes.pipeline.session import WriteSession
from indexes.progress import Progress, ignore_progress


@dataclass(frozen=True)
class CompactReport:
    """Result of a `compact`: vectors of deleted passages dropped, and bytes freed.

    `exact` names the indexes without a structure from now on: too few vectors are left to build it.
    """

    rows: int
    freed: int
    exact: tuple[str, ...] = ()


def compact(
    writer: WriteSession, sweep: Callable[[], object], size: Callable[[], int], progress: Progress
) -> CompactReport:
    """Drop what deleted and edited documents left behind, and return the space to the disk.

    Passages of earlier texts stay as long as they answer.

    Embeds nothing; readers continue. An ANN structure with deleted rows is rebuilt, and so is one
    that is merely out of date. `sweep` removes files that are no longer named, `size` counts the
    collection's bytes.
    """
    before = size()
    embeddings = writer.registry.embeddings()
    rows, exact = 0, list[str]()
    for done, embedding in enumerate(embeddings, start=1):
        gone, without_structure = Builder(writer).compact(embedding)
        rows, exact = rows + gone, exact + without_structure
        progress(done, len(embeddings) + 1)
    Bm25Builder(writer).compact(ignore_progress)
    # No BM25 index holds a deleted key any more, and no embedding one that does not answer.
    answering = {row.number: writer.stale(row.number).keys for row in embeddings}
    if len(writer.corpus.tombstones()):
        with writer.catalog.writing():
            writer.corpus.stale.keep_only(answering)
    sweep()
    writer.catalog.vacuum()
    progress(len(embeddings) + 1, len(embeddings) + 1)
    return CompactReport(rows, max(0, before - size()), tuple(exact))
