"""The figures that verdicts print are those that were measured."""

import json

import pytest

from benchmarks.certificate import RESULTS
from benchmarks.known_items import MADE_BY, SETS, compared, kept_in
from retriever.document_queries.kinds import KINDS
from retriever.known_items.trust import LEAST, MEASURED, trust_in

KEPT = json.loads((RESULTS / "known_items.json").read_text())
ROWS = KEPT["rows"]


@pytest.mark.parametrize("name", sorted(ROWS))
def test_verdicts_print_what_was_measured(name):
    figures = [one for of in ROWS[name].values() for one in of]
    found = MEASURED[SETS[name]]
    for count in ("significant", "reversed", "claimed", "confirmed"):
        assert getattr(found, count) == sum(one[count] for one in figures), count
    same = [one["answers"][0] == one["answers"][1] for one in figures]
    assert (found.samples, found.same) == (len(same), sum(same))
    means = [sum(one["tau"] for one in of) / len(of) for of in ROWS[name].values()]
    assert found.tau == pytest.approx(sum(means) / len(means), abs=0.005)


def test_a_verdict_says_how_often_such_a_verdict_was_right():
    found = MEASURED[tuple(KINDS)]
    said = trust_in(reversed(list(KINDS)), 300, MADE_BY)
    assert f"{found.confirmed} of {found.claimed} significant differences had the same" in said
    assert trust_in(["own"], 300, MADE_BY) == (
        "How far to trust verdicts by queries of this kind was not measured."
    )
    assert trust_in(KINDS, 300, "AP@3") == (
        "How far to trust such a verdict was measured by RR@100 only, not by AP@3."
    )
    fewest = min(one["queries"] for of in ROWS.values() for some in of.values() for one in some)
    assert fewest >= LEAST
    assert trust_in(KINDS, LEAST - 1, MADE_BY).endswith("was not measured: make at least 25.")


def test_orders_are_compared_as_worked_out_by_hand():
    # Over twelve queries: a < b < c by judgments, where a and b differ by one query.
    ids = [f"q{number}" for number in range(12)]
    judged = {"a": [0.0] + [0.1] * 11, "b": [0.1] * 12, "c": [0.9] * 12}
    made = {"a": [0.5] * 12, "b": [0.1] * 12, "c": [0.9] * 12}
    values = [
        {name: dict(zip(ids, of, strict=True)) for name, of in one.items()}
        for one in (judged, made)
    ]
    found = compared(*values)
    # Two of three pairs agree: (2 - 1) / 3. Both significant ones by judgments have c.
    assert (found["tau"], found["pairs"]) == (pytest.approx(1 / 3), 3)
    assert (found["significant"], found["reversed"], found["contradicted"]) == (2, 0, 0)
    assert (found["claimed"], found["confirmed"]) == (3, 2)


def test_values_without_the_documents_of_their_queries_are_measured_again(tmp_path):
    """Files of before documents were kept; judged values stay."""
    path, judged = tmp_path / "kept.json", {"bm25": {"q1": 0.5}}
    empty = {"judged": {}, "made": {}, "documents": {}}
    assert kept_in(path) == empty
    path.write_text(json.dumps({"judged": judged, "made": {"title 1": {}}, "figures": {"all": []}}))
    assert kept_in(path) == {**empty, "judged": judged}
    whole = {**empty, "judged": judged, "figures": {"all": []}}
    path.write_text(json.dumps(whole))
    assert kept_in(path) == whole
