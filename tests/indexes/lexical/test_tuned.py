"""BM25 with k1, b and stop words: equal to its definition, also after edits."""

import random

import numpy as np
import pytest

from indexes.errors import InputError, MismatchError
from indexes.lexical.options import LexicalOptions
from indexes.lexical.tuned import in_one_byte
from retriever import Collection, Document
from tests.support.oracles import bm25 as oracle
from tests.support.toy import ids, pairs, refused

WORDS = ("wind", "sand", "tide", "moon", "fern", "moss", "owl", "elk", "salt")
QUERIES = ("owl", "moss moss owl", "salt tide fern", "wind unknown")


def some_documents(count, seed, start=0):
    rng = random.Random(seed)
    return [
        Document(f"d{n:04}", " ".join(rng.choices(WORDS[: n % 8 + 2], k=rng.randint(0, 90))))
        for n in range(start, start + count)
    ]


def expected(collection, query, k1, b, monkeypatch):
    """The hits by the oracle, best first; ties in the order of adding."""
    texts = {one.doc_id: one.text for one in collection.documents()}
    monkeypatch.setattr(oracle, "K1", k1)
    monkeypatch.setattr(oracle, "B", b)
    made = oracle.Oracle(texts)
    scores = {doc_id: made.score(query, doc_id) for doc_id in texts}
    found = [(doc_id, round(score, 4)) for doc_id, score in scores.items() if score > 0]
    return sorted(found, key=lambda pair: -pair[1])


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (2.0, 1.0), (0.0, 0.0), (1.2, 0.0)])
def test_scores_are_bm25_by_its_definition_with_any_k1_and_b(collection, monkeypatch, k1, b):
    collection.add(some_documents(120, 1))
    collection.build("bm25", lexical=True, language="none", k1=k1, b=b)
    for query in QUERIES:
        wanted = expected(collection, query, k1, b, monkeypatch)
        found = pairs(collection.search(query, k=200))
        assert dict(found) == pytest.approx(dict(wanted), abs=2e-4)
        assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)
        assert ids(collection.search(query, k=5)) == [doc_id for doc_id, _ in found[:5]]


def test_edits_and_deletions_change_its_scores_as_a_new_build_would(collection, monkeypatch):
    collection.add(some_documents(9000, 2))
    build = {"lexical": True, "language": "none", "k1": 0.6, "b": 0.3}
    collection.build("bm25", **build)
    collection.delete([f"d{n:04}" for n in range(0, 60, 3)])
    collection.add([Document("d0001", "owl owl elk"), Document("new", "moss")])
    collection.build("bm25")
    wanted = expected(collection, "owl moss", 0.6, 0.3, monkeypatch)
    found = pairs(collection.search("owl moss", k=9000))
    assert dict(found) == pytest.approx(dict(wanted), abs=2e-4)


def test_given_candidates_get_the_scores_that_a_search_gives_them(collection):
    collection.add(some_documents(60, 3))
    collection.build("plain", lexical=True, language="none")
    collection.build("tuned", lexical=True, language="none", k1=0.5, b=0.1)
    collection.cascade("cascade", "plain", "tuned", depth=60)
    for query in QUERIES:
        assert dict(pairs(collection.search(query, index="cascade", k=60))) == dict(
            pairs(collection.search(query, index="tuned", k=60))
        )
    some = {"where": {"not": {"missing": 1}}, "k": 60}
    assert pairs(collection.search("owl", index="tuned", **some)) == pairs(
        collection.search("owl", index="tuned", k=60)
    )


def test_lengths_are_rounded_to_one_byte_as_tantivy_rounds_them():
    lengths = np.array([*range(3000), 10**6, 2**31 - 25])
    assert in_one_byte(lengths).tolist() == [oracle.kept(n) for n in lengths.tolist()]


def test_stop_words_count_neither_in_texts_nor_in_queries_nor_in_lengths(collection):
    collection.add([Document("a", "the cat of the house"), Document("b", "cat house")])
    collection.build("all", lexical=True)
    collection.build("few", lexical=True, stopwords=True)
    assert ids(collection.search("the cat", index="all")) == ["a", "b"]
    (first, second) = collection.search("the cat", index="few")
    assert first.score == second.score
    hits = collection.search("of the", index="few")
    assert (list(hits), hits.notes) == ([], ("No word in 'of the': few finds nothing for it.",))


def test_options_are_part_of_an_index_and_stay_when_it_is_built_again(collection):
    collection.add([Document("a", "the cat")])
    collection.build("bm25", lexical=True, stopwords=True, k1=0.9)
    collection.add([Document("b", "a dog")])
    collection.build("bm25")
    info = collection.index_info("bm25")
    assert info.embedder == "BM25, english, no stop words, k1 0.9"
    assert LexicalOptions.of(info.options) == LexicalOptions("english", True, 0.9)
    refused(MismatchError, "bm25", collection.build, "bm25", lexical=True, k1=1.0)
    collection.build("plain", lexical=True)
    assert "k1" not in collection.index_info("plain").options
    refused(MismatchError, "plain", collection.build, "plain", lexical=True, stopwords=True)
    assert collection.verify().ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k1": -1}, r"k1 is -1; expected a number from 0 to 100"),
        ({"b": 1.5}, r"b is 1.5; expected a number from 0 to 1"),
        ({"b": True}, "b is True"),
        ({"language": "klingon"}, "No stemmer for 'klingon'"),
        ({"language": "tamil", "stopwords": True}, "No list of stop words for 'tamil'"),
    ],
)
def test_impossible_options_are_refused(library, options, message):
    refused(InputError, message, library.build, "bm25", lexical=True, **options)


def test_options_of_bm25_are_refused_for_vectors(library):
    refused(InputError, "k1: for BM25 only", library.build, "floor", k1=1.0)


def test_a_tuned_index_is_searched_after_opening_again(tmp_path):
    with Collection.create(tmp_path / "c") as made:
        made.add(some_documents(30, 4))
        made.build("bm25", lexical=True, b=0.2)
        before = pairs(made.search("owl"))
    with Collection.open(tmp_path / "c") as opened:
        assert pairs(opened.search("owl")) == before
