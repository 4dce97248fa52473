"""All words of a query, or its phrase, as conditions of BM25 that change no score."""

import pytest

from indexes.errors import InputError
from retriever import Collection, Document, Words
from tests.support.toy import Axes, exactly, ids, pairs, refused

TEXTS = {
    "bank": "the bank of England raised rates",
    "river": "England has many a river bank",
    "turned": "rates of the England bank",
    "owl": "an owl",
    "tokyo": "私は東京大学に行く",
    "kyoto": "東京と京都の大学",
}


@pytest.fixture
def texts(collection):
    collection.add(Document(doc_id, text) for doc_id, text in TEXTS.items())
    collection.build("bm25", lexical=True)
    return collection


def test_with_all_words_only_passages_with_each_are_found_with_their_usual_scores(texts):
    usual = dict(pairs(texts.search("England rates bank")))
    found = pairs(texts.search("England rates bank", all_words=True))
    assert {doc_id for doc_id, _ in found} == {"bank", "turned"}
    assert all(usual[doc_id] == score for doc_id, score in found)


def test_a_phrase_is_found_where_its_words_are_adjacent_and_in_order(texts):
    usual = dict(pairs(texts.search("bank of England")))
    assert pairs(texts.search("bank of England", phrase=True)) == [("bank", usual["bank"])]
    # Words are stemmed as in the index.
    assert ids(texts.search("raise rate", phrase=True)) == ["bank"]
    assert ids(texts.search("England banks", phrase=True)) == ["turned"]


def test_a_phrase_in_a_script_without_spaces_is_found_inside_a_run(texts):
    assert ids(texts.search("東京大学", phrase=True)) == ["tokyo"]
    assert set(ids(texts.search("大学", phrase=True))) == {"tokyo", "kyoto"}
    assert ids(texts.search("京", phrase=True)) == ids(texts.search("京"))


def test_stop_words_count_in_a_phrase_where_the_index_leaves_them_out(texts):
    texts.build("few", lexical=True, stopwords=True)
    assert ids(texts.search("bank of England", index="few", phrase=True)) == ["bank"]
    assert ids(texts.search("bank England", index="few", phrase=True)) == []


def test_the_best_are_found_among_many_that_have_the_words_but_not_the_phrase(collection):
    collection.add(Document(f"no{n:03}", "moss owl") for n in range(300))
    collection.add(Document(f"yes{n}", f"owl moss {'fern ' * n}") for n in range(3))
    collection.build("bm25", lexical=True, k1=1.0)
    collection.build("plain", lexical=True)
    for index in ("plain", "bm25"):
        hits = collection.search("owl moss", index=index, k=2, phrase=True)
        assert ids(hits) == ["yes0", "yes1"]


def test_a_phrase_stands_in_one_passage_of_a_split_document(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(2, overlap=0)) as made:
        made.add([Document("over", "x owl moss y"), Document("in", "owl moss x y")])
        made.build("bm25", lexical=True)
        assert ids(made.search("owl moss", phrase=True)) == ["in"]
        assert set(ids(made.search("owl moss"))) == {"over", "in"}


def test_conditions_apply_with_a_filter_and_after_edits(texts):
    texts.add([Document("bank", "no more", metadata={"year": 2020})])
    texts.add([Document("new", "the bank of England", metadata={"year": 2020})])
    texts.build("bm25")
    hits = texts.search("bank of England", phrase=True, where="year = 2020")
    assert ids(hits) == ["new"]
    texts.delete(["owl"])
    assert ids(texts.search("owl moss", all_words=True)) == []


def test_a_cascade_whose_candidates_come_from_bm25_takes_them(texts):
    texts.build("axes", Axes(words=("bank", "England", "rates")))
    texts.cascade("cascade", "bm25", "axes")
    assert ids(texts.search("bank of England", index="cascade", phrase=True)) == ["bank"]


@pytest.mark.parametrize(
    ("matching", "note"),
    [
        ("all_words", "No passage has all words of 'owl bank'."),
        ("phrase", "No passage has the phrase 'owl bank'."),
    ],
)
def test_a_note_says_which_condition_nothing_meets(texts, matching, note):
    hits = texts.search("owl bank", **{matching: True})
    assert (list(hits), hits.notes) == ([], (note,))


def test_an_index_that_also_finds_by_vectors_is_refused(texts):
    texts.build("axes", Axes())
    texts.fuse("fused", ["bm25", "axes"])
    message = exactly(
        "'fused' does not find documents by words alone: all_words and phrase (--all-words, "
        "--phrase) are for BM25. Its part 'axes' searches vectors. Choose a BM25 index."
    )
    refused(InputError, message, texts.search, "owl", index="fused", phrase=True)
    refused(InputError, "It searches", texts.search, "owl", index="axes", all_words=True)
