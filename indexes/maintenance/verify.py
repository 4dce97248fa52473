"""Checks of a collection: every checksum, every key in catalog and files, every count."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from indexes.catalog.corpus import Corpus
from indexes.catalog.descriptions import Descriptions
from indexes.catalog.filtering import indexed_fields
from indexes.catalog.filters.sql import values_of
from indexes.catalog.images import NO_TEXT
from indexes.catalog.records import EmbeddingRow, IndexRow, ShardRow, kind_of, read_parameters
from indexes.catalog.registry import Registry, gaps
from indexes.catalog.sqlite.database import Catalog
from indexes.checksums import is_intact_document, is_intact_passage, text_checksum
from indexes.errors import DamageError, EngineError, pluralize
from indexes.lexical import bm25
from indexes.lexical.options import LexicalOptions
from indexes.maintenance.images import image_faults
from indexes.maintenance.origins import origin_faults
from indexes.neighbors import Keys
from indexes.storage.files import verify as verify_file
from indexes.vectors.engines import engine_of
from indexes.vectors.remote.index import RemoteIndex
from indexes.vectors.shards import keys_of, open_shard, open_shards

# Passages, and documents with their texts, which may be a megabyte each.
PAGE = 2_000
TEXT_PAGE = 100


@dataclass(frozen=True)
class Problem:
    """Something that is damaged.

    `what` is a sentence. `cure` is what `repair` can do about it: `structure` (rebuild it), `shard`
    (embed it again), `image` (copy it again), `sources` (forget where documents are from), `fields`
    (index them again), `tables` (rebuild SQLite's own indexes), `begun` (drop an unfinished refit),
    or nothing; `name` is what it would be done to.
    """

    what: str
    cure: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class VerifyReport:
    """Result of a check; `leftovers` are files that the catalog does not name.

    Leftovers are harmless: an interrupted writer left them, and the next one removes them.
    """

    documents: int
    passages: int
    vectors: int
    files: int
    problems: tuple[Problem, ...]
    leftovers: tuple[Path, ...]

    @property
    def ok(self) -> bool:
        """Whether no problem was found."""
        return not self.problems


@dataclass
class Checker:
    """A check of a collection, inside one `catalog.reading()`."""

    catalog: Catalog
    corpus: Corpus
    registry: Registry
    folder: Path

    def check(
        self, leftovers: Sequence[Path], progress: Callable[[int, int], None]
    ) -> VerifyReport:
        """Check everything; files are read once, rows in pages."""
        problems: list[Problem] = []
        embeddings = self.registry.embeddings()
        indexes = self.registry.indexes()
        structures = [index for index in indexes if index.file]
        steps = 5 + len(embeddings) + len(structures)
        vectors = files = done = 0

        def step(found: Iterator[Problem]) -> None:
            nonlocal done
            problems.extend(found)
            done += 1
            progress(done, steps)

        step(self._tables())
        step(self._documents())
        step(self._passages())
        step(Problem(*fault) for fault in image_faults(self.catalog, self.corpus.images))
        step(Problem(*fault) for fault in origin_faults(self.catalog, self.corpus))
        for embedding in embeddings:
            shards = self.registry.shards(embedding.number)
            vectors += sum(shard.rows for shard in shards)
            files += sum(shard.file is not None for shard in shards)
            files += embedding.fitted.file is not None
            step(self._embedding(embedding, shards, indexes))
        for index in structures:
            lexical = kind_of(index.kind).is_lexical
            step(self._structure(index, self._bm25 if lexical else self._ann))
        problems.extend(_lost_parts(indexes))
        return VerifyReport(
            documents=self.corpus.count(),
            passages=self.corpus.count_all_passages(),
            vectors=vectors,
            files=files + len(structures),
            problems=tuple(problems),
            leftovers=tuple(leftovers),
        )

    def _tables(self) -> Iterator[Problem]:
        for (message,) in self.catalog.rows("PRAGMA integrity_check(20)"):
            if message != "ok":
                yield Problem(f"SQLite says of {self.catalog.path.name}: {message}.", "tables")
        for table, *_ in self.catalog.rows("PRAGMA foreign_key_check"):
            yield Problem(f"A row of the table {table} refers to a row that does not exist.")
        for table in ("documents", "passages"):
            found = self.catalog.value(f"SELECT COUNT(*) FROM {table}")
            expected = self.catalog.value(f"SELECT {table} FROM state")
            if found != expected:
                yield Problem(f"{table}: {found:,} exist, {expected:,} were committed.")
        yield from self._tombstones()

    def _tombstones(self) -> Iterator[Problem]:
        try:
            deleted = self.corpus.tombstones()
        except DamageError as error:
            yield Problem(str(error))
            return
        if len(deleted) and (deleted[0] < 1 or deleted[-1] >= self.corpus.stop_key()):
            yield Problem("A deleted passage has a key that was never assigned.")
        sql = """
            SELECT COUNT(DISTINCT key) FROM stale
            WHERE key NOT IN (SELECT key FROM tombstones)
            OR document NOT IN (SELECT document FROM documents)
        """
        if count := self.catalog.value(sql):
            passages = pluralize(count, "passage of an earlier text", "passages of earlier texts")
            yield Problem(f"{passages} without a document or a tombstone.")

    def _documents(self) -> Iterator[Problem]:
        """Check every document's row, text and indexed fields."""
        sql = """
            SELECT document, doc_id, checksum, metadata, documents.seal, title, text
            FROM documents LEFT JOIN texts USING (document)
            WHERE document > ? ORDER BY document LIMIT ?
        """
        fields = indexed_fields(self.catalog)
        next_document = self.catalog.value("SELECT next_document FROM state")
        for page in self.catalog.pages(sql, [], TEXT_PAGE):
            for row in page:
                if fault := _fault_of(row, next_document):
                    yield Problem(f"Document {row[1]!r} is damaged: {fault}.")
            if fields:
                yield from self._fields(fields, page)
        strays = "SELECT COUNT(*) FROM texts WHERE document NOT IN (SELECT document FROM documents)"
        if count := self.catalog.value(strays):
            yield Problem(f"{pluralize(count, 'text')} without a document.")

    def _fields(
        self, fields: dict[tuple[str, ...], int], page: Sequence[Sequence[object]]
    ) -> Iterator[Problem]:
        sql = """
            SELECT document, field, kind, value FROM field_values
            WHERE document IN (SELECT value FROM json_each(?))
        """
        numbers = json.dumps([row[0] for row in page])
        kept: dict[object, set[tuple[object, ...]]] = {}
        for document, *rest in self.catalog.rows(sql, [numbers]):
            kept.setdefault(document, set()).add(tuple(rest))
        for row in page:
            try:
                metadata = json.loads(str(row[3]))
            except ValueError:
                continue  # reported already: its row is damaged
            expected = {
                (field, kind, value)
                for path, field in fields.items()
                for kind, value in values_of(metadata, path)
            }
            if kept.get(row[0], set()) != expected:
                yield Problem(f"Document {row[1]!r} is not in the index of its fields.", "fields")

    def _passages(self) -> Iterator[Problem]:
        """Check every passage's row, its document, and its place in the text."""
        sql = """
            SELECT key, document, start, stop, seal FROM passages
            WHERE key > ? ORDER BY key LIMIT ?
        """
        stop_key = self.corpus.stop_key()
        sizes: dict[object, int] = {}
        for page in self.catalog.pages(sql, [], PAGE):
            sizes = self._sizes({row[1] for row in page}, sizes)
            for row in page:
                key, document, start, stop, _ = row
                size = sizes.get(document)
                if not is_intact_passage(row) or key >= stop_key:
                    yield Problem(f"Passage {key} is damaged: its row is not what was committed.")
                elif size is None:
                    yield Problem(f"Passage {key} belongs to no document.")
                elif not (0 <= start <= stop <= size or start == stop == NO_TEXT):
                    yield Problem(f"Passage {key} is not within its document's text.")
        sql = "SELECT COUNT(*) FROM documents WHERE document NOT IN (SELECT document FROM passages)"
        if count := self.catalog.value(sql):
            yield Problem(f"{pluralize(count, 'document')} without a passage.")

    def _sizes(self, documents: set[object], known: dict[object, int]) -> dict[object, int]:
        """Return the bytes of the texts of some documents, without measuring `known` ones again.

        SQLite measures a text by reading all of it, and a document's passages may span pages.
        """
        sql = """
            SELECT document, COALESCE(length(CAST(text AS BLOB)), 0) FROM texts
            WHERE document IN (SELECT value FROM json_each(?))
        """
        sizes = {document: known[document] for document in documents & known.keys()}
        # In a damaged row, a number may be anything.
        new = [number for number in documents - known.keys() if isinstance(number, int)]
        return sizes | dict(self.catalog.rows(sql, [json.dumps(new)]))

    def _embedding(
        self, embedding: EmbeddingRow, shards: Sequence[ShardRow], indexes: Sequence[IndexRow]
    ) -> Iterator[Problem]:
        """Check what was fitted, and every shard; an unfinished refit has one cure."""
        users = [index.name for index in indexes if index.embedding == embedding.number]
        unfinished = Problem("", "begun", str(embedding.number))
        for problem in chain(self._fitted(embedding, users), self._shards(embedding, shards)):
            refit = embedding.replaces is not None
            yield replace(unfinished, what=problem.what) if refit else problem

    def _fitted(self, embedding: EmbeddingRow, users: Sequence[str]) -> Iterator[Problem]:
        try:
            read_parameters(self.folder, embedding, next(iter(users), embedding.name))
        except DamageError as error:
            yield Problem(str(error))

    def _shards(self, embedding: EmbeddingRow, shards: Sequence[ShardRow]) -> Iterator[Problem]:
        """Check every shard's file and keys: each is a passage's, or a tombstone."""
        stop_key = self.corpus.stop_key()
        position = 1
        for shard in shards:
            if shard.first_key < position or shard.stop_key > stop_key:
                yield Problem(f"Shard {shard.number} covers keys that are not its own.")
            position = shard.stop_key
            yield from self._shard(shard, embedding)

    def _shard(self, shard: ShardRow, embedding: EmbeddingRow) -> Iterator[Problem]:
        try:
            keys = keys_of(shard)
            block = open_shard(shard, embedding, self.folder, again=True)
            fits = block.vectors.shape == (len(keys), embedding.dim) and len(keys) == shard.rows
            if not fits or block.vectors.dtype != embedding.dtype:
                raise DamageError(f"{shard.file} does not hold what the catalog says.")
        except DamageError as error:
            if embedding.imported:
                yield Problem(_lost(shard, embedding))
            else:
                yield Problem(str(error), "shard", str(shard.number))
            return
        if unknown := self.corpus.unknown_keys(keys):
            yield Problem(f"{shard.file} has {pluralize(unknown, 'vector')} of unknown passages.")

    def _structure(
        self, index: IndexRow, read: Callable[[IndexRow, Path], tuple[int, Keys, Keys]]
    ) -> Iterator[Problem]:
        """Check that a file is intact, and holds the keys that it had to hold when it was built.

        `read` returns its number of rows, its keys, and the keys that it should hold.
        """
        path = self.folder / str(index.file)
        try:
            verify_file(path, index.digest, again=True)
            rows, keys, expected = read(index, path)
        except DamageError as error:
            yield Problem(str(error), "structure", index.name)
            return
        except EngineError as error:  # nothing is known of what it holds
            yield Problem(str(error))
            return
        deleted = self.corpus.tombstones()
        if index.embedding is not None:
            shards = self.registry.shards(index.embedding)
            deleted = self.corpus.hidden(index.embedding, gaps(shards, self.corpus.stop_key()))
        live, found = np.setdiff1d(expected, deleted), np.setdiff1d(keys, deleted)
        if rows != index.rows or not np.array_equal(live, found):
            what = f"Index '{index.name}' does not hold the passages that it should."
            yield Problem(what, "structure", index.name)

    def _ann(self, index: IndexRow, path: Path) -> tuple[int, Keys, Keys]:
        embedding = self.registry.embedding_of(index)
        structure = engine_of(index.definition).load(path, index.definition, embedding.dim)
        shards = self.registry.shards(embedding.number)
        if isinstance(structure, RemoteIndex):
            blocks = open_shards(shards, embedding, self.folder)
            structure.verify(blocks, Descriptions(self.catalog))
        held = [keys_of(shard) for shard in shards if shard.first_key < index.stop_key]
        return structure.rows, structure.keys, np.concatenate([np.empty(0, np.int64), *held])

    def _bm25(self, index: IndexRow, path: Path) -> tuple[int, Keys, Keys]:
        keys = bm25.load(path, LexicalOptions.of(index.definition)).keys
        return len(keys), keys, self.corpus.text_keys(1, index.stop_key)


def _lost_parts(indexes: Sequence[IndexRow]) -> Iterator[Problem]:
    names = {index.name for index in indexes}
    for index in indexes:
        for part in index.parts:
            if part not in names:
                yield Problem(f"Index '{index.name}' combines '{part}', which does not exist.")


def _fault_of(row: Sequence[object], next_document: int) -> str:
    """Return the fault of a row (document, doc_id, checksum, metadata, seal, title, text)."""
    *own, title, text = row
    if not is_intact_document(own) or not 0 < int(str(row[0])) < next_document:
        return "its row is not what was committed"
    if title is None:
        return "its text is lost"
    if text_checksum(str(title), str(text)) != row[2]:
        return "its text is not what was added"
    return ""


def _lost(shard: ShardRow, embedding: EmbeddingRow) -> str:
    """Say that vectors are damaged which nothing can compute again."""
    return (
        f"{shard.file} is missing or damaged: {pluralize(shard.rows, 'vector')} of "
        f"'{embedding.name}', imported from {embedding.imported}, which cannot be computed again. "
        "Restore that file from a backup, or drop the index and build it from the vectors again."
    )
