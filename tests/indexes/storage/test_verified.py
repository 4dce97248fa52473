"""Large files that have not changed are not read again at each opening; changed ones are."""

import os
import shutil
from contextlib import contextmanager

import pytest

from indexes.errors import DamageError
from indexes.storage import files, verified
from indexes.vectors import shards
from retriever import Collection, Document, HashingEmbedder
from tests.support.toy import refused


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A collection of which every file counts as large, and as written long ago."""
    monkeypatch.setattr(verified, "LARGE_BYTES", 1)
    monkeypatch.setattr(shards, "SMALL_FILE", 0)
    monkeypatch.setattr(verified, "SETTLED_SECONDS", -60)
    with Collection.create(tmp_path / "library") as library:
        library.add(Document(f"d{n}", f"word{n}", metadata={"n": n}) for n in range(40))
        library.build("flat", HashingEmbedder(dim=32))
        library.build("cells", vectors="flat", ann="IVF4,Flat")
        library.build("bm25", lexical=True)
    (tmp_path / "library" / verified.NAME).unlink()  # of the shards, read for the cells
    return tmp_path / "library"


@contextmanager
def reading(monkeypatch):
    """Collect the names of the files that are read for their checksums."""
    read, digest_of = [], files.digest_of
    with monkeypatch.context() as patch:
        patch.setattr(files, "digest_of", lambda path: read.append(path.name) or digest_of(path))
        yield read


def searched(folder):
    with Collection.open(folder) as library:
        return [len(library.search("word7", index=name)) for name in ("flat", "cells", "bm25")]


def test_an_unchanged_file_is_read_at_the_first_opening_only(folder, monkeypatch):
    with reading(monkeypatch) as read:
        first = searched(folder)
        assert {name.partition(".")[2] for name in read} >= {"npy", "faiss"}
        read.clear()
        assert searched(folder) == first
        assert read == []


def test_a_changed_file_is_read_again_though_its_size_and_time_are_the_same(folder):
    searched(folder)
    path = next((folder / "ann").iterdir())
    data, stat = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    refused(DamageError, "is damaged", searched, folder)


def test_a_copy_is_verified_again(folder, tmp_path, monkeypatch):
    searched(folder)
    shutil.copytree(folder, tmp_path / "copy")
    with reading(monkeypatch) as read:
        searched(tmp_path / "copy")
        assert len(read) >= 3


def test_verify_trusts_no_note(folder, monkeypatch):
    searched(folder)
    with Collection.open(folder) as library, reading(monkeypatch) as read:
        assert library.verify().ok
        assert len(read) >= 3


def test_a_file_that_was_written_just_now_is_not_noted(folder, monkeypatch):
    monkeypatch.setattr(verified, "SETTLED_SECONDS", 60)
    with reading(monkeypatch) as read:
        searched(folder)
        read.clear()
        searched(folder)
        assert len(read) >= 3


def test_a_table_is_checked_once_until_the_catalog_changes(folder, monkeypatch):
    def filtered():
        with Collection.open(folder) as library:
            checked = []
            rows = library._store.catalog.rows
            monkeypatch.setattr(
                library._store.catalog,
                "rows",
                lambda sql, *rest: checked.append(sql) or rows(sql, *rest),
            )
            library.search("word7", index="flat", where={"n": {"<": 30}})
            return sum("integrity_check" in sql for sql in checked)

    assert filtered() == 1
    assert filtered() == 0
    with Collection.open(folder) as library:
        library.add([Document("new", "word7", metadata={"n": 7})])
    assert filtered() == 1


@pytest.mark.parametrize("left", [0, 1])
def test_what_was_loaded_of_a_folder_that_is_being_removed_does_not_count(tmp_path, left):
    """A writer removes a folder file by file."""
    folder = tmp_path / "lexical" / "bm25-1"
    folder.mkdir(parents=True)
    for name in ("meta.json", "terms"):
        (folder / name).write_text(name)
    (tmp_path / "catalog.db").touch()
    digest = files.digest_of(folder)
    with files.verified(folder, digest):
        pass

    def remove():
        with files.verified(folder, digest):
            for path in sorted(folder.iterdir())[left:]:
                path.unlink()

    refused(DamageError, "is missing, though the catalog names it", remove)
