"""A collection as LlamaIndex's retriever and vector store.

nodes = CollectionRetriever(library, index="hybrid", k=4).retrieve("why does my cat hum?")
index = VectorStoreIndex(nodes, storage_context=StorageContext.from_defaults(
    vector_store=CollectionVectorStore(library)))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from indexes.catalog.filters.field_names import as_name
from indexes.document import Document
from indexes.errors import InputError
from retriever.collection import Collection
from retriever.integrations.extras import extra
from retriever.integrations.stores import delete_all, delete_known, replace_documents
from retriever.search.results import Hit, Hits
from retriever.search.where import Where

with extra("llamaindex"):
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.schema import BaseNode, MetadataMode, NodeWithScore, QueryBundle, TextNode
    from llama_index.core.vector_stores.types import (
        BasePydanticVectorStore,
        FilterCondition,
        FilterOperator,
        MetadataFilter,
        MetadataFilters,
        VectorStoreQuery,
        VectorStoreQueryMode,
        VectorStoreQueryResult,
    )
    from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

# The name of the index that a vector store makes.
INDEX = "llamaindex"
# How many nodes are returned where nothing is said, as by LlamaIndex's own retrievers.
K = 2
# Metadata in which a node is kept: its id, for filters, and all but its text.
NODE_ID = "_node_id"
NODE = "_node_content"

_COMPARISONS = {
    FilterOperator.EQ: "=",
    FilterOperator.GT: ">",
    FilterOperator.LT: "<",
    FilterOperator.GTE: ">=",
    FilterOperator.LTE: "<=",
    FilterOperator.IN: "in",
    # A list matches if one of its elements does.
    FilterOperator.CONTAINS: "=",
    FilterOperator.ANY: "in",
}


class CollectionRetriever(BaseRetriever):
    """Search an index of a collection; a hit becomes a node with the document's id and metadata."""

    def __init__(
        self,
        collection: Collection,
        *,
        index: str | None = None,
        k: int = K,
        where: Where | None = None,
        **options: Any,
    ) -> None:
        self._collection = collection
        self._options: dict[str, Any] = {"index": index, "k": k, "where": where}
        super().__init__(**options)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _scored(self._collection.search(query_bundle.query_str, **self._options))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _scored(await self._collection.asearch(query_bundle.query_str, **self._options))


def _scored(hits: Iterable[Hit]) -> list[NodeWithScore]:
    return [NodeWithScore(node=node_of(hit), score=hit.score) for hit in hits]


def node_of(found: Hit | Document) -> BaseNode:
    """Return the node that a document was made from, or else one with its id, text and metadata."""
    if NODE in found.metadata:
        return metadata_dict_to_node(dict(found.metadata), text=found.text)
    titled = {"title": found.title} if found.title else {}
    return TextNode(id_=found.doc_id, text=found.text, metadata={**titled, **found.metadata})


class CollectionVectorStore(BasePydanticVectorStore):
    """Keep nodes as documents, and their vectors in one index of a collection.

    A node that comes again replaces the one of its id, with its vector. Texts are found by their
    vectors (`DEFAULT`), with maximal marginal relevance (`MMR`), or through `text_index` by the
    text of the query (`TEXT_SEARCH`, `HYBRID`): an index of the collection that is brought up to
    date with the nodes, of BM25 if there is none of that name.
    """

    stores_text: bool = True
    index: str = INDEX
    text_index: str | None = None
    _collection: Collection = PrivateAttr()

    def __init__(self, collection: Collection, **fields: Any) -> None:
        super().__init__(**fields)
        self._collection = collection

    @property
    def client(self) -> Collection:
        """The collection."""
        return self._collection

    def add(self, nodes: Sequence[BaseNode], **_: Any) -> list[str]:
        """Add or replace nodes that have an embedding; return their ids.

        Raises:
            ValueError: a node has no embedding.
            InputError, MismatchError: as `stores.replace_documents`; nothing was written.
        """
        vectors = {node.node_id: node.get_embedding() for node in nodes}
        if nodes:
            documents = list(map(_document, nodes))
            replace_documents(self._collection, documents, self.index, vectors, self.text_index)
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **_: Any) -> None:
        """Delete the nodes of a document of LlamaIndex's."""
        self._collection.delete(where={"ref_doc_id": ref_doc_id})

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **_: Any,
    ) -> None:
        """Delete nodes by their ids, by a filter, or by both; without either, none."""
        if node_ids is not None and filters is None:
            delete_known(self._collection, node_ids)
        elif (where := _where(filters, node_ids=node_ids)) is not None:
            self._collection.delete(where=where)

    def clear(self) -> None:
        """Delete all nodes."""
        delete_all(self._collection)

    def get_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None
    ) -> list[BaseNode]:
        """Return nodes by their ids or by a filter, or all, in the order in which they came."""
        where = _where(filters, node_ids=node_ids)
        return list(map(node_of, self._collection.documents(where=where)))

    def query(self, query: VectorStoreQuery, **_: Any) -> VectorStoreQueryResult:
        """Return the nodes nearest to a vector, or those found by the words of a text.

        Raises:
            InputError: the mode or an operator of a filter is not supported, or a mode for texts
                has no `text_index`.
        """
        hits = self._search(query)
        return VectorStoreQueryResult(
            nodes=list(map(node_of, hits)),
            similarities=[hit.score for hit in hits],
            ids=[hit.doc_id for hit in hits],
        )

    def _search(self, query: VectorStoreQuery) -> Hits:
        # LlamaIndex means no restriction by an empty list.
        ids = {"node_ids": query.node_ids or None, "doc_ids": query.doc_ids or None}
        where = _where(query.filters, **ids)
        k, mode = query.similarity_top_k, query.mode
        if mode in (VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.HYBRID):
            if self.text_index is None:
                raise InputError(
                    f"The mode '{_name(mode)}' searches by words: name an index that does, as "
                    "text_index."
                )
            if self.text_index not in self._collection.index_names():
                return Hits()  # nothing was added yet
            return self._collection.search(query.query_str, index=self.text_index, k=k, where=where)
        if mode not in (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.MMR):
            raise InputError(
                f"The mode '{_name(mode)}' is not supported; expected default, mmr, text_search "
                "or hybrid."
            )
        if self.index not in self._collection.index_names():
            return Hits()  # nothing was added yet
        threshold = 0.5 if query.mmr_threshold is None else query.mmr_threshold
        return self._collection.search(
            vector=query.query_embedding,
            index=self.index,
            k=k,
            where=where,
            mmr=threshold if mode == VectorStoreQueryMode.MMR else None,
        )


def _name(mode: VectorStoreQueryMode | str) -> str:
    return mode.value if isinstance(mode, VectorStoreQueryMode) else str(mode)


def _document(node: BaseNode) -> Document:
    metadata = node_to_metadata_dict(node, remove_text=True)
    text = node.get_content(metadata_mode=MetadataMode.NONE)
    return Document(node.node_id, text, metadata={**metadata, NODE_ID: node.node_id})


def _where(
    filters: MetadataFilters | None,
    *,
    node_ids: Sequence[str] | None = None,
    doc_ids: Sequence[str] | None = None,
) -> dict[str, Any] | None:
    """Return a filter of LlamaIndex's and restrictions to ids as `where`; None for no condition."""
    conditions: list[dict[str, Any]] = []
    if filters is not None and filters.filters:
        conditions.append(_group(filters))
    if node_ids is not None:
        conditions.append({NODE_ID: {"in": list(node_ids)}})
    if doc_ids is not None:
        conditions.append({"ref_doc_id": {"in": list(doc_ids)}})
    return {"and": conditions} if conditions else None


def _group(filters: MetadataFilters) -> dict[str, Any]:
    parts = [
        _group(one) if isinstance(one, MetadataFilters) else _condition(one)
        for one in filters.filters
    ]
    match filters.condition:
        case FilterCondition.OR:
            return {"or": parts}
        case FilterCondition.NOT:  # none of them holds
            return {"not": {"or": parts}}
    return {"and": parts}


def _condition(one: MetadataFilter) -> dict[str, Any]:
    name, value = as_name(one.key), one.value
    match one.operator:
        case FilterOperator.NE:  # also where the field is missing, as LlamaIndex has it
            return {"not": {name: {"=": value}}}
        case FilterOperator.NIN:
            return {"not": {name: {"in": value}}}
        case FilterOperator.ALL:
            values: Sequence[Any] = value if isinstance(value, list) else [value]
            return {"and": [{name: {"=": each}} for each in values]}
    if one.operator in _COMPARISONS:
        return {name: {_COMPARISONS[one.operator]: value}}
    known = ", ".join(operator.value for operator in _COMPARISONS)
    raise InputError(
        f"The filter on '{one.key}': '{one.operator.value}' is not supported; expected one of: "
        f"{known}, !=, nin, all."
    )
