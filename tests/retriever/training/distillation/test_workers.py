"""A teacher that reads on workers: the same vectors, resumed by whoever comes next."""

import sys
from functools import partial

import numpy as np
import pytest

from indexes.pipeline.calls import mapped
from indexes.progress import ignore_progress
from retriever import ContextualEmbedder, HashingEmbedder, distill
from retriever.datasets.lee import lee
from retriever.indexing.workers import QueryEncoder, WorkerEmbedder
from retriever.training.distillation import teacher as reading
from retriever.training.distillation.teacher import Budget, encode_with_budget
from tests.support.models.families import save
from tests.support.toy import refused
from tests.support.workers import Elsewhere

TEXTS = [f"text {number} of many" for number in range(1, 1001)]
TEACHER = HashingEmbedder(16)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(reading, "WORKER_TEXTS", 100)


def by_workers(executor, embedder, folder):
    load = QueryEncoder(WorkerEmbedder.of(embedder, folder))
    return lambda lists, most: mapped(executor, load, lists, what="the texts", most=most)


class Stopping(Elsewhere):
    """Is stopped by its user before a task."""

    def __init__(self, before):
        super().__init__()
        self.before = before

    def run(self, setup, tasks, most):
        for result in super().run(setup, tasks, most):
            if len(self.ran) > self.before:
                raise KeyboardInterrupt
            yield result


def read(folder, executor, budget, texts=TEXTS, encode=TEACHER.encode_queries):
    workers = None if executor is None else by_workers(executor, TEACHER, folder)
    return encode_with_budget(folder, "texts", texts, encode, budget, ignore_progress, workers)


def test_workers_read_what_the_teacher_would(tmp_path):
    executor = Elsewhere()
    found = read(tmp_path, executor, Budget(texts=900), encode=None)
    assert found.texts == TEXTS[:900]
    assert np.array_equal(found.vectors, TEACHER.encode_queries(TEXTS[:900]))
    assert executor.ran == [f"part {n} of the texts" for n in range(1, 16)]  # 64 at a time


def test_a_reading_that_was_stopped_is_resumed_by_workers_or_without(tmp_path):
    refused(KeyboardInterrupt, None, read, tmp_path, Stopping(6), Budget(texts=900))
    saved = len(list(tmp_path.glob("texts-*.npy")))
    assert saved == 6
    executor = Elsewhere()
    refused(KeyboardInterrupt, None, read, tmp_path, Stopping(3), Budget(texts=900))
    assert len(list(tmp_path.glob("texts-*.npy"))) == saved + 3
    found = read(tmp_path, executor, Budget(texts=650))
    assert executor.ran == []  # fewer are left than workers are started for
    assert np.array_equal(found.vectors, TEACHER.encode_queries(TEXTS[:650]))


def test_workers_are_asked_for_no_more_when_the_seconds_are_over(tmp_path, monkeypatch):
    executor = Elsewhere()
    # Each task that was asked for takes a second.
    monkeypatch.setattr(reading, "clock", lambda: float(len(executor.ran)))
    found = read(tmp_path, executor, Budget(seconds=5, texts=900))
    assert len(executor.ran) == 5
    assert (len(found.texts), found.seconds) == (5 * 64, 5.0)


def test_a_small_reading_needs_no_workers(tmp_path):
    executor = Elsewhere()
    assert len(read(tmp_path, executor, Budget(texts=99)).texts) == 99
    assert executor.ran == []


@pytest.mark.parametrize("kind", ["hashing", "bert"])
def test_a_student_learns_the_same_from_workers(tmp_path, collection, monkeypatch, kind):
    executor = Elsewhere()
    module = sys.modules["retriever.training.distillation.distill"]
    monkeypatch.setattr(module, "executor_of", lambda workers: executor)
    embedder = HashingEmbedder(64)
    if kind == "bert":
        embedder = ContextualEmbedder(
            save("bert", tmp_path / "bert"), device="cpu", runtime="torch"
        )
    collection.add(lee().documents[:60])
    collection.build("teacher", embedder)
    call = partial(distill, collection, teacher="teacher", texts=300, build=False)
    here, there = call("here"), call("there", workers=2)
    assert any(task.endswith(f"that {embedder.name} reads") for task in executor.ran)
    tables = [
        (one.path / "0_StaticEmbedding/model.safetensors").read_bytes() for one in (here, there)
    ]
    assert there.cosine == pytest.approx(here.cosine, abs=1e-3)
    if kind == "hashing":  # whose vectors do not depend on what else is in the batch
        assert tables[0] == tables[1]


@pytest.mark.exhaustive
def test_processes_read_for_a_student(collection, monkeypatch):
    collection.add(lee().documents[:60])
    collection.build("teacher", HashingEmbedder(64))
    call = partial(distill, collection, teacher="teacher", texts=300, build=False)
    tables = [
        (found.path / "0_StaticEmbedding/model.safetensors").read_bytes()
        for found in (call("here"), call("there", workers=2))
    ]
    assert tables[0] == tables[1]
