"""What a collection on disk tells whoever asks: its documents, what is built, and how far it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from indexes.catalog.corpus import Corpus, FoundPassage
from indexes.catalog.database import Catalog
from indexes.catalog.kinds import kind_of
from indexes.catalog.records import EmbeddingRow, IndexRow, ShardRow
from indexes.catalog.registry import Registry, gaps
from indexes.document import Document, passage_text
from indexes.errors import DamageError
from indexes.neighbors import Matrix
from indexes.pipeline.ann_builder import live_rows
from indexes.pipeline.fitting import read_parameters
from indexes.search.searchers import SearcherCache
from indexes.search.snapshot import Snapshot
from indexes.storage.files import size_of
from indexes.vectors.blocks import Block, count_live, live
from indexes.vectors.engines import engine_of
from indexes.vectors.shards import open_shards

Answer = TypeVar("Answer")

CATALOG = "catalog.db"
# Of the files that count where the catalog names them.
FOLDERS = ("vectors", "ann", "lexical", "fitted")
ROWS = 4_096


@dataclass(frozen=True)
class Counts:
    """How far an embedding is: passages that it can find, and what it has not embedded yet."""

    rows: int
    missing_passages: int
    missing_documents: int


class Reader:
    """Answers from one collection; threads may share it, and it never waits for a writer."""

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self._catalog = catalog
        self._corpus = Corpus(catalog)
        self._registry = Registry(catalog, f"{folder}/")
        self._views = SearcherCache(catalog, self._registry, folder)
        self._snapshot = Snapshot(self._corpus, self._views)

    def close(self) -> None:
        """Close the catalog."""
        self._catalog.close()

    def read(self, question: Callable[[Snapshot], Answer]) -> Answer:
        """Return what `question` returns for one state of the collection.

        A writer may retire a file between the moment that a reader sees its name and the moment
        that it opens it. The question then runs again, on the state that there is now.
        """
        asked: int | None = None
        while True:
            try:
                with self._catalog.reading():
                    asked = self._catalog.generation()
                    return question(self._snapshot)
            except DamageError:
                now = self._catalog.generation()
                if now == asked:
                    raise
                # Where not even the snapshot came about, it is tried once more.
                asked = now

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One state of the collection for several questions."""
        with self._catalog.reading():
            yield self._snapshot

    def generation(self) -> int:
        """How many commits have changed what a search can see."""
        return self._catalog.generation()

    def count(self) -> int:
        """How many documents there are."""
        with self._catalog.reading():
            return self._corpus.count()

    def count_passages(self) -> int:
        """How many passages there are."""
        with self._catalog.reading():
            return self._corpus.count_all_passages()

    def split(self) -> Any:
        """How documents are cut into passages, as it was given to `create`."""
        with self._catalog.reading():
            return json.loads(self._corpus.split())

    def fields(self) -> list[tuple[str, ...]]:
        """The metadata fields that are indexed, as paths."""
        with self._catalog.reading():
            return list(self._corpus.fields())

    def document(self, doc_id: str) -> Document | None:
        """The document of that id, or None."""
        return self._corpus.document(doc_id)

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Those of some ids that no document has, in the order given."""
        return self._corpus.unknown_ids(doc_ids)

    def documents(self) -> Iterator[Document]:
        """Every document, in the order in which they came."""
        return self._corpus.documents()

    def documents_of(self, doc_ids: Sequence[str]) -> list[Document]:
        """The documents of some ids, in no order; ids that no document has are left out."""
        with self._catalog.reading():
            return list(self._corpus.documents_of(doc_ids))

    def content_checksum(self) -> str:
        """What tells two corpora apart: see `Corpus.checksum`."""
        with self._catalog.reading():
            return self._corpus.checksum()

    def index(self, name: str) -> IndexRow:
        """The index of that name, or an `UnknownNameError` that lists what there is."""
        with self._catalog.reading():
            return self._registry.index(name)

    def indexes(self) -> list[IndexRow]:
        """All indexes, oldest first."""
        with self._catalog.reading():
            return self._registry.indexes()

    def embedding(self, index: str) -> EmbeddingRow:
        """The embedding that an index searches; an `InputError` where it searches none."""
        with self._catalog.reading():
            return self._registry.embedding_of(self._registry.index(index))

    def fitted(self, index: str) -> tuple[EmbeddingRow, bytes | None]:
        """The embedding of an index, with what its embedder was fitted to, if anything.

        Raises:
            DamageError: the file of it is not what the catalog says.
        """

        def question(_: Snapshot) -> tuple[EmbeddingRow, bytes | None]:
            embedding = self.embedding(index)
            return embedding, read_parameters(self.folder, embedding, index)

        return self.read(question)

    def embedded(self, index: str, most: int) -> Iterator[tuple[list[str], Matrix]]:
        """Passages that an index has vectors of, with these: (texts, vectors (n, dim)), in order.

        At most `most` of them, evenly spread. One state of the collection is read to the end.

        Raises:
            DamageError: a file of the index is not what the catalog says.
        """
        with self._catalog.reading():
            embedding = self._registry.embedding_of(self._registry.index(index))
            deleted = self._corpus.tombstones()
            shards = self._registry.shards(embedding.number)
            blocks = open_shards(shards, embedding, self.folder)
            step = max(1, -(-count_live(blocks, deleted) // most))
            start = 0
            for block in blocks:
                yield from self._embedded(live(block, deleted, step, start))
                start = (start - count_live([block], deleted)) % step

    def _embedded(self, block: Block) -> Iterator[tuple[list[str], Matrix]]:
        for start in range(0, len(block.keys), ROWS):
            keys = block.keys[start : start + ROWS]
            found = self._corpus.found(keys.tolist())
            passages = [found[key] for key in keys.tolist()]
            vectors = np.asarray(block.vectors[start : start + ROWS], np.float32)
            yield [_text_of(passage) for passage in passages], vectors

    def is_refitting(self, embedding: EmbeddingRow) -> bool:
        """Whether `refit` was begun for an embedding, and stopped before it was done."""
        with self._catalog.reading():
            return bool(self._registry.begun(embedding.number))

    def shards(self, embedding: EmbeddingRow) -> list[ShardRow]:
        """The shards of an embedding, in key order."""
        with self._catalog.reading():
            return self._registry.shards(embedding.number)

    def counts(self, embedding: EmbeddingRow) -> Counts:
        """How far an embedding is."""
        with self._catalog.reading():
            self._corpus.check_passages()
            shards = self._registry.shards(embedding.number)
            left = gaps(shards, self._corpus.stop_key())
            return Counts(
                rows=live_rows(self._corpus, shards),
                missing_passages=sum(self._corpus.count_passages(*gap) for gap in left),
                missing_documents=self._corpus.count_documents(left),
            )

    def unread(self, index: IndexRow) -> tuple[int, int]:
        """How many passages, and how many documents, a BM25 index has not read yet."""
        with self._catalog.reading():
            self._corpus.check_passages()
            left = [(index.stop_key, self._corpus.stop_key())]
            return self._corpus.count_passages(*left[0]), self._corpus.count_documents(left)

    def effort(self, index: IndexRow, k: int) -> dict[str, float]:
        """The search parameters that an index gets for `k` neighbours, by FAISS's names."""
        if not kind_of(index.kind).has_structure:
            return {}
        dim = self._registry.embedding_of(index).dim
        return engine_of(index.definition).parameters(index.definition, dim, k)

    def size(self) -> int:
        """Bytes of all files that the collection keeps."""
        kept = [path for folder in FOLDERS for path in (self.folder / folder).rglob("*.*")]
        return self.catalog_size() + sum(map(size_of, kept))

    def catalog_size(self) -> int:
        """Bytes of the catalog, which holds every document's text."""
        return sum(map(size_of, self.folder.glob(f"{CATALOG}*")))


def _text_of(passage: FoundPassage) -> str:
    """What was embedded of a passage."""
    document = passage.document
    return passage_text(document.title, document.text, passage.start, passage.end)
