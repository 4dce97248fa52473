"""Filters that a server evaluates: on odd metadata they match what the catalog's SQL matches."""

import pytest
from hypothesis import HealthCheck, event, given, settings

from indexes.catalog.filters.conditions import AnyOf, Exists, FieldCondition, OneOf
from indexes.vectors.milvus_engine.expressions import expression
from indexes.vectors.remote import fields
from indexes.vectors.remote.conditions import condition_of
from indexes.vectors.remote.fields import name_of, row_of
from tests.support.laws import examples
from tests.support.milvus.expressions import is_met
from tests.support.sources.odd_metadata import catalog_matches, fitting, rows_of


@given(case=fitting())
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_filter_that_is_evaluated_there_matches_what_the_catalog_matches(case):
    documents, wheres = case
    rows, known = rows_of(documents)
    for where, expected in zip(wheres, catalog_matches(documents, wheres), strict=True):
        pushed = condition_of(where, known)
        event("evaluated there" if pushed else "by keys")
        if pushed is not None:
            text = expression(pushed)
            assert text.isascii()
            found = [at for at, row in enumerate(rows) if is_met(text, at + 1, row)]
            assert found == expected, text


def test_a_row_has_the_lowest_and_the_highest_value_of_each_kind():
    known = {}
    row = row_of({"year": 2020, "tags": ["b", "a", 3, True], "x": {"y z": None}, "no": []}, known)
    assert row == {
        **{"n.year": 2020.0, "t.tags": "a", "t>.tags": "b", "t*.tags": ["a", "b"]},
        **{"n.tags": 3.0, "b.tags": 1.0, "o.x": 0.0, "z.x.y_20_z": 0.0, "o.no": 0.0},
    }
    assert known["tags"] == ["b", "n", "t", "t*", "t>"]
    assert row_of({}, known) == {}


def test_names_of_fields_differ():
    paths = [("a", "b"), ("a.b",), ("a_b",), ("a_2e_b",), ("a", ""), ("a.",), ("",), ("", "")]
    assert len({*map(name_of, paths)}) == len(paths)


@pytest.mark.parametrize(
    ("document", "where", "is_pushed"),
    [
        ({"n": 2**53}, FieldCondition(("n",), "<=", 2**53), True),
        ({"n": 2**53 + 1}, FieldCondition(("n",), "<=", 2**53), False),
        ({"n": 1}, FieldCondition(("n",), "=", 2**53 + 1), False),
        ({"n": [1, 1e300]}, Exists(("n",)), False),
        ({"n": 10**400}, Exists(("n",)), False),
        ({"t": "a" * 512}, FieldCondition(("t",), "=", "a"), True),
        ({"t": "a" * 513}, FieldCondition(("t",), "=", "a"), False),
        ({"t": "a" * 513, "n": 1}, FieldCondition(("n",), "=", 1), True),
        ({"n": 1}, OneOf(("n",), tuple(range(1000))), True),
        ({"n": 1}, OneOf(("n",), tuple(range(1001))), False),
        ({"t": 1}, FieldCondition(("a\0b",), "=", 1), False),
        ({"t": 1}, FieldCondition(("t",) * 9, "=", 1), False),
        ({"t": 1}, AnyOf((Exists(("t",)), FieldCondition(("t",), "=", 2**60))), False),
    ],
)
def test_what_a_row_does_not_hold_exactly_is_not_evaluated_there(document, where, is_pushed):
    _, known = rows_of([document])
    assert (condition_of(where, known) is not None) == is_pushed


def test_the_longest_values_of_a_row_are_left_out(monkeypatch):
    monkeypatch.setattr(fields, "MOST_BYTES", 100)
    known = {}
    row = row_of({"n": 1, "long": ["x" * 20, "y" * 20], "short": "s"}, known)
    assert row == {"n.n": 1.0, "t.short": "s"}
    assert known["long"] == ["?"]
    # A later row that fits does not make up for it.
    row_of({"long": "x"}, known)
    assert condition_of(Exists(("long",)), known) is None
    assert condition_of(Exists(("short",)), known) is not None
