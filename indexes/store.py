"""A folder with a corpus, its vectors and its indexes: the entry point of this package."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.catalog.corpus import Corpus
from indexes.catalog.filtering import indexed_fields
from indexes.catalog.filters.conditions import Filter
from indexes.catalog.records import (
    COMBINED,
    LEXICAL,
    NOTHING,
    EmbeddingRow,
    IndexRow,
)
from indexes.catalog.registry import another_index, check_index_name
from indexes.catalog.sqlite.commits import noted_commit
from indexes.catalog.sqlite.opening import create_catalog, may_create, open_catalog
from indexes.errors import (
    CollectionError,
    DamageError,
    InputError,
    MismatchError,
    NextStep,
    shown,
)
from indexes.ingest.batches import IngestBatches
from indexes.ingest.sources import KnownSources, Source, keep_readings
from indexes.ingest.sync import Sync
from indexes.ingest.upsert import Added, Spans, Upsert, index_all_values
from indexes.lexical.bm25 import READING
from indexes.lexical.options import LexicalOptions
from indexes.maintenance.compact import CompactReport, compact
from indexes.maintenance.copying import CopyReport, copy
from indexes.maintenance.leftovers import leftovers, lost_commits
from indexes.maintenance.repair import Encoder, Repairer, RepairReport
from indexes.maintenance.verify import Checker, Problem, VerifyReport
from indexes.neighbors import Matrix
from indexes.pipeline.ann_builder import AnnBuilder
from indexes.pipeline.bm25_builder import Bm25Builder
from indexes.pipeline.builder import Builder, Make
from indexes.pipeline.builder import Encoder as BuildEncoder
from indexes.pipeline.embedding_job import EmbeddingResult
from indexes.pipeline.executors.base import Executor
from indexes.pipeline.refit import Refitter
from indexes.pipeline.session import WriteSession
from indexes.progress import SEARCH_TIME, Progress
from indexes.reader import CATALOG, Reader
from indexes.storage.files import remove_file, writer_lock
from indexes.vectors import tuning
from indexes.vectors.engines import discard, engine_of, remote_engine_of
from indexes.vectors.remote.index import SUFFIX as REMOTE_SUFFIX
from indexes.vectors.remote.index import read as read_remote


class Store(Reader):
    """A collection on disk. Every method commits fully or changes nothing.

    One process writes at a time; any number read. Threads may share a store. A method that writes
    raises a LockedError while another process does.
    """

    _patience = 0.0

    @classmethod
    def create(cls, folder: Path, split: Any = None) -> Store:
        """Create a collection in a folder that is absent or empty; else raise a CollectionError.

        `split` is any JSON that says how documents are split into passages; None: not at all.
        """
        folder = folder.absolute()
        if folder.is_file():
            raise CollectionError(f"{folder} is a file. Choose a new folder for the collection.")
        if not is_free(folder):
            raise CollectionError(
                f"{folder} is not empty. Choose a new folder for the collection, "
                "or open the one that is there."
            )
        return cls(folder, create_catalog(folder / CATALOG, json.dumps(split)))

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open the collection in a folder; see `open_catalog` for errors."""
        folder = folder.absolute()
        return cls(folder, open_catalog(folder / CATALOG))

    @contextlib.contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Wait up to some seconds for another process that writes, in each method inside."""
        before, self._patience = self._patience, seconds
        try:
            yield
        finally:
            self._patience = before

    def __reduce__(self) -> tuple[Callable[[Path], Store], tuple[Path]]:
        """Pickle the folder: another process opens it there."""
        return type(self).open, (self.folder,)

    def set_split(self, split: Any) -> bool:
        """Change how documents are split, which only an empty collection can; return if it did."""
        with self._writing(), self.catalog.writing():
            if self.corpus.count():
                return False
            self.catalog.execute("UPDATE state SET split = ?", [json.dumps(split)])
        return True

    def add(
        self,
        sources: Sequence[Source],
        *,
        spans: Spans | None,
        fingerprint: Callable[[], bytes | None],
        skip_bad: bool,
        copy_images: bool,
        progress: Progress,
    ) -> Added:
        """Insert or update documents by `doc_id`, and note which source they came from.

        `spans` splits a text into passages; None: not at all. Documents are committed every few
        seconds, so that an interrupted call has little to repeat: a document with the same title
        and text, and the same image, costs nothing again. With `copy_images`, images in files are
        copied into the collection, as images without a file always are. `fingerprint` is that of
        all sources: if they were added before, and no document has changed since, they are not
        read.

        Raises:
            BadRecordsError: some cannot be used and `skip_bad` is false; says what was kept.
        """
        with self._writing():
            known, before = KnownSources(self.catalog), fingerprint()
            if (count := known.count(before)) is not None:
                keep_readings(self.catalog, self.corpus.origins, sources)
                progress(count, count)
                return Added(unchanged=count)
            upsert = Upsert(self.catalog, spans, copy_images=copy_images)
            ingest = IngestBatches(upsert, sources, self.corpus.origins, skip_bad, progress)
            for batch in ingest.batches():
                # The user's own code has finished with these: no transaction waits for it.
                pending = ingest.diff(batch)
                with self.catalog.writing() if pending.writes else contextlib.nullcontext():
                    ingest.apply(pending)
            if not ingest.total_bad and not ingest.total_skipped:
                # Computed again: a file may have been changed while it was read.
                known.remember([(before, fingerprint(), ingest.count)])
        return ingest.added()

    def sync(
        self,
        sources: Sequence[Source],
        *,
        spans: Spans | None,
        skip_bad: bool,
        copy_images: bool,
        allow_empty: bool,
        progress: Progress,
    ) -> Added:
        """Add the sources, which have all of their documents, and remove what is gone from them.

        As `add`; see `Sync.run`. A source with an unchanged fingerprint is not read. Unless
        `allow_empty`, one that had documents and has none now is refused.

        Raises:
            EmptySourceError: that one is; nothing was removed.
        """
        with self._writing():
            corpus = self.corpus
            sync = Sync(self.catalog, corpus, spans, skip_bad, copy_images, allow_empty, progress)
            return sync.run(sources)

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents from the corpus, and so from every index; return how many."""
        with self._writing(), self.catalog.writing():
            return self.corpus.delete(doc_ids)

    def delete_where(self, where: Filter, check: Callable[[Corpus], None]) -> int:
        """Remove the documents that match a filter, unless `check` raises; return how many."""
        with self._writing(), self.catalog.writing():
            check(self.corpus)
            return self.corpus.delete_where(where)

    def index_fields(self, paths: Iterable[tuple[str, ...]]) -> None:
        """Index metadata fields, so that a filter on them need not read every document."""
        with self._writing():
            known = indexed_fields(self.catalog)
            new = [(json.dumps(path),) for path in dict.fromkeys(paths) if path not in known]
            if new:
                with self.catalog.writing():
                    self.catalog.execute_many("INSERT INTO fields (path) VALUES (?)", new)
                    index_all_values(self.catalog, self.corpus)

    def check_new(
        self, name: str, *, definition: Mapping[str, Any] | None = None, dim: int = 0
    ) -> None:
        """Raise an InputError for a name that cannot name a file, or what its engine rejects."""
        check_index_name(name)
        if definition is not None and "factory" in definition:
            engine_of(definition).check(definition, dim)

    def build(
        self,
        name: str,
        *,
        embedding: EmbeddingRow | None,
        make: Make,
        definition: Mapping[str, Any],
        encoder: BuildEncoder,
        progress: Progress,
        executor: Executor | None = None,
    ) -> tuple[IndexRow, EmbeddingResult]:
        """Embed what has no vector yet, then build the index; return it and what was embedded.

        With an `executor`, its workers do what can be divided, where it pays.
        Without an `embedding`, `make` makes a new one, fitted on the corpus or not. It is
        registered with its index at once, so that an interrupted build can resume. In the
        `definition` of the index, `factory` is a FAISS factory string; the rest belongs to the
        caller. Texts that cannot be encoded are left out and reported; see `Builder.embed` and
        `Builder.build_index`.

        Raises:
            InputError: there is nothing to build on, or FAISS refuses the factory.
        """
        with self._writing():
            self._check_plan(name, embedding)
            writer = self._writer(executor)
            if embedding is None:
                embedding = Builder(writer).begin(name, make, definition, progress)
            try:
                embedded = Builder(writer).embed(embedding, encoder, progress)
            except BaseException:
                self._forget_if_empty(name, embedding)
                raise
            built = Builder(writer).build_index(embedded, name, embedding, definition)
            # Small shards that were joined into larger ones.
            self._sweep()
        return built

    def refit(
        self,
        name: str,
        *,
        embedding: EmbeddingRow,
        make: Make,
        encoder: BuildEncoder,
        progress: Progress,
        executor: Executor | None = None,
    ) -> tuple[IndexRow, EmbeddingResult]:
        """Fit the embedding of an index again, and embed everything again; see `Refitter.refit`.

        Raises:
            InputError: another process has changed the index since the caller read it.
        """
        with self._writing():
            self._check_plan(name, embedding)
            writer = self._writer(executor)
            embedded = Refitter(writer).refit(name, embedding, make, encoder, progress)
            index = self.index(name)
            now = self.registry.embedding_of(index)
            built = Builder(writer).build_index(embedded, name, now, index.definition)
            self._sweep()
        return built

    def build_bm25(self, name: str, options: LexicalOptions, progress: Progress) -> IndexRow:
        """Build a BM25 index over all texts, or bring it up to date; see `Bm25Builder`.

        Raises:
            MismatchError: another index has that name.
        """
        with self._writing():
            self._check_same(name, LEXICAL.name, {**options.definition, "text": READING})
            built = Bm25Builder(self._writer()).build(name, options, progress)
            self._sweep()
        return built

    def tune(
        self, name: str, recall: float, queries: Matrix | None
    ) -> tuple[IndexRow, tuning.Measured]:
        """Choose the search parameters of an index again; return it and what was measured.

        Its row alone is written, and only if anything but the time of a search changes. `queries`
        (n, dim) as in `tuning.tune`.

        Raises:
            InputError: it is searched exactly, or its structure is not built.
        """
        with self._writing():
            index = self.index(name)
            builder = AnnBuilder(self._writer())
            builder.check_has_structure(index)
            embedding = self.registry.embedding_of(index)
            tuned = builder.tuned(index, embedding, recall, queries)
            same = {**tuned.report, SEARCH_TIME: 0} == {**index.report, SEARCH_TIME: 0}
            if tuned.definition != index.definition or not same:
                builder.writer.set_index(tuned)
            structure, blocks, deleted = builder.opened(tuned, embedding)
            measured = tuning.measure(structure, blocks, deleted, queries)
        return self.index(name), measured

    def combine(self, name: str, parts: Sequence[str], definition: Mapping[str, Any]) -> IndexRow:
        """Register a combination of indexes; `definition` says how, and belongs to the caller.

        Raises:
            UnknownNameError: a part does not exist.
            MismatchError: another index has that name.
        """
        combined = {**definition, "parts": list(parts)}
        row = replace(NOTHING, name=name, kind=COMBINED.name, definition=combined)
        with self._writing():
            for part in parts:
                self.index(part)
            self._check_same(name, COMBINED.name, combined)
            with self.catalog.writing():
                self.registry.set_index(row)
        return self.index(name)

    def _check_same(self, name: str, kind: str, definition: Mapping[str, Any]) -> None:
        # An earlier version did not store how texts are read.
        earlier = {"text": READING} if kind == LEXICAL.name else {}
        for row in self.indexes():
            if row.name == name and row.kind != kind:
                raise self.another(row)
            stored = {**earlier, **row.definition}
            if row.name == name and stored != definition:
                raise self.another(replace(row, definition=stored), definition)

    def _forget_if_empty(self, name: str, embedding: EmbeddingRow) -> None:
        """Remove an index whose build failed before any of its work was kept."""
        if not self.shards(embedding):
            with self.catalog.writing():
                self.registry.drop_index(name)
                if all(row.embedding != embedding.number for row in self.registry.indexes()):
                    self.registry.drop_embedding(embedding.number)

    def _check_plan(self, name: str, embedding: EmbeddingRow | None) -> None:
        """Check, under the lock, that no other writer has changed what the caller read."""
        if embedding is None:
            changed = name in [index.name for index in self.indexes()]
        else:
            changed = embedding not in self.registry.embeddings()
        if changed:
            raise InputError(
                f"Another writer has changed index '{name}' or its vectors meanwhile. "
                "Look at the index, and run the same again.",
                next_step=NextStep("info", self.folder),
            )

    def drop(self, name: str) -> int:
        """Drop an index, and its embedding if no other index uses it; return the bytes freed.

        Raises:
            InputError: a combination uses it.
        """
        with self._writing():
            index = self.index(name)
            if users := self._users(name):
                raise InputError(
                    f"Index '{name}' is part of: {', '.join(users)}. Drop those first.",
                    next_step=NextStep("drop", self.folder, self._outermost(users[0])),
                )
            freed = index.digest.size
            with self.catalog.writing():
                self.registry.drop_index(name)
                others = {other.embedding for other in self.registry.indexes()}
                if index.embedding is not None and index.embedding not in others:
                    freed += self._size_of_embedding(index.embedding)
                    self.registry.drop_embedding(index.embedding)
            self._sweep()
        return freed

    def another(self, row: IndexRow, wanted: Mapping[str, Any] | None = None) -> MismatchError:
        """Return the error for a name that another index has; see `another_index`."""
        return another_index(self.folder, row, self._users(row.name), wanted)

    def _users(self, name: str) -> list[str]:
        """Return the combinations that an index is a part of."""
        return [row.name for row in self.indexes() if name in row.parts]

    def _outermost(self, name: str) -> str:
        """Return an index that is part of no other, and has this one as a part, or is this one."""
        while users := self._users(name):
            name = users[0]
        return name

    def rename(self, old: str, new: str) -> None:
        """Rename an index, and in the combinations that use it, in one commit.

        Raises:
            UnknownNameError: no index has the old name.
            InputError: the new one cannot name an index.
            MismatchError: another index has the new one.
        """
        self.check_new(new)
        with self._writing():
            self.index(old)
            if taken := next((row for row in self.indexes() if row.name == new != old), None):
                raise self.another(taken)
            if old != new:
                with self.catalog.writing():
                    self.registry.rename_index(old, new)

    def copy(self, target: Path, progress: Progress) -> CopyReport:
        """Copy the collection as it is now, while others write; see `copying.copy`."""
        return copy(self, target, progress)

    def _size_of_embedding(self, number: int) -> int:
        """Return the bytes of an embedding's files, and of its unfinished refits'."""
        rows = [self.registry.embedding(number), *self.registry.unfinished_refits(number)]
        shards = [shard for row in rows for shard in self.registry.shards(row.number)]
        fitted = sum(row.fitted.digest.size for row in rows)
        return fitted + sum(shard.digest.size for shard in shards)

    def compact(self, progress: Progress) -> CompactReport:
        """Drop what deleted documents left behind; see `compact.compact`."""
        with self._writing():
            return compact(self._writer(), self._sweep, self.size, progress)

    def verify(self, progress: Progress) -> VerifyReport:
        """Check the collection for damage, while readers and a writer continue."""
        while True:
            noted = noted_commit(self.catalog.path)
            try:
                with self.catalog.reading():
                    generation = self.catalog.generation()
                    checker = Checker(self.catalog, self.corpus, self.registry, self.folder)
                    checked = checker.check(self._leftovers(), progress)
                    if lost := lost_commits(self.catalog, noted, checked.leftovers):
                        problems = Problem(str(lost)), *checked.problems
                        checked = replace(checked, problems=problems, leftovers=())
            except DamageError as error:
                return VerifyReport(0, 0, 0, 0, (Problem(str(error)),), ())
            except (TypeError, ValueError, OverflowError) as error:  # a value that we never wrote
                damage = self.catalog.damage(str(error))
                return VerifyReport(0, 0, 0, 0, (Problem(str(damage)),), ())
            # A file may be missing because a writer has replaced it meanwhile.
            if checked.ok or self.catalog.generation() == generation:
                return checked

    def repair(self, encoder: Encoder, progress: Progress) -> RepairReport:
        """Rebuild what can be derived; return what was done and which problems are left.

        `encoder` returns the encoder of an index by name, and raises if its model is missing.
        """
        problems = self.verify(progress).problems
        # Without an intact list of files nothing may be touched.
        try:
            with self._writing() as swept:
                done = [f"removed {shown(path)}, which the catalog does not name" for path in swept]
                done += Repairer(self._writer()).repair(problems, encoder, progress)
                self._sweep()
        except DamageError as error:
            return RepairReport((), (Problem(str(error)),))
        return RepairReport(tuple(done), self.verify(progress).problems)

    def _writer(self, executor: Executor | None = None) -> WriteSession:
        return WriteSession(self.catalog, self.corpus, self.registry, self.folder, executor)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[list[Path]]:
        """Lock out other writers; remove files that do not count, and yield their paths."""
        self.catalog.check_identity()  # or the lock would be taken in another folder of that name
        with writer_lock(self.folder, self._patience):
            yield self._sweep()

    def _sweep(self) -> list[Path]:
        """Remove files that the catalog does not name (left by a crash, or replaced)."""
        noted, unnamed = noted_commit(self.catalog.path), self._leftovers()
        if lost := lost_commits(self.catalog, noted, unnamed):
            raise lost
        return [path for path in unnamed if self._discard(path) and remove_file(path)]

    def _discard(self, path: Path) -> bool:
        """Remove what a file stands for on a server, unless it is in use; return if it is gone."""
        if path.suffix != REMOTE_SUFFIX:
            return True
        rows = [row for row in self.registry.indexes() if remote_engine_of(row.definition)]
        used = {read_remote(self.folder / row.file).reference.name for row in rows if row.file}
        return discard(path, used)

    def _leftovers(self) -> list[Path]:
        return leftovers(self.folder, self.catalog, self.registry)


def is_free(folder: Path) -> bool:
    """Return whether a collection can be created there; see `may_create`."""
    return may_create(folder / CATALOG)
