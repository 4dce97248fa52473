"""Filters: what they match by eye, three ways that agree, the text form, and what is refused."""

import json
import re
import sqlite3
from operator import eq, ge, gt, le, lt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.catalog.filters.conditions import (
    MOST_CONDITIONS,
    MOST_LEVELS,
    AllOf,
    AnyOf,
    Exists,
    FieldCondition,
    Not,
    OneOf,
)
from indexes.catalog.filters.field_names import as_name, field_name, field_path
from indexes.catalog.filters.sql import any_document, condition, values_of
from indexes.document import Document
from indexes.errors import InputError
from retriever.search.where import parse_filter
from retriever.search.where_parser import parse_where
from tests.support.laws import examples
from tests.support.toy import refused

SCHEMA = """
CREATE TABLE documents (document INTEGER PRIMARY KEY, metadata TEXT NOT NULL);
CREATE TABLE field_values (
    field INTEGER, kind INTEGER, value ANY, document INTEGER,
    PRIMARY KEY (field, kind, value, document)
) WITHOUT ROWID, STRICT;
"""


@pytest.fixture(scope="module")
def db():
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


def fill(db, metadatas, fields=()):
    """Store documents and the values of the fields; return the numbers of the fields."""
    db.execute("DELETE FROM documents")
    db.execute("DELETE FROM field_values")
    indexed = {field: number for number, field in enumerate(fields, start=7)}
    for document, metadata in enumerate(metadatas):
        text = Document("d", "text", metadata=metadata).metadata_json()
        db.execute("INSERT INTO documents VALUES (?, ?)", [document, text])
        for field, number in indexed.items():
            rows = [(number, *row, document) for row in values_of(metadata, field)]
            db.executemany("INSERT INTO field_values VALUES (?, ?, ?, ?)", rows)
    return indexed


def fields_of(wanted):
    if isinstance(wanted, AllOf | AnyOf):
        return {field for part in wanted.parts for field in fields_of(part)}
    return fields_of(wanted.part) if isinstance(wanted, Not) else {wanted.field}


def select(db, wanted, indexed):
    """The numbers of the documents that match; the expression must be 0 or 1 for every one."""
    sql, values = condition(wanted, indexed)
    rows = db.execute(f"SELECT document, {sql} FROM documents ORDER BY 1", values).fetchall()
    assert {value for _, value in rows} <= {0, 1}
    return [document for document, value in rows if value]


def matches(db, metadatas, wanted):
    """Return what matches by a scan; check that the index finds the same."""
    indexed = fill(db, metadatas, sorted(fields_of(wanted)))
    scanned = select(db, wanted, {})
    assert select(db, wanted, indexed) == scanned
    if found := any_document(wanted, indexed):
        assert db.execute(*found).fetchone() == (int(bool(scanned)),)
    return scanned


ZOO = [
    {"source": "faq", "year": 2019, "tags": ["a", "b"]},
    {"source": "blog", "year": 2020.0, "tags": "a", "author": {"name": "Ada"}},
    {"source": None, "year": "2021", "tags": [], "author": "Ada"},
    {"year": True, "tags": [["a"], {"a": "a"}, None], "author": {"name": None}},
    {},
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("source = faq", [0]),
        ("source != faq", [1, 2]),
        ("not source = faq", [1, 2, 3, 4]),
        ("source = null", [2]),
        ("source != null", [0, 1]),
        ("source exists", [0, 1, 2]),
        ("source not exists", [3, 4]),
        ("source > blog", [0]),
        ("source >= 'blog'", [0, 1]),
        ("source in (faq, null, 3)", [0, 2]),
        ("source not in (faq, null)", [1]),
        ("source in ()", []),
        ("source not in ()", [0, 1, 2]),
        ("year = 2020", [1]),
        ("year = 2019.0", [0]),
        ("year < 3000", [0, 1]),
        ("year = '2021'", [2]),
        ("year >= ''", [2]),
        ("year = true", [3]),
        ("year = false", []),
        ("year != false", [0, 1, 2, 3]),
        ("year = 1", []),
        ("year in (true, 2020)", [1, 3]),
        ("tags = a", [0, 1]),
        ("tags = b", [0]),
        ("tags != a", [2, 3]),
        ("tags > a", [0]),
        ("tags = null", [3]),
        ("tags exists", [0, 1, 2, 3]),
        ("tags in (b, c)", [0]),
        ("author.name = Ada", [1]),
        ("author.name exists", [1, 3]),
        ("author = Ada", [2]),
        ("author exists", [1, 2, 3]),
        ("author.name.first exists", []),
        ("tags.a exists", []),
        ("year < 2020 and source = faq or author exists", [0, 1, 2, 3]),
        ("year < 2020 and (source = faq or author exists)", [0]),
    ],
)
def test_what_a_filter_matches(db, text, found):
    assert matches(db, ZOO, parse_filter(parse_where(text))) == found


def test_a_range_of_a_list_may_be_met_by_two_elements(db):
    wanted = parse_filter({"n": {">": 3, "<": 5}})
    assert matches(db, [{"n": [1, 9]}, {"n": 4}, {"n": 9}], wanted) == [0, 1]


def test_an_empty_and_matches_everything_and_an_empty_or_nothing(db):
    assert matches(db, ZOO, AllOf(())) == [0, 1, 2, 3, 4]
    assert matches(db, ZOO, AnyOf(())) == []
    assert matches(db, ZOO, Not(OneOf(("source",), ()))) == [0, 1, 2, 3, 4]


def test_whole_numbers_of_any_size_are_compared_exactly(db):
    zoo = [{"n": n} for n in (2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 10**400)]
    assert matches(db, zoo, FieldCondition(("n",), "=", float(2**53))) == [0]
    assert matches(db, zoo, FieldCondition(("n",), "=", 2**63)) == [3]
    assert matches(db, zoo, FieldCondition(("n",), "<", 2**63)) == [0, 1, 2]
    assert matches(db, zoo, FieldCondition(("n",), ">", 2**63)) == [4, 5]
    assert matches(db, zoo, FieldCondition(("n",), ">", 1e308)) == [5]
    hashes = [{"n": 11679230632388718523 + n} for n in range(3)]
    assert matches(db, hashes, parse_filter(parse_where("n = 11679230632388718523"))) == [0]
    lowest = [{"n": -(2**63)}, {"n": -(2**63) - 1}, {"n": [1, -(2**63) - 2]}]
    assert matches(db, lowest, FieldCondition(("n",), "=", -(2**63))) == [0]
    assert matches(db, lowest, FieldCondition(("n",), "<=", -(2**63) - 1)) == [1, 2]


def test_text_is_ordered_by_code_point(db):
    zoo = [{"t": t} for t in ("Z", "a", "\uffff", "😀")]
    assert matches(db, zoo, FieldCondition(("t",), ">", "é")) == [2, 3]
    assert matches(db, zoo, FieldCondition(("t",), ">", "\uffff")) == [3]


LABELS = ["", "a.b", "[0]", "$", "#-1", "é", "😀", "'", '"', 'a"b.c[0]', "\\", '\\"', "\\u0022"]
LABELS += ["\n", "\x00", "\x7f", " ", "*", "\u2028"]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_may_hold_any_character(db, label):
    zoo = [{label: 1}, {"o": {label: [1, 'a"\\"']}}, {"x": 1, "o": [label]}, {"": {"": 2}}]
    assert matches(db, zoo, FieldCondition((label,), "=", 1)) == [0]
    assert matches(db, zoo, FieldCondition(("o", label), "=", 1)) == [1]
    assert matches(db, zoo, FieldCondition(("o", label), "=", 'a"\\"')) == [1]


def test_the_rows_of_a_field():
    metadata = {"n": [1, 1.0, True, None, "x", "x", [1], {}, 2**64], "o": {"p": [], "q": {}}}
    rows = [(2, 1), (1, 1), (0, 0), (3, "x"), (4, 0), (2, 2.0**64)]
    # (5, 0) marks a list of different elements.
    assert values_of(metadata, ("n",)) == [*rows, (5, 0)]
    assert values_of({"n": ["x", "x"]}, ("n",)) == [(3, "x")]
    assert [type(value) for _, value in values_of({"b": True}, ("b",))] == [int]
    assert values_of(metadata, ("o", "p")) == [(4, 0)]
    assert values_of(metadata, ("o", "q")) == [(4, 0)]
    assert values_of(metadata, ("o", "r")) == []
    assert values_of(metadata, ("n", "o")) == []


def test_filters_that_mean_different_things_are_different():
    alike = [FieldCondition(("a",), "=", value) for value in (1, True, "1", None, "null", "true")]
    alike += [OneOf(("a",), (value,)) for value in (1, True, 0, False)]
    alike += [Exists(("a", "b")), Exists(("a.b",)), AllOf(()), AnyOf(()), AllOf((alike[0],))]
    assert len(set(alike)) == len(alike)
    again = FieldCondition(("a",), "=", True)
    assert (again, hash(again)) == (alike[1], hash(alike[1]))
    assert again != again.key
    assert repr(AllOf((Not(Exists(("a",))),))) == "AllOf(parts=(Not(part=Exists(field=('a',))),))"


MISSING = object()
SCALARS = [None, True, False, 0, 1, 1.0, -0.0, 0.1, -7]
SCALARS += [2**53 + 1, 2.0**53, 2**63, 2.0**63, -(2**63)]
SCALARS += ["", "a", "b", "ab", "1", "true", "é", "😀", "\uffff", 'it\'s "q" \\ \\n']
NAMES = ["a", "b", "a.b", "c d", "and", "NOT", "in", "exists", "é", 'q"', "\\", "1e3", "="]

scalars = (
    st.sampled_from(SCALARS)
    | st.integers()
    | st.floats(allow_nan=False).filter(lambda number: abs(number) != float("inf"))
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
)
names = st.sampled_from(NAMES)
stored = st.recursive(
    scalars | st.sampled_from([10**400, -(10**400), "a\0b", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
metadatas = st.lists(st.dictionaries(names, stored, max_size=5), max_size=6)


def filters():
    field = st.lists(names, min_size=1, max_size=2).map(tuple)
    ordered = scalars.filter(lambda value: not isinstance(value, bool | None))
    leaves = (
        st.builds(FieldCondition, field, st.sampled_from(["=", "!="]), scalars)
        | st.builds(FieldCondition, field, st.sampled_from(["<", "<=", ">", ">="]), ordered)
        | st.builds(OneOf, field, st.lists(scalars, max_size=4).map(tuple))
        | st.builds(Exists, field)
    )

    def groups(inner):
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(AllOf, parts) | st.builds(AnyOf, parts)

    return st.recursive(leaves, groups, max_leaves=6)


def plain(value):
    """(type, what is compared) of a scalar; None for lists and objects."""
    if isinstance(value, list | dict):
        return None
    if isinstance(value, str):
        return "text", value.split("\0")[0]
    if value is None or isinstance(value, bool):
        return "null or boolean", str(value)
    return "number", value


COMPARE = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


def get(metadata, field):
    for name in field:
        metadata = metadata.get(name, MISSING) if isinstance(metadata, dict) else MISSING
    return metadata


def any_value(metadata, field, operator, wanted):
    value = get(metadata, field)
    items = value if isinstance(value, list) else [value] if value is not MISSING else []
    kind, operand = plain(wanted)
    same_kind = [item[1] for item in map(plain, items) if item and item[0] == kind]
    return any(COMPARE[operator](value, operand) for value in same_kind)


def oracle(wanted, metadata):
    match wanted:
        case AllOf(parts):
            return all(oracle(part, metadata) for part in parts)
        case AnyOf(parts):
            return any(oracle(part, metadata) for part in parts)
        case Not(part):
            return not oracle(part, metadata)
        case Exists(field):
            return get(metadata, field) is not MISSING
        case OneOf(field, values):
            return any(any_value(metadata, field, "=", value) for value in values)
        case FieldCondition(field, "!=", value):
            return oracle(Exists(field), metadata) and not any_value(metadata, field, "=", value)
        case FieldCondition(field, operator, value):
            return any_value(metadata, field, operator, value)


@settings(max_examples=examples(300), deadline=None)
@given(metadatas, filters(), st.data())
def test_the_scan_the_index_and_plain_python_agree(db, metadatas, wanted, data):
    expected = [n for n, metadata in enumerate(metadatas) if oracle(wanted, metadata)]
    assert matches(db, metadatas, wanted) == expected
    # Some fields in the index, others not.
    some = data.draw(st.sets(st.sampled_from(sorted(fields_of(wanted)))))
    assert select(db, wanted, fill(db, metadatas, sorted(some))) == expected


LIMITS = [2**53, 2**63, 2**64, 10**20, 2**70, 10**300]
near_limits = st.builds(
    lambda limit, sign, off: sign * (limit + off),
    st.sampled_from(LIMITS),
    st.sampled_from([1, -1]),
    st.integers(-3, 3) | st.integers(-1100, 1100),
)
numbers = near_limits | near_limits.map(float) | st.sampled_from([0, 0.5, -1e308, 1.5e19])
stored_numbers = numbers | st.sampled_from([10**400, -(10**400)])


@settings(max_examples=examples(150), deadline=None)
@given(st.data(), st.lists(stored_numbers | st.lists(stored_numbers, max_size=3), max_size=8))
def test_numbers_of_any_size_are_compared_as_python_compares_them(db, data, values):
    # Many equal or nearly equal ones: some operands are taken from the documents.
    flat = [n for value in values for n in (value if isinstance(value, list) else [value])]
    some = [n for n in flat if abs(n) < 10**400]
    operands = numbers | st.sampled_from(some) if some else numbers
    operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    one = st.builds(FieldCondition, st.just(("n",)), operators, operands)
    several = st.builds(OneOf, st.just(("n",)), st.lists(operands, max_size=4).map(tuple))
    wanted = data.draw(one | several | st.builds(AllOf, st.tuples(one, one)))
    zoo = [{"n": value} for value in values]
    expected = [n for n, metadata in enumerate(zoo) if oracle(wanted, metadata)]
    assert matches(db, zoo, wanted) == expected


@settings(max_examples=examples(300), deadline=None)
@given(scalars, st.lists(scalars, max_size=5))
def test_a_value_of_its_own_metadata_is_found(db, value, others):
    zoo = [{"x": value}, {"x": [*others, value]}, {"x": [value, [value]]}]
    assert matches(db, zoo, FieldCondition(("x",), "=", value)) == [0, 1, 2]
    assert matches(db, zoo, OneOf(("x",), (*others, value))) == [0, 1, 2]


def name_text(field):
    return ".".join(map(label_text, field))


def label_text(name):
    keyword = name.lower() in ("and", "or", "not", "in", "exists")
    return name if re.fullmatch(r"\w+", name) and not keyword else quoted(name)


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def value_text(value):
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def render(wanted):
    match wanted:
        case AllOf(parts):
            return f"({' and '.join(map(render, parts))})"
        case AnyOf(parts):
            return f"({' OR '.join(map(render, parts))})"
        case Not(part):
            return f"not {render(part)}"
        case Exists(field):
            return f"{name_text(field)} exists"
        case OneOf(field, values):
            return f"{name_text(field)} in ({', '.join(map(value_text, values))})"
        case FieldCondition(field, operator, value):
            return f"{name_text(field)}{operator}{value_text(value)}"


@settings(max_examples=examples(300), deadline=None)
@given(filters())
def test_a_filter_written_as_text_is_the_same_filter(wanted):
    assert parse_filter(parse_where(render(wanted))) == wanted


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1))
def test_any_labels_can_be_written_as_a_name_in_text_and_in_a_mapping(labels):
    path, written = tuple(labels), field_name(tuple(labels))
    assert field_path(written) == path
    assert parse_filter(parse_where(f"{written} exists")) == Exists(path)
    assert parse_filter({as_name(labels[0]): {"exists": True}}) == Exists(path[:1])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.b", ("a", "b")),
        ('"a.b"', ("a.b",)),
        ("'a.b'", ("a.b",)),
        ('"a"."b"', ("a", "b")),
        ('a."b c.d"', ("a", "b c.d")),
        ('"a.b".c', ("a.b", "c")),
        ("Größe 2", ("Größe 2",)),
        ('x"y', ('x"y',)),
        (r'"\"a\\"', ('"a\\',)),
        ('""', ("",)),
    ],
)
def test_dots_lead_into_objects_except_in_quotation_marks(name, path):
    assert field_path(name) == path
    assert parse_filter({name: 1}) == FieldCondition(path, "=", 1)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("first name = 3", '"first name"'),
        ("x = 1 and Preis€ > 3", '"Preis€"'),
        ("नाम = 3", '"नाम"'),
        ("x = naïve café and y = 1", '"naïve café"'),
        ("x in (press release)", '"press release"'),
    ],
)
def test_what_needs_quotes_is_shown_with_them(text, quoted):
    shown = f"(a name or text of other characters is quoted: {quoted})."
    with pytest.raises(InputError, match=re.escape(shown)):
        parse_where(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('year >= 2020 and source = "faq"', {"and": [{"year": {">=": 2020}}, {"source": "faq"}]}),
        ("a==1 or b<>2", {"or": [{"a": 1}, {"b": {"!=": 2}}]}),
        ("a=1 OR b=2 AND Not c=3", {"or": [{"a": 1}, {"and": [{"b": 2}, {"not": {"c": 3}}]}]}),
        ("((a=1))", {"a": 1}),
        ("a not in (1, 'x, y') ", {"a": {"not in": [1, "x, y"]}}),
        ("a Not Exists", {"a": {"exists": False}}),
        ("a in (-1.5, 1e3, .5, 2., TRUE, Null)", {"a": {"in": [-1.5, 1e3, 0.5, 2.0, True, None]}}),
        ("day >= 2020-01-01", {"day": {">=": "2020-01-01"}}),
        ("zip = 01234", {"zip": "01234"}),
        ("version = 1.2.3", {"version": "1.2.3"}),
        ("url = http://x.org/a-b", {"url": "http://x.org/a-b"}),
        ("2020 = 2020", {"2020": 2020}),
        ("'a b' = 'it\\'s \\\\ \\n'", {"a b": "it's \\ \\n"}),
        ('"not" = 1 and not "in" = 2', {"and": [{"not": 1}, {"not": {"and": [{"in": 2}]}}]}),
    ],
)
def test_a_text_is_parsed_to_a_mapping(text, where):
    assert parse_where(text) == where


def test_a_mapping_is_parsed_to_a_filter():
    year = AllOf((FieldCondition(("year",), ">=", 2020), FieldCondition(("year",), "<", 2024)))
    faq, x = FieldCondition(("meta", "source"), "=", "faq"), Exists(("x",))
    assert parse_filter({"meta.source": "faq"}) == faq
    both = parse_filter({"meta.source": "faq", "year": {">=": 2020, "<": 2024}})
    assert both == AllOf((faq, year))
    either = parse_filter({"or": [{"meta.source": "faq"}, {"x": {"exists": False}}]})
    assert either == AnyOf((faq, Not(x)))
    assert parse_filter({"x": {"not in": [1]}}) == AllOf((x, Not(OneOf(("x",), (1,)))))
    assert parse_filter({"not": {"x": 1}}) == Not(FieldCondition(("x",), "=", 1))
    # "and", "or" and "not" are fields where their value is a condition.
    assert parse_filter({"not": {"in": [3]}}) == OneOf(("not",), (3,))
    assert parse_filter({"and": {"exists": True}}) == Exists(("and",))
    assert parse_filter({"or": 3}) == FieldCondition(("or",), "=", 3)


@pytest.mark.parametrize(
    ("wanted", "terms"),
    [
        (FieldCondition(("f",), ">=", 3), "field=? AND kind=? AND value>?"),
        (FieldCondition(("f",), "=", "x"), "field=? AND kind=? AND value=?"),
        (OneOf(("f",), ("x", "y")), "field=? AND kind=? AND value=?"),
        (FieldCondition(("f",), "=", None), "field=? AND kind=?"),
        (Exists(("f",)), "field=?"),
    ],
)
def test_an_indexed_field_is_found_through_the_primary_key(db, wanted, terms):
    sql, values = condition(wanted, {("f",): 1})
    plan = db.execute(f"EXPLAIN QUERY PLAN SELECT document FROM documents WHERE {sql}", values)
    steps = [row[3] for row in plan]
    assert f"SEARCH field_values USING PRIMARY KEY ({terms})" in steps
    assert "SEARCH documents USING INTEGER PRIMARY KEY (rowid=?)" in steps


@pytest.mark.parametrize("indexed", [{}, {("a",): 1}])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("number", [1, 2**64])
def test_sqlite_takes_the_largest_filter(db, indexed, first, number):
    wanted = leaf = OneOf(("a",), (number, "a", None, True))
    for level in range(MOST_LEVELS - 1):
        others = (leaf,) * ((MOST_CONDITIONS - 1) // (MOST_LEVELS - 1))
        group = AnyOf if level % 2 else AllOf
        wanted = group((wanted, *others) if first else (*others, wanted))
    sql, values = condition(wanted, indexed)
    inner = f"SELECT document FROM documents WHERE {sql}"
    around = f"SELECT 1 FROM documents WHERE document IN ({inner})"
    db.execute(f"SELECT * FROM (SELECT * FROM (SELECT ({around})))", values)


def test_thousands_of_values_are_one_condition(db):
    zoo = [{"n": 4999}, {"n": "4999"}, {"n": 5000}]
    assert matches(db, zoo, OneOf(("n",), tuple(range(5000)))) == [0]


def nested(levels):
    where = {"a": 1}
    for _ in range(levels):
        where = {"not": where}
    return where


@pytest.mark.parametrize("levels", [MOST_LEVELS, 900, 100_000])
def test_very_deep_nesting_is_refused(levels):
    deep = rf"The filter is nested more than {MOST_LEVELS} levels deep\."
    for text in ("(" * levels + "a=1" + ")" * levels, "not " * levels + "a=1"):
        refused(InputError, deep, parse_where, text)
    refused(InputError, deep, parse_filter, nested(levels))


def test_the_deepest_nesting_is_accepted():
    levels = MOST_LEVELS - 1
    assert parse_where("(" * levels + "a=1" + ")" * levels) == {"a": 1}
    assert parse_filter(parse_where("not " * levels + "a=1")) == parse_filter(nested(levels))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year >=", "'year >=': expected a value after '>=' at character 8, found the end"),
        ("", "expected a field at character 1, found the end"),
        ("a", "or 'exists' after 'a' at character 2, found the end"),
        ("a = b c", "expected 'and', 'or' or the end at character 7, found 'c'"),
        ("(a = 1", "expected 'and', 'or' or ')' at character 7, found the end"),
        ("a = 'x", "expected a closing ' at character 5"),
        ("a ~ 3", "expected a field, value or operator at character 3, found '~'"),
        ("a = And", "found 'And' (a keyword; as a name or text, write \"And\")"),
        ("a not 3", "expected 'in' or 'exists' after 'not' at character 7, found '3'"),
        ("a in 3", "expected '(' after 'in' at character 6, found '3'"),
        ("a in (1 2)", "expected ',' or ')' at character 9, found '2'"),
        ("a in (1,)", "expected a value at character 9, found ')'"),
        ("a = 1e999", "expected a number below 1.8e308 at character 5, found '1e999'"),
        ("a = " + "9" * 5000, "expected a number below 1.8e308 at character 5"),
        ("a = \udcff", "expected a field, value or operator at character 5, found '\\udcff'"),
    ],
)
def test_a_syntax_error_names_its_position(text, message):
    with pytest.raises(InputError) as caught:
        parse_where(text)
    shown = str(caught.value)
    assert message in shown
    assert shown.endswith("Example: year >= 2020 and source in (faq, 'press release')")
    assert len(shown.encode()) < 400


EXAMPLE = '{"source": "faq", "year": {">=": 2020}}'
SCALAR = "expected text, a number, true, false or null"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({}, f"The filter is empty; give at least one condition, such as {EXAMPLE}."),
        ("a = 1", "The filter is str; expected a mapping of fields to values, such as"),
        ({3: 1}, "The filter has the field 3 (int); expected text"),
        ({"a..b": 1}, "The field 'a..b' is not a name; expected a name"),
        ({"source": ["faq"]}, "The filter on 'source': expected one value after '='"),
        ({"source": ["faq"]}, 'or {"source": {"in": ["faq", "blog"]}}'),
        ({"a": {"~": 1}}, "The filter on 'a': '~' is not one of: =, !=, <, <=,"),
        ({"author": {"name": 1}}, 'A nested field is written "author.name".'),
        ({"a": {}}, "The filter on 'a': expected an operator (=, !=,"),
        ({"a": {"in": "x"}}, "expected a list after 'in' or 'not in', found 'x'"),
        ({"a": {"in": [[1]]}}, f"The filter on 'a': {SCALAR}, found [1]."),
        ({"a": {"exists": 1}}, "expected True or False after 'exists', found 1"),
        ({"a": {"<": None}}, "expected a number or text after '<', found null"),
        ({"a": {">": True}}, "expected a number or text after '>', found true"),
        ({"a": b"x"}, f"The filter on 'a': {SCALAR}, found b'x'. For example: {EXAMPLE}."),
        ({"a": float("nan")}, "expected a finite number below 1.8e308, found nan"),
        ({"a": 10**5000}, "a finite number below 1.8e308, found a number of too many digits"),
        ({"a": [10**5000]}, "expected one value after '='"),
        ({"a": "x\0"}, "expected text without NUL characters, found 'x\\x00'"),
        ({"a": "\ud800"}, "expected text that is valid Unicode"),
        ({"\ud800": 1}, "The filter on '\\ud800': expected labels that are valid Unicode"),
        ({"and": []}, "The filter on 'and': expected a list of at least one mapping, found []"),
        ({"or": [{"a": 1}, 3]}, "The filter on 'or': expected a list of at least one mapping"),
        ({"and": [{}]}, "The filter is empty"),
        ({"or": [{"a": 1}] * 201}, "The filter has more than 200 conditions. To compare one"),
    ],
)
def test_a_mapping_that_is_no_filter_is_refused(where, message):
    with pytest.raises(InputError) as caught:
        parse_filter(where)
    assert message.encode() in str(caught.value).encode()


def test_a_field_needs_a_label_and_a_comparison_an_operator():
    refused(InputError, "names no field", Exists, ())
    one_of = "expected one of the operators =, !=,"
    refused(InputError, one_of, FieldCondition, ("a",), "like", "x")
