"""Embedders and collections for builds with workers, in modules that workers import."""

import os
import pickle
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

import retriever.indexing.workers
from indexes.errors import InputError
from indexes.pipeline.executors.inline import InlineExecutor
from retriever import Collection, Document
from retriever.embedders.base import unit
from tests.support.toy import Axes

WORDS = ("north", "east", "up")


class Deadly(Axes):
    """Kills its process at the text `die`, until a file `name` in `folder` says that it has."""

    def __init__(self, folder, times=1, **rest):
        super().__init__("deadly", **rest)
        self.folder, self.times = Path(folder), times

    def encode_documents(self, texts):
        if any(text.startswith("die") for text in texts):
            died = list(self.folder.glob("died-*"))
            if len(died) < self.times:
                (self.folder / f"died-{os.getpid()}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.encode_queries(texts)


class Waiting(Axes):
    """Says so at the text `wait`, by a file in `folder`, and waits until it is gone."""

    def __init__(self, folder, **rest):
        super().__init__("waiting", **rest)
        self.folder = Path(folder)

    def encode_documents(self, texts):
        if any(text.startswith("wait") for text in texts):
            flag = self.folder / f"waits-{os.getpid()}"
            flag.touch()
            while flag.exists():
                time.sleep(0.05)
        return self.encode_queries(texts)


class Refusing(Axes):
    """Cannot encode a text that begins with `bad`."""

    def encode_documents(self, texts):
        if any(text.startswith("bad") for text in texts):
            raise ValueError("a bad text")
        return self.encode_queries(texts)


class Absent(Axes):
    """Cannot be loaded in another process than the one that made it."""

    def __reduce__(self):
        return _only_in, (os.getpid(),)


def _only_in(process):
    if os.getpid() != process:
        raise ModuleNotFoundError("No module named 'theirs'")
    return Absent()


class Gaussian:
    """Sums one normal vector for each word: no two texts score the same, unless they are equal."""

    name, dim, fingerprint = "gaussian", 32, '{"kind":"gaussian"}'

    def encode_documents(self, texts):
        rows = [
            sum(
                (
                    np.random.default_rng(crc32(word.encode())).standard_normal(self.dim)
                    for word in text.split()
                ),
                np.zeros(self.dim),
            )
            for text in texts
        ]
        return unit(np.array(rows, np.float32).reshape(len(texts), self.dim))

    encode_queries = encode_documents


def compass(count, **others):
    """Documents with directions that differ; `others` are texts by number."""
    return [
        Document(f"d{n}", others.get(f"d{n}") or "north " * (n % 7) + "east " * (n % 5) + "up")
        for n in range(count)
    ]


def small_tasks(monkeypatch, passages=8):
    """Let tasks have few passages."""
    monkeypatch.setattr(retriever.indexing.workers, "PASSAGES", passages)


def files_of(folder):
    """The bytes of all files of vectors, in the order of their names."""
    return [path.read_bytes() for path in sorted(folder.rglob("vectors/*/*"))]


def rows_of(collection, index):
    """Keys and vectors of an index, as they are stored."""
    with collection._store.catalog.reading():
        embedding = collection._store.embedding(index)
        from indexes.vectors.shards import open_shards

        shards = collection._store.shards(embedding)
        blocks = open_shards(shards, embedding, collection.path)
        keys = np.concatenate([block.keys for block in blocks])
        return keys, np.concatenate([np.asarray(block.vectors) for block in blocks])


def library(path, documents):
    """A new collection with documents."""
    collection = Collection.create(path)
    collection.add(documents)
    return collection


class Elsewhere(InlineExecutor):
    """Runs tasks here as if it were elsewhere, in no order; keeps what they were."""

    is_elsewhere = True

    def __init__(self):
        self.ran = []

    def run(self, setup, tasks, most):
        worker, late = pickle.loads(pickle.dumps(setup))(), []
        for task in tasks:
            self.ran.append(str(task))
            late.append(pickle.loads(pickle.dumps(worker.run(pickle.loads(pickle.dumps(task))))))
            if len(late) == 3:  # in another order than they were asked for
                yield from reversed(late)
                late = []
        yield from reversed(late)


@dataclass
class Doubling:
    """Loads what doubles a number; at 5, `times` processes die of it, and 7 is refused."""

    folder: Path
    times: int = 0

    def __call__(self):
        return self.double

    def double(self, number):
        if number == 5 and len(list(self.folder.glob("died-*"))) < self.times:
            (self.folder / f"died-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 7:
            raise InputError("7 cannot be doubled.")
        return 2 * number
