"""Texts that an embedder fails on are reported, the others embedded; the next build retries."""

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.errors import (
    FailedText,
    FailedTextsError,
    InputError,
    MismatchError,
    ModelNotAvailableError,
)
from indexes.pipeline.embedding_job import BatchSchedule
from indexes.vectors.blocks import Block, join_small
from retriever import Collection, Document, HashingEmbedder, Words
from retriever.embedders import TextReport, load_embedder, parse_spec
from tests.support.commands import fail, invoke, succeed
from tests.support.models.fittable import Rare
from tests.support.toy import Axes, refused

MIB = 1 << 20
MEMORY = "/dev/shm"
WORDS = ("north", "east", "up")


class Picky(Axes):
    """`Axes` that fails for every batch with a text that has the word `poison`.

    `fault` is the exception that it raises, or a function that spoils the vectors it would return.
    A batch of more than `most` texts is too large for it; after `limit` texts, it stops working.
    """

    def __init__(self, fault=RuntimeError, most=10_000, limit=10_000, **rest):
        super().__init__("picky", **rest)
        self.fault, self.most, self.limit = fault, most, limit
        self.calls, self.threads = [], set()

    def encode_documents(self, texts):
        if sum(map(len, self.calls)) >= self.limit:
            raise ConnectionError("the server went away")
        self.calls.append(list(texts))
        self.threads.add(threading.current_thread())
        poisoned = [place for place, text in enumerate(texts) if "poison" in text.split()]
        if len(texts) > self.most:
            raise MemoryError
        if poisoned and isinstance(self.fault, type):
            raise self.fault("bad text\nsecond line")
        vectors = super().encode_documents(texts)
        return self.fault(vectors, poisoned) if poisoned else vectors


class Repaired(Axes):
    """Embeds `poison` as `up`; the text `halt` interrupts it."""

    def encode_documents(self, texts):
        if "halt" in texts:
            raise KeyboardInterrupt
        return self.encode_queries([text.replace("poison", "up") for text in texts])


PACE = {
    "first": "indexes.pipeline.builder.FIRST_BATCH",
    "largest": "indexes.pipeline.builder.LARGEST_BATCH",
    "commit_seconds": "indexes.pipeline.builder.COMMIT_SECONDS",
    "commit_bytes": "indexes.pipeline.builder.MERGED_BYTES",
    "background": "indexes.pipeline.embedding_job.BACKGROUND_SECONDS",
}


def set_pace(monkeypatch, **values):
    for name, value in values.items():
        monkeypatch.setattr(PACE[name], value)


def with_nan(vectors, poisoned):
    vectors[poisoned, 1] = np.nan
    return vectors


def numbered(count, poisoned=()):
    return [
        Document(f"d{n}", "poison" if n in poisoned else "north " * (n + 1) + "east")
        for n in range(count)
    ]


def found(collection, index="axes"):
    return {hit.doc_id for hit in collection.search("north east", index=index, k=1000)}


def build_partly(collection, *arguments, **options):
    """Build an index of which some texts fail; return the error that names them."""
    with pytest.raises(FailedTextsError) as caught:
        collection.build(*arguments, **options)
    return caught.value


def outcome(error):
    """The ids of the failed documents, and how many passages were embedded, now and before."""
    ids = [failed.doc_id for failed in error.failed]
    return ids, error.report.embedded, error.report.already


def shards_of(collection):
    return collection._store.shards(collection._store.embedding("axes"))


@pytest.fixture
def library(tmp_path):
    """Six documents, of which the third and the last are poisoned."""
    with Collection.create(tmp_path / "my library") as collection:
        collection.add(numbered(6, {2, 5}))
        yield collection


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (RuntimeError, "RuntimeError: bad text"),
        (MemoryError, "MemoryError: bad text"),
        (InputError, "bad text"),
        (with_nan, "The vector of passage {key} holds a value that is not finite. Fix the"),
        (
            lambda vectors, poisoned: np.delete(vectors, poisoned, axis=0),
            "The embedder gave vectors of shape (0, 3) for 1 texts; expected (1, 3).",
        ),
    ],
)
def test_a_text_that_fails_alone_is_named_and_the_others_are_embedded(library, fault, reason):
    error = build_partly(library, "axes", Picky(fault))
    for failed, key in zip(error.failed, (3, 6), strict=True):
        assert failed.reason.startswith(reason.format(key=key))
    assert outcome(error) == (["d2", "d5"], 4, 0)
    assert found(library) == {"d0", "d1", "d3", "d4"}
    info = library.index_info("axes")
    assert (info.rows, info.missing, info.unfindable) == (4, 2, 0)
    rows = shards_of(library)
    assert [(row.first_key, row.stop_key, row.rows) for row in rows] == [(1, 3, 2), (4, 6, 2)]
    assert library.verify().ok


MESSAGE = (
    "2 documents could not be embedded, 4 passages were:\n"
    "  'd2': RuntimeError: bad text\n"
    "  'd5': RuntimeError: bad text\n"
)


def test_the_message_names_the_documents_and_the_next_build_retries_only_them(library):
    advice = f"run the same again: retriever build '{library.path}' axes"
    said = f"{MESSAGE}Change or delete them, or {advice}"
    assert str(build_partly(library, "axes", Picky())) == said
    again = Picky()
    error = build_partly(library, "axes", again)
    assert outcome(error) == (["d2", "d5"], 0, 4)
    # The first text was encoded again, to test the embedder itself.
    assert {text for call in again.calls for text in call} == {"poison", "north east"}
    library.add([Document("d2", "east up")])
    library.delete(["d5"])
    last = Picky()
    report = library.build("axes", last)
    assert (report.embedded, report.already) == (1, 4)
    assert last.calls == [["east up"]]
    assert found(library) == {"d0", "d1", "d2", "d3", "d4"}
    assert library.index_info("axes").missing == 0
    # Without gaps between them, the shards are merged.
    assert len(shards_of(library)) == 1
    assert library.verify().ok


def test_twenty_failing_texts_at_the_start_do_not_look_like_a_broken_embedder(collection):
    collection.add(numbered(40, range(20)))
    error = build_partly(collection, "axes", Picky())
    assert (len(error.failed), len(found(collection))) == (20, 20)
    # The error has all of them, its message ten.
    assert "  'd9': RuntimeError: bad text\n  ... and 10 more\n" in str(error)
    collection.add([Document("new", "north")])
    error = build_partly(collection, "axes")
    assert (len(error.failed), error.report.embedded) == (20, 1)
    assert "new" in found(collection)


def test_many_failed_texts_cost_neither_open_files_nor_search_steps(collection, monkeypatch):
    monkeypatch.setattr("indexes.vectors.shards.MAPPED_FILES", 20)
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    collection.add(numbered(160, range(1, 160, 2)))
    assert len(build_partly(collection, "axes", Picky()).failed) == 80
    opened = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 60, before[1]))
    try:
        assert found(collection) == {f"d{n}" for n in range(0, 160, 2)}
        with collection._store.snapshot() as snapshot:
            (block,) = snapshot.searchers.of("axes").blocks
        assert block.keys.tolist() == list(range(1, 160, 2))
        assert len(shards_of(collection)) == 80
        with contextlib.suppress(FailedTextsError):
            collection.build("graph", vectors="axes", ann="HNSW8")
        assert len(list(collection.embedded("axes", most=1000))) > 0
        # Without the failed texts, all shards are merged.
        collection.delete([f"d{n}" for n in range(1, 160, 2)])
        collection.build("axes")
        collection.drop("graph")
        collection.build("axes")
        assert len(shards_of(collection)) == 1
        assert len(found(collection)) == 80
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_small_adjacent_shards_are_searched_as_one_block(monkeypatch):
    monkeypatch.setattr("indexes.vectors.blocks.SMALL_BYTES", 16)
    monkeypatch.setattr("indexes.vectors.blocks.JOINED_BYTES", 24)
    sizes, key, blocks = (1, 1, 4, 3, 2, 2, 2, 1, 9), 0, []
    for size in sizes:
        keys = np.arange(key, key + size)
        blocks.append(Block(keys, keys[:, None].astype(np.float32)))
        key += size + 1
    together = join_small(iter(blocks))
    assert [len(block.keys) for block in together] == [2, 4, 5, 5, 9]
    assert together[1] is blocks[2]
    for block in together:
        assert block.vectors[:, 0].tolist() == block.keys.tolist()
    wanted = np.concatenate([block.keys for block in blocks]).tolist()
    assert np.concatenate([block.keys for block in together]).tolist() == wanted
    assert join_small([]) == []


@pytest.mark.parametrize("poisoned", [{3}, {3, 39}])
def test_an_ann_index_finds_texts_that_failed_when_it_was_built(collection, poisoned):
    collection.add(numbered(40, poisoned))
    build_partly(collection, "axes", Picky(), ann="HNSW8")
    assert collection.index_info("axes").rows == 40 - len(poisoned)
    with contextlib.suppress(FailedTextsError):
        collection.build("other", vectors="axes", ann="HNSW16")
    assert collection.build("axes", Repaired()).embedded == len(poisoned)
    for index in ("axes", "other"):
        assert collection.search("up", index=index, k=1)[0].doc_id in {f"d{n}" for n in poisoned}
        assert len(collection.search("up", index=index, k=50)) == 40
        assert collection._store.index(index).file is not None
    assert collection.verify().ok


def test_the_next_build_rebuilds_stale_ann_indexes_of_an_interrupted_one(collection, monkeypatch):
    set_pace(monkeypatch, commit_seconds=0.0)
    collection.add(numbered(40, {3}))
    build_partly(collection, "axes", Picky(), ann="HNSW8")
    build_partly(collection, "other", vectors="axes", ann="HNSW16")
    collection.add([Document("stop", "halt")])
    # The failed text is embedded and committed, which makes both ANN indexes stale.
    refused(KeyboardInterrupt, None, collection.build, "axes", Repaired())
    assert [collection._store.index(name).file for name in ("axes", "other")] == [None, None]
    collection.delete(["stop"])
    assert collection.build("axes", Repaired()).embedded == 0
    for index in ("axes", "other"):
        assert collection._store.index(index).file is not None
        assert collection.search("up", index=index, k=1)[0].doc_id == "d3"
    assert collection.verify().ok


def test_failed_texts_are_reported_together_with_an_ann_index_that_faiss_refuses(library):
    error = build_partly(library, "axes", Picky(), ann="IVF64,Flat")
    assert (error.report.name, outcome(error)) == ("axes", (["d2", "d5"], 4, 0))
    assert str(error).startswith(MESSAGE)
    assert isinstance(error.__cause__, InputError)
    assert f"Besides, 'axes' could not be built: {error.__cause__}" in str(error).splitlines()[-1]
    # Over existing vectors, no index is made; the failed texts were tried again.
    error = build_partly(library, "cells", vectors="axes", ann="IVF64,Flat")
    assert (error.report.name, outcome(error)) == ("cells", (["d2", "d5"], 0, 4))
    lines = str(error).splitlines()
    assert lines[-2] == "Change or delete them, or run the same again."
    assert lines[-1].startswith("Besides, 'cells' could not be built: ")
    assert library.index_names() == ["axes"]


def test_failed_texts_are_reported_together_with_a_part_that_could_not_be_built(library):
    build_partly(library, "axes", Picky())
    down = Picky(lambda vectors, _: vectors, words=(*WORDS, "down"))
    library.build("down", down)
    library.fuse("both", ["axes", "down"])
    library.add([Document("new", "north")])
    down.limit = 0
    error = build_partly(library, "both")
    assert (error.report.name, outcome(error)[:2]) == ("both", (["d2", "d5"], 1))
    assert isinstance(error.__cause__, ConnectionError)
    cause = "ConnectionError: the server went away"
    assert str(error).endswith(f"Besides, 'down' could not be built: {cause}")
    # In the other order, no text has failed yet.
    library.fuse("again", ["down", "axes"])
    refused(ConnectionError, "server went away", library.build, "again")
    down.limit = 10_000
    assert build_partly(library, "again").report.embedded == 1
    assert "new" in found(library, "down")


def test_a_document_with_two_failed_passages_is_named_once(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(1)) as collection:
        collection.add([Document("a", "north poison east poison"), Document("b", "up")])
        error = build_partly(collection, "axes", Picky())
        assert error.failed == (FailedText("a", "RuntimeError: bad text"),)
        assert outcome(error) == (["a"], 3, 0)
        assert found(collection) == {"a", "b"}
        assert collection.index_info("axes").missing == 1


def test_failed_texts_of_all_parts_of_a_combination_are_reported(library):
    class Rough(Picky):
        def encode_documents(self, texts):
            return super().encode_documents([text.replace("smooth", "poison") for text in texts])

    build_partly(library, "axes", Picky())
    build_partly(library, "rough", Rough(words=(*WORDS, "down")))
    library.build("floor", HashingEmbedder())
    library.fuse("both", ["axes", "rough", "floor"])
    library.add([Document("new", "north"), Document("s", "smooth")])
    error = build_partly(library, "both")
    assert sorted(failed.doc_id for failed in error.failed) == ["d2", "d5", "s"]
    assert (error.report.name, error.report.embedded) == ("both", 2 + 1 + 2)
    assert str(error).startswith("3 documents could not be embedded, 5 passages were:")
    assert str(error).endswith(f"the same again: retriever build '{library.path}' both")
    assert library.index_info("floor").missing == 0
    assert "new" in found(library) & found(library, "floor")


def test_an_unprintable_error_is_reported_in_one_line(collection):
    class Loud(Axes):
        def encode_documents(self, texts):
            if "north" not in " ".join(texts).split():
                raise ValueError(f"\x1b[31m {'x' * 300}")
            if len(texts) > 1:
                raise ValueError
            return super().encode_documents(texts)

    collection.add([Document("a\n", "up"), Document("n", "north")])
    error = build_partly(collection, "axes", Loud())
    (failed,) = error.failed
    assert failed.reason == f"ValueError: \\x1b[31m {'x' * 300}"[:200] + "..."
    assert "  'a\\n': ValueError: " in str(error)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(1, 40),
    poisoned=st.sets(st.integers(0, 39)),
    first=st.integers(1, 20),
    background=st.sampled_from([0.0, 9.0]),
    most=st.sampled_from([1, 3, 100]),
)
def test_exactly_the_texts_that_do_not_fail_are_found(
    monkeypatch, count, poisoned, first, background, most
):
    poisoned = {n for n in poisoned if n < count}
    pace = {"first": first, "largest": 2 * first, "background": background}
    set_pace(monkeypatch, commit_seconds=0.0, **pace)
    with (
        # In memory if possible: a disk would only slow this down.
        tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder,
        Collection.create(Path(folder) / "c") as collection,
    ):
        collection.add(numbered(count, poisoned))
        wanted = {f"d{n}" for n in range(count) if n not in poisoned}
        named = ()
        try:
            report = collection.build("axes", Picky(most=most))
        except FailedTextsError as error:
            report, named = error.report, error.failed
        except RuntimeError:
            # Nothing was encoded: no text at all, or none of the first ones.
            assert not wanted or set(range(8)) <= poisoned
            assert collection.index_names() == []
            return
        assert [failed.doc_id for failed in named] == [f"d{n}" for n in sorted(poisoned)]
        assert (report.embedded, report.text) == (len(wanted), TextReport(texts=len(wanted)))
        assert found(collection) == wanted
        assert collection.index_info("axes").missing == len(poisoned)
        assert collection.verify().ok
    assert "encoding" not in [thread.name for thread in threading.enumerate()]


def test_an_embedder_that_encodes_nothing_fails_soon_with_its_own_error(collection):
    def no_answer(vectors, _):
        raise OSError(5, f"no answer about {len(vectors)} texts")

    broken = Picky(no_answer)
    collection.add(numbered(500, range(500)))
    refused(OSError, "no answer about 64 texts", collection.build, "axes", broken)
    assert len(broken.calls) < 40
    assert collection.index_names() == []


@pytest.mark.parametrize("left", [3, 60])
def test_an_embedder_that_breaks_midway_names_no_document(collection, monkeypatch, left):
    set_pace(monkeypatch, first=8)
    collection.add(numbered(8 + left))
    refused(ConnectionError, "server went away", collection.build, "axes", Picky(limit=8))
    # Its vectors until then were committed, although no commit was due.
    assert collection.index_info("axes").rows == 8
    assert collection.build("axes", Picky()).embedded == left


@pytest.mark.parametrize("fault", [ConnectionError, ModelNotAvailableError])
@pytest.mark.parametrize("background", [0.0, 9.0])
def test_all_vectors_from_before_an_embedder_broke_are_kept(
    collection, monkeypatch, fault, background
):
    """It takes 5 texts in all: the first quarter of its first batch of 16, and 1 more."""

    class Breaks(Picky):
        left = 5

        def encode_documents(self, texts):
            if len(texts) > 4:
                raise MemoryError
            if len(texts) > self.left:
                raise fault("the server went away") if self.left == 0 else MemoryError
            self.left -= len(texts)
            return super().encode_documents(texts)

    set_pace(monkeypatch, first=16, background=background)
    collection.add(numbered(40))
    refused((fault, MemoryError), None, collection.build, "axes", Breaks())
    assert found(collection) == {"d0", "d1", "d2", "d3", "d4"}
    assert collection.index_info("axes").missing == 35
    assert collection.build("axes", Picky()).embedded == 35
    assert found(collection) == {f"d{n}" for n in range(40)}


def test_an_error_that_is_not_about_texts_is_not_retried(library):
    embedder = Picky(ModelNotAvailableError)
    refused(ModelNotAvailableError, "bad text", library.build, "axes", embedder)
    assert len(embedder.calls) == 1


def test_vectors_of_another_width_are_refused(collection):
    wide = Picky(lambda vectors, _: np.ones((len(vectors), 4), np.float32))
    collection.add(numbered(20, range(20)))
    message = r"shape \(20, 4\) for 20 texts; expected \(20, 3"
    refused(MismatchError, message, collection.build, "axes", wide)


def test_a_batch_too_large_for_memory_is_not_tried_at_that_size_again(collection, monkeypatch):
    set_pace(monkeypatch, first=32)
    embedder = Picky(most=10)
    collection.add(numbered(100))
    assert collection.build("axes", embedder).embedded == 100
    assert len(found(collection)) == 100
    sizes = [len(call) for call in embedder.calls]
    assert sizes[:4] == [32, 16, 8, 8]
    # The first batch's right half, and then none.
    assert [size for size in sizes if size > 10] == [32, 16, 16]


def test_a_batch_has_at_least_one_text_however_slow_the_embedder():
    pace = BatchSchedule(1, 8, seconds=2.0, commit_seconds=4.0, commit_bytes=MIB)
    assert [pace.next_size(1, seconds) for seconds in (9.0, 1.0, 0.1)] == [1, 2, 4]


class PickyRare(Rare):
    """`Rare` that fails for a batch with a word."""

    word = "poison"

    def encode_documents(self, texts):
        if any(self.word in text.split() for text in texts):
            raise RuntimeError("bad text")
        return super().encode_documents(texts)

    def _with(self, weights):
        made = PickyRare(self.name, self.words, self.option, weights, fail_after=self.fail_after)
        made.seen, made.word = self.seen, self.word
        return made


def test_a_refit_with_failed_texts_keeps_the_old_vectors_in_use(collection):
    collection.add([Document("n", "north"), Document("u", "up"), Document("e", "east")])
    collection.build("rare", PickyRare())
    collection.add([Document("n2", "north north")])
    before = collection.index_info("rare").fingerprint
    picky = PickyRare()
    picky.word = "up"
    error = build_partly(collection, "rare", picky, refit=True)
    assert outcome(error)[0] == ["u"]
    said = "1 document could not be embedded, 3 passages were. The old vectors stay in use"
    assert said in str(error)
    assert str(error).endswith("rare --refit")
    info = collection.index_info("rare")
    assert (info.fingerprint, info.refitting, info.missing) == (before, True, 1)
    assert [hit.doc_id for hit in collection.search("up", k=1)] == ["u"]
    # Repaired, it embeds only the rest.
    repaired = PickyRare()
    assert collection.build("rare", repaired, refit=True).embedded == 1
    assert repaired.seen == ["up"]
    info = collection.index_info("rare")
    assert (info.fingerprint != before, info.refitting, info.missing) == (True, False, 0)
    assert collection.verify().ok


def test_a_build_after_an_interrupted_refit_reports_the_build(collection):
    collection.add([Document("n", "north"), Document("u", "up")])
    collection.build("rare", PickyRare())
    collection.add([Document("n2", "north north")])
    refused(KeyboardInterrupt, None, collection.build, "rare", PickyRare(fail_after=0), refit=True)
    assert collection.index_info("rare").refitting
    collection.add([Document("p", "poison")])
    message = "1 document could not be embedded, 1 passage was:\n  'p': RuntimeError: bad text\n"
    advice = f"Change or delete them, or run the same again: retriever build {collection.path} rare"
    assert str(build_partly(collection, "rare")) == message + advice


def test_a_refit_is_not_blocked_by_a_text_that_never_had_a_vector(collection):
    collection.add([Document("n", "north"), Document("p", "poison"), Document("e", "east")])
    build_partly(collection, "rare", PickyRare())
    collection.add([Document("n2", "north north")])
    error = build_partly(collection, "rare", PickyRare(), refit=True)
    assert outcome(error)[0] == ["p"]
    assert str(error).endswith(" rare")
    info = collection.index_info("rare")
    assert (info.refitting, info.missing, info.rows, info.fitted_documents) == (False, 1, 3, 4)
    assert collection.verify().ok


def test_the_command_names_failed_documents_and_exits_with_1(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Twice its vector is more than single precision holds.
    Path("vectors.txt").write_text("north 1 0\neast 0 1\npoison 3e38 3e38\n")
    with Collection.create("library") as collection:
        collection.add(map(Document, "abc", ("north", "poison poison", "east")))
    assert fail("build", "library", "words", "--embedder", "static:vectors.txt") == (
        "1 document could not be embedded, 2 passages were:\n"
        "  'b': The vector of passage 2 holds a value that is not finite. "
        "Fix the embedder, or remove the document.\n"
        "Change or delete them, or run the same again: retriever build library words"
    )
    as_json = invoke("build", "library", "words", "--json")
    assert as_json.exit_code == 1
    assert as_json.stderr.startswith("Error: 1 document could not be embedded, 0 passages were:\n")
    record = json.loads(as_json.stdout)
    assert (record["name"], record["embedded"], record["already"]) == ("words", 0, 2)
    (failed,) = record["failed"]
    assert failed["doc_id"] == "b"
    assert failed["reason"].startswith("The vector of passage 2 holds a value that is not finite.")
    searched = invoke("search", "library", "north", "-i", "words")
    assert searched.exit_code == 0
    assert "1 document in library/ is not in index 'words' yet" in searched.stderr
    assert invoke("build", "library", "words").exit_code == 1
    with Collection.open("library") as collection:
        collection.add([Document("b", "north east")])
    last = succeed("build", "library", "words")
    assert last.startswith("words: 1 document embedded in ")
    assert "2 already in the index" in last


def test_repair_names_the_texts_that_failed(library):
    build_partly(library, "axes", Picky())
    (library.path / shards_of(library)[0].file).write_bytes(b"damaged")
    repaired = library.repair()
    assert repaired.ok
    assert repaired.done[0] == "embedded 2 passages of 'axes' again"
    said = [line.split(": ", 1)[1] for line in repaired.done[1:3]]
    assert said == ["'d2': RuntimeError: bad text", "'d5': RuntimeError: bad text"]


class Reporting(Picky):
    """Has a token for each word, and rows as long as the longest text of a batch."""

    notes = ("It runs on paper.",)

    def encode_and_report(self, texts):
        lengths = [len(text.split()) for text in texts]
        report = TextReport(len(texts), tokens=sum(lengths), padded=len(texts) * max(lengths))
        return self.encode_documents(texts), report

    def report_queries(self, texts):
        return self.encode_and_report(texts)[1]


def test_a_report_has_the_padding_of_its_own_build_only(collection):
    collection.add([Document("a", "north"), Document("b", "north east up")])
    report = collection.build("axes", Reporting())
    assert report.read == report.text == TextReport(2, tokens=4, padded=6)
    assert report.read.padding == pytest.approx(1 / 3)
    assert report.notes == ("It runs on paper.",)
    collection.add([Document("c", "east north")])
    report = collection.build("axes")
    assert report.read == TextReport(1, tokens=2, padded=2)
    assert report.text == collection.index_info("axes").text == TextReport(3, tokens=6, padded=8)
    with Collection.open(collection.path) as again:
        # Nothing to do: no embedder is loaded, and none was given.
        report = again.build("axes")
    assert (report.read, report.notes) == (TextReport(), ())


@pytest.mark.parametrize("background", [0.0, 9.0])
def test_an_embedder_may_reuse_the_memory_of_its_vectors(collection, monkeypatch, background):
    class Thrifty(Picky):
        def encode_documents(self, texts):
            vectors = super().encode_documents(texts)
            self.memory[: len(texts)] = vectors
            return self.memory[: len(texts)]

        memory = np.zeros((4, 3), np.float32)

    set_pace(monkeypatch, first=4, largest=4, background=background)
    collection.add(Document(f"d{n}", "poison" if n == 7 else WORDS[n % 3]) for n in range(40))
    build_partly(collection, "axes", Thrifty())
    for place, word in enumerate(WORDS):
        hits = collection.search(word, k=1000)
        exact = {hit.doc_id for hit in hits if hit.score > 0.99}
        assert exact == {f"d{n}" for n in range(40) if n % 3 == place and n != 7}


def test_a_slow_embedder_runs_in_one_thread_while_shards_are_written(collection, monkeypatch):
    seen = []

    class Watching(Picky):
        """Encodes slowly, and reads the committed rows over its own connection."""

        def encode_documents(self, texts):
            time.sleep(0.05)
            with Collection.open(collection.path) as other:
                seen.append(sum(shard.rows for shard in shards_of(other)))
            return super().encode_documents(texts)

    set_pace(monkeypatch, first=2, largest=2, commit_seconds=0.0, background=0.0)
    embedder = Watching()
    collection.add(numbered(8))
    report = collection.build("axes", embedder)
    assert len(found(collection)) == 8
    # Each batch was committed while the next one was encoded.
    assert seen == [0, 2, 4, 6]
    (other,) = embedder.threads - {threading.main_thread()}
    assert (len(embedder.threads), other.name, other.is_alive()) == (2, "encoding", False)
    assert report.embedding_seconds >= 4 * 0.05


@pytest.fixture
def ctrl_c():
    """Let Ctrl-C raise KeyboardInterrupt, also if a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_the_encoding_and_keeps_committed_vectors(collection, monkeypatch):
    ended = []

    class Endless(Picky):
        def encode_documents(self, texts):
            if sum(map(len, self.calls)) < 4:
                return super().encode_documents(texts)
            os.kill(os.getpid(), signal.SIGINT)
            try:
                while True:
                    time.sleep(0.01)
            finally:
                ended.append(sys.exc_info()[0])

    set_pace(monkeypatch, first=2, largest=2, commit_seconds=0.0, background=0.0)
    collection.add(numbered(10))
    refused(KeyboardInterrupt, None, collection.build, "axes", Endless())
    assert ended == [KeyboardInterrupt]
    assert "encoding" not in [thread.name for thread in threading.enumerate()]
    report = collection.build("axes", Picky())
    assert report.already in (2, 4)
    assert report.embedded == 10 - report.already
    assert len(found(collection)) == 10


@pytest.mark.parametrize("background", [0.0, 9.0])
def test_embedding_twice_as_many_documents_needs_no_more_memory(
    collection, monkeypatch, background
):
    set_pace(monkeypatch, largest=1000, commit_bytes=MIB // 4, background=background)
    peaks = []

    def progress(done, total):
        if len(peaks) < 2 and done >= (total // 2, total)[len(peaks)]:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()

    collection.add(Document(f"d{n}", f"word{n} and word{n + 1}") for n in range(30_000))
    tracemalloc.start()
    try:
        collection.build("hash", HashingEmbedder(32), progress=progress)
    finally:
        tracemalloc.stop()
    first, second = peaks
    # All vectors would be 3.7 MiB, all texts 2.3.
    assert second < first + MIB // 2


TEXTS = {
    "plain": "The river bank.",
    "long": "river bank money " * 33_334,
    "empty": "",
    "marks": "!!! ... ???",
    "emoji": "👍🏽 👨‍👩‍👧 🇫🇷 ❤️",
    "mixed": "שלום עולם مرحبا 你好世界 Ελλάδα e\u0301 क्षि",
    "control": "a\0b\x01 \x1b[31m\x7f river \ufeff\u202e",
}
# The texts without anything that the embedder knows.
NOTHING = {
    "hashing": {"empty", "marks", "emoji"},
    "static:glove-6b-50d": {"empty", "marks", "emoji"},
    "elmo": {"empty"},
    "contextual:all-MiniLM-L6-v2": {"empty"},
}


@pytest.mark.parametrize("kind", NOTHING)
def test_real_models_embed_any_text_or_find_nothing_to_embed(collection, kind, request):
    spec, options = kind, {"runtime": "torch"} if "MiniLM" in kind else {}
    if kind == "elmo":
        spec, options = f"elmo:{request.getfixturevalue('data') / 'elmo'}", {"max_length": "64"}
    embedder = load_embedder(parse_spec(spec, options))
    lone, message = "lone \ud800 half", "is not valid Unicode at character 5"
    refused(InputError, f"'text' {message}", collection.add, [{"id": "s", "text": lone}])
    collection.add(Document(doc_id, text) for doc_id, text in TEXTS.items())
    assert collection.build("index", embedder).embedded == len(TEXTS)
    filled = np.asarray(embedder.encode_documents(list(TEXTS.values()))).any(axis=1)
    assert {name for name, any_ in zip(TEXTS, filled, strict=True) if not any_} == NOTHING[kind]
    hits = collection.search("The river bank.", k=20)
    assert {hit.doc_id for hit in hits} == TEXTS.keys() - NOTHING[kind]
    assert hits[0].doc_id == "plain"
    assert collection.verify().ok
    refused(InputError, f"Text 1 {message}", embedder.encode_documents, ["north", lone])


def test_the_command_notes_the_padding_of_a_transformer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection.create("library") as collection:
        collection.add([Document("a", "north"), Document("b", "a sea")])
    embedder = ("--embedder", "contextual:all-MiniLM-L6-v2", "-o", "runtime", "torch")
    built = invoke("build", "library", "mini", *embedder)
    assert built.exit_code == 0
    # Three and four tokens, with the special ones at both ends.
    note = re.search(r"note: all-MiniLM-L6-v2 read 7 tokens, (\d+\.\d) % padding\n", built.stderr)
    assert note
    assert float(note[1]) in (0.0, 12.5)
