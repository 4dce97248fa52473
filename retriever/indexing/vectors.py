"""How an index of vectors comes to be: embedded, over vectors that are there, or fitted anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.catalog.records import EmbeddingRow, IndexRow, NewEmbedding
from indexes.errors import InputError
from indexes.pipeline.encoder import Encode
from indexes.progress import Progress
from indexes.store import Store
from retriever.embedders import Embedder
from retriever.embedders.base import Fittable, HasNotes, Matrix
from retriever.indexing.embedder_pool import EmbedderPool, encode
from retriever.indexing.fingerprints import QUERIES, new_embedding
from retriever.indexing.info import BuildReport
from retriever.indexing.plan import DTYPES, BuildRequest, Planner
from retriever.indexing.report import Before, build_report, raise_if_failed


@dataclass(frozen=True)
class VectorBuilding:
    """Builds the indexes of vectors of one collection."""

    store: Store
    models: EmbedderPool

    def build(
        self, name: str, there: IndexRow | None, wanted: BuildRequest, progress: Progress
    ) -> BuildReport:
        """Build an index of vectors, or bring one up to date; see `Collection.build`."""
        plan = Planner(self.store, self.models).plan(name, wanted)
        self.store.check_new(name, factory=plan.definition.get("factory"), dim=plan.dim)
        before = Before.of(self.store, there, plan.embedding)
        maker = _Maker(self.store, self.models, plan.embedder, wanted.dtype or DTYPES[0])
        of = wanted.vectors or name
        index, embedded = self.store.build(
            name,
            embedding=plan.embedding,
            make=maker.make,
            definition=plan.definition,
            encoder=lambda: maker.encoder(of),
            progress=progress,
        )
        report = build_report(self.store, of, index, embedded, before, maker.notes)
        return raise_if_failed(self.store, report, embedded.failed, unbuilt=embedded.unbuilt)

    def refit(self, name: str, given: Embedder | None, progress: Progress) -> BuildReport:
        """Fit an index's embedder anew, and embed all again; see `Collection.build`.

        Raises:
            FailedTextsError: some texts could not be embedded anew. Where the old vectors have
                them, those go on answering.
        """
        embedding, there = self.store.embedding(name), self.store.index(name)
        embedder = self.models.to_fit(name, given)
        self._check_pupils(embedding)
        before = Before.of(self.store, there, embedding)
        maker = _Maker(self.store, self.models, embedder, embedding.dtype, refit=True)
        index, embedded = self.store.refit(name, embedding, maker.make, maker.encode, progress)
        if self.store.embedding(name).number != embedding.number:
            before = Before(there)
        report = build_report(self.store, name, index, embedded, before, maker.notes)
        half = self.store.is_refitting(self.store.embedding(name))
        return raise_if_failed(
            self.store, report, embedded.failed, half=half, unbuilt=embedded.unbuilt
        )

    def _check_pupils(self, embedding: EmbeddingRow) -> None:
        """Refuse to change vectors that others' queries are made for."""
        pupils = [
            row.name
            for row in self.store.indexes()
            if row.embedding == embedding.number and QUERIES in row.definition
        ]
        if pupils:
            raise InputError(
                f"The queries of {', '.join(pupils)} are encoded for the vectors that "
                f"'{embedding.name}' has now, and would not fit others. Drop what is asked in "
                "that way first, and distil anew afterwards."
            )


@dataclass
class _Maker:
    """An embedder on its way into a collection: fitted on its texts where it has to be."""

    store: Store
    models: EmbedderPool
    embedder: Any
    dtype: str
    refit: bool = False

    def make(self, texts: Iterator[str]) -> NewEmbedding:
        """What the catalog keeps of it, when it was fitted on the texts."""
        attributes: dict[str, Any] = {}
        if self.refit or (isinstance(self.embedder, Fittable) and self.embedder.needs_fit):
            read = _Counted(texts)
            self.embedder = self.embedder.fitted(read)
            attributes["fitted"] = {"documents": self.store.count(), "texts": read.count}
        self.models.keep(self.embedder)
        return new_embedding(self.embedder, self.dtype, self.store.folder, attributes)

    def encode(self, texts: Sequence[str]) -> tuple[Matrix, dict[str, int]]:
        """The vectors of documents; see `models.encode`."""
        return encode(self.embedder, texts)

    def encoder(self, index: str) -> Encode:
        """What embeds documents: the embedder of an index is loaded where none was given."""
        if self.embedder is None:
            self.embedder = self.models.of(index)
        return self.encode

    @property
    def notes(self) -> tuple[str, ...]:
        """What the embedder has to say, where it was loaded."""
        return tuple(self.embedder.notes) if isinstance(self.embedder, HasNotes) else ()


@dataclass
class _Counted:
    """Some texts, counted while they are read."""

    texts: Iterator[str]
    count: int = 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.count += 1
            yield text
