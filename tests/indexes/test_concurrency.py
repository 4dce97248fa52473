"""One writes while others read: every answer is one committed state of the collection."""

import functools
import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import pytest

from indexes.catalog.sqlite import connections, database, opening
from indexes.errors import CollectionError, LockedError, RetrieverError, UnknownNameError
from indexes.lexical import deleted as deleted_passages
from indexes.storage.files import writer_lock
from indexes.vectors.faiss_engine import index as faiss_index
from retriever import Collection, Document, HashingEmbedder
from tests.support.fresh import check_forked, lock_holder
from tests.support.toy import Axes, build_axes, ids, refused

# Each of the eight kinds of change at least twice.
CHANGES = 400 if os.environ.get("RETRIEVER_SOAK") else 16
READERS = 4
DOCUMENTS = 24
EMBEDDER = HashingEmbedder(32)
WORDS = ("wind", "sand", "tide", "moon", "fern", "moss")


def state(number):
    """All documents of a state: each carries the number of the transaction that wrote it.

    Of every third state some documents are missing. The text of every other state is that of the
    one before, so that only metadata changes.
    """
    written = number - number % 2
    return [
        Document(
            f"d{n:02}",
            f"{WORDS[n % 6]} {WORDS[(n + written) % 6]} common state{written}",
            title=f"Title {n}",
            metadata={"state": number, "half": n % 2},
        )
        for n in range(DOCUMENTS)
    ]


@dataclass
class StateWriter:
    """Takes a collection from one state to the next; each change is one transaction."""

    collection: Collection
    number: int = 0

    def start(self):
        self.collection.index_fields("half")
        self.collection.add(state(0))
        self.collection.build("flat", EMBEDDER)
        self.collection.build("graph", vectors="flat", ann="HNSW8")
        self.collection.build("bm25", lexical=True)

    def step(self):
        """Change all documents, then what is stored next to them."""
        self.number += 1
        self.collection.add(state(self.number))
        match self.number % 8:
            case 1:
                # Half of a state is a state, too.
                self.collection.delete(where={"half": 1})
            case 2 | 6:
                self.collection.build("flat")
                self.collection.build("bm25")
            case 3:
                self.collection.build("flat")
                self.collection.compact()
            case 4:
                self.collection.build("graph")
            case 5:
                self.collection.drop("graph")
                self.collection.build("graph", vectors="flat", ann="HNSW8")
            case 7:
                self.collection.delete([f"d{n:02}" for n in range(0, DOCUMENTS, 2)])
                self.collection.compact()


PARTS = ("text", "title", "metadata")
HALVES = {frozenset({0}), frozenset({1}), frozenset({0, 1})}


def fault_of(documents, *, complete):
    """Why documents or hits are not of one state, empty if they are; `complete`: of all of one."""
    if not documents:
        return ""  # between an edit and the next build, nothing is embedded
    numbers = {document.metadata["state"] for document in documents}
    if len(numbers) > 1:
        return f"states {sorted(numbers)} in one answer"
    expected = {document.doc_id: document for document in state(numbers.pop())}
    for found in documents:
        wanted = expected[found.doc_id]
        if any(getattr(found, part) != getattr(wanted, part) for part in PARTS):
            return f"{found}; expected {wanted}"
    halves = frozenset(document.metadata["half"] for document in documents)
    found = {document.doc_id for document in documents}
    wanted = {d.doc_id for d in expected.values() if d.metadata["half"] in halves}
    if len(found) != len(documents):
        return f"a document came twice: {sorted(document.doc_id for document in documents)}"
    if complete and (halves not in HALVES or found != wanted):
        return f"{len(found)} documents of {len(wanted)}"
    return ""


def ask(collection, turn):
    """One question, and what is wrong with its answer."""
    search = functools.partial(collection.search, k=100)
    match turn % 7:
        case 0:
            return fault_of(search("wind common", index="flat"), complete=True)
        case 1:
            name = "graph" if "graph" in collection.index_names() else "flat"
            try:
                return fault_of(search("tide common", index=name), complete=True)
            except UnknownNameError as error:
                # It may have been dropped since its name was read: that is a state, too.
                if str(error).startswith("No index 'graph' in"):
                    return ""
                raise
        case 2:
            return fault_of(search("moss common", index="flat", where={"half": 0}), complete=True)
        case 3:
            hits = search("moss common", index="flat", k=3, where={"state": {">=": 0}})
            return fault_of(hits, complete=False)
        case 4:
            several = collection.search_many(["wind", "common sand"], index="flat", k=100)
            numbers = {hit.metadata["state"] for hits in several for hit in hits}
            if len(numbers) > 1:
                return f"states {sorted(numbers)} in one answer"
            return fault_of(several[1], complete=True)
        case 5:
            corpus = collection._store.corpus
            found = corpus.document("d00") or corpus.document("d01")
            return fault_of([found], complete=False) if found else ""
        case _:
            return fault_of(search("common", index="bm25"), complete=True)


def read(path, stop, enough, results):
    """Query until `stop` is set, opening the collection again now and then.

    Sets `enough` once it has seen two states, or when it ends: a busy machine may be slow to start.
    """
    answers, full, faults, states = 0, 0, [], set()
    while not stop.is_set() and not faults:
        with Collection.open(path) as collection:
            for turn in range(300):
                if stop.is_set() or faults:
                    break
                try:
                    fault = ask(collection, turn)
                    hits = collection.search("common", index="flat", k=1)
                except Exception as error:
                    faults.append(f"turn {turn}: {type(error).__name__}: {error}")
                    break
                answers += 2
                full += bool(hits)
                states |= {hit.metadata["state"] for hit in hits}
                if len(states) > 1:
                    enough.set()
                if fault:
                    faults.append(f"turn {turn}: {fault}")
    enough.set()
    results.put((answers, full, len(states), faults))


@pytest.mark.parametrize(
    ("name", "module", "function"),
    [("graph", faiss_index, "read_further"), ("bm25", deleted_passages, "read")],
)
def test_a_file_that_is_removed_while_it_is_loaded_is_loaded_again(
    tmp_path, monkeypatch, name, module, function
):
    """A writer removes what it has replaced, at any moment of a reader's loading."""
    with Collection.create(tmp_path / "c") as writer:
        StateWriter(writer).start()
        writer.delete(["d00"])
        writer.build("bm25")
        load, replaced = getattr(module, function), []

        def replace_first(*arguments, **options):
            if not replaced:
                replaced.append(name)
                writer.add(state(3))
                for one in ("flat", "bm25", "graph"):
                    writer.build(one)
                writer.compact()
            return load(*arguments, **options)

        with Collection.open(tmp_path / "c") as reader:
            monkeypatch.setattr(module, function, replace_first)
            hits = reader.search("wind common", index=name, k=100)
        monkeypatch.undo()
        assert replaced == [name]
        assert {hit.metadata["state"] for hit in hits} == {3}
        assert hits == writer.search("wind common", index=name, k=100)


def test_four_processes_read_only_committed_states_while_one_writes(
    tmp_path, record_testsuite_property
):
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    with Collection.create(tmp_path / "c") as collection:
        writer = StateWriter(collection)
        writer.start()
        enough = [context.Event() for _ in range(READERS)]
        common = tmp_path / "c", stop
        readers = [context.Process(target=read, args=(*common, e, results)) for e in enough]
        for reader in readers:
            reader.start()
        while results.empty() and all(reader.is_alive() for reader in readers):
            writer.step()
            if writer.number >= CHANGES and all(one.is_set() for one in enough):
                break
        stop.set()
        for reader in readers:
            reader.join()
        assert [reader.exitcode for reader in readers] == [0] * READERS
        found = [results.get() for _ in readers]
        checked = collection.verify()
    answers, full, states, faults = zip(*found, strict=True)
    record_testsuite_property("states written", writer.number)
    record_testsuite_property("answers read", answers)
    record_testsuite_property("of them with hits", full)
    record_testsuite_property("states seen", states)
    assert [fault for some in faults for fault in some] == []
    assert (min(answers) > 0, min(full) > 0, min(states) > 1) == (True, True, True)
    assert checked.problems == ()


def test_four_threads_read_only_committed_states_while_another_writes(collection):
    stop, faults, answers = threading.Event(), [], [0] * READERS
    writer = StateWriter(collection)
    writer.start()

    def query(reader):
        while not stop.is_set() and not faults:
            turn = answers[reader]
            try:
                if fault := ask(collection, turn):
                    faults.append(fault)
            except Exception as error:
                faults.append(f"turn {turn % 7}: {type(error).__name__}: {error}")
            answers[reader] += 1

    threads = [threading.Thread(target=query, args=(n,)) for n in range(READERS)]
    for thread in threads:
        thread.start()
    # Until each thread has asked every kind of question.
    while not faults and (writer.number < CHANGES or min(answers) < 7):
        writer.step()
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert collection.verify().problems == ()


def test_a_long_snapshot_sees_one_state_while_a_writer_compacts(tmp_path, monkeypatch):
    # It need not wait until nobody reads any more: that wait would not end.
    monkeypatch.setattr(connections, "BUSY_MILLISECONDS", 10**9)
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 10**9)
    with Collection.create(tmp_path / "c") as collection:
        StateWriter(collection).start()
        query = EMBEDDER.encode_queries(["wind common"])

        def answer(snapshot):
            nearest = snapshot.search("graph", query, 100)
            keys, scores = nearest.keys[0].tolist(), nearest.scores[0].tolist()
            found = snapshot.corpus.found(keys)
            return [(found[key].document, score) for key, score in zip(keys, scores, strict=True)]

        with Collection.open(tmp_path / "c") as other, other._store.snapshot() as snapshot:
            before = answer(snapshot)
            assert {document.doc_id for document, _ in before} == {d.doc_id for d in state(0)}
            assert len(before) == DOCUMENTS
            collection.delete([f"d{n:02}" for n in range(20)])
            collection.add([Document("new", "wind common")])
            collection.build("flat")
            collection.compact()
            assert answer(snapshot) == before
        with Collection.open(tmp_path / "c") as other:
            hits = other.search("wind common", index="graph", k=100)
            assert {hit.doc_id for hit in hits} == {"d20", "d21", "d22", "d23", "new"}


@pytest.fixture
def holder(library):
    with lock_holder(library.path) as process:
        yield process


def test_the_holder_of_the_lock_is_named_with_host_and_time(library, holder):
    since = json.loads((library.path / "writer.json").read_text())["since"]
    who = f"by process {holder.pid} on {socket.gethostname()} since {since}. Wait for it"
    for write in (
        lambda: library.add([Document("new", "text")]),
        lambda: library.delete(["cat"]),
        lambda: library.build("floor"),
        lambda: library.index_fields("year"),
        lambda: library.drop("floor"),
        library.compact,
        library.repair,
    ):
        refused(LockedError, re.escape(who), write)
    assert len(library.search("kitten", k=9)) == 3
    assert library.verify().ok


def test_a_dead_holders_lock_is_taken_over(library, holder):
    refused(LockedError, None, library.delete, ["cat"])
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    # Its signature is still there; the lock is not.
    assert json.loads((library.path / "writer.json").read_text())["process"] == holder.pid
    assert library.delete(["cat"]) == 1
    with writer_lock(library.path):
        facts = json.loads((library.path / "writer.json").read_text())
    assert facts["process"] == os.getpid()
    assert not (library.path / "writer.json").exists()


INTERRUPTED_WRITER = """
import os, signal, sys
from retriever import Collection, Document
def source():
    yield Document("new", "a text that never is")
    os.kill(os.getpid(), signal.SIGKILL)
with Collection.open(sys.argv[1]) as library:
    library.add(source())
"""


def test_a_writer_that_was_killed_leaves_the_last_committed_state(library):
    command = [sys.executable, "-c", INTERRUPTED_WRITER, str(library.path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [document.doc_id for document in library.documents()] == ["cat", "car", "tax"]
    assert library.verify().ok
    assert library.add([Document("new", "text")]).new == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_reads_and_writes_beside_its_parent(collection):
    # As web servers do, that open a collection first and then fork their workers.
    build_axes(collection, a="north")
    assert ids(collection.search("north")) == ["a"]

    def work():
        assert ids(collection.search("north")) == ["a"]
        collection.add([Document("b", "east")])

    check_forked(work)
    collection.build("axes", Axes())
    assert sorted(ids(collection.search("north"))) == ["a", "b"]
    assert collection.verify().ok


FORKED_IN_USE = """
import os, sys, threading
from retriever import Collection, Document, RetrieverError

collection = Collection.open(sys.argv[1])
inside, done = threading.Event(), threading.Event()

def hold():
    with collection._store.snapshot():
        inside.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    try:
        len(collection)
    except RetrieverError as error:
        print(error, flush=True)
    sys.exit(0)  # what a child inherited is closed at its end, unless somebody sees to it
os.waitpid(child, 0)
done.set()
thread.join()
collection.add([Document("b", "east")])
print(len(collection), collection.verify().ok)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_connection_of_another_thread_is_refused_after_a_fork(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add([Document("a", "north")])
    command = [sys.executable, "-W", "ignore", "-c", FORKED_IN_USE, str(tmp_path / "c")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    said, found = ran.stdout.splitlines()
    assert "was opened before this process was forked, and was in use" in said
    assert (found, ran.stderr) == ("2 True", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_in_the_source_of_an_add_loses_nothing(collection):
    def check_empty():
        assert len(collection) == 0

    def source():
        yield Document("a", "north")
        check_forked(check_empty)
        yield Document("b", "east")

    assert collection.add(source()).new == 2
    assert (len(collection), collection.verify().ok) == (2, True)


def in_threads(*works):
    """Run functions at once, each in its thread; return what they raised."""
    raised, ready = [], threading.Barrier(len(works))

    def run(work):
        ready.wait()
        try:
            work()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_threads_that_write_at_once_wait_for_each_other(tmp_path):
    """Also through several collections on one folder, one of them by another name."""
    with Collection.create(tmp_path / "c") as one:
        (tmp_path / "alias").symlink_to(tmp_path / "c")
        one.add(state(0))
        with Collection.open(tmp_path / "alias") as other:
            raised = in_threads(
                *(functools.partial(one.add, [Document(f"t{n}", f"text {n}")]) for n in range(4)),
                lambda: other.add(state(2)),
                lambda: other.delete(["d00"]),
                lambda: one.build("flat", EMBEDDER),
                lambda: other.build("bm25", lexical=True),
                lambda: other.index_fields("half"),
                other.compact,
            )
            assert raised == []
            assert {"t0", "t1", "t2", "t3"} < {d.doc_id for d in other.documents()}
            assert (sorted(one.index_names()), other.verify().ok) == (["bm25", "flat"], True)


class WritingAxes(Axes):
    """An embedder that writes to the collection that is being built, from a build's own thread."""

    def __init__(self, collection):
        super().__init__()
        self.collection = collection

    def encode_documents(self, texts):
        self.collection.delete(["a"])
        return super().encode_documents(texts)


def test_a_write_from_inside_a_write_is_refused_instead_of_waiting_for_itself(collection):
    message = "is being written to by the call that this one is made from"

    def source():
        yield Document("a", "north")
        refused(CollectionError, message, collection.index_fields, "year")
        with Collection.open(collection.path) as other:
            refused(CollectionError, message, other.add, [Document("b", "east")])
        yield Document("c", "up")

    assert collection.add(source()).new == 2
    refused(RetrieverError, message, collection.build, "axes", WritingAxes(collection))
    assert collection.delete(["a", "c"]) == 2


def test_two_collections_written_from_inside_each_other_do_not_wait_forever(tmp_path):
    with Collection.create(tmp_path / "a") as a, Collection.create(tmp_path / "b") as b:
        both = threading.Barrier(2)

        def source(other):
            yield Document("x", "text")
            both.wait()
            refused(LockedError, "by another thread of this process", other.compact)
            both.wait()

        assert in_threads(lambda: a.add(source(b)), lambda: b.add(source(a))) == []
        assert (a.delete(["x"]), b.delete(["x"])) == (1, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_inside_a_write_neither_waits_for_it_nor_ends_it(collection):
    def check_locked():
        refused(LockedError, f"by process {os.getppid()} on", collection.compact)

    def source():
        yield Document("a", "north")
        check_forked(check_locked)
        assert json.loads((collection.path / "writer.json").read_text())["process"] == os.getpid()
        yield Document("b", "east")

    assert collection.add(source()).new == 2


def make_and_add(folder, number):
    with Collection.open_or_create(folder) as collection:
        while True:
            try:
                collection.add([Document(f"d{number}", "text")])
                return
            except LockedError:
                time.sleep(0.02)


def test_who_comes_second_to_create_a_collection_is_told_to_open_it(tmp_path):
    opening.create_catalog(tmp_path / "c" / "catalog.db", "null").close()
    says = "Another process has just created a collection in .*/c/. Open it.$"
    refused(CollectionError, says, opening.create_catalog, tmp_path / "c" / "catalog.db", "null")


def test_processes_that_create_the_same_collection_create_one(tmp_path):
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "c"
    makers = [context.Process(target=make_and_add, args=(folder, n)) for n in range(3)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0, 0, 0]
    with Collection.open(folder) as collection:
        assert sorted(d.doc_id for d in collection.documents()) == ["d0", "d1", "d2"]
        assert collection.verify().ok
