"""Many indexes: each is opened at a cost of its own, and few files stay open."""

from pathlib import Path

import pytest

from indexes.catalog.registry import Registry
from indexes.errors import UnknownNameError
from indexes.search import searchers
from indexes.vectors import shards
from retriever import Collection, Document, HashingEmbedder
from tests.support.toy import refused

INDEXES = 24
FILES = Path("/proc/self/fd")


@pytest.fixture
def many(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(Document(f"d{n}", f"sea {n}") for n in range(4))
        for number in range(INDEXES):
            collection.build(f"e{number}", HashingEmbedder(8))
        yield collection


def search_all(collection):
    found = (collection.search("sea 1", index=name, k=1) for name in collection.index_names())
    return [[hit.doc_id for hit in hits] for hits in found]


def test_opening_an_index_reads_nothing_of_the_others(many, monkeypatch):
    read, shards_of = [], Registry.shards

    def counted(self, embedding):
        read.append(embedding)
        return shards_of(self, embedding)

    monkeypatch.setattr(Registry, "shards", counted)
    assert search_all(many) == [["d1"]] * INDEXES
    assert sorted(read) == sorted(set(read))


@pytest.mark.skipif(not FILES.is_dir(), reason="Linux")
def test_few_files_stay_open(many, monkeypatch):
    def opened():
        return len(list(FILES.iterdir()))

    search_all(many)
    before = opened()
    # Files as small as these are read.
    with Collection.open(many.path) as other:
        search_all(other)
        assert opened() <= before + 2
    monkeypatch.setattr(shards, "SMALL_FILE", 0)
    monkeypatch.setattr(searchers, "MOST_MAPPED", 5)
    with Collection.open(many.path) as other:
        for _ in range(2):
            assert search_all(other) == [["d1"]] * INDEXES
            assert opened() <= before + 2 + 5 + 1


def test_an_error_names_only_some_of_many_indexes(many, monkeypatch):
    monkeypatch.setattr("indexes.errors.MOST_NAMED", 2)
    refused(UnknownNameError, r"It has: e0, e1 and 22 more\.", many.search, "x", index="no")
