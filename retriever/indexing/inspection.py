"""Information on a collection and its indexes, read off the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from indexes.catalog.filters.field_names import field_name
from indexes.catalog.records import (
    ASKED,
    AUTO,
    FITTING_MEMORY,
    FITTING_SECONDS,
    EmbeddingRow,
    IndexRow,
    kind_of,
)
from indexes.lexical.options import LexicalOptions
from indexes.progress import PEAK_MEMORY, RECALL, SEARCH_TIME
from indexes.store import Store
from indexes.vectors.remote.engine import ENGINE
from indexes.vectors.remote.index import FilterSupport
from indexes.vectors.shards import add_reports
from retriever.embedders.base import fingerprint_parts
from retriever.embedders.contextual.autoselect import RuntimeChoice
from retriever.embedders.registry import KINDS
from retriever.indexing.embedder_pool import embedder_spec, shown_spec
from retriever.indexing.fingerprints import QUERIES
from retriever.indexing.info import CollectionInfo, IndexInfo
from retriever.indexing.notes import lost_notes
from retriever.indexing.own_models import own_models
from retriever.indexing.reports import EmbeddingTotals, fitted_counts
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
# Fields that are named of those on which a server evaluates no filter.
SHOWN_FIELDS = 5
# In an embedding's attributes: its embedder takes images.
IMAGES = "images"


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
