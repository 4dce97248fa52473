"""A collection stays the one that was opened, wherever this process works and whatever moves."""

import os
import shutil
import sqlite3
import tempfile
import threading
from pathlib import Path

import pytest

from indexes.errors import CollectionError
from retriever import Collection, Document, HashingEmbedder
from retriever.embedders import StaticEmbedder
from tests.support.fresh import check_forked
from tests.support.toy import Axes, build_axes, exactly, ids, refused


def make(folder, **texts):
    with Collection.create(folder) as collection:
        build_axes(collection, **texts)
        collection.build("bm25", lexical=True)
        collection.build("graph", vectors="axes", ann="HNSW8")


def listing(folder):
    return {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*")}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def elsewhere(here, monkeypatch):
    """Work in a folder with another collection of the same name."""
    make(here / "other" / "library", z="up")
    monkeypatch.chdir(here / "other")
    return listing(here / "other")


@pytest.mark.parametrize("opener", ["open", "create", "open_or_create"])
def test_a_relative_path_means_the_same_folder_after_a_change_of_folder(here, monkeypatch, opener):
    if opener != "create":
        make(here / "library", a="north")
    with getattr(Collection, opener)("library") as library:
        before = elsewhere(here, monkeypatch)
        library.add([Document("b", "east")])
        library.build("axes", Axes())
        library.build("more", vectors="axes", ann="HNSW8")
        library.use("axes", Axes())
        assert ids(library.search("east", index="more", k=1)) == ["b"]
        library.compact()
        assert library.verify().problems == ()
        assert library.path == here / "library"
    assert listing(here / "other") == before


def test_an_embedder_given_by_a_relative_path_is_found_after_a_change_of_folder(here, monkeypatch):
    (here / "words.txt").write_text("north 1 0\neast 0 1\n")
    embedder = StaticEmbedder("words.txt")
    make(here / "library", a="north")
    with Collection.open("library") as library:
        elsewhere(here, monkeypatch)
        library.build("static", embedder)
    with Collection.open(here / "library") as library:
        assert ids(library.search("north", index="static")) == ["a"]


def test_messages_name_a_folder_as_seen_from_the_present_one(here, monkeypatch):
    with Collection.create("library") as library:
        refused(CollectionError, "^library is not empty", Collection.create, "library")
        monkeypatch.chdir(library.path)
        refused(CollectionError, f"^{here}/library is not empty", Collection.create, library.path)


def move(folder):
    folder.rename(folder.with_name("moved"))


def remove(folder):
    shutil.rmtree(folder)


def replace(folder):
    move(folder)
    make(folder, a="up", b="north")


def rebuild(folder):
    remove(folder)
    make(folder, a="up", b="north")


def put_a_copy_back(folder):
    shutil.copytree(folder, folder.with_name("copy"))
    remove(folder)
    folder.with_name("copy").rename(folder)


def overwrite(folder):
    """Write an older state into the file itself, as a backup that is copied back does."""
    make(folder.with_name("older"), b="north")
    for log in folder.glob("catalog.db-*"):
        log.unlink()
    shutil.copyfile(folder.with_name("older") / "catalog.db", folder / "catalog.db")


CHANGES = [move, remove, replace, rebuild, put_a_copy_back]
CALLS = {
    "search": lambda c: c.search("north", index="axes"),
    "search_many": lambda c: c.search_many(["north", "up"], index="graph"),
    "bm25": lambda c: c.search("north", index="bm25"),
    "add": lambda c: c.add([Document("n", "east")]),
    "delete": lambda c: c.delete(["a"]),
    "build": lambda c: c.build("axes", Axes()),
    "drop": lambda c: c.drop("graph"),
    "compact": lambda c: c.compact(),
    "info": lambda c: c.info(),
    "len": len,
    "verify": lambda c: c.verify(),
    "repair": lambda c: c.repair(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_changed_under_a_collection_is_refused_and_not_touched(tmp_path, change):
    folder = tmp_path / "library"
    make(folder, a="north", b="east", c="up")
    error = f"{folder}/ was moved, removed or replaced after it was opened. "
    error = exactly(
        error + "Open it again, where it is now; a service that has it must be restarted."
    )
    with Collection.open(folder) as collection:
        collection.use("axes", Axes())
        retriever = collection.retriever("axes")
        for call in ("search", "search_many", "bm25"):
            CALLS[call](collection)
        change(folder)
        before = listing(tmp_path)
        for call in CALLS.values():
            refused(CollectionError, error, call, collection)
        refused(CollectionError, error, retriever.search, "north")
        in_thread(lambda: refused(CollectionError, error, CALLS["search"], collection))
        in_thread(lambda: refused(CollectionError, error, CALLS["add"], collection))
        assert listing(tmp_path) == before
    if (folder / "catalog.db").exists():
        with Collection.open(folder) as again:
            assert again.verify().problems == ()


def in_thread(work):
    failed = []

    def run():
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []


def test_an_older_state_written_into_the_file_itself_is_refused(tmp_path):
    folder, opened = tmp_path / "library", []
    make(folder, a="north", b="east")

    def search():
        opened.append(Collection.open(folder))
        assert ids(opened[0].search("east", index="bm25")) == ["b"]

    in_thread(search)  # which closes its connection
    overwrite(folder)
    refused(CollectionError, "was moved, removed or replaced", opened[0].search, "east")
    opened[0].close()


def test_cells_that_run_again_work_or_say_what_to_do(here):
    first = Collection.open_or_create("library")
    first.add([Document("a", "north")])
    again = Collection.open_or_create("library")
    again.add([Document("a", "north"), Document("b", "east")])
    again.build("words", HashingEmbedder(8))
    first.build("words", HashingEmbedder(8))
    assert (len(first), ids(first.search("east", k=1))) == (2, ["b"])
    refused(CollectionError, "^library is not empty. Choose a new", Collection.create, "library")
    shutil.rmtree("library")
    third = Collection.create("library")
    refused(CollectionError, "^library/ was moved, removed or replaced", first.search, "east")
    third.add([Document("c", "up")])
    first.close()
    again.close()
    with Collection.open("library") as fourth:
        assert [document.doc_id for document in fourth.documents()] == ["c"]
    third.close()


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_a_copy_without_shared_memory_on_a_read_only_disk_says_to_copy_it_to_another(tmp_path):
    def open_as_nobody():
        os.setuid(65534)
        message = "its latest changes are in catalog.db-wal. Copy the folder, with that file"
        refused(CollectionError, message, Collection.open, copy)

    with tempfile.TemporaryDirectory() as name:
        with Collection.create(tmp_path / "library") as collection:
            collection.add([Document("a", "north")])
            copy = Path(shutil.copytree(collection.path, Path(name) / "copy"))
        (copy / "catalog.db-shm").unlink()
        for path in (Path(name), copy, *copy.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        check_forked(open_as_nobody)


@pytest.mark.parametrize("code", ["SQLITE_PROTOCOL", "SQLITE_IOERR_SHMMAP", "SQLITE_IOERR_LOCK"])
def test_a_file_system_without_shared_memory_or_locks_is_named_as_the_reason(tmp_path, code):
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = getattr(sqlite3, code)
    with Collection.create(tmp_path / "library") as collection:
        said = str(collection._store.catalog.translate(error))
        assert "such as a network file system. Copy the folder to a local disk" in said
        assert "damaged" not in said
