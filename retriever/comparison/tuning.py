"""Tune the weights of a fusion on training queries, and look at the test queries once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from indexes.errors import InputError
from indexes.images import Image
from retriever.collection import Collection
from retriever.comparison.test_set import TestSet
from retriever.evaluation.inputs import GivenQrels
from retriever.evaluation.measures import canonical, evaluate, means, trec_order
from retriever.evaluation.measures import drop_self as without_self
from retriever.formatting import first_names
from retriever.indexing.inspection import CONVEX, RRF
from retriever.search.combinations.fusion import DEPTH, RRF_K, Fusion
from retriever.search.combinations.hybrid import FusedFinder
from retriever.search.queries import Query, query_text

# Shares that a part may have of all weights.
STEPS = 20
# A gain that is smaller is a rounding difference.
LEAST_GAIN = 1e-9
# Rounds over all parts; the search ends earlier when one brings nothing.
MOST_ROUNDS = 20

Shares = tuple[float, ...]
# What a part with the weight 1 contributes to each document, by query.
Values = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class TunedFusion:
    """Weights of the parts of a fusion, in their order, which sum up to 1.

    `train` and `test` are the values of `measure` before (with the fusion's own weights) and after;
    `test` is None without test queries. `tried` counts the weights that were evaluated on the
    training queries; the test queries were evaluated with two: those before and those chosen.
    `method`, `rrf_k` and `depth` are those of the fusion.
    """

    name: str
    parts: Sequence[str]
    method: str
    rrf_k: float
    depth: int
    measure: str
    before: Shares
    weights: Shares
    train: tuple[float, float]
    test: tuple[float, float] | None
    tried: int
    notes: Sequence[str] = field(default=())

    @property
    def weighted_parts(self) -> Sequence[str]:
        """The parts with their weights, as `build --fuse` takes them: `bm25=0.35`."""
        pairs = zip(self.parts, self.weights, strict=True)
        return [f"{part}={weight:g}" for part, weight in pairs]

    @property
    def build_options(self) -> Sequence[str]:
        """What `build` takes for a fusion with these weights: `--fuse bm25=0.35 --fuse ...`."""
        options = [word for one in self.weighted_parts for word in ("--fuse", one)]
        for option, value, default in (
            ("--method", self.method, RRF),
            ("--rrf-k", self.rrf_k, RRF_K),
            ("--depth", self.depth, DEPTH),
        ):
            if value != default:
                shown = value if isinstance(value, str) else f"{value:g}"
                options += [option, shown]
        return options

    def save(self, collection: Collection, name: str) -> None:
        """Name a fusion with these weights, and the method, k and depth of the one tuned.

        Errors as in `Collection.fuse`.
        """
        collection.fuse(
            name,
            self.parts,
            method=self.method,
            weights=self.weights,
            rrf_k=self.rrf_k,
            depth=self.depth,
        )


def tune_fusion(
    collection: Collection,
    name: str,
    train_queries: Mapping[Any, str | Image],
    train_qrels: GivenQrels,
    test_queries: Mapping[Any, str | Image] | None = None,
    test_qrels: GivenQrels | None = None,
    *,
    measure: str = "nDCG@10",
    drop_self: bool = False,
) -> TunedFusion:
    """Find the weights of a fusion with the highest mean of a measure over training queries.

    Coordinate search from the fusion's own weights: each part in turn gets the best of the shares
    0.05 to 0.95, the others keep their proportions, until a round brings nothing. For two parts
    these are all weights in steps of 0.05. Of equal weights those found first stay. The method, k
    and depth of the fusion stay as they are; nothing is written: `Collection.fuse` with the weights
    does that.

    Raises:
        InputError: `name` is no fusion; a query, by its id or its text, is in both sets; or as
            `compare`.
        UnknownNameError: an unknown index or measure.
    """
    info = collection.index_info(name)
    if "fuse" not in info.options:
        raise InputError(f"'{name}' is not a fusion, and only fusions have weights to tune.")
    if (test_queries is None) != (test_qrels is None):
        raise InputError("A test needs both queries and judgments.")
    train = _JudgedRuns.of(collection, name, train_queries, train_qrels, measure, drop_self)
    test = None
    if test_queries is not None and test_qrels is not None:
        test = _JudgedRuns.of(collection, name, test_queries, test_qrels, measure, drop_self)
        _check_disjoint(train.test_set.queries, test.test_set.queries)
    before, method = _normal(info.options["weights"]), info.options["fuse"]
    chosen, tried = _search(train, before)
    return TunedFusion(
        name=name,
        parts=info.parts,
        method=method,
        # An earlier version also took one for the methods without.
        rrf_k=info.options["rrf_k"] if method == RRF else RRF_K,
        depth=info.options["depth"],
        measure=train.measure,
        before=before,
        weights=chosen,
        train=(train.quality(before), train.quality(chosen)),
        test=(test.quality(before), test.quality(chosen)) if test else None,
        tried=tried,
        notes=(*train.test_set.notes, *(test.test_set.notes if test else ())),
    )


def _check_disjoint(train: Mapping[str, Query], test: Mapping[str, Query]) -> None:
    ids = [query_id for query_id in test if query_id in train]
    texts = {_words(query) for query in train.values()}
    same = ids or [query_id for query_id, query in test.items() if _words(query) in texts]
    if same:
        what = "ids" if ids else "texts"
        raise InputError(
            f"Training and test queries have {len(same):,} {what} in common: {first_names(same)}. "
            "Weights that were tuned on test queries say nothing about others: split them."
        )


def _words(query: Query) -> str:
    if isinstance(query, Image):
        return f"image {query.checksum}"
    return " ".join(query_text(query).casefold().split())


def _search(train: _JudgedRuns, start: Shares) -> tuple[Shares, int]:
    """Return the best weights found, and how many were evaluated."""
    known = {start: train.quality(start)}
    best = start
    for _ in range(MOST_ROUNDS):
        before = known[best]
        for part in range(len(start)):
            for step in range(1, STEPS):
                one = _with_share(best, part, step / STEPS)
                if one not in known:
                    known[one] = train.quality(one)
                if known[one] > known[best] + LEAST_GAIN:
                    best = one
        if known[best] <= before + LEAST_GAIN:
            break
    return best, len(known)


def _normal(weights: Sequence[float]) -> Shares:
    """Return weights that sum up to 1, rounded so that equal ones are known again."""
    return tuple(round(weight / sum(weights), 6) for weight in weights)


def _with_share(weights: Shares, part: int, share: float) -> Shares:
    rest = sum(weights) - weights[part]
    return _normal(
        [share if at == part else weight / rest * (1 - share) for at, weight in enumerate(weights)]
    )


@dataclass(frozen=True)
class _JudgedRuns:
    """What the parts of a fusion contribute to what they find for judged queries."""

    test_set: TestSet
    values: Sequence[Values]

    @classmethod
    def of(
        cls,
        collection: Collection,
        name: str,
        queries: Mapping[Any, Query],
        qrels: GivenQrels,
        measure: str,
        drops: bool,
    ) -> _JudgedRuns:
        info = collection.index_info(name)
        options = info.options
        fusion = Fusion(
            options["fuse"], tuple(options["weights"]), options["rrf_k"], options["depth"]
        )
        test_set = TestSet.of(collection, queries, qrels, measures=[measure], k=10, drop_self=drops)
        asked = test_set.queries
        if fusion.method == CONVEX:
            return cls(test_set, _of_all_candidates(collection, name, asked))
        alone = replace(fusion, weights=(1.0,))
        rankings = [
            collection.retriever(part).run(asked, fusion.depth).ranking for part in info.parts
        ]
        values = [
            {query: _values(alone, hits) for query, hits in ranking.items()} for ranking in rankings
        ]
        return cls(test_set, values)

    @property
    def measure(self) -> str:
        """The measure by its canonical name."""
        return canonical(self.test_set.measures[0])

    def quality(self, weights: Shares) -> float:
        """Return the mean of the measure with these weights."""
        fused = {query: self._fused(weights, query) for query in self.test_set.queries}
        kept = without_self(fused) if self.test_set.drops else fused
        cut = {query: hits[: self.test_set.depth] for query, hits in kept.items()}
        return means(evaluate(cut, self.test_set.qrels, [self.measure]))[self.measure]

    def _fused(self, weights: Shares, query: str) -> list[tuple[str, float]]:
        """Return the fused hits of one query, best first; as `FusedFinder`, but by document id."""
        totals: dict[str, float] = {}
        for weight, values in zip(weights, self.values, strict=True):
            for doc_id, value in values[query].items():
                totals[doc_id] = totals.get(doc_id, 0.0) + weight * value
        return trec_order(list(totals.items()))


def _values(alone: Fusion, hits: Sequence[tuple[str, float]]) -> Mapping[str, float]:
    """Return what a part contributes to the documents that it found, with the weight 1."""
    scores = np.array([[score for _, score in hits]], np.float64)
    values = alone.values(scores, 0)[0].tolist() if hits else []
    return {doc_id: value for (doc_id, _), value in zip(hits, values, strict=True)}


def _of_all_candidates(
    collection: Collection, name: str, queries: Mapping[str, Query]
) -> Sequence[Values]:
    """Return what each part contributes to all candidates: the fusion where it alone counts."""
    retriever = collection.retriever(name)
    finder = cast(FusedFinder, retriever.finder)
    alone, parts = [], len(finder.parts)
    for part in range(parts):
        weights = tuple(float(part == other) for other in range(parts))
        fusion = replace(finder.fusion, weights=weights)
        alone.append(replace(retriever, finder=replace(finder, fusion=fusion)))
    most = parts * finder.fusion.depth
    encoded, run = alone[0].encode_and_run(queries, most)
    runs = [run, *(one.rank(list(queries), encoded, most) for one in alone[1:])]
    return [{query: dict(hits) for query, hits in run.ranking.items()} for run in runs]
