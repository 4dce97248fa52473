"""A collection as LangChain's retriever and vector store.

retriever = CollectionRetriever(collection=library, index="hybrid", k=4)
store = CollectionVectorStore(library, OpenAIEmbeddings(model="..."))
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from indexes.document import Document as OurDocument
from indexes.errors import InputError
from indexes.neighbors import COSINE
from retriever.collection import Collection
from retriever.embedders.base import Matrix, fingerprint_of
from retriever.integrations.extras import extra
from retriever.integrations.stores import delete_all, delete_known
from retriever.search.results import Hit, Hits
from retriever.search.where import Where

with extra("langchain"):
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.vectorstores import VectorStore
    from pydantic import ConfigDict

# The name of the index that a vector store makes.
INDEX = "langchain"
# How many documents are returned where nothing is said, as by LangChain's own stores.
K = 4
# What a search may be given other than its filter.
OPTIONS = ("all_words", "phrase", "mmr")
# Attributes of embeddings that name their model.
MODEL_NAMES = ("model", "model_name", "model_id", "deployment", "repo_id")


def document_of(found: Hit | OurDocument) -> Document:
    """Return a hit or a document as LangChain's, its title in the metadata if it has one."""
    titled = {"title": found.title} if found.title else {}
    return Document(id=found.doc_id, page_content=found.text, metadata={**titled, **found.metadata})


class CollectionRetriever(BaseRetriever):
    """Search an index of a collection; `k`, `where` and `index` can also be given to `invoke`.

    A document that is split is found by its best passage, which is the text of the result.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    collection: Collection
    index: str | None = None
    k: int = K
    where: Any = None

    def _get_relevant_documents(self, query: str, **options: Any) -> list[Document]:
        return list(map(document_of, self.collection.search(query, **self._options(options))))

    async def _aget_relevant_documents(self, query: str, **options: Any) -> list[Document]:
        return list(
            map(document_of, await self.collection.asearch(query, **self._options(options)))
        )

    def _options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a search, those of the call before those of the retriever."""
        own = {"index": self.index, "k": self.k, "where": self.where}
        return {**own, **given}


class EmbeddingsEmbedder:
    """LangChain's embeddings as an embedder; the fingerprint has their class and model's name."""

    def __init__(self, embeddings: Embeddings) -> None:
        self.embeddings = embeddings
        named = (getattr(embeddings, name, None) for name in MODEL_NAMES)
        model = next((one for one in named if isinstance(one, str) and one), "")
        self.name = model or type(embeddings).__name__
        kind = f"{type(embeddings).__module__}.{type(embeddings).__qualname__}"
        self.fingerprint = fingerprint_of(kind="langchain", embeddings=kind, model=model)

    @cached_property
    def dim(self) -> int:
        """Dimension of the vectors, found out from one."""
        return len(self.embeddings.embed_query("dimension"))

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of documents, (len(texts), dim)."""
        return self._matrix(self.embeddings.embed_documents(list(texts)) if texts else [])

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of queries, (len(texts), dim)."""
        return self._matrix([self.embeddings.embed_query(text) for text in texts])

    def _matrix(self, rows: Sequence[Sequence[float]]) -> Matrix:
        return np.asarray(rows, np.float32).reshape(len(rows), -1 if len(rows) else self.dim)


class CollectionVectorStore(VectorStore):
    """Add, delete and search documents in one index of a collection.

    With `embedding`, the index is built with LangChain's embeddings when the first documents come;
    without, it is an existing one, with its own model, BM25 or a fusion. Filters are those of
    `Collection.search`. Metadata must be what JSON can hold.

    Raises:
        MismatchError: the index holds vectors of other embeddings.
    """

    def __init__(
        self, collection: Collection, embedding: Embeddings | None = None, *, index: str = INDEX
    ) -> None:
        self.collection, self.index = collection, index
        self._embedder = None if embedding is None else EmbeddingsEmbedder(embedding)
        if self._embedder is not None and self._is_built():
            collection.use(index, self._embedder)

    @property
    def embeddings(self) -> Embeddings | None:
        """LangChain's embeddings, if it has been made with some."""
        return self._embedder.embeddings if self._embedder else None

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **_: Any,
    ) -> list[str]:
        """Add or update documents and bring the index up to date; return their ids.

        An id that is missing or None is made up.

        Raises:
            InputError: ids or metadata are not as many as the texts, or JSON cannot hold the
                metadata.
            BadRecordsError: an id occurs twice.
        """
        texts = list(texts)
        metadatas = metadatas or [{} for _ in texts]
        names = [one or str(uuid.uuid4()) for one in ids or [None] * len(texts)]
        if not len(texts) == len(metadatas) == len(names):
            raise InputError(
                f"{len(texts)} texts came with {len(metadatas)} metadata and {len(names)} ids; "
                "expected one of each for every text."
            )
        if texts:
            self.collection.add(
                OurDocument(name, text, metadata=metadata)
                for name, text, metadata in zip(names, texts, metadatas, strict=True)
            )
            self._build()
        return names

    def _build(self) -> None:
        new = None if self._is_built() else self._embedder
        try:
            self.collection.build(self.index, new)
        except InputError:
            if new is None or not self._is_built():
                raise
            # Another thread has made the index meanwhile.
            self.collection.build(self.index)

    def _is_built(self) -> bool:
        return self.index in self.collection.index_names()

    def _is_new(self) -> bool:
        """Return whether nothing was added yet that the embeddings could find."""
        return self._embedder is not None and not self._is_built()

    def delete(self, ids: list[str] | None = None, **_: Any) -> bool:
        """Delete the documents with these ids, or all; ids that no document has are left out."""
        if ids is None:
            delete_all(self.collection)
        else:
            delete_known(self.collection, ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; those that no document has are left out."""
        return list(map(document_of, self.collection.documents_of(list(ids))))

    def similarity_search(
        self, query: str, k: int = K, *, filter: Where | None = None, **options: Any
    ) -> list[Document]:
        """Return the `k` nearest documents to a text; `filter` as `where` of a search."""
        return list(map(document_of, self._search(query, k, filter, options)))

    def similarity_search_with_score(
        self, query: str, k: int = K, *, filter: Where | None = None, **options: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents with their scores, of which higher ones are better."""
        return [(document_of(hit), hit.score) for hit in self._search(query, k, filter, options)]

    def similarity_search_by_vector(
        self, embedding: list[float], k: int = K, *, filter: Where | None = None, **options: Any
    ) -> list[Document]:
        """Return the `k` nearest documents to a vector of the embeddings."""
        return list(map(document_of, self._search(embedding, k, filter, options)))

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = K,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Where | None = None,
        **options: Any,
    ) -> list[Document]:
        """Return documents unlike each other (see `search.diversity`), of at least `5 k` nearest.

        `fetch_k` is taken for what other stores need: here, their number follows from `k`.
        """
        return list(map(document_of, self._search(query, k, filter, options, mmr=lambda_mult)))

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = K,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Where | None = None,
        **options: Any,
    ) -> list[Document]:
        """Return the same for a vector of the embeddings."""
        return list(map(document_of, self._search(embedding, k, filter, options, mmr=lambda_mult)))

    async def amax_marginal_relevance_search_by_vector(
        self, embedding: list[float], *given: Any, **options: Any
    ) -> list[Document]:
        """Return the same, without blocking the event loop."""
        found = partial(self.max_marginal_relevance_search_by_vector, embedding, *given, **options)
        return await asyncio.to_thread(found)

    def _search(
        self,
        query: str | list[float],
        k: int,
        where: Where | None,
        given: Mapping[str, Any],
        **own: Any,
    ) -> Hits:
        """Return the hits of a search by a text or a vector, with the options that were given."""
        if unknown := next((one for one in given if one not in OPTIONS or one in own), None):
            advice = "; expected 'filter'" if unknown == "where" else ""
            raise InputError(f"This search takes no option '{unknown}'{advice}.")
        if self._is_new():
            return Hits()
        options: dict[str, Any] = {"index": self.index, "k": k, "where": where, **given, **own}
        if isinstance(query, str):
            return self.collection.search(query, **options)
        return self.collection.search(vector=query, **options)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Return what maps a cosine to a relevance from 0 to 1.

        Raises:
            InputError: scores of the index are no cosines.
        """
        if self._is_new():
            return float
        info = self.collection.index_info(self.index)
        if not info.dim or info.similarity != COSINE:
            raise InputError(
                f"Scores of '{self.index}' are no cosines, and have no relevance from 0 to 1: "
                "use similarity_search_with_score."
            )
        return lambda score: (1 + score) / 2

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | os.PathLike[str] = "",
        index: str = INDEX,
        **_: Any,
    ) -> CollectionVectorStore:
        """Open or create the collection in the folder `path`, and add texts; see `add_texts`.

        Raises:
            InputError: no `path` was given.
        """
        if not os.fspath(path):
            raise InputError("Say where the collection is: give path='FOLDER'.")
        store = cls(Collection.open_or_create(path), embedding, index=index)
        store.add_texts(texts, metadatas, ids=ids)
        return store
