"""More like this: by Rocchio's vector, by telling words, and by each part of a fusion."""

import numpy as np
import pandas as pd
import pytest

from indexes.errors import InputError, UnknownNameError
from indexes.lexical.options import LexicalOptions
from retriever import Collection, Document, Words
from retriever.search.like import Like, telling_terms
from tests.support.toy import Axes, ids, pairs, refused


@pytest.fixture
def words(collection):
    """Ten documents of few words, with an index of each kind."""
    texts = {
        "owls": "owl owl moss night", "owl": "owl moss", "mice": "mouse moss night",
        "mouse": "mouse", "tide": "tide moon", "moon": "moon night", "sand": "sand tide",
        "north": "north owl", "east": "east", "both": "north east",
    }  # fmt: skip
    collection.add(Document(doc_id, text) for doc_id, text in texts.items())
    collection.build("bm25", lexical=True, language="none")
    collection.build("axes", Axes())
    collection.fuse("fused", ["bm25", "axes"])
    return collection


def test_the_documents_most_like_one_are_those_nearest_its_vector_without_itself(compass):
    expected = [pair for pair in pairs(compass.search("east", index="axes")) if pair[0] != "e"]
    assert pairs(compass.search(like=["e"], index="axes")) == expected
    assert ids(compass.search(like=["e"], index="axes", k=1)) == ["all"]


def test_several_and_negatives_are_rocchios_mean(compass):
    vectors = {one.doc_id: Axes().encode_documents([one.text])[0] for one in compass.documents()}
    near = (vectors["e"] + vectors["u"]) / 2
    query = near + 0.25 * (near - vectors["n"])
    query /= np.linalg.norm(query)
    hits = compass.search(like=["e", "u"], unlike=["n"], index="axes")
    assert not {"e", "u", "n"} & set(ids(hits))
    for hit in hits:
        assert hit.score == pytest.approx(float(vectors[hit.doc_id] @ query), abs=1e-6)


def test_a_document_of_several_passages_counts_once_as_their_mean(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(1, overlap=0)) as made:
        made.add([Document("mixed", "north north east up"), Document("n", "north")])
        made.add([Document("e", "east"), Document("u", "up up")])
        made.build("axes", Axes())
        query = np.array([2, 1, 1]) / np.sqrt(6)
        assert pairs(made.search(like=["mixed"])) == [
            ("n", pytest.approx(query[0])),
            ("e", pytest.approx(query[1])),
            ("u", pytest.approx(query[2])),
        ]


def test_bm25_searches_by_the_most_telling_words_of_the_documents(words):
    assert ids(words.search(like=["owls"], index="bm25")) == ids(
        [hit for hit in words.search("owl moss night", index="bm25") if hit.doc_id != "owls"]
    )
    # `sand` is in no other document; `tide` is.
    assert ids(words.search(like=["sand"], index="bm25")) == ["tide"]


def test_words_of_documents_to_be_unlike_count_less(words):
    assert "mice" in ids(words.search(like=["owls"], index="bm25"))
    hits = ids(words.search(like=["mouse", "tide"], unlike=["moon", "sand"], index="bm25"))
    assert hits[0] == "mice"


def test_terms_are_chosen_by_frequency_times_idf_and_are_at_most_25(collection):
    rare = [f"rare{n:02}" for n in range(40)]
    collection.add(Document(f"a{n}", f"{word} common") for n, word in enumerate(rare))
    collection.add(Document(f"b{n}", f"{word} common") for n, word in enumerate(rare))
    collection.build("bm25", lexical=True, language="none")
    index = collection._store.read(lambda now: now.searcher("bm25").words)
    options = LexicalOptions("none")
    text = f"common {' '.join(rare)} rare39 single"
    assert list(telling_terms(index, options, [text])) == [*rare[:24], "rare39"]
    assert list(telling_terms(index, options, ["common"])) == ["common"]
    assert telling_terms(index, options, [""]) == {}


def test_a_fusion_asks_each_part_and_leaves_the_documents_out_of_each(words):
    found = words.search(like=["north"], index="fused")
    assert "north" not in ids(found)
    # First in both: the only one with the word `north`, and the nearest vector.
    assert pairs(found)[0] == ("both", pytest.approx(2 / 61))


def test_a_filter_and_k_apply(words):
    words.add([Document("far", "owl moss night", metadata={"year": 2020})])
    for index in ("bm25", "axes"):
        words.build(index)
    assert ids(words.search(like=["owls"], index="bm25", where="year >= 2020")) == ["far"]
    assert len(words.search(like=["owls"], index="bm25", k=2)) == 2


def test_a_cascade_ranks_what_its_first_part_finds_like_the_documents(words):
    words.cascade("cascade", "bm25", "axes")
    assert ids(words.search(like=["north"], index="cascade"))[0] == "both"


def test_an_edited_document_is_like_others_by_its_earlier_text_until_it_is_indexed(words):
    words.add([Document("east", "tide")])
    assert ids(words.search(like=["east"], index="axes"))[0] == "both"
    words.build("axes")
    hits = words.search(like=["east"], index="axes")
    assert list(hits) == []
    assert hits.notes[0] == (
        "'axes' has nothing of the documents to be like: no hit is 'like east'."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unlike": ["owl"]}, "Say which documents the hits should be like, not only unlike"),
        ({"like": "owl"}, "like is 'owl'; expected a list of document ids"),
        ({"like": "", "text": "x"}, "like is ''; expected a list of document ids"),
        ({"like": 3}, "like is 3; expected a list of document ids"),
        ({"like": ["owl"], "unlike": [1]}, r"unlike is \[1\]; expected a list of document ids"),
        ({"text": "x", "phrase": "no"}, "phrase is 'no'; expected True or False"),
        ({"text": "x", "all_words": 1}, "all_words is 1; expected True or False"),
        ({"like": ["owl"], "text": "x"}, "Give either documents to be like, or a text"),
        ({"like": ["owl"], "all_words": True}, "all_words and phrase are for a text"),
        ({"like": ["owl"], "k": 0}, "k is 0"),
    ],
)
def test_impossible_requests_are_refused(words, arguments, message):
    refused(InputError, message, words.search, index="bm25", **arguments)


@pytest.mark.parametrize("made", [tuple, iter, np.array, pd.Series])
def test_any_sequence_of_ids_is_taken(words, made):
    asked = words.search(like=made(["mouse", "tide"]), unlike=made(["moon", "sand"]), index="bm25")
    named = words.search(like=["mouse", "tide"], unlike=["moon", "sand"], index="bm25")
    assert ids(asked) == ids(named)


def test_no_ids_are_no_query(words):
    assert ids(words.search("owls", like=None, unlike=np.array([]), index="bm25")) == ids(
        words.search("owls", index="bm25")
    )


def test_an_unknown_document_is_named(words):
    refused(UnknownNameError, "'nobody'", words.search, like=["owl", "nobody"], index="bm25")


def test_a_request_names_its_documents():
    assert str(Like.of(["a", "b", "a"], ["c"])) == "like a, like b, unlike c"
