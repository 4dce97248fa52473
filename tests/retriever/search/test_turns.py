"""Queries that compute mostly in Python take turns; others do not wait for them."""

import threading

import pytest

from indexes import threads
from indexes.search import vector_searcher
from retriever import Collection, Document, HashingEmbedder
from tests.support.toy import Axes

# Seconds to wait for a search that must not end, and for one that must.
WAIT, PATIENCE = 0.2, 30


@pytest.fixture
def library(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("n", "north"), Document("e", "east")])
        collection.build("hashing", HashingEmbedder())
        collection.build("graph", vectors="hashing", ann="HNSW8")
        collection.build("axes", Axes())
        collection.build("words", lexical=True)
        collection.fuse("fused", ["hashing", "words"])
        yield collection


def waits(library, index, texts=("north",), *, seconds=PATIENCE):
    """Return whether a search in another thread waits for a turn that this one has."""
    search = library.search_many
    search(list(texts), index=index, k=1)  # what the index needs is known from its first query on
    thread = threading.Thread(target=search, args=[list(texts)], kwargs={"index": index, "k": 1})
    with threads.IN_TURN:
        thread.start()
        thread.join(seconds)
        waited = thread.is_alive()
    thread.join()
    return waited


@pytest.mark.parametrize("index", ["hashing", "graph"])
def test_a_query_of_a_small_static_index_waits_for_its_turn(library, index):
    assert waits(library, index, seconds=WAIT)


@pytest.mark.parametrize("index", ["axes", "words", "fused"])
def test_other_queries_and_batches_do_not(library, index):
    assert not waits(library, index)
    assert not waits(library, "hashing", ["north", "east"])


@pytest.mark.parametrize(("index", "limit"), [("hashing", "NUMBERS"), ("graph", "ROWS")])
def test_a_query_of_many_vectors_does_not(library, monkeypatch, index, limit):
    monkeypatch.setattr(vector_searcher, f"BRIEF_{limit}", 0)
    assert not waits(library, index)


def test_a_query_inside_a_query_has_the_turn_already(library):
    library.search("north", index="hashing")
    with threads.IN_TURN:
        assert library.search("north", index="hashing", k=1)[0].doc_id == "n"
