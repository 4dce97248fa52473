"""Fields of metadata: names as in filters, kinds, frequent values."""

from retriever import Document
from retriever.search.metadata_fields import MetadataField, condition_text, metadata_fields
from retriever.search.where_parser import filter_of


def of(*documents):
    return {field.name: field for field in metadata_fields(documents)}


def test_fields_are_named_as_in_filters_and_lists_count_as_their_elements():
    found = of({"a": {"b": 1}, "c.d": "x", "tags": ["p", "q"]}, {"tags": ["p"], "none": None})
    assert list(found) == ["a.b", '"c.d"', "tags"]
    assert found["tags"] == MetadataField("tags", "text", 2, (("p", 2), ("q", 1)), True)


def test_the_kind_is_that_of_most_values_and_numbers_and_dates_have_a_range():
    found = of(
        {"year": 2020, "ok": True, "day": "2020-01-31", "mixed": "2020-01-31"},
        {"year": 1999.5, "ok": False, "day": "1999-12-01T10:00", "mixed": "soon"},
        {"year": "unknown"},
    )
    kinds = {name: (field.kind, field.low, field.high) for name, field in found.items()}
    assert kinds == {
        "year": ("number", 1999.5, 2020),
        "ok": ("boolean", None, None),
        "day": ("date", "1999-12-01T10:00", "2020-01-31"),
        "mixed": ("text", None, None),
    }


def test_values_are_listed_by_frequency_and_not_if_each_is_another():
    many = [{"id": f"n{n}", "topic": "abc"[n % 3 == 0], "long": "x" * 61} for n in range(30)]
    found = of(*many)
    assert found["topic"].values == (("a", 20), ("b", 10))
    assert (found["id"].values, found["id"].complete) == ((), False)
    assert (found["long"].values, found["long"].complete) == ((), False)


def test_a_condition_reads_back_as_it_was_meant():
    conditions = [("year", ">=", 2020), ("ok", "=", True), ('"a b"', "=", 'say "\\ no"')]
    text = " and ".join(condition_text(*one) for one in conditions)
    assert text.startswith('year >= 2020 and ok = true and "a b" = ')
    meant = {"year": {">=": 2020}, "ok": True, "a b": 'say "\\ no"'}
    assert filter_of(text).key == filter_of(meant).key


def test_the_fields_of_a_collection_are_those_of_its_documents(collection):
    collection.add([Document("a", "x", metadata={"year": 2020}), Document("b", "y")])
    assert collection.metadata_fields() == (
        MetadataField("year", "number", 1, ((2020, 1),), True, 2020, 2020),
    )
