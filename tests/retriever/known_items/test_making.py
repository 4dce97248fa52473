"""Queries made from documents, as worked out by eye, and the laws that they keep."""

import pytest

from indexes.errors import BadRecordsError, InputError
from retriever import Collection, Document, make_queries
from retriever.document_queries.duplicates import repeated_documents
from retriever.document_queries.kinds import Parts, query_of
from retriever.document_queries.rest import rest_of
from retriever.known_items.files import made_queries, read_made, write_made
from retriever.known_items.items import KnownItem, MadeQueries
from tests.support.toy import exactly, refused

PURR = "A cat purrs when it is content."
PAIN = "Sometimes it purrs in pain as well, which few owners know."
LARYNX = "Muscles of the larynx twitch many times a second."
VETS = "Vets listen to the sound to tell how calm the animal is."
CAT = Document("cat", f"{PURR} {PAIN} {LARYNX} {VETS}", title="Why does a cat purr so loudly")
TAX = Document(
    "tax",
    "Taxes are due in April of each year. Late returns cost a fee that grows by the month. "
    "An extension can be had by a short form sent in before the deadline.",
    title="When taxes are due",
)


@pytest.fixture
def library(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([CAT, TAX])
        yield collection


def made_of(collection, doc_id, kind):
    items = make_queries(collection, 10, kinds=[kind]).items_made
    return next((item.text, item.rest) for item in items if item.doc_id == doc_id)


def test_a_title_asks_for_the_whole_text(library):
    assert made_of(library, "cat", "title") == (CAT.title, CAT.text)


def test_a_sentence_asks_for_the_others_and_not_for_the_title(library):
    assert made_of(library, "cat", "first") == (PURR, f"{PAIN} {LARYNX} {VETS}")
    assert made_of(library, "cat", "middle") == (LARYNX, f"{PURR} {PAIN} {VETS}")


def test_keywords_are_the_rarest_words_of_a_sentence_in_their_order(library):
    query, rest = made_of(library, "cat", "keywords")
    assert len(query.split()) == 5
    source = next(one for one in (PURR, PAIN, LARYNX, VETS) if one not in rest)
    words = [word.strip(".,").lower() for word in source.split()]
    assert [words.index(word) for word in query.split()] == sorted(map(words.index, query.split()))
    assert rest == " ".join(one for one in (PURR, PAIN, LARYNX, VETS) if one != source)


def test_a_sentence_that_repeats_the_query_is_taken_out_too():
    assert rest_of("Why a cat purrs. It is content.", "why a cat purrs") == "It is content."
    assert (
        rest_of("A cat that purrs is no dog. So.", "cat purrs") == "A cat that purrs is no dog. So."
    )


def test_the_first_sentence_is_not_the_title_again(library):
    library.add([Document("twice", f"{CAT.title}. {TAX.text}", title=CAT.title)])
    query, rest = query_of(Parts(library["twice"], {}, 3), "first")
    assert query == "Taxes are due in April of each year."
    assert rest.startswith(CAT.title)


def test_the_kinds_take_turns_and_then_each_document_gives_another_query(library):
    made = make_queries(library, 4, kinds=["title", "first"])
    assert [item.kind for item in made.items_made] == ["title", "first", "first", "title"]
    docs = [item.doc_id for item in made.items_made]
    assert docs[:2] == docs[2:]
    assert set(docs) == {"cat", "tax"}


def test_the_same_seed_makes_the_same_queries_and_another_one_others(library):
    one, same = (make_queries(library, 1, seed=4) for _ in range(2))
    assert one.items_made == same.items_made
    assert len({make_queries(library, 1, seed=seed).items_made[0].doc_id for seed in range(9)}) == 2


def test_documents_that_another_one_repeats_give_no_query(library):
    library.add([Document("copy", f"{CAT.text} And more.", title="Copied")])
    made = make_queries(library, 10)
    assert {item.doc_id for item in made.items_made} == {"tax"}
    assert made.notes[0] == "2 sampled documents that another one repeats gave no query."
    assert made.notes[1].startswith("The documents give ")


def test_a_document_is_repeated_by_one_that_has_half_of_its_runs_of_four_words():
    # a b c d, b c d e, c d e f, d e f g: two of four are in the first, one in the second.
    some = {"it": "a b c d e f g"}
    assert repeated_documents(some, [("it", some["it"]), ("other", "a b c d e x")]) == {"it"}
    assert repeated_documents(some, [("it", some["it"]), ("other", "a b c d x")]) == set()


def test_documents_without_enough_text_are_named_in_an_error(tmp_path):
    with Collection.create(tmp_path / "short") as collection:
        collection.add([Document("a", "Too short."), Document("b", "", title="No text at all")])
        refused(
            InputError,
            "No document of .* gives a query: expected a title or",
            make_queries,
            collection,
        )


@pytest.mark.parametrize("returns", [PURR, [PURR], ("why cats hum",)])
def test_a_function_may_make_the_queries(library, returns):
    made = make_queries(library, 10, made_by=lambda one: returns if one.doc_id == "cat" else None)
    (item,) = made.items_made
    assert (item.doc_id, item.kind) == ("cat", "own")
    # A sentence of the document is taken out of it; other words are not.
    assert (PURR in item.rest) == (item.text != PURR)


@pytest.mark.parametrize("returns", [[""], [3], [" "], " "])
def test_a_function_that_makes_no_text_is_refused(library, returns):
    refused(
        InputError,
        "expected a text that is not empty",
        make_queries,
        library,
        made_by=lambda _: returns,
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kinds": ["titel"]}, "Unknown kind of query 'titel'.* Did you mean 'title'"),
        ({"kinds": []}, "No kind of query was given"),
        ({"count": 0}, "The number of queries is 0; expected a whole number from 1 up"),
        ({"seed": -1}, "The seed is -1; expected 0 or more"),
        ({"seed": "x"}, "The seed is 'x'; expected 0 or more"),
        ({"kinds": 5}, "kinds is 5; expected a list of kinds of queries"),
        ({"kinds": [5]}, "A kind of query is 5; expected text"),
    ],
)
def test_wrong_arguments_are_refused(library, wrong, message):
    refused(InputError, message, make_queries, library, **wrong)


def test_a_file_has_the_queries_that_were_written(library, tmp_path):
    made = make_queries(library, 4)
    write_made(tmp_path / "made.jsonl", made)
    assert read_made(tmp_path / "made.jsonl", library).items_made == tuple(made.items_made)


def test_a_file_of_another_maker_needs_only_a_text_and_a_document(library, tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text(
        f'{{"doc_id": "cat", "text": "{PURR}"}}\n{{"doc_id": "cat", "text": "humming"}}'
    )
    first, second = made_queries(str(file), library).items_made
    assert first == KnownItem("own-1", PURR, "cat", f"{PAIN} {LARYNX} {VETS}", "own")
    assert (second.query_id, second.rest) == ("own-2", CAT.text)


def test_all_bad_lines_of_a_file_are_named_together(library, tmp_path):
    file = tmp_path / "bad.jsonl"
    lines = ['{"text": "x"}', '{"doc_id": "dog", "text": "x"}', '{"doc_id": "cat", "text": 3}']
    file.write_text("\n".join(lines))
    with pytest.raises(BadRecordsError) as caught:
        read_made(file, library)
    assert [bad.reason for bad in caught.value.records] == [
        "no doc_id, which made queries have; give others without made:",
        "the collection has no document dog",
        "text is int; expected text",
    ]


def test_two_queries_with_one_id_and_no_queries_are_refused():
    item = KnownItem("q", "text", "d", "rest")
    refused(InputError, "have one id", MadeQueries, [item, item])
    refused(
        InputError,
        exactly("There are no queries made from documents. Make at least one."),
        MadeQueries,
        [],
    )
