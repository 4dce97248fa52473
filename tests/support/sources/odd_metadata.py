"""Odd metadata and filters on them, drawn by hypothesis, and which documents the catalog finds."""

import contextlib
import json
import sqlite3

from hypothesis import strategies as st

from indexes.catalog.filters.conditions import AllOf, AnyOf, Exists, FieldCondition, Not, OneOf
from indexes.catalog.filters.sql import condition
from indexes.document import Document
from indexes.vectors.remote.fields import row_of

LABELS = ("a", "b", "a.b", "é", '"q"', "", "n.a", "a_b", "A", "x/y~z", "\\", "*")
NUMBERS = (
    *(0, 1, 1.0, -1, 0.1, -0.0, 5e-324, 1e300, 3.0, 2020),
    *(2**53, 2**53 + 1, float(2**53), -(2**53) - 1, 2**63, 2**64 + 1, 10**400),
)
TEXTS = (
    *("", "a", "b", "1", "1.0", "true", "null", "é", "e\u0301", "😀", "\uffff", "\U0010ffff"),
    *("2020-01-01", "2020-01-01T00:00", "2021", "A", "\\", "'", '"', "\n\t\x01\x7f", "%", "a%"),
    *('") or key >= 0 or ("" == "', '"] or true', "{field}", "\\u0061", "\\U00000061", "a" * 513),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS),
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3),
)  # fmt: skip
labels = st.sampled_from(LABELS)
# Several values of one kind, of which the lowest and the highest differ.
large = st.sampled_from((2**53 - 1, 2**53, 2**53 + 1, 2.0**53))
several = st.one_of(
    *(st.lists(st.sampled_from(some), min_size=2, max_size=4) for some in (NUMBERS, TEXTS)),
    st.lists(st.sampled_from((1, 2, 3)), min_size=2, max_size=3),
)
values = st.recursive(
    st.one_of(scalars, several, large, st.just("a\0b")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(labels, inner, max_size=3),
    max_leaves=8,
)
metadata = st.dictionaries(labels, values, max_size=4)


def is_allowed(value):
    """Whether a filter may compare with it: no NUL, and no number beyond what SQLite reads."""
    return not (isinstance(value, str) and "\0" in value) and not (
        isinstance(value, int) and abs(value) >= 10**300
    )


paths = st.lists(labels, min_size=1, max_size=3).map(tuple)
compared = scalars.filter(is_allowed)
conditions = st.one_of(
    st.builds(FieldCondition, paths, st.sampled_from(("=", "!=")), compared),
    st.builds(
        FieldCondition,
        paths,
        st.sampled_from(("<", "<=", ">", ">=")),
        compared.filter(lambda one: not isinstance(one, bool | None)),
    ),
    st.builds(OneOf, paths, st.lists(compared, max_size=4).map(tuple)),
    st.builds(Exists, paths),
)
filters = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
    ),
    max_leaves=4,
)


# Few fields with few values, so that filters on them match some documents and not others.
numbers, words = st.sampled_from((1, 2, 3, 2.5)), st.sampled_from(("a", "b", "é", "😀"))
common = st.one_of(*(st.lists(one, min_size=2, max_size=3) for one in (numbers, words)), numbers)
plain = st.fixed_dictionaries({"a": common}, optional={"é": common | words | large})
on_plain = st.one_of(
    st.builds(
        FieldCondition,
        st.sampled_from((("a",), ("é",))),
        st.sampled_from(("=", "!=", "<", "<=", ">", ">=")),
        numbers | words | large,
    ),
    st.builds(OneOf, st.just(("a",)), st.tuples(numbers, numbers | words)),
)


@st.composite
def fitting(draw):
    """Documents, and filters of which many are on their fields and compare with their values."""
    if draw(st.booleans()):
        wheres = st.lists(on_plain | st.builds(Not, on_plain), min_size=2, max_size=6)
        return draw(st.lists(plain, min_size=3, max_size=8)), draw(wheres)
    documents = draw(st.lists(metadata, min_size=1, max_size=8))
    there = [pair for one in documents for pair in pairs_of(one)]
    if not there:
        return documents, draw(st.lists(filters, min_size=1, max_size=3))
    near = st.sampled_from(there).flatmap(lambda pair: on_pair(*pair))
    mixed = st.one_of(near, st.builds(Not, near), st.builds(AllOf, st.tuples(near, filters)))
    drawn = st.one_of(near, mixed, filters, st.builds(AnyOf, st.tuples(near, near)))
    return documents, draw(st.lists(drawn, min_size=1, max_size=6))


def pairs_of(value, before=()):
    """The paths in a document, each with its values that a filter may compare with."""
    for label, inner in value.items():
        path = (*before, label)
        items = inner if isinstance(inner, list) else [inner]
        for item in items:
            is_scalar = not isinstance(item, list | dict) and is_allowed(item)
            yield path, item if is_scalar else None
        if isinstance(inner, dict):
            yield from pairs_of(inner, path)


def on_pair(path, value):
    ordered = isinstance(value, bool | None)
    operators = ("=", "!=") if ordered else ("=", "!=", "<", "<=", ">", ">=")
    return st.one_of(
        st.builds(FieldCondition, st.just(path), st.sampled_from(operators), st.just(value)),
        st.builds(OneOf, st.just(path), st.tuples(st.just(value), compared)),
        st.builds(Exists, st.just(path)),
    )


def catalog_matches(documents, wheres):
    """For each filter, the numbers of the documents that SQL finds, without an index of fields."""
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE documents (document INTEGER PRIMARY KEY, metadata TEXT NOT NULL)")
        texts = [Document("d", metadata=one).metadata_json() for one in documents]
        db.executemany("INSERT INTO documents VALUES (?, ?)", enumerate(texts))
        for where in wheres:
            sql, operands = condition(where, {})
            found = db.execute(f"SELECT document FROM documents WHERE {sql} ORDER BY 1", operands)
            yield [number for (number,) in found]


def rows_of(documents):
    """The fields of their rows on a server, and which fields there are."""
    known = {}
    rows = [row_of(json.loads(json.dumps(one)), known) for one in documents]
    return rows, known
