"""Parameters that an embedder fits on the corpus, such as word frequencies, and refits.

They are kept in a file next to the vectors, and used for all documents until the embedder is refit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.catalog.records import EmbeddingRow, Fitted, NewEmbedding, read_parameters
from indexes.catalog.registry import gaps
from indexes.errors import DamageError
from indexes.pipeline.ann_builder import AnnBuilder, planned
from indexes.pipeline.builder import Builder
from indexes.pipeline.embedding_job import EmbeddingResult
from indexes.pipeline.encoder import Encode
from indexes.pipeline.session import WriteSession
from indexes.progress import Progress
from indexes.storage.files import new_file
from indexes.vectors.shards import keys_of

# From the texts of all passages to the embedding to make. Called by the only writer.
Make = Callable[[Iterator[str]], NewEmbedding]


@dataclass(frozen=True)
class Fitting:
    """Creates and refits embeddings; the caller holds the write lock."""

    writer: WriteSession

    def begin(
        self, name: str, make: Make, definition: Mapping[str, Any], progress: Progress
    ) -> EmbeddingRow:
        """Create an embedding and its first index in one commit, so that a stopped build resumes.

        Fitted parameters are stored before anything is embedded, so that all vectors use the same.
        """
        registry = self.writer.registry
        new = make(self._texts(progress))
        fitted = self._write_parameters(name, new)
        with self.writer.catalog.writing():
            embedding = registry.add_embedding(name, new, fitted)
            registry.set_index(planned(name, embedding, definition))
        return embedding

    def refit(
        self, name: str, old: EmbeddingRow, make: Make, encode: Encode, progress: Progress
    ) -> EmbeddingResult:
        """Refit on the current corpus and embed all of it again; return as `Builder.embed` does.

        Searches use the old vectors until the new ones are complete; then all indexes over them
        change to the new in one commit, with their structures. The next call resumes a stopped one
        if it would fit the same, and starts again if the corpus has changed.

        If a passage with an old vector fails now, nothing changes, so that it stays searchable, and
        the call can be repeated. A passage without an old vector does not prevent the change.
        """
        new = make(self._texts(progress))
        if new.fingerprint == old.fingerprint:
            self._keep_vectors(name, old, new)
            return Builder(self.writer).embed(old, lambda: encode, progress)
        embedding = self._resume_or_start(name, old, new)
        embedded = Builder(self.writer).embed(embedding, lambda: encode, progress)
        if not self._loses(old, embedding):
            self._replace(old, embedding)
        return embedded

    def _loses(self, old: EmbeddingRow, new: EmbeddingRow) -> bool:
        """Return whether a passage has an old vector but could not be embedded again."""
        registry, deleted = self.writer.registry, self.writer.corpus.tombstones()
        left = gaps(registry.shards(new.number), self.writer.corpus.stop_key())
        for row in registry.shards(old.number) if left else ():
            keys = keys_of(row)
            here = np.concatenate([keys[(keys >= first) & (keys < stop)] for first, stop in left])
            if len(np.setdiff1d(here, deleted)):
                return True
        return False

    def _keep_vectors(self, name: str, old: EmbeddingRow, new: NewEmbedding) -> None:
        """Keep vectors that would not change; rewrite only a damaged file of parameters."""
        begun = self.writer.registry.unfinished_refits(old.number)
        if old.attributes == new.attributes and self._is_intact(old) and not begun:
            return
        fitted = old.fitted if self._is_intact(old) else self._write_parameters(name, new)
        with self.writer.catalog.writing():
            self.writer.registry.set_fitted(old.number, fitted, new.attributes)
            for half in begun:
                self.writer.registry.drop_embedding(half.number)

    def _resume_or_start(self, name: str, old: EmbeddingRow, new: NewEmbedding) -> EmbeddingRow:
        """Return the unfinished refit if it would be fitted the same, else start a new one."""
        begun = self.writer.registry.unfinished_refits(old.number)
        for half in begun:
            if half.fingerprint == new.fingerprint and self._is_intact(half):
                return half
        fitted = self._write_parameters(name, new)
        with self.writer.catalog.writing():
            for half in begun:
                self.writer.registry.drop_embedding(half.number)
            return self.writer.registry.add_embedding(old.name, new, fitted, old.number)

    def _replace(self, old: EmbeddingRow, new: EmbeddingRow) -> None:
        registry = self.writer.registry
        rows = [row for row in registry.indexes() if row.embedding == old.number]
        rows = [AnnBuilder(self.writer).over(row, new) for row in rows]
        with self.writer.catalog.writing():
            for row in rows:
                registry.set_index(row)
            registry.replace_embedding(old, new)

    def _write_parameters(self, name: str, new: NewEmbedding) -> Fitted:
        """Write the fitted parameters to a file, which is used once a row names it."""
        if new.parameters is None:
            return Fitted()
        file = f"fitted/{name}-{self.writer.catalog.generation() + 1}.bin"
        with new_file(self.writer.folder / file) as written:
            written.write(new.parameters)
        return Fitted(file, written.digest)

    def _is_intact(self, embedding: EmbeddingRow) -> bool:
        try:
            read_parameters(self.writer.folder, embedding, embedding.name)
        except DamageError:
            return False
        return True

    def _texts(self, progress: Progress) -> Iterator[str]:
        corpus = self.writer.corpus
        total = corpus.count_all_passages()
        for done, passage in enumerate(self.writer.texts(corpus.stop_key()), start=1):
            yield passage.text
            if done % 1_000 == 0 or done == total:
                progress(done, total)
