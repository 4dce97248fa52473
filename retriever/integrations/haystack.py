"""A collection as Haystack's document store and retrievers.

store = CollectionDocumentStore("library", text_index="bm25")
pipeline.add_component("words", CollectionRetriever(store))
pipeline.add_component("vectors", CollectionEmbeddingRetriever(store))
"""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from functools import partial
from typing import Any

from indexes.catalog.filters.field_names import quote
from indexes.document import Document as OurDocument
from indexes.errors import InputError
from retriever.collection import Collection
from retriever.integrations.extras import extra
from retriever.integrations.stores import delete_all, delete_known, replace_documents
from retriever.search.results import Hit
from retriever.search.where_parser import filter_of

with extra("haystack"):
    from haystack import Document, component, default_from_dict, default_to_dict
    from haystack.document_stores.errors import DuplicateDocumentError
    from haystack.document_stores.types import DuplicatePolicy
    from haystack.errors import FilterError

# The name of the index that holds the embeddings of documents.
INDEX = "haystack"
K = 10


class CollectionDocumentStore:
    """Keep Haystack's documents in a collection, and their embeddings in its index `index`.

    `collection` is a collection, or the folder of one, which is made if there is none. `text_index`
    is an index of texts, such as a fusion or one of BM25, that is brought up to date whenever
    documents are written; one of BM25 is made if there is none of that name. Embeddings are found
    by, but not returned. A filter is one on `meta`; dates are compared as text, so they must be in
    one form of ISO 8601.
    """

    def __init__(
        self,
        collection: Collection | str | os.PathLike[str],
        index: str = INDEX,
        text_index: str | None = None,
    ) -> None:
        if not isinstance(collection, Collection):
            collection = Collection.open_or_create(collection)
        self.collection: Collection = collection
        self.index, self.text_index = index, text_index

    def to_dict(self) -> dict[str, Any]:
        """Return the folder and the names of the indexes, from which it is opened again."""
        names = {"index": self.index, "text_index": self.text_index}
        made: dict[str, Any] = default_to_dict(self, collection=str(self.collection.path), **names)
        return made

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CollectionDocumentStore:
        """Open the collection that `to_dict` names."""
        made: CollectionDocumentStore = default_from_dict(cls, data)
        return made

    def count_documents(self) -> int:
        """Return the number of documents."""
        return len(self.collection)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the documents that match a filter, or all, in the order in which they came.

        Raises:
            FilterError: the filter is malformed, or is on more than `meta`.
        """
        return list(map(document_of, self.collection.documents(where=where_of(filters))))

    def write_documents(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Write documents and bring the indexes up to date; return how many were written.

        `NONE` is `FAIL`.

        Raises:
            ValueError: it is no list of documents.
            DuplicateDocumentError: one exists or is given twice, and the policy is to fail.
            InputError, MismatchError: one holds a blob, or metadata that JSON cannot hold, or as
                `stores.replace_documents`.

        Nothing was written then.
        """
        if not isinstance(documents, list) or any(not isinstance(d, Document) for d in documents):
            raise ValueError("write_documents expects a list of Haystack's documents.")
        names = [one.id for one in documents]
        known = set(names) - set(self.collection.unknown_ids(names))
        written = dict[str, Document]()
        for one in documents:
            is_new = one.id not in known and one.id not in written
            if is_new or policy == DuplicatePolicy.OVERWRITE:
                written[one.id] = one
            elif policy != DuplicatePolicy.SKIP:
                where = f"in {self.collection.path}/ already" if one.id in known else "given twice"
                raise DuplicateDocumentError(
                    f"Document '{one.id}' is {where}. Write it with the policy SKIP or OVERWRITE."
                )
        if written:
            embeddings = {
                name: one.embedding for name, one in written.items() if one.embedding is not None
            }
            ours = list(map(_ours, written.values()))
            replace_documents(self.collection, ours, self.index, embeddings, self.text_index)
        return len(written)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents by their ids; unknown ones are left out."""
        delete_known(self.collection, document_ids)

    def delete_all_documents(self) -> None:
        """Delete all documents."""
        delete_all(self.collection)

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Delete the documents that match a filter; return their number."""
        return self.collection.delete(where=where_of(filters))

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set metadata of the documents that match a filter; return their number."""
        found = list(self.collection.documents(where=where_of(filters)))
        self.collection.add(
            OurDocument(one.doc_id, one.text, one.title, {**one.metadata, **meta}, one.image)
            for one in found
        )
        return len(found)

    def search(self, query: str | list[float], filters: Any, k: int) -> list[Document]:
        """Return the `k` documents nearest to a text, by `text_index`, or to an embedding."""
        where = where_of(filters)
        if isinstance(query, str):
            if self.text_index is not None and not len(self.collection):
                return []  # no document was written yet
            hits = self.collection.search(query, index=self.text_index, k=k, where=where)
            return list(map(document_of, hits))
        if self.index not in self.collection.index_names():
            return []  # no document with an embedding was written yet
        hits = self.collection.search(vector=query, index=self.index, k=k, where=where)
        return list(map(document_of, hits))


class _Retriever:
    """What the two retrievers share: their settings, in memory and as a dictionary."""

    def __init__(
        self,
        document_store: CollectionDocumentStore,
        filters: dict[str, Any] | None = None,
        top_k: int = K,
    ) -> None:
        self.document_store, self.filters, self.top_k = document_store, filters, top_k

    def to_dict(self) -> dict[str, Any]:
        """Return the settings; see `CollectionDocumentStore.to_dict`."""
        made: dict[str, Any] = default_to_dict(
            self, document_store=self.document_store, filters=self.filters, top_k=self.top_k
        )
        return made

    def _found(
        self, query: str | list[float], filters: dict[str, Any] | None, top_k: int | None
    ) -> dict[str, list[Document]]:
        filters = self.filters if filters is None else filters
        k = self.top_k if top_k is None else top_k
        return {"documents": self.document_store.search(query, filters, k)}


@component
class CollectionRetriever(_Retriever):
    """Find documents by a text, through the store's `text_index`."""

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the nearest documents, best first, with their scores."""
        return self._found(query, filters, top_k)

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, list[Document]]:
        """Return the same, without blocking the event loop."""
        return await asyncio.to_thread(partial(self._found, query, filters, top_k))


@component
class CollectionEmbeddingRetriever(_Retriever):
    """Find documents by the embedding of a query, among those that were written with one."""

    @component.output_types(documents=list[Document])
    def run(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return the nearest documents, best first, with their scores."""
        return self._found(query_embedding, filters, top_k)

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query_embedding: list[float],
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
    ) -> dict[str, list[Document]]:
        """Return the same, without blocking the event loop."""
        return await asyncio.to_thread(partial(self._found, query_embedding, filters, top_k))


def document_of(found: Hit | OurDocument) -> Document:
    """Return a hit or a document as Haystack's, its title in `meta` if it has one."""
    titled = {"title": found.title} if found.title else {}
    score = found.score if isinstance(found, Hit) else None
    meta = {**titled, **found.metadata}
    return Document(id=found.doc_id, content=found.text or None, meta=meta, score=score)


def _ours(document: Document) -> OurDocument:
    if document.blob is not None:
        raise InputError(
            f"Document '{document.id}' holds a blob; expected text. Convert it first, or add it to "
            "the collection as a file."
        )
    return OurDocument(document.id, document.content or "", metadata=document.meta)


def where_of(filters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a filter of Haystack's as `where`; None for an empty one.

    Raises:
        FilterError: it is malformed, or is on more than `meta`.
    """
    if not filters:
        return None
    where = _part(filters)
    try:
        filter_of(where)
    except InputError as error:
        raise FilterError(str(error)) from None
    return where


def _part(filters: Any) -> dict[str, Any]:
    if not isinstance(filters, dict):
        raise FilterError(f"The filter {filters!r}: expected a dictionary.")
    return _condition(filters) if "field" in filters else _group(filters)


def _group(filters: dict[str, Any]) -> dict[str, Any]:
    operator, conditions = filters.get("operator"), filters.get("conditions")
    if operator not in ("AND", "OR", "NOT") or not isinstance(conditions, list):
        raise FilterError(
            f"The filter {filters}: expected 'operator' (AND, OR or NOT) and a list of 'conditions'"
            ", or 'field', 'operator' and 'value'."
        )
    parts = list(map(_part, conditions))
    return {"not": {"and": parts}} if operator == "NOT" else {operator.lower(): parts}


def _condition(condition: dict[str, Any]) -> dict[str, Any]:
    if "operator" not in condition or "value" not in condition:
        raise FilterError(f"The filter {condition}: expected 'field', 'operator' and 'value'.")
    field, operator, value = condition["field"], condition["operator"], condition["value"]
    if not isinstance(field, str):
        raise FilterError(f"The filter {condition}: expected text as 'field'.")
    if field in ("id", "content", "blob", "score", "embedding"):
        raise FilterError(f"The filter on '{field}': expected a field of 'meta'.")
    name = ".".join(map(quote, field.removeprefix("meta.").split(".")))
    is_missing = [{"not": {name: {"exists": True}}}, {name: {"=": None}}]
    match operator:
        case "==":
            return {"or": is_missing} if value is None else {name: {"=": value}}
        case "!=":
            return {"not": {"or": is_missing} if value is None else {name: {"=": value}}}
        case "in" | "not in" if isinstance(value, list):
            one_of = {name: {"in": value}}
            return one_of if operator == "in" else {"not": one_of}
        case ">" | ">=" | "<" | "<=" if value is None:
            return {name: {"in": []}}  # never
        case ">" | ">=" | "<" | "<=" if not isinstance(value, str) or _is_date(value):
            return {name: {operator: value}}
    raise FilterError(
        f"The filter on '{field}': '{operator}' {value!r}; expected == or !=, 'in' or 'not in' with"
        " a list, or an ordering with a number or a date of ISO 8601."
    )


def _is_date(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
