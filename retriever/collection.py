"""The library's entry point: a folder with one corpus and the indexes over it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, overload

from numpy.typing import ArrayLike

from indexes.catalog.records import kind_of
from indexes.errors import (
    MOST_NAMED,
    CollectionError,
    InputError,
    MismatchError,
    first_of,
    pluralize,
    unknown_names,
)
from indexes.images import Image, ImageSource
from indexes.lexical.options import LexicalOptions
from indexes.maintenance.compact import CompactReport
from indexes.maintenance.repair import RepairReport
from indexes.maintenance.verify import Problem, VerifyReport
from indexes.progress import Progress
from indexes.store import Store, is_free
from retriever.advice import shell_command
from retriever.asynchronous import awaitable
from retriever.documents import Documents
from retriever.embedders import Embedder, load_embedder, parse_spec
from retriever.embedders.base import Matrix
from retriever.embedders.contextual.autoselect import RuntimeChoice
from retriever.exchange.api import ExchangeMethods
from retriever.formats.vectors.reading import VectorSource, vectors_of
from retriever.indexing.builder import IndexBuilder
from retriever.indexing.builds import (
    RECALL,
    BuildReport,
    BuildRequest,
    TuneReport,
    WordOptions,
)
from retriever.indexing.embedder_pool import EmbedderPool, missing_models
from retriever.indexing.fingerprints import QUERIES
from retriever.indexing.info import RRF, CollectionInfo, IndexInfo, collection_info, index_info
from retriever.indexing.reranker_pool import RERANKER, RerankerPool, reranker_problems
from retriever.notebooks import progress_shown
from retriever.rerankers.registry import load_reranker, parse_reranker
from retriever.search.finders import DenseFinder, Finder, LexicalFinder
from retriever.search.frames import DataFrame, queries_of
from retriever.search.fusion import DEPTH, RRF_K, cascade_definition, fusion_definition
from retriever.search.hybrid import combined_finder
from retriever.search.like import Like
from retriever.search.options import PLAIN, SearchOptions, search_options
from retriever.search.queries import Queries, Query, QueryVector
from retriever.search.reranking import RerankingFinder
from retriever.search.results import Hits
from retriever.search.retriever import Retriever
from retriever.search.where import Where
from retriever.splitting import Splitter
from retriever.updates import Updates
from retriever.word_senses.api import WordSenseMethods

Answer = TypeVar("Answer")
_LOG = logging.getLogger(__name__)


class Collection(Updates, WordSenseMethods, ExchangeMethods):
    """One corpus, many ways to embed it, the same queries through all of them.

    Use `create`, `open` or `open_or_create`; close it, or use it in a `with` block. Threads may
    share a collection; one process at a time writes, any number read.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._models = EmbedderPool(store)
        self._rerankers = RerankerPool(store)
        self._building = IndexBuilder(store, self._models, self._rerankers)
        # By index, with the generation: looking up an index takes as long as a search.
        self._retrievers: dict[str | None, tuple[int, Retriever]] = {}
        # Called when a `with` block fails: takes back how documents are split, if there are none.
        self._forget_split: Callable[[], object] = bool

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, split: Splitter | None = None) -> Collection:
        """Create a collection in a folder that is absent or empty.

        With `split`, such as `Words(200, overlap=50)`, long documents are embedded as passages and
        ranked by their best one, in every index.

        Raises:
            CollectionError: the folder is not empty, or cannot be written to.
            InputError: `split` is not a splitter.
        """
        if split is not None and not isinstance(split, Splitter):
            raise InputError(
                f"split is {split!r}; expected Words(200, overlap=50) or Sentences(200)."
            )
        return cls(Store.create(Path(path), dict(split.spec) if split else None))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Collection:
        """Open the collection in a folder.

        Raises:
            NotACollectionError: there is none.
            NewerFormatError: it was written by a newer version.
            DamageError: its catalog cannot be read.
        """
        return cls(Store.open(Path(path)))

    @classmethod
    def open_or_create(
        cls, path: str | os.PathLike[str], *, split: Splitter | None = None
    ) -> Collection:
        """Open the collection in a folder; create it if the folder is absent or empty.

        A `with` block that ends in an error before any document was added forgets `split`.

        Raises:
            MismatchError: it holds documents, and splits them in another way.
        """
        folder = Path(path)
        if is_free(folder):
            try:
                made = cls.create(folder, split=split)
                return made._to_forget(None) if split else made
            except CollectionError:
                # Another process may have created it meanwhile.
                if is_free(folder):
                    raise
        collection = cls.open(folder)
        before = collection.split
        if split is not None and split != before:
            if not len(collection) and collection._store.set_split(dict(split.spec)):
                collection.close()
                return cls.open(folder)._to_forget(before)
            has = f"splits documents into {before}" if before else "splits none"
            collection.close()
            raise MismatchError(
                f"{folder}/ {has}, and not into {split}: this is set when a collection is created. "
                "Leave split out, or create another collection."
            )
        return collection

    def _to_forget(self, before: Splitter | None) -> Collection:
        """Return this collection, which splits as `before` if a `with` block adds nothing."""
        self._forget_split = partial(self._store.set_split, dict(before.spec) if before else None)
        return self

    def close(self) -> None:
        """Close the catalog. A closed collection cannot be used."""
        self._store.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            with contextlib.suppress(CollectionError):  # it was closed, or another process writes
                self._forget_split()
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Collection], tuple[type[Collection], Path, Any]]:
        """Pickle the folder, which another process opens again, and embedders of the user's own.

        Raises:
            InputError: one of those cannot be pickled.
        """
        return _reopened, (type(self), self.path, self._models.pickled())

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r})"

    def build(
        self,
        name: str,
        embedder: Embedder | str | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        vectors: str | None = None,
        lexical: bool = False,
        ann: str | None = None,
        dtype: str | None = None,
        language: str | None = None,
        stopwords: bool | None = None,
        k1: float | None = None,
        b: float | None = None,
        queries_by: str | Embedder | None = None,
        refit: bool = False,
        recall: float | None = None,
        from_vectors: VectorSource | None = None,
        similarity: str | None = None,
        allow_missing: bool = False,
        progress: Progress | None = None,
    ) -> BuildReport:
        """Build an index, or bring one up to date: only documents that it lacks are embedded.

        A new index needs one of: an `embedder`, as an object or as the text `KIND:MODEL` such as
        `static:glove-6b-50d`, with `options` of its class; `vectors`, the name of an index to share
        the vectors of, so that nothing is embedded again; or `lexical`, for BM25 over the texts,
        words stemmed by `language` (default `english`; `none` for no stemming), without its stop
        words if `stopwords`, and scored by `k1` (default 1.2) and `b` (0.75); see `lexical.bm25`.
        `dtype` is how vectors are stored: `float32`, or `float16` in half the space. An interrupted
        build resumes when called again; BM25, which embeds nothing, starts over. For a combination,
        its parts are brought up to date.

        `ann` is how vectors are searched: `auto` (the default) chooses by their number, exact
        search for some ten thousands and codes or cells of codes for more; `exact` scans all;
        a FAISS factory string (`HNSW32`, `IVF256,SQ8`) says what to build. `recall` is the share of
        the 10 nearest that a structure has to find (for `auto`, 0.98 if not given): its search
        parameters are chosen for it; see `tune`. Scores are exact with every structure.

        With `vectors`, `queries_by` names an embedder that was distilled from the one of those
        vectors, and encodes the queries instead of it: a model in the collection's `models/`, or
        else an index built by it.

        With `from_vectors`, the vectors were made elsewhere: a file or a folder of `.npy` (ids
        beside it in `.ids.txt`), `.npz` or `.parquet` (see `export`), or a pair (ids, vectors).
        They are compared by `similarity` (default: what the file says, or the `cosine`). Such an
        index is searched by vectors, or by texts if `queries_by` declares the embedder of queries,
        as an embedder or `KIND:MODEL`. Called again with a file, it takes the vectors of documents
        that it lacks, new and edited ones; those that it has stay. Passages without a vector are
        refused, or with `allow_missing` left for later; there, zeros mean nothing to embed.

        An embedder that depends on the corpus (on word frequencies, for example) is fitted on all
        documents when the index is built, and used unchanged for documents added later. `refit`
        fits it on the present documents and embeds all of them again; pass a custom embedder with
        it, unfitted. Until all is done, every index over the old vectors answers from them; then
        all switch to the new ones at once, their structures built before. Interrupted, it resumes
        when called again, unless documents have changed meanwhile.

        A slow embedder runs in a background thread while the previous batch is written.

        Raises:
            InputError: none or several of these were given, the corpus is empty, FAISS rejects the
                factory string, an option of BM25 is invalid, or nothing is fitted there.
            MismatchError: the index exists, made by another embedder or with another structure; or
                `queries_by` was distilled from another embedder than that of the vectors.
            UnknownNameError: no index called `vectors`, no model or index called `queries_by`.
            LockedError: another process is writing.
            FailedTextsError: some documents could not be embedded; it names them, and says if
                anything else could not be done. All others were embedded. The next call tries only
                those again.
        """
        words = WordOptions(language, stopwords, k1, b)
        if isinstance(embedder, str):
            embedder = load_embedder(parse_spec(embedder, options or {}))
        elif options:
            raise InputError("options are those of an embedder by name: give 'KIND:MODEL' with it.")
        imported = None if from_vectors is None else vectors_of(from_vectors)
        wanted = BuildRequest(
            *(embedder, vectors, ann, dtype, lexical, words, queries_by, refit),
            *(recall, imported, similarity, allow_missing),
        )
        self._retrievers.clear()
        with progress_shown(progress, f"building {name}") as shown:
            return self._logged(self._building.build(name, wanted, shown))

    def tune(
        self, name: str, *, recall: float = RECALL, queries: Sequence[Query] | None = None
    ) -> TuneReport:
        """Choose the search parameters of an index's structure anew, for a recall@10.

        The cheapest are chosen that find this share of the 10 nearest, of the `queries` if given,
        else of vectors near those of documents, by a margin for the error of so small a sample.
        They are kept with the index; nothing is built. The report's notes say if none reach it.

        Raises:
            InputError: the recall is not above 0 and at most 1, the index has no structure, or no
                query has a vector that is not zero.
            UnknownNameError: no such index.
            LockedError: another process is writing.
        """
        vectors = None
        if queries is not None:
            if not queries:
                raise InputError("There are no queries to tune with: leave them out, or give some.")
            embedder = self._models.for_queries(self._store.index(name))
            vectors = Queries(queries).vectors(embedder)
        return self._building.tune(name, recall, vectors)

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
        """Name a fusion of several indexes, to be used like an index; see `fusion.Fusion`.

        Each part returns `depth` documents, whatever k is.

        Raises:
            InputError: fewer than two parts, an unknown method, or invalid weights or depth.
            UnknownNameError: a part does not exist.
            MismatchError: a different index of that name exists.
        """
        if isinstance(parts, str):
            raise InputError(f"The parts are one text, '{parts}'; expected a list of names.")
        definition = fusion_definition(
            len(parts), method=method, weights=weights, rrf_k=rrf_k, depth=depth
        )
        return self._logged(self._building.combine(name, parts, definition))

    def cascade(
        self,
        name: str,
        first: str,
        second: str | None = None,
        *,
        rerank: str | None = None,
        options: Mapping[str, Any] | None = None,
        depth: int = DEPTH,
    ) -> BuildReport:
        """Name a cascade (reranking): `first` finds `depth` candidates, the second ranks those.

        The second is an index, which scores them from its stored vectors or by BM25 (see
        `hybrid.CascadedFinder`), or, with `rerank`, a model that reads the query and each candidate
        together: `cross-encoder:MODEL`, `late-interaction:MODEL` or `vilbert:FOLDER` (see
        `reranking.RerankingFinder`).
        `options` are those of its class. The report's notes say what a query costs.

        Raises:
            InputError: both or none were given, `rerank` names no model or can read no document,
                an option or the depth is invalid.
            UnknownNameError: a part does not exist, or an unknown kind of reranker.
            ModelNotAvailableError: the model cannot be loaded.
            MismatchError: a different index of that name exists.
        """
        definition = cascade_definition(depth=depth)
        if (second is None) == (rerank is None):
            raise InputError(
                "A cascade needs one to rank the candidates: an index (second) or a model (rerank)."
            )
        if rerank is not None:
            reranker = load_reranker(parse_reranker(rerank, options or {}))
            return self._logged(self._building.rerank(name, first, reranker, definition))
        if options:
            raise InputError("options are those of a model: give rerank='KIND:MODEL' with them.")
        return self._logged(self._building.combine(name, [first, str(second)], definition))

    def _logged(self, report: BuildReport) -> BuildReport:
        """Return the report of a build, and log it."""
        _LOG.info(
            "%s: built index '%s': %d embedded, %d already, %.1f s",
            *(self.path, report.name, report.embedded, report.already),
            report.embedding_seconds + report.indexing_seconds,
        )
        return report

    def index_info(self, name: str) -> IndexInfo:
        """Return the kind, model, size, coverage and costs of one index.

        Raises:
            UnknownNameError: no such index.
        """
        return index_info(self._store, self._store.index(name), self._store.indexes())

    def measure_runtime(self, name: str) -> RuntimeChoice:
        """Measure again which runtimes compute an index's sentence model fastest here; return them.

        They are chosen when a model is first used on a machine, and again when its libraries, its
        processor or the number of threads change. `index_info(name).runtime` says which they are.

        Raises:
            UnknownNameError: no such index.
            InputError: it has no sentence model, or its options name the runtime.
            ModelNotAvailableError: the model cannot be loaded.
        """
        if self._store.index(name).embedding is None:
            raise InputError(f"Index '{name}' has no model of its own that a runtime computes.")
        self._retrievers.clear()
        return self._models.measure_runtime(name)

    def drop(self, name: str) -> int:
        """Remove an index, and its vectors if no other index uses them; return the bytes freed.

        A model in the collection's `models/` stays.

        Raises:
            UnknownNameError: no such index.
            LockedError: another process is writing.
        """
        freed = self._store.drop(name)
        _LOG.info("%s: dropped index '%s', %d bytes freed", self.path, name, freed)
        return freed

    def index_names(self) -> list[str]:
        """Return the names of all indexes, oldest first."""
        return [index.name for index in self._store.indexes()]

    def compact(self, *, progress: Progress | None = None) -> CompactReport:
        """Free the space of removed and changed documents.

        Their vectors are dropped from the files, search structures that contain them are rebuilt,
        and the catalog is rewritten without deleted data. Nothing is embedded.

        Raises:
            LockedError: another process is writing.
            DamageError: a file is not what the catalog says; `repair` first.
        """
        with progress_shown(progress, "compacting") as shown:
            report = self._store.compact(shown)
        vectors = pluralize(report.rows, "vector")
        _LOG.info("%s: compacted, %s dropped, %d bytes freed", self.path, vectors, report.freed)
        return report

    def verify(self, *, progress: Progress | None = None) -> VerifyReport:
        """Check every checksum, every key on both sides and every count; change nothing."""
        with progress_shown(progress, "verifying") as shown:
            checked = self._store.verify(shown)
        return replace(checked, problems=(*checked.problems, *self._model_problems()))

    def _model_problems(self) -> list[Problem]:
        return [*missing_models(self._store), *reranker_problems(self._store)]

    def repair(self, *, progress: Progress | None = None) -> RepairReport:
        """Rebuild what can be derived: search structures from vectors, vectors by embedding.

        The parameters of a fitted embedder cannot be derived: if their file is damaged, `build`
        with `refit`. Files that nothing refers to are removed. A damaged document is left as it is,
        and named: delete it and add it again, or restore the catalog from a backup.

        Raises:
            LockedError: another process is writing.
            ModelNotAvailableError: the model of damaged vectors is missing; nothing was changed.
            InputError: it was a custom embedder; give it first, with `use`.
        """
        with progress_shown(progress, "repairing") as shown:
            repaired = self._store.repair(self._models.encoder, shown)
        repaired = replace(repaired, left=(*repaired.left, *self._model_problems()))
        done, left = len(repaired.done), pluralize(len(repaired.left), "problem")
        _LOG.info("%s: repaired, %s, %s left", self.path, pluralize(done, "step"), left)
        return repaired

    def search(
        self,
        text: str | None = None,
        *,
        image: ImageSource | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
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
        if len(like) or len(unlike):
            if text is not None or image is not None or vector is not None:
                raise InputError(
                    "Give either documents to be like, or a text, an image or a vector."
                )
            return self._search_like(Like.of(like, unlike), index, k, where, options)
        if vector is not None and text is None and image is None:
            retriever = self.vector_retriever(index)
            return retriever.search(QueryVector.of(vector), k, where=where, options=options)
        query = text if image is None and text is not None else _query(text, image)
        known = self._retrievers.get(index) if options is PLAIN else None
        hits = known[1].search_at(known[0], query, k, where) if known is not None else None
        if hits is None:
            hits = self._search_latest([query], index, k, where, options)[0]
        return hits

    def _search_like(
        self, like: Like, index: str | None, k: int, where: Where | None, options: SearchOptions
    ) -> Hits:
        if unknown := self.unknown_ids(like.doc_ids):
            raise self._unknown(unknown_names, unknown)
        return self._latest(
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
        return self._latest(
            index, lambda retriever: retriever.search_many(texts, k, where=where, options=options)
        )

    def _latest(self, index: str | None, ask: Callable[[Retriever], Answer]) -> Answer:
        retriever = self.retriever(index)
        try:
            return ask(retriever)
        except MismatchError:
            # If the index was refitted since the retriever was loaded, load it again.
            again = self.retriever(index)
            if again.finder == retriever.finder:
                raise
            return ask(again)

    def retriever(self, index: str | None = None) -> Retriever:
        """Return an index with its embedder loaded, ready for many queries; errors as in `search`.

        A combination comes with the embedders of all its parts.
        """
        generation = self._store.catalog.generation()
        known = self._retrievers.get(index)
        if known is None or known[0] != generation:
            name = index if index is not None else self._default_index()
            known = generation, Retriever(self._finder(name), self._store)
            self._retrievers[index] = known
        return known[1]

    def _finder(self, name: str) -> Finder:
        row = self._store.index(name)
        if kind_of(row.kind).is_lexical:
            return LexicalFinder(name, LexicalOptions.of(row.definition))
        if row.parts:
            parts = [self._finder(part) for part in row.parts]
            if RERANKER in row.definition:
                return RerankingFinder(name, parts, row.definition, self._rerankers.of(row))
            return combined_finder(name, row.definition, parts)
        return DenseFinder(name, self._models.for_queries(row))

    def use(self, index: str, embedder: Embedder) -> None:
        """Use this embedder for an index's queries: needed for a custom one after `open`.

        One that has to be fitted gets the parameters from when the index was built. If an index has
        its queries encoded by another embedder than its documents, either can be given.

        Raises:
            UnknownNameError: no such index.
            MismatchError: it is not the embedder that made the index's vectors.
        """
        self._models.use(index, embedder)
        self._retrievers.clear()

    def embedder(self, index: str) -> Embedder:
        """Return the embedder that made an index's vectors, fitted as it was then.

        Raises:
            UnknownNameError: no such index.
            InputError: it has no own vectors, or its custom embedder was not given.
            MismatchError: the model is no longer the one that made them.
            DamageError: what the embedder was fitted to is not what the catalog says.
        """
        return self._models.of(index)

    def embedded(self, index: str, *, most: int) -> Iterator[tuple[list[str], Matrix]]:
        """Yield embedded passages of an index in batches: their texts and vectors (n, dim).

        At most `most`, evenly spread over the corpus, in its order; errors as in `embedder`.
        """
        return self._store.embedded(index, most)

    def info(self) -> CollectionInfo:
        """Return the documents, indexes, sizes and times of the collection."""
        return collection_info(self._store)

    def default_indexes(self) -> list[str]:
        """Return the indexes to search where none is named: the newest fusion, or else all.

        Raises:
            InputError: there is none.
        """
        fusions = self._fusions()
        return fusions[-1:] or self._names()

    def _default_index(self) -> str:
        names, fusions = self._names(), self._fusions()
        if len(names) == 1 or len(fusions) == 1:
            return (fusions or names)[0]
        has = first_of(names, MOST_NAMED)
        raise InputError(f"Say which index to search with -i. {self.path}/ has: {has}.")

    asearch = awaitable(search)
    asearch_many = awaitable(search_many)
    aadd = awaitable(Documents.add)
    abuild = awaitable(build)

    def _names(self) -> list[str]:
        if names := self.index_names():
            # Vectors of an unknown model answer no text.
            return [name for name in names if self._answers_texts(name)] or names
        build = shell_command("build", self.path, "NAME", "--embedder", "KIND:MODEL")
        raise InputError(f"{self.path}/ has no index yet. Build one: {build}")

    def _answers_texts(self, name: str) -> bool:
        row = self._store.index(name)
        imported = row.embedding is not None and self._store.embedding(name).imported
        return not imported or QUERIES in row.definition

    def _fusions(self) -> list[str]:
        """Return the names of all fusions, oldest first."""
        return [index.name for index in self._store.indexes() if "fuse" in index.definition]


def _query(text: str | None, image: ImageSource | None) -> Query:
    """Return the image to search by."""
    if image is None or text is not None:
        raise InputError("Give a text or an image to search by, and not both.")
    return Image.of(image)


def _reopened(kind: type[Collection], path: Path, embedders: Sequence[bytes]) -> Collection:
    """Open a pickled collection, with embedders that only its user can make."""
    collection = kind.open(path)
    collection._models.unpickle(embedders)
    return collection
