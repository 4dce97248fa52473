"""One folder that holds a corpus, its vectors and its indexes: the front door of this room."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from indexes.ann import check_factory, default_effort
from indexes.builder import Builder, Encode, Progress, living_rows, planned
from indexes.catalog import UNFINISHED, Catalog
from indexes.corpus import Corpus
from indexes.documents import Document
from indexes.errors import (
    BadRecord,
    CollectionError,
    DamageError,
    InputError,
)
from indexes.files import LOCK_FILES, remove_file, size_of, writer_lock
from indexes.filters import Filter
from indexes.intake import Added, Intake, Spans, index_anew
from indexes.lexical import check_language
from indexes.registry import (
    NOTHING,
    EmbeddingRow,
    IndexRow,
    Registry,
    ShardRow,
    another_index,
    gaps,
)
from indexes.repair import Encoder, Repaired, Repairer
from indexes.snapshot import Snapshot
from indexes.taking import Taking
from indexes.verify import Checked, Checker, Problem
from indexes.views import Views

__all__ = ["Checked", "Compacted", "Counts", "Repaired", "Store", "is_free"]

Answer = TypeVar("Answer")

CATALOG = "catalog.db"
FOLDERS = ("vectors", "ann", "lexical")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Counts:
    """How far an embedding is: passages that it can find, and what it has not embedded yet."""

    rows: int
    missing_passages: int
    missing_documents: int


@dataclass(frozen=True)
class Compacted:
    """What a call of `compact` did: vectors of removed passages dropped, and bytes set free.

    `exact` names the indexes that are searched exactly from now on: too few vectors were left to
    build their structure anew.
    """

    rows: int
    freed: int
    exact: tuple[str, ...] = ()


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
    def create(cls, folder: Path, split: Any = None) -> Store:
        """A new collection in a folder that is absent or empty.

        `split` is any JSON that says how documents are cut into passages; None: not at all.

        Raises:
            CollectionError: the folder holds something, or cannot be written to.
        """
        if not is_free(folder):
            raise CollectionError(
                f"{folder} holds something already. Choose a new folder for the collection, "
                f"or open the one that is there."
            )
        return cls(folder, Catalog.create(folder / CATALOG, json.dumps(split)))

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
        asked = None
        while True:
            try:
                with self.snapshot() as snapshot:
                    asked = self._catalog.generation()
                    return question(snapshot)
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
            yield Snapshot(self._corpus, self._views)

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
                rows=living_rows(self._corpus, shards),
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
        if index.kind != "ann":
            return {}
        dim = self._registry.embedding_of(index).dim
        return default_effort(str(index.recipe["factory"]), dim, k)

    def size(self) -> int:
        """Bytes of all files that the collection keeps."""
        kept = [path for folder in FOLDERS for path in (self.folder / folder).rglob("*.*")]
        return self.catalog_size() + sum(map(size_of, kept))

    def catalog_size(self) -> int:
        """Bytes of the catalog, which holds every document's text."""
        return sum(map(size_of, self.folder.glob(f"{CATALOG}*")))

    # -- documents ------------------------------------------------------------------------------

    def add(
        self,
        records: Iterable[tuple[str, Document | BadRecord]],
        *,
        spans: Spans | None,
        source: Callable[[], bytes | None],
        skip_bad: bool,
        progress: Progress,
    ) -> Added:
        """Insert or update documents by `doc_id`, given with their places for messages.

        `spans` cuts a text into passages; None: not at all. What is taken in is committed every
        few seconds, so that an interrupted call has little to do again: a document whose title and
        text are as before costs nothing anew. `source` gives a fingerprint of all the records, None
        where there is none: when they were taken in before, and no document has changed since, they
        are not read.

        Raises:
            BadRecordsError: some cannot be used and `skip_bad` is false; nothing more was kept.
            LockedError: another process is writing.
        """
        with self._writing():
            fingerprint = source()
            known = self._known_source(fingerprint)
            if known is not None:
                progress(known, known)
                return Added(unchanged=known)
            taking = Taking(Intake(self._catalog, spans), iter(records), skip_bad, progress)
            for portion in taking.portions():
                # The user's own code is done with these: no transaction waits for it.
                looked = taking.look(portion)
                writes = looked.changes.count > 0
                with self._catalog.writing() if writes else contextlib.nullcontext():
                    taking.take(looked)
            if not taking.total_bad:
                # Asked again: a file may have been changed while it was read.
                self._remember_source(fingerprint, source(), taking.count)
        return taking.added()

    def _known_source(self, source: bytes | None) -> int | None:
        sql = """
            SELECT sources.documents FROM sources, state
            WHERE fingerprint = ? AND sources.content = state.content
        """
        with self._catalog.reading():
            row = self._catalog.row(sql, [source])
        return int(row[0]) if row else None

    def _remember_source(self, source: bytes | None, now: bytes | None, documents: int) -> None:
        if source is None or source != now:
            return
        with self._catalog.writing():
            self._catalog.execute("DELETE FROM sources WHERE content < (SELECT content FROM state)")
            sql = "INSERT OR REPLACE INTO sources SELECT ?, content, ? FROM state"
            self._catalog.execute(sql, [source, documents])

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents from the corpus, and so from every index; how many there were."""
        with self._writing(), self._catalog.writing():
            return self._corpus.delete(doc_ids)

    def delete_where(self, where: Filter) -> int:
        """Remove the documents that a filter lets through; how many there were."""
        with self._writing(), self._catalog.writing():
            return self._corpus.delete_where(where)

    def index_fields(self, paths: Iterable[tuple[str, ...]]) -> None:
        """Index metadata fields, so that a filter on them need not read every document."""
        with self._writing():
            known = self._corpus.fields()
            new = [path for path in dict.fromkeys(paths) if path not in known]
            if not new:
                return
            with self._catalog.writing():
                self._catalog.execute_many(
                    "INSERT INTO fields (path) VALUES (?)", [(json.dumps(path),) for path in new]
                )
                index_anew(self._catalog, self._corpus)

    # -- indexes --------------------------------------------------------------------------------

    def check_new(self, name: str, *, factory: str | None = None, dim: int = 0) -> None:
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
            builder = self._builder()
            try:
                embedded = builder.embed(embedding, encode, progress)
            except BaseException:
                self._forget_if_empty(name, embedding)
                raise
            return builder.index(name, embedding, factory), embedded

    def build_words(self, name: str, language: str, progress: Progress) -> IndexRow:
        """Build a BM25 index over all texts, or bring it up to date; see `Builder.words`.

        Raises:
            LockedError: another process is writing.
            InputError: no such language.
            MismatchError: an index of that name is there, and another.
        """
        check_language(language)
        with self._writing():
            self._check_same(name, "lexical", {"language": language})
            return self._builder().words(name, language, progress)

    def combine(self, name: str, parts: Sequence[str], recipe: Mapping[str, Any]) -> IndexRow:
        """Name a combination of indexes; `recipe` says how, and is its owner's.

        Raises:
            LockedError: another process is writing.
            UnknownNameError: a part is not there.
            MismatchError: an index of that name is there, and another.
        """
        whole = {**recipe, "parts": list(parts)}
        with self._writing():
            for part in parts:
                self.index(part)
            self._check_same(name, "combined", whole)
            with self._catalog.writing():
                row = replace(NOTHING, name=name, kind="combined", recipe=whole)
                self._registry.set_index(row)
        return self.index(name)

    def _check_same(self, name: str, kind: str, recipe: Mapping[str, Any]) -> None:
        for row in self.indexes():
            if row.name == name and (row.kind, row.recipe) != (kind, recipe):
                raise another_index(self.folder, row)

    def _forget_if_empty(self, name: str, embedding: EmbeddingRow) -> None:
        """Take back an index that failed before any of its work was kept."""
        if not self.shards(embedding):
            with self._catalog.writing():
                self._registry.drop_index(name)
                if all(row.embedding != embedding.number for row in self._registry.indexes()):
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
        """Forget an index, and its embedding when no other index uses it; the bytes set free.

        Raises:
            InputError: a combination is made of it.
        """
        with self._writing():
            index = self.index(name)
            users = [row.name for row in self.indexes() if name in row.parts]
            if users:
                raise InputError(
                    f"Index '{name}' is part of: {', '.join(users)}. Drop what is made of it first."
                )
            freed = index.sealed.size
            with self._catalog.writing():
                self._registry.drop_index(name)
                others = {other.embedding for other in self._registry.indexes()}
                if index.embedding is not None and index.embedding not in others:
                    shards = self._registry.shards(index.embedding)
                    freed += sum(shard.sealed.size for shard in shards)
                    self._registry.drop_embedding(index.embedding)
            self._sweep()
        return freed

    def compact(self, progress: Progress) -> Compacted:
        """Drop what removed documents left behind, and give its room back to the disk.

        Embeds nothing. Readers go on; a search structure with removed rows is built anew, and so
        is one that is merely behind.
        """
        with self._writing():
            before = self.size()
            builder = self._builder()
            embeddings = self._registry.embeddings()
            rows, exact = 0, list[str]()
            for done, embedding in enumerate(embeddings, start=1):
                gone, without_structure = builder.compact(embedding)
                rows, exact = rows + gone, exact + without_structure
                progress(done, len(embeddings) + 1)
            builder.words_again(_unwatched)
            if len(self._corpus.tombstones()):
                # No file holds a removed key any more.
                with self._catalog.writing():
                    self._catalog.execute("DELETE FROM tombstones")
            self._sweep()
            self._catalog.vacuum()
            progress(len(embeddings) + 1, len(embeddings) + 1)
            return Compacted(rows, max(0, before - self.size()), tuple(exact))

    def verify(self, progress: Progress) -> Checked:
        """Look for what does not add up, while readers and a writer go on."""
        while True:
            try:
                with self._catalog.reading():
                    generation = self._catalog.generation()
                    checker = Checker(self._catalog, self._corpus, self._registry, self.folder)
                    checked = checker.check(self._leftovers(), progress)
            except DamageError as error:
                return Checked(0, 0, 0, 0, (Problem(str(error)),), ())
            except (TypeError, ValueError, OverflowError) as error:
                # A value of a kind that we never wrote.
                what = f"{self._catalog.path} is damaged: {error}. Restore it from a backup."
                return Checked(0, 0, 0, 0, (Problem(what),), ())
            # A file may be missed because a writer has retired it meanwhile.
            if checked.ok or self._catalog.generation() == generation:
                return checked

    def repair(self, encoder: Encoder, progress: Progress) -> Repaired:
        """Make again what can be derived, and say what is left.

        `encoder` gives the encoder of an index by name, and raises where its model cannot be had.
        """
        problems = self.verify(progress).problems
        # Without a whole list of files nothing may be touched.
        try:
            with self._writing() as swept:
                done = [f"removed {path}, which nothing names" for path in swept]
                done += Repairer(self._builder()).mend(problems, encoder, progress)
                self._sweep()
        except DamageError as error:
            return Repaired((), (Problem(str(error)),))
        return Repaired(tuple(done), self.verify(progress).problems)

    def _builder(self) -> Builder:
        return Builder(self._catalog, self._corpus, self._registry, self.folder)

    # -- files ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[list[Path]]:
        """Be the only writer, over nothing but files that count; gives those that were removed."""
        with writer_lock(self.folder):
            yield self._sweep()

    def _sweep(self) -> list[Path]:
        """Remove the files that the catalog does not name: left by a crash, or replaced."""
        return [path for path in self._leftovers() if remove_file(path)]

    def _leftovers(self) -> list[Path]:
        # What a damaged catalog does not name may be needed: `reading` raises then.
        with self._catalog.reading():
            named = {row.file for row in self._registry.indexes()}
            for embedding in self._registry.embeddings():
                named |= {shard.file for shard in self._registry.shards(embedding.number)}
        return [
            path
            for folder in FOLDERS
            for path in sorted((self.folder / folder).rglob("*"))
            if _is_leaf(path) and not named & _names_of(path.relative_to(self.folder))
        ]


def _is_leaf(path: Path) -> bool:
    """Whether it is a file, or a folder with nothing in it: a crash may leave one."""
    try:
        return path.is_file() or not any(path.iterdir())
    except OSError:  # gone meanwhile
        return False


def _names_of(path: Path) -> set[str]:
    """What names a file: itself, or the folder that counts as one."""
    return {path.as_posix(), path.parent.as_posix()}


def _unwatched(done: int, total: int) -> None:
    """Progress that nobody sees."""


def is_free(folder: Path) -> bool:
    """Whether a collection can be made in a folder: absent, empty, or left by a crash doing so."""
    try:
        return not folder.exists() or all(
            path.name.startswith(CATALOG + UNFINISHED) or path.name in LOCK_FILES
            for path in folder.iterdir()
        )
    except NotADirectoryError:
        return False
    except OSError as error:
        raise CollectionError(f"{folder} cannot be used: {error.strerror}.") from None
