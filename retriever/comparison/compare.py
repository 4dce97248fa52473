"""Compare systems: run the same queries, evaluate the answers, measure latency and cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from indexes.catalog.records import kind_of
from indexes.errors import InputError, check_seed, check_text, short_repr, unknown_name
from indexes.images import Image
from indexes.progress import Progress
from indexes.text.compounds import Compounds
from retriever.advice import shell_command
from retriever.collection import Collection
from retriever.comparison import latency
from retriever.comparison.comparison import Comparison
from retriever.comparison.cost import cost_of, open_memory
from retriever.comparison.environment import collect_environment
from retriever.comparison.given import given_notes, given_queries, retrievers_of
from retriever.comparison.load import LoadMeter
from retriever.comparison.made import Asked
from retriever.comparison.notes import comparison_notes, judged_notes
from retriever.comparison.reranked import Reranked
from retriever.comparison.statistics import (
    PerQuery,
    agreements,
    differences_by_system,
    judged_shares,
    pairs_by_system,
)
from retriever.comparison.system_run import SystemRun, import_run, run_system
from retriever.comparison.test_set import TestSet
from retriever.embedders.base import WordCounting
from retriever.embedders.static.embedder import StaticEmbedder
from retriever.evaluation import significance
from retriever.evaluation.inputs import GivenQrels, GivenRun, run_of
from retriever.evaluation.measures import evaluate, means
from retriever.evaluation.rank_biased_overlap import disagreement
from retriever.evaluation.results import ESCALATED, Cost, Excerpt, Latency, Query, Row
from retriever.evaluation.shared_words import SharedWords, excerpt
from retriever.evaluation.verdict import verdict_of
from retriever.formats.vectors.reading import VectorSource
from retriever.indexing.builder import DEFAULT_LANGUAGE
from retriever.indexing.info import CONTEXTUAL_FAMILIES, IndexInfo
from retriever.indexing.inspection import ESCALATE, with_parts
from retriever.indexing.reranker_pool import RERANKER
from retriever.notebooks import progress_or
from retriever.search.combinations.fusion import DEPTH
from retriever.search.finders import DenseFinder
from retriever.search.frames import DataFrame, expect_mapping, queries_of
from retriever.search.queries import Queries, query_text
from retriever.search.results import Run
from retriever.search.retriever import Retriever

Result = TypeVar("Result")

# Most excerpts in a comparison: about 20 MB.
MOST_EXCERPTS = 50_000
KINDS = {"flat": "exact", "ann": "ann", "lexical": "lexical"}


def compare(
    collection: Collection,
    indexes: Sequence[str],
    queries: Mapping[Any, str | Image] | DataFrame,
    qrels: GivenQrels | None = None,
    *,
    k: int = 10,
    measures: Sequence[str] | None = None,
    baseline: str | None = None,
    runs: Mapping[str, GivenRun] | None = None,
    drop_self: bool = False,
    memory: bool = False,
    pairs: bool = False,
    rerank_by: str | None = None,
    rerank_depth: int = DEPTH,
    rerank_options: Mapping[str, Any] | None = None,
    vectors: Mapping[str, VectorSource] | None = None,
    seed: int = significance.SEED,
    command: str = "",
    progress: Progress | None = None,
) -> Comparison:
    """Run the same queries on every index, evaluate the answers and measure their cost.

    `queries` maps ids to texts or to images (`Image.of(path)`), or is a DataFrame (`queries_of`);
    `qrels` maps query ids to graded documents. With judgments, only judged queries are run;
    without, the comparison has agreement and cost only. Queries of `make_queries` need none: each
    system is asked for the rest of the document that a query was made of, ranked among all other
    documents; see `known_items.finders`. Measures (by default `DEFAULT_MEASURES`, or for such
    queries `KNOWN_ITEM_MEASURES`) are trec_eval's, by their
    ir_measures names, and so is the order of equal scores in every run (`measures.trec_order`),
    also of those that tie at the cutoff. With `drop_self`, hits whose id equals the query's are
    dropped: for queries that are documents of the collection. `runs` are other systems' answers by
    name, which join the same table. `qrels` and `runs` have any form that `inputs.qrels_of` and
    `inputs.run_of` take. With a `baseline`, every other system is compared with it, see
    `significance.differences`; `seed` seeds its resampling. `pairs` also compares all systems with
    each other, see `significance.all_pairs`. With `rerank_by`, such as `cross-encoder:MODEL`, every
    index is compared as it is and with its best `rerank_depth` documents ranked by that model, of
    which `rerank_options` are options; nothing is written to the collection. `vectors` are those of
    the queries by index, for indexes whose model is not known or not to be run: a file, or a pair
    (ids, vectors), see `GivenQueries`. `memory` also measures the memory of each open system, in a
    fresh process each. `command` is the call that `environment` records.

    Raises:
        InputError: no queries, an empty query, a system named twice, a baseline without judgments,
            made queries with judgments or runs, or pairs without judgments or of one system,
            judgments that name none of the queries, or as `inputs.run_of` and `inputs.qrels_of`.
            Or a query is an image, and an index encodes only text, or an index holds imported
            vectors of an unknown model, and a query has no vector: nothing is run then.
        MismatchError: the vectors of queries are of another width than those of their index.
        UnknownNameError: an index, a measure or the baseline is unknown.
    """
    runs = {} if runs is None else runs
    expect_mapping("the runs", runs, "names")
    asked = Asked.of(queries, qrels, measures, runs)
    qrels = asked.qrels
    _check_names(collection, indexes, runs)
    texts = queries_of(queries)
    test_set = TestSet.of(
        collection, texts, qrels, measures=asked.measures, k=k, drop_self=drop_self
    )
    given = given_queries(collection, vectors or {}, texts, test_set)
    retrievers = retrievers_of(collection, indexes, given)
    by_model = Reranked.of(collection, retrievers, rerank_by, rerank_depth, rerank_options)
    retrievers += by_model.retrievers
    names = [*(one.name for one in retrievers), *runs]
    _check_baseline(baseline, names, qrels)
    check_seed(seed)
    if pairs and (qrels is None or len(names) < 2):
        raise InputError(
            "Pairs need judgments and at least two systems. Give both, or leave it out."
        )
    for retriever in retrievers:
        retriever.check_takes(Queries(test_set.contents))
    steps = _Steps(progress_or(progress, "comparing"), len(retrievers) * (2 if memory else 1) + 2)
    asking = asked.asking(retrievers, collection)
    system_runs = [steps.done(run_system(one, test_set)) for one in asking]
    answers = {system_run.run.name: system_run.run for system_run in system_runs}
    given_runs = {name: run_of(run) for name, run in runs.items()}
    answers |= {name: import_run(run, name, test_set) for name, run in given_runs.items()}
    with LoadMeter() as meter:
        latencies = steps.done(latency.measure(retrievers, test_set.contents, k))
    memories = {
        one.name: steps.done(open_memory(collection, one.name, _a_query(test_set)))
        for one in (retrievers if memory else ())
    }
    info = collection.info()
    infos = {one.name: one for one in info.indexes}
    infos |= by_model.infos(infos)
    per_query = {
        name: evaluate(run.ranking, test_set.qrels, test_set.measures) if test_set.qrels else {}
        for name, run in answers.items()
    }
    rows = {
        name: Row(name, "run", "run", "an imported run", means(per_query[name])) for name in answers
    }
    for system_run in system_runs:
        name = system_run.run.name
        cost = cost_of(name, infos, info.documents, memories.get(name))
        rows[name] = _row(system_run, infos, cost, latencies[name], per_query[name], test_set)
    verdict = verdict_of(rows, per_query, test_set.measures, info.documents, seed)
    shares = {} if asked.made else judged_shares(answers, test_set)
    differing = differences_by_system(per_query, test_set.measures, baseline, seed)
    documents = _documents(collection, answers, test_set)
    found = (one for system_run in system_runs for one in with_parts(system_run.run.name, infos))
    # Parts come first, each once.
    parts = list({one.name: one for one in found}.values())
    shared = SharedWords(documents, _language(parts), _vocabularies(retrievers))
    imported = [(answers[name], run) for name, run in given_runs.items()]
    return steps.done(
        Comparison(
            k=k,
            measures=test_set.measures,
            baseline=baseline,
            rows={
                name: replace(row, differences=differing[name], judged_share=shares.get(name))
                for name, row in rows.items()
            },
            per_query=per_query,
            pairwise=agreements(answers, k),
            runs=answers,
            queries=_queries(retrievers, answers, test_set, shared),
            documents=documents,
            notes=(
                *info.notes,
                *comparison_notes(
                    collection,
                    test_set,
                    system_runs,
                    imported,
                    parts,
                    baseline,
                    seed,
                    pairs=pairs,
                    verdict=verdict,
                ),
                *judged_notes(shares, test_set),
                *given_notes(given),
                *asked.notes,
            ),
            environment=collect_environment(
                collection, parts, test_set.queries, test_set.qrels, seed, command
            ),
            load=meter.load if retrievers else None,
            pairs=pairs_by_system(per_query, test_set.measures, seed) if pairs else {},
            verdict=verdict,
            trust=asked.trust,
        )
    )


def _check_baseline(baseline: str | None, names: Sequence[str], qrels: GivenQrels | None) -> None:
    if baseline is None:
        return
    check_text("The baseline", baseline)
    if baseline not in names:
        raise unknown_name("system", baseline, "this comparison", names)
    if qrels is None:
        raise InputError("A baseline needs judgments. Give qrels, or leave the baseline out.")


@dataclass
class _Steps:
    """Counter of finished steps for the progress callback."""

    progress: Progress
    total: int
    count: int = 0

    def done(self, result: Result) -> Result:
        """Report a finished step and return its result."""
        self.count += 1
        self.progress(self.count, self.total)
        return result


def _row(
    system_run: SystemRun,
    infos: Mapping[str, IndexInfo],
    cost: Cost,
    took: Latency,
    per_query: PerQuery,
    test_set: TestSet,
) -> Row:
    info = infos[system_run.run.name]
    kinds = {"cascade": "cascaded", ESCALATE: ESCALATED}
    combined = next((kind for option, kind in kinds.items() if option in info.options), "fused")
    structure, exact_quality = "", {}
    if kind_of(info.kind).has_structure:
        structure = f", {info.factory}"
        if system_run.exact is not None and test_set.qrels:
            exact = evaluate(system_run.exact.ranking, test_set.qrels, test_set.measures)
            exact_quality = means(exact)
    return Row(
        name=info.name,
        kind=KINDS.get(info.kind, combined),
        family=info.family,
        description=f"{info.description}{structure}",
        quality=means(per_query),
        exact_quality=exact_quality,
        ann_recall=system_run.ann_recall,
        latency=took,
        throughput=len(system_run.run.ranking) / max(system_run.run.timing.total, 1e-9),
        cost=cost,
        query_coverage=system_run.query_coverage,
        corpus_coverage=info.text.coverage,
        index=info,
        contextual=any(map(_is_contextual, with_parts(info.name, infos))),
    )


def _is_contextual(info: IndexInfo) -> bool:
    """Return whether a contextual model made an index's vectors, or reads its hits."""
    return info.family in CONTEXTUAL_FAMILIES or RERANKER in info.options


def _documents(
    collection: Collection, runs: Mapping[str, Run], test_set: TestSet
) -> dict[str, Excerpt]:
    """Return excerpts of documents in a top `k` or judged relevant; unknown ids are left out.

    The most disputed queries come first, in case there are too many documents.
    """
    rankings = {name: run.ranking for name, run in runs.items()}
    disputed = disagreement(rankings, test_set.k) if len(runs) > 1 else ()
    order = dict.fromkeys([*(query_id for query_id, _ in disputed), *test_set.queries])
    wanted: dict[str, None] = {}
    for query_id in order:
        if len(wanted) >= MOST_EXCERPTS:
            break
        grades = test_set.qrels.get(query_id, {})
        wanted |= dict.fromkeys(doc_id for doc_id, grade in grades.items() if grade > 0)
        for ranking in rankings.values():
            wanted |= dict.fromkeys(doc_id for doc_id, _ in ranking.get(query_id, ())[: test_set.k])
    return {
        document.doc_id: excerpt(document.title, document.text, document.image)
        for document in collection.documents_of(list(wanted))
    }


def _language(leaves: Sequence[IndexInfo]) -> str:
    """Return the language of the stemmer: that of the first BM25 index, or else the default."""
    lexical = (info for info in leaves if kind_of(info.kind).is_lexical)
    return next((str(info.options["language"]) for info in lexical), DEFAULT_LANGUAGE)


def _vocabularies(retrievers: Sequence[Retriever]) -> list[Compounds]:
    """Return the entries with separators, such as `c++`, of each static embedder that has any."""
    finders = (retriever.finder for retriever in retrievers)
    embedders = (finder.embedder for finder in finders if isinstance(finder, DenseFinder))
    found = (one.compounds for one in embedders if isinstance(one, StaticEmbedder))
    return [compounds for compounds in found if compounds is not None]


def _queries(
    retrievers: Sequence[Retriever], runs: Mapping[str, Run], test_set: TestSet, shared: SharedWords
) -> dict[str, Query]:
    """Return each query with what explains its answers."""
    texts = test_set.texts
    unknown = {
        retriever.name: retriever.finder.embedder.unknown_words(texts)
        for retriever in retrievers
        if isinstance(retriever.finder, DenseFinder)
        and isinstance(retriever.finder.embedder, WordCounting)
    }
    queries = {}
    for place, (query_id, content) in enumerate(test_set.queries.items()):
        text = query_text(content)
        shown = {d for run in runs.values() for d, _ in run.ranking.get(query_id, ())[: test_set.k]}
        judgments = test_set.qrels.get(query_id, {})
        lacking = {name: of[place] for name, of in unknown.items() if of[place]}
        matched = shared.of(text, sorted(shown | judgments.keys()))
        image = content if isinstance(content, Image) else None
        queries[query_id] = Query(query_id, text, judgments, lacking, matched, image)
    return queries


def _a_query(test_set: TestSet) -> str | Image:
    """Return the first query that is a text, or else the first image."""
    return next(filter(None, test_set.texts), None) or test_set.contents[0]


def _check_names(
    collection: Collection, indexes: Sequence[str], runs: Mapping[str, GivenRun]
) -> None:
    """Raise an InputError if no system is named, or one twice."""
    if isinstance(indexes, str):
        raise InputError(f"The indexes are one string, '{indexes}'; expected a list of names.")
    if not isinstance(indexes, Iterable):
        raise InputError(f"The indexes are {short_repr(indexes)}; expected a list of names.")
    indexes = list(indexes)
    if not indexes and not runs:
        has = ", ".join(collection.index_names())
        path = collection.path
        raise InputError(
            f"No index to compare was given. {path}/ has: {has}."
            if has
            else f"{path}/ has no index yet. "
            f"Build one: {shell_command('build', path, 'NAME', '--embedder', 'KIND:MODEL')}"
        )
    names = [*indexes, *runs]
    if len(set(names)) < len(names):
        raise InputError(
            f"A system is named twice: {', '.join(names)}. Leave one out, or rename the run (a "
            "file names its run)."
            if runs.keys() & set(indexes)
            else f"An index is named twice: {', '.join(names)}."
        )
