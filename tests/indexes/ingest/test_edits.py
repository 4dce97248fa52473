"""Adding in batches, half precision, compacting, indexed fields: nothing is lost or done twice."""

import os
from unittest.mock import patch

import numpy as np
import pytest

from indexes.errors import BadRecordsError, InputError, MismatchError
from indexes.vectors.faiss_engine.index import load
from retriever import Collection, Document, HashingEmbedder
from retriever.formats import row_documents
from tests.support.toy import COMPASS, Axes, exactly, ids, pairs, refused, rounded

BATCH = 1000


def counts(added):
    return added.new, added.changed, added.unchanged


def numbered(start, stop, text="text"):
    return [Document(f"d{n}", f"{text} word{n}") for n in range(start, stop)]


@pytest.fixture
def small_batches(collection, monkeypatch):
    """An empty collection that commits every 1,000 records of an add."""
    monkeypatch.setattr("indexes.ingest.batches.BATCH_RECORDS", BATCH)
    return collection


def interrupted(documents, reason=KeyboardInterrupt):
    yield from documents
    raise reason


@pytest.mark.parametrize("reason", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_add_keeps_complete_batches(small_batches, reason):
    refused(reason, None, small_batches.add, interrupted(numbered(0, 2500), reason))
    assert ids(small_batches.documents()) == [f"d{n}" for n in range(2 * BATCH)]
    assert small_batches.verify().ok


def test_an_add_resumed_in_another_order_moves_no_document(small_batches, tmp_path):
    # txtai resumes by position: rows in another order get each other's vectors.
    records = numbered(0, 2500)
    refused(KeyboardInterrupt, None, small_batches.add, interrupted(records[:2200]))
    small_batches.build("floor", HashingEmbedder(dim=32))
    assert counts(small_batches.add(reversed(records))) == (500, 0, 2000)
    assert counts(small_batches.add(records)) == (0, 0, 2500)
    small_batches.build("floor")
    with Collection.create(tmp_path / "once") as once:
        once.add(records)
        once.build("floor", HashingEmbedder(dim=32))
        for query in ("text word7", "text word2400", "word1999"):
            found, expected = (c.search(query, k=2500) for c in (small_batches, once))
            assert sorted(pairs(found)) == sorted(pairs(expected))
    assert small_batches.verify().ok


def test_bad_records_after_a_batch_are_reported_with_what_was_kept(small_batches):
    def source():
        yield from numbered(0, 1500)
        yield {"id": "bad"}
        yield from numbered(1500, 4000)
        yield {"text": "also bad"}

    with pytest.raises(BadRecordsError) as caught:
        small_batches.add(source())
    assert str(caught.value).splitlines() == [
        "2 bad records; the 1,000 before them were kept:",
        "  record 1501: no 'text'",
        "  record 4002: no id: expected '_id', 'doc_id' or 'id'",
        "Fix them, or skip bad records (--skip-bad, skip_bad=True).",
    ]
    assert (caught.value.kept, caught.value.total, len(small_batches)) == (1000, 2, 1000)
    added = small_batches.add(source(), skip_bad=True)
    assert (counts(added), added.skipped_total, len(small_batches)) == ((3000, 0, 1000), 2, 4000)


@pytest.mark.parametrize("known", [False, True])
def test_repeated_ids_are_found_across_batches(small_batches, known):
    if known:
        small_batches.add(reversed(numbered(0, 2500)))
    records = [*numbered(0, 2500, "new"), Document("d3", "again"), Document("d2100", "again")]
    with pytest.raises(BadRecordsError) as caught:
        small_batches.add(records)
    assert [str(record) for record in caught.value.records] == [
        "record 2501: id 'd3' came before, at record 4",
        "record 2502: id 'd2100' came before, at record 2101",
    ]
    assert caught.value.kept == 2000
    added = small_batches.add(records, skip_bad=True)
    assert added.skipped_total == 2
    assert small_batches.document("d3").text == "new word3"


@pytest.fixture
def file(tmp_path):
    """Three records in a file."""
    path = tmp_path / "records.jsonl"
    path.write_text("".join(f'{{"id": "{n}", "text": "text {n}"}}\n' for n in "abc"))
    return path


@pytest.fixture
def parsed():
    """A mock that parses files and counts them."""
    with patch("retriever.formats.row_documents.open_rows", wraps=row_documents.open_rows) as mock:
        yield mock


def test_a_file_that_was_added_completely_is_not_read_again(collection, file, parsed):
    assert counts(collection.add(file)) == (3, 0, 0)
    progress = []
    again = collection.add(file, progress=lambda *done: progress.append(done))
    assert (counts(again), parsed.call_count, progress) == ((0, 0, 3), 1, [(3, 3)])
    # A copy is another source, from which its documents are then, too.
    copy = file.parent / "copy" / file.name
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    collection.close()
    with Collection.open(collection.path) as opened:
        assert (counts(opened.add(copy)), parsed.call_count) == ((0, 0, 3), 2)
        assert (counts(opened.add(copy)), parsed.call_count) == ((0, 0, 3), 2)


def test_a_file_is_read_again_after_a_document_changed_or_was_deleted(collection, file, parsed):
    collection.add(file)
    collection.add([Document("a", "another text")])
    assert counts(collection.add(file)) == (0, 1, 2)
    collection.add([Document("a", "text a", metadata={"new": 1})])
    assert counts(collection.add(file)) == (0, 1, 2)
    collection.delete(["b"])
    assert counts(collection.add(file)) == (1, 0, 2)
    assert parsed.call_count == 4
    collection.delete(where={"new": {"exists": False}})
    assert counts(collection.add(file)) == (3, 0, 0)
    # Building changes no document.
    collection.build("floor", HashingEmbedder())
    assert counts(collection.add(file)) == (0, 0, 3)
    assert parsed.call_count == 5


def overwrite(file, old, new):
    """Change bytes of a file, but neither its size nor its time."""
    before = file.stat()
    file.write_bytes(file.read_bytes().replace(old, new))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_file_is_read_again_when_one_byte_changed_though_size_and_time_did_not(collection, file):
    collection.add(file)
    overwrite(file, b"text c", b"text C")
    assert counts(collection.add(file)) == (0, 1, 2)
    assert collection.document("c").text == "text C"


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(collection, file, parsed):
    def change(done, total):
        overwrite(file, b"text a", b"text A")

    assert counts(collection.add(file, progress=change)) == (3, 0, 0)
    assert collection.document("a").text == "text a"
    assert counts(collection.add(file)) == (0, 1, 2)
    assert collection.document("a").text == "text A"
    assert parsed.call_count == 2


def test_a_file_with_bad_records_is_read_again(collection, file, parsed):
    file.write_text(file.read_text() + '{"id": "bad"}\n')
    for expected in ((3, 0, 0), (0, 0, 3)):
        added = collection.add(file, skip_bad=True)
        assert (counts(added), added.skipped_total) == (expected, 1)
    refused(BadRecordsError, None, collection.add, file)
    assert parsed.call_count == 3


@pytest.fixture
def precisions(collection):
    """300 documents, embedded in single and in half precision."""
    texts = (f"word{n} word{n % 7} word{n % 11} common" for n in range(300))
    collection.add(Document(f"d{n}", text) for n, text in enumerate(texts))
    collection.build("single", HashingEmbedder(dim=64))
    collection.build("half", HashingEmbedder(dim=64), dtype="float16")
    return collection


def test_half_precision_takes_half_the_space_and_scores_to_three_places(precisions):
    single, half = precisions.info().indexes
    assert (single.dtype, half.dtype) == ("float32", "float16")
    assert single.vectors_size - half.vectors_size == 300 * 64 * 2
    shard = next((precisions.path / "vectors" / "half").iterdir())
    assert np.load(shard).dtype == np.float16
    for n in range(0, 300, 17):
        text = precisions.document(f"d{n}").text
        single = dict(pairs(precisions.search(text, index="single", k=300)))
        half = dict(pairs(precisions.search(text, index="half", k=300)))
        assert single.keys() == half.keys()
        assert max(abs(single[doc_id] - half[doc_id]) for doc_id in single) < 1e-3
        assert max(half.values()) <= 1 + 1e-6
        assert half[f"d{n}"] == pytest.approx(single[f"d{n}"], abs=1e-6) == 1


@pytest.mark.parametrize("factory", ["HNSW16", "IVF8,Flat", "SQ8", "PQ8x4fs,RFlat"])
def test_structures_over_half_precision_answer_with_its_exact_scores(precisions, factory):
    precisions.build("ann", vectors="half", ann=factory)
    precisions.add([Document("new", "word3 common")])
    precisions.build("half")
    exact = dict(pairs(precisions.search("word3 common", index="half", k=301)))
    hits = precisions.search("word3 common", index="ann", k=20)
    assert (hits[0].doc_id, len(hits)) == ("new", 20)
    assert all(hit.score == exact[hit.doc_id] for hit in hits)


def test_another_precision_for_an_existing_index_is_refused(precisions):
    build = precisions.build
    said = (
        "The vectors of 'half' are stored as float16, not float32. Leave dtype out, or build "
        "another index with an embedder."
    )
    refused(MismatchError, exactly(said), build, "half", dtype="float32")
    said = "vectors of 'single' are stored as float32, not float"
    refused(MismatchError, said, build, "graph", vectors="single", ann="HNSW8", dtype="float16")
    assert build("half", dtype="float16").embedded == 0
    said = "dtype is 'half'; expected one of: float32, float16"
    refused(InputError, said, build, "new", HashingEmbedder(), dtype="half")
    assert precisions.index_names() == ["single", "half"]


FILLER = " filler" * 40


def long_documents(start, stop):
    return [Document(f"d{n}", f"word{n % 50} word{n}{FILLER}") for n in range(start, stop)]


@pytest.fixture(params=["float32", "float16"])
def worn(collection, request):
    """2,000 long documents, of which two thirds are deleted; some are edited, some added later."""
    collection.add(long_documents(0, 1800))
    collection.build("flat", HashingEmbedder(dim=64), dtype=request.param)
    collection.build("graph", vectors="flat", ann="HNSW8")
    collection.build("cells", vectors="flat", ann="IVF4,Flat")
    collection.add(Document(f"d{n}", f"edited word{n}{FILLER}") for n in range(0, 300, 3))
    collection.add(long_documents(1800, 2000))
    collection.delete([f"d{n}" for n in range(2000) if n % 3])
    collection.build("flat")
    return collection


INDEXES = ("flat", "graph", "cells")
QUERIES = ["word7 word1203", "edited word30", "filler", "word1902"]


def size_of(folder, pattern):
    return sum(path.stat().st_size for path in folder.glob(pattern))


def everything(collection):
    found = [collection.search_many(QUERIES, index=index, k=999) for index in INDEXES]
    return [[sorted(pairs(hits)) for hits in answers] for answers in found]


def test_compacting_frees_space_and_changes_no_answer(worn):
    before = everything(worn)
    vectors, catalog = size_of(worn.path, "vectors/*/*"), worn.info().catalog_size
    progress = []
    with patch.object(HashingEmbedder, "encode_documents", side_effect=AssertionError):
        compacted = worn.compact(progress=lambda *done: progress.append(done))
    # 1,200 were embedded before they were deleted, 100 before they were edited.
    assert compacted.rows == 1300
    assert progress[-1] == (2, 2)
    assert size_of(worn.path, "vectors/*/*") < vectors / 2
    assert worn.info().catalog_size < catalog / 2
    assert compacted.freed > vectors / 2
    assert everything(worn) == before
    assert worn.search_many(QUERIES, index="flat") == worn.search_many(QUERIES, index="flat")
    with worn._store.catalog.reading():
        assert len(worn._store.corpus.tombstones()) == 0
    for index in ("graph", "cells"):
        assert worn.index_info(index).rows == len(worn)
    (file,) = (worn.path / "ann").glob("graph-*.faiss")
    assert len(load(file, 64).keys) == len(worn) == 667
    assert worn.verify().ok


def test_compacting_twice_changes_nothing_the_second_time(worn):
    worn.compact()
    worn._store.catalog.vacuum()
    files = {path: path.stat().st_ino for path in worn.path.glob("*/**/*") if path.is_file()}
    assert worn.compact().rows == 0
    assert files == {p: p.stat().st_ino for p in worn.path.glob("*/**/*") if p.is_file()}


def test_an_open_reader_sees_a_compacted_collection_in_its_next_query(worn):
    with Collection.open(worn.path) as reader:
        before = everything(reader)
        worn.compact()
        assert everything(reader) == before
        worn.add([Document("late", "word7 word1203")])
        worn.build("flat")
        assert reader.search("word7 word1203", index="graph", k=1)[0].doc_id == "late"
        assert reader.verify().ok


def test_an_empty_collection_works_after_compacting(worn):
    worn.delete(where={"nothing": {"exists": False}})
    worn.compact()
    assert (len(worn), size_of(worn.path, "ann/*")) == (0, 0)
    for index in INDEXES:
        assert not worn.search("word7", index=index)
    assert worn.verify().ok
    worn.add([Document("a", "word7"), Document("b", "word8")])
    worn.build("flat")
    for index in INDEXES:
        assert pairs(worn.search("word7", index=index, k=1)) == [("a", pytest.approx(1, abs=1e-6))]
    assert worn.verify().ok


def test_documents_without_a_vector_survive_compacting(collection):
    collection.add(COMPASS)
    collection.build("axes", Axes())
    collection.build("graph", vectors="axes", ann="HNSW4")
    collection.delete(["n"])
    assert collection.compact().rows == 1
    assert collection.info().indexes[0].unfindable == 1
    for index in ("axes", "graph"):
        found = rounded(collection.search("up", index=index))
        assert found == [("u", 1.0), ("all", 0.57735), ("e", 0.0)]
    assert collection.build("axes").embedded == 0
    assert collection.verify().ok


def test_a_field_is_indexed_for_documents_before_and_after(collection):
    collection.add(Document(f"d{n}", "text", metadata={"a": {"b": [n, "x"]}}) for n in range(5))
    collection.build("floor", HashingEmbedder())
    collection.index_fields("a.b", "never")
    collection.index_fields("a.b")
    assert collection.info().fields == ("a.b", "never")
    collection.add([Document("new", "text", metadata={"a": {"b": 3}, "never": None})])
    collection.add([Document("d4", "text", metadata={"a": {"b": 7}})])
    collection.build("floor")

    def found(where):
        return ids(collection.search("text", where=where))

    assert found({"a.b": 3}) == ["d3", "new"]
    assert found({"a.b": {">": 2}}) == ["d3", "d4", "new"]
    assert found({"a.b": "x"}) == ["d0", "d1", "d2", "d3"]
    assert found({"never": None}) == ["new"]
    assert found({"a.b": 4}) == []
    collection.delete(["d3"])
    assert found({"a.b": 3}) == ["new"]
    assert collection.verify().ok
    refused(InputError, "The field 'a..b' is not a name", collection.index_fields, "a..b")


def test_a_slow_source_is_committed_while_it_continues(collection, monkeypatch):
    monkeypatch.setattr("indexes.ingest.batches.COMMIT_SECONDS", 0.0)
    seen = []

    def source():
        for document in numbered(0, 3):
            yield document
            # Progress in the middle counts what a crash would leave.
            seen.append((len(collection), collection.unknown_ids([document.doc_id])))

    collection.add(source())
    assert seen == [(1, []), (2, []), (3, [])]


def test_the_source_of_an_add_sees_committed_documents_only(collection):
    def source():
        yield from numbered(0, 1500)
        assert (len(collection), collection.unknown_ids(["d0"])) == (0, ["d0"])
        yield {"id": "bad"}

    refused(BadRecordsError, "nothing was kept", collection.add, source())
    assert len(collection) == 0


def test_repeated_ids_after_a_bad_record_are_still_reported(collection, monkeypatch):
    monkeypatch.setattr("indexes.ingest.batches.BATCH_RECORDS", 2)
    records = [*numbered(0, 2), {"id": "bad"}, *numbered(1, 4), *numbered(3, 4)]
    with pytest.raises(BadRecordsError) as caught:
        collection.add(records)
    assert [str(record) for record in caught.value.records] == [
        "record 3: no 'text'",
        "record 4: id 'd1' came before, at record 2",
        "record 7: id 'd3' came before, at record 6",
    ]
    assert (caught.value.kept, len(collection)) == (2, 2)


def test_unchanged_documents_make_no_commit(collection):
    collection.add(numbered(0, 10))
    before = collection._store.catalog.generation()
    assert counts(collection.add(numbered(0, 10))) == (0, 0, 10)
    assert collection._store.catalog.generation() == before
