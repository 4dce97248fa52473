"""What Python users expect: filters, embedders and queries in several forms, `await`, a log."""

import asyncio
import logging

import pandas
import pytest

from indexes.errors import InputError, UnknownNameError
from retriever import Collection, Document, HashingEmbedder, compare
from tests.support.toy import ANIMALS, ids, pairs, refused

QUERIES = {"q1": "a kitten purrs", "q2": "filing deadline"}


def test_a_filter_is_a_mapping_or_a_text(library):
    by_mapping = library.search("a kitten", where={"source": "faq"})
    assert library.search("a kitten", where="source = faq") == by_mapping
    assert ids(by_mapping) == ["tax"]
    assert library.filter_notes("sourze = faq") == library.filter_notes({"sourze": "faq"})
    refused(InputError, "expected a value after '='", library.search, "x", where="source =")
    assert library.delete(where="source = faq") == 1


def test_an_embedder_is_named_by_a_text_with_its_options(library):
    library.build("narrow", "hashing", options={"dim": 8})
    assert library.embedder("narrow").fingerprint == HashingEmbedder(8).fingerprint
    refused(UnknownNameError, "No kind of embedder 'glove'", library.build, "x", "glove:6b")
    refused(InputError, "options are those of an embedder", library.build, "x", options={"dim": 8})


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"qid": ["q1", "q2"], "query": list(QUERIES.values())}),
        pandas.DataFrame({"_id": ["q1", "q2"], "text": list(QUERIES.values()), "title": ["", ""]}),
        QUERIES,
    ],
)
def test_queries_are_a_mapping_or_a_table(library, frame):
    hits = library.search_many(frame, k=1)
    assert {query_id: ids(found) for query_id, found in hits.items()} == {
        "q1": ["cat"],
        "q2": ["tax"],
    }
    assert list(compare(library, ["floor"], frame, k=1).queries) == ["q1", "q2"]


def test_ids_of_a_table_may_be_numbers_but_not_occur_twice(library):
    one = pandas.DataFrame({"id": [1, 2], "text": ["kitten", "deadline"]})
    assert list(library.search_many(one)) == ["1", "2"]
    twice = pandas.DataFrame({"id": [1, 1], "text": ["kitten", "deadline"]})
    refused(InputError, "the id '1' occurs twice", library.search_many, twice)
    unnamed = pandas.DataFrame({"a": [1], "b": ["kitten"]})
    refused(InputError, "columns a, b; expected one called _id or", library.search_many, unnamed)


def test_a_collection_has_documents_by_id_and_in_order(library):
    assert (len(library), list(library)) == (3, ANIMALS)
    assert library["cat"] == ANIMALS[0]
    assert "cat" in library
    assert "dog" not in library
    assert ANIMALS[0] in library
    assert Document("cat", "another text") not in library
    assert 7 not in library
    refused(UnknownNameError, "No document 'dog'", library.__getitem__, "dog")


def test_searches_can_be_awaited_and_run_at_the_same_time(library):
    async def ask():
        one = library.asearch("a kitten purrs", k=1)
        many = library.asearch_many(QUERIES, k=1)
        return await asyncio.gather(one, many)

    assert asyncio.run(ask()) == [
        library.search("a kitten purrs", k=1),
        library.search_many(QUERIES, k=1),
    ]


def test_documents_can_be_added_and_built_without_blocking_a_loop(tmp_path):
    async def fill():
        with Collection.create(tmp_path / "c") as made:
            added = await made.aadd(ANIMALS)
            built = await made.abuild("floor", HashingEmbedder())
            with pytest.raises(InputError):
                await made.asearch("", k=1)
            return added.new, built.embedded, pairs(await made.asearch("kitten", k=1))[0][0]

    assert asyncio.run(fill()) == (3, 3, "cat")


def test_durable_steps_are_logged_and_no_text_of_a_query_at_info(tmp_path, caplog):
    caplog.set_level(logging.INFO, "retriever")
    with Collection.create(tmp_path / "c") as made:
        made.add(ANIMALS)
        made.build("floor", HashingEmbedder())
        made.search("a secret")
        made.delete(["cat"])
        made.build("bm25", lexical=True)
        made.fuse("both", ["floor", "bm25"])
        made.compact()
        made.drop("both")
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    place = tmp_path / "c"
    assert said[0] == f"{place}: added 3 new documents, 0 changed, 0 unchanged, 0 skipped"
    assert said[1].startswith(f"{place}: built index 'floor': 3 embedded, 0 already")
    expected = [
        "deleted 1 document",
        "built index 'bm25': 0 embedded, 2 already",
        "built index 'both': 0 embedded, 2 already",
        "compacted, 1 vector dropped",
        "dropped index 'both', 0 bytes freed",
    ]
    assert len(said) == 2 + len(expected)
    for one, start in zip(said[2:], expected, strict=True):
        assert one.startswith(f"{place}: {start}")
    assert not any("secret" in one for one in said)
    assert all(record.name.startswith("retriever") for record in caplog.records)


def test_searches_are_logged_for_debugging(library, caplog):
    caplog.set_level(logging.DEBUG, "retriever")
    library.search("a kitten", k=2)
    (record,) = [one for one in caplog.records if "search" in one.getMessage()]
    assert record.getMessage().startswith(f"{library.path}: searched 'floor' for 1 query, k 2")


def test_the_library_prints_nothing_where_logging_is_not_set_up():
    handlers = logging.getLogger("retriever").handlers
    assert [type(handler) for handler in handlers] == [logging.NullHandler]
