"""Builds of BM25 indexes over all texts."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from indexes.catalog.records import LEXICAL, NOTHING, IndexRow
from indexes.lexical import deleted
from indexes.lexical.bm25 import READING
from indexes.lexical.options import LexicalOptions
from indexes.lexical.segments import Source, build
from indexes.pipeline.session import WriteSession
from indexes.progress import PEAK_MEMORY, Peak, Progress
from indexes.storage.files import digest_of


@dataclass(frozen=True)
class Bm25Builder:
    """Builds the BM25 indexes of one collection; the caller holds the write lock."""

    writer: WriteSession

    def build(
        self,
        name: str,
        options: LexicalOptions,
        progress: Progress,
        *,
        rebuild: bool = False,
        drop: bool = False,
    ) -> IndexRow:
        """Build a BM25 index over all texts, unless it has read all; return its row.

        Of an intact one, only the intervals of keys that have changed are read again, unless
        `rebuild`; see `segments`. With `drop`, it holds no deleted passage, hidden or not.
        """
        registry, folder, corpus = self.writer.registry, self.writer.folder, self.writer.corpus
        old = next((row for row in registry.indexes() if row.name == name), None)
        intact = old is not None and not rebuild and self.writer.is_intact(old)
        kept = folder / str(old.file) if old and intact else None
        holds_deleted = drop and kept and deleted.read(kept).keys
        if old and kept and self._has_read_all(old) and not holds_deleted:
            return old
        stop = corpus.stop_key()
        total = corpus.count_texts(1, stop)
        generation = self.writer.catalog.generation() + 1
        file = f"lexical/{name}-{generation}"
        started = time.perf_counter()
        with Peak() as peak:
            rows = build(
                folder / file,
                options,
                Source(self.writer.texts, corpus.count_texts, corpus.text_keys, stop),
                lambda done: progress(done, total),
                kept,
                drop=drop,
            )
        row = replace(
            NOTHING,
            name=name,
            kind=LEXICAL.name,
            definition={**options.definition, "text": READING},
            generation=generation,
            stop_key=stop,
            rows=rows,
            file=file,
            digest=digest_of(folder / file),
            seconds=time.perf_counter() - started,
            report={PEAK_MEMORY: peak.bytes},
        )
        self.writer.set_index(row)
        return registry.index(name)

    def compact(self, progress: Progress) -> None:
        """Rebuild every BM25 index that has not read all texts, or holds deleted ones."""
        for row in self.writer.registry.of_kind(LEXICAL.name):
            self.build(row.name, LexicalOptions.of(row.definition), progress, drop=True)

    def _has_read_all(self, index: IndexRow) -> bool:
        corpus, stop = self.writer.corpus, index.stop_key
        current = stop == corpus.stop_key() and index.rows == corpus.count_texts(1, stop)
        return current and index.definition.get("text") == READING
