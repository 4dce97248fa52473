"""Structures that workers fill: the same file as one that is filled here."""

import numpy as np
import pytest

import indexes.pipeline.structure_parts
import indexes.vectors.faiss_engine.parts
from indexes.errors import MismatchError
from indexes.pipeline.executors.processes import ProcessExecutor
from indexes.pipeline.structure_parts import PartLoader
from indexes.vectors.engines import FAISS
from retriever import Document
from tests.support.workers import Elsewhere, Gaussian, library

WORDS = [f"word{n}" for n in range(60)]
FACTORIES = (
    *("IVF8,Flat", "IVF8,SQ8", "IVF8_HNSW4,Flat", "IVF8,PQ16x4fsr", "IVF8,PQ16x4fs", "IVF8,PQ8x4"),
    *("PQ16x4fs", "PQ8x4", "SQ8", "PCA16,IVF4,PQ8x4fs", "OPQ8,IVF4,PQ8x4"),
)
# FAISS merges none of these.
GRAPHS = ("HNSW8", "PQ16x4fs,RFlat")


@pytest.fixture
def small(monkeypatch):
    """Let a part have some hundred rows, and FAISS be given 16 at once."""
    monkeypatch.setattr(indexes.pipeline.structure_parts, "LEAST_NUMBERS", 0)
    monkeypatch.setattr(indexes.pipeline.structure_parts, "PART_ROWS", 100)
    monkeypatch.setattr(indexes.vectors.faiss_engine.parts, "ADDED_BYTES", 16 * 4 * Gaussian.dim)


def documents(first, stop):
    random = np.random.default_rng(first)
    words = random.choice(WORDS, (stop - first, 6)).tolist()
    texts = [" ".join(some) for some in words]
    # Some are equal, so that they share a node.
    texts[5:60:11] = [texts[0]] * 5
    return [Document(f"d{first + n}", text) for n, text in enumerate(texts)]


@pytest.fixture
def corpus(tmp_path):
    """A collection with vectors in several files, of which some are deleted or of nothing."""
    with library(tmp_path / "library", documents(0, 500)) as collection:
        collection.build("flat", Gaussian(), ann="exact")
        for first in (500, 530, 900):
            collection.add(documents(first, first + 400))
            collection.delete([f"d{n}" for n in range(first, first + 20, 3)])
            collection.build("flat")
        yield collection


def built(collection, monkeypatch, factory, executor):
    """The file of a structure, and what it finds."""
    monkeypatch.setattr("retriever.building.executor_of", lambda workers: executor)
    workers = None if executor is None else 2
    collection.build("structure", vectors="flat", ann=factory, workers=workers)
    assert collection.verify().ok
    index = collection._store.index("structure")
    data = (collection.path / index.file).read_bytes()
    queries = [" ".join(WORDS[n : n + 4]) for n in range(20)]
    found = [
        [(hit.doc_id, hit.score) for hit in hits]
        for hits in collection.search_many(queries, index="structure", k=20)
    ]
    collection.drop("structure")
    return data, found


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_structure_is_the_same_to_the_last_byte(corpus, monkeypatch, small, factory):
    here = built(corpus, monkeypatch, factory, None)
    executor = Elsewhere()
    assert built(corpus, monkeypatch, factory, executor) == here
    assert len(executor.ran) > 5
    assert executor.ran[2] == "part 3 of the structure of 'structure'"


@pytest.mark.parametrize("factory", GRAPHS)
def test_a_structure_without_parts_is_filled_here(corpus, monkeypatch, small, factory):
    executor = Elsewhere()
    assert built(corpus, monkeypatch, factory, executor) == built(
        corpus, monkeypatch, factory, None
    )
    assert executor.ran == []


def test_small_ones_and_those_of_workers_on_this_machine_are_filled_here(
    corpus, monkeypatch, small
):
    here = built(corpus, monkeypatch, "IVF8,Flat", None)
    executor = Elsewhere()
    executor.is_elsewhere = False
    assert built(corpus, monkeypatch, "IVF8,Flat", executor) == here
    executor.is_elsewhere = True
    monkeypatch.setattr(indexes.pipeline.structure_parts, "LEAST_NUMBERS", 1 << 40)
    assert built(corpus, monkeypatch, "IVF8,Flat", executor) == here
    assert executor.ran == []


@pytest.mark.exhaustive
def test_processes_fill_the_same_structure(corpus, monkeypatch):
    monkeypatch.setattr(indexes.pipeline.structure_parts, "LEAST_NUMBERS", 0)
    monkeypatch.setattr(indexes.pipeline.structure_parts, "PART_ROWS", 300)
    monkeypatch.setattr(ProcessExecutor, "is_elsewhere", True)
    here = built(corpus, monkeypatch, "IVF8,PQ16x4fsr", None)
    assert built(corpus, monkeypatch, "IVF8,PQ16x4fsr", ProcessExecutor(2)) == here


def test_a_worker_with_another_version_of_faiss_refuses(tmp_path):
    load = PartLoader(tmp_path, None, b"", "FAISS 1.0.0")
    with pytest.raises(MismatchError, match=f"has {FAISS.version}, .* trained by FAISS 1.0.0"):
        load()
