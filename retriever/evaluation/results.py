"""The same queries through several systems: what each found, what is chance, what it costs, why.

These are the values; `comparing.compare` makes them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexes.errors import InputError, unknown_name
from retriever.comparison.latency import Latency
from retriever.evaluation.measures import canonical
from retriever.evaluation.pareto import pareto_front
from retriever.evaluation.significance import Difference
from retriever.formats import write_label_file
from retriever.indexing.info import IndexInfo
from retriever.search.results import Run

# Queries that a label file asks about, where nobody says how many.
QUERIES_TO_LABEL = 20
UNFIT = re.compile(r'[\s/\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class Cost:
    """What a system costs to build and to keep; a combined one, what its parts cost together.

    Seconds, bytes, and rates a second. `tokens_per_second` are words for static embedders, word
    pieces for contextual ones; None where nobody counted. `building_memory` is the most that the
    building process held, `open_memory` what a fresh process holds with it open and one query
    answered, above what it held before; None where they were not measured.
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
        """Embedding and indexing together."""
        return self.embedding_seconds + self.indexing_seconds


@dataclass(frozen=True)
class Row:
    """One system in a comparison: an index, a combination of some, or a run from elsewhere.

    `kind` is `exact`, `ann`, `lexical`, `fused`, `cascaded` or `run`; `family` is `static`,
    `contextual`, `hashing`, `custom`, `lexical`, `combined` or `run`; `description` says the rest,
    such as `static:glove-6b-50d`, `bm25 + minilm, reciprocal rank`.

    `quality` maps a measure to its mean over the judged queries; empty without judgments.
    `exact_quality` is what exact search over the same vectors reaches: given for `ann` only, where
    the difference to `quality` is what the index lost, and the rest is the embedding's.
    `ann_recall` is the share of the exact top k that was found, 1.0 for an exact index; None where
    there are no vectors of its own. `differences` compare with the baseline, measure by measure:
    empty without one, and for the baseline itself.

    `throughput` is in queries a second, all of them as one batch. A run from elsewhere has neither
    latency nor throughput nor cost. Coverages are shares of known words in queries and corpus, None
    for systems that do not count words. `index` is all that is known of the index.
    """

    name: str
    kind: str
    family: str
    description: str
    quality: Mapping[str, float]
    exact_quality: Mapping[str, float]
    ann_recall: float | None
    differences: Mapping[str, Difference]
    latency: Latency | None
    throughput: float | None
    cost: Cost | None
    query_coverage: float | None
    corpus_coverage: float | None
    index: IndexInfo | None = None

    def __getitem__(self, measure: str) -> float:
        """The mean of a measure, such as `row["nDCG@10"]` or `row["recall@10"]`."""
        return self.quality[canonical(measure)]


@dataclass(frozen=True)
class Agreement:
    """How alike two systems' answers are: `overlap` of the top k, and rank-biased overlap of it."""

    overlap: float
    rbo: float


@dataclass(frozen=True)
class Excerpt:
    """The beginning of a document, for people to read."""

    title: str
    text: str


@dataclass(frozen=True)
class Query:
    """One query: its text, its judgments (doc_id to grade), and what explains its answers.

    `unknown` maps a system that counts words to the query's words that it does not know; `matched`
    are the words of found or judged documents, lower-cased, that are the query's own or other forms
    of them.
    """

    query_id: str
    text: str
    judgments: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, Sequence[str]] = field(default_factory=dict)
    matched: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Comparison:
    """The same queries through several systems; `print` it, write it, or read its fields.

    `measures` are ir_measures' names, the first of them the one that wins go by; `per_query` maps
    system, measure and query id to a value; `pairwise` maps two names to how alike their answers
    are; `runs` hold the rankings that were judged, `queries` the queries by id, in order;
    `documents` excerpts of those that a system has in its top `k`, or that were judged relevant.
    `environment` is the birth certificate: versions, machine, checksums, seed, the command.
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

    def __str__(self) -> str:
        from retriever.report.terminal.comparison import plain_comparison

        return plain_comparison(self)

    @property
    def judged(self) -> bool:
        """Whether there are judgments, and so qualities."""
        return bool(self.measures)

    @property
    def measure(self) -> str:
        """The measure that wins and contrasts go by: the first.

        Raises:
            InputError: there are no judgments.
        """
        if not self.judged:
            raise InputError("There are no judgments to go by. Give qrels, or a label file.")
        return self.measures[0]

    # -- what to read off -----------------------------------------------------------------------

    def agreement(self, a: str, b: str) -> Agreement:
        """How alike the answers of two systems are, in whichever order they are named."""
        return self.pairwise[(a, b)] if (a, b) in self.pairwise else self.pairwise[(b, a)]

    def fronts(self) -> Mapping[str, Sequence[str]]:
        """The systems that no other beats in quality at the same or a lower cost, cheapest first.

        `latency`: the first measure against the median milliseconds of a query; `building`: against
        the seconds that embedding and indexing took. Empty without judgments.
        """
        if not self.judged:
            return {}
        latency = {
            name: (row.quality[self.measure], row.latency.total.p50)
            for name, row in self.rows.items()
            if row.latency
        }
        building = {
            name: (row.quality[self.measure], row.cost.building_seconds)
            for name, row in self.rows.items()
            if row.cost
        }
        return {"latency": pareto_front(latency), "building": pareto_front(building)}

    def ranks(self, query_id: str) -> Mapping[str, Mapping[str, int | None]]:
        """For each relevant document of a query, its rank in each system's run; None: not in it."""
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
        """The systems that are best at a query in the first measure, and their lead over the next.

        The lead is 0 where all are alike.
        """
        values = {name: self.per_query[name][self.measure][query_id] for name in self.rows}
        highest = max(values.values())
        others = [value for value in values.values() if value < highest]
        return [name for name, value in values.items() if value == highest], (
            highest - max(others) if others else 0.0
        )

    def missed(self) -> Sequence[str]:
        """The queries of which no system found any relevant document: check the label."""
        return [
            query_id
            for query_id, query in self.queries.items()
            if any(grade > 0 for grade in query.judgments.values())
            and all(rank is None for of in self.ranks(query_id).values() for rank in of.values())
        ]

    def largest_differences(self, a: str, b: str) -> Sequence[tuple[str, float]]:
        """Queries with the value of `a` less that of `b` in the first measure, largest first.

        Ties keep the order of the queries.

        Raises:
            UnknownNameError: no such system.
        """
        for name in (a, b):
            if name not in self.rows:
                raise unknown_name("system", name, "this comparison", list(self.rows))
        ours, theirs = (self.per_query[name][self.measure] for name in (a, b))
        gains = [(query_id, ours[query_id] - theirs[query_id]) for query_id in self.queries]
        return sorted(gains, key=lambda gain: -gain[1])

    def default_pair(self) -> tuple[str, str] | None:
        """The two systems that are set against each other: the best static and contextual ones.

        Where one of the kinds is missing, the baseline (or else the first) and the best other. None
        where there are not two.
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

    def without_texts(self) -> Comparison:
        """The same numbers with ids only: what may be shown where queries and documents may not."""
        queries = {
            query_id: Query(query_id, f"query {query_id}", query.judgments)
            for query_id, query in self.queries.items()
        }
        return replace(self, queries=queries, documents={})

    # -- out of here ----------------------------------------------------------------------------

    def to_json(self) -> str:
        """One JSON object a line: a system each, with its quality, its cost and its agreements."""
        from retriever.report.exports import json_lines

        return json_lines(self)

    def to_csv(self) -> str:
        """Comma-separated values: a line for every number, under `system,what,value`."""
        from retriever.report.exports import csv_lines

        return csv_lines(self)

    def to_pandas(self) -> Any:
        """A pandas DataFrame: a system a row, a number a column, named as in `to_csv`.

        Raises:
            InputError: pandas is not installed.
        """
        from retriever.report.exports import data_frame

        return data_frame(self)

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """One self-contained page: tables, plots, every query with its answers.

        Raises:
            InputError: the file cannot be written.
        """
        from retriever.report.html.page import write_page

        write_page(self, path)

    def write_label_file(
        self, path: str | os.PathLike[str], queries: int = QUERIES_TO_LABEL
    ) -> int:
        """Write what to judge first, as a CSV file to fill in; how many documents those are.

        The top `k` of every system for the queries on which they disagree most; `read_qrels` reads
        the file with its grades back.

        Raises:
            InputError: fewer than two systems, or the file is there or cannot be written.
        """
        from retriever.evaluation.pooling import judgment_pool

        rows = list(judgment_pool(self, queries))
        write_label_file(path, rows)
        return len(rows)

    def write_runs(self, folder: Path) -> list[Path]:
        """Write each run as `folder/NAME.trec`; the paths.

        In the name of a run from elsewhere, `_` stands for what no file's name can hold, and for
        white space.

        Raises:
            InputError: an id that TREC's format cannot hold, or the folder cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None
        names = {name: UNFIT.sub("_", name) for name in self.runs}
        if len(set(names.values())) < len(names):
            raise InputError(f"Two of the runs would get one file: {', '.join(names)}.")
        paths = {name: folder / f"{fit}.trec" for name, fit in names.items()}
        for name, run in self.runs.items():
            replace(run, name=names[name]).write(paths[name])
        return list(paths.values())
