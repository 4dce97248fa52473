"""Builds with workers: the same vectors for every executor, whoever dies on the way."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from indexes.errors import CollectionError, FailedTextsError, InputError, WorkerError
from indexes.vectors.sidecars import sidecars
from retriever import Collection, HashingEmbedder
from retriever.indexing.workers import executor_of
from tests.support.toy import Axes
from tests.support.workers import (
    Deadly,
    Refusing,
    compass,
    files_of,
    library,
    rows_of,
    small_tasks,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    small_tasks(monkeypatch)


def built(path, documents, embedder, workers, name="vectors"):
    with library(path, documents) as collection:
        collection.build(name, embedder, workers=workers)
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
    return files_of(path)


@pytest.mark.exhaustive
def test_every_number_of_workers_writes_the_same_files(tmp_path):
    documents = compass(100, d5="!?")
    expected = built(tmp_path / "plain", documents, HashingEmbedder(16), None)
    assert len(expected) == 1
    for workers in (1, 2):
        found = built(tmp_path / str(workers), documents, HashingEmbedder(16), workers)
        assert found == expected


def test_half_precision_and_sparse_vectors_are_the_same_too(tmp_path):
    from tests.support.toy import Terms

    documents = compass(30)
    for name, embedder, dtype in (
        ("half", HashingEmbedder(16), "float16"),
        ("terms", Terms(), None),
    ):
        found = []
        for workers in (None, 1):
            with library(tmp_path / f"{name}-{workers}", documents) as collection:
                collection.build("vectors", embedder, dtype=dtype, workers=workers)
                found.append(files_of(collection.path))
        assert found[0] == found[1]


def test_documents_that_are_added_later_are_embedded_by_workers_too(tmp_path):
    with library(tmp_path / "library", compass(20)) as collection:
        collection.build("vectors", HashingEmbedder(16), workers=1)
        collection.add(compass(50))
        report = collection.build("vectors", workers=1)
        assert (report.embedded, report.already) == (30, 20)
        collection.build("again", HashingEmbedder(16))
        one, other = rows_of(collection, "vectors"), rows_of(collection, "again")
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])


@pytest.mark.exhaustive
def test_a_killed_worker_is_replaced_and_nothing_is_lost(tmp_path):
    documents = compass(60, d20="die east")
    embedder = Deadly(tmp_path)
    found = built(tmp_path / "killed", documents, embedder, 2)
    assert len(list(tmp_path.glob("died-*"))) == 1
    assert found == built(tmp_path / "plain", documents, Axes(), None)


@pytest.mark.exhaustive
def test_a_task_that_kills_every_worker_ends_the_build_and_keeps_the_rest(tmp_path):
    embedder = Deadly(tmp_path, times=99)
    with library(tmp_path / "library", compass(60, d50="die east")) as collection:
        with pytest.raises(WorkerError, match="3 workers have died of the passages .*SIGKILL"):
            collection.build("vectors", embedder, workers=2)
        assert len(list(tmp_path.glob("died-*"))) == 3
        assert collection.verify().ok
        done = len(rows_of(collection, "vectors")[0])
        assert done >= 40
        embedder.times = 0
        report = collection.build("vectors", embedder, workers=2)
        # A task that was running when the other died may have left its shard.
        assert report.embedded <= 60 - done
        assert len(rows_of(collection, "vectors")[0]) == 60


def test_texts_that_fail_are_named_and_the_others_embedded(tmp_path):
    documents = compass(40, d3="bad", d17="bad", d39="bad")
    with library(tmp_path / "library", documents) as collection:
        with pytest.raises(FailedTextsError) as raised:
            collection.build("vectors", Refusing(), workers=1)
        assert [one.doc_id for one in raised.value.failed] == ["d3", "d17", "d39"]
        assert raised.value.report.embedded == 37
        assert len(rows_of(collection, "vectors")[0]) == 37


def test_an_embedder_that_encodes_nothing_any_more_ends_the_build(tmp_path):
    documents = compass(40, **{f"d{n}": "bad" for n in range(24, 40)})
    with library(tmp_path / "library", documents) as collection:
        with pytest.raises(FailedTextsError) as raised:
            collection.build("vectors", Refusing(), workers=1)
        assert len(raised.value.failed) == 16
    broken = compass(40, **{f"d{n}": "bad" for n in range(40)})
    with library(tmp_path / "broken", broken) as collection:
        with pytest.raises(ValueError, match="a bad text"):
            collection.build("vectors", Refusing(), workers=1)
        assert collection.index_names() == []


CHILD = """
import sys
from tests.support.workers import *
import retriever.indexing.workers
if __name__ == "__main__":
    retriever.indexing.workers.PASSAGES = 8
    with Collection.open(sys.argv[1]) as collection:
        collection.build("vectors", Waiting(sys.argv[2]), workers=sys.argv[3])
"""


def start(tmp_path, path, workers):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(path), str(tmp_path), workers]
    return subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL)


def wait_for(question, seconds=120):
    until = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def finish(tmp_path):
    """Let those that wait continue, and wait until no worker writes any more."""
    for flag in tmp_path.glob("waits-*"):
        process = int(flag.name.partition("-")[2])
        flag.unlink()
        wait_for(lambda process=process: not is_running(process))


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.exhaustive
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
def test_what_workers_finish_after_their_driver_was_killed_is_adopted(tmp_path):
    documents = compass(60, d0="wait north", d30="wait up")
    path = tmp_path / "library"
    library(path, documents).close()
    child = start(tmp_path, path, "2")
    wait_for(lambda: len(list(tmp_path.glob("waits-*"))) == 2)
    child.kill()
    child.wait()
    with Collection.open(path) as collection:
        before = sum(shard.rows for shard in collection._store.shards(embedding_of(collection)))
        finish(tmp_path)
        # They wait for the next build: nobody else sweeps them, or takes them for damage.
        collection.delete([])
        assert collection.verify().leftovers == ()
        waiting = sum(shard.rows for _, shard, _ in sidecars(path))
        assert waiting >= 16
        report = collection.build("vectors", Axes("waiting"), workers=2)
        assert report.embedded == 60 - before - waiting
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
    plain = built(tmp_path / "plain", documents, Axes(), None)
    assert files_of(path) == plain


def embedding_of(collection):
    return collection._store.embedding("vectors")


def finished(path, documents, monkeypatch):
    """A collection with shards that no commit names: the driver died before each commit."""
    from indexes.pipeline.distributed import DistributedJob

    def die(self):
        raise KeyboardInterrupt

    with library(path, documents) as collection:
        collection.build("vectors", Axes())
        collection.add(compass(40))
        with monkeypatch.context() as patched:
            patched.setattr(DistributedJob, "_write", die)
            with pytest.raises(KeyboardInterrupt):
                collection.build("vectors", workers=1)
    return sorted(path.rglob("vectors/*/*.json"))


def test_a_finished_shard_is_adopted_by_a_plain_build_too(tmp_path, monkeypatch):
    path = tmp_path / "library"
    left = finished(path, compass(16), monkeypatch)
    assert len(left) >= 1
    with Collection.open(path) as collection:
        collection.use("vectors", Axes())
        embedded = collection.build("vectors").embedded
        assert embedded == 24 - 8 * len(left)
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
        assert len(rows_of(collection, "vectors")[0]) == 40


@pytest.mark.parametrize("damage", ["file", "sidecar", "moved", "missing"])
def test_a_damaged_finished_shard_is_not_adopted(tmp_path, monkeypatch, damage):
    path = tmp_path / "library"
    sidecar = finished(path, compass(16), monkeypatch)[0]
    file = next(sidecar.parent.glob(f"{sidecar.stem}.npy"))
    if damage == "file":
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    elif damage == "missing":
        file.unlink()
    else:
        content = json.loads(sidecar.read_bytes())
        content["shard"][2 if damage == "moved" else 4] += 1
        sidecar.write_text(json.dumps(content))
    with Collection.open(path) as collection:
        collection.use("vectors", Axes())
        collection.build("vectors")
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
        found = rows_of(collection, "vectors")
        collection.build("again", Axes())
        assert np.array_equal(found[1], rows_of(collection, "again")[1])


def test_finished_shards_of_passages_that_were_forgotten_are_not_adopted(tmp_path, monkeypatch):
    path = tmp_path / "library"
    finished(path, compass(16), monkeypatch)
    with Collection.open(path) as collection:
        collection.use("vectors", Axes())
        collection.delete(["d20"])
        collection.compact()
        collection.build("vectors")
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
        assert len(rows_of(collection, "vectors")[0]) == 39


def test_a_model_that_differs_on_a_worker_is_refused(tmp_path):
    from tests.support import workers

    class Changing(workers.Axes):
        pass

    with library(tmp_path / "library", compass(10)) as collection:
        with pytest.raises(InputError, match="cannot be pickled"):
            collection.build("vectors", Changing(), workers=2)
        assert collection.index_names() == []


@pytest.mark.parametrize("wrong", [0, -1, True, "two", "", "4:5", "4:", "rays", "ray:", "\u0662"])
def test_workers_that_are_none_are_refused(wrong):
    with pytest.raises(InputError, match="expected a number of processes"):
        executor_of(wrong)


def test_workers_are_refused_for_bm25(tmp_path):
    with library(tmp_path / "library", compass(5)) as collection:
        with pytest.raises(InputError, match="workers would not speed up: leave --workers"):
            collection.build("vectors", workers=2, lexical=True)


def test_a_folder_that_workers_do_not_share_is_noticed(tmp_path):
    from dataclasses import replace

    from indexes.pipeline.distributed import check_shared

    with library(tmp_path / "library", compass(5)) as collection:
        collection.build("vectors", Axes())
        shard = collection._store.shards(embedding_of(collection))[0]
        check_shared(collection.path, shard)
        with pytest.raises(CollectionError, match="share it with all machines"):
            check_shared(collection.path, replace(shard, file="vectors/axes/elsewhere.npy"))


@pytest.mark.model
def test_contextual_vectors_are_the_same_to_the_last_bit_with_as_many_threads(
    tmp_path, monkeypatch
):
    from retriever import ContextualEmbedder

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(ContextualEmbedder, "task_passages", 16)
    documents = compass(40)
    with library(tmp_path / "library", documents) as collection:
        minilm = ContextualEmbedder("all-MiniLM-L6-v2", device="cpu", runtime="torch")
        for name, workers in (("plain", None), ("one", 1), ("two", 2)):
            collection.build(name, minilm, workers=workers)
        plain, one, two = (rows_of(collection, name)[1] for name in ("plain", "one", "two"))
        assert one.tobytes() == two.tobytes()
        # A plain build reads other texts at a time, which pads them to another length.
        assert np.abs(one - plain).max() < 2e-7
        for query in ("north", "up and east", "the way north"):
            ids = [
                [hit.doc_id for hit in collection.search(query, index=name, k=40)]
                for name in ("plain", "two")
            ]
            assert ids[0] == ids[1]
