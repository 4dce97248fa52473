"""Evaluate TREC runs without a collection."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import InputError, pluralize
from retriever.evaluation.inputs import (
    GivenQrels,
    GivenRun,
    RunHits,
    qrels_of,
    run_of,
    without_relevant,
    without_relevant_note,
)
from retriever.evaluation.measures import (
    DEFAULT_MEASURES,
    canonical,
    evaluate,
    means,
    parse_measures,
)
from retriever.evaluation.measures import drop_self as without_self
from retriever.formats import read_run
from retriever.formats.sources import without_gz
from retriever.formats.writing import delimited_line
from retriever.formatting import first_names
from retriever.search.frames import expect_mapping


@dataclass(frozen=True)
class EvaluatedRun:
    """Evaluation of one run.

    `quality` maps a measure to its mean over all judged queries, `per_query` a measure and a query
    id to a value. `without_hits` are judged queries without hits, `not_judged` queries of the run
    without judgments; `dropped` counts hits that are the query itself.
    """

    name: str
    quality: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    without_hits: Sequence[str]
    not_judged: Sequence[str]
    dropped: int

    def __getitem__(self, measure: str) -> float:
        """Return the mean of a measure, such as `run["nDCG@10"]` or `run["recall@10"]`."""
        return self.quality[canonical(measure)]


@dataclass(frozen=True)
class Evaluation:
    """Evaluated runs by name, over the same number of judged `queries`.

    `measures` are ir_measures' names, in the requested order. No document is relevant for the
    queries `without_relevant`.
    """

    queries: int
    measures: Sequence[str]
    runs: Mapping[str, EvaluatedRun]
    without_relevant: Sequence[str] = ()

    @property
    def notes(self) -> list[str]:
        """Notes on queries missing in runs or judgments, and on dropped hits."""
        lacking = [without_relevant_note(self.without_relevant)] if self.without_relevant else []
        notes = [note for run in self.runs.values() for note in _notes(run, self.queries)]
        return [*lacking, *notes]

    def to_json(self, *, per_query: bool = False) -> str:
        """Return JSON lines, one object per run, with its means."""
        records = (_object(run, self.queries, per_query) for run in self.runs.values())
        return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)

    def to_csv(self, *, per_query: bool = False) -> str:
        """Return CSV `run,measure,value` with one line per mean; numbers keep all digits.

        With `per_query`: `run,measure,query_id,value` with one line per query, without the means.
        """
        header = ["run", "measure", *(["query_id"] if per_query else []), "value"]
        lines = [header, *(row for run in self.runs.values() for row in _cells(run, per_query))]
        return "".join(delimited_line(cells, ",") for cells in lines).removesuffix("\n")


def read_runs(
    paths: Sequence[str | os.PathLike[str]],
) -> dict[str, dict[str, list[tuple[str, float]]]]:
    """Read TREC runs; return them by file name without extensions.

    Runs with the same file name are named by their path as given.

    Raises:
        InputError: a file is given twice, or as `read_run`.
    """
    given = [os.fspath(path) for path in paths]
    for path, count in Counter(given).items():
        if count > 1:
            raise InputError(f"The run {path} is given {count} times; give it once.")
    short = {path: Path(without_gz(Path(path).name)).stem for path in given}
    taken = Counter(short.values())
    return {(name if taken[name] == 1 else path): read_run(path) for path, name in short.items()}


def evaluate_runs(
    runs: Mapping[str, GivenRun],
    qrels: GivenQrels,
    measures: Sequence[str] = DEFAULT_MEASURES,
    *,
    drop_self: bool = False,
) -> Evaluation:
    """Evaluate `runs` by name, in the forms of `inputs.run_of`, by `qrels`, as `inputs.qrels_of`.

    Values are those of `measures.evaluate`. Every query of `qrels` counts in the means, one without
    hits as 0; queries without judgments do not count. With `drop_self`, hits whose doc_id is the
    query_id are dropped and the others move up.

    Raises:
        InputError: no runs, judgments or measures; a run has queries, but no judged one; or as
            `run_of` and `qrels_of`.
        UnknownNameError: a measure is unknown.
    """
    expect_mapping("the runs", runs, "names")
    judged = qrels_of(qrels)
    if not runs or not judged or not measures:
        raise InputError("Expected at least one run, one judged query and one measure.")
    names = parse_measures(measures)
    evaluated = {
        name: _evaluate_run(name, run_of(run), judged, names, drop_self)
        for name, run in runs.items()
    }
    return Evaluation(len(judged), names, evaluated, without_relevant(judged))


def _evaluate_run(
    name: str,
    run: RunHits,
    qrels: Mapping[str, Mapping[str, int]],
    measures: Sequence[str],
    drop_self: bool,
) -> EvaluatedRun:
    if run and not run.keys() & qrels.keys():
        raise InputError(
            f"Run '{name}' has none of the judged queries: it has {first_names(list(run))}; judged "
            f"are {first_names(list(qrels))}. Give the run and the qrels of one set of queries."
        )
    kept = without_self(run) if drop_self else run
    per_query = evaluate(kept, qrels, measures)
    return EvaluatedRun(
        name=name,
        quality=means(per_query),
        per_query=per_query,
        without_hits=tuple(key for key in qrels if not len(kept.get(key, ()))),
        not_judged=tuple(key for key in run if key not in qrels),
        dropped=sum(len(run[key]) - len(kept[key]) for key in run if key in qrels),
    )


def _notes(run: EvaluatedRun, queries: int) -> Iterator[str]:
    if run.without_hits:
        judged = pluralize(queries, "judged query", "judged queries")
        missing, names = f"{len(run.without_hits):,} of {judged}", first_names(run.without_hits)
        yield f"{run.name} has no hits for {missing}, which count 0: {names}."
    if run.not_judged:
        left_out = pluralize(len(run.not_judged), "query", "queries")
        names = first_names(run.not_judged)
        yield f"{run.name} has {left_out} without judgments, left out: {names}."
    if run.dropped:
        dropped = pluralize(run.dropped, "hit that is its query", "hits that are their queries")
        yield f"{run.name} has {dropped}, left out (the document has the query's id)."


def _object(run: EvaluatedRun, queries: int, per_query: bool) -> dict[str, object]:
    fields: dict[str, object] = {
        "run": run.name,
        "queries": queries,
        "quality": dict(run.quality),
        "without_hits": len(run.without_hits),
        "not_judged": len(run.not_judged),
        "dropped": run.dropped,
    }
    return fields | ({"per_query": run.per_query} if per_query else {})


def _cells(run: EvaluatedRun, per_query: bool) -> Iterator[list[str]]:
    for measure, values in run.per_query.items():
        if per_query:
            yield from ([run.name, measure, query, repr(value)] for query, value in values.items())
        else:
            yield [run.name, measure, repr(run.quality[measure])]
