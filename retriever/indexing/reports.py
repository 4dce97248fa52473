"""Reports of builds and of tuning: what was done, what it took, what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from indexes.catalog.records import EmbeddingRow, IndexRow, ShardRow
from indexes.errors import FailedText, FailedTextsError, RetrieverError, pluralize
from indexes.pipeline.embedding_job import EmbeddingResult
from indexes.store import Store
from indexes.vectors.shards import add_reports
from retriever.advice import shell_command
from retriever.embedders import TextReport

_TEXT_COUNTS = tuple(one.name for one in fields(TextReport))


@dataclass(frozen=True)
class BuildReport:
    """The result of a call of `build`: `embedded` passages now, `already` before, seconds now.

    A document that is not split is one passage. `embedding_seconds` include the fit. `text` reports
    on the entire corpus as the embedder saw it, `read` on the texts embedded now. `fitted_texts` is
    the number of passages that the embedder was fitted on; None if it was not, or elsewhere.
    `notes` are the embedder's own notes, if it had to be loaded (see `HasNotes`), and a warning if
    a structure misses many neighbors, or more than the recall asked allows.
    """

    name: str
    embedded: int = 0
    already: int = 0
    embedding_seconds: float = 0.0
    indexing_seconds: float = 0.0
    text: TextReport = field(default_factory=TextReport)
    fitted_texts: int | None = None
    read: TextReport = field(default_factory=TextReport)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TuneReport:
    """The result of a call of `tune`: the search parameters chosen, and what they reach and take.

    `asked` is the recall@10 asked and `reached` that of the sample, or of the queries given;
    `recall` is that at several k, with `search` parameters by FAISS's names. `latency` is the
    median processor time of a search alone in seconds, `throughput` the queries a second in
    batches on all threads, both without encoding. `indexing_seconds` and `size` (bytes) are those
    of the structure. `notes` say so if the recall is not reached.
    """

    name: str
    factory: str
    search: Mapping[str, float]
    asked: float
    reached: float
    recall: Mapping[int, float]
    queries: int
    latency: float
    throughput: float
    indexing_seconds: float
    size: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmbeddingTotals:
    """Sums over the shards of an embedding: seconds spent, and what was counted meanwhile."""

    seconds: float = 0.0
    counts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, shards: Sequence[ShardRow]) -> EmbeddingTotals:
        """Return the sums over some shards."""
        counts: dict[str, int] = {}
        for shard in shards:
            counts = add_reports(counts, shard.report)
        return cls(sum(shard.seconds for shard in shards), counts)

    def text_since(self, before: EmbeddingTotals) -> TextReport:
        """Return what the embedder reported on texts, less what it reported `before`."""
        new = {name: self.counts.get(name, 0) - before.counts.get(name, 0) for name in _TEXT_COUNTS}
        return TextReport(**new)


def build_report(
    store: Store,
    of: str,
    index: IndexRow,
    embedded: EmbeddingResult,
    before: EmbeddingTotals,
    notes: tuple[str, ...],
    *,
    rebuilt: bool,
    fitting: float = 0.0,
) -> BuildReport:
    """Report on a build over the vectors of the index `of`, of which there were `before`.

    `rebuilt` says whether the index was written; `fitting` are the seconds of a fit in this call.
    """
    embedding = store.embedding(of)
    totals = EmbeddingTotals.of(store.shards(embedding))
    there_before = store.count_passages() - embedded.count - embedded.failed_passages
    return BuildReport(
        name=index.name,
        embedded=embedded.count,
        already=max(0, there_before),
        embedding_seconds=fitting + totals.seconds - before.seconds,
        indexing_seconds=index.seconds if rebuilt else 0.0,
        text=totals.text_since(EmbeddingTotals()),
        fitted_texts=fitted_counts(embedding).get("texts"),
        read=totals.text_since(before),
        notes=notes,
    )


def fitted_counts(embedding: EmbeddingRow) -> Mapping[str, int]:
    """Return how many `documents` and `texts` an embedder was fitted on, if it was fitted here."""
    return dict(embedding.attributes.get("fitted", {}))


def raise_if_failed(
    store: Store,
    report: BuildReport,
    failed: Sequence[FailedText],
    *,
    half: bool = False,
    unbuilt: Exception | None = None,
    name: str = "",
) -> BuildReport:
    """Return the report of a build, or raise if texts failed in it.

    `half` says that the old vectors therefore stay in use. `unbuilt` is why the index or its part
    `name` could not be built either; all other work was done.
    """
    if not failed:
        return report
    done = pluralize(report.embedded, "passage was", "passages were")
    if half:
        done += ". The old vectors stay in use until all documents are embedded"
    advice = "Change or delete them, or run the same again"
    if report.name in [row.name for row in store.indexes()]:
        options = ["--refit"] if half else []
        advice += f": {shell_command('build', store.folder, report.name, *options)}"
    else:
        advice += "."
    if unbuilt is not None:
        advice += f"\nBesides, '{name or report.name}' could not be built: {_reason(unbuilt)}"
    raise FailedTextsError(failed, done, advice=advice, report=report) from unbuilt


def _reason(error: Exception) -> str:
    """Return the message of an error, after its type unless it is one of ours."""
    if isinstance(error, RetrieverError):
        return str(error)
    return ": ".join(filter(None, (type(error).__name__, str(error).strip())))
