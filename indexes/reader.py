"""The reading side of a collection: its documents, its indexes, and their state."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from indexes.catalog.corpus import Corpus
from indexes.catalog.filtering import check_passages, indexed_fields
from indexes.catalog.images import FOLDER as IMAGES
from indexes.catalog.records import EmbeddingRow, IndexRow, ShardRow, kind_of, read_parameters
from indexes.catalog.registry import Registry, gaps
from indexes.catalog.sqlite.commits import noted_commit
from indexes.catalog.sqlite.database import Catalog
from indexes.document import Document
from indexes.errors import DamageError, check_text
from indexes.neighbors import Matrix, validate_k
from indexes.search.recent import RecentPassages
from indexes.search.searchers import SearcherCache
from indexes.search.snapshot import Snapshot
from indexes.storage.files import size_of
from indexes.vectors.blocks import Block, count_live, live
from indexes.vectors.engines import engine_of, remote_engine_of
from indexes.vectors.faiss_engine.kernels import survive_forks
from indexes.vectors.remote.index import FilterSupport, filter_support
from indexes.vectors.remote.index import read as read_remote
from indexes.vectors.shards import keys_of, live_rows, open_shards, tail_of

Answer = TypeVar("Answer")

CATALOG = "catalog.db"
# Folders of the files that count if the catalog names them.
FOLDERS = ("vectors", "ann", "lexical", "fitted", IMAGES)
ROWS = 4_096


@dataclass(frozen=True)
class Counts:
    """Progress of an embedding: passages that it can find, and what it has not embedded yet.

    Of the missing documents, `stale_documents` answer by an earlier text. Of the passages that are
    not missing, `images` are images; `only_images` of these are all that their document has.
    """

    rows: int
    missing_passages: int
    missing_documents: int
    stale_documents: int
    images: int = 0
    only_images: int = 0


class Reader:
    """One collection, for reading; threads may share it, and it never waits for a writer.

    Inside `catalog.reading()`, everything read from `corpus` and `registry` is of one state. A file
    that is not what the catalog says raises a DamageError.
    """

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        survive_forks()
        self.folder = folder
        self.catalog = catalog
        self.corpus = Corpus(catalog)
        self.registry = Registry(catalog, f"{folder}/")
        self._searchers = SearcherCache(catalog, self.registry, folder)
        self._recent = RecentPassages(catalog, self.corpus)
        self._snapshot: Snapshot | None = None

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()

    @cached_property
    def has_lost_commits(self) -> bool:
        """Whether later commits are noted than the catalog has, as in a copy without its log.

        Where the note was not copied either, only the files of those commits would tell, which
        `verify` looks for.
        """
        noted = noted_commit(self.catalog.path)  # before the state, which others may change
        with self.catalog.reading():
            return noted > self.catalog.generation()

    def read(self, question: Callable[[Snapshot], Answer]) -> Answer:
        """Return what a function returns for one state of the collection.

        The function is called again, for the new state, where a writer has removed a file between
        the reading of its name and its opening, or has committed between the reading of the
        generation and the function's first statement. If it finds all in memory, there is none.
        """
        asked: int | None = None
        while True:
            try:
                with self.catalog.reading(lazily=True):
                    asked = self.catalog.generation()
                    return question(self._snapshot_at(asked))
            except DamageError:
                now = self.catalog.generation()
                if now == asked:
                    raise
                # If not even the generation could be read, it is tried once more.
                asked = now

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Yield a snapshot: everything that is read from it is of one state of the collection."""
        with self.catalog.reading():
            yield self._snapshot_at(self.catalog.generation())

    def _snapshot_at(self, generation: int) -> Snapshot:
        """Return the snapshot of the running `catalog.reading()`; the last one if it is of that."""
        last = self._snapshot
        if last is None or last.generation != generation:
            last = Snapshot(self.corpus, self._searchers, self._recent, generation)
            self._snapshot = last
        return last

    def count(self) -> int:
        """Return the number of documents."""
        with self.catalog.reading():
            return self.corpus.count()

    def count_passages(self) -> int:
        """Return the number of passages."""
        with self.catalog.reading():
            return self.corpus.count_all_passages()

    def count_images(self) -> tuple[int, int]:
        """Return how many documents have an image, and the bytes of the images copied here."""
        with self.catalog.reading():
            count, copies = self.corpus.images.count(), self.corpus.images.copies()
        return count, sum(size_of(self.folder / path) for path in copies)

    def split(self) -> Any:
        """Return how documents are split into passages, as given to `create`."""
        with self.catalog.reading():
            return json.loads(self.corpus.split())

    def fields(self) -> list[tuple[str, ...]]:
        """Return the indexed metadata fields, as paths."""
        with self.catalog.reading():
            return list(indexed_fields(self.catalog))

    def documents_of(self, doc_ids: Sequence[str]) -> list[Document]:
        """Return the documents of some ids, in no order; unknown ids are left out."""
        with self.catalog.reading():
            return list(self.corpus.documents_of(doc_ids))

    def content_checksum(self) -> str:
        """Return a checksum that identifies the corpus; see `Corpus.checksum`."""
        with self.catalog.reading():
            return self.corpus.checksum()

    def index(self, name: str) -> IndexRow:
        """Return the index of that name; raise an `UnknownNameError` that lists the others."""
        check_text("The name of an index", name)
        with self.catalog.reading():
            return self.registry.index(name)

    def indexes(self) -> list[IndexRow]:
        """Return all indexes, oldest first."""
        with self.catalog.reading():
            return self.registry.indexes()

    def embedding(self, index: str) -> EmbeddingRow:
        """Return the embedding that an index searches; raise an `InputError` if there is none."""
        with self.catalog.reading():
            return self.registry.embedding_of(self.registry.index(index))

    def fitted(self, index: str) -> tuple[EmbeddingRow, bytes | None]:
        """Return the embedding of an index, and what its embedder was fitted to, if anything."""

        def question(_: Snapshot) -> tuple[EmbeddingRow, bytes | None]:
            embedding = self.embedding(index)
            return embedding, read_parameters(self.folder, embedding, index)

        return self.read(question)

    def embedded(self, index: str, most: int) -> Iterator[tuple[list[str], Matrix]]:
        """Yield (texts, vectors (n, dim)) of texts that an index has vectors of, in order.

        At most `most` of them, evenly spread. All are read from one state of the collection.
        """
        most = validate_k(most, "most")
        with self.catalog.reading():
            embedding = self.registry.embedding_of(self.registry.index(index))
            deleted = self.corpus.tombstones()
            shards = self.registry.shards(embedding.number)
            blocks = open_shards(shards, embedding, self.folder)
            step = max(1, -(-count_live(blocks, deleted) // most))
            start = 0
            for block in blocks:
                yield from self._embedded(live(block, deleted, step, start))
                start = (start - count_live([block], deleted)) % step

    def _embedded(self, block: Block) -> Iterator[tuple[list[str], Matrix]]:
        for start in range(0, len(block.keys), ROWS):
            keys = block.keys[start : start + ROWS]
            found = self.corpus.found(keys.tolist())
            texts = [found[key].text for key in keys.tolist()]
            of_text = [row for row, text in enumerate(texts) if text is not None]
            vectors = np.asarray(block.vectors[start : start + ROWS], np.float32)
            yield [text for text in texts if text is not None], vectors[of_text]

    def is_refitting(self, embedding: EmbeddingRow) -> bool:
        """Return whether an embedding has an unfinished `refit`."""
        with self.catalog.reading():
            return bool(self.registry.unfinished_refits(embedding.number))

    def shards(self, embedding: EmbeddingRow) -> list[ShardRow]:
        """Return the shards of an embedding, in key order."""
        with self.catalog.reading():
            return self.registry.shards(embedding.number)

    def counts(self, embedding: EmbeddingRow) -> Counts:
        """Return the progress of an embedding."""
        with self.catalog.reading():
            check_passages(self.catalog)
            shards = self.registry.shards(embedding.number)
            left = gaps(shards, self.corpus.stop_key())
            stale = self.corpus.stale.answering(embedding.number, left)
            return Counts(
                rows=live_rows(shards, self.corpus.tombstones()),
                missing_passages=sum(self.corpus.count_passages(*gap) for gap in left),
                missing_documents=self.corpus.count_documents(left),
                stale_documents=stale.count_in(map(keys_of, shards)),
                **self._images_outside(left),
            )

    def _images_outside(self, gaps: Sequence[tuple[int, int]]) -> dict[str, int]:
        """Return the numbers of images of `Counts`, whose keys are in none of some intervals."""
        if not self.corpus.images.exist():
            return {}
        sql = """
            SELECT COUNT(*), COALESCE(SUM(NOT EXISTS (
                SELECT 1 FROM passages AS text WHERE text.document = image.document AND start >= 0
            )), 0) FROM passages AS image WHERE start < 0 AND NOT EXISTS (
                SELECT 1 FROM json_each(?) AS gap WHERE key >= json_extract(gap.value, '$[0]')
                AND key < json_extract(gap.value, '$[1]')
            )
        """
        images, only = self.catalog.rows(sql, [json.dumps(gaps)])[0]
        return {"images": images, "only_images": only}

    def unread(self, index: IndexRow) -> Counts:
        """Return the progress of a BM25 index."""
        with self.catalog.reading():
            check_passages(self.catalog)
            left = [(index.stop_key, self.corpus.stop_key())]
            return Counts(
                rows=self.corpus.count_texts(1, index.stop_key),
                missing_passages=self.corpus.count_texts(*left[0]),
                missing_documents=self.corpus.count_documents(left),
                stale_documents=self.corpus.stale.answering(index.holder, left).count,
                **self._images_outside(left),
            )

    def tail(self, index: IndexRow) -> int:
        """Return how many live vectors are searched exactly next to the structure of an index."""
        if index.embedding is None:
            return 0
        with self.catalog.reading():
            shards = self.registry.shards(index.embedding)
            return live_rows(tail_of(index, shards), self.corpus.tombstones())

    def remote_filters(self, index: IndexRow) -> FilterSupport | None:
        """Return which filters the server of an index evaluates; None if it has none, or none yet.

        Nothing is asked of the server; a damaged file says nothing, either.
        """
        if index.file is None or remote_engine_of(index.definition) is None:
            return None
        with contextlib.suppress(DamageError), self.catalog.reading():
            reference = read_remote(self.folder / index.file).reference
            return filter_support(reference, self.corpus.content())
        return None

    def effort(self, index: IndexRow, k: int) -> dict[str, float]:
        """Return the search parameters of an index for `k` neighbors, by the engine's names."""
        if not kind_of(index.kind).has_structure:
            return {}
        dim = self.registry.embedding_of(index).dim
        return engine_of(index.definition).parameters(index.definition, dim, k)

    def size(self) -> int:
        """Return the bytes of all files of the collection."""
        kept = [path for folder in FOLDERS for path in (self.folder / folder).rglob("*.*")]
        return self.catalog_size() + sum(map(size_of, kept))

    def catalog_size(self) -> int:
        """Return the bytes of the catalog, which holds every document's text."""
        return sum(map(size_of, self.folder.glob(f"{CATALOG}*")))
