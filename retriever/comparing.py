"""Ask several systems the same queries, judge the answers, and measure what they cost."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import TypeVar

from indexes.builder import Progress
from indexes.errors import InputError, unknown_name
from retriever import latency, significance
from retriever.agreement import mean_rbo
from retriever.building import DEFAULT_LANGUAGE
from retriever.certificate import environment_of, with_parts
from retriever.collection import Collection
from retriever.comparison import Agreement, Comparison, Cost, Excerpt, Query, Row
from retriever.cost import cost_of, leaves, open_memory
from retriever.embedders import Embedder, Reporting
from retriever.embedders.base import WordCounting
from retriever.finders import DenseFinder
from retriever.info import IndexInfo, index_notes
from retriever.measures import (
    DEFAULT_MEASURES,
    ann_recall,
    deepest_cutoff,
    drop_self,
    evaluate,
    mean,
    overlap,
    parse_measures,
)
from retriever.report.numbers import many
from retriever.search import Retriever, Run
from retriever.significance import Difference
from retriever.why import SharedWords, excerpt

__all__ = ["compare"]

Result = TypeVar("Result")
Qrels = Mapping[str, Mapping[str, int]]

# Where a measure looks at the whole run.
WHOLE_RUN = 1_000
KINDS = {"flat": "exact", "ann": "ann", "lexical": "lexical"}


def compare(
    collection: Collection,
    indexes: Sequence[str],
    queries: Mapping[str, str],
    qrels: Qrels | None = None,
    *,
    k: int = 10,
    measures: Sequence[str] = DEFAULT_MEASURES,
    baseline: str | None = None,
    runs: Mapping[str, Run] | None = None,
    keep_self: bool = False,
    memory: bool = False,
    seed: int = significance.SEED,
    command: str = "",
    progress: Progress | None = None,
) -> Comparison:
    """Ask every index the same queries, judge the answers, and measure what they cost.

    `queries` maps ids to texts; `qrels` maps query ids to graded documents. With judgments, only
    the queries that they name are asked, and hits whose id equals the query's are dropped, unless
    `keep_self`; without, there are agreement and cost. Measures are trec_eval's, by their
    ir_measures names. `runs` are other systems' answers, by name, which join the same table. With a
    `baseline`, every other system is compared with it, see `significance.differences`; `seed` is
    that of its resampling. `memory` also measures what each system holds when it is open, in a
    fresh process each. `command` says in the birth certificate how this was called.

    Raises:
        InputError: no queries, an empty query, a system named twice, a baseline without judgments,
            or judgments that name none of the queries.
        UnknownNameError: no such index, no such measure, or the baseline is none of the systems.
    """
    measures = parse_measures(measures)
    runs = dict(runs or {})
    retrievers = _retrievers(collection, indexes, runs)
    names = [*(retriever.name for retriever in retrievers), *runs]
    if baseline is not None and baseline not in names:
        raise unknown_name("system", baseline, "this comparison", names)
    if baseline is not None and qrels is None:
        raise InputError("A baseline needs judgments to compare by. Give qrels, or leave it out.")
    asked, notes = _asked(queries, qrels)
    judged = {query_id: qrels[query_id] for query_id in asked} if qrels else {}
    notes += _unknown_documents(collection, judged)
    depth = max(k, deepest_cutoff(measures) or WHOLE_RUN) if judged else k
    drops = bool(judged) and not keep_self
    steps = _Steps(progress, len(retrievers) * (2 if memory else 1) + 2)
    trials = [steps.done(_try(one, asked, depth, k, drops=drops)) for one in retrievers]
    answers = {trial.run.name: trial.run for trial in trials}
    answers |= {name: _taken_in(run, name, asked, drops=drops) for name, run in runs.items()}
    notes += [note for name in runs for note in _silent_queries(answers[name], asked)]
    latencies = steps.done(latency.measure(retrievers, list(asked.values()), k))
    first = next(iter(asked.values()))
    held = {
        one.name: steps.done(open_memory(collection, one.name, first)) if memory else None
        for one in retrievers
    }
    info = collection.info()
    infos = {one.name: one for one in info.indexes}
    split = collection.split is not None
    asked_of = dict.fromkeys(leaf for t in trials for leaf in leaves(t.run.name, infos))
    notes += [n for leaf in asked_of for n in index_notes(infos[leaf], info.path, split=split)]
    per_query = {
        name: evaluate(run.ranking, judged, measures) if judged else {}
        for name, run in answers.items()
    }
    differing = _differences(per_query, measures, baseline, seed)
    rows = {
        trial.run.name: _row(
            trial,
            infos,
            cost_of(trial.run.name, infos, info.documents, held[trial.run.name]),
            latencies[trial.run.name],
            per_query[trial.run.name],
            judged,
            measures,
        )
        for trial in trials
    }
    rows |= {name: _run_row(name, per_query[name]) for name in runs}
    documents = _documents(collection, answers, judged, k)
    shared = SharedWords(documents, _language([infos[leaf] for leaf in asked_of]))
    return steps.done(
        Comparison(
            k=k,
            measures=measures if judged else (),
            baseline=baseline,
            rows={name: replace(row, differences=differing[name]) for name, row in rows.items()},
            per_query=per_query,
            pairwise={
                pair: _agreement(answers[pair[0]], answers[pair[1]], k)
                for pair in combinations(answers, 2)
            },
            runs=answers,
            queries=_queries(retrievers, answers, asked, judged, shared, k),
            documents=documents,
            notes=tuple(notes),
            environment=environment_of(
                collection,
                [one for t in trials for one in with_parts(t.run.name, infos)],
                asked,
                judged,
                seed,
                command,
            ),
        )
    )


@dataclass
class _Steps:
    """Counts what is done, for whoever watches."""

    progress: Progress | None
    total: int
    count: int = 0

    def done(self, result: Result) -> Result:
        """Hand a result on, and say that it is there."""
        self.count += 1
        if self.progress:
            self.progress(self.count, self.total)
        return result


@dataclass(frozen=True)
class _Trial:
    """What one system answered to all queries as a batch; `exact` is what its vectors could."""

    retriever: Retriever
    run: Run
    exact: Run | None
    ann_recall: float | None
    query_coverage: float | None


def _try(
    retriever: Retriever, queries: Mapping[str, str], depth: int, k: int, *, drops: bool
) -> _Trial:
    """Ask all queries; for one hit more each, in case one is the query itself."""
    first = next(iter(queries.items()))
    retriever.run(dict([first]), 1)  # opens files before the clock
    wanted = depth + 1 if drops else depth
    encoded, run = retriever.encode_and_run(queries, wanted)
    exact = recall = coverage = None
    finder = retriever.finder
    if isinstance(finder, DenseFinder):
        by_force = replace(retriever, finder=replace(finder, exact=True))
        exact = by_force.rank(list(queries), encoded, wanted)
        recall = ann_recall(_scores(run), _scores(exact), k)
        coverage = _coverage(finder.embedder, list(queries.values()))
        exact = _cut(exact, depth, drops=drops)
    return _Trial(retriever, _cut(run, depth, drops=drops), exact, recall, coverage)


def _scores(run: Run) -> list[list[float]]:
    return [[score for _, score in hits] for hits in run.ranking.values()]


def _cut(run: Run, depth: int, *, drops: bool) -> Run:
    ranking = drop_self(run.ranking) if drops else run.ranking
    return replace(run, k=depth, ranking={key: hits[:depth] for key, hits in ranking.items()})


def _taken_in(run: Run, name: str, asked: Mapping[str, str], *, drops: bool) -> Run:
    """A run from elsewhere, for the queries that are asked, under the name it was given."""
    ranking = {query_id: run.ranking.get(query_id, []) for query_id in asked}
    return Run(name, run.k, drop_self(ranking) if drops else ranking)


def _coverage(embedder: Embedder, texts: Sequence[str]) -> float | None:
    return embedder.report_queries(texts).coverage if isinstance(embedder, Reporting) else None


def _differences(
    per_query: Mapping[str, Mapping[str, Mapping[str, float]]],
    measures: Sequence[str],
    baseline: str | None,
    seed: int,
) -> dict[str, dict[str, Difference]]:
    """Each system's differences from the baseline, measure by measure."""
    found: dict[str, dict[str, Difference]] = {name: {} for name in per_query}
    if baseline is None:
        return found
    for measure in measures:
        others = {name: of[measure] for name, of in per_query.items() if name != baseline}
        told = significance.differences(per_query[baseline][measure], others, seed=seed)
        for name, difference in told.items():
            found[name][measure] = difference
    return found


def _row(
    trial: _Trial,
    infos: Mapping[str, IndexInfo],
    cost: Cost,
    took: latency.Latency,
    per_query: Mapping[str, Mapping[str, float]],
    judged: Qrels,
    measures: Sequence[str],
) -> Row:
    info = infos[trial.run.name]
    exact_quality: dict[str, float] = {}
    if info.kind == "ann" and trial.exact is not None and judged:
        exact = evaluate(trial.exact.ranking, judged, measures)
        exact_quality = {measure: mean(values) for measure, values in exact.items()}
    combined = "cascaded" if info.options.get("cascade") else "fused"
    structure = f", {info.factory}" if info.kind == "ann" else ""
    return Row(
        name=info.name,
        kind=KINDS.get(info.kind, combined),
        family=_family(info),
        description=f"{info.embedder}{structure}",
        quality={measure: mean(values) for measure, values in per_query.items()},
        exact_quality=exact_quality,
        ann_recall=trial.ann_recall,
        differences={},
        latency=took,
        throughput=len(trial.run.ranking) / max(trial.run.timing.total, 1e-9),
        cost=cost,
        query_coverage=trial.query_coverage,
        corpus_coverage=info.text.coverage,
        index=info,
    )


def _family(info: IndexInfo) -> str:
    if info.kind in ("lexical", "combined"):
        return info.kind
    return info.embedder.partition(":")[0]


def _run_row(name: str, per_query: Mapping[str, Mapping[str, float]]) -> Row:
    return Row(
        name=name,
        kind="run",
        family="run",
        description="a run from elsewhere",
        quality={measure: mean(values) for measure, values in per_query.items()},
        exact_quality={},
        ann_recall=None,
        differences={},
        latency=None,
        throughput=None,
        cost=None,
        query_coverage=None,
        corpus_coverage=None,
    )


def _agreement(a: Run, b: Run, k: int) -> Agreement:
    first, second = (
        {query_id: hits[:k] for query_id, hits in run.ranking.items()} for run in (a, b)
    )
    return Agreement(overlap(first, second, k), mean_rbo(first, second))


def _documents(
    collection: Collection, runs: Mapping[str, Run], judged: Qrels, k: int
) -> dict[str, Excerpt]:
    """Excerpts of what stands in a top `k`, or is judged relevant; what is not there, left out."""
    found = (
        doc_id for run in runs.values() for hits in run.ranking.values() for doc_id, _ in hits[:k]
    )
    relevant = (d for grades in judged.values() for d, grade in grades.items() if grade > 0)
    wanted = list(dict.fromkeys(chain(found, relevant)))
    return {
        document.doc_id: excerpt(document.title, document.text)
        for document in collection.documents_of(wanted)
    }


def _language(leaves: Sequence[IndexInfo]) -> str:
    """Whose stems tell which words are the same: BM25's, where it is among the systems."""
    languages = [str(info.options["language"]) for info in leaves if info.kind == "lexical"]
    return languages[0] if languages else DEFAULT_LANGUAGE


def _queries(
    retrievers: Sequence[Retriever],
    runs: Mapping[str, Run],
    asked: Mapping[str, str],
    judged: Qrels,
    shared: SharedWords,
    k: int,
) -> dict[str, Query]:
    """Each query with what explains its answers."""
    texts = list(asked.values())
    unknown = {
        retriever.name: retriever.finder.embedder.unknown_words(texts)
        for retriever in retrievers
        if isinstance(retriever.finder, DenseFinder)
        and isinstance(retriever.finder.embedder, WordCounting)
    }
    queries = {}
    for place, (query_id, text) in enumerate(asked.items()):
        shown = {d for run in runs.values() for d, _ in run.ranking.get(query_id, ())[:k]}
        judgments = dict(judged.get(query_id, {}))
        queries[query_id] = Query(
            query_id=query_id,
            text=text,
            judgments=judgments,
            unknown={name: of[place] for name, of in unknown.items() if of[place]},
            matched=shared.of(text, sorted(shown | judgments.keys())),
        )
    return queries


def _retrievers(
    collection: Collection, indexes: Sequence[str], runs: Mapping[str, Run]
) -> list[Retriever]:
    if isinstance(indexes, str):
        raise InputError(f"The indexes are one text, '{indexes}'; expected a list of their names.")
    if not indexes and not runs:
        has = ", ".join(collection.index_names())
        path = collection.path
        raise InputError(
            f"Say which indexes to compare. {path}/ has: {has}."
            if has
            else f"{path}/ has no index yet. "
            f"Build one: retriever build {shlex.quote(str(path))} NAME --embedder KIND:MODEL"
        )
    names = [*indexes, *runs]
    if len(set(names)) < len(names):
        raise InputError(
            f"A system is named twice: {', '.join(names)}. A run goes by its file's name: leave "
            "one out, or give the file another name."
            if runs.keys() & set(indexes)
            else f"An index is named twice: {', '.join(names)}."
        )
    return [collection.retriever(name) for name in indexes]


def _asked(queries: Mapping[str, str], qrels: Qrels | None) -> tuple[dict[str, str], list[str]]:
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
    if unjudged := [query_id for query_id in queries if query_id not in qrels]:
        were = many(len(unjudged), "query without judgments was", "queries without judgments were")
        notes.append(f"{were} not asked: {_some(unjudged)}.")
    if textless := [query_id for query_id in qrels if query_id not in queries]:
        judged = many(len(textless), "judged query has", "judged queries have")
        notes.append(f"{judged} no text, left out: {_some(textless)}.")
    return asked, notes


def _silent_queries(run: Run, asked: Mapping[str, str]) -> list[str]:
    silent = [query_id for query_id in asked if not run.ranking.get(query_id)]
    if not silent:
        return []
    queries = many(len(silent), "query", "queries")
    return [f"Run '{run.name}' has no hits for {queries}, which count 0: {_some(silent)}."]


def _unknown_documents(collection: Collection, qrels: Qrels) -> list[str]:
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
