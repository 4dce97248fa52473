"""The schema's steps: an older catalog is brought up to date once, and a newer one is refused."""

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

import pytest
from sqlite_utils import Migrations

from indexes.catalog.sqlite import migrations, schema
from indexes.errors import CollectionError, LockedError, NewerFormatError
from retriever import Collection, Document, HashingEmbedder
from tests.support.fresh import check_forked, lock_holder, printed_by
from tests.support.toy import ids, refused

STEPS = "SELECT name FROM _sqlite_migrations ORDER BY name"
SHIPPED = [schema.FIRST, schema.STALE, schema.IMAGES, schema.SOURCES, schema.READINGS]
NEWER = "0006_notes"


def make(folder):
    with Collection.create(folder) as collection:
        collection.add([Document("cat", "A kitten purrs."), Document("car", "The motor hums.")])
        collection.build("floor", HashingEmbedder())
    return folder


@pytest.fixture
def folder(tmp_path):
    """A collection as this version writes it."""
    return make(tmp_path / "c")


@pytest.fixture
def newer(monkeypatch):
    """A later version, whose last step fails as long as `newer` holds an error."""
    steps, errors = Migrations("retriever"), []
    steps(name=schema.FIRST)(migrations.documents_embeddings_indexes)
    steps(name=schema.STALE)(migrations.stale_passages)
    steps(name=schema.IMAGES)(migrations.images)
    steps(name=schema.SOURCES)(migrations.sources_of_documents)
    steps(name=schema.READINGS)(migrations.readings_of_sources)

    @steps(name=NEWER)
    def notes(db):
        db.conn.execute("CREATE TABLE notes (document INTEGER) STRICT")
        db.conn.execute("INSERT INTO notes SELECT document FROM documents")
        for error in errors:
            raise error

    monkeypatch.setattr(migrations, "steps", steps)
    monkeypatch.setattr(schema, "NAMES", schema.NAMES | {NEWER})
    return errors


def ask(folder, sql):
    with contextlib.closing(sqlite3.connect(folder / "catalog.db")) as db:
        return [row[0] for row in db.execute(sql)]


def check_works(folder):
    with Collection.open(folder) as collection:
        assert collection.verify().ok
        assert ids(collection.search("the motor", k=1)) == ["car"]
        assert (collection.split, collection.info().fields) == (None, ())


def test_a_new_catalog_has_all_steps(folder):
    assert ask(folder, STEPS) == sorted(schema.NAMES)
    check_works(folder)


def test_an_older_catalog_is_brought_up_to_date_once(folder, newer):
    assert ask(folder, STEPS) == SHIPPED
    check_works(folder)
    assert ask(folder, STEPS) == [*SHIPPED, NEWER]
    assert ask(folder, "SELECT document FROM notes ORDER BY document") == [1, 2]
    generation = ask(folder, "SELECT generation FROM state")
    check_works(folder)
    assert ask(folder, "SELECT generation FROM state") == generation
    assert not (folder / "writer.json").exists()
    with Collection.open(folder) as collection:
        assert collection.add([Document("dog", "A puppy barks.")]).new == 1
        assert collection.build("floor").embedded == 1
        assert collection.verify().ok


def test_edits_before_the_update_are_missing_and_those_after_it_answer_by_their_old_text(folder):
    with Collection.open(folder) as collection:
        collection.add([Document("cat", "A kitten sleeps.")])
    with contextlib.closing(sqlite3.connect(folder / "catalog.db")) as db, db:
        # As the first version left it: with the old passage as a tombstone, and no more.
        db.execute("DROP TABLE stale")
        db.execute("DROP TABLE images")
        db.execute("DROP TABLE members")
        db.execute("DROP TABLE origins")
        db.execute("DROP TABLE readings")
        db.execute("DELETE FROM _sqlite_migrations WHERE name > ?", [schema.FIRST])
    assert ask(folder, STEPS) == [schema.FIRST]
    check_works(folder)
    assert ask(folder, STEPS) == SHIPPED
    with Collection.open(folder) as collection:
        assert ids(collection.search("the kitten purrs", k=9)) == ["car"]
        collection.add([Document("car", "The engine stopped.")])
        hits = collection.search("the motor hums", k=9)
        assert [(hit.doc_id, hit.text, hit.stale) for hit in hits] == [
            ("car", "The engine stopped.", True)
        ]
        assert collection.build("floor").embedded == 2
        assert collection.verify().ok


def test_a_crash_during_an_update_leaves_the_older_catalog(folder, newer):
    newer.append(KeyboardInterrupt())
    refused(KeyboardInterrupt, None, Collection.open, folder)
    assert ask(folder, STEPS) == SHIPPED
    assert ask(folder, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'notes'") == [0]
    newer.clear()
    check_works(folder)


def test_the_process_that_writes_to_an_older_catalog_is_named(folder, newer):
    with lock_holder(folder) as holder:
        refused(LockedError, f"by process {holder.pid} on .* since 20", Collection.open, folder)
    assert ask(folder, STEPS) == SHIPPED
    check_works(folder)


def test_a_catalog_of_a_later_version_is_refused(folder, newer, monkeypatch):
    check_works(folder)
    monkeypatch.setattr(schema, "NAMES", schema.NAMES - {NEWER})
    newer_step = f"newer Retriever .schema step {NEWER}"
    refused(NewerFormatError, newer_step, Collection.open, folder)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_an_older_catalog_in_a_read_only_folder_is_refused(request):
    def open_as_nobody():
        os.setuid(65534)
        with pytest.raises(CollectionError) as caught:
            Collection.open(folder)
        assert (caught.type, str(caught.value)) == (
            CollectionError,
            f"{folder}/ was written by an older Retriever and must be brought up to date once. "
            "Open it where it can be written to.",
        )

    with tempfile.TemporaryDirectory() as name:
        folder = make(Path(name) / "c")
        request.getfixturevalue("newer")
        for path in (Path(name), folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        check_forked(open_as_nobody)
        assert ask(folder, STEPS) == SHIPPED


def test_the_reading_side_does_not_import_the_writing_side():
    writing = ("indexes.ingest", "indexes.pipeline", "indexes.maintenance", "indexes.store")
    code = f"import sys, indexes.reader; print([m for m in sys.modules if m.startswith({writing})])"
    assert printed_by(code) == "[]\n"
