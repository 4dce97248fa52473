"""One folder that holds a corpus, its vectors and its indexes: the front door of this room."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from indexes.ann import check_factory, default_effort
from indexes.builder import Builder, Encode, Progress, planned
from indexes.catalog import UNFINISHED, Catalog
from indexes.corpus import Added, Corpus, FoundPassage, Intake
from indexes.documents import Document
from indexes.errors import (
    BadRecord,
    BadRecordsError,
    CollectionError,
    DamageError,
    InputError,
)
from indexes.files import remove_file, writer_lock
from indexes.neighbours import Matrix, Neighbours
from indexes.registry import EmbeddingRow, IndexRow, Registry, ShardRow
from indexes.views import View, Views, living_rows, missing_passages

__all__ = ["Snapshot", "Store", "is_free"]

Answer = TypeVar("Answer")

CATALOG = "catalog.db"
FOLDERS = ("vectors", "ann")
ADD_BATCH = 1_000
KEPT_BAD_RECORDS = 1_000
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Snapshot:
    """One state of a collection, unchanged while it is held, whatever a writer commits."""

    _corpus: Corpus
    _views: Views

    def view(self, index: str) -> View:
        """An index, ready to search; see `Views.of` for errors."""
        return self._views.of(index)

    def search(self, index: str, queries: Matrix, k: int) -> Neighbours:
        """The `k` nearest passages of each query in one index."""
        return self.view(index).search(queries, k)

    def found(self, keys: Sequence[int]) -> dict[int, FoundPassage]:
        """The passages of keys with their documents, by one SQL statement."""
        return self._corpus.found(keys)

    def doc_ids(self, keys: Sequence[int]) -> dict[int, str]:
        """The document ids of keys, by one SQL statement."""
        return self._corpus.doc_ids(keys)


class Store:
    """A collection on disk. Every method commits fully or changes nothing.

    One process writes at a time; any number read. Threads may share a store.
    """

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self._catalog = catalog
        self._corpus = Corpus(catalog)
        self._registry = Registry(catalog, f"{folder}/")
        self._views = Views(catalog, self._registry, folder)

    @classmethod
    def create(cls, folder: Path) -> Store:
        """A new collection in a folder that is absent or empty.

        Raises:
            CollectionError: the folder holds something, or cannot be written to.
        """
        if not is_free(folder):
            raise CollectionError(
                f"{folder} holds something already. Choose a new folder for the collection, "
                f"or open the one that is there."
            )
        return cls(folder, Catalog.create(folder / CATALOG))

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The collection in a folder; see `Catalog.open` for errors."""
        return cls(folder, Catalog.open(folder / CATALOG))

    def close(self) -> None:
        """Close the catalog."""
        self._catalog.close()

    # -- reading --------------------------------------------------------------------------------

    def ask(self, question: Callable[[Snapshot], Answer]) -> Answer:
        """The answer to a question about one state of the collection.

        A writer may retire a file between the moment that a reader sees its name and the moment
        that it opens it. The question is then asked again, of the state that there is now.
        """
        while True:
            generation = self._catalog.generation()
            try:
                with self.snapshot() as snapshot:
                    return question(snapshot)
            except DamageError:
                if self._catalog.generation() == generation:
                    raise

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One state of the collection for several questions."""
        with self._catalog.reading():
            yield Snapshot(self._corpus, self._views)

    def count(self) -> int:
        """How many documents there are."""
        return self._corpus.count()

    def document(self, doc_id: str) -> Document | None:
        """The document of that id, or None."""
        return self._corpus.document(doc_id)

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Those of some ids that no document has, in the order given."""
        return self._corpus.unknown_ids(doc_ids)

    def documents(self) -> Iterator[Document]:
        """Every document, in the order in which they came."""
        return self._corpus.documents()

    def index(self, name: str) -> IndexRow:
        """The index of that name, or an `UnknownNameError` that lists what there is."""
        return self._registry.index(name)

    def indexes(self) -> list[IndexRow]:
        """All indexes, oldest first."""
        return self._registry.indexes()

    def embedding(self, index: str) -> EmbeddingRow:
        """The embedding that an index searches."""
        return self._registry.embedding(self.index(index).embedding)

    def shards(self, embedding: EmbeddingRow) -> list[ShardRow]:
        """The shards of an embedding, in key order."""
        return self._registry.shards(embedding.number)

    def counts(self, embedding: EmbeddingRow) -> tuple[int, int]:
        """How many documents an embedding can find, and how many it has not embedded yet."""
        with self._catalog.reading():
            shards = self.shards(embedding)
            return living_rows(self._corpus, shards), missing_passages(self._corpus, shards)

    def effort(self, index: IndexRow, k: int) -> dict[str, float]:
        """The search parameters that an index gets for `k` neighbours, by FAISS's names."""
        if index.kind != "ann":
            return {}
        dim = self._registry.embedding(index.embedding).dim
        return default_effort(str(index.recipe["factory"]), dim, k)

    def catalog_size(self) -> int:
        """Bytes of the catalog, which holds every document's text."""
        files = self.folder.glob(f"{CATALOG}*")
        return sum(file.stat().st_size for file in files)

    # -- documents ------------------------------------------------------------------------------

    def add(
        self,
        records: Iterable[tuple[str, Document | BadRecord]],
        *,
        skip_bad: bool,
        progress: Progress,
    ) -> Added:
        """Insert or update documents by `doc_id`, given with their places for messages.

        All in one transaction. A document whose title and text are as before costs nothing anew.

        Raises:
            BadRecordsError: some cannot be used and `skip_bad` is false; nothing was kept.
            LockedError: another process is writing.
        """
        with self._writing(), self._catalog.writing():
            intake = Intake(self._catalog)
            bad: list[BadRecord] = []
            total_bad = done = 0
            stream = iter(records)
            while batch := list(islice(stream, ADD_BATCH)):
                new = [record for _, record in batch if isinstance(record, BadRecord)]
                good = [(p, r) for p, r in batch if not isinstance(r, BadRecord)]
                new += intake.take(good)
                total_bad += len(new)
                bad += new[: KEPT_BAD_RECORDS - len(bad)]
                done += len(batch)
                progress(done, 0)
            if bad and not skip_bad:
                raise BadRecordsError(
                    bad,
                    total_bad,
                    advice="Mend them, or leave them out with --skip-bad (skip_bad=True).",
                )
        return Added(intake.new, intake.changed, intake.unchanged, tuple(bad), total_bad)

    def delete(self, doc_ids: Sequence[str]) -> int:
        """Remove documents from the corpus, and so from every index; how many there were."""
        with self._writing(), self._catalog.writing():
            return self._corpus.delete(doc_ids)

    # -- indexes --------------------------------------------------------------------------------

    def check_new(self, name: str, *, factory: str | None, dim: int) -> None:
        """Check an index's name and factory string before any work is spent on it.

        Raises:
            InputError: the name is not fit for a file, or FAISS does not know the factory.
        """
        if not NAME.fullmatch(name):
            raise InputError(
                f"'{name}' cannot name an index. "
                "Use letters, digits, dots, dashes and underscores (64 at most)."
            )
        if factory is not None:
            check_factory(factory, dim)

    def build(
        self,
        name: str,
        *,
        embedding: EmbeddingRow | None,
        new_embedding: dict[str, Any] | None,
        factory: str | None,
        encode: Encode,
        progress: Progress,
    ) -> tuple[IndexRow, int]:
        """Embed what has no vector yet, then build the index; it, and how many were embedded.

        The embedding is one that there is, or `new_embedding` says what `Registry.add_embedding`
        takes. It is registered with its index at once, so that an interrupted build goes on.

        Raises:
            LockedError: another process is writing.
            InputError: there is nothing to build on, or FAISS refuses the factory.
        """
        with self._writing():
            self._check_plan(name, embedding)
            if embedding is None:
                # Named before the work starts: an interrupted build is found again, and goes on.
                with self._catalog.writing():
                    embedding = self._registry.add_embedding(name, **(new_embedding or {}))
                    self._registry.set_index(planned(name, embedding, factory))
            builder = Builder(self._catalog, self._corpus, self._registry, self.folder)
            try:
                embedded = builder.embed(embedding, encode, progress)
            except BaseException:
                self._forget_if_empty(name, embedding)
                raise
            return builder.index(name, embedding, factory), embedded

    def _forget_if_empty(self, name: str, embedding: EmbeddingRow) -> None:
        """Take back an index that failed before any of its work was kept."""
        if not self.shards(embedding):
            with self._catalog.writing():
                self._registry.drop_index(name)
                if all(index.embedding != embedding.number for index in self.indexes()):
                    self._registry.drop_embedding(embedding.number)

    def _check_plan(self, name: str, embedding: EmbeddingRow | None) -> None:
        """Check, with the lock in hand, that no other writer has overtaken what the caller saw."""
        if embedding is None:
            overtaken = name in [index.name for index in self.indexes()]
        else:
            overtaken = embedding not in self._registry.embeddings()
        if overtaken:
            raise InputError(
                f"Another process has changed index '{name}' or its vectors meanwhile. "
                "Look at it with retriever info, and run the same again."
            )

    def drop(self, name: str) -> int:
        """Forget an index, and its embedding when no other index uses it; the bytes set free."""
        with self._writing():
            index = self.index(name)
            freed = index.sealed.size
            with self._catalog.writing():
                self._registry.drop_index(name)
                if all(other.embedding != index.embedding for other in self.indexes()):
                    shards = self._registry.shards(index.embedding)
                    freed += sum(shard.sealed.size for shard in shards)
                    self._registry.drop_embedding(index.embedding)
            self._sweep()
        return freed

    # -- files ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writer_lock(self.folder):
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove the files that the catalog does not name: left by a crash, or replaced."""
        named = {row.file for row in self.indexes()}
        for embedding in self._registry.embeddings():
            named |= {shard.file for shard in self._registry.shards(embedding.number)}
        for folder in FOLDERS:
            for path in sorted((self.folder / folder).rglob("*")):
                if path.is_file() and path.relative_to(self.folder).as_posix() not in named:
                    remove_file(path)


def is_free(folder: Path) -> bool:
    """Whether a collection can be made in a folder: absent, empty, or left by a crash doing so."""
    try:
        return not folder.exists() or all(
            path.name.startswith(CATALOG + UNFINISHED) for path in folder.iterdir()
        )
    except NotADirectoryError:
        return False
    except OSError as error:
        raise CollectionError(f"{folder} cannot be used: {error.strerror}.") from None
