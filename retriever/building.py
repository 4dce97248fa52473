"""The methods of a collection that build indexes, tune and combine them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from indexes.errors import InputError
from indexes.progress import Progress
from retriever.asynchronous import awaitable
from retriever.embedders import Embedder, load_embedder, parse_spec
from retriever.formats.vectors.reading import VectorSource, vectors_of
from retriever.indexing.builds import RECALL, BuildRequest, WordOptions
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.inspection import RRF
from retriever.indexing.reports import BuildReport, TuneReport
from retriever.indexing.workers import executor_of
from retriever.notebooks import progress_shown
from retriever.rerankers.registry import load_reranker, parse_reranker
from retriever.search.combinations.escalation import DEFAULT_MARGIN, escalation_definition
from retriever.search.combinations.fusion import DEPTH, RRF_K, cascade_definition, fusion_definition
from retriever.search.frames import DataFrame, queries_of
from retriever.search.queries import Queries, Query, validate_queries
from retriever.search.retriever import KeptRetrievers
from retriever.updates import Updates

_LOG = logging.getLogger(__name__)


class Building(Updates):
    """The part of `Collection` that makes indexes and keeps them fresh."""

    _models: EmbedderPool
    _retrievers: KeptRetrievers

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
        workers: int | str | None = None,
        engine: str | None = None,
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

        With `engine`, a server holds the structure, and this collection stays the truth: for
        Milvus, `milvus:http://HOST:19530`, with `options` such as `{"index_type": "HNSW", "M": 16}`
        or its search parameters (`ef`), and a password in the environment (`MILVUS_TOKEN`). Built
        again, it is brought up to date by key. Scores are those of the vectors here.

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

        A slow embedder runs in a background thread while the previous batch is written. With
        `workers`, documents are embedded by so many processes of this machine, or by those of a Ray
        cluster: `ray` starts one here, `ray:ADDRESS` joins one, whose machines share the
        collection's folder. The vectors are the same for every number of workers. One that dies is
        replaced; whatever dies, the next call takes over all that was finished. Workers also read a
        large corpus for a fit, and those of a cluster fill a large structure that was trained here:
        both are then the same to the last bit.

        Raises:
            InputError: none or several of these were given, the corpus is empty, FAISS rejects the
                factory string, an option of BM25 is invalid, or nothing is fitted there.
            MismatchError: the index exists, made by another embedder or with another structure; or
                `queries_by` was distilled from another embedder than that of the vectors.
            UnknownNameError: no index called `vectors`, no model or index called `queries_by`.
            LockedError: another process is writing.
            WorkerError: workers cannot start, or three have died of the same documents.
            FailedTextsError: some documents could not be embedded; it names them, and says if
                anything else could not be done. All others were embedded. The next call tries only
                those again.
        """
        words = WordOptions(language, stopwords, k1, b)
        if isinstance(embedder, str):
            embedder = load_embedder(parse_spec(embedder, {} if options is None else options))
        elif isinstance(embedder, type):
            name = embedder.__name__
            raise InputError(f"The embedder is the class {name}; give an instance: {name}(...).")
        elif options and engine is None:
            raise InputError("options are those of an embedder by name: give 'KIND:MODEL' with it.")
        imported = None if from_vectors is None else vectors_of(from_vectors)
        wanted = BuildRequest(
            *(embedder, vectors, ann, dtype, lexical, words, queries_by, refit),
            *(recall, imported, similarity, allow_missing),
            *(None if workers is None else executor_of(workers), engine),
            options if engine is not None and options else {},
        )
        self._retrievers.clear()
        with progress_shown(progress, f"building {name}") as shown:
            return self._logged(self._building.build(name, wanted, shown))

    abuild = awaitable(build)

    def tune(
        self,
        name: str,
        *,
        recall: float = RECALL,
        queries: Sequence[Query] | Mapping[Any, Query] | DataFrame | None = None,
    ) -> TuneReport:
        """Choose the search parameters of an index's structure again, for a recall@10.

        The cheapest are chosen that find this share of the 10 nearest, of the `queries` if given,
        in any form that `search_many` takes, else of vectors near those of documents, by a margin
        for the error of so small a sample. They are kept with the index; nothing is built. The
        report's notes say if none reach it.

        Raises:
            InputError: the recall is not above 0 and at most 1, the index has no structure, or no
                query has a vector that is not zero.
            UnknownNameError: no such index.
            LockedError: another process is writing.
        """
        vectors = None
        if queries is not None:
            if isinstance(queries, Mapping | DataFrame):
                queries = list(queries_of(queries).values())
            if isinstance(queries, str):
                raise InputError("Queries are one text; expected a list of texts.")
            asked = validate_queries(queries)
            if not asked:
                raise InputError("There are no queries to tune with: leave them out, or give some.")
            embedder = self._models.for_queries(self._store.index(name))
            vectors = Queries(asked).vectors(embedder)
        return self._building.tune(name, recall, vectors)

    def fuse(
        self,
        name: str,
        parts: Sequence[str] | Mapping[str, float],
        *,
        method: str = RRF,
        weights: Sequence[float] | None = None,
        rrf_k: float = RRF_K,
        depth: int = DEPTH,
    ) -> BuildReport:
        """Name a fusion of several indexes, to be used like an index; see `fusion.Fusion`.

        `parts` are their names, or map these to their weights. Each part returns `depth` documents,
        whatever k is.

        Raises:
            InputError: fewer than two parts, an unknown method, or invalid weights or depth; or a
                part ranks by a model and the method is `convex`.
            UnknownNameError: a part does not exist.
            MismatchError: a different index of that name exists.
        """
        if isinstance(parts, Mapping):
            if weights is not None:
                raise InputError("The weights are given twice: with the parts, and as weights.")
            weights, parts = list(parts.values()), list(parts)
        if isinstance(parts, str):
            raise InputError(f"The parts are one text, '{parts}'; expected a list of names.")
        if not isinstance(parts, Sequence):
            kind = type(parts).__name__
            raise InputError(f"The parts are of type {kind}; expected a list of names.")
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
            reranker = load_reranker(parse_reranker(rerank, {} if options is None else options))
            return self._logged(self._building.rerank(name, first, reranker, definition))
        if options:
            raise InputError("options are those of a model: give rerank='KIND:MODEL' with them.")
        return self._logged(self._building.combine(name, [first, str(second)], definition))

    def escalate(
        self, name: str, first: str, second: str, *, margin: float = DEFAULT_MARGIN
    ) -> BuildReport:
        """Name an escalation: `first` answers, `second` the queries of which `first` is not sure.

        `first` is a fusion of cheap indexes, by min-max or exact scores (`convex`); `second` is any
        index, such as the same fusion with a contextual one. A query is escalated if the best
        document of `first` is less than `margin` ahead of its next one, of at most 1: more queries
        with a higher margin. No other query is encoded for `second`; see
        `escalation.EscalatedFinder`.

        Raises:
            InputError: `first` is no such fusion, or the margin is not above 0, up to 1.
            UnknownNameError: a part does not exist.
            MismatchError: a different index of that name exists.
        """
        definition = escalation_definition(self._store.index(first).definition, margin)
        return self._logged(self._building.combine(name, [first, second], definition))

    def _logged(self, report: BuildReport) -> BuildReport:
        """Return the report of a build, and log it."""
        _LOG.info(
            "%s: built index '%s': %d embedded, %d already, %.1f s",
            *(self.path, report.name, report.embedded, report.already),
            report.embedding_seconds + report.indexing_seconds,
        )
        return report
