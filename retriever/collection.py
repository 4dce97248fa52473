"""A folder that holds one corpus and everything built over it: the library's front door."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.errors import (
    CollectionError,
    InputError,
    MismatchError,
)
from indexes.maintenance.compact import Compacted
from indexes.maintenance.repair import Repaired
from indexes.maintenance.verify import Checked
from indexes.pipeline.embedding_job import Progress
from indexes.store import Store, is_free
from retriever.documents import Documents, silent
from retriever.embedders import Embedder
from retriever.embedders.base import Matrix
from retriever.indexing.builder import Building, refuse_text
from retriever.indexing.embedder_pool import EmbedderPool, missing_models
from retriever.indexing.info import (
    BuildReport,
    CollectionInfo,
    IndexInfo,
    collection_info,
    index_info,
)
from retriever.indexing.plan import BuildRequest
from retriever.search.finders import DenseFinder, Finder, LexicalFinder
from retriever.search.fusion import DEPTH, RRF, RRF_K, cascade_recipe, fusion_recipe
from retriever.search.hybrid import combined_finder
from retriever.search.results import Hits
from retriever.search.retriever import Retriever
from retriever.splitting import Sentences, Splitter, Words
from retriever.word_senses.api import WordQuestions


class Collection(Documents, WordQuestions):
    """One corpus, many ways to embed it, the same queries through all of them.

    Use `create`, `open` or `open_or_create`; close it, or use it in a `with` block. Threads may
    share a collection; one process at a time writes, any number read.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._models = EmbedderPool(store)
        self._building = Building(store, self._models)
        # As long as nothing is committed: to look up what an index is takes as long as a search.
        self._retrievers: dict[str | None, tuple[int, Retriever]] = {}

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, split: Splitter | None = None) -> Collection:
        """A new collection in a folder that is absent or empty.

        With `split`, such as `Words(200, overlap=50)`, long documents are embedded in stretches and
        ranked by their best one, in all indexes alike.

        Raises:
            CollectionError: the folder holds something, or cannot be written to.
            InputError: `split` is no splitter.
        """
        if split is not None and not isinstance(split, Words | Sentences):
            raise InputError(
                f"split is {split!r}; expected Words(200, overlap=50) or Sentences(200)."
            )
        return cls(Store.create(Path(path), None if split is None else dict(split.spec)))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Collection:
        """The collection in a folder.

        Raises:
            NotACollectionError: there is none.
            NewerFormatError: a newer version has written it.
            DamageError: its catalog cannot be read.
        """
        return cls(Store.open(Path(path)))

    @classmethod
    def open_or_create(
        cls, path: str | os.PathLike[str], *, split: Splitter | None = None
    ) -> Collection:
        """The collection in a folder, made there when the folder is absent or empty.

        Raises:
            MismatchError: it is there, and its documents are split in another way.
        """
        folder = Path(path)
        if is_free(folder):
            try:
                return cls.create(folder, split=split)
            except CollectionError:
                # Another process may have been faster: then there is one to open.
                if is_free(folder):
                    raise
        collection = cls.open(folder)
        if split is not None and split != collection.split:
            has = f"splits documents into {collection.split}" if collection.split else "splits none"
            collection.close()
            raise MismatchError(
                f"{folder}/ {has}, and not into {split}: that is set when a collection is made. "
                "Leave it out, or make another collection."
            )
        return collection

    def close(self) -> None:
        """Close the catalog; a closed collection answers nothing."""
        self._store.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r})"

    # -- indexes --------------------------------------------------------------------------------

    def build(
        self,
        name: str,
        embedder: Embedder | None = None,
        *,
        vectors: str | None = None,
        lexical: bool = False,
        ann: str | None = None,
        dtype: str | None = None,
        language: str | None = None,
        queries_by: str | None = None,
        refit: bool = False,
        progress: Progress | None = None,
    ) -> BuildReport:
        """Build an index, or bring one up to date: only documents that it lacks are embedded.

        A new index needs an `embedder`, or `vectors`: the name of an index whose vectors it shares,
        so that nothing is embedded again; or `lexical`: BM25 over the texts, words stemmed by
        `language` (`english` without it, `none` for no stemming). `ann` is a FAISS factory string
        (`HNSW32`, `IVF256,SQ8`); without it, or with `Flat`, search is exact. `dtype` says how
        vectors are stored: `float32`, or `float16` in half the room. An interrupted build goes on
        when called again; BM25, which embeds nothing, starts again. For a combination, its parts
        are brought up to date.

        With `vectors`, `queries_by` names an embedder that was distilled from the one of those
        vectors, and encodes the queries instead of it: a model in the collection's `models/`, or
        else an index built by it.

        An embedder that depends on the corpus (on how often words occur, say) is fitted on all
        documents that are there, and used unchanged for what is added later. With `refit`, it is
        fitted on the documents that are there now, and all are embedded again; an embedder of your
        own is given with it, unfitted. Until all is done, every index over the old vectors answers
        from them; then all change to the new ones at once, their structures built before.
        Interrupted, it goes on when called again, unless documents have changed meanwhile.

        A slow embedder is called in a thread of its own, while the batch before is written.

        Raises:
            InputError: none or several of them were given, the corpus is empty, FAISS refuses the
                factory string, there is no stemmer for the language, or nothing is fitted there.
            MismatchError: the index exists, made by another embedder or with another structure; or
                `queries_by` was distilled from another embedder than that of the vectors.
            UnknownNameError: no index called `vectors`, no model or index called `queries_by`.
            LockedError: another process is writing.
            FailedTextsError: some documents could not be embedded; says which. All others were, and
                all else is done, or it says what besides could not be. Called again, just those are
                tried.
        """
        wanted = BuildRequest(embedder, vectors, ann, dtype, lexical, language, queries_by, refit)
        self._retrievers.clear()
        return self._building.build(name, wanted, progress or silent)

    def fuse(
        self,
        name: str,
        parts: Sequence[str],
        *,
        method: str = RRF,
        weights: Sequence[float] | None = None,
        rrf_k: float = RRF_K,
        depth: int = DEPTH,
    ) -> BuildReport:
        """Name a fusion of several indexes, usable wherever an index is; see `combined.Fusion`.

        Each part is asked for `depth` documents, whatever k is.

        Raises:
            InputError: fewer than two parts, no such method, weights or a depth that do not fit.
            UnknownNameError: a part is not there.
            MismatchError: an index of that name is there, and another.
        """
        refuse_text("parts", parts)
        definition = fusion_recipe(
            len(parts), method=method, weights=weights, rrf_k=rrf_k, depth=depth
        )
        return self._building.combine(name, parts, definition)

    def cascade(self, name: str, first: str, second: str, *, depth: int = DEPTH) -> BuildReport:
        """Name a cascade: `first` finds `depth` candidates, `second` ranks exactly those.

        The second scores them from its stored vectors, or by BM25; see `combined.CascadedFinder`.

        Raises:
            InputError: a depth that does not fit.
            UnknownNameError: a part is not there.
            MismatchError: an index of that name is there, and another.
        """
        return self._building.combine(name, [first, second], cascade_recipe(depth=depth))

    def index_info(self, name: str) -> IndexInfo:
        """What is known of one index.

        Raises:
            UnknownNameError: no such index.
        """
        return index_info(self._store, self._store.index(name), self._store.indexes())

    def drop(self, name: str) -> int:
        """Forget an index, and its vectors when no other index uses them; the bytes set free.

        A model in the collection's `models/` stays.

        Raises:
            UnknownNameError: no such index.
            LockedError: another process is writing.
        """
        return self._store.drop(name)

    def index_names(self) -> list[str]:
        """The names of all indexes, oldest first."""
        return [index.name for index in self._store.indexes()]

    # -- questions ------------------------------------------------------------------------------

    def compact(self, *, progress: Progress | None = None) -> Compacted:
        """Give back the room that removed and changed documents still take.

        Their vectors go from the files, search structures that hold them are built anew, and the
        catalog is written without what was deleted. Nothing is embedded.

        Raises:
            LockedError: another process is writing.
            DamageError: a file is not what the catalog says; `repair` first.
        """
        return self._store.compact(progress or silent)

    def verify(self, *, progress: Progress | None = None) -> Checked:
        """Check every checksum, every key on both sides and every count; changes nothing."""
        checked = self._store.verify(progress or silent)
        return replace(checked, problems=(*checked.problems, *missing_models(self._store)))

    def repair(self, *, progress: Progress | None = None) -> Repaired:
        """Make again what can be derived: search structures from vectors, vectors by embedding.

        What an embedder was fitted to cannot be derived: where its file is damaged, `build` with
        `refit`.

        Files that nothing names are removed. A document that is damaged is left as it is, and
        named: delete it and add it again, or restore the catalog from a backup.

        Raises:
            LockedError: another process is writing.
            ModelNotAvailableError: the model of damaged vectors cannot be had; nothing was changed.
            InputError: it was an embedder of your own; give it first, with `use`.
        """
        repaired = self._store.repair(self._models.encoder, progress or silent)
        return replace(repaired, left=(*repaired.left, *missing_models(self._store)))

    def search(
        self,
        text: str,
        *,
        index: str | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
    ) -> Hits:
        """The `k` documents nearest to a query; `index` may be left out where there is only one.

        `where` is a filter on metadata, such as `{"source": "faq", "year": {">=": 2020}}`: the `k`
        nearest of the documents that it lets through.

        Raises:
            InputError: an empty query, a `k` below 1, a filter that cannot be read, or several
                indexes and none named.
            UnknownNameError: no such index.
            MismatchError: the model is no longer the one that made the vectors.
        """
        return self.search_many([text], index=index, k=k, where=where)[0]

    def search_many(
        self,
        texts: Sequence[str],
        *,
        index: str | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
    ) -> list[Hits]:
        """The `k` documents nearest to each query; errors as in `search`."""
        known = self._retrievers.get(index)
        # Of a single query: to encode many twice, where something has changed, would take long.
        if known is not None and isinstance(texts, list) and len(texts) == 1:
            answered = known[1].answer_at(known[0], texts, k, where=where)
            if answered is not None:
                return answered
        retriever = self.retriever(index)
        try:
            return retriever.search_many(texts, k, where=where)
        except MismatchError:
            # Fitted anew since it was loaded? Then it is asked again, as it is now.
            again = self.retriever(index)
            if again.finder == retriever.finder:
                raise
            return again.search_many(texts, k, where=where)

    def retriever(self, index: str | None = None) -> Retriever:
        """An index with its embedder loaded, ready for many questions; errors as in `search`.

        A combination comes with the embedders of all its parts.
        """
        generation = self._store.catalog.generation()
        known = self._retrievers.get(index)
        if known is None or known[0] != generation:
            name = index if index is not None else self._only_index()
            known = generation, Retriever(self._finder(name), self._store)
            self._retrievers[index] = known
        return known[1]

    def _finder(self, name: str) -> Finder:
        row = self._store.index(name)
        if row.kind == "lexical":
            return LexicalFinder(name, str(row.definition["language"]))
        if row.kind == "combined":
            return combined_finder(name, row.definition, [self._finder(part) for part in row.parts])
        return DenseFinder(name, self._models.for_queries(row))

    def use(self, index: str, embedder: Embedder) -> None:
        """Answer an index's queries with this embedder: needed for one of your own after `open`.

        One that has to be fitted is given what it was fitted to when the index was built. Where an
        index has its queries encoded by another embedder than its documents, either can be given.

        Raises:
            UnknownNameError: no such index.
            MismatchError: it is not the embedder that made the index's vectors.
        """
        self._models.use(index, embedder)
        self._retrievers.clear()

    def embedder(self, index: str) -> Embedder:
        """The embedder that made an index's vectors.

        Raises:
            UnknownNameError: no such index.
            InputError: it has no vectors of its own.
            MismatchError: the model is no longer the one that made them.
        """
        return self._models.of(index)

    def embedded(self, index: str, *, most: int) -> Iterator[tuple[list[str], Matrix]]:
        """Passages that an index has vectors of, with these: texts and vectors (n, dim), in turn.

        At most `most` of them, evenly spread over the corpus, in its order; errors as in
        `embedder`.
        """
        return self._store.embedded(index, most)

    def info(self) -> CollectionInfo:
        """Documents, indexes, sizes and times."""
        return collection_info(self._store)

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _quoted(self) -> str:
        """The folder as a shell takes it, for advice."""
        return shlex.quote(str(self.path))

    def _only_index(self) -> str:
        names = self.index_names()
        if len(names) == 1:
            return names[0]
        if not names:
            raise InputError(
                f"{self.path}/ has no index yet. "
                f"Build one: retriever build {self._quoted} NAME --embedder KIND:MODEL"
            )
        raise InputError(
            f"Say which index to search with -i. {self.path}/ has: {', '.join(names)}."
        )
