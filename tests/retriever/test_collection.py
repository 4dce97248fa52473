import itertools
import json
import os
import sqlite3
import tempfile
import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import (
    BadRecordsError,
    CollectionError,
    DamageError,
    InputError,
    LockedError,
    MismatchError,
    NewerFormatError,
    NotACollectionError,
    UnknownNameError,
)
from indexes.storage.files import writer_lock
from retriever import Collection, Document, HashingEmbedder, Words
from retriever.embedders.base import EmbedderSpec, fingerprint_of
from tests.support.commands import fail, succeed
from tests.support.fresh import lock_holder, printed_by
from tests.support.laws import examples
from tests.support.toy import ANIMALS, Axes, build_axes, exactly, ids, lacks, refused, rounded


def test_the_nearest_document_comes_first_with_its_text_and_metadata(library):
    hit = library.search("when is the filing deadline", index="floor", k=1)[0]
    assert (hit.rank, hit.doc_id, hit.metadata) == (1, "tax", {"source": "faq"})
    assert (hit.text, hit.passage) == ("The filing deadline is the end of April.", (0, 40))
    assert ids(library.search("kitten", k=1)) == ["cat"]  # the only index need not be named
    facts = library.index_info("floor")
    assert (facts.embedder, facts.kind, facts.factory) == ("hashing", "flat", "Flat")
    assert str(EmbedderSpec("hashing", "", {"dim": 256})) == "hashing"


def test_scores_are_cosines_of_titles_and_texts_joined_by_a_space(collection):
    collection.add([Document("ne", "east", title="north"), Document("n", "north")])
    embedder = Scaled(100.0)
    collection.build("axes", embedder)
    collection.build("graph", vectors="axes", ann="HNSW4")
    assert embedder.seen == ["north east", "north"]
    for index in ("axes", "graph"):
        hits = collection.search("north", index=index)
        assert rounded(hits) == [("n", 1.0), ("ne", 0.707107)]


def test_k_beyond_the_corpus_returns_each_document_once_with_its_score(library):
    # FAISS's -1 must not become the last passage and overwrite its score.
    hits = library.search("a kitten purrs and the engine idles", index="floor", k=100)
    assert sorted(ids(hits)) == ["car", "cat", "tax"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(-1 <= hit.score <= 1 for hit in hits)


def test_an_edit_is_kept_when_another_document_has_the_old_text(collection):
    build_axes(collection, a="north", b="east")
    build_axes(collection, b="north", a="up")
    assert ids(collection.search("up", k=1)) == ["a"]
    assert ids(collection.search("north", k=1)) == ["b"]
    hits = collection.search("east", k=5)
    assert (ids(hits), hits[0].score) == (["b", "a"], 0)


def test_equal_texts_in_one_batch_shift_no_vector(collection):
    texts = ["north", "north", "east", "north", "up", "east"]
    build_axes(collection, **{str(n): text for n, text in enumerate(texts)})
    for text in texts:
        same = {str(n) for n, other in enumerate(texts) if other == text}
        found = collection.search(text, k=len(same))
        assert set(ids(found)) == same
        assert [hit.score for hit in found] == [1.0] * len(same)


def test_an_unchanged_document_is_not_embedded_again(collection):
    build_axes(collection, a="north", b="east")
    added = collection.add([Document("a", "north"), Document("b", "up"), Document("c", "up")])
    assert (added.new, added.changed, added.unchanged) == (1, 1, 1)
    embedder = Axes()
    report = collection.build("axes", embedder)
    assert embedder.seen == ["up", "up"]
    assert (report.embedded, report.already) == (2, 1)
    assert ids(collection.search("up", k=2)) == ["b", "c"]


def test_new_metadata_shows_without_a_build_and_moved_text_is_a_change(collection):
    collection.add([Document("a", "north", metadata={"year": 1})])
    collection.build("axes", Axes())
    assert collection.add([Document("a", "north", metadata={"year": 2})]).changed == 1
    hits = collection.search("north")
    assert (hits[0].metadata, hits.notes) == ({"year": 2}, ())
    collection.add([Document("x", "b\0c", title="a")])
    assert collection.add([Document("x", "c", title="a\0b")]).changed == 1


def test_a_changed_document_answers_by_its_old_text_until_it_is_embedded_again(collection):
    collection.add([Document(f"n{i}", "north up") for i in range(30)])
    build_axes(collection, a="north", b="east")
    collection.build("graph", vectors="axes", ann="HNSW8")
    collection.add([Document("a", "up")])
    for index in ("axes", "graph"):
        hits = collection.search("north", index=index, k=100)
        assert (hits[0].doc_id, hits[0].score, hits[0].text, hits[0].stale) == ("a", 1, "up", True)
        assert hits.notes == (lacks(collection, index, stale=1),)
    collection.build("axes", Axes())
    for index in ("axes", "graph"):
        found = {hit.doc_id: hit for hit in collection.search("north", index=index, k=100)}
        assert (found["a"].score, found["a"].stale) == (0, False)
    # The ANN index does not hold the new vector, which is searched exactly in addition.
    assert ids(collection.search("up", index="graph", k=1)) == ["a"]


def test_deleted_documents_are_gone_at_once_and_their_keys_stay_unused(library):
    assert library.delete(["cat"]) == 1
    assert sorted(ids(library.search("a kitten purrs", k=9))) == ["car", "tax"]
    library.add([Document("dog", "A puppy barks when it is content.")])
    library.build("floor")
    assert sorted(ids(library.search("a kitten purrs", k=9))) == ["car", "dog", "tax"]
    with sqlite3.connect(library.path / "catalog.db") as db:
        keys = [key for (key,) in db.execute("SELECT key FROM passages ORDER BY key")]
    db.close()
    assert keys == [2, 3, 4]


def test_deleting_an_unknown_id_removes_nothing(library):
    says = "No document 'dog' in .*library/. It has: car, cat"
    refused(UnknownNameError, says, library.delete, ["cat", "dog"])
    refused(InputError, "one text; expected a list", library.delete, "cat")
    assert len(library) == 3


def test_another_open_collection_sees_edits_in_its_next_query(library):
    with Collection.open(library.path) as other:
        assert ids(other.search("kitten", k=1)) == ["cat"]
        library.delete(["cat"])
        assert "cat" not in ids(other.search("kitten", k=9))


sentences = st.lists(
    st.lists(st.sampled_from(("north", "east", "up", "fog")), min_size=1, max_size=4).map(" ".join),
    min_size=1,
    max_size=25,
)


@settings(max_examples=examples(25), deadline=None)
@given(texts=sentences, cuts=st.lists(st.integers(0, 25), max_size=4))
def test_built_in_increments_answers_like_built_at_once(tmp_path_factory, texts, cuts):
    folder = tmp_path_factory.mktemp("law")
    documents = [Document(f"d{n:02}", text) for n, text in enumerate(texts)]
    edges = sorted({0, len(texts), *(cut for cut in cuts if cut < len(texts))})
    with Collection.create(folder / "once") as once, Collection.create(folder / "parts") as parts:
        once.add(documents)
        once.build("axes", Axes())
        for start, stop in itertools.pairwise(edges):
            parts.add(documents[start:stop])
            parts.build("axes", Axes())
        for query in ("north", "north east", "up up east", "fog"):
            found, expected = (
                [(hit.doc_id, hit.score) for hit in made.search(query, index="axes", k=9)]
                for made in (parts, once)
            )
            assert found == expected


def test_an_ann_index_on_existing_vectors_embeds_nothing(library):
    embedder = library.retriever("floor").finder.embedder
    library.build("graph", vectors="floor", ann="HNSW16")
    assert library.build("graph").embedded == 0
    graph = library.index_info("graph")
    assert (graph.vectors_shared_with, graph.effort) == (("floor",), {"efSearch": 128})
    assert ids(library.search("kitten", index="graph", k=1)) == ["cat"]
    assert library.retriever("graph").finder.embedder is embedder


def test_an_interrupted_build_resumes_where_it_stopped(collection, monkeypatch):
    monkeypatch.setattr("indexes.pipeline.builder.COMMIT_SECONDS", 0.0)
    collection.add(Document(str(n), "north " * (n + 1) + "east") for n in range(500))
    with pytest.raises(KeyboardInterrupt):
        collection.build("axes", Axes(fail_after=200), ann="HNSW8")
    with Collection.open(collection.path) as reader:
        reader.use("axes", Axes())
        assert "are not in index 'axes' yet" in reader.search("north", index="axes").notes[0]
    embedder = Axes()
    report = collection.build("axes", embedder, ann="HNSW8")
    assert 0 < report.already < 500
    assert report.already + report.embedded == 500
    assert len(embedder.seen) == report.embedded
    ranking = collection.retriever("axes").run({"q": "east"}, 500).ranking["q"]
    assert (len(ranking), ranking[0][0]) == (500, "0")


def test_many_small_shards_end_up_in_one_file(collection, monkeypatch):
    monkeypatch.setattr("indexes.pipeline.builder.COMMIT_SECONDS", 0.0)
    collection.add([Document(str(n), "north " * n + "east") for n in range(1000)])
    collection.build("axes", Axes())
    assert len(collection._store.shards(collection._store.embedding("axes"))) == 1
    collection.add([Document("x", "up")])  # the next writer sweeps what nothing names
    assert len(list((collection.path / "vectors").rglob("*.npy"))) == 1
    assert len(collection.search("east", index="axes", k=2000)) == 1000


def test_an_index_is_not_overwritten_nor_used_by_another_embedder(library):
    class Impostor(Axes):
        dim = 256

        def __init__(self):
            self.name = "impostor"
            self.fingerprint = fingerprint_of(kind="impostor")

    narrow = HashingEmbedder(dim=64)
    says = "'floor' holds vectors of hashing.* .256 wide"
    refused(MismatchError, says, library.build, "floor", narrow)
    says = "already exists .Flat over hashing"
    refused(MismatchError, says, library.build, "floor", ann="HNSW16")
    refused(MismatchError, "kind was hashing, is impostor", library.use, "floor", Impostor())


def test_invalid_builds_are_refused_before_any_work(library, tmp_path):
    embedder, build = Axes(), library.build
    refused(InputError, "FAISS knows no index 'Quick'", build, "quick", embedder, ann="Quick")
    refused(InputError, "'a/b' cannot name an index", build, "a/b", embedder)
    refused(InputError, "either --embedder KIND:MODEL .* or --vectors INDEX", build, "new")
    refused(InputError, "either --embedder", build, "new", embedder, vectors="floor")
    refused(InputError, "The embedder is int; expected an object with name", build, "new", 7)
    says = "No index 'flor' in .*library/. It has: floor"
    refused(UnknownNameError, says, build, "new", vectors="flor")
    with Collection.create(tmp_path / "empty") as empty:
        refused(InputError, "has no documents yet. Add some first", empty.build, "axes", embedder)
    assert embedder.seen == []
    assert library.index_names() == ["floor"]


def test_dropping_an_index_frees_its_name_and_vectors_that_no_other_uses(library):
    library.build("graph", vectors="floor", ann="HNSW16")
    vectors = 3 * 256 * 4
    assert library.drop("floor") == 0
    library.build("floor", Axes())
    assert not library.search("kitten", index="floor")
    assert ids(library.search("kitten", index="graph", k=1)) == ["cat"]
    library.drop("floor")
    assert library.drop("graph") > vectors
    assert [path for path in library.path.rglob("*") if path.suffix in (".npy", ".faiss")] == []
    assert len(library) == 3
    refused(UnknownNameError, "No index 'graph' in .*. It has: none", library.drop, "graph")


def test_a_text_without_a_known_word_gets_no_hits_and_a_note(collection):
    build_axes(collection, a="north", fog="fog")
    hits = collection.search("fog")
    note = "No known word in 'fog': axes finds nothing for it."
    assert (list(hits), hits.notes) == ([], (note,))
    # A document without a known word cannot be found, and is counted.
    assert ids(collection.search("north up")) == ["a"]
    assert collection.index_info("axes").unfindable == 1


def test_invalid_searches_are_refused(library, collection):
    search, search_many = library.search, library.search_many
    for text in ("", "  \n"):
        refused(InputError, r"The query is empty. Give some text to search for.", search, text)
        refused(InputError, "Query 1 is empty", search_many, ["kitten", text])
    refused(InputError, "Query 0 is int; expected text", search_many, [7])
    refused(InputError, "one text; expected a list", search_many, "kitten")
    refused(InputError, "Query 'q' is int; expected text", search_many, {"q": 7})
    refused(InputError, "k is 0", search, "kitten", k=0)
    says = "No index 'flor' in .*library/. It has: floor."
    refused(UnknownNameError, says, search, "kitten", index="flor")
    library.build("axes", Axes())
    says = "Say which index to search with -i \\(index\\)\\. .* has: floor, axes"
    refused(InputError, says, search, "kitten")
    says = "has no index yet. Build one: retriever build"
    refused(InputError, says, collection.search, "kitten")


def test_a_search_reads_hits_in_one_transaction_and_of_known_hits_only_the_state(library):
    library.search("engine", index="floor", k=1)
    connection, statements = library._store.catalog.database.conn, []
    connection.set_trace_callback(statements.append)
    library.search("kitten", index="floor", k=1)
    state, begin, again, hits, end = statements
    assert (begin, state, end) == ("BEGIN", "SELECT generation, digest FROM state", "ROLLBACK")
    assert again == state  # a commit in between asks the question again
    assert "JOIN texts" in hits
    statements.clear()
    library.search("kitten", index="floor", k=1)
    assert statements == [state]
    # One statement fetches the hits of several queries.
    statements.clear()
    library.search_many(["kitten", "engine", "deadline"], index="floor", k=3)
    connection.set_trace_callback(None)
    assert sum("JOIN passages ON" in sql or "JOIN texts" in sql for sql in statements) == 1


def test_any_number_of_passages_is_fetched_like_one_at_a_time(collection):
    # Few keys are parameters of the statement, more of them come as JSON.
    collection.add([Document(f"d{n}", f"text {n}", metadata={"n": n}) for n in range(100)])
    corpus = collection._store.corpus
    one_by_one = [corpus.found([key]) for key in range(1, 101)]
    for count in (0, 1, 10, 31, 32, 33, 100):
        keys = range(1, count + 1)
        assert corpus.found([-1, *keys]) == {key: one_by_one[key - 1][key] for key in keys}
        refused(DamageError, "passage 101 is lost", corpus.found, [*keys, 101])


def test_a_search_uses_the_index_as_it_is_now(library):
    assert library.search("kitten", index="floor", k=1)[0].score < 1
    with Collection.open(library.path) as other:
        other.drop("floor")
        other.build("floor", lexical=True)
    assert ids(library.search("kitten", index="floor")) == ["cat"]
    with Collection.open(library.path) as other:
        other.drop("floor")
    refused(UnknownNameError, "No index 'floor'", library.search, "kitten", index="floor")
    # An iterator of queries is consumed only once.
    library.build("floor", lexical=True)
    library.search("kitten", index="floor")
    library.add([Document("new", "another kitten")])
    assert [ids(hits) for hits in library.search_many(iter(["kitten"]), index="floor")] == [["cat"]]


def test_a_stored_document_equals_a_constructed_one(library):
    for metadata in ({}, {"a": [1, None, {"b": "ä"}]}):
        library.add([Document("new", "Some text", "A title", metadata)])
        made, stored = Document("new", "Some text", "A title", metadata), library.document("new")
        assert (stored, repr(stored), vars(stored)) == (made, repr(made), vars(made))
        with pytest.raises(AttributeError):
            stored.text = "another"


def test_a_read_that_meets_damage_is_repeated_only_on_a_later_state(library):
    snapshots = []

    def read(snapshot):
        snapshots.append(snapshot)
        if len(snapshots) == 1:
            # Committed by another connection, while this state is held.
            with Collection.open(library.path) as other:
                other.add([Document("new", "text")])
        raise DamageError("a file is missing")

    refused(DamageError, "a file is missing", library._store.read, read)
    assert len(snapshots) == 2


def test_batches_and_threads_answer_like_one_query_at_a_time(library):
    texts = ["kitten", "engine rumble", "the end of April", "soft kitten"]
    expected = [library.search(text, k=3) for text in texts]
    assert library.search_many(texts, k=3) == expected
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda text: library.search(text, k=3), texts * 20))
    assert answers == expected * 20


def test_bad_records_are_reported_together_and_nothing_is_kept(library):
    records = [{"id": "new", "text": "fine"}, {"text": "x"}, {"id": "y"}, ANIMALS[0], ANIMALS[0]]
    says = [
        "3 bad records; nothing was kept:",
        "  record 2: no id: expected '_id', 'doc_id' or 'id'",
        "  record 3: no 'text'",
        "  record 5: id 'cat' came before, at record 4",
        "Fix them, or skip bad records (--skip-bad, skip_bad=True).",
    ]
    refused(BadRecordsError, exactly("\n".join(says)), library.add, records)
    assert len(library) == 3


def test_bad_records_are_skipped_or_counted_beyond_ten(library):
    records = [{"id": "new", "text": "fine"}, *({"id": str(n)} for n in range(5000))]
    with pytest.raises(BadRecordsError) as caught:
        library.add(records)
    first, *_, last, _ = lines = str(caught.value).splitlines()
    assert (first, len(lines)) == ("5,000 bad records; nothing was kept:", 13)
    assert last == "  ... and 4,990 more"
    added = library.add([*records[:1], {"text": "x"}], skip_bad=True)
    assert (added.new, added.skipped_total) == (1, 1)
    assert str(added.skipped[0]) == "record 2: no id: expected '_id', 'doc_id' or 'id'"
    assert len(library) == 4


def test_an_id_that_comes_twice_in_one_call_is_found_across_batches(collection):
    records = [*({"id": str(n), "text": "x"} for n in range(2500)), {"id": "3", "text": "y"}]
    says = "record 2501: id '3' came before, at record 4"
    refused(BadRecordsError, says, collection.add, iter(records))
    assert len(collection) == 0


LONG = 10**5000  # Python refuses to write it out
TOO_LONG = "a number of too many digits"


def test_documents_that_cannot_be_stored_are_refused(library):
    refused(InputError, "'text' is not valid Unicode at character 1", Document, "a", "x\ud800")
    refused(InputError, "'doc_id' is empty", Document, " ", "x")
    for metadata, says in (
        ({"score": float("nan")}, "metadata 'score' holds nan"),
        ({1: "a", "1": "b"}, "metadata key 1 is int; expected text"),
        ({"deep": [{1: 2}]}, "metadata 'deep' holds"),
        ({"n": LONG}, rf"\Ametadata 'n' holds {TOO_LONG} \(int\), which JSON cannot hold\Z"),
        ({"n": [1, -LONG]}, f"metadata 'n' holds {TOO_LONG} .list."),
        ({LONG: 1}, f"metadata key {TOO_LONG} is int; expect"),
    ):
        refused(InputError, says, Document, "a", "x", metadata=metadata)
    for metadata, says in (
        ({"tags": {1}}, r"metadata 'tags' holds \{1\} \(set\), which JSON"),
        ({"n": LONG}, "record 1: metadata 'n' holds a number of too many"),
    ):
        refused(BadRecordsError, says, library.add, [{"id": "a", "text": "x", **metadata}])


def test_a_failing_source_leaves_the_collection_as_it_was(library):
    def broken():
        yield Document("new", "text")
        raise RuntimeError("the network went away")

    refused(RuntimeError, "the network went away", library.add, broken())
    assert len(library) == 3
    assert library.add([Document("new", "text")]).new == 1


def test_a_folder_that_is_not_a_collection_is_refused_and_left_alone(tmp_path):
    catalog = tmp_path / "catalog.db"
    says = "is not a collection: it has no catalog.db"
    refused(NotACollectionError, f"{says}. Add documents", Collection.open, tmp_path)
    says += ", but other files. Give the folder of a collection, or a new one."
    (tmp_path / "thesis.txt").write_text("precious")
    refused(CollectionError, "is not empty", Collection.create, tmp_path)
    refused(NotACollectionError, says, Collection.open_or_create, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    refused(
        CollectionError, "thesis.txt is a file. Choose", Collection.create, tmp_path / "thesis.txt"
    )
    catalog.touch()
    refused(DamageError, "catalog.db is damaged: it is empty", Collection.open, tmp_path)
    catalog.write_text("hello, this is not a database, not at all")
    refused(DamageError, "catalog.db is damaged: file is not a database", Collection.open, tmp_path)
    catalog.unlink()
    with sqlite3.connect(catalog) as db:
        db.execute("CREATE TABLE other (x)")
    db.close()
    refused(NotACollectionError, "another program has written it", Collection.open, tmp_path)


def test_a_newer_format_is_refused(library):
    step = "retriever", "0999_from_the_future", "2030-01-01"
    insert = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)"
    with sqlite3.connect(library.path / "catalog.db") as db:
        db.execute(insert, step)
    db.close()
    says = "newer Retriever .schema step 0999_from_the_future"
    refused(NewerFormatError, says, Collection.open, library.path)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder nobody may write to")
def test_a_folder_that_cannot_be_written_to_is_named():
    folder = "/sys/kernel/retriever-library"
    says = "Choose a folder that you may write to"
    refused(CollectionError, says, Collection.create, folder)


def test_a_second_writer_is_refused_with_the_process_that_holds_the_lock(library):
    with lock_holder(library.path) as holder:
        says = f"by process {holder.pid} on .* since 20"
        refused(LockedError, says, library.add, [Document("new", "text")])
        assert ids(library.search("kitten", k=1)) == ["cat"]
    # The system has freed the dead holder's lock.
    assert library.add([Document("new", "text")]).new == 1


def test_files_that_nothing_names_are_removed_by_the_next_writer(library):
    for name in ("vectors/floor/00000099.npy", "ann/old-1.faiss", "vectors/gone/1.npy.writing"):
        path = library.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left by a crash")
    library.add([Document("new", "text")])
    left = {p.relative_to(library.path).as_posix() for p in library.path.rglob("*.*")}
    kept = {"catalog.db", "catalog.db-commit", "catalog.db-shm", "catalog.db-wal", "writer.lock"}
    assert left - kept == {"vectors/floor/00000001.npy"}


def test_a_damaged_index_file_is_refused_and_a_missing_one_rebuilt_from_the_vectors(library):
    library.build("graph", vectors="floor", ann="HNSW16")
    path = next((library.path / "ann").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    with Collection.open(library.path) as other:
        refused(DamageError, "is damaged: expected", other.search, "kitten", index="graph")
        assert ids(other.search("kitten", index="floor", k=1)) == ["cat"]
    path.unlink()
    with Collection.open(library.path) as other:
        refused(DamageError, "is missing", other.search, "kitten", index="graph")
        assert other.build("graph").embedded == 0
        assert ids(other.search("kitten", index="graph", k=1)) == ["cat"]
        again = other.build("graph")
        assert (again.already, again.indexing_seconds) == (3, 0.0)


@pytest.mark.parametrize("factory", ["HNSW4", "IVF8,Flat", "IVF8,PQ4x4", "PCA8,Flat"])
def test_every_ann_index_returns_k_hits_whenever_there_are_k(collection, factory):
    # Cells that are not visited and islands in a graph must not hide documents.
    collection.add([Document(str(n), f"word{n} word{n % 7} common") for n in range(300)])
    collection.build("flat", HashingEmbedder(dim=16))
    collection.build("ann", vectors="flat", ann=factory)
    collection.delete([str(n) for n in range(0, 300, 3)])
    for k in (1, 150, 200, 1000):
        hits = collection.search("word5 common", index="ann", k=k)
        assert len(set(ids(hits))) == len(hits) == min(k, 200)
        assert all(int(doc_id) % 3 for doc_id in ids(hits))
    exact = {hit.doc_id: hit for hit in collection.search("word5 common", index="flat", k=300)}
    assert all(hit.score == exact[hit.doc_id].score for hit in hits)


def test_a_catalog_damaged_after_opening_is_our_error(library):
    path = library.path / "catalog.db"
    library.close()
    pages = path.read_bytes()
    assert len(pages) % 4096 == 0
    path.write_bytes(pages[:4096] + b"\xff" * (len(pages) - 4096))
    with pytest.raises(DamageError, match="catalog.db is damaged: .* Restore it from a backup"):
        list(Collection.open(library.path).documents())


def test_a_full_disk_is_reported_and_nothing_is_lost(library):
    # SQLite's own limit on pages simulates a full disk.
    catalog = library._store.catalog
    with catalog.writing():
        catalog.execute(f"PRAGMA max_page_count = {catalog.value('PRAGMA page_count') + 2}")
    documents = [Document(f"new{n}", "text " * 500) for n in range(100)]
    says = "database or disk is full. Check that the disk has"
    refused(CollectionError, says, library.add, documents)
    assert len(library) == 3
    assert ids(library.search("kitten", k=1)) == ["cat"]


def test_a_custom_embedder_must_be_given_after_opening_to_embed_or_search(collection):
    build_axes(collection, a="north", b="east")
    with Collection.open(collection.path) as other:
        refused(InputError, "made by an embedder of your own, Axes", other.search, "north")
        # Building on existing vectors loads no model.
        assert other.build("graph", vectors="axes", ann="HNSW4").already == 2
        other.add([Document("c", "up")])
        says = r"collection.use\('axes', embedder\)"
        refused(InputError, says, other.build, "more", vectors="axes", ann="HNSW8")
        other.use("axes", Axes())
        assert ids(other.search("north", index="axes", k=1)) == ["a"]
        assert other.build("more", vectors="axes", ann="HNSW8").embedded == 1
        assert ids(other.search("up", index="more", k=1)) == ["c"]


def test_a_model_other_than_that_of_the_vectors_is_refused(library):
    retriever, catalog = library.retriever("floor"), library._store.catalog
    with catalog.writing():
        old = json.dumps({"kind": "hashing", "model": "", "options": {"dim": 64}})
        catalog.execute("UPDATE embeddings SET embedder = ?", [old])
    with Collection.open(library.path) as other:
        # The model has changed under its name.
        refused(MismatchError, "256 wide.*64 wide", other.search, "kitten")
        # Another process builds another index under the name.
        other.drop("floor")
        other.build("floor", Axes())
    says = "holds vectors of axes .3 wide., not of hash"
    refused(MismatchError, says, retriever.search, "kitten")


def test_vectors_are_kept_when_faiss_refuses_the_ann_index(collection):
    collection.add([Document("a", "north"), Document("b", "east")])
    says = "cannot build 'IVF64,Flat' over 2 vectors.*another factory string"
    refused(InputError, says, collection.build, "axes", Axes(), ann="IVF64,Flat")
    assert ids(collection.search("east", k=1)) == ["b"]
    report = collection.build("axes", ann="HNSW4")
    assert (report.embedded, report.already) == (0, 2)
    refused(MismatchError, "already exists .HNSW4 over axes", collection.build, "axes", ann="Flat")


def test_a_build_overtaken_by_another_writer_is_refused(library):
    class Overtaken(Axes):
        reads = 0

        @property
        def dim(self):
            self.reads += 1
            if self.reads > 1:  # the first is the check that it is an embedder at all
                with Collection.open(library.path) as other:
                    if "axes" not in other.index_names():
                        other.build("axes", vectors="floor")
            return 3

        @dim.setter
        def dim(self, _):
            pass

    says = "Another writer has changed index 'axes'"
    refused(InputError, says, library.build, "axes", Overtaken())
    assert len(library.info().indexes) == 2


def test_an_id_with_nul_is_refused_and_never_taken_for_another(collection):
    collection.add([Document("a", "the cat")])
    records = [{"id": "a\0b", "text": "the dog"}]
    refused(BadRecordsError, "'doc_id' holds a NUL character", collection.add, records)
    refused(UnknownNameError, "No document", collection.delete, ["a\0b"])
    refused(UnknownNameError, "No document", collection.document, "\udcff")
    assert collection.unknown_ids(["a\0b", "a", "\udcff"]) == ["a\0b", "\udcff"]
    assert collection.document("a").text == "the cat"


def test_a_search_inside_the_source_of_an_add_sees_only_what_is_committed(collection):
    build_axes(collection, a="north", b="east")

    def source():
        yield Document("a", "up")
        yield from (Document(f"new{n}", "fog") for n in range(1200))
        assert ids(collection.search("north", k=1)) == ["a"]
        yield {"text": "no id"}

    refused(BadRecordsError, "no id", collection.add, source())
    assert ids(collection.search("north", k=1)) == ["a"]
    assert not collection.search("north").notes
    assert collection.index_info("axes").rows == 2


class Scaled(Axes):
    """An embedder of vectors that are longer than 1, in double precision."""

    def __init__(self, length):
        super().__init__()
        self.length = length

    def encode_documents(self, texts):
        return (self.length * super().encode_documents(texts).astype(np.float64)).tolist()


def test_vectors_that_single_precision_cannot_hold_are_refused(collection):
    collection.add([Document("a", "north")])
    says = "vector of passage 1 holds a value that is not finite"
    refused(InputError, says, collection.build, "axes", Scaled(1e300))
    # Nothing of it was kept: the name is free for a fixed embedder.
    assert collection.index_names() == []
    collection.build("axes", Axes())
    assert ids(collection.search("north")) == ["a"]


@pytest.mark.exhaustive
def test_readers_never_fail_while_a_writer_replaces_files(collection):
    build_axes(collection, a="north", b="east")
    collection.build("graph", vectors="axes", ann="HNSW4")
    stop, answers = threading.Event(), []

    def search():
        while not stop.is_set():
            answers.append(ids(collection.search("north", index="axes", k=1)))
            # A graph of equal vectors may miss the best, but returns two hits.
            assert len(collection.search("north", index="graph", k=2)) == 2

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(search) for _ in range(3)]
        try:
            for n in range(25):
                collection.add([Document(f"new{n}", "east up")])
                collection.build("axes")
                collection.build("graph")
        finally:
            stop.set()
    assert [reader.exception() for reader in readers] == [None] * 3
    assert answers.count(["a"]) == len(answers) > 0


def test_damage_to_one_index_leaves_the_others_in_use(library):
    library.build("axes", Axes())
    path = next((library.path / "vectors" / "floor").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    with Collection.open(library.path) as other:
        other.use("axes", Axes())
        assert [index.name for index in other.info().indexes] == ["floor", "axes"]
        assert other.build("axes").embedded == 0
        other.search("north", index="axes")
        refused(DamageError, "is damaged", other.search, "kitten", index="floor")


def test_a_failed_creation_or_writer_allows_another_try(tmp_path):
    (tmp_path / "catalog.db.creating").write_bytes(b"half")
    with Collection.open_or_create(tmp_path) as collection:
        assert len(collection) == 0
    assert not (tmp_path / "catalog.db.creating").exists()
    with pytest.raises(RuntimeError), writer_lock(tmp_path):
        raise RuntimeError
    with writer_lock(tmp_path):
        assert json.loads((tmp_path / "writer.json").read_text())["process"]


def test_connections_end_with_their_threads_and_with_the_collection(library):
    for _ in range(30):
        with ThreadPoolExecutor(1) as thread:
            assert ids(thread.submit(library.search, "kitten").result()) == ["cat", "car", "tax"]
    assert len(library._store.catalog._connections._opened) <= 4
    library.close()
    for closed in (lambda: len(library), lambda: library.search("kitten")):
        refused(CollectionError, "is closed. Open it again", closed)


def test_generators_are_accepted_and_iteration_sees_no_later_additions(library):
    for document in library.documents():
        library.add([Document(f"{document.doc_id}-copy", document.text)])
    assert len(library) == 6
    assert library.delete(doc_id for doc_id in ["cat", "cat"]) == 1
    assert len(library.search_many(text for text in ["engine", "tax"])) == 2


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_a_read_only_folder_can_be_searched():
    code = """
import os, sys
from retriever import Collection, HashingEmbedder, RetrieverError
HashingEmbedder().encode_queries(["imports all that it needs"])
import indexes.vectors.faiss_engine.index, retriever.evaluation.results
os.setuid(65534)
with Collection.open(sys.argv[1]) as library:
    print([hit.doc_id for hit in library.search("kitten", k=1)], library.info().indexes[0].rows)
    try:
        library.add([{"id": "x", "text": "y"}])
    except RetrieverError as error:
        print(error)
"""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "library"
        with Collection.create(folder) as collection:
            collection.add(ANIMALS)
            collection.build("floor", HashingEmbedder())
        for path in (Path(name), folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        assert printed_by(code, folder).splitlines() == [
            "['cat'] 3",
            f"{folder}/ cannot be written to: Permission denied. It can still be searched.",
        ]


def test_the_split_of_an_empty_collection_can_be_changed(tmp_path):
    place = tmp_path / "library"
    (tmp_path / "bad.jsonl").write_text("{")
    (tmp_path / "good.jsonl").write_text('{"_id": "d", "text": "a b c d"}\n')
    fail("add", str(place), str(tmp_path / "bad.jsonl"), "--split", "3/1")
    good = ("add", str(place), str(tmp_path / "good.jsonl"), "--split")
    assert succeed(*good, "2/0").startswith("1 new")
    with Collection.open(place) as collection:
        assert (collection.split, collection.info().passages) == (Words(2), 2)
    assert "splits documents into 2 words" in fail(*good, "3/1")


@pytest.mark.parametrize("first", [None, Words(5)])
def test_a_first_add_that_stores_nothing_leaves_no_split(tmp_path, first):
    place = tmp_path / "library"
    if first:
        Collection.create(place, split=first).close()
    (tmp_path / "bad.jsonl").write_text("{")
    (tmp_path / "good.jsonl").write_text('{"_id": "d", "text": "a b c d"}\n')
    fail("add", str(place), str(tmp_path / "bad.jsonl"), "--split", "3/1")
    with Collection.open(place) as collection:
        assert collection.split == first
    with pytest.raises(KeyboardInterrupt):
        with Collection.open_or_create(place, split=Words(2)):
            raise KeyboardInterrupt
    succeed("add", str(place), str(tmp_path / "good.jsonl"))
    with Collection.open(place) as collection:
        assert collection.split == first


def test_a_first_add_that_fails_after_a_commit_keeps_its_split(tmp_path, monkeypatch):
    monkeypatch.setattr("indexes.ingest.batches.BATCH_RECORDS", 1)
    monkeypatch.setattr("indexes.ingest.batches.COMMIT_SECONDS", 0.0)

    def broken():
        yield Document("d", "a b c d")
        yield Document("e", "a b c d")
        raise KeyError

    with pytest.raises(KeyError):
        with Collection.open_or_create(tmp_path / "library", split=Words(2)) as collection:
            collection.add(broken())
    with Collection.open_or_create(tmp_path / "library") as collection:
        assert (collection.split, len(collection)) == (Words(2), 2)


def test_metadata_that_filters_could_not_read_is_refused():
    def nested(levels, wrap):
        value = 1
        for _ in range(levels):
            value = wrap(value)
        return {"x": value}

    for wrap in (lambda value: {"a": value}, lambda value: [value]):
        deep = Document("d", "text", metadata=nested(500, wrap))
        refused(
            InputError,
            "metadata 'x' is nested more than 500 levels deep, which filters cannot read",
            lambda wrap=wrap: Document("d", "text", metadata=nested(501, wrap)),
        )
        refused(
            InputError,
            "nested more than 500 levels",
            lambda wrap=wrap: Document("d", "text", metadata=nested(5000, wrap)),
        )
        assert deep.metadata_json()


def test_no_build_leaves_files_that_the_next_would_remove(collection):
    for n in range(12):
        collection.add([Document(f"d{n}", "north")])
        collection.build("axes", Axes())
        assert collection.verify().leftovers == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.search("x", index=["a"]), "The name of an index is ['a']; expected text."),
        (lambda c: c.drop(["a", "b"]), "The name of an index is ['a', 'b']; expected text."),
        (lambda c: c.build(3, HashingEmbedder()), "The name of an index is 3; expected text."),
        (lambda c: c.fuse("z", [1, 2]), "The name of an index is 1; expected text."),
        (lambda c: c.cascade("z", ["a"], "b"), "The name of an index is ['a']; expected text."),
        (lambda c: c.index_fields(["year"]), "The name of a field is ['year']; expected text."),
        (lambda c: c.field_notes(None), "The name of a field is None; expected text."),
        (lambda c: c.delete(1), "delete was given int; expected a list of document ids."),
        (
            lambda c: c.documents_of("d"),
            "documents_of was given one text; expected a list of document ids.",
        ),
        (
            lambda c: c.unknown_ids(None),
            "unknown_ids was given NoneType; expected a list of document ids.",
        ),
        (lambda c: c.documents_of([1]), "A document id is int; expected text."),
        (
            lambda c: c.search(like=[1]),
            "like is [1]; expected a list of document ids.",
        ),
        (lambda c: c.embedder(None), "The name of an index is None; expected text."),
        (lambda c: c.corpus_map(3), "The name of an index is 3; expected text."),
        (lambda c: c.index_info(10**30), f"The name of an index is {10**30}; expected text."),
        (lambda c: c.vector_retriever(["a"]), "The name of an index is ['a']; expected text."),
        (
            lambda c: list(c.embedded("axes", most=0)),
            "most is 0; expected a whole number of at least 1.",
        ),
        (
            lambda c: c.use("axes", "hashing"),
            "The embedder is str; expected an object with name, dim, fingerprint, encode_documents "
            "and encode_queries, such as StaticEmbedder('glove-6b-50d').",
        ),
        (lambda c: c.add("x.jsonl", text=5), "text is 5; expected names of columns."),
        (lambda c: c.build("y", lexical="no"), "lexical is 'no'; expected True or False."),
        (
            lambda c: c.search(image="\ud800"),
            "\\xed\\xa0\\x80: the image's name is not UTF-8. Rename it.",
        ),
        (lambda c: c.tune("axes", queries=[5]), "Query 0 is int; expected text."),
        (lambda c: c.search_vectors(None), "vectors is None; expected an array (n, dim)."),
        (
            lambda c: c.fuse("z", ["a", "b"], method=None),
            "The fusion method is None; expected text.",
        ),
        (
            lambda c: c.fuse("z", ["a", "b"], weights=3),
            "The weights are 3; expected a list of 2 numbers.",
        ),
        (lambda c: c.cascade("z", "a", rerank=3), "The reranker is 3; expected text."),
        (
            lambda c: c.build("y", "hashing", options=[1]),
            "options are [1]; expected a dict of names.",
        ),
        (lambda c: c.build("y", "hashing", ann=3), "ann is 3; expected text."),
        (lambda c: c.build("y", "hashing", engine=3), "engine is 3; expected text."),
        (
            lambda c: c.build("y", lexical=True, language=b"english"),
            "The language is b'english'; expected text.",
        ),
        (
            lambda c: c.build("y", lexical=True, stopwords="no"),
            "stopwords is 'no'; expected True or False.",
        ),
        (
            lambda c: c.build("y", HashingEmbedder),
            "The embedder is the class HashingEmbedder; give an instance: HashingEmbedder(...).",
        ),
    ],
)
def test_arguments_of_another_type_are_named(collection, call, message):
    collection.add([Document("d", "a cat")])
    refused(InputError, exactly(message), call, collection)


@pytest.mark.parametrize("opened", [Collection.open, Collection.create])
def test_a_path_without_meaning_is_refused(tmp_path, opened):
    says = "holds a NUL character, which no path has"
    refused(CollectionError, says, opened, f"{tmp_path}/a\0b")


def test_numbers_and_lists_of_numpy_are_taken(collection):
    collection.add([Document("n", "north"), Document("e", "east east")])
    collection.build("words", lexical=True, k1=np.int64(2), b=np.float32(0.5))
    assert collection.index_info("words").options["k1"] == 2
    collection.build("words", lexical=True, k1=2, b=0.5)  # the same
    collection.build("axes", Axes(), ann="HNSW8")
    collection.fuse("both", ["words", "axes"], weights=np.array([1, 3]))
    assert collection.tune("axes", queries=np.array(["north", "east"])).queries == 2
    assert ids(collection.search("north", index="both", like=None, unlike=None))[0] == "n"
    assert collection.search_vectors([], index="axes") == []
    says = "Queries are array.*; expected a list of texts"
    refused(InputError, says, collection.search_many, np.array("north"), index="axes")
    assert [one.doc_id for one in collection.documents_of(np.array(["e"]))] == ["e"]


def test_a_fingerprint_is_text(collection):
    collection.add([Document("d", "north")])
    embedder = Axes()
    embedder.fingerprint = {"kind": "axes"}
    refused(InputError, "The fingerprint of axes is {'kind'", collection.build, "x", embedder)


@pytest.mark.parametrize(("kept", "asked"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_id_is_known_in_either_normal_form(collection, kept, asked):
    """Systems write the names of files in either, and both look the same."""
    kept, asked = (unicodedata.normalize(form, "Café.md") for form in (kept, asked))
    collection.add([Document(kept, "coffee"), Document("other", "tea")])
    assert collection.document(asked).doc_id == kept
    assert asked not in collection
    assert collection.delete([asked, "other"]) == 2
    refused(UnknownNameError, "No document 'Café.md'", collection.document, "Café.md")
    # With both, each is its own.
    collection.add([Document(kept, "coffee"), Document(asked, "cocoa")])
    assert collection.document(asked).text == "cocoa"
    assert (collection.delete([asked]), len(collection)) == (1, 1)


def test_equal_vectors_are_one_to_a_structure_and_its_refusal_says_so(collection):
    collection.add([Document("a", "wind tide"), Document("b", "wind tide")])
    collection.build("flat", HashingEmbedder())
    says = "over 1 vector, equal ones counted once: Number of training points .1. should"
    refused(InputError, says, collection.build, "cells", vectors="flat", ann="IVF2,Flat")
    collection.add([Document("c", "moon")])
    collection.build("flat")
    collection.build("cells", vectors="flat", ann="IVF2,Flat")
    assert {hit.doc_id for hit in collection.search("wind", index="cells", k=2)} == {"a", "b"}
