"""Retrieval measures: quality of a run, overlap of two runs, recall of an ANN index.

A run maps query_id to (doc_id, score) pairs, best first; qrels map query_id to doc_id to grade.
Arguments are never modified.

Quality is trec_eval's, whoever computes a measure: `trec_order` ranks the hits, a grade below 1 is
not relevant and gains nothing, a query without hits counts 0, and one without judgments does not
count. To trec_eval, a document with a negative grade is in the pool but not judged: Bpref skips it,
`judged_only` leaves it out, infAP takes it for a sample's rest. Judged@k is not trec_eval's: there,
any grade counts as judged.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from indexes.errors import InputError, UnknownNameError, check_text, did_you_mean, short_repr
from retriever.evaluation.inputs import GivenQrels, GivenRun, RunHits, qrels_of, run_of
from retriever.formats.judgments import HIGHEST_GRADE

DEFAULT_MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10")
# Common names of ir_measures' families, in any case; the tables print some of them.
ALIASES = {"recall": "R", "mrr": "RR", "map": "AP", "precision": "P", "ndcg": "nDCG"}
KNOWN = "nDCG@10, R@10 or recall@10, RR@10 or MRR@10, AP or MAP, P@5 or precision@5, Success@1"
# Above a C int, trec_eval uses another cutoff.
DEEPEST = 2**31 - 1
# Bpref reads that many counts of grades, whether there are such grades or not.
HIGHEST_LEVEL = 1_000
# Rounding difference of one float32 score computed in another order.
SCORE_TOLERANCE = 1e-6


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
    if not isinstance(names, Iterable):
        raise InputError(f"The measures are {short_repr(names)}; expected a sequence of names.")
    names = list(names)
    for name in names:
        check_text("The name of a measure", name)
    found = {name: _parse(name) for name in names}
    unknown = [name for name, measure in found.items() if measure is None]
    named = ", ".join(f"'{name}'" for name in unknown)
    if unknown and all(map(_is_family, unknown)):
        raise UnknownNameError(
            f"{named} cannot be computed: a cutoff is a whole number from 1, options "
            "are those of ir_measures, and some of its measures need packages or programs that are "
            f"not installed, or are no mean over queries. Examples of known measures: {KNOWN}."
        )
    if unknown:
        similar = _similar(unknown)
        noun = "measure" if len(unknown) == 1 else "measures"
        raise UnknownNameError(f"No {noun} {named}. Examples of known measures: {KNOWN}.{similar}")
    return tuple(dict.fromkeys(str(measure) for measure in found.values()))


def _is_family(name: str) -> bool:
    """Return whether ir_measures has a measure of this name: then its options or cutoff are wrong.

    Or it has none, or cannot be computed.
    """
    import ir_measures

    family = re.split(r"[@(]", name.strip())[0]
    return ALIASES.get(family.lower(), family) in ir_measures.measures.registry


def _similar(names: Sequence[str]) -> str:
    """Return what an unknown measure may have been meant to be, if there is only one."""
    import ir_measures

    if len(names) > 1:
        return ""
    family, at, cutoff = names[0].partition("@")
    # Of spellings that differ in case, the last one is named.
    families = *ir_measures.measures.registry, *ALIASES, *ALIASES.values()
    known = [f"{one}{at}{cutoff}" for one in families]
    return did_you_mean(family + at + cutoff, filter(_parse, known))


def deepest_cutoff(names: Sequence[str]) -> int | None:
    """Return the largest cutoff of the measures: how many hits they need per query.

    None if one has no cutoff (`AP`), or if there are no measures. Errors as `parse_measures`.
    """
    cutoffs = [_parse(name).params.get("cutoff") for name in parse_measures(names)]
    return None if None in cutoffs else max(cutoffs, default=None)


def at_cutoffs(name: str, cutoffs: Sequence[int]) -> tuple[str, ...]:
    """Return a measure at other cutoffs: `nDCG@1` and `nDCG@5` for `nDCG@10`; () without a cutoff.

    Errors as `parse_measures`.
    """
    family, at, cutoff = canonical(name).rpartition("@")
    return parse_measures([f"{family}@{one}" for one in cutoffs]) if at and cutoff.isdigit() else ()


def evaluate(
    run: GivenRun, qrels: GivenQrels, measures: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return the value of each measure per query: canonical measure name -> query_id -> value.

    The values are trec_eval's, through ir_measures; the rules are at the top of this module. Every
    query of `qrels` has one, in that order; it is 0 without hits or relevant documents (trec_eval's
    `-c`). `inputs.run_of` and `inputs.qrels_of` say in which forms both may be given.

    Raises:
        UnknownNameError: as `parse_measures`.
        InputError: as `run_of` and `qrels_of`.
    """
    names = parse_measures(measures)
    hits, judgments = run_of(run), qrels_of(qrels)
    values = {name: dict.fromkeys(judgments, 0.0) for name in names}
    # A provider may divide by the number of hits: leave out queries without hits, which count 0.
    asked = [query_id for query_id in judgments if hits.get(query_id)]
    scores, judged = {}, {}
    for place, query_id in enumerate(asked):
        scores[f"{place}"], judged[f"{place}"] = _by_rank(hits[query_id], judgments[query_id])
    for parsed in _groups(names) if asked else ():
        for metric in _pipeline().iter_calc(parsed, judged, scores):
            values[str(metric.measure)][asked[int(metric.query_id)]] = float(metric.value)
    return values


def trec_order(hits: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return hits as trec_eval reads them: highest score first, equal scores by doc_id, last first.

    Scores are rounded to single precision, as in trec_eval up to 9.0.8: what differs less is equal.
    Ids are compared by code points. Ranks and the given order do not count.
    """
    scores = single([score for _, score in hits])
    ranked = sorted(zip(scores, (doc_id for doc_id, _ in hits), strict=True), reverse=True)
    return [(doc_id, score) for score, doc_id in ranked]


def single(scores: Sequence[float]) -> list[float]:
    """Return scores in single precision; those beyond its range as its largest numbers."""
    largest = np.finfo(np.float32).max
    within = np.clip(np.array(scores, np.float64), -largest, largest)
    return list(map(float, within.astype(np.float32)))


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

    This is for queries that are documents of the collection, as BEIR does; trec_eval does not.
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


def _by_rank(
    hits: Sequence[tuple[str, float]], grades: Mapping[str, int]
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the scores and grades of one query for a provider: ranks as ids, and without ties.

    Providers break ties differently, and pytrec_eval's C code crashes on ids that are not UTF-8 and
    on a query with negative grades only: no measure treats those unlike zeros.
    """
    ranks = {doc_id: str(rank) for rank, (doc_id, _) in enumerate(trec_order(hits))}
    scores = {rank: float(len(ranks) - place) for place, rank in enumerate(ranks.values())}
    if max(grades.values(), default=0) < 0:
        grades = dict.fromkeys(grades, 0)
    judged = {
        ranks.get(doc_id, f"not found {place}"): grade
        for place, (doc_id, grade) in enumerate(grades.items())
    }
    return scores, judged


def _groups(names: Sequence[str]) -> list[list[Any]]:
    """Return the measures, those with own gains one by one: ir_measures mixes them with others."""
    parsed = [_parse(name) for name in names]
    alone = [one for one in parsed if "gains" in one.params]
    groups = [[one] for one in alone] + [[one for one in parsed if one not in alone]]
    return [group for group in groups if group]


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

    # trec_eval's C code ends the process on a cutoff of 0, and reads `rel` counts of grades.
    whole = {"cutoff": DEEPEST, "rel": HIGHEST_LEVEL}
    if not all(_is_whole(measure.params.get(name, 1), 1, most) for name, most in whole.items()):
        return False
    if not _are_gains(measure.params.get("gains", {})):
        return False
    try:
        _pipeline().calc_aggregate([measure], {"q": {"d": 1}}, {"q": {"d": 1.0}})
    # AssertionError is how ir_measures refuses an option.
    except (AssertionError, ValueError, TypeError, RuntimeError):
        return False
    return isinstance(measure.aggregator(), ir_measures.measures.MeanAgg)


def _is_whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_gains(gains: object) -> bool:
    """Return whether gains of grades are such that a grade below 1 gains nothing."""
    return isinstance(gains, dict) and all(
        _is_whole(grade, -HIGHEST_GRADE, HIGHEST_GRADE)
        and _is_whole(gain, 0, HIGHEST_GRADE if grade > 0 else 0)
        for grade, gain in gains.items()
    )
