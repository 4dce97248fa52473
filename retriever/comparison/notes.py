"""Notes on a comparison: what its numbers do not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from indexes.errors import pluralize
from retriever.collection import Collection
from retriever.comparison.system_run import SystemRun, deep_enough, deepest_for
from retriever.comparison.test_set import TestSet
from retriever.evaluation import significance
from retriever.evaluation.inputs import RunHits
from retriever.evaluation.verdict import NO, UNDECIDED, YES, Verdict
from retriever.formatting import first_names
from retriever.indexing.info import IndexInfo
from retriever.indexing.notes import index_notes
from retriever.search.results import Run

# With a share of judged hits that is so much lower than another's, a system is hard to compare.
LESS_JUDGED = 0.2


def comparison_notes(
    collection: Collection,
    test_set: TestSet,
    system_runs: Sequence[SystemRun],
    imported: Sequence[tuple[Run, RunHits]],
    parts: Sequence[IndexInfo],
    baseline: str | None,
    seed: int,
    *,
    pairs: bool,
    verdict: Verdict,
) -> tuple[str, ...]:
    """Return the notes on a test set, imported runs, indexes (`parts`) and the statistics."""
    split = collection.has_several_passages
    leaves = [info for info in parts if not info.parts]
    return (
        *test_set.notes,
        *_self_notes(test_set),
        *(note for one in imported for note in imported_notes(*one, collection)),
        *(note for leaf in leaves for note in index_notes(leaf, collection.path, split=split)),
        *_depth_notes(parts, test_set),
        *_escalation_notes(system_runs),
        *_tie_notes(system_runs, test_set),
        *_statistics_notes(baseline, seed, pairs=pairs, verdict=verdict),
    )


def _self_notes(test_set: TestSet) -> Iterator[str]:
    judged = [q for q, grades in test_set.qrels.items() if grades.get(q, 0) > 0]
    if test_set.drops and judged:
        queries = pluralize(len(judged), "query", "queries")
        yield (
            f"A document with the query's own id is judged relevant for {queries} and left out of "
            f"the hits, as if it were the query: {first_names(judged)}. If it is another "
            "document, leave out --drop-self (drop_self=True)."
        )


def imported_notes(run: Run, given: RunHits, collection: Collection) -> Iterator[str]:
    """Yield notes on what an imported run has that this comparison has not, and on what it lacks.

    `given` are its hits as they came, for any queries.
    """
    if others := [query_id for query_id in given if query_id not in run.ranking]:
        queries = pluralize(len(others), "query", "queries")
        yield (
            f"Run '{run.name}' has hits for {queries} that are not compared: {first_names(others)}."
        )
    found = {doc_id for hits in run.ranking.values() for doc_id, _ in hits}
    if unknown := sorted(collection.unknown_ids(list(found))):
        documents = pluralize(len(unknown), "document")
        yield (
            f"Run '{run.name}' has {documents} of {len(found):,} that the collection lacks: "
            f"{first_names(unknown)}."
        )
    empty = [query_id for query_id, hits in run.ranking.items() if not hits]
    if empty:
        queries = pluralize(len(empty), "query", "queries")
        yield f"Run '{run.name}' has no hits for {queries}, which count 0: {first_names(empty)}."


def judged_notes(shares: Mapping[str, float], test_set: TestSet) -> Iterator[str]:
    """Yield a note if fewer hits of some systems have a judgment than those of the best one.

    Not if only relevant documents were written down: there, a hit without a judgment may have been
    judged.
    """
    grades = (grade for judged in test_set.qrels.values() for grade in judged.values())
    if all(grade > 0 for grade in grades):
        return
    most = max(shares.values(), default=0.0)
    less = [name for name, share in shares.items() if share < most - LESS_JUDGED]
    if less:
        shown = ", ".join(f"{name} {100 * shares[name]:.0f} %" for name in less)
        yield (
            f"Of the top {test_set.k}, up to {100 * most:.0f} % have a judgment, but fewer of "
            f"{shown}: hits without one count as not relevant, so these may be better than their "
            "numbers say. --label-file writes what to judge."
        )


def _depth_notes(parts: Sequence[IndexInfo], test_set: TestSet) -> Iterator[str]:
    """Yield a note for each combination that fetches fewer documents than the measures use."""
    for info in parts:
        if test_set.qrels and info.options.get("depth", test_set.depth) < test_set.depth:
            yield (
                f"'{info.name}' fetches {info.options['depth']} documents from each part; the "
                f"measures look {test_set.depth} deep."
            )


def _escalation_notes(system_runs: Sequence[SystemRun]) -> Iterator[str]:
    """Yield a note for each system that escalates, with how many queries it did."""
    for one in system_runs:
        if one.escalated is not None:
            queries = pluralize(len(one.run.ranking), "query", "queries")
            yield f"'{one.run.name}' escalated {one.escalated:,} of {queries}."


def _tie_notes(system_runs: Sequence[SystemRun], test_set: TestSet) -> Iterator[str]:
    """Yield a note for each system whose hits were cut off among equal ones."""
    for one in system_runs:
        if one.tied:
            queries = pluralize(len(one.tied), "query", "queries")
            yield (
                f"'{one.run.name}' has more equal scores at the cutoff than the "
                f"{deepest_for(deep_enough(test_set)):,} hits that are looked at, for {queries}: "
                f"{first_names(one.tied)}. Of these documents, those that were added first count."
            )


def _statistics_notes(
    baseline: str | None, seed: int, *, pairs: bool, verdict: Verdict
) -> Iterator[str]:
    over = [f"over the differences from {baseline} in each measure"] if baseline else []
    over += ["over all pairs in each measure"] if pairs else []
    if not over and verdict.answer not in (NO, UNDECIDED, YES):
        return
    both = " (the same two may differ by one and not by the other)" if len(over) > 1 else ""
    what = " and ".join(over) or "over the differences from the best system"
    yield (
        f"Intervals: {significance.RESAMPLES:,} bootstrap resamples, not corrected. p: "
        f"{significance.FLIPS:,} sign flips (all of them, up to 16 queries), Holm-corrected "
        f"{what}{both}. Seed {seed}."
    )
