"""Values and analysis of a comparison of systems over the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from indexes.errors import InputError, unknown_name
from indexes.images import Image
from retriever.evaluation.measures import canonical
from retriever.evaluation.pareto import pareto_front
from retriever.evaluation.significance import Difference
from retriever.evaluation.verdict import Verdict
from retriever.indexing.info import IndexInfo
from retriever.search.results import Run

# The kind of systems of which only some queries are expensive.
ESCALATED = "escalated"


@dataclass(frozen=True)
class Spread:
    """Median, 95th and 99th percentile of the milliseconds of one step."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single queries, one after another, warm.

    `encoding` makes a query's vector or terms, `searching` finds the best documents, `fetching`
    reads the hits' text; `total` is all three. `totals` are all measured totals, ascending.
    """

    encoding: Spread
    searching: Spread
    fetching: Spread
    total: Spread
    totals: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the measured totals."""
        return sum(self.totals) / len(self.totals)


# Other processes slow a query down if they compute on more than this of the cores that it may use.
BUSY = 0.25


@dataclass(frozen=True)
class Load:
    """How many of the machine's `cores` other processes computed on while latency was measured.

    This process may use `own` cores. `average` is the system's load average of the last minute,
    which counts this process too; None where there is none.
    """

    others: float
    cores: int
    own: int
    average: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether other processes took some of the cores that this process may use."""
        return self.others > self.cores - self.own + BUSY

    def __str__(self) -> str:
        average = "" if self.average is None else f", load average {self.average:.1f}"
        return f"other processes computed on {self.others:.1f} of {self.cores} cores{average}"

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on the load, and a warning if it was too much."""
        warning = "Measure again on an idle machine: these times are too long."
        return (f"While single queries were timed, {self}.", *[warning] * self.is_busy)


@dataclass(frozen=True)
class Cost:
    """Cost of building and keeping a system; of a combined one, the sum over its parts.

    Seconds, bytes, and rates per second. `embedding_seconds` and `documents_per_second` include the
    fit, and what `distill` or `train` took to make a model of the collection, whose files count as
    `disk_size`; `tokens_per_second` includes neither. It counts words for static embedders, word
    pieces for contextual ones; None if not counted. `building_memory` is the growth of the process
    while it built, `open_memory` the growth of a fresh process that opens the index and
    answers one query; None if not measured.
    """

    embedding_seconds: float
    indexing_seconds: float
    documents_per_second: float | None
    tokens_per_second: float | None
    building_memory: int | None
    open_memory: int | None
    disk_size: int
    disk_size_per_document: float

    @property
    def building_seconds(self) -> float:
        """Seconds of embedding and indexing together."""
        return self.embedding_seconds + self.indexing_seconds


@dataclass(frozen=True)
class Row:
    """One system in a comparison: an index, a combination of indexes, or an imported run.

    `kind` is `exact`, `ann`, `lexical`, `fused`, `cascaded`, `escalated` or `run`; `family` is
    `static`, `contextual`, `hashing`, `custom`, `lexical`, `combined` or `run`; `description` adds
    the model and options: `static:glove-6b-50d`, `bm25 + minilm, reciprocal rank`.

    `quality` maps a measure to its mean over the judged queries; empty without judgments.
    `exact_quality` is the quality of exact search over the same vectors, for `ann` only: its
    difference to `quality` is the loss of the index, the rest is due to the embedding.
    `ann_recall` is the share of the exact top k that was found, 1.0 for an exact index; None
    without own vectors. `differences` from the baseline are by measure: empty without a baseline
    and for the baseline itself.

    `throughput` is in queries per second, all as one batch. An imported run has no latency,
    throughput or cost. Coverages are shares of known words in queries and corpus, None for systems
    that do not count words. `judged_share` is Judged@k, the share of the top k with a grade: where
    it is low, so may be the quality, for want of judgments. None without judgments. `contextual`
    says that a contextual model made its vectors or encodes its queries, or that a model reranks.
    """

    name: str
    kind: str
    family: str
    description: str
    quality: Mapping[str, float]
    exact_quality: Mapping[str, float] = field(default_factory=dict)
    ann_recall: float | None = None
    differences: Mapping[str, Difference] = field(default_factory=dict)
    latency: Latency | None = None
    throughput: float | None = None
    cost: Cost | None = None
    query_coverage: float | None = None
    corpus_coverage: float | None = None
    index: IndexInfo | None = None
    judged_share: float | None = None
    contextual: bool = False

    @property
    def query_ms(self) -> float:
        """Milliseconds of a single query; 0 if it was not measured.

        The median; where only some queries are expensive, of an escalation, the mean.
        """
        if not self.latency:
            return 0.0
        return self.latency.mean if self.kind == ESCALATED else self.latency.total.p50

    def work(self, queries: int) -> float:
        """Return the seconds to build it and to answer some queries; 0 if not measured."""
        building = self.cost.building_seconds if self.cost else 0.0
        return building + queries * self.query_ms / 1000

    def __getitem__(self, measure: str) -> float:
        """Return the mean of a measure, such as `row["nDCG@10"]` or `row["recall@10"]`."""
        return self.quality[canonical(measure)]


@dataclass(frozen=True)
class Agreement:
    """Similarity of two systems' answers: overlap and rank-biased overlap of the top k."""

    overlap: float
    rbo: float


@dataclass(frozen=True)
class Excerpt:
    """Beginning of a document, for display, and its image if it has one."""

    title: str
    text: str
    image: Image | None = None


@dataclass(frozen=True)
class Query:
    """A query: its text, its judgments (doc_id to grade), and what explains its answers.

    If it is an image, its text is the name of that.
    `unknown` maps a system that counts words to the query's words that it does not know; `matched`
    holds the lower-cased words of found or judged documents that share a stem with the query.
    """

    query_id: str
    text: str
    judgments: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    matched: frozenset[str] = frozenset()
    image: Image | None = None


@dataclass(frozen=True)
class ComparisonResults:
    """Results of several systems for the same queries.

    `measures` are ir_measures' names, the first one decides wins; `per_query` maps system, measure
    and query id to a value; `pairwise` maps two names to their agreement; `runs` holds the judged
    rankings, `queries` the queries by id, in order; `documents` holds excerpts of documents that a
    system has in its top `k` or that were judged relevant. `environment` records versions, machine,
    checksums, seed, the command. `load` is that under which latency was measured; None if none was.
    `pairs` are the differences of all pairs by measure, the first minus the second, if asked for.
    `verdict` says whether contextual embeddings are needed; `trust` is a sentence on how often
    verdicts by such queries were right, if they were made from the corpus: then nobody judged them.
    """

    k: int
    measures: Sequence[str]
    baseline: str | None
    rows: Mapping[str, Row]
    per_query: Mapping[str, Mapping[str, Mapping[str, float]]]
    pairwise: Mapping[tuple[str, str], Agreement]
    runs: Mapping[str, Run]
    queries: Mapping[str, Query]
    documents: Mapping[str, Excerpt]
    notes: Sequence[str]
    environment: Mapping[str, str]
    load: Load | None = None
    pairs: Mapping[tuple[str, str], Mapping[str, Difference]] = field(default_factory=dict)
    verdict: Verdict | None = None
    trust: str = ""

    @property
    def judged(self) -> bool:
        """Whether there are judgments, and so quality values."""
        return bool(self.measures)

    @property
    def kind_of_queries(self) -> str:
        """`judged` queries, or `made` ones if they were made from the corpus; "" if neither."""
        return "" if not self.judged else "made" if self.trust else "judged"

    @property
    def measure(self) -> str:
        """The first measure, which decides wins and differences.

        Raises:
            InputError: there are no judgments.
        """
        if not self.judged:
            raise InputError("The comparison has no judgments. Give qrels, or a label file.")
        return self.measures[0]

    def agreement(self, a: str, b: str) -> Agreement:
        """Return the agreement of two systems, named in either order."""
        return self.pairwise[(a, b)] if (a, b) in self.pairwise else self.pairwise[(b, a)]

    def difference_of(self, a: str, b: str, measure: str) -> tuple[float, Difference]:
        """Return the mean of `a` minus `b` and the test of that pair, named in either order."""
        if (a, b) in self.pairs:
            found = self.pairs[(a, b)][measure]
            return found.mean, found
        found = self.pairs[(b, a)][measure]
        return -found.mean, found

    def beaten_by(self, name: str, measure: str) -> Sequence[str]:
        """Return the systems that one is significantly better than, of all `pairs`."""
        found = {
            other: self.difference_of(name, other, measure)
            for other in (self.rows if self.pairs else ())
            if other != name
        }
        return [other for other, (mean, pair) in found.items() if pair.significant and mean > 0]

    def fronts(self) -> Mapping[str, Sequence[str]]:
        """Return the Pareto fronts of quality and cost, cheapest system first.

        `latency`: the first measure against the milliseconds of a query (`query_ms`); `building`:
        against the seconds of embedding and indexing. Empty without judgments.
        """
        if not self.judged:
            return {}
        latency = {name: row.query_ms for name, row in self.rows.items() if row.latency}
        building = {name: row.cost.building_seconds for name, row in self.rows.items() if row.cost}
        return {
            what: pareto_front({name: (self._value(name), cost) for name, cost in costs.items()})
            for what, costs in (("latency", latency), ("building", building))
        }

    def ranks(self, query_id: str) -> Mapping[str, Mapping[str, int | None]]:
        """Return each relevant document's rank in each system's run; None if not in it."""
        judgments = self.queries[query_id].judgments
        places = {
            name: {
                doc_id: rank for rank, (doc_id, _) in enumerate(run.ranking.get(query_id, ()), 1)
            }
            for name, run in self.runs.items()
        }
        return {
            doc_id: {name: found.get(doc_id) for name, found in places.items()}
            for doc_id, grade in judgments.items()
            if grade > 0
        }

    def winners(self, query_id: str) -> tuple[Sequence[str], float]:
        """Return the best systems for a query in the first measure and their lead over the next.

        The lead is 0 if all are equal.
        """
        values = {name: self.per_query[name][self.measure][query_id] for name in self.rows}
        highest = max(values.values())
        best = [name for name, value in values.items() if value == highest]
        others = [value for value in values.values() if value < highest]
        return best, highest - max(others, default=highest)

    def missed(self) -> Sequence[str]:
        """Return the queries for which no system found a relevant document: check their labels."""
        return [
            query_id
            for query_id, query in self.queries.items()
            if any(grade > 0 for grade in query.judgments.values())
            and all(rank is None for of in self.ranks(query_id).values() for rank in of.values())
        ]

    def largest_differences(self, a: str, b: str) -> Sequence[tuple[str, float]]:
        """Return queries with the first measure of `a` minus that of `b`, largest first.

        Ties keep the order of the queries.

        Raises:
            UnknownNameError: a system is unknown.
        """
        for name in (a, b):
            if name not in self.rows:
                raise unknown_name("system", name, "this comparison", list(self.rows))
        ours, theirs = (self.per_query[name][self.measure] for name in (a, b))
        gains = [(query_id, ours[query_id] - theirs[query_id]) for query_id in self.queries]
        return sorted(gains, key=lambda gain: -gain[1])

    def default_pair(self) -> tuple[str, str] | None:
        """Return the two systems to contrast: the best static and the best contextual one.

        If one of the kinds is missing: the baseline (or else the first) and the best other. None
        with fewer than two systems.
        """
        if len(self.rows) < 2:
            return None
        static, contextual = (self._best(family) for family in ("static", "contextual"))
        if static and contextual:
            return static, contextual
        first = self.baseline or next(iter(self.rows))
        others = [name for name in self.rows if name != first]
        return first, max(others, key=self._value)

    def _best(self, family: str) -> str | None:
        names = [name for name, row in self.rows.items() if row.family == family]
        return max(names, key=self._value) if names else None

    def _value(self, name: str) -> float:
        return self.rows[name].quality[self.measure] if self.judged else 0.0

    def without_texts(self) -> Self:
        """Return a copy with ids in place of the texts and images of queries and documents."""
        queries = {
            query_id: Query(query_id, f"query {query_id}", query.judgments)
            for query_id, query in self.queries.items()
        }
        return replace(self, queries=queries, documents={})
