"""The `info` table of a collection, with one index per column, and that of a tuned index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.table import Table
from rich.text import Text

from indexes.errors import pluralize, shown
from retriever.formatting import first_names, format_bytes, percentage
from retriever.indexing.info import CollectionInfo, IndexInfo
from retriever.indexing.reports import TuneReport
from retriever.indexing.runtimes import KIND as SENTENCE_MODELS

INDEXES_A_TABLE = 5


def info_table(info: CollectionInfo) -> Iterator[Table | Text]:
    """Yield the lines and tables that describe a collection, with one index per column."""
    documents = pluralize(info.documents, "document")
    yield Text(f"{shown(info.path)}/: {documents}, catalog {format_bytes(info.catalog_size)}")
    if info.images:
        copied = f" ({format_bytes(info.images_size)} copied)" if info.images_size else ""
        yield Text(f"images: {info.images:,}{copied}")
    if info.split:
        yield Text(f"{pluralize(info.passages, 'passage')}: {info.split}")
    if info.fields:
        yield Text(f"indexed fields: {', '.join(info.fields)}")
    for start in range(0, len(info.indexes), INDEXES_A_TABLE):
        yield _info_table(info.indexes[start : start + INDEXES_A_TABLE])
    if not info.indexes:
        yield Text("no index yet", style="dim")


def tune_table(report: TuneReport) -> Iterator[Table | Text]:
    """Yield what was chosen for an index, and a table of what it reaches and takes."""
    chosen = ", ".join(f"{name} {value:g}" for name, value in report.search.items()) or "nothing"
    yield Text(f"{report.name}: {report.factory}, searched with {chosen}")
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right")
    table.add_row("recall@10 asked / reached", f"{report.asked:g} / {report.reached:.3f}")
    for k, recall in report.recall.items():
        table.add_row(f"recall@{k}", f"{recall:.3f}")
    table.add_row("queries", f"{report.queries:,}")
    table.add_row("a search alone, processor time", _milliseconds(report.latency))
    table.add_row("searches a second, in batches", f"{report.throughput:,.0f}")
    table.add_row("indexing took", f"{report.indexing_seconds:.2f} s")
    table.add_row("index file on disk", format_bytes(report.size))
    yield table


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.3f} ms"


def _info_table(indexes: Sequence[IndexInfo]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for index in indexes:
        table.add_column(Text(index.name), justify="right", overflow="fold")
    for label, draw in INFO_LINES:
        table.add_row(label, *[Text(draw(index)) for index in indexes])
    for label, draw in SOME_INFO_LINES:
        values = [draw(index) for index in indexes]
        if any(values):
            table.add_row(label, *[Text(value or "-") for value in values])
    return table


def _fitted(index: IndexInfo) -> str:
    if not index.fitted_size:
        return ""
    texts = index.fitted_texts
    return "elsewhere" if texts is None else pluralize(texts, "passage")


def _effort(index: IndexInfo) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in index.effort.items()) or "-"


def _truncated(index: IndexInfo) -> str:
    length = f" at {index.max_length}" if index.max_length else ""
    return f"{index.text.truncated:,}{length}"


def _shared(names: Sequence[str]) -> str:
    # Hundreds of indexes over the same vectors would each list all others.
    return first_names(names) if names else "-"


def _runtimes(index: IndexInfo) -> tuple[str, str]:
    """Return how documents and queries are computed; empty for embedders with one runtime."""
    if choice := index.runtime:
        return str(choice.documents), str(choice.queries)
    is_chosen = index.embedder.partition(":")[0] == SENTENCE_MODELS
    return ("not measured here", "not measured here") if is_chosen else ("", "")


INFO_LINES: Sequence[tuple[str, Callable[[IndexInfo], str]]] = (
    ("embedder", lambda index: index.description),
    ("structure", lambda index: index.factory or "-"),
    ("effort at k=10", _effort),
    ("width", lambda index: f"{index.dim} {index.dtype}" if index.dim else "-"),
    ("passages found", lambda index: "-" if index.parts else f"{index.rows:,}"),
    ("documents not embedded yet", lambda index: f"{index.missing:,}"),
    ("nothing to embed", lambda index: f"{index.unfindable:,}"),
    ("cut off, at tokens", _truncated),
    ("words known", lambda index: percentage(index.text.coverage)),
    ("vectors on disk", lambda index: format_bytes(index.vectors_size)),
    ("index file on disk", lambda index: format_bytes(index.structure_size)),
    ("embedding took", lambda index: f"{index.embedding_seconds:.1f} s"),
    ("indexing took", lambda index: f"{index.indexing_seconds:.2f} s"),
    ("vectors shared with", lambda index: _shared(index.vectors_shared_with)),
)
# Shown only if some index has a value.
SOME_INFO_LINES: Sequence[tuple[str, Callable[[IndexInfo], str]]] = (
    ("server of its structure", lambda index: index.engine),
    ("filters", lambda index: index.filters),
    ("edited, found by earlier text", lambda index: f"{index.stale:,}" if index.stale else ""),
    ("fitted on", _fitted),
    ("fitted parameters, on disk", lambda i: format_bytes(i.fitted_size) if i.fitted_size else ""),
    ("case", lambda index: index.case),
    ("chosen on the corpus", lambda index: index.chosen),
    (
        "vocabulary out of reach",
        lambda i: "" if i.unreachable is None else f"{100 * i.unreachable:.2f} %",
    ),
    ("documents computed in", lambda index: _runtimes(index)[0]),
    ("queries computed in", lambda index: _runtimes(index)[1]),
    ("recall@10 when built or tuned", lambda i: "" if i.recall is None else f"{i.recall:.3f}"),
    ("recall@10 asked", lambda i: "" if i.recall_asked is None else f"{i.recall_asked:g}"),
    ("a search took, processor time", lambda i: _milliseconds(i.search_seconds)),
    ("searched exactly, added later", lambda i: f"{i.tail:,}" if i.tail else ""),
)
