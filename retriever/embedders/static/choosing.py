"""The choice of a weighting on a corpus without judgments, by queries made from its documents.

Each variant is asked for the rest of a document by its title or a sentence, as in a comparison by
made queries (`retriever.known_items`); the mean reciprocal rank decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.document_rows import whole_text
from indexes.document import Document
from indexes.errors import pluralize
from retriever.document_queries.drawing import SPARE, Drawn, in_rounds, queries_by_kind
from retriever.document_queries.duplicates import repeated_documents
from retriever.embedders.base import Matrix
from retriever.embedders.static.components import common_components
from retriever.embedders.static.corpus_counts import WordCounts, count_words
from retriever.embedders.static.fit import Fit, fit_of_counts, top_of_corpus
from retriever.embedders.static.options import StaticOptions
from retriever.embedders.static.pooling import normalize_rows
from retriever.embedders.static.vocabulary import TokenRows, Vocabulary
from retriever.embedders.static.weighted_mean import WeightedMeans
from retriever.embedders.static.word_vocabulary import WordVocabulary

KINDS = ("title", "first", "middle")
QUERIES, SEED = 1_000, 1
# Documents among which the rests are ranked; a larger corpus is sampled evenly.
MOST_DOCUMENTS = 2_500
# The best of GloVe's on most open collections (benchmarks/README.md).
RECOMMENDED = StaticOptions("idf", 0, conceptor=True, rank_floor=True)
# Tables of tokens have their weights within.
AS_THEY_ARE = StaticOptions()
WEIGHTINGS, COMPONENTS = ("mean", "idf", "sif", "usif"), (0, 1, 5)
# What is removed from words: `all_but_top`, or by a conceptor.
REMOVALS = ((0, False), (3, False), (5, False), (0, True))

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The chosen options, with mean reciprocal ranks over made queries.

    `value` is that of the chosen options, `best` the highest of all `variants`, by the options
    `best_options`, and `plain` that of the unweighted mean. Without `queries`, nothing is measured.
    """

    options: StaticOptions
    queries: int = 0
    variants: int = 0
    value: float = 0.0
    best: float = 0.0
    best_options: str = ""
    plain: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return what is stored with a fit."""
        return {**asdict(self), "options": asdict(self.options)}

    @staticmethod
    def of_json(kept: dict[str, Any]) -> Choice:
        """Return what `as_json` returned."""
        return Choice(**{**kept, "options": StaticOptions(**kept["options"])})

    def __str__(self) -> str:
        chosen = f"weighting auto is {self.options}"
        if not self.queries:
            return f"{chosen}: the documents give no queries to choose by"
        by = f"reciprocal rank {self.value:.3f} over {pluralize(self.queries, 'query', 'queries')}"
        best = (
            f"the best of {self.variants} variants"
            if self.best_options == str(self.options)
            else f"within a standard error of the best of {self.variants} variants, "
            f"{self.best:.3f} ({self.best_options})"
        )
        return (
            f"{chosen}: {by} made from the documents, {best}; the plain mean has {self.plain:.3f}"
        )


@dataclass(frozen=True, eq=False)
class _Items:
    """Words of texts, of queries and of what is left of their documents, texts `own`."""

    counts: WordCounts
    texts: TokenRows
    queries: TokenRows
    rests: TokenRows
    own: NDArray[np.int64]

    @property
    def bags(self) -> tuple[TokenRows, ...]:
        """Texts, queries and rests."""
        return self.texts, self.queries, self.rests

    def reciprocal_ranks(self, vectors: Iterable[Matrix]) -> Values:
        """Return 1 / rank of each query's rest among all texts but its own; 0 if not found.

        `vectors` are the unit vectors of `bags`.
        """
        texts, queries, rests = vectors
        found = np.empty(len(self.own))
        for start in range(0, len(self.own), 256):
            some = slice(start, start + 256)
            scores = queries[some] @ texts.T
            own = np.einsum("ij,ij->i", queries[some], rests[some])
            scores[np.arange(len(own)), self.own[some]] = -np.inf
            ranks = 1 + (scores > own[:, None]).sum(axis=1)
            # A zero vector finds nothing.
            found[some] = np.where(
                queries[some].any(axis=1) & rests[some].any(axis=1), 1 / ranks, 0
            )
        return found


def choose(documents: Iterable[Document], vocabulary: Vocabulary) -> Choice:
    """Choose the options for a corpus; repeatable, and no judgments are needed.

    Of the variants that are within one standard error of the best one (paired), that is chosen
    which differs in the fewest options from the recommended ones, then the best: the rule of
    Breiman et al. 1984, "Classification and Regression Trees", 3.4.3.
    """
    recommended = RECOMMENDED if isinstance(vocabulary, WordVocabulary) else AS_THEY_ARE
    items = _items(spread(documents, MOST_DOCUMENTS), vocabulary)
    if items is None:
        return Choice(recommended)
    values = dict(_values(items, vocabulary))
    means = {options: float(found.mean()) for options, found in values.items()}
    best = max(means, key=lambda one: (means[one], -_distance(one, recommended)))
    same = [one for one in values if not _is_worse(values[one], values[best])]
    chosen = min(same, key=lambda one: (_distance(one, recommended), -means[one]))
    plain = means[StaticOptions("mean", 0)]
    return Choice(chosen, len(items.own), len(values), means[chosen], means[best], str(best), plain)


def variants(dim: int) -> Iterator[StaticOptions]:
    """Yield all options to choose among, for vectors of some width."""
    for weighting, unit, (top, conceptor), floor in product(
        WEIGHTINGS, (False, True), REMOVALS, (True, False)
    ):
        if (floor and weighting == "mean") or top >= dim:
            continue
        for components in COMPONENTS:
            if components < dim:
                yield StaticOptions(weighting, components, unit, top, conceptor, floor)


def spread(documents: Iterable[Document], most: int) -> list[Document]:
    """Return at most `most` documents that have a text, evenly spread, in order."""
    found, stride, met = list[Document](), 1, 0
    for document in documents:
        if not whole_text(document).strip():
            continue
        if met % stride == 0:
            found.append(document)
            if len(found) > most:
                found, stride = found[::2], stride * 2
        met += 1
    return found


def _items(documents: Sequence[Document], vocabulary: Vocabulary) -> _Items | None:
    """Return made queries of some documents; None if these give none."""
    texts = {document.doc_id: whole_text(document) for document in documents}
    order = np.random.default_rng(SEED).permutation(len(documents)).tolist()
    shuffled = (documents[place] for place in order)
    pool = list[list[Drawn]]()
    for queries in queries_by_kind(shuffled, KINDS, {}, len(documents)):
        pool.append(queries)
        if len(pool) > SPARE * QUERIES:
            break
    sampled = {queries[0][0]: texts[queries[0][0]] for queries in pool}
    repeated = repeated_documents(sampled, texts.items())
    items = in_rounds([queries for queries in pool if queries[0][0] not in repeated], QUERIES)
    if not items:
        return None
    places = {doc_id: place for place, doc_id in enumerate(texts)}
    return _Items(
        counts=count_words(texts.values(), vocabulary),
        texts=vocabulary.bags(list(texts.values())),
        queries=vocabulary.bags([query for _, query, _, _ in items]),
        rests=vocabulary.bags([rest for _, _, rest, _ in items]),
        own=np.array([places[doc_id] for doc_id, _, _, _ in items], np.int64),
    )


def _values(items: _Items, vocabulary: Vocabulary) -> Iterator[tuple[StaticOptions, Values]]:
    """Yield the reciprocal ranks of each variant."""
    fits = dict[Any, Fit]()

    @lru_cache(maxsize=2)  # with a floor and without take turns
    def pooled(options: StaticOptions) -> list[tuple[Matrix, Values]]:
        means = WeightedMeans(vocabulary, options, fits[_removal(options)])
        return [means.pooled(bags, totals=True) for bags in items.bags]

    @lru_cache(maxsize=1)
    def unscaled(options: StaticOptions) -> Values:
        means = WeightedMeans(vocabulary, options, fits[_removal(options)])
        counts = np.maximum(np.diff(items.texts.offsets), 1)
        return means.without_components(*pooled(_summed(options))[0])[0] / counts[:, None]

    for options in variants(vocabulary.dim):
        if (removal := _removal(options)) not in fits:
            top = top_of_corpus(items.counts, vocabulary, options)
            fits[removal] = fit_of_counts(items.counts, top)
        fit = fits[removal]
        if options.removed:
            fit = _with_components(fit, unscaled(replace(options, components=0)), options)
        means = WeightedMeans(vocabulary, options, fit)
        sums = (means.without_components(*one) for one in pooled(_summed(options)))
        yield options, items.reciprocal_ranks(normalize_rows(*one) for one in sums)


def _summed(options: StaticOptions) -> StaticOptions:
    """Return options with the same weighted sums, before components are removed from them."""
    if not options.linear:
        return replace(options, components=0)
    return replace(options, components=0, all_but_top=0, conceptor=False)


def _with_components(fit: Fit, sums: NDArray[np.float64], options: StaticOptions) -> Fit:
    weighted = options.weighting == "usif"
    return replace(fit, common=common_components(sums, options.removed, weighted=weighted))


def _is_worse(values: Values, best: Values) -> bool:
    """Return whether values are below the best ones by more than a standard error, paired."""
    differences = best - values
    return bool(differences.mean() > differences.std() / np.sqrt(len(differences)))


def _distance(options: StaticOptions, recommended: StaticOptions) -> int:
    """Return how many options differ."""
    return sum(a != b for a, b in zip(_parts(options), _parts(recommended), strict=True))


def _parts(options: StaticOptions) -> tuple[Any, ...]:
    return (
        options.weighting,
        options.removed,
        options.unit_words,
        _removal(options),
        options.rank_floor,
    )


def _removal(options: StaticOptions) -> tuple[int, bool]:
    return options.all_but_top, options.conceptor
