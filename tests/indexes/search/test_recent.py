"""Passages that were found lately are answered from memory, as they are in the catalog now."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from indexes.search import recent
from retriever import Collection, Document
from tests.support.toy import Axes, build_axes, ids


@pytest.fixture
def compass(collection):
    build_axes(collection, n="north", e="east", u="up")
    return collection


def kept(collection):
    """Return the texts that are kept, the oldest first."""
    passages = collection._store._recent._known[1].passages.values()
    return [passage.document.text for passage in passages]


def test_what_another_process_edits_deletes_or_adds_is_read_again(compass):
    assert ids(compass.search("north", k=1)) == ids(compass.search("north", k=1)) == ["n"]
    with Collection.open(compass.path) as other:
        other.add([Document("n", "north", title="north", metadata={"year": 2020})])
        other.build("axes", Axes())
    (hit,) = compass.search("north", k=1)
    assert (hit.title, hit.metadata) == ("north", {"year": 2020})
    with Collection.open(compass.path) as other:
        other.delete(["n"])
        other.add([Document("m", "north up")])
        other.build("axes", Axes())
    assert ids(compass.search("north", k=1)) == ["m"]


def test_metadata_alone_that_changes_is_read_again(compass):
    compass.search("north", k=1)
    with Collection.open(compass.path) as other:
        other.add([Document("n", "north", metadata={"year": 2021})])
    assert compass.search("north", k=1)[0].metadata == {"year": 2021}


def test_documents_are_kept_while_only_an_index_changes(compass):
    compass.search("north", k=1)
    compass.build("graph", vectors="axes", ann="HNSW4")
    compass.search("north", index="axes", k=1)
    assert kept(compass) == ["north"]


def test_whoever_changes_the_metadata_of_a_hit_changes_no_other_hit(collection):
    collection.add([Document("n", "north", metadata={"tags": ["a", {"b": 1}]})])
    collection.build("axes", Axes())
    for _ in range(2):
        (hit,) = collection.search("north", k=1)
        assert hit.metadata == {"tags": ["a", {"b": 1}]}
        hit.metadata["tags"][1]["b"] = 2
        hit.metadata["tags"].append("c")


def test_hits_are_of_the_state_they_were_found_in_though_they_are_read_later(compass):
    hits = compass.search("north", k=1)
    compass.add([Document("n", "up")])
    compass.build("axes", Axes())
    assert [hit.text for hit in hits] == ["north"]
    assert hits == pickle.loads(pickle.dumps(hits)) == pickle.loads(pickle.dumps(hits))
    assert (hits.hits[0].rank, hits[0] is hits[0]) == (1, True)
    with pytest.raises(AttributeError, match="'Hits' object has no attribute 'hit'"):
        _ = hits.hit


def test_a_snapshot_of_an_older_state_gets_the_texts_of_that_state(compass):
    reader = Collection.open(compass.path)
    reader.use("axes", Axes())
    with reader, reader._store.snapshot() as older:
        assert older.found([1])[1].document.text == "north"
        compass.add([Document("n", "east up")])
        compass.build("axes", Axes())
        # The same cache, asked for the newer state by another thread, and again for the older.
        newer = in_a_thread(lambda: reader.search("east up", k=1)[0].text)
        assert newer == "east up"
        assert older.found([1, 2])[1].document.text == "north"
        assert kept(reader) == ["east up"]


def in_a_thread(work):
    """Return what some work returns in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def test_no_more_than_the_limit_is_kept_and_the_oldest_goes_first(compass, monkeypatch):
    size = recent._size(compass._store.corpus.found([1])[1])
    monkeypatch.setattr(recent, "KEPT_BYTES", 2 * size + 50)
    monkeypatch.setattr(recent, "LARGEST_PART", 1)
    for text in ("north", "east", "up"):
        compass.search(text, k=1)
    assert kept(compass) == ["east", "up"]
    assert ids(compass.search("north", k=3))[0] == "n"
    monkeypatch.setattr(recent, "LARGEST_PART", 3)
    compass.add([Document("new", "north east up")])
    compass.build("axes", Axes())
    compass.search("up", k=3)
    assert kept(compass) == []


def test_the_size_of_what_is_kept_is_that_of_its_texts_and_metadata(collection):
    long = "north " * 1000
    collection.add([Document("d", long, title="up", metadata={"tags": ["x" * 1000] * 10})])
    collection.build("axes", Axes())
    collection.search("north", k=1)
    size = collection._store._recent._known[1].size
    assert 6_000 + 10_000 < size < 200_000


def test_an_answer_from_memory_begins_no_transaction(compass):
    compass.search("north", k=1)
    statements = []
    connection = compass._store.catalog.database.conn
    connection.set_trace_callback(statements.append)
    assert ids(compass.search("north", k=1)) == ["n"]
    connection.set_trace_callback(None)
    assert statements == ["SELECT generation, digest FROM state"]


def test_an_answer_is_of_one_state_where_another_process_commits_before_its_first_statement(
    compass,
):
    compass.search("north", k=1)
    store, asked = compass._store, []

    def question(snapshot):
        asked.append(snapshot.generation)
        if len(asked) == 1:
            with Collection.open(compass.path) as other:
                other.add([Document("s", "south")])
        return snapshot.generation, store.read(lambda inner: inner.corpus.count())

    before = store.catalog.generation()
    assert store.read(question) == (before + 1, 4)
    assert asked == [before, before + 1]
