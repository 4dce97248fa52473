"""Passages that no shard answers for become shards, and shards become search structures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes import ann, lexical
from indexes.blocks import rows_of
from indexes.catalog import Catalog
from indexes.corpus import Corpus, Passage
from indexes.embedding import PEAK_MEMORY, Draft, Drafts, Embedded, Embedding, Pace, Progress
from indexes.encoding import Encode, Encoding, FailedPassage
from indexes.errors import DamageError, FailedText, InputError, RetrieverError
from indexes.files import new_file, seal, verify
from indexes.memory import Peak
from indexes.neighbours import Keys
from indexes.registry import Registry, gaps
from indexes.rows import NOTHING, EmbeddingRow, IndexRow, ShardRow
from indexes.shards import MERGED_BYTES, mergeable, open_shards, rewritten, unpack_keys

__all__ = [
    "PEAK_MEMORY",
    "Builder",
    "Embedded",
    "Encode",
    "Progress",
    "given_up",
    "living_rows",
    "planned",
]

COMMIT_SECONDS = 4.0
BATCH_SECONDS = 2.0
FIRST_BATCH, LARGEST_BATCH = 64, 4096
NO_KEYS: Keys = np.empty(0, np.int64)
# In the report of an index: its structure is to be made again. One that FAISS refused is not.
GIVEN_UP = "given_up"


@dataclass
class Builder:
    """Writes the files of one collection; its caller holds the writer's lock."""

    catalog: Catalog
    corpus: Corpus
    registry: Registry
    folder: Path

    def embed(
        self, embedding: EmbeddingRow, encoder: Callable[[], Encode], progress: Progress
    ) -> Embedded:
        """Embed every passage that has no vector yet; how many those were, and which failed.

        Finished work is committed every few seconds, so that an interrupted call goes on where it
        stopped: what is left to do is read off the keys that the shards answer for. `encoder` is
        called where there is something to do; what it gives is called by one thread at a time, a
        slow one by another than the caller's. Passages that it fails for are left out, for the next
        call to try again; see `Encoding` for when it is given up instead.
        """
        todo = gaps(self.registry.shards(embedding.number), self.corpus.stop_key())
        todo = [gap for gap in todo if self.corpus.count_passages(*gap)]
        if not todo:
            self._merge(embedding)
            return Embedded()
        pace = Pace(FIRST_BATCH, LARGEST_BATCH, BATCH_SECONDS, COMMIT_SECONDS, MERGED_BYTES)
        encoding = Encoding(encoder(), embedding.dim, self._proven(embedding))
        outdated = dict[str, IndexRow]()
        work = Embedding(
            self.corpus,
            encoding,
            Drafts(embedding),
            pace,
            lambda drafts: outdated.update(self._commit_shards(embedding, drafts)),
        )
        work.run(todo, progress)
        self._merge(embedding)
        for row in outdated.values():
            self.build_again(row, embedding)
        return Embedded(work.embedded, self._failed_documents(work.failed), len(work.failed))

    def _proven(self, embedding: EmbeddingRow) -> str | None:
        """A text that has been embedded before; None where there is none."""
        dead = self.corpus.tombstones()
        for shard in self.registry.shards(embedding.number):
            keys = unpack_keys(shard.present, shard.first_key, shard.stop_key)
            for key in np.setdiff1d(keys, dead)[:1].tolist():
                # Damage here is no matter of what is to be embedded now.
                with contextlib.suppress(DamageError):
                    return self.corpus.passages(key, key + 1, 1)[0].text
        return None

    def _failed_documents(self, failed: Sequence[FailedPassage]) -> tuple[FailedText, ...]:
        """The documents of passages that failed, each once, by the reason of the first of these."""
        if not failed:
            return ()
        doc_ids = self.corpus.doc_ids([passage.key for passage in failed])
        reasons: dict[str, str] = {}
        for passage in failed:
            reasons.setdefault(doc_ids[passage.key], passage.reason)
        return tuple(FailedText(doc_id, reason) for doc_id, reason in reasons.items())

    def _commit_shards(
        self, embedding: EmbeddingRow, drafts: Sequence[Draft]
    ) -> dict[str, IndexRow]:
        """Write shards, and let them count from one commit on.

        Structures that end behind one of them have not seen it: it answers for passages that had
        failed. They are given up in the same commit, and are what this gives, by name.
        """
        number = self.registry.next_shard()
        shards = [
            draft.write(number + place, stop_key, self.folder)
            for place, (draft, stop_key) in enumerate(drafts)
        ]
        first_key = min(shard.first_key for shard in shards)
        outdated = {
            row.name: row
            for row in self.registry.indexes()
            if row.embedding == embedding.number and row.file and row.stop_key > first_key
        }
        with self.catalog.writing():
            for shard in shards:
                self.registry.add_shard(shard)
            for row in outdated.values():
                self.registry.set_index(given_up(row, embedding))
        return outdated

    def _merge(self, embedding: EmbeddingRow) -> None:
        """Replace runs of small shards by one: searching then takes fewer, larger steps.

        The old files stay until the next writer sweeps, for readers that are about to open them.
        """
        shards = self.registry.shards(embedding.number)
        boundaries = {
            row.stop_key for row in self.registry.indexes() if row.embedding == embedding.number
        }
        row_bytes = embedding.dim * (2 if embedding.dtype == "float16" else 4)
        for run in list(mergeable(shards, boundaries, row_bytes, self._is_bare)):
            self._rewrite(run, embedding, NO_KEYS)

    def _is_bare(self, first_key: int, stop_key: int) -> bool:
        """Whether no passage has a key of an interval, nor ever will have."""
        return not self.corpus.count_passages(first_key, stop_key)

    def _rewrite(self, run: Sequence[ShardRow], embedding: EmbeddingRow, dead: Keys) -> None:
        shard = rewritten(run, self.registry.next_shard(), embedding, self.folder, dead)
        with self.catalog.writing():
            self.registry.drop_shards(run)
            self.registry.add_shard(shard)

    def compact(self, embedding: EmbeddingRow) -> tuple[int, list[str]]:
        """Take the rows of removed passages out of an embedding's files; how many those were.

        Nothing is embedded. The structures are made anew first: as long as one has a removed row,
        its key must stay known as removed. So are those that are merely behind, having not seen
        all vectors yet. Second come the names of the indexes that lost theirs by it: FAISS could
        not build it over what is left, and they are searched exactly from now on.
        """
        dead = self.corpus.tombstones()
        behind = [
            index
            for index in self.registry.indexes()
            if index.embedding == embedding.number and self._is_behind(index)
        ]
        exact = [index.name for index in behind if not self.build_again(index, embedding)]
        return self._drop_rows(embedding, dead), exact

    def _drop_rows(self, embedding: EmbeddingRow, dead: Keys) -> int:
        """Rewrite the shards that hold rows of the keys in `dead`; how many rows those were."""
        shards = self.registry.shards(embedding.number)
        gone = 0
        for shard in shards:
            keys = unpack_keys(shard.present, shard.first_key, shard.stop_key)
            if here := len(rows_of(dead, keys)):
                self._rewrite([shard], embedding, dead)
                gone += here
        self._merge(embedding)
        return gone

    def build_again(self, index: IndexRow, embedding: EmbeddingRow) -> bool:
        """Build a structure anew over the vectors that there are now; whether they are enough.

        Where they are not, the index is searched exactly until it is built again.
        """
        row = self.structure_over(index, embedding)
        self._set(row)
        return row.file is not None

    def restore(self, embedding: EmbeddingRow, *, but: str) -> None:
        """Build the structures that were given up, but for one that is built anyway.

        A call was stopped before it had made them again; see `_commit_shards`.
        """
        for row in self.registry.of_kind("ann"):
            if row.embedding == embedding.number and GIVEN_UP in row.report and row.name != but:
                self.build_again(row, embedding)

    def structure_over(self, index: IndexRow, embedding: EmbeddingRow) -> IndexRow:
        """An index over an embedding as it is now, whose new file nothing names yet.

        Where it has a structure that FAISS cannot build over so few vectors, it goes without.
        """
        row = planned(index.name, embedding, index.recipe)
        if row.kind == "flat":
            return row
        # FAISS refuses, most often, because there are too few to train on; the caller says it.
        with contextlib.suppress(InputError):
            row = self._build_ann(row, embedding)
        return row

    def _is_behind(self, index: IndexRow) -> bool:
        """Whether a structure lacks living rows, or has others than those."""
        if index.file is None or index.embedding is None:
            return False
        shards = self.registry.shards(index.embedding)
        seen = max((shard.stop_key for shard in shards), default=1)
        return index.stop_key != seen or index.rows != living_rows(self.corpus, shards)

    def index(self, name: str, embedding: EmbeddingRow, recipe: Mapping[str, Any]) -> IndexRow:
        """Build the index of that name over an embedding, or leave it where it has seen all.

        Without a factory in its recipe, searching goes straight through the shards.
        """
        old = next((row for row in self.registry.indexes() if row.name == name), None)
        row = planned(name, embedding, recipe)
        if old and self._is_current(old, row, embedding):
            if old.recipe != row.recipe:
                self._set(replace(old, recipe=row.recipe))
            return self.registry.index(name)
        if row.kind == "ann":
            row = self._build_ann(row, embedding)
        self._set(row)
        return self.registry.index(name)

    def index_beside(
        self, embedded: Embedded, name: str, embedding: EmbeddingRow, recipe: Mapping[str, Any]
    ) -> tuple[IndexRow, Embedded]:
        """`index`, and what was embedded before it; with why it is not built, where texts failed.

        Raises:
            InputError: FAISS refuses to build it, and no text failed.
        """
        try:
            return self.index(name, embedding, recipe), embedded
        except RetrieverError as error:
            if not embedded.failed:
                raise
            return planned(name, embedding, recipe), replace(embedded, unbuilt=error)

    def _set(self, row: IndexRow) -> None:
        with self.catalog.writing():
            self.registry.set_index(row)

    def _is_current(self, old: IndexRow, new: IndexRow, embedding: EmbeddingRow) -> bool:
        factories = old.recipe.get("factory"), new.recipe.get("factory")
        same = (old.embedding, factories[0]) == (new.embedding, factories[1])
        seen = max((s.stop_key for s in self.registry.shards(embedding.number)), default=1)
        return same and (old.kind == "flat" or (old.stop_key == seen and self._is_whole(old)))

    def words(
        self, name: str, language: str, progress: Progress, *, anew: bool = False
    ) -> IndexRow:
        """Build the BM25 index of that name over all texts, or leave it where it has read all.

        Always from the start: its scores go by how often words are in the corpus, and so are those
        of an index that was built at once.
        """
        old = next((row for row in self.registry.indexes() if row.name == name), None)
        if old and not anew and self._has_read_all(old):
            return old
        stop, total = self.corpus.stop_key(), self.corpus.count_all_passages()
        generation = self.catalog.generation() + 1
        file = f"lexical/{name}-{generation}"
        started = time.perf_counter()
        with Peak() as peak:
            rows = lexical.build(
                self.folder / file, language, self.texts(stop), lambda done: progress(done, total)
            )
        row = replace(
            NOTHING,
            name=name,
            kind="lexical",
            recipe={"language": language},
            generation=generation,
            stop_key=stop,
            rows=rows,
            file=file,
            sealed=seal(self.folder / file),
            seconds=time.perf_counter() - started,
            report={PEAK_MEMORY: peak.bytes},
        )
        self._set(row)
        return self.registry.index(name)

    def words_again(self, progress: Progress) -> None:
        """Build every BM25 index anew that has not seen all texts, or holds removed ones."""
        for row in self.registry.of_kind("lexical"):
            self.words(row.name, str(row.recipe["language"]), progress)

    def _has_read_all(self, index: IndexRow) -> bool:
        there = self.corpus.count_passages(1, index.stop_key)
        current = index.stop_key == self.corpus.stop_key() and index.rows == there
        return current and self._is_whole(index)

    def texts(self, stop_key: int) -> Iterator[Passage]:
        """All passages before a key, in key order, read a few thousand at a time."""
        position = 1
        while batch := self.corpus.passages(position, stop_key, LARGEST_BATCH):
            yield from batch
            position = batch[-1].key + 1

    def _is_whole(self, index: IndexRow) -> bool:
        """Whether an index has its file, undamaged: it can be made again from what there is."""
        try:
            verify(self.folder / str(index.file), index.sealed)
        except DamageError:
            return False
        return index.file is not None

    def _build_ann(self, planned: IndexRow, embedding: EmbeddingRow) -> IndexRow:
        shards = self.registry.shards(embedding.number)
        dead = self.corpus.tombstones()
        blocks = open_shards(shards, embedding, self.folder)
        started = time.perf_counter()
        with Peak() as peak:
            index = ann.build(planned.recipe["factory"], embedding.dim, blocks, dead)
        seconds = time.perf_counter() - started
        generation = self.catalog.generation() + 1
        file = f"ann/{planned.name}-{generation}.faiss"
        with new_file(self.folder / file) as new:
            index.write(new.write)
        return replace(
            planned,
            generation=generation,
            stop_key=max((shard.stop_key for shard in shards), default=1),
            rows=index.rows,
            file=file,
            sealed=new.sealed,
            seconds=seconds,
            report={PEAK_MEMORY: peak.bytes},
        )


def living_rows(corpus: Corpus, shards: Sequence[ShardRow]) -> int:
    """How many passages an embedding can find, by the catalog alone: no file is opened."""
    dead = corpus.tombstones()
    return sum(
        shard.rows - len(rows_of(dead, unpack_keys(shard.present, shard.first_key, shard.stop_key)))
        for shard in shards
    )


def planned(
    name: str, embedding: EmbeddingRow, recipe: Mapping[str, Any] | None = None
) -> IndexRow:
    """An index without a file yet, searched straight from the shards until it has one.

    In its recipe, `factory` is a FAISS factory string; the rest is its owner's.
    """
    recipe = recipe or {}
    kind = "ann" if "factory" in recipe else "flat"
    return replace(NOTHING, name=name, kind=kind, embedding=embedding.number, recipe=recipe)


def given_up(index: IndexRow, embedding: EmbeddingRow) -> IndexRow:
    """An index whose structure does not count any more, until it is built again."""
    return replace(planned(index.name, embedding, index.recipe), report={GIVEN_UP: 1})
