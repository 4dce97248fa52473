"""A collection in several processes: forked at any moment, or started fresh."""

import _sqlite3
import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
import time

import faiss
import numpy as np
import pytest

from indexes.errors import CollectionError, InputError
from retriever import Collection, Document, HashingEmbedder
from retriever.embedders import ContextualEmbedder, StaticEmbedder
from tests.support.fresh import ended, fork, printed_by, start_fork
from tests.support.models.families import WORDS, save
from tests.support.toy import Axes, build_axes, pairs, refused

# A child that waits forever is ended, and fails.
SECONDS = 60
QUERIES = [" ".join(WORDS[n : n + 3]) for n in range(12)]
STRUCTURES = {
    "graph": "HNSW8",
    "lists": "IVF4,Flat",
    "sq8": "SQ8",
    "pq": "PQ8x4",
    "refined": "IVF4,PQ8x4,Refine(SQ8)",
}
MODELS = ("static", "torch", "onnx")
INDEXES = ("flat", "half", *STRUCTURES, "bm25", "fused", "cascade", *MODELS)

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def documents():
    random = np.random.default_rng(0)
    return [Document(f"d{n}", " ".join(random.choice(WORDS, 6))) for n in range(200)]


def build_structures(collection):
    collection.build("flat", HashingEmbedder(32))
    collection.build("half", HashingEmbedder(32), dtype="float16")
    for name, factory in STRUCTURES.items():
        collection.build(name, vectors="flat", ann=factory)
    collection.build("bm25", lexical=True)
    collection.fuse("fused", ["half", "bm25"])
    collection.cascade("cascade", "bm25", "graph")


def build_models(collection, folder):
    table = np.random.default_rng(1).standard_normal((len(set(WORDS)), 8))
    lines = [f"{w} {' '.join(map(str, v))}" for w, v in zip(set(WORDS), table, strict=True)]
    (folder / "words.txt").write_text("\n".join(lines))
    collection.build("static", StaticEmbedder(folder / "words.txt"))
    bert = save("bert", folder / "bert")
    for runtime in ("torch", "onnx"):
        collection.build(runtime, ContextualEmbedder(bert, runtime=runtime, device="cpu"))


@pytest.fixture(scope="module")
def two_threads():
    """Threads that a child lacks, also on a machine with one core."""
    import torch

    before = faiss.omp_get_max_threads(), torch.get_num_threads()
    faiss.omp_set_num_threads(2)
    torch.set_num_threads(2)
    yield
    faiss.omp_set_num_threads(before[0])
    torch.set_num_threads(before[1])


@pytest.fixture(scope="module")
def library(two_threads, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forked")
    with Collection.create(folder / "library") as collection:
        collection.add(documents())
        build_structures(collection)
        build_models(collection, folder)
        yield collection


def answers(collection, index):
    """The hits of an index, asked in each way."""
    single = [pairs(collection.search(query, index=index)) for query in QUERIES[:2]]
    many = [pairs(hits) for hits in collection.search_many(QUERIES, index=index)]
    return single + many


def check_child(work):
    """Run a function in a fork of this process, in time; it must not raise."""

    def ended_in_time():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        work()

    assert fork(ended_in_time, SECONDS) == 0


def check_same(found, right):
    for some, wanted in zip(found, right, strict=True):
        assert [doc_id for doc_id, _ in some] == [doc_id for doc_id, _ in wanted]
        np.testing.assert_allclose([s for _, s in some], [s for _, s in wanted], atol=1e-5)


@pytest.mark.parametrize("index", INDEXES)
def test_a_forked_child_answers_from_each_index_like_its_parent(library, index):
    right = answers(library, index)
    check_child(lambda: check_same(answers(library, index), right))


def test_a_forked_child_opens_and_loads_everything_itself(library):
    right = {index: answers(library, index) for index in INDEXES}

    def work():
        with Collection.open(library.path) as own:
            for index in INDEXES:
                check_same(answers(own, index), right[index])

    check_child(work)


def test_a_forked_child_builds_each_kind_of_index(library, tmp_path):
    for index in INDEXES:
        answers(library, index)

    def work():
        with Collection.create(tmp_path / "own") as own:
            own.add(documents())
            build_structures(own)
            build_models(own, tmp_path)
            assert all(hits for index in INDEXES for hits in answers(own, index))

    check_child(work)


# The parent computes with FAISS and torch itself, on two threads, and has opened nothing of ours.
# It forks before it has imported Retriever, and after.
OWN_USE = """
import os, sys
import faiss, numpy, torch

def compute():
    faiss.omp_set_num_threads(2)
    torch.set_num_threads(2)
    graph = faiss.IndexHNSWFlat(16, 8)
    graph.add(numpy.random.default_rng(0).standard_normal((500, 16), numpy.float32))
    graph.search(numpy.zeros((100, 16), numpy.float32), 5)
    torch.ones(400, 400).softmax(-1).matmul(torch.ones(400, 400)).sum().item()

def ask():
    from retriever import Collection
    with Collection.open(sys.argv[1]) as library:
        for index in sys.argv[2:]:
            found = library.search_many(["north east"] * 30, index=index)
            print(len(found), library.search("east up", index=index)[0].doc_id, flush=True)

def fork_a_child():
    from tests.support.fresh import ended, fork, printed_by, start_fork
    assert fork(ask, 60) == 0

compute()
fork_a_child()
import retriever.embedders.contextual, indexes.store
compute()
fork_a_child()
"""


def test_a_child_of_a_process_that_computed_without_us_answers(library):
    names = ("graph", "lists", "half", "torch", "onnx")
    right = [f"30 {library.search('east up', index=name)[0].doc_id}" for name in names]
    assert printed_by(OWN_USE, library.path, *names).splitlines() == right * 2


def test_the_workers_of_a_preloaded_server_answer_at_once(library):
    """As those of `gunicorn --preload`: forked from a process that has the collection open."""
    right = {index: answers(library, index) for index in INDEXES}

    def serve():
        for index in INDEXES:
            check_same(answers(library, index), right[index])

    workers = [start_fork(serve, SECONDS) for _ in range(2)]
    assert [ended(worker) for worker in workers] == [0, 0]


def ask_there(collection, results):
    """What a worker finds in the collection that it was given."""
    with collection:
        found = pairs(collection.search("north", index="axes"))
        collection.add([Document("there", "up")])
    results.put(found)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_worker_is_given_a_collection_with_its_custom_embedder(tmp_path, monkeypatch, method):
    context = multiprocessing.get_context(method)
    monkeypatch.chdir(tmp_path)
    with Collection.create("library") as collection:
        build_axes(collection, a="north", b="east")
        right = pairs(collection.search("north", index="axes"))
        monkeypatch.chdir("/")
        results = context.Queue()
        worker = context.Process(target=ask_there, args=(collection, results))
        worker.start()
        assert results.get(timeout=SECONDS) == right
        worker.join(SECONDS)
        assert (worker.exitcode, len(collection)) == (0, 3)


def test_a_pickled_collection_is_opened_again_by_its_path(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        build_axes(collection, a="north", b="east")
        collection.build("words", HashingEmbedder(8))
        with pickle.loads(pickle.dumps(collection)) as again:
            assert again.path == collection.path
            assert again.index_names() == ["axes", "words"]
            for index in ("axes", "words"):
                hits = collection.search("north", index=index)
                assert pairs(again.search("north", index=index)) == pairs(hits)
        store = pickle.loads(pickle.dumps(collection._store))
        assert store.count() == 2
        store.close()


def test_a_custom_embedder_that_cannot_be_pickled_is_named(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("a", "north")])
        embedder = Axes()
        embedder.lock = threading.Lock()
        collection.build("axes", embedder)
        refused(InputError, "^axes cannot be pickled for another process", pickle.dumps, collection)


def test_a_fork_waits_until_no_thread_is_inside_sqlite(tmp_path):
    """A child would wait forever for a mutex that a thread of its parent held."""
    sqlite = ctypes.CDLL(_sqlite3.__file__)
    sqlite.sqlite3_mutex_alloc.restype = ctypes.c_void_p
    mutex = ctypes.c_void_p(sqlite.sqlite3_mutex_alloc(3))  # that of memory statistics
    Collection.create(tmp_path / "free").close()
    entered = threading.Event()

    def stay_inside():
        sqlite.sqlite3_mutex_enter(mutex)
        entered.set()
        time.sleep(0.2)
        sqlite.sqlite3_mutex_leave(mutex)

    thread = threading.Thread(target=stay_inside)
    thread.start()
    entered.wait()
    check_child(lambda: Collection.open(tmp_path / "free").add([Document("a", "north")]))
    thread.join()
    with Collection.open(tmp_path / "free") as free:
        assert len(free) == 1


def test_a_child_of_a_process_with_a_busy_thread_is_refused_its_collection_at_once(tmp_path):
    """SQLite would take the locks of that thread for the child's own, and wait for them."""
    with Collection.create(tmp_path / "free") as free:
        build_axes(free, a="north")
    stop, started = threading.Event(), threading.Event()
    with Collection.create(tmp_path / "busy") as busy:
        build_axes(busy, a="north")

        def keep_searching():
            while not stop.is_set():
                busy.search("north")
                started.set()

        def work():
            message = "was opened before this process was forked, and was in use"
            refused(CollectionError, message, busy.search, "north")
            refused(CollectionError, message, Collection.open, busy.path)
            with Collection.open(free.path) as other:
                other.add([Document("b", "east")])

        thread = threading.Thread(target=keep_searching)
        thread.start()
        started.wait()
        try:
            for _ in range(3):
                check_child(work)
        finally:
            stop.set()
            thread.join()
        check_child(lambda: busy.add([Document("b", "east")]))
        assert len(busy) == 2
