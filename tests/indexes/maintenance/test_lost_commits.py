"""A catalog without its latest commits, next to the files that those named."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import DamageError
from retriever import Collection, Document, HashingEmbedder, compare
from tests.support.commands import invoke
from tests.support.fresh import fork
from tests.support.laws import examples
from tests.support.models.fittable import Rare
from tests.support.toy import lacks, refused

NUMBER = itertools.count()
STEPS = {
    "add": lambda c: c.add([Document(f"d{next(NUMBER)}", "the sea at night")]),
    "edit": lambda c: c.add([Document("first", f"the sea {next(NUMBER)}")]),
    "delete": lambda c: c.delete(where={"kind": "old"}),
    "flat": lambda c: c.build("flat", HashingEmbedder(16)),
    "graph": lambda c: c.build("graph", HashingEmbedder(16), ann="HNSW8"),
    "bm25": lambda c: c.build("bm25", lexical=True),
    "fitted": lambda c: (
        c.build("fitted", Rare(words=("sea", "night")), refit=True)
        if "fitted" in c.index_names()
        else c.build("fitted", Rare(words=("sea", "night")))
    ),
    "compact": lambda c: c.compact(),
    "drop": lambda c: c.drop("flat") if "flat" in c.index_names() else None,
}
WRITES = {
    "add": lambda c: c.add([Document("new", "text")]),
    "build": lambda c: c.build("floor", HashingEmbedder(16)),
    "delete": lambda c: c.delete([]),
    "compact": lambda c: c.compact(),
}


def contents(folder, *without):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock", *without))
    }


def copy_without_log(folder, to, *without):
    """Copy a collection as if `catalog.db` alone had been copied of its three files."""
    ignored = shutil.ignore_patterns("*-wal", "*-shm", *without)
    return Path(shutil.copytree(folder, to, ignore=ignored))


def generation_of(copy):
    with contextlib.closing(sqlite3.connect(copy / "catalog.db")) as connection:
        return connection.execute("SELECT generation FROM state").fetchone()[0]


def check_untouched(copy, says):
    """Every write of a copy is refused, and its files stay."""
    before = contents(copy)
    with Collection.open(copy) as opened:
        for name, write in WRITES.items():
            if len(opened) or name != "build":  # of nothing, that is refused anyway
                refused(DamageError, says, write, opened)
        checked, repaired = opened.verify(), opened.repair()
    assert re.search(says, checked.problems[0].what)
    assert (checked.leftovers, repaired.done) == ((), ())
    assert re.search(says, repaired.left[0].what)
    assert contents(copy) == before


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=6), st.integers(0, 6))
def test_a_copy_without_the_log_is_whole_or_is_left_as_it_is(steps, checkpoint):
    """`checkpoint`: the step after which SQLite moves its log into the catalog's file."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "library"
        with Collection.create(folder) as collection:
            collection.add([Document("first", "the sea at night")])
            for number, step in enumerate(steps):
                if number == checkpoint:
                    collection._store.catalog.value("PRAGMA wal_checkpoint(TRUNCATE)")
                STEPS[step](collection)
            copy = copy_without_log(folder, Path(work) / "copy")
            if generation_of(copy) == collection._store.catalog.generation():
                with Collection.open(copy) as opened:
                    opened.delete([])
                    assert opened.verify().ok
            else:
                check_untouched(copy, "older than the files next to it: its last commit is number")
            # With its log, the copy is whole.
            shutil.copy(folder / "catalog.db-wal", copy)
            with Collection.open(copy) as opened:
                opened.delete([])
                assert opened.verify().ok
                assert len(opened) == len(collection)


@pytest.mark.parametrize("build", ["graph", "bm25", "fitted"])
def test_files_of_later_commits_are_kept_in_a_collection_that_noted_none(tmp_path, build):
    """As in one of an earlier version, or where single files were copied."""
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document(f"d{n}", f"the sea {n}") for n in range(3)])
        collection._store.catalog.value("PRAGMA wal_checkpoint(TRUNCATE)")
        STEPS["add"](collection)
        STEPS[build](collection)
        copy = copy_without_log(collection.path, tmp_path / "copy", "*-commit")
    check_untouched(copy, "older than the files next to it: its last commit is number 2")


def test_a_copy_without_any_commit_is_no_empty_collection(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("a", "the sea at night")])
        collection.build("flat", HashingEmbedder(16))
        copy = copy_without_log(collection.path, tmp_path / "copy", "*-commit")
        assert collection.verify().ok
    check_untouched(copy, "its last commit is number 1, and later ones were made")


def test_answers_of_an_earlier_state_say_so(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("a", "the sea at night")])
        collection.build("flat", HashingEmbedder(16))
        collection._store.catalog.value("PRAGMA wal_checkpoint(TRUNCATE)")
        STEPS["add"](collection)
        copy = copy_without_log(collection.path, tmp_path / "copy")
        assert collection.search("sea").notes == (lacks(collection, "flat", 1),)
        assert collection.info().notes == ()
    with Collection.open(copy) as opened:
        note = f"{copy}/ answers from an earlier state: later commits were made, and its catalog "
        note += f"lacks them. Run: retriever verify {copy}"
        assert opened.search("sea").notes == opened.info().notes == (note,)
        assert note in compare(opened, ["flat"], {"q": "sea"}).notes
    assert f"note: {note}" in invoke("info", str(copy)).stderr


def test_what_to_do_about_lost_commits_is_said_and_works(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("a", "the sea at night")])
        collection._store.catalog.value("PRAGMA wal_checkpoint(TRUNCATE)")
        collection.build("flat", HashingEmbedder(16))
        copy = copy_without_log(collection.path, tmp_path / "copy")
    says = (
        f"{copy}/catalog.db is older than the files next to it: its last commit is number 2, and "
        "later ones were made. If it was copied, its log (catalog.db-wal) is missing: copy that "
        "file too, or the folder while nobody uses it. Nothing was changed or removed. To continue "
        "without those commits, remove catalog.db-commit, and move away what it does not name: "
        "vectors/flat/00000001.npy."
    )
    check_untouched(copy, f"^{re.escape(says)}$")
    (copy / "catalog.db-commit").unlink()
    (copy / "vectors/flat/00000001.npy").unlink()
    with Collection.open(copy) as opened:
        assert opened.build("flat", HashingEmbedder(16)).embedded == 1
        assert opened.verify().ok


@pytest.mark.parametrize(
    ("build", "last"),
    [
        ("flat", "add_shard"),
        ("graph", "add_shard"),
        ("bm25", "set_index"),
        ("fitted", "add_embedding"),
    ],
)
def test_files_of_a_killed_writer_are_removed_by_the_next(tmp_path, build, last, monkeypatch):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document(f"d{n}", f"the sea {n}") for n in range(3)])

        def die(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        def work():
            monkeypatch.setattr(f"indexes.catalog.registry.Registry.{last}", die)
            STEPS[build](collection)

        assert fork(work) == -9
        left = collection.verify()
        assert left.ok
        assert left.leftovers
        collection.delete([])
        assert collection.verify().leftovers == ()
