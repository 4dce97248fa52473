"""Fits by workers: the same parameters to the last bit, and the vectors with them."""

import json

import numpy as np
import pytest

import retriever.indexing.workers
from retriever import Document, StaticEmbedder
from retriever.embedders.static import corpus_counts
from tests.support.workers import Elsewhere, files_of, library

WORDS = [f"word{n}" for n in range(40)]
OPTIONS = (
    {"weighting": "idf"},
    {"weighting": "sif"},
    {"weighting": "usif"},
    {"weighting": "idf", "all_but_top": 2, "rank_floor": True},
    {"weighting": "auto"},
)


@pytest.fixture
def vectors(tmp_path):
    """A file of word vectors."""
    random = np.random.default_rng(3)
    path = tmp_path / "words.txt"
    rows = [f"{word} {' '.join(map(str, random.standard_normal(8)))}\n" for word in WORDS]
    path.write_text("".join(rows))
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let tasks be small, and a sample have few of the texts."""
    monkeypatch.setattr(retriever.indexing.workers, "FITTED_PASSAGES", 0)
    monkeypatch.setattr(retriever.indexing.workers, "PASSAGES", 64)
    monkeypatch.setattr(corpus_counts, "BATCH_CHARACTERS", 2_000)
    monkeypatch.setattr(corpus_counts, "SAMPLED_TEXTS", 50)


def documents(first, stop):
    random = np.random.default_rng(first)
    ranks = np.minimum(random.geometric(0.1, (stop - first, 12)), 50) - 1
    return [
        # Some words are not in the vocabulary.
        Document(f"d{first + n}", ". ".join(f"word{rank} word{rank // 2}" for rank in some))
        for n, some in enumerate(ranks.tolist())
    ]


def fitted(collection, index):
    """The parameters that an embedder was fitted to."""
    file = collection._store.embedding(index).fitted.file
    return (collection.path / file).read_bytes() if file else None


def state_of(collection, index):
    return fitted(collection, index), files_of(collection.path), collection.info().indexes[0].rows


def use(monkeypatch, executor):
    monkeypatch.setattr("retriever.building.executor_of", lambda workers: executor)


@pytest.mark.parametrize("options", OPTIONS, ids=json.dumps)
def test_the_fit_is_the_same_to_the_last_bit(tmp_path, monkeypatch, vectors, options):
    executor, found = Elsewhere(), []
    use(monkeypatch, executor)
    for workers in (None, 2):
        with library(tmp_path / f"library-{workers}", documents(0, 300)) as collection:
            collection.build("words", StaticEmbedder(vectors, **options), workers=workers)
            collection.add(documents(300, 500))
            collection.build("words", refit=True, workers=workers)
            found.append(state_of(collection, "words"))
            assert collection.verify().ok
    assert found[0][0] is not None
    assert found[0] == found[1]
    counted = [task for task in executor.ran if task.endswith("texts that words is fitted to")]
    assert len(counted) > 20
    assert counted[1].startswith("part 2 of")
    assert any(task.startswith("the passages with keys") for task in executor.ran)


def test_a_small_corpus_is_read_here(tmp_path, monkeypatch, vectors):
    executor = Elsewhere()
    use(monkeypatch, executor)
    monkeypatch.setattr(retriever.indexing.workers, "FITTED_PASSAGES", 301)
    with library(tmp_path / "library", documents(0, 300)) as collection:
        collection.build("words", StaticEmbedder(vectors, weighting="idf"), workers=2)
    assert not [task for task in executor.ran if "fitted" in task]


@pytest.mark.exhaustive
def test_processes_read_parts_of_a_corpus_for_a_fit(tmp_path, vectors):
    found = []
    for workers in (None, 2):
        with library(tmp_path / f"library-{workers}", documents(0, 300)) as collection:
            collection.build("words", StaticEmbedder(vectors, weighting="sif"), workers=workers)
            found.append(state_of(collection, "words"))
    assert found[0] == found[1]
