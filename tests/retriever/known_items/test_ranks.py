"""Ranks of the rests of documents: as in a collection that has a rest in its document's place."""

import numpy as np
import pytest

from retriever import Collection, Document, HashingEmbedder, Words
from retriever.comparison.compare import compare
from retriever.embedders.base import fingerprint_of
from retriever.evaluation.measures import trec_order
from retriever.known_items.finders import with_rests
from retriever.known_items.items import KnownItem, MadeQueries
from retriever.known_items.making import make_queries
from retriever.known_items.rests import Rests
from retriever.search.reranked import reranked
from tests.support.toy import Axes, refused

# Frequent words are shared, so that every query finds several documents.
WORDS = [f"w{number:02}" for number in range(40)]
DEPTH = 5


def corpus(documents=24, seed=5):
    """Documents with a title and five sentences of random words, the first of them frequent."""
    draw = np.random.default_rng(seed)

    def sentence():
        words = draw.choice(WORDS, 8, p=np.arange(40, 0, -1) / 820)
        return f"{' '.join(words).capitalize()}."

    return [
        Document(f"d{number}", " ".join(sentence() for _ in range(5)), title=sentence())
        for number in range(documents)
    ]


def built(path, documents, split=None):
    """A collection with an index of every kind over some documents."""
    collection = Collection.create(path, split=split)
    collection.add(documents)
    collection.build("hashing", HashingEmbedder(dim=64))
    collection.build("half", HashingEmbedder(dim=32), dtype="float16")
    collection.build("graph", vectors="hashing", ann="HNSW8")
    collection.build("bm25", lexical=True)
    collection.build("tuned", lexical=True, k1=0.5, b=0.3, language="none")
    collection.fuse("rrf", ["bm25", "hashing"], depth=DEPTH)
    collection.fuse("minmax", ["bm25", "half"], method="minmax", depth=DEPTH)
    collection.fuse("convex", ["bm25", "half"], method="convex", depth=DEPTH)
    collection.cascade("cascade", "bm25", "hashing", depth=DEPTH)
    collection.cascade("reverse", "hashing", "bm25", depth=DEPTH)
    collection.fuse("nested", ["cascade", "tuned"], depth=DEPTH)
    return collection


def ranking(retriever, query_id, text, k=30):
    (hits,) = retriever.run({query_id: text}, k).ranking.values()
    return trec_order([(doc_id, round(float(score), 3)) for doc_id, score in hits])


@pytest.mark.parametrize("split", [None, Words(12, overlap=4)], ids=["whole", "split"])
def test_every_index_ranks_as_if_the_rest_had_been_added_in_place_of_the_document(tmp_path, split):
    documents = corpus()
    with built(tmp_path / "library", documents, split) as library:
        made = make_queries(library, 3, seed=3)
        rests = Rests(made, library.split)
        asking = [
            with_rests(library.retriever(name), library, rests) for name in library.index_names()
        ]
        # All at once, as `compare` does it.
        found = {one.name: one.run(dict(made), 30).ranking for one in asking}
        for query_id, text in made.items():
            item = made.item(query_id)
            others = [
                Document(one.doc_id, item.rest) if one.doc_id == item.doc_id else one
                for one in documents
            ]
            with built(tmp_path / query_id, others, split) as expected:
                for name, of in found.items():
                    ours = trec_order([(d, round(float(s), 3)) for d, s in of[query_id]])
                    theirs = ranking(expected.retriever(name), query_id, text)
                    assert ours == theirs, (name, query_id)


@pytest.fixture
def compass(tmp_path):
    """Three documents on axes, of which `n` has two sentences."""
    with Collection.create(tmp_path / "compass") as collection:
        texts = {"n": "north. east east up.", "e": "east", "u": "up up east"}
        collection.add([Document(one, text.replace(".", " .")) for one, text in texts.items()])
        collection.build("axes", Axes())
        yield collection


def test_a_rest_is_ranked_by_its_own_vector_and_not_by_that_of_its_document(compass):
    # The rest of `n` is (0, 2, 1): closer to east than (0, 1, 2), farther than (0, 1, 0).
    made = MadeQueries([KnownItem("q", "east", "n", "east east up")])
    found = with_rests(compass.retriever("axes"), compass, Rests(made, None))
    hits = found.run({"q": "east"}, 10).ranking["q"]
    expected = [("e", 1.0), ("n", 2 / 5**0.5), ("u", 1 / 5**0.5)]
    assert hits == [(doc_id, pytest.approx(score)) for doc_id, score in expected]


def test_a_comparison_asks_for_rests_and_judges_by_their_ranks(compass):
    made = MadeQueries([KnownItem("q", "east", "n", "east east up")])
    report = compare(compass, ["axes"], made)
    assert report.rows["axes"].quality == {"RR@100": 0.5, "Success@1": 0.0, "Success@10": 1.0}
    assert report.queries["q"].judgments == {"n": 1}
    assert report.rows["axes"].judged_share is None
    assert any("cannot show how it does on what users ask" in note for note in report.notes)


def test_a_rest_without_a_known_word_is_not_found(compass):
    made = MadeQueries([KnownItem("q", "east", "n", "fog")])
    report = compare(compass, ["axes"], made)
    assert [doc_id for doc_id, _ in report.runs["axes"].ranking["q"]] == ["e", "u"]


class TwoSided(Axes):
    """Documents and queries have vectors of their own: in a query, west means east."""

    def __init__(self):
        super().__init__("two-sided")
        self.fingerprint = fingerprint_of(kind="two-sided")

    def encode_documents(self, texts):
        return Axes.encode_queries(self, texts)

    def encode_queries(self, texts):
        return Axes.encode_queries(self, [text.replace("west", "east") for text in texts])


def test_rests_are_encoded_as_documents_and_queries_as_queries(compass):
    compass.build("sides", TwoSided())
    made = MadeQueries([KnownItem("q", "west", "n", "west north")])
    found = with_rests(compass.retriever("sides"), compass, Rests(made, None))
    hits = found.run({"q": "west"}, 10).ranking["q"]
    # The rest is (1, 0, 0) as a document; as a query it would be (1, 1, 0).
    assert [(doc_id, round(score, 4)) for doc_id, score in hits][-1] == ("n", 0.0)


class Reads:
    """A reranker that prefers short texts, and keeps what it read."""

    name, seen = "reads", ()

    def scores(self, query, documents):
        self.seen = {one.doc_id: one.text for one in documents}
        return np.array([-len(one.text) for one in documents], np.float32)


def test_a_reranker_reads_the_rest_and_not_the_document(compass):
    made = MadeQueries([KnownItem("q", "east", "n", "east east up")])
    reader = Reads()
    of_three = reranked(compass.retriever("axes"), reader)
    found = with_rests(of_three, compass, Rests(made, None)).run({"q": "east"}, 10).ranking["q"]
    assert reader.seen == {"n": "east east up", "e": "east", "u": "up up east"}
    assert [doc_id for doc_id, _ in found] == ["e", "u", "n"]


def test_made_queries_take_no_judgments_and_no_runs(compass):
    made = MadeQueries([KnownItem("q", "east", "n", "east")])
    message = "Queries made from the corpus need no judgments"
    refused(Exception, message, compare, compass, ["axes"], made, {"q": {"n": 1}})
    refused(
        Exception, message, compare, compass, ["axes"], made, runs={"theirs": {"q": {"n": 1.0}}}
    )


def test_a_document_that_is_gone_is_named(compass):
    made = MadeQueries([KnownItem("q", "east", "gone", "east")])
    refused(Exception, "document 'gone', which the collection", compare, compass, ["axes"], made)


def test_vectors_made_elsewhere_cannot_embed_a_rest(compass):
    vectors = np.eye(3, dtype=np.float32)
    compass.build("given", from_vectors=(["n", "e", "u"], vectors))
    made = MadeQueries([KnownItem("q", "east", "n", "east")])
    refused(Exception, "given", compare, compass, ["given"], made)
