"""What is known of a collection and its indexes: counts, sizes, times."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from indexes.catalog.kinds import kind_of
from indexes.catalog.records import EmbeddingRow, IndexRow
from indexes.progress import PEAK_MEMORY
from indexes.store import Store
from indexes.vectors.shards import add_reports
from retriever.embedders import TextReport
from retriever.formatting import many
from retriever.indexing.fingerprints import QUERIES, fingerprint_parts, shown_spec
from retriever.search.fusion import description
from retriever.splitting import splitter_of

# Options of embedders that change no vector.
UNSEEN = {"batch_size", "device", "trust_pickle"}
_TEXT_COUNTS = tuple(one.name for one in fields(TextReport))
# A corpus that has grown by more than this since something was fitted on it is another.
GROWN = 4 / 3


@dataclass(frozen=True)
class BuildReport:
    """What a call of `build` did: `embedded` passages now, `already` before, seconds spent now.

    A document that is not split is one passage. `text` reports on the whole corpus as the embedder
    saw it. `fitted_texts` are how many passages the embedder was fitted on; None where it was not,
    or elsewhere. `read` reports on the texts that were embedded now. `notes` are what the embedder
    has to say to who builds with it, where it had to be loaded; see `HasNotes`.
    """

    name: str
    embedded: int
    already: int
    embedding_seconds: float
    indexing_seconds: float
    text: TextReport
    fitted_texts: int | None = None
    read: TextReport = field(default_factory=TextReport)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexInfo:
    """What is known of an index.

    `kind` is `flat` (exact search), `ann`, `lexical` (BM25) or `combined`; `parts` are the indexes
    that a combination is made of. Only the first two have a model, vectors and their width; for
    the others `embedder` says what they are.

    `rows` passages can be found through it, `unfindable` ones have nothing to embed (an empty text,
    no known word); `missing` documents are not embedded yet. A document that is not split is one
    passage. Sizes in bytes, times in seconds.
    `max_length` is where the embedder cuts texts off, in tokens; None where it does not.
    `vectors_shared_with` names the indexes over the same vectors. `building_memory` is the most
    that the process held while it embedded or built the structure; None where it is not known.

    `embedding` is what its vectors are called: the first index over them. `queries_by` names the
    embedder of its queries where that is not the one of its vectors. `fitted_size` are the bytes of
    what the embedder was fitted to, `fitted_documents` and `fitted_texts` the documents and
    passages that it was fitted on, of the `documents` that there are now; None where it was not
    fitted here. `refitting` says that it is being fitted anew, or that this was interrupted. `case`
    says whether words are read as written or in lower case, where the embedder tells.
    """

    name: str
    kind: str
    factory: str
    effort: Mapping[str, float]
    embedder: str
    options: Mapping[str, Any]
    model: str
    dim: int
    dtype: str
    fingerprint: str
    rows: int
    missing: int
    unfindable: int
    vectors_size: int
    structure_size: int
    embedding_seconds: float
    indexing_seconds: float
    max_length: int | None
    text: TextReport
    vectors_shared_with: tuple[str, ...]
    building_memory: int | None = None
    parts: tuple[str, ...] = ()
    embedding: str = ""
    queries_by: str = ""
    documents: int = 0
    fitted_size: int = 0
    fitted_documents: int | None = None
    fitted_texts: int | None = None
    refitting: bool = False
    case: str = ""

    @property
    def description(self) -> str:
        """What encodes documents and queries, in words."""
        if not self.queries_by:
            return ", ".join([self.embedder, *self._choices()])
        return f"{self.embedding} vectors, queries by {self.queries_by}"

    def _choices(self) -> list[str]:
        """The options that decide what is found, where they are not the usual ones."""
        if not kind_of(self.kind).has_vectors:
            return []
        usual = {"weighting": "mean", "precision": "float32", "dim": self.dim}
        return [
            name if value is True else str(value) if name == "weighting" else f"{name} {value}"
            for name, value in self.options.items()
            if name not in UNSEEN and usual.get(name) != value
        ]


@dataclass(frozen=True)
class CollectionInfo:
    """What is known of a collection; `catalog_size` is in bytes and holds every text.

    `split` says how documents are cut into `passages`, empty where they are not; `fields` are the
    metadata fields that are indexed.
    """

    path: Path
    documents: int
    passages: int
    split: str
    fields: tuple[str, ...]
    catalog_size: int
    indexes: tuple[IndexInfo, ...]


def collection_info(store: Store) -> CollectionInfo:
    """Documents, indexes, sizes and times of a collection."""
    rows = store.indexes()
    return CollectionInfo(
        path=store.folder,
        documents=store.count(),
        passages=store.count_passages(),
        split=split_of(store),
        fields=tuple(".".join(path) for path in store.fields()),
        catalog_size=store.catalog_size(),
        indexes=tuple(index_info(store, row, rows) for row in rows),
    )


def split_of(store: Store) -> str:
    """How documents are cut into passages, for people; empty where they are not."""
    spec = store.split()
    return "" if spec is None else str(splitter_of(spec))


def index_notes(info: IndexInfo, folder: Path, *, split: bool) -> list[str]:
    """What a person should know before trusting an index: documents that it lacks or cut off.

    `split` says whether the collection cuts documents into passages.
    """
    notes = []
    if info.missing:
        notes.append(missing_note(folder, info.name, info.missing))
    if info.unfindable:
        noun = "passage" if split else "document"
        empty = many(info.unfindable, f"{noun} has", f"{noun}s have")
        notes.append(f"'{info.name}': {empty} nothing that {info.model} can embed.")
    if info.text.truncated:
        # Texts, not documents: some may have been removed or changed since they were embedded.
        texts = many(info.text.texts, "text", "texts")
        cut = many(info.text.truncated, "was", "were")
        notes.append(
            f"'{info.name}': of {texts} embedded so far, {cut} cut off at {info.max_length} tokens."
        )
    return [*notes, *fitting_notes(info, folder)]


def fitting_notes(info: IndexInfo, folder: Path) -> Iterator[str]:
    """Says that an embedder was fitted on much less than there is now, or is being fitted anew."""
    refit = f"retriever build {shlex.quote(str(folder))} {info.name} --refit"
    if info.refitting:
        yield f"'{info.name}' is being fitted anew, or this was interrupted; go on with: {refit}"
    elif info.fitted_documents and info.documents > GROWN * info.fitted_documents:
        yield (
            f"'{info.name}' was fitted on {info.fitted_documents:,} of now "
            f"{info.documents:,} documents; refit with: {refit}"
        )


def missing_note(folder: Path, index: str, missing: int) -> str:
    """Says that an index has not embedded so many documents yet, and how to change that."""
    what = many(missing, f"document in {folder}/ is", f"documents in {folder}/ are")
    return (
        f"{what} not in index '{index}' yet. "
        f"Run: retriever build {shlex.quote(str(folder))} {index}"
    )


def with_parts(name: str, infos: Mapping[str, IndexInfo]) -> Iterator[IndexInfo]:
    """An index, and before it all that it is made of: what to build, in order."""
    for part in infos[name].parts:
        yield from with_parts(part, infos)
    yield infos[name]


def text_report(store: Store, embedding: EmbeddingRow) -> TextReport:
    """What an embedder made of all texts that it has embedded in a collection."""
    counts = _counts(store, embedding)
    return TextReport(**{name: counts.get(name, 0) for name in _TEXT_COUNTS})


def read_since(before: TextReport, now: TextReport) -> TextReport:
    """What was added to a report."""
    return TextReport(**{name: getattr(now, name) - getattr(before, name) for name in _TEXT_COUNTS})


def _counts(store: Store, embedding: EmbeddingRow) -> dict[str, int]:
    counts: dict[str, int] = {}
    for shard in store.shards(embedding):
        counts = add_reports(counts, shard.report)
    return counts


def fitted_texts(embedding: EmbeddingRow) -> int | None:
    """How many passages an embedder was fitted on; None where it was not, or elsewhere."""
    return _fitted(embedding).get("texts")


def _fitted(embedding: EmbeddingRow) -> Mapping[str, int]:
    found: Mapping[str, int] = embedding.attributes.get("fitted", {})
    return found


def embedding_seconds(store: Store, embedding: EmbeddingRow) -> float:
    """Seconds that an embedder has spent on a collection."""
    return sum(shard.seconds for shard in store.shards(embedding))


def _without_vectors(store: Store, index: IndexRow) -> IndexInfo:
    """What is known of BM25, or of a combination."""
    words = kind_of(index.kind).is_lexical
    what = f"BM25, {index.definition['language']}" if words else description(index.definition)
    missing_passages, missing = store.unread(index) if words else (0, _missing_of(store, index))
    return IndexInfo(
        name=index.name,
        kind=index.kind,
        factory="",
        effort={},
        embedder=what,
        options=dict(index.definition),
        model=what,
        dim=0,
        dtype="",
        fingerprint="",
        rows=store.count_passages() - missing_passages if words else 0,
        missing=missing,
        unfindable=0,
        vectors_size=0,
        structure_size=index.digest.size,
        embedding_seconds=0.0,
        indexing_seconds=index.seconds,
        max_length=None,
        text=TextReport(),
        vectors_shared_with=(),
        building_memory=index.report.get(PEAK_MEMORY) or None,
        parts=tuple(index.parts),
    )


def _missing_of(store: Store, index: IndexRow) -> int:
    """How many documents the part of a combination lacks that lacks most."""
    rows = [store.index(part) for part in index.parts]
    return max((index_info(store, row, ()).missing for row in rows), default=0)


def index_info(store: Store, index: IndexRow, others: Sequence[IndexRow]) -> IndexInfo:
    """What is known of one of the indexes, from the catalog alone: damaged files hide nothing."""
    if index.embedding is None:
        return _without_vectors(store, index)
    embedding = store.embedding(index.name)
    spec = shown_spec(embedding.embedder)
    counts = store.counts(embedding)
    return IndexInfo(
        name=index.name,
        kind=index.kind,
        factory=index.definition.get("factory", "Flat"),
        effort=store.effort(index, 10),
        embedder=str(spec),
        options=spec.options,
        model=embedding.model,
        dim=embedding.dim,
        dtype=embedding.dtype,
        fingerprint=embedding.fingerprint,
        rows=counts.rows,
        missing=counts.missing_documents,
        unfindable=store.count_passages() - counts.missing_passages - counts.rows,
        vectors_size=sum(shard.digest.size for shard in store.shards(embedding)),
        structure_size=index.digest.size,
        embedding_seconds=embedding_seconds(store, embedding),
        indexing_seconds=index.seconds,
        max_length=fingerprint_parts(embedding.fingerprint).get("max_length"),
        text=text_report(store, embedding),
        vectors_shared_with=tuple(
            other.name
            for other in others
            if other.embedding == index.embedding and other.name != index.name
        ),
        building_memory=add_reports(index.report, _counts(store, embedding)).get(PEAK_MEMORY)
        or None,
        embedding=embedding.name,
        queries_by=index.definition.get(QUERIES, {}).get("name", ""),
        documents=store.count(),
        fitted_size=embedding.fitted.digest.size,
        fitted_documents=_fitted(embedding).get("documents"),
        fitted_texts=fitted_texts(embedding),
        refitting=store.is_refitting(embedding),
        case=embedding.attributes.get("case", ""),
    )
