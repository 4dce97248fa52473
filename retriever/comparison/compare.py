"""Ask several systems the same queries, judge the answers, and measure what they cost."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from indexes.catalog.kinds import kind_of
from indexes.errors import InputError, unknown_name
from indexes.progress import Progress
from retriever.collection import Collection
from retriever.comparison import latency
from retriever.comparison.cost import cost_of, open_memory
from retriever.comparison.environment import collect_environment
from retriever.comparison.system_run import (
    SystemRun,
    import_run,
    run_system,
    self_notes,
    unanswered_notes,
)
from retriever.comparison.test_set import Qrels, TestSet
from retriever.embedders.base import WordCounting
from retriever.evaluation import significance
from retriever.evaluation.measures import DEFAULT_MEASURES, evaluate, means, overlap
from retriever.evaluation.rank_biased_overlap import disagreement, mean_rbo
from retriever.evaluation.results import Agreement, Comparison, Cost, Excerpt, Query, Row
from retriever.evaluation.shared_words import SharedWords, excerpt
from retriever.evaluation.significance import Difference
from retriever.indexing.builder import DEFAULT_LANGUAGE
from retriever.indexing.info import IndexInfo, index_notes, with_parts
from retriever.search.finders import DenseFinder
from retriever.search.results import Run
from retriever.search.retriever import Retriever

Result = TypeVar("Result")
PerQuery = Mapping[str, Mapping[str, float]]

# Excerpts that a comparison holds: some 20 MB.
MOST_EXCERPTS = 50_000
KINDS = {"flat": "exact", "ann": "ann", "lexical": "lexical"}
# Kinds of embedders that read a word in its sentence.
CONTEXTUAL_KINDS = {"elmo": "contextual"}


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
    runs = dict(runs or {})
    retrievers = _retrievers(collection, indexes, runs)
    _check_baseline(baseline, [*(one.name for one in retrievers), *runs], qrels)
    asked = TestSet.of(collection, queries, qrels, measures=measures, k=k, keep_self=keep_self)
    steps = _Steps(progress, len(retrievers) * (2 if memory else 1) + 2)
    trials = [steps.done(run_system(one, asked)) for one in retrievers]
    answers = {trial.run.name: trial.run for trial in trials}
    answers |= {name: import_run(run, name, asked) for name, run in runs.items()}
    latencies = steps.done(latency.measure(retrievers, asked.texts, k))
    held = {
        one.name: steps.done(open_memory(collection, one.name, asked.texts[0])) if memory else None
        for one in retrievers
    }
    info = collection.info()
    infos = {one.name: one for one in info.indexes}
    per_query = {
        name: evaluate(run.ranking, asked.qrels, asked.measures) if asked.qrels else {}
        for name, run in answers.items()
    }
    rows = {name: _run_row(name, per_query[name]) for name in answers}
    for trial in trials:
        name = trial.run.name
        cost = cost_of(name, infos, info.documents, held[name])
        rows[name] = _row(trial, infos[name], cost, latencies[name], per_query[name], asked)
    differing = _differences(per_query, asked.measures, baseline, seed)
    documents = _documents(collection, answers, asked)
    parts = _with_parts([trial.run.name for trial in trials], infos)
    shared = SharedWords(documents, _language(parts))
    silent = [note for name in runs for note in unanswered_notes(answers[name])]
    split = collection.split is not None
    leaves = [part for part in parts if not part.parts]
    known = [note for leaf in leaves for note in index_notes(leaf, info.path, split=split)]
    return steps.done(
        Comparison(
            k=k,
            measures=asked.measures,
            baseline=baseline,
            rows={name: replace(row, differences=differing[name]) for name, row in rows.items()},
            per_query=per_query,
            pairwise={
                pair: _agreement(answers[pair[0]], answers[pair[1]], k)
                for pair in combinations(answers, 2)
            },
            runs=answers,
            queries=_queries(retrievers, answers, asked, shared),
            documents=documents,
            notes=(
                *asked.notes,
                *self_notes(asked),
                *silent,
                *known,
                *_depth_notes(parts, asked),
                *_seeded(baseline, seed),
            ),
            environment=collect_environment(
                collection, parts, asked.queries, asked.qrels, seed, command
            ),
        )
    )


def _check_baseline(baseline: str | None, names: Sequence[str], qrels: Qrels | None) -> None:
    if baseline is not None and baseline not in names:
        raise unknown_name("system", baseline, "this comparison", names)
    if baseline is not None and qrels is None:
        raise InputError("A baseline needs judgments to compare by. Give qrels, or leave it out.")


def _with_parts(names: Sequence[str], infos: Mapping[str, IndexInfo]) -> list[IndexInfo]:
    """Some indexes and what they are made of, parts first, each once."""
    found = (one for name in names for one in with_parts(name, infos))
    return list({one.name: one for one in found}.values())


def _depth_notes(parts: Sequence[IndexInfo], asked: TestSet) -> list[str]:
    """Says of combinations that they do not look as deep as the measures do."""
    return [
        f"'{info.name}' asks its parts for {info.options['depth']} documents each; the measures "
        f"look {asked.depth} deep."
        for info in parts
        if info.parts and asked.qrels and info.options["depth"] < asked.depth
    ]


def _seeded(baseline: str | None, seed: int) -> list[str]:
    if baseline is None:
        return []
    return [
        f"Intervals are of {significance.RESAMPLES:,} bootstrap resamples, p of "
        f"{significance.FLIPS:,} sign flips (of all, up to 16 queries), corrected "
        f"by Holm over the systems of each measure; seed {seed}."
    ]


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
    trial: SystemRun,
    info: IndexInfo,
    cost: Cost,
    took: latency.Latency,
    per_query: PerQuery,
    asked: TestSet,
) -> Row:
    combined = "cascaded" if info.options.get("cascade") else "fused"
    structure = f", {info.factory}" if kind_of(info.kind).has_structure else ""
    return Row(
        name=info.name,
        kind=KINDS.get(info.kind, combined),
        family=_family(info),
        description=f"{info.description}{structure}",
        quality=means(per_query),
        exact_quality=_exact_quality(trial, asked) if kind_of(info.kind).has_structure else {},
        ann_recall=trial.ann_recall,
        differences={},
        latency=took,
        throughput=len(trial.run.ranking) / max(trial.run.timing.total, 1e-9),
        cost=cost,
        query_coverage=trial.query_coverage,
        corpus_coverage=info.text.coverage,
        index=info,
    )


def _exact_quality(trial: SystemRun, asked: TestSet) -> dict[str, float]:
    """What exact search over the same vectors reaches."""
    if trial.exact is None or not asked.qrels:
        return {}
    return means(evaluate(trial.exact.ranking, asked.qrels, asked.measures))


def _family(info: IndexInfo) -> str:
    if not kind_of(info.kind).has_vectors:
        return info.kind
    kind = info.embedder.partition(":")[0]
    return CONTEXTUAL_KINDS.get(kind, kind)


def _run_row(name: str, per_query: PerQuery) -> Row:
    return Row(
        name=name,
        kind="run",
        family="run",
        description="a run from elsewhere",
        quality=means(per_query),
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
    collection: Collection, runs: Mapping[str, Run], asked: TestSet
) -> dict[str, Excerpt]:
    """Excerpts of what stands in a top `k`, or is judged relevant; what is not there, left out.

    Of very many queries, those on which the systems disagree most come first.
    """
    rankings = {name: run.ranking for name, run in runs.items()}
    disputed = disagreement(rankings, asked.k) if len(runs) > 1 else ()
    order = dict.fromkeys([*(query_id for query_id, _ in disputed), *asked.queries])
    wanted: dict[str, None] = {}
    for query_id in order:
        if len(wanted) >= MOST_EXCERPTS:
            break
        grades = asked.qrels.get(query_id, {})
        wanted |= dict.fromkeys(doc_id for doc_id, grade in grades.items() if grade > 0)
        for ranking in rankings.values():
            wanted |= dict.fromkeys(doc_id for doc_id, _ in ranking.get(query_id, ())[: asked.k])
    return {
        document.doc_id: excerpt(document.title, document.text)
        for document in collection.documents_of(list(wanted))
    }


def _language(leaves: Sequence[IndexInfo]) -> str:
    """Whose stems tell which words are the same: BM25's, where it is among the systems."""
    languages = [str(info.options["language"]) for info in leaves if kind_of(info.kind).is_lexical]
    return languages[0] if languages else DEFAULT_LANGUAGE


def _queries(
    retrievers: Sequence[Retriever],
    runs: Mapping[str, Run],
    asked: TestSet,
    shared: SharedWords,
) -> dict[str, Query]:
    """Each query with what explains its answers."""
    texts = asked.texts
    unknown = {
        retriever.name: retriever.finder.embedder.unknown_words(texts)
        for retriever in retrievers
        if isinstance(retriever.finder, DenseFinder)
        and isinstance(retriever.finder.embedder, WordCounting)
    }
    queries = {}
    for place, (query_id, text) in enumerate(asked.queries.items()):
        shown = {d for run in runs.values() for d, _ in run.ranking.get(query_id, ())[: asked.k]}
        judgments = {d: int(grade) for d, grade in asked.qrels.get(query_id, {}).items()}
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
