"""The methods of a collection that search it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from numpy.typing import ArrayLike

from indexes.catalog.records import kind_of
from indexes.errors import (
    MOST_NAMED,
    InputError,
    MismatchError,
    check_text,
    first_of,
    unknown_names,
)
from indexes.images import Image, ImageSource
from indexes.lexical.options import LexicalOptions
from retriever.advice import shell_command
from retriever.asynchronous import awaitable
from retriever.documents import Documents
from retriever.exchange.searching import VectorSearchMethods
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.fingerprints import QUERIES
from retriever.indexing.inspection import ESCALATE, IMAGES
from retriever.indexing.reranker_pool import RERANKER, RerankerPool
from retriever.search.combinations.escalation import EscalatedFinder, escalates
from retriever.search.combinations.hybrid import combined_finder
from retriever.search.combinations.reranking import RerankingFinder
from retriever.search.finders import DenseFinder, Finder, LexicalFinder
from retriever.search.frames import DataFrame, queries_of
from retriever.search.given import GivenFinder, GivenQueries
from retriever.search.like import NO_IDS, Like
from retriever.search.options import PLAIN, SearchOptions, search_options
from retriever.search.queries import AnyQuery, Query, QueryVector, validate_queries
from retriever.search.results import Hits
from retriever.search.retriever import KeptRetrievers, Retriever, kept_at
from retriever.search.where import Where

Answer = TypeVar("Answer")
NOTHING_GIVEN: Mapping[str, GivenQueries] = {}


class Searching(Documents, VectorSearchMethods):
    """The part of `Collection` that answers queries."""

    _models: EmbedderPool
    _rerankers: RerankerPool
    _retrievers: KeptRetrievers

    def search(
        self,
        text: str | None = None,
        *,
        image: ImageSource | None = None,
        like: Iterable[str] | None = NO_IDS,
        unlike: Iterable[str] | None = NO_IDS,
        vector: ArrayLike | None = None,
        index: str | None = None,
        k: int = 10,
        where: Where | None = None,
        mmr: float | None = None,
        all_words: bool = False,
        phrase: bool = False,
    ) -> Hits:
        """Return the `k` documents nearest to a query: a text, image, vector, or other documents.

        `image` is a path, bytes or an image of Pillow, for an index of a model that encodes images.
        In a fusion, parts that encode only text find nothing for it, and a note says so. `vector`
        is a row of numbers, of the model whose vectors the index holds; see `search_vectors`.

        `like` are ids of documents that the hits should be like, and `unlike` of some that they
        should not; see `like_queries`. These documents are not among the hits.

        `index` is optional if there is only one, or one fusion, which then answers.

        `where` is a filter on metadata, such as `{"source": "faq", "year": {">=": 2020}}` or
        `"source = faq and year >= 2020"`: the `k` nearest of the documents that match it are
        returned.

        `mmr`, from 0 to 1, has hits that are unlike each other, the more so the lower it is; see
        `diverse`. With `all_words`, BM25 finds only passages with all words of the text, and with
        `phrase` only those with the words next to each other, in order.

        Raises:
            InputError: an empty query, not exactly one of a text, an image, a vector and documents,
                an image that cannot be decoded or an index that encodes only text, a `k` below 1,
                an invalid filter, `mmr` without vectors, `all_words` or `phrase` without BM25, or
                several indexes, none named, and not exactly one of them a fusion.
            UnknownNameError: no such index or document.
            MismatchError: the model is no longer the one that made the vectors.
            DamageError: a file of the index is not what the catalog says.
        """
        options = search_options(mmr, all_words=all_words, phrase=phrase)
        # Not for their defaults: this is on the path of every search.
        given = like is not NO_IDS or unlike is not NO_IDS
        if given and (asked := Like.of(like, unlike)):
            if text is not None or image is not None or vector is not None:
                raise InputError(
                    "Give either documents to be like, or a text, an image or a vector."
                )
            return self._search_like(asked, index, k, where, options)
        query, retrievers = self._asked(text, image, vector)
        hits = self._search_known(retrievers, query, index, k, where, options)
        if hits is not None:
            return hits
        if isinstance(query, QueryVector):
            retriever = self.vector_retriever(index)
            return retriever.search(query, k, where=where, options=options)
        return self._search_latest([query], index, k, where, options)[0]

    def search_if_unchanged(
        self,
        text: str | None = None,
        *,
        vector: ArrayLike | None = None,
        index: str | None = None,
        k: int = 10,
    ) -> Hits | None:
        """Return what `search` returns, or None where there is anything to open or load first.

        That is so until the index was searched, and again when the collection has changed since;
        and always of an escalation, of which some queries take much longer than others.
        """
        query, retrievers = self._asked(text, None, vector)
        known = self._known(retrievers, index)
        if known is not None and escalates(known[1].finder):
            return None
        return self._search_known(retrievers, query, index, k, None, PLAIN)

    def _asked(
        self, text: str | None, image: ImageSource | None, vector: ArrayLike | None
    ) -> tuple[AnyQuery, KeptRetrievers]:
        """Return a query, and the retrievers of its kind that are kept."""
        if vector is not None and text is None and image is None:
            return QueryVector.of(vector), self._vector_retrievers
        if text is not None and image is None and vector is None:
            return text, self._retrievers
        if image is None or text is not None or vector is not None:
            raise InputError("Give a text, an image or a vector to search by, and only one.")
        return Image.of(image), self._retrievers

    def _search_known(
        self,
        retrievers: KeptRetrievers,
        query: AnyQuery,
        index: str | None,
        k: int,
        where: Where | None,
        options: SearchOptions,
    ) -> Hits | None:
        """Return the hits if the retriever is known and the collection is as it was then."""
        known = self._known(retrievers, index)
        if known is None or options is not PLAIN:
            return None
        return known[1].search_at(known[0], query, k, where)

    def _known(self, retrievers: KeptRetrievers, index: str | None) -> tuple[int, Retriever] | None:
        """Return a retriever that is kept, with the generation that it was loaded at."""
        if index is not None:
            check_text("The name of an index", index)
        return retrievers.get(index)

    def _search_like(
        self, like: Like, index: str | None, k: int, where: Where | None, options: SearchOptions
    ) -> Hits:
        if unknown := self.unknown_ids(like.doc_ids):
            raise self._unknown(unknown_names, unknown)
        return self.with_retriever(
            index, lambda retriever: retriever.search_like(like, k, where=where, options=options)
        )

    @overload
    def search_many(
        self,
        texts: Sequence[Query],
        *,
        index: str | None = None,
        k: int = 10,
        where: Where | None = None,
        mmr: float | None = None,
        all_words: bool = False,
        phrase: bool = False,
    ) -> list[Hits]: ...
    @overload
    def search_many(
        self,
        texts: Mapping[Any, Query] | DataFrame,
        *,
        index: str | None = None,
        k: int = 10,
        where: Where | None = None,
        mmr: float | None = None,
        all_words: bool = False,
        phrase: bool = False,
    ) -> dict[str, Hits]: ...
    def search_many(
        self,
        texts: Sequence[Query] | Mapping[Any, Query] | DataFrame,
        *,
        index: str | None = None,
        k: int = 10,
        where: Where | None = None,
        mmr: float | None = None,
        all_words: bool = False,
        phrase: bool = False,
    ) -> list[Hits] | dict[str, Hits]:
        """Return the `k` documents nearest to each query; options and errors as in `search`.

        A query is a text, or an image as an `Image`, such as `Image.of("photo.jpg")`. Queries may
        be a mapping from ids, or a DataFrame with a column of ids and one of texts (see
        `queries_of`): then the hits are by id.
        """
        options = search_options(mmr, all_words=all_words, phrase=phrase)
        if isinstance(texts, Mapping | DataFrame):
            queries = queries_of(texts)
            validate_queries(queries.values(), list(queries))
            found = self._search_latest(list(queries.values()), index, k, where, options)
            return dict(zip(queries, found, strict=True))
        # Not for many: encoding them twice, if something has changed, would take long.
        is_one = isinstance(texts, list) and len(texts) == 1 and isinstance(texts[0], str)
        if is_one and options is PLAIN:
            return [self.search(texts[0], index=index, k=k, where=where)]  # type: ignore[arg-type]
        return self._search_latest(texts, index, k, where, options)

    def _search_latest(
        self,
        texts: Sequence[Query],
        index: str | None,
        k: int,
        where: Where | None,
        options: SearchOptions = PLAIN,
    ) -> list[Hits]:
        return self.with_retriever(
            index, lambda retriever: retriever.search_many(texts, k, where=where, options=options)
        )

    def with_retriever(self, index: str | None, ask: Callable[[Retriever], Answer]) -> Answer:
        """Return what a function returns for an index, asked again if that was refitted meanwhile.

        Errors as in `search`.
        """
        retriever = self.retriever(index)
        try:
            return ask(retriever)
        except MismatchError:
            # If the index was refitted since the retriever was loaded, load it again.
            again = self.retriever(index)
            if again.finder == retriever.finder:
                raise
            return ask(again)

    def retriever(
        self, index: str | None = None, *, given: Mapping[str, GivenQueries] | None = None
    ) -> Retriever:
        """Return an index with its embedder loaded, ready for many queries; errors as in `search`.

        A combination comes with the embedders of all its parts. `given` are vectors of queries by
        index, in place of the embedder of that index, which is not loaded.
        """
        if index is not None:
            check_text("The name of an index", index)
        if given:
            name = index if index is not None else self._default_index()
            return Retriever(self._finder(name, given), self._store)

        def make() -> Retriever:
            name = index if index is not None else self._default_index()
            return Retriever(self._finder(name), self._store)

        return kept_at(self._store.catalog.generation(), self._retrievers, index, make)

    def _finder(self, name: str, given: Mapping[str, GivenQueries] = NOTHING_GIVEN) -> Finder:
        row = self._store.index(name)
        if kind_of(row.kind).is_lexical:
            return LexicalFinder(name, LexicalOptions.of(row.definition))
        if row.parts:
            parts = [self._finder(part, given) for part in row.parts]
            if RERANKER in row.definition:
                return RerankingFinder(name, parts, row.definition, self._rerankers.of(row))
            if ESCALATE in row.definition:
                return EscalatedFinder(name, parts, row.definition)
            return combined_finder(name, row.definition, parts)
        if name in given:
            return GivenFinder(name, given[name])
        return DenseFinder(name, self._models.for_queries(row))

    def index_names(self) -> list[str]:
        """Return the names of all indexes, oldest first."""
        return [index.name for index in self._store.indexes()]

    def default_indexes(self) -> list[str]:
        """Return the indexes to search where none is named: the newest fusion, or else all.

        Raises:
            InputError: there is none.
        """
        fusions = self._fusions()
        return fusions[-1:] or self.text_indexes()

    def _default_index(self) -> str:
        names, fusions = self.text_indexes(), self._fusions()
        if len(names) == 1 or len(fusions) == 1:
            return (fusions or names)[0]
        has = first_of(names, MOST_NAMED)
        raise InputError(f"Say which index to search with -i (index). {self.path}/ has: {has}.")

    asearch = awaitable(search)
    asearch_many = awaitable(search_many)

    def text_indexes(self) -> list[str]:
        """Return the indexes that can be searched by a text, oldest first; or else all.

        Raises:
            InputError: there is none.
        """
        if names := self.index_names():
            # Vectors of an unknown model answer no text.
            return [name for name in names if self._answers_texts(name)] or names
        build = shell_command("build", self.path, "NAME", "--embedder", "KIND:MODEL")
        raise InputError(f"{self.path}/ has no index yet. Build one: {build}")

    def _answers_texts(self, name: str) -> bool:
        row = self._store.index(name)
        if row.parts:
            return all(map(self._answers_texts, row.parts))
        imported = row.embedding is not None and self._store.embedding(name).imported
        return not imported or QUERIES in row.definition

    def image_indexes(self) -> list[str]:
        """Return the indexes that can be searched by an image, oldest first.

        Raises:
            InputError: there is none.
        """
        if names := [name for name in self.index_names() if self._answers_images(name)]:
            return names
        build = shell_command("build", self.path, "NAME", "--embedder", "contextual:CLIP-MODEL")
        raise InputError(f"{self.path}/ has no index that encodes images. Build one: {build}")

    def _answers_images(self, name: str) -> bool:
        row = self._store.index(name)
        if row.parts:
            # What ranks again what another found answers what that one does.
            found_by = row.parts[:1] if "cascade" in row.definition else row.parts
            return any(map(self._answers_images, found_by))
        if row.embedding is None or QUERIES in row.definition:
            return False
        return bool(self._store.embedding(name).attributes.get(IMAGES))

    def _fusions(self) -> list[str]:
        """Return the names of all fusions that answer texts, oldest first."""
        fusions = [index.name for index in self._store.indexes() if "fuse" in index.definition]
        return [name for name in fusions if self._answers_texts(name)]
