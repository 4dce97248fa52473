"""The same queries through several indexes of one collection: what each finds and costs."""

from __future__ import annotations

import json
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from itertools import combinations
from pathlib import Path

from indexes.builder import Progress
from indexes.errors import InputError
from retriever import latency
from retriever.collection import Collection
from retriever.embedders import Embedder, Reporting
from retriever.info import IndexInfo, index_notes
from retriever.measures import (
    DEFAULT_MEASURES,
    ann_recall,
    canonical,
    deepest_cutoff,
    drop_self,
    evaluate,
    mean,
    overlap,
    parse_measures,
)
from retriever.report.numbers import many
from retriever.search import DenseRetriever, Run, Timing

__all__ = ["Comparison", "Row", "compare"]

LIBRARIES = ("faiss-cpu", "sentence-transformers", "torch", "gensim", "numpy", "ir-measures")


@dataclass(frozen=True)
class Row:
    """One index in a comparison.

    `quality` maps a measure to its mean over the judged queries; empty without judgments.
    `throughput` is in queries a second, all of them as one batch; times in seconds, sizes in bytes.
    `ann_recall` is the share of the true nearest vectors that the index found, 1 for an exact one.
    Coverages are shares of known words, None for embedders that do not count words.
    """

    name: str
    quality: Mapping[str, float]
    ann_recall: float
    latency: latency.Latency
    throughput: float
    query_coverage: float | None
    index: IndexInfo

    def __getitem__(self, measure: str) -> float:
        """The mean of a measure, such as `row["nDCG@10"]` or `row["recall@10"]`."""
        return self.quality[canonical(measure)]


@dataclass(frozen=True)
class Comparison:
    """The same queries through several indexes; `print` it, or read its fields.

    `per_query` maps index, measure and query id to a value; `pairwise` maps two index names to the
    share of the top `k` that they have in common; `runs` hold the rankings that were judged.
    """

    k: int
    queries: int
    judged: bool
    rows: Mapping[str, Row]
    per_query: Mapping[str, Mapping[str, Mapping[str, float]]]
    pairwise: Mapping[tuple[str, str], float]
    runs: Mapping[str, Run]
    notes: Sequence[str]
    environment: Mapping[str, str]

    def __str__(self) -> str:
        from retriever.report.comparison import plain_comparison

        return plain_comparison(self)

    def to_json(self) -> str:
        """One JSON object a line: an index each, with its quality, its cost and its overlaps."""
        return "\n".join(
            json.dumps(self._object(row), ensure_ascii=False) for row in self.rows.values()
        )

    def write_runs(self, folder: Path) -> list[Path]:
        """Write each run as `folder/INDEX.trec`; the paths.

        Raises:
            InputError: an id that TREC's format cannot hold, or the folder cannot be written to.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None
        paths = {name: folder / f"{name}.trec" for name in self.runs}
        for name, run in self.runs.items():
            run.write(paths[name])
        return list(paths.values())

    def _object(self, row: Row) -> dict[str, object]:
        fields = asdict(row)
        fields["index"]["vectors_shared_with"] = list(row.index.vectors_shared_with)
        overlaps = {
            other: share
            for pair, share in self.pairwise.items()
            for other in pair
            if row.name in pair and other != row.name
        }
        return {
            **fields,
            f"overlap@{self.k}": overlaps,
            "queries": self.queries,
            "environment": dict(self.environment),
        }


def compare(
    collection: Collection,
    indexes: Sequence[str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    *,
    k: int = 10,
    measures: Sequence[str] = DEFAULT_MEASURES,
    progress: Progress | None = None,
) -> Comparison:
    """Ask every index the same queries, judge the answers, and measure what they cost.

    `queries` maps ids to texts; `qrels` maps query ids to graded documents. With judgments, only
    the queries that they name are asked, and hits whose id equals the query's are dropped; without,
    the table has overlap and cost. Measures are trec_eval's, by their ir_measures names.

    Raises:
        InputError: no queries, an empty query, an index named twice, or judgments that name none
            of the queries.
        UnknownNameError: no such index, or no such measure.
    """
    measures = parse_measures(measures)
    retrievers = _retrievers(collection, indexes)
    asked, notes = _asked(queries, qrels)
    judged = {query_id: qrels[query_id] for query_id in asked} if qrels else {}
    notes += _unknown_documents(collection, judged)
    depth = max(k, deepest_cutoff(measures) or 1000) if judged else k
    trials = []
    for done, retriever in enumerate(retrievers, start=1):
        trials.append(_try(retriever, asked, depth, k, judged=bool(judged)))
        if progress:
            progress(done, len(retrievers) + 1)
    latencies = latency.measure(retrievers, list(asked.values()), k)
    infos = {info.name: info for info in collection.info().indexes}
    runs = {trial.run.name: trial.run for trial in trials}
    split = collection.split is not None
    notes += [n for name in runs for n in index_notes(infos[name], collection.path, split=split)]
    per_query = {
        name: evaluate(run.ranking, judged, measures) if judged else {}
        for name, run in runs.items()
    }
    rows = {
        trial.run.name: Row(
            name=trial.run.name,
            quality={name: mean(values) for name, values in per_query[trial.run.name].items()},
            ann_recall=trial.ann_recall,
            latency=latencies[trial.run.name],
            throughput=len(asked) / max(trial.run.timing.total, 1e-9),
            query_coverage=trial.query_coverage,
            index=infos[trial.run.name],
        )
        for trial in trials
    }
    return Comparison(
        k=k,
        queries=len(asked),
        judged=bool(judged),
        rows=rows,
        per_query=per_query,
        pairwise={
            (a, b): overlap(runs[a].ranking, runs[b].ranking, k) for a, b in combinations(runs, 2)
        },
        runs=runs,
        notes=tuple(notes),
        environment=_environment(collection),
    )


@dataclass(frozen=True)
class _Trial:
    """What one index answered to all queries as a batch."""

    run: Run
    ann_recall: float
    query_coverage: float | None


def _try(
    retriever: DenseRetriever, queries: Mapping[str, str], depth: int, k: int, *, judged: bool
) -> _Trial:
    """Ask all queries; with judgments for one hit more each, in case one is the query itself."""
    ids, texts = list(queries), list(queries.values())
    retriever.run(dict(zip(ids[:1], texts[:1], strict=True)), 1)  # opens files before the clock
    started = time.perf_counter()
    vectors = retriever.encode(texts)
    encoding = Timing(time.perf_counter() - started)
    run = retriever.rank(ids, vectors, depth + 1 if judged else depth)
    ranking = run.ranking
    if judged:
        ranking = {query_id: hits[:depth] for query_id, hits in drop_self(ranking).items()}
    return _Trial(
        run=Run(run.name, depth, ranking, encoding + run.timing),
        ann_recall=ann_recall(*retriever.scores(vectors, k), k),
        query_coverage=_coverage(retriever.embedder, texts),
    )


def _coverage(embedder: Embedder, texts: Sequence[str]) -> float | None:
    return embedder.report_queries(texts).coverage if isinstance(embedder, Reporting) else None


def _retrievers(collection: Collection, indexes: Sequence[str]) -> list[DenseRetriever]:
    if isinstance(indexes, str):
        raise InputError(f"The indexes are one text, '{indexes}'; expected a list of their names.")
    if not indexes:
        has = ", ".join(collection.index_names())
        path = collection.path
        raise InputError(
            f"Say which indexes to compare. {path}/ has: {has}."
            if has
            else f"{path}/ has no index yet. "
            f"Build one: retriever build {shlex.quote(str(path))} NAME --embedder KIND:MODEL"
        )
    if len(set(indexes)) < len(indexes):
        raise InputError(f"An index is named twice: {', '.join(indexes)}.")
    return [collection.retriever(name) for name in indexes]


def _asked(
    queries: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]] | None
) -> tuple[dict[str, str], list[str]]:
    """The queries to ask, and notes on those that are left out."""
    if not queries:
        raise InputError("There are no queries to compare with. Give at least one.")
    if qrels is None:
        return dict(queries), []
    asked = {query_id: text for query_id, text in queries.items() if query_id in qrels}
    if not asked:
        given = many(len(queries), "query", "queries")
        raise InputError(
            f"The judgments name none of the {given} given: they name {_some(list(qrels))}; "
            f"given were {_some(list(queries))}. Give the queries and qrels of one collection."
        )
    notes = []
    if left_out := len(queries) - len(asked):
        unjudged = many(left_out, "query without judgments was", "queries without judgments were")
        notes.append(f"{unjudged} not asked.")
    if textless := [query_id for query_id in qrels if query_id not in queries]:
        judged = many(len(textless), "judged query has", "judged queries have")
        notes.append(f"{judged} no text, left out: {_some(textless)}.")
    return asked, notes


def _unknown_documents(collection: Collection, qrels: Mapping[str, Mapping[str, int]]) -> list[str]:
    judged = dict.fromkeys(
        doc_id for grades in qrels.values() for doc_id, grade in grades.items() if grade > 0
    )
    unknown = collection.unknown_ids(list(judged))
    if not unknown:
        return []
    relevant = many(len(unknown), "relevant document is", "relevant documents are")
    return [f"{relevant} not in the collection: {_some(unknown)}."]


def _some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3]) or 'none'}{more}"


def _environment(collection: Collection) -> dict[str, str]:
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return {
        "collection": many(len(collection), "document", "documents"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {_cores()} cores",
        **versions,
    }


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
