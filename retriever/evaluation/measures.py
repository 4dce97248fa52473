"""Retrieval measures: quality of a run, overlap of two runs, recall of an ANN index.

A run maps query_id to (doc_id, score) pairs, best first; qrels map query_id to doc_id to grade.
Arguments are never modified.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from indexes.errors import InputError, UnknownNameError
from retriever.formats.judgments import check_grade

DEFAULT_MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10")
# Common names of ir_measures' families, in any case; the tables print some of them.
ALIASES = {"recall": "R", "mrr": "RR", "map": "AP", "precision": "P", "ndcg": "nDCG"}
KNOWN = "nDCG@10, R@10 or recall@10, RR@10 or MRR@10, AP or MAP, P@5 or precision@5, Success@1"
# Above a C int, trec_eval uses another cutoff.
DEEPEST = 2**31 - 1
# Rounding difference of one float32 score computed in another order.
SCORE_TOLERANCE = 1e-6

RunHits = Mapping[str, Sequence[tuple[str, float]]]


def canonical(name: str) -> str:
    """Return the ir_measures name of a measure, as `parse_measures`: `R@10` for `recall@10`."""
    return parse_measures([name])[0]


def parse_measures(names: Sequence[str]) -> tuple[str, ...]:
    """Return the ir_measures names of measures, in order, each once: `RR@10` for `MRR@10`.

    Options go before the cutoff: `R(rel=2)@10`. Recall, MRR, MAP, precision and nDCG may be in any
    case; other names must be spelled as in ir_measures.

    Raises:
        UnknownNameError: ir_measures does not have a measure, cannot compute it with the installed
            packages, or does not average it over queries (`NumRet`); lists all such names.
        InputError: a string was given instead of a sequence of strings.
    """
    if isinstance(names, str):
        raise InputError(f"The measures are one string, '{names}'; expected a sequence of names.")
    found = {name: _parse(name) for name in names}
    unknown = [f"'{name}'" for name, measure in found.items() if measure is None]
    if unknown:
        noun = "measure" if len(unknown) == 1 else "measures"
        raise UnknownNameError(
            f"No {noun} {', '.join(unknown)}. Examples of known measures: {KNOWN}."
        )
    return tuple(dict.fromkeys(str(measure) for measure in found.values()))


def deepest_cutoff(names: Sequence[str]) -> int | None:
    """Return the largest cutoff of the measures: how many hits they need per query.

    None if one has no cutoff (`AP`), or if there are no measures. Errors as `parse_measures`.
    """
    cutoffs = [_parse(name).params.get("cutoff") for name in parse_measures(names)]
    return None if None in cutoffs else max(cutoffs, default=None)


def evaluate(
    run: RunHits, qrels: Mapping[str, Mapping[str, int]], measures: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the value of each measure per query: canonical measure name -> query_id -> value.

    The values are trec_eval's, through ir_measures. Every query of `qrels` has one, in that order;
    it is 0 without hits or relevant documents (trec_eval's `-c`). Queries without judgments are
    left out. Hits are ranked by score, not by position; ties are broken by doc_id, in the direction
    of the ir_measures provider.

    Raises:
        UnknownNameError: as `parse_measures`.
        InputError: a document occurs twice for a query, a score is not finite, or a grade is
            above a million.
    """
    names = parse_measures(measures)
    values = {name: dict.fromkeys(qrels, 0.0) for name in names}
    judged = {query_id: _grades(query_id, grades) for query_id, grades in qrels.items()}
    # A provider may divide by the number of hits: leave out queries without hits, which count 0.
    scores = {key: _scores(key, hits) for key, hits in run.items() if len(hits) and key in judged}
    if names and judged and scores:
        parsed = [_parse(name) for name in names]
        for metric in _pipeline().iter_calc(parsed, judged, scores):
            values[str(metric.measure)][metric.query_id] = float(metric.value)
    return values


def mean(per_query: Mapping[str, float]) -> float:
    """Return the mean of one measure over queries; `InputError` if there are none."""
    if not per_query:
        fault = "There are no queries to average over"
        raise InputError(f"{fault}; expected at least one judged query.")
    return _average(per_query.values())


def means(per_query: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each measure of `evaluate`; empty without measures."""
    return {measure: mean(values) for measure, values in per_query.items()}


def drop_self(run: RunHits) -> dict[str, list[tuple[str, float]]]:
    """Return `run` without hits whose doc_id is the query_id; the others move up.

    This is BEIR's convention, which published scores follow.
    """
    return {key: [hit for hit in hits if hit[0] != key] for key, hits in run.items()}


def overlap(a: RunHits, b: RunHits, k: int) -> float:
    """Return the overlap of two runs' top `k`, averaged over the queries of both.

    Order within the top `k` does not count. The overlap is a share of `k`, or of the longer list if
    both are shorter, so that equal lists from a small corpus give 1. A query without hits in one
    run scores zero; one without hits in both is left out. Returns 0 if no query is left. A `k` less
    than 1 is an `InputError`.
    """
    _check_k(k)
    shares = []
    for query_id in {**a, **b}:
        found_a = {doc_id for doc_id, _ in a.get(query_id, ())[:k]}
        found_b = {doc_id for doc_id, _ in b.get(query_id, ())[:k]}
        longest = max(len(found_a), len(found_b))
        if longest:
            shares.append(len(found_a & found_b) / longest)
    return _average(shares) if shares else 0.0


def ann_recall(
    found_scores: Sequence[Sequence[float]], exact_scores: Sequence[Sequence[float]], k: int
) -> float:
    """Return the share of the exact top `k` that an index found, averaged over queries.

    Row i of each argument holds one query's scores on the same vectors; rows of `exact_scores` need
    `k` entries, or those of the entire corpus if it is smaller. One of the first `k` hits counts if
    its score reaches the exact k-th score up to a millionth of it, so ties cost nothing: an exact
    index has 1.0. A query without exact hits is left out; 1.0 if none is left. This is ann-
    benchmarks' recall with a threshold. A `k` less than 1, or different numbers of rows, is an
    `InputError`.
    """
    _check_k(k)
    if len(found_scores) != len(exact_scores):
        counts = f"{len(found_scores)} queries were searched and {len(exact_scores)} exactly"
        raise InputError(f"{counts}; expected the same queries in both.")
    shares = []
    for found, exact in zip(found_scores, exact_scores, strict=True):
        best = sorted(exact, reverse=True)[:k]
        if best:
            least = best[-1] - SCORE_TOLERANCE * abs(best[-1])
            reached = sum(score >= least for score in found[:k])
            shares.append(min(reached, len(best)) / len(best))
    return _average(shares) if shares else 1.0


def _average(values: Collection[float]) -> float:
    # fsum: the result must not depend on the order of the queries.
    return math.fsum(values) / len(values)


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"k is {k}; expected at least 1.")


def _scores(query_id: str, hits: Sequence[tuple[str, float]]) -> dict[str, float]:
    scores = {doc_id: float(score) for doc_id, score in hits}
    if len(scores) < len(hits):
        raise InputError(f"Query '{query_id}' has the same document at two ranks.")
    for doc_id, score in scores.items():
        if not math.isfinite(score):
            raise InputError(f"The score of '{doc_id}' for query '{query_id}' is {score}.")
    return scores


def _grades(query_id: str, judgments: Mapping[str, int]) -> dict[str, int]:
    """Return checked integer grades: trec_eval allocates memory up to the highest grade."""
    grades = {doc_id: int(grade) for doc_id, grade in judgments.items()}
    for doc_id, grade in grades.items():
        check_grade(query_id, doc_id, grade)
    return grades


def _pipeline() -> Any:
    """Return ir_measures' default pipeline without the providers that fail."""
    import ir_measures

    # gdeval is a Perl script that takes only numbers for query ids and writes to our stderr;
    # accuracy divides by zero where nothing irrelevant was judged.
    left_out = ("gdeval", "accuracy")
    providers = ir_measures.DefaultPipeline.providers
    return ir_measures.providers.FallbackProvider([p for p in providers if p.NAME not in left_out])


_SPELLING = re.compile(r"(?P<family>\w+)(?:\((?P<options>.*)\))?(?:@(?P<at>[0-9.]+))?")


def _parse(name: str) -> Any:
    """Return ir_measures' object for a name; None if it cannot be computed and averaged.

    ir_measures' own parser stops working in Python 3.14, so only its registry is used.
    """
    import ir_measures

    spelled = _SPELLING.fullmatch(name.strip())
    if spelled is None:
        return None
    known_as = ALIASES.get(spelled["family"].lower(), spelled["family"])
    family = ir_measures.measures.registry.get(known_as)
    if family is None:
        return None
    try:
        options = _options(spelled["options"] or "")
        if spelled["at"]:
            options[family.AT_PARAM] = ast.literal_eval(spelled["at"])
    except (SyntaxError, ValueError):
        return None
    if not options.keys() <= family.SUPPORTED_PARAMS.keys():
        return None
    measure = family(**options)
    return measure if _is_computable(measure) else None


def _options(text: str) -> dict[str, Any]:
    call = ast.parse(f"options({text})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args:
        raise ValueError("options need names")
    return {option.arg or "": ast.literal_eval(option.value) for option in call.keywords}


def _is_computable(measure: Any) -> bool:
    """Try to compute a measure: some providers claim support and then fail."""
    import ir_measures

    cutoff = measure.params.get("cutoff", 1)
    # trec_eval's C code ends the process on a cutoff of 0.
    if isinstance(cutoff, bool) or not isinstance(cutoff, int) or not 1 <= cutoff <= DEEPEST:
        return False
    try:
        _pipeline().calc_aggregate([measure], {"q": {"d": 1}}, {"q": {"d": 1.0}})
    # AssertionError is how ir_measures refuses an option.
    except (AssertionError, ValueError, TypeError, RuntimeError):
        return False
    return isinstance(measure.aggregator(), ir_measures.measures.MeanAgg)
