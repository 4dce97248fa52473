"""What is told of a build: its report, or that texts failed in it, with the report beside."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from indexes.catalog.records import EmbeddingRow, IndexRow
from indexes.errors import FailedText, FailedTextsError, RetrieverError, counted
from indexes.pipeline.embedding_job import EmbeddingResult
from indexes.store import Store
from retriever.embedders import TextReport
from retriever.indexing.info import (
    BuildReport,
    embedding_seconds,
    fitted_texts,
    read_since,
    text_report,
)


@dataclass(frozen=True)
class Before:
    """An index before a build, what had been embedded for it, and how long that had taken."""

    index: IndexRow | None
    seconds: float = 0.0
    text: TextReport = field(default_factory=TextReport)

    @classmethod
    def of(cls, store: Store, index: IndexRow | None, embedding: EmbeddingRow | None) -> Before:
        """What there is now; without an embedding, nothing has been embedded."""
        if embedding is None:
            return cls(index)
        return cls(index, embedding_seconds(store, embedding), text_report(store, embedding))


def build_report(
    store: Store,
    of: str,
    index: IndexRow,
    embedded: EmbeddingResult,
    before: Before,
    notes: tuple[str, ...],
) -> BuildReport:
    """The report of a build over the vectors of the index `of`; `notes` are the embedder's."""
    embedding = store.embedding(of)
    text = text_report(store, embedding)
    there_before = store.count_passages() - embedded.count - embedded.failed_passages
    return BuildReport(
        name=index.name,
        embedded=embedded.count,
        already=max(0, there_before),
        embedding_seconds=embedding_seconds(store, embedding) - before.seconds,
        indexing_seconds=0.0 if index == before.index else index.seconds,
        text=text,
        fitted_texts=fitted_texts(embedding),
        read=read_since(before.text, text),
        notes=notes,
    )


def raise_if_failed(
    store: Store,
    report: BuildReport,
    failed: Sequence[FailedText],
    *,
    half: bool = False,
    unbuilt: Exception | None = None,
    name: str = "",
) -> BuildReport:
    """The report of a build, unless some texts failed in it; `half`: so the old vectors stay.

    `unbuilt` is why, besides, the index or its part `name` could not be built.

    Raises:
        FailedTextsError: they did; all else was done, but for what is `unbuilt`.
    """
    if not failed:
        return report
    again = f"retriever build {shlex.quote(str(store.folder))} {report.name}"
    were = "was" if report.embedded == 1 else "were"
    done = f"{counted(report.embedded, 'passage')} {were}"
    if half:
        again += " --refit"
        done += ". What was there before answers until all are"
    there = report.name in [row.name for row in store.indexes()]
    advice = "Change or delete them, or run the same again" + (f": {again}" if there else ".")
    if unbuilt is not None:
        advice += f"\nBesides, '{name or report.name}' could not be built: {_said(unbuilt)}"
    raise FailedTextsError(failed, done, advice=advice, report=report) from unbuilt


def _said(error: Exception) -> str:
    """What an error says, after its kind where it is not one of ours."""
    if isinstance(error, RetrieverError):
        return str(error)
    return ": ".join(filter(None, (type(error).__name__, str(error).strip())))
