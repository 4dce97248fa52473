"""What is fitted on a corpus: kept in a file beside the vectors that depend on it, or fitted anew.

How often words occur, say: an embedder that weighs words by it gives other vectors in another
corpus. What it has fitted is used unchanged for what is added later, until somebody fits it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.catalog.fitted import read_parameters
from indexes.catalog.records import EmbeddingRow, Fitted, NewEmbedding
from indexes.catalog.registry import gaps
from indexes.errors import DamageError
from indexes.pipeline.ann_builder import AnnBuilder, planned
from indexes.pipeline.builder import Builder
from indexes.pipeline.embedding_job import EmbeddingResult, Progress
from indexes.pipeline.encoder import Encode
from indexes.pipeline.session import WriteSession
from indexes.storage.files import new_file
from indexes.vectors.shards import unpack_keys

# The text of every passage in; what to embed them with out. Called by the only writer.
Make = Callable[[Iterator[str]], NewEmbedding]


@dataclass(frozen=True)
class Fitting:
    """Begins embeddings, fitted where they are; its caller holds the writer's lock."""

    writer: WriteSession

    def begin(
        self, name: str, make: Make, definition: Mapping[str, Any], progress: Progress
    ) -> EmbeddingRow:
        """A new embedding with its first index, in one commit: a build that stops is found again.

        What was fitted is kept before anything is embedded, so that all is embedded by the same.
        """
        registry = self.writer.registry
        new = make(self._texts(progress))
        fitted = self._keep(name, new)
        with self.writer.catalog.writing():
            embedding = registry.add_embedding(name, new, fitted)
            registry.set_index(planned(name, embedding, definition))
        return embedding

    def refit(
        self, name: str, old: EmbeddingRow, make: Make, encode: Encode, progress: Progress
    ) -> EmbeddingResult:
        """Fit anew on the corpus as it is, and embed it all again; what `Builder.embed` says of it.

        The old vectors answer until the new ones are whole; then all indexes over them change to
        the new in one commit, with their structures. A call that was stopped goes on as long as it
        would fit the same, and begins again where the corpus has changed.

        A passage that failed now, and is found by its old vector, must not be lost: then nothing
        changes, and the call can be made again. One that the old ones lack, too, holds up nothing.
        """
        new = make(self._texts(progress))
        if new.fingerprint == old.fingerprint:
            self._keep_again(name, old, new)
            return Builder(self.writer).embed(old, lambda: encode, progress)
        embedding = self._begin_again(name, old, new)
        embedded = Builder(self.writer).embed(embedding, lambda: encode, progress)
        if not self._loses(old, embedding):
            self._change(old, embedding)
        return embedded

    def _loses(self, old: EmbeddingRow, new: EmbeddingRow) -> bool:
        """Whether a passage has an old vector, and could not be embedded anew."""
        registry, deleted = self.writer.registry, self.writer.corpus.tombstones()
        left = gaps(registry.shards(new.number), self.writer.corpus.stop_key())
        for row in registry.shards(old.number) if left else ():
            keys = unpack_keys(row.present, row.first_key, row.stop_key)
            here = np.concatenate([keys[(keys >= first) & (keys < stop)] for first, stop in left])
            if len(np.setdiff1d(here, deleted)):
                return True
        return False

    def _keep_again(self, name: str, old: EmbeddingRow, new: NewEmbedding) -> None:
        """The vectors are what they would be: only the file is made again, where it is damaged."""
        if old.attributes == new.attributes and self._is_whole(old) and not self._begun(old):
            return
        fitted = old.fitted if self._is_whole(old) else self._keep(name, new)
        with self.writer.catalog.writing():
            self.writer.registry.set_fitted(old.number, fitted, new.attributes)
            for half in self._begun(old):
                self.writer.registry.drop_embedding(half.number)

    def _begin_again(self, name: str, old: EmbeddingRow, new: NewEmbedding) -> EmbeddingRow:
        """What was begun before, where it would be fitted the same; else from the start."""
        begun = self._begun(old)
        for half in begun:
            if half.fingerprint == new.fingerprint and self._is_whole(half):
                return half
        fitted = self._keep(name, new)
        with self.writer.catalog.writing():
            for half in begun:
                self.writer.registry.drop_embedding(half.number)
            return self.writer.registry.add_embedding(old.name, new, fitted, old.number)

    def _change(self, old: EmbeddingRow, new: EmbeddingRow) -> None:
        registry = self.writer.registry
        rows = [row for row in registry.indexes() if row.embedding == old.number]
        rows = [AnnBuilder(self.writer).over(row, new) for row in rows]
        with self.writer.catalog.writing():
            for row in rows:
                registry.set_index(row)
            registry.replace_embedding(old, new)

    def _begun(self, old: EmbeddingRow) -> list[EmbeddingRow]:
        return self.writer.registry.begun(old.number)

    def _keep(self, name: str, new: NewEmbedding) -> Fitted:
        """What was fitted as a file, whole on the disk, which counts once a row names it."""
        if new.parameters is None:
            return Fitted()
        file = f"fitted/{name}-{self.writer.catalog.generation() + 1}.bin"
        with new_file(self.writer.folder / file) as written:
            written.write(new.parameters)
        return Fitted(file, written.digest)

    def _is_whole(self, embedding: EmbeddingRow) -> bool:
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
