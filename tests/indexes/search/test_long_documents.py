"""Long documents: reads and memory do not grow with length times passages."""

import sqlite3
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.catalog import passages as passages_module
from indexes.catalog import stale
from indexes.catalog.sqlite.database import Catalog
from indexes.errors import DamageError
from retriever import Collection, Document, HashingEmbedder, Sentences, Words
from tests.support.toy import refused

WORDS = 3_000
LONG = Document("long", " ".join(f"word{n}" for n in range(WORDS)))
DOCUMENTS = [
    Document("a", "The cat purrs loudly. Taxes are due in April. The engine hums."),
    Document("b", "größe 🐈🐈 ñandú  north\u3000east. Ein Satz.", "Über Größe"),
    Document("empty", "", "only a title"),
    Document("c", "one two three four five six seven", "numbers", {"source": "faq"}),
]
CHANGED = Document("a", "Another cat sleeps. It is late in May.", "changed")


def corpus_of(collection):
    return collection._store.corpus


def batches(collection, limit):
    """Return all passages in batches, as the builder reads them."""
    corpus, position, found = corpus_of(collection), 1, []
    while batch := corpus.passages(position, corpus.stop_key(), limit):
        found.append(batch)
        position = batch[-1].key + 1
    return found


def lengths(found):
    return [[len(passage.text) for passage in batch] for batch in found]


@pytest.fixture
def read(monkeypatch):
    """The lengths of all texts of 100 characters or more that are fetched from the catalog."""
    fetched = []

    def noting(row):
        fetched.extend(len(cell) for cell in row if isinstance(cell, str) and len(cell) >= 100)
        return row

    rows, stream = Catalog.rows, Catalog.stream
    monkeypatch.setattr(Catalog, "rows", lambda *of: [noting(row) for row in rows(*of)])
    monkeypatch.setattr(Catalog, "stream", lambda *of: map(noting, stream(*of)))
    return fetched


@pytest.fixture
def long(tmp_path):
    """One document of 3,000 passages."""
    with Collection.create(tmp_path / "long", split=Words(1)) as collection:
        collection.add([LONG])
        yield collection


def edit(collection, sql):
    with sqlite3.connect(collection.path / "catalog.db") as database:
        database.execute(sql)
    database.close()


@pytest.mark.parametrize("split", [None, Words(2), Words(3, overlap=1), Sentences(4)])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_passages_are_the_spans_of_their_documents(tmp_path, split, limit):
    expected = [
        (document, start, end)
        for document in [*DOCUMENTS[1:], CHANGED]
        for start, end in (split.spans(document.text) if split else [(0, len(document.text))])
    ]
    with Collection.create(tmp_path / "c", split=split) as collection:
        collection.add(DOCUMENTS)
        # Its keys now come last, though its number is the first.
        collection.add([CHANGED])
        passages = [passage for batch in batches(collection, limit) for passage in batch]
        found = corpus_of(collection).found([-1, *(passage.key for passage in passages)])
    assert [passage.text for passage in passages] == [
        f"{document.title} {document.text[start:end]}" for document, start, end in expected
    ]
    spans = [found[passage.key] for passage in passages]
    assert [(span.document, span.start, span.end) for span in spans] == expected


def test_a_page_of_hits_and_a_batch_read_a_document_once(long, read):
    found = corpus_of(long).found(range(1, WORDS + 1))
    assert (len(found), read) == (WORDS, [len(LONG.text)])
    assert len({id(passage.document) for passage in found.values()}) == 1
    assert found[WORDS].document.text[found[WORDS].start :] == f"word{WORDS - 1}"
    read.clear()
    assert len(corpus_of(long).passages(1, WORDS + 1, WORDS)) == WORDS
    assert read == [len(LONG.text)]


def test_a_build_reads_a_document_once_a_batch(long, read):
    long.build("floor", HashingEmbedder())
    # Batches of 64, at most four times as many, and so on; 32 each on the slowest of machines.
    assert 1 <= read.count(len(LONG.text)) <= WORDS // 32 + 1
    assert len(read) == read.count(len(LONG.text))


def test_verify_measures_a_document_once(long, monkeypatch):
    monkeypatch.setattr("indexes.maintenance.verify.PAGE", 500)
    connection, statements = long._store.catalog.database.conn, []
    connection.set_trace_callback(statements.append)
    assert long.verify().ok
    connection.set_trace_callback(None)
    (measured,) = (sql for sql in statements if "AS BLOB" in sql and "'[]'" not in sql)
    assert "JOIN" not in measured


def test_a_batch_of_long_documents_ends_by_size(collection, monkeypatch, read):
    monkeypatch.setattr(passages_module, "BATCH_CHARACTERS", 1000)
    sizes = [400, 400, 400, 5000, 600, 400, 1, 999]
    collection.add(Document(f"d{n}", "x" * size) for n, size in enumerate(sizes))
    read.clear()
    assert lengths(batches(collection, 100)) == [[400, 400], [400], [5000], [600, 400], [1, 999]]
    # No text beyond a cut was read.
    assert sorted(read) == sorted(size for size in sizes if size >= 100)


def test_a_batch_of_one_long_document_ends_by_size_with_its_titles(long, monkeypatch):
    monkeypatch.setattr(passages_module, "BATCH_CHARACTERS", 5000)
    found = batches(long, 10_000)
    assert [p.text for batch in found for p in batch] == LONG.text.split()
    assert all(sum(sizes) <= 5000 for sizes in lengths(found))
    assert len(found) == 5
    long.delete(["long"])
    long.add([Document("a", "a b c d e", "t" * 1998)])
    assert lengths(batches(long, 100)) == [[2000, 2000], [2000, 2000], [2000]]


def test_batches_that_end_by_size_become_one_index(collection, monkeypatch):
    collection.add(Document(f"d{n}", f"word{n} " * 50) for n in range(40))
    monkeypatch.setattr(passages_module, "BATCH_CHARACTERS", 1000)
    collection.build("floor", HashingEmbedder())
    assert collection.search("word31", k=1)[0].doc_id == "d31"
    checked = collection.verify()
    assert (checked.ok, checked.vectors) == (True, 40)


def test_pages_that_hold_texts_are_small(collection, monkeypatch):
    collection.add(Document(f"d{n}", f"text {n}") for n in range(250))
    pages, rows = [], Catalog.rows

    def noting(self, sql, parameters=()):
        found = rows(self, sql, parameters)
        if "texts" in sql:
            pages.append(len(found))
        return found

    monkeypatch.setattr(Catalog, "rows", noting)
    assert [d.doc_id for d in collection.documents()] == [f"d{n}" for n in range(250)]
    assert pages == [100, 100, 50, 0]
    pages.clear()
    assert collection.verify().ok
    assert pages[:4] == [100, 100, 50, 0]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM documents WHERE doc_id = 'c'",
        "DELETE FROM texts WHERE document = 4",
        "UPDATE texts SET text = 'another' WHERE document = 4",
        "UPDATE documents SET metadata = '{}' WHERE doc_id = 'c'",
        "UPDATE passages SET start = 1 WHERE key = 4",
        "UPDATE passages SET document = 3 WHERE key = 4",
    ],
)
def test_missing_and_damaged_rows_are_reported(collection, sql):
    collection.add(DOCUMENTS)
    edit(collection, sql)
    corpus = corpus_of(collection)
    assert len(corpus.found([1, 2, 3])) == len(corpus.passages(1, 4, 9)) == 3
    refused(DamageError, "damaged", corpus.found, [3, 4])
    refused(DamageError, "damaged", corpus.passages, 1, 5, 9)
    assert not collection.verify().ok
    edit(collection, "DELETE FROM passages WHERE key = 2")
    refused(DamageError, "passage 2 is lost", corpus.found, [1, 2, 3])


@pytest.mark.parametrize(
    ("shards", "tombstones"),
    [
        ([], []),
        ([(1, 13)], list(range(1, 13))),
        ([(2, 4), (4, 5), (7, 9), (12, 13)], [2, 3, 4, 7, 8, 12]),
        # Two embeddings: one answers for all but the start, the other for parts.
        ([(3, 6), (9, 10), (1, 2), (4, 8)], [1, 3, 4, 5, 6, 7, 9]),
    ],
)
def test_tombstones_are_the_keys_that_a_shard_answers_for(collection, shards, tombstones):
    collection.add(Document(f"d{n}", f"word{n}") for n in range(12))
    collection.build("floor", HashingEmbedder())
    catalog, corpus = collection._store.catalog, corpus_of(collection)
    with catalog.writing():
        columns = [name for _, name, *_ in catalog.rows("PRAGMA table_info(shards)")]
        rest = ", ".join(n for n in columns if n not in ("shard", "first_key", "stop_key"))
        for first, stop in shards:
            catalog.execute(
                f"INSERT INTO shards (first_key, stop_key, {rest})"
                f" SELECT ?, ?, {rest} FROM shards WHERE shard = 1",
                [first, stop],
            )
        catalog.execute("DELETE FROM shards WHERE shard = 1")
        assert corpus.tombstone_passages([]) == 0
        assert corpus.tombstone_passages(range(1, 13)) == 12
        assert corpus.tombstones().tolist() == tombstones
        assert catalog.value("SELECT COUNT(*) FROM passages") == 0


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 8))))
def test_merged_intervals_are_the_same_keys_with_gaps_between(pairs):
    intervals = [(first, first + size) for first, size in pairs]
    merged = stale.merged(intervals)
    keys = {key for interval in intervals for key in range(*interval)}
    assert {key for interval in merged for key in range(*interval)} == keys
    assert all(left[1] < right[0] for left, right in pairwise(merged))
