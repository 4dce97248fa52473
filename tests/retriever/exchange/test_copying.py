"""Copies of collections, and new names of indexes."""

import threading

import pytest

from indexes.errors import CollectionError, DamageError, InputError, MismatchError, UnknownNameError
from indexes.maintenance import copying
from retriever import Collection, Document, HashingEmbedder, Words
from tests.support.models.pictures import picture
from tests.support.toy import COMPASS, Axes, ids, pairs, refused

EMBEDDER = HashingEmbedder(16)


@pytest.fixture
def full(tmp_path):
    """A collection with every kind of file, edits and deleted documents."""
    with Collection.create(tmp_path / "full", split=Words(2, overlap=0)) as collection:
        collection.index_fields("year")
        collection.add([*COMPASS, Document("red", "red", image=picture((255, 0, 0)))])
        collection.build("flat", EMBEDDER)
        collection.build("graph", vectors="flat", ann="HNSW8")
        collection.build("bm25", lexical=True)
        collection.fuse("both", ["flat", "bm25"])
        collection.add([Document("n", "north wind"), Document("new", "east")])
        collection.delete(["e"])
        model = collection.path / "models" / "own" / "table.bin"
        model.parent.mkdir(parents=True)
        model.write_bytes(b"model")
        yield collection


def answers(collection):
    return {
        name: pairs(collection.search(query, index=name, k=9))
        for name in collection.index_names()
        for query in ("north", "up east", "wind")
    }


def test_a_copy_is_intact_and_answers_the_same(full, tmp_path):
    report = full.copy(tmp_path / "deep" / "copy")
    assert (report.documents, report.indexes) == (6, 4)
    with Collection.open(tmp_path / "deep" / "copy") as copied:
        checked = copied.verify()
        assert (checked.problems, checked.leftovers) == ((), ())
        assert answers(copied) == answers(full)
        found = [
            [(d.doc_id, d.text, d.image and d.image.read()) for d in one.documents()]
            for one in (copied, full)
        ]
        assert found[0] == found[1]
        assert (copied.path / "models" / "own" / "table.bin").read_bytes() == b"model"
        copied.add([Document("later", "up")])  # it is a collection of its own
        copied.build("flat")
    assert len(full) == 6
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["copy"]


def test_a_place_that_is_not_free_is_refused(full, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    refused(CollectionError, "is not empty", full.copy, tmp_path)
    refused(CollectionError, "is a file", full.copy, tmp_path / "file")
    refused(CollectionError, "is inside", full.copy, full.path / "copy")
    full.copy(tmp_path / "empty")
    refused(CollectionError, "is not empty", full.copy, tmp_path / "empty")


def test_a_copy_is_of_one_state_while_a_writer_replaces_files(compass, tmp_path, monkeypatch):
    """Between the copied files, another thread adds, embeds and merges away what was named."""
    real, changed = copying._copy, []

    def change():
        with Collection.open(compass.path) as writer:
            writer.add([Document(f"new{len(changed)}", "north up")])
            writer.build("axes", Axes())
            writer.delete([])  # removes the replaced files
            changed.append(len(writer))

    def copy(*arguments):
        if len(changed) < 2:
            thread = threading.Thread(target=change)
            thread.start()
            thread.join()
        return real(*arguments)

    monkeypatch.setattr(copying, "_copy", copy)
    report = compass.copy(tmp_path / "copy")
    with Collection.open(tmp_path / "copy") as copied:
        checked = copied.verify()
        assert (checked.problems, checked.leftovers) == ((), ())
        assert len(copied) == report.documents == 5 + len(changed)
        assert copied.index_info("axes").missing == 0


def test_damage_is_found_on_the_way_and_leaves_nothing(full, tmp_path):
    (file,) = (full.path / "ann").iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    refused(DamageError, "is damaged", full.copy, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_what_a_killed_copy_left_is_replaced(full, tmp_path):
    left = tmp_path / "copy.copying" / "vectors"
    left.mkdir(parents=True)
    (left / "strange.npy").write_text("half")
    full.copy(tmp_path / "copy")
    with Collection.open(tmp_path / "copy") as copied:
        assert copied.verify().leftovers == ()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "full"]


def test_a_renamed_index_answers_the_same_and_combinations_follow(full):
    before = answers(full)
    generation = full._store.catalog.generation()
    full.rename("flat", "hashing")
    assert full._store.catalog.generation() == generation + 1
    assert full.index_names() == ["hashing", "graph", "bm25", "both"]
    assert full.index_info("both").parts == ("hashing", "bm25")
    assert full.index_info("graph").embedding == "hashing"
    before["hashing"] = before.pop("flat")
    assert answers(full) == before
    refused(UnknownNameError, "No index 'flat'", full.search, "north", index="flat")
    full.build("flat", HashingEmbedder(8))  # the name is free
    full.build("hashing")
    assert full.verify().ok
    refused(InputError, "is part of: both", full.drop, "hashing")


def test_a_name_that_is_taken_or_unknown_is_refused(full):
    refused(
        MismatchError,
        r"'bm25' exists already \(lexical\), and is part",
        full.rename,
        "flat",
        "bm25",
    )
    refused(UnknownNameError, "No index 'none'", full.rename, "none", "new")
    refused(InputError, "cannot name an index", full.rename, "flat", "a/b")
    full.rename("flat", "flat")
    assert full.index_names() == ["flat", "graph", "bm25", "both"]


def test_documents_are_iterated_by_a_filter_in_their_order(collection):
    collection.add([Document(str(n), "text", metadata={"year": n}) for n in range(250)])
    found = [one.doc_id for one in collection.documents(where={"year": {">=": 40}})]
    assert found == [str(n) for n in range(40, 250)]
    assert ids(collection.documents(where={"year": 3})) == ["3"]
    assert ids(collection.documents(where={"color": 3})) == []
