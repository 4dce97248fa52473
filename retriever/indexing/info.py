"""Information on a collection and its indexes: counts, sizes and times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexes.catalog.field_names import field_name
from indexes.catalog.records import (
    ASKED,
    AUTO,
    FITTING_MEMORY,
    FITTING_SECONDS,
    IMPORTED,
    SIMILARITY,
    EmbeddingRow,
    IndexRow,
    kind_of,
)
from indexes.errors import pluralize, shown
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import COSINE
from indexes.progress import PEAK_MEMORY, RECALL, SEARCH_TIME
from indexes.store import Store
from indexes.vectors.remote.engine import ENGINE
from indexes.vectors.remote.index import FilterSupport
from indexes.vectors.shards import add_reports
from retriever.advice import shell_command
from retriever.embedders import TextReport
from retriever.embedders.base import fingerprint_parts
from retriever.embedders.contextual.autoselect import RuntimeChoice
from retriever.embedders.registry import KINDS
from retriever.indexing.builds import EmbeddingTotals, fitted_counts
from retriever.indexing.embedder_pool import embedder_spec, shown_spec
from retriever.indexing.fingerprints import QUERIES
from retriever.indexing.own_models import OwnModel, own_models
from retriever.indexing.reranker_pool import RERANKER
from retriever.indexing.runtimes import runtime_choice
from retriever.splitting import splitter_of

# How the rankings of a fusion are combined.
RRF, MINMAX, CONVEX = "rrf", "minmax", "convex"
# Keys of the definition of an escalation: that it is one, and when a query is escalated.
ESCALATE, MARGIN = "escalate", "margin"
# The attribute of embedders and embeddings with the share of words out of reach.
UNREACHABLE = "unreachable"
CHOSEN = "chosen"
# Options of embedders that change no vector.
UNSEEN = {"batch_size", "device", "trust_pickle"}
# A refit is advised when the corpus has grown by more than this since the embedder was fitted.
GROWN = 4 / 3
# Under this recall@10, an index's structure is not what a user expects of a search.
LOW_RECALL = 0.9
# Recall is kept in thousandths.
HALF_PER_MILLE = 0.0005
# Embedder kinds that count as contextual, under the family's name.
CONTEXTUAL = "contextual"
CONTEXTUAL_KINDS = {"elmo": CONTEXTUAL}
# Learned sparse vectors are of a transformer, too, at least those of documents.
CONTEXTUAL_FAMILIES = (CONTEXTUAL, "sparse")
# Fields that are named of those on which a server evaluates no filter.
SHOWN_FIELDS = 5
# In an embedding's attributes: its embedder takes images.
IMAGES = "images"


@dataclass(frozen=True)
class IndexInfo:
    """Kind, model, size, coverage and costs of one index.

    `kind` is `flat` (exact search), `ann`, `lexical` (BM25) or `combined`; `parts` are the indexes
    of a combination. Only `flat` and `ann` have vectors, of one width, made by a model; for the
    others `embedder` describes the index.

    `rows` passages can be found through it; `unfindable` ones have nothing to embed (an empty text,
    no known word); `missing` documents are not embedded yet, of which `stale` ones were edited and
    answer by their earlier text. A document that is not split is one passage. Sizes are in bytes,
    times in seconds; `embedding_seconds` has those of `fitting_seconds` too: the fit, and the
    choice of options. `max_length` is where the embedder truncates texts, in tokens; None if it
    does not. `vectors_shared_with` names the indexes over the same vectors. `building_memory` is
    how much more memory the process took at most while it fitted, embedded or built the structure,
    models that it held before left out; None if unknown.

    `embedding` is the name of its vectors: the first index over them. `queries_by` names the
    embedder of its queries if that is not the one of its vectors. `fitted_size` is the size of the
    embedder's fitted parameters; `fitted_documents` and `fitted_texts` count the documents and
    passages that it was fitted on, of the present `documents`; None if it was not fitted here.
    `refitting` says that a refit is under way or was interrupted. `case` says whether words are
    read as written or in lower case, if the embedder reports it. `unreachable` is the share of
    a static vocabulary's words that no text can have as one word. `chosen` are the options that
    were chosen on the corpus, if any. `similarity` is how queries are
    compared with the vectors: `cosine`, `dot` or `euclidean`.

    Of `rows` and `unfindable`, an index of texts alone leaves out all images; `only_images` are the
    documents that it therefore has nothing of.

    `own_models` are those of its documents and queries that were made from the collection, by
    `distill` or `train`: embedding does not count their making.

    `runtime` is how its model is computed on this machine; None if it was not measured here, or is
    no sentence model.

    `recall` is the share of the 10 nearest of sample queries that a structure finds, measured when
    it was built or tuned; None without one. `recall_asked` is the one that its search parameters
    were chosen for, None if they were not; a search then took `search_seconds` of processor time.
    `automatic` says that the structure is chosen by the number of vectors; `engine` is the server
    that holds it, if one does, and `filters` says what becomes of filters. `tail` of its `rows`
    came later and are searched exactly.
    """

    name: str
    kind: str
    factory: str = ""
    effort: Mapping[str, float] = field(default_factory=dict)
    embedder: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    dim: int = 0
    dtype: str = ""
    fingerprint: str = ""
    rows: int = 0
    missing: int = 0
    stale: int = 0
    unfindable: int = 0
    vectors_size: int = 0
    structure_size: int = 0
    fitting_seconds: float = 0.0
    embedding_seconds: float = 0.0
    indexing_seconds: float = 0.0
    max_length: int | None = None
    text: TextReport = field(default_factory=TextReport)
    vectors_shared_with: tuple[str, ...] = ()
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
    chosen: str = ""
    unreachable: float | None = None
    similarity: str = ""
    recall: float | None = None
    recall_asked: float | None = None
    search_seconds: float | None = None
    automatic: bool = False
    engine: str = ""
    filters: str = ""
    tail: int = 0
    only_images: int = 0
    own_models: tuple[OwnModel, ...] = ()
    runtime: RuntimeChoice | None = None

    @property
    def description(self) -> str:
        """The embedder of documents and queries, for display."""
        if not self.queries_by:
            return ", ".join([self.embedder, *self._shown_options()])
        return f"{self.embedding} vectors, queries by {self.queries_by}"

    @property
    def family(self) -> str:
        """`static`, `contextual`, `hashing` and so on; of an index without vectors, its kind."""
        if not kind_of(self.kind).has_vectors:
            return self.kind
        kind = self.embedder.partition(":")[0]
        return CONTEXTUAL_KINDS.get(kind, kind)

    def _shown_options(self) -> list[str]:
        """Return the options that affect results and are not at their defaults."""
        if not kind_of(self.kind).has_vectors:
            return []
        defaults = {"weighting": "mean", "precision": "float32", "dim": self.dim}
        shown = [
            name if value is True else str(value) if name == "weighting" else f"{name} {value}"
            for name, value in self.options.items()
            if name not in UNSEEN | {SIMILARITY} and defaults.get(name) != value
        ]
        # Declared by the model or chosen; the cosine goes without saying unless it was chosen.
        if self.similarity != COSINE or self.options.get(SIMILARITY) == COSINE:
            shown.append(f"similarity {self.similarity}")
        return shown


@dataclass(frozen=True)
class CollectionInfo:
    """Counts and sizes of a collection; `catalog_size` is in bytes and includes every text.

    `images` documents have an image; `images_size` are the bytes of those that were copied.
    `split` describes how documents are cut into `passages`; empty if they are not. `fields` are the
    indexed metadata fields. `notes` say what is wrong with its state.
    """

    path: Path
    documents: int
    passages: int
    split: str
    fields: tuple[str, ...]
    catalog_size: int
    indexes: tuple[IndexInfo, ...]
    images: int = 0
    images_size: int = 0
    notes: tuple[str, ...] = ()


def collection_info(store: Store) -> CollectionInfo:
    """Return the documents, indexes, sizes and times of a collection."""
    rows, split = store.indexes(), store.split()
    images, images_size = store.count_images()
    return CollectionInfo(
        path=store.folder,
        documents=store.count(),
        passages=store.count_passages(),
        split="" if split is None else str(splitter_of(split)),
        fields=tuple(map(field_name, store.fields())),
        catalog_size=store.catalog_size(),
        indexes=tuple(index_info(store, row, rows) for row in rows),
        images=images,
        images_size=images_size,
        notes=lost_notes(store),
    )


def index_notes(info: IndexInfo, folder: Path, *, split: bool) -> list[str]:
    """Return warnings on an index; `split` says whether documents are split into passages."""
    notes = []
    if info.missing:
        imported = info.embedder.startswith(f"{IMPORTED}:")
        note = missing_note(folder, info.name, info.missing, info.stale, imported=imported)
        notes.append(note)
    if info.unfindable:
        noun = "passage" if split else "document"
        empty = pluralize(info.unfindable, f"{noun} has", f"{noun}s have")
        notes.append(f"'{info.name}': {empty} nothing that {info.model} can embed.")
    if info.only_images:
        which = pluralize(info.only_images, "document that has", "documents that have")
        notes.append(f"'{info.name}' is of texts: it has nothing of {which} an image and no text.")
    if info.text.truncated:
        # Texts, not documents: some may have been removed or changed since they were embedded.
        texts = pluralize(info.text.texts, "text")
        cut = pluralize(info.text.truncated, "was", "were")
        notes.append(
            f"'{info.name}': of {texts} embedded so far, {cut} cut off at {info.max_length} tokens."
        )
    return [*notes, *fitting_notes(info, folder)]


def fitting_notes(info: IndexInfo, folder: Path) -> Iterator[str]:
    """Yield a note if a refit is unfinished, or if the corpus has grown much since the fit."""
    refit = shell_command("build", folder, info.name, "--refit")
    if info.refitting:
        yield f"'{info.name}' is being refitted, or this was interrupted; resume with: {refit}"
    elif info.fitted_documents and info.documents > GROWN * info.fitted_documents:
        yield (
            f"'{info.name}' was fitted on {info.fitted_documents:,} of now "
            f"{info.documents:,} documents; refit with: {refit}"
        )


def recall_notes(
    folder: Path, index: str, factory: str, recall: float | None, asked: float | None = None
) -> Iterator[str]:
    """Yield a note if the structure of an index misses many neighbors, or more than was asked."""
    if recall is not None and asked is not None and recall < asked - HALF_PER_MILLE:
        exact = shell_command("build", folder, f"{index}-exact", "--vectors", index)
        auto = shell_command("build", folder, f"{index}-auto", "--vectors", index)
        yield (
            f"'{index}' finds {100 * recall:.1f} % of the 10 nearest of sample queries, not "
            f"{100 * asked:g} %: no search parameters of {factory} find more. Ask for less "
            f"({shell_command('tune', folder, index)} --recall {recall:.2f}), build the structure "
            f"that suits this recall ({auto} --ann auto --recall {asked:g}), or search exactly: "
            f"{exact} --ann exact"
        )
    elif recall is not None and recall < LOW_RECALL and asked is None:
        exact = shell_command("build", folder, f"{index}-exact", "--vectors", index)
        yield (
            f"'{index}' finds {100 * recall:.0f} % of the 10 nearest of sample queries: {factory} "
            "does not suit these vectors. Exact search over the same vectors finds all: "
            f"{exact} --ann exact (or choose another structure with --ann, such as HNSW32)"
        )


def lost_notes(store: Store) -> tuple[str, ...]:
    """Return a note if a collection answers as of an earlier commit, as a copy without its log."""
    if not store.has_lost_commits:
        return ()
    return (
        f"{shown(store.folder)}/ answers from an earlier state: later commits were made, and its "
        f"catalog lacks them. Run: {shell_command('verify', store.folder)}",
    )


def missing_note(
    folder: Path, index: str, missing: int, stale: int = 0, *, imported: bool = False
) -> str:
    """Return the note that `missing` documents are not in an index yet, with the command to run.

    Of these, `stale` ones were edited and answer by their earlier text. Of an index of `imported`
    vectors, somebody has to give theirs.
    """
    new, parts, place = missing - stale, [], shown(folder)
    if new:
        what = pluralize(new, f"document in {place}/ is", f"documents in {place}/ are")
        parts.append(f"{what} not in index '{index}' yet")
    if stale and new:
        what = pluralize(stale, "edited one answers by its", "edited ones answer by their")
        parts.append(f"{what} earlier text")
    elif stale:
        one = f"edited document in {place}/ answers by its"
        what = pluralize(stale, one, f"edited documents in {place}/ answer by their")
        parts.append(f"{what} earlier text in index '{index}'")
    given = ["--from-vectors", "FILE"] if imported else []
    return f"{'; '.join(parts)}. Run: {shell_command('build', folder, index, *given)}"


def with_parts(name: str, infos: Mapping[str, IndexInfo]) -> Iterator[IndexInfo]:
    """Yield the parts of an index, recursively, and then itself: the order to build them in."""
    for part in infos[name].parts:
        yield from with_parts(part, infos)
    yield infos[name]


def index_info(store: Store, index: IndexRow, others: Sequence[IndexRow]) -> IndexInfo:
    """Return information on an index from the catalog alone, so that damaged files hide nothing."""
    if index.embedding is None:
        return _without_vectors(store, index)
    embedding = store.embedding(index.name)
    spec = shown_spec(embedding.embedder)
    counts, shards = store.counts(embedding), store.shards(embedding)
    totals, fitted = EmbeddingTotals.of(shards), fitted_counts(embedding)
    fitting = embedding.attributes.get(FITTING_SECONDS, 0.0)
    peak = {PEAK_MEMORY: embedding.attributes.get(FITTING_MEMORY, 0)}
    images = 0 if embedding.attributes.get(IMAGES) else counts.images
    sharing = [row.name for row in others if row.embedding == index.embedding]
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
        stale=counts.stale_documents,
        unfindable=store.count_passages() - counts.missing_passages - counts.rows - images,
        vectors_size=sum(shard.digest.size for shard in shards),
        structure_size=index.digest.size,
        fitting_seconds=fitting,
        embedding_seconds=fitting + totals.seconds,
        indexing_seconds=index.seconds,
        max_length=fingerprint_parts(embedding.fingerprint).get("max_length"),
        text=totals.text_since(EmbeddingTotals()),
        vectors_shared_with=tuple(name for name in sharing if name != index.name),
        building_memory=add_reports(peak, add_reports(index.report, totals.counts))[PEAK_MEMORY]
        or None,
        embedding=embedding.name,
        queries_by=index.definition.get(QUERIES, {}).get("name", ""),
        documents=store.count(),
        fitted_size=embedding.fitted.digest.size,
        fitted_documents=fitted.get("documents"),
        fitted_texts=fitted.get("texts"),
        refitting=store.is_refitting(embedding),
        case=embedding.attributes.get("case", ""),
        chosen=embedding.attributes.get(CHOSEN, ""),
        unreachable=embedding.attributes.get(UNREACHABLE),
        similarity=embedding.similarity,
        recall=recall_of(index),
        recall_asked=asked_of(index),
        search_seconds=index.report[SEARCH_TIME] / 1e9 if SEARCH_TIME in index.report else None,
        automatic=bool(index.definition.get(AUTO)),
        engine=str(index.definition.get(ENGINE, "")),
        filters=_filters(store.remote_filters(index)),
        tail=store.tail(index),
        only_images=counts.only_images if images else 0,
        own_models=own_models(store.folder, _embedders(index, embedding)),
        runtime=_runtime(store, index, embedding),
    )


def _filters(support: FilterSupport | None) -> str:
    """Return what becomes of filters, of an index on a server; empty for others."""
    if support is None:
        return ""
    if not support.is_current:
        return "sent as keys until it is built again"
    fields = support.left_out
    shown = ", ".join(fields[:SHOWN_FIELDS]) + (", ..." if len(fields) > SHOWN_FIELDS else "")
    return f"evaluated by its server{f', not on: {shown}' if fields else ''}"


def _embedders(index: IndexRow, embedding: EmbeddingRow) -> list[Mapping[str, Any]]:
    """Return the records of the embedders of an index's documents and queries."""
    return [embedding.embedder, index.definition.get(QUERIES, {}).get("embedder", {})]


def _runtime(store: Store, index: IndexRow, embedding: EmbeddingRow) -> RuntimeChoice | None:
    kept = embedding.embedder
    is_known = kept["kind"] in KINDS
    return runtime_choice(embedder_spec(index.name, kept, store.folder)) if is_known else None


def recall_of(index: IndexRow) -> float | None:
    """Return the recall@10 of an index's structure when it was built; None if there is none."""
    return index.report[RECALL] / 1000 if RECALL in index.report else None


def asked_of(index: IndexRow) -> float | None:
    """Return the recall@10 that is asked of an index's structure; None if there is none."""
    asked = index.definition.get(ASKED) if kind_of(index.kind).has_structure else None
    return None if asked is None else float(asked)


def _without_vectors(store: Store, index: IndexRow) -> IndexInfo:
    """Return information on a BM25 index, or on a combination."""
    rows = stale = only_images = 0
    if kind_of(index.kind).is_lexical:
        shown = f"BM25, {LexicalOptions.of(index.definition)}"
        counts = store.unread(index)
        rows, missing, stale = counts.rows, counts.missing_documents, counts.stale_documents
        only_images = counts.only_images
    else:
        shown = _combination(index.definition)
        parts = [index_info(store, store.index(part), ()) for part in index.parts]
        missing = max((part.missing for part in parts), default=0)
        stale = max((part.stale for part in parts), default=0)
    return IndexInfo(
        name=index.name,
        kind=index.kind,
        embedder=shown,
        options=dict(index.definition),
        model=shown,
        fingerprint=index.definition.get(RERANKER, {}).get("fingerprint", ""),
        rows=rows,
        missing=missing,
        stale=stale,
        structure_size=index.digest.size,
        indexing_seconds=index.seconds,
        building_memory=index.report.get(PEAK_MEMORY) or None,
        parts=tuple(index.parts),
        only_images=only_images,
    )


def cascade_info(name: str, first: IndexInfo, definition: Mapping[str, Any]) -> IndexInfo:
    """Return information on a cascade over an index that is in no catalog."""
    shown = _combination({**definition, "parts": [first.name]})
    return IndexInfo(
        name=name,
        kind="combined",
        embedder=shown,
        options=definition,
        model=shown,
        fingerprint=definition[RERANKER]["fingerprint"],
        rows=first.rows,
        missing=first.missing,
        stale=first.stale,
        parts=(first.name,),
        only_images=first.only_images,
    )


def _combination(definition: Mapping[str, Any]) -> str:
    """Return `bm25 + minilm, reciprocal rank`, or how a cascade or an escalation works."""
    parts = definition["parts"]
    if RERANKER in definition:
        model = shown_spec(definition[RERANKER])
        return f"{parts[0]}, then {model} ranks its best {definition['depth']}"
    if "cascade" in definition:
        return f"{parts[0]}, then {parts[1]} ranks its best {definition['depth']}"
    if ESCALATE in definition:
        ahead = f"{definition[MARGIN]:g} ahead"
        return f"{parts[0]}, or {parts[1]} where the best of that is less than {ahead}"
    how = {RRF: "reciprocal rank", MINMAX: "min-max", CONVEX: "exact scores"}[definition["fuse"]]
    weights = ", ".join(f"{weight:g}" for weight in definition["weights"])
    shown = "" if len(set(definition["weights"])) == 1 else f", weights {weights}"
    return f"{' + '.join(parts)}, {how}{shown}"
