"""Where an index's vectors come from: its embedder, fitted or loaded, and what is kept of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.catalog.passages import Content
from indexes.catalog.records import (
    FITTING_MEMORY,
    FITTING_SECONDS,
    SIMILARITY,
    SPARSE,
    NewEmbedding,
)
from indexes.neighbors import COSINE
from indexes.pipeline.builder import ReadContents
from indexes.pipeline.distributed import Workers
from indexes.pipeline.encoder import Encode
from indexes.pipeline.executors.base import Executor
from indexes.progress import Peak
from indexes.store import Store
from retriever.embedders.base import (
    IMAGE,
    ChoosesOptions,
    Embedder,
    Fittable,
    HasNotes,
    Matrix,
    is_sparse,
    modalities_of,
    similarity_of,
)
from retriever.indexing.embedder_pool import EmbedderPool, embedder_record, encode
from retriever.indexing.inspection import CHOSEN, IMAGES, UNREACHABLE
from retriever.indexing.workers import DocumentEncoder, WorkerEmbedder, fitted, passages_of_task


@dataclass
class EmbeddingSource:
    """The embedder of an index to be built: fitted on the corpus if needed, loaded if not given."""

    store: Store
    models: EmbedderPool
    embedder: Any
    dtype: str
    executor: Executor | None = None
    refit: bool = False
    # The seconds of the fit, if there was one.
    fitting: float = 0.0

    def make(self, read: ReadContents) -> NewEmbedding:
        """Fit the embedder on the corpus if needed; return what the catalog keeps of it."""
        attributes: dict[str, Any] = {}
        if self.refit or (isinstance(self.embedder, Fittable) and self.embedder.needs_fit):
            started = time.perf_counter()
            with Peak() as peak:
                texts = self._fit(read)
            attributes["fitted"] = {"documents": self.store.count(), "texts": texts}
            self.fitting = attributes[FITTING_SECONDS] = time.perf_counter() - started
            attributes[FITTING_MEMORY] = peak.bytes
        self.models.keep(self.embedder)
        return new_embedding(self.embedder, self.dtype, self.store.folder, attributes)

    def _fit(self, read: ReadContents) -> int:
        """Choose the embedder's options if it does so, and fit it; return the number of texts."""
        loaded = self.embedder
        if isinstance(self.embedder, ChoosesOptions) and self.embedder.needs_choice:
            self.embedder = self.embedder.chosen_for(self.store.corpus.documents())
        contents = read(IMAGE in modalities_of(self.embedder))
        # `zip` draws a number only after a content: the next number is the count of those read.
        numbers = itertools.count()
        read_ones = (content for content, _ in zip(contents, numbers, strict=False))
        passages, folder = self.store.count_passages(), self.store.folder
        own = (passages, folder, self.executor, loaded)
        self.embedder = fitted(self.embedder, read_ones, *own)
        return next(numbers)

    def encode(self, contents: Sequence[Content]) -> tuple[Matrix, dict[str, int]]:
        """Encode documents; see `embedder_pool.encode`."""
        return encode(self.embedder, contents)

    def encoder(self, index: str) -> Encode:
        """Return what embeds documents; load the embedder of an index if none was given."""
        if self.embedder is None:
            self.embedder = self.models.for_documents(index)
        return self.encode

    def workers(self, index: str) -> Workers | None:
        """Return workers that embed documents as `encoder` does; None without an executor."""
        if self.executor is None:
            return None

        def load() -> tuple[DocumentEncoder, int]:
            self.encoder(index)
            made = WorkerEmbedder.of(self.embedder, self.store.folder)
            return DocumentEncoder(made), passages_of_task(self.embedder)

        return Workers(self.executor, load)

    @property
    def notes(self) -> tuple[str, ...]:
        """The embedder's notes, if it was loaded."""
        return tuple(self.embedder.notes) if isinstance(self.embedder, HasNotes) else ()


def new_embedding(
    embedder: Embedder, dtype: str, folder: Path, attributes: Mapping[str, Any]
) -> NewEmbedding:
    """Return what the catalog keeps of an embedder, and of how its vectors are stored."""
    case, similarity = getattr(embedder, "case", None), similarity_of(embedder)
    own: dict[str, Any] = {"case": case} if isinstance(case, str) else {}
    unreachable = getattr(embedder, UNREACHABLE, None)
    if isinstance(unreachable, float):
        own[UNREACHABLE] = unreachable
    if (chosen := getattr(embedder, CHOSEN, None)) is not None:
        own[CHOSEN] = str(chosen)
    if similarity != COSINE:
        own[SIMILARITY] = similarity
    if IMAGE in modalities_of(embedder):
        own[IMAGES] = True
    if is_sparse(embedder):
        own[SPARSE] = True
    return NewEmbedding(
        embedder=embedder_record(embedder, folder),
        model=embedder.name,
        fingerprint=embedder.fingerprint,
        dim=embedder.dim,
        dtype=dtype,
        attributes={**attributes, **own},
        parameters=embedder.parameters if isinstance(embedder, Fittable) else None,
    )
