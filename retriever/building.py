"""How an index comes to be, or is brought up to date: of vectors, of words, of other indexes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.builder import Progress
from indexes.errors import InputError, MismatchError
from indexes.registry import EmbeddingRow, IndexRow, another_index
from indexes.store import Store
from retriever.embedders import Embedder, TextReport
from retriever.info import BuildReport, embedding_seconds, text_report
from retriever.models import Models, encode
from retriever.provenance import check_same, facts_of

__all__ = ["DEFAULT_LANGUAGE", "Building", "Wanted", "refuse_text"]

DTYPES = ("float32", "float16")
DEFAULT_LANGUAGE = "english"


@dataclass(frozen=True)
class Wanted:
    """What a call of `build` asked for; see `Collection.build`."""

    embedder: Embedder | None = None
    vectors: str | None = None
    ann: str | None = None
    dtype: str | None = None
    lexical: bool = False
    language: str | None = None

    @property
    def nothing_of_vectors(self) -> bool:
        """Whether it says nothing that only an index of vectors has."""
        own = (self.embedder, self.vectors, self.ann, self.dtype)
        return all(one is None for one in own)


@dataclass(frozen=True)
class Building:
    """Builds the indexes of one collection."""

    store: Store
    models: Models

    def build(self, name: str, wanted: Wanted, progress: Progress) -> BuildReport:
        """Build an index, or bring one up to date; see `Collection.build`."""
        if not self.store.count():
            raise InputError(
                f"{self.store.folder}/ has no documents yet. Add some first: "
                f"retriever add {self._quoted} FILE"
            )
        there = {row.name: row for row in self.store.indexes()}.get(name)
        by_name = wanted.nothing_of_vectors
        if wanted.lexical or (there and there.kind == "lexical" and by_name):
            if not by_name:
                raise InputError("BM25 has no vectors: leave out embedder, vectors, ann and dtype.")
            return self._words(name, there, wanted.language, progress)
        if wanted.language is not None:
            raise InputError("A language is for BM25: give --lexical (lexical=True) with it.")
        if there and there.parts and by_name:
            return self._parts(there, progress)
        if there and there.embedding is None:
            raise another_index(self.store.folder, there)
        return self._vectors(name, there, wanted, progress)

    def combine(self, name: str, parts: Sequence[str], recipe: Mapping[str, Any]) -> BuildReport:
        """Name a combination of indexes; see `Collection.fuse` and `Collection.cascade`."""
        self.store.check_new(name)
        if len(set(parts)) < len(parts):
            raise InputError(f"An index is named twice: {', '.join(parts)}.")
        self.store.combine(name, parts, recipe)
        return BuildReport(name, 0, self.store.count_passages(), 0.0, 0.0, TextReport())

    def _words(
        self, name: str, there: IndexRow | None, language: str | None, progress: Progress
    ) -> BuildReport:
        self.store.check_new(name)
        known = str(there.recipe.get("language", "")) if there else ""
        row = self.store.build_words(name, language or known or DEFAULT_LANGUAGE, progress)
        return BuildReport(
            name=name,
            embedded=0,
            already=self.store.count_passages(),
            embedding_seconds=0.0,
            indexing_seconds=0.0 if row == there else row.seconds,
            text=TextReport(),
        )

    def _parts(self, index: IndexRow, progress: Progress) -> BuildReport:
        reports = [self.build(part, Wanted(), progress) for part in index.parts]
        embedded = sum(report.embedded for report in reports)
        return BuildReport(
            name=index.name,
            embedded=embedded,
            already=max(0, self.store.count_passages() - embedded),
            embedding_seconds=sum(report.embedding_seconds for report in reports),
            indexing_seconds=sum(report.indexing_seconds for report in reports),
            text=TextReport(),
        )

    def _vectors(
        self, name: str, there: IndexRow | None, wanted: Wanted, progress: Progress
    ) -> BuildReport:
        embedder, vectors, ann, dtype = wanted.embedder, wanted.vectors, wanted.ann, wanted.dtype
        if embedder is not None and not isinstance(embedder, Embedder):
            kind = type(embedder).__name__
            raise InputError(
                f"The embedder is {kind}; expected an object with name, dim, fingerprint, "
                "encode_documents and encode_queries, such as StaticEmbedder('glove-6b-50d')."
            )
        if dtype is not None and dtype not in DTYPES:
            raise InputError(f"dtype is {dtype!r}; expected one of: {', '.join(DTYPES)}.")
        plan = self._plan(name, embedder, vectors, ann)
        if plan.embedding and dtype not in (None, plan.embedding.dtype):
            raise MismatchError(
                f"The vectors of '{vectors or name}' are stored as {plan.embedding.dtype}, not "
                f"{dtype}. Leave dtype out, or build another index with an embedder."
            )
        self.store.check_new(name, factory=plan.factory, dim=plan.dim)
        if plan.embedder:
            self.models.keep(plan.embedder)
        seconds = embedding_seconds(self.store, plan.embedding) if plan.embedding else 0.0
        index, embedded = self.store.build(
            name,
            embedding=plan.embedding,
            new_embedding=facts_of(plan.embedder, dtype or DTYPES[0]) if plan.embedder else None,
            factory=plan.factory,
            encode=lambda texts: encode(plan.embedder or self.models.of(vectors or name), texts),
            progress=progress,
        )
        embedding = self.store.embedding(name)
        return BuildReport(
            name=name,
            embedded=embedded,
            already=self.store.count_passages() - embedded,
            embedding_seconds=embedding_seconds(self.store, embedding) - seconds,
            indexing_seconds=0.0 if index == there else index.seconds,
            text=text_report(self.store, embedding),
        )

    def _plan(
        self, name: str, embedder: Embedder | None, vectors: str | None, ann: str | None
    ) -> _Plan:
        """What to build on: an index that is there, another's vectors, or a new embedding."""
        if name in [row.name for row in self.store.indexes()]:
            return self._plan_again(name, embedder, vectors, ann)
        if (embedder is None) == (vectors is None):
            raise InputError(
                f"Say how to build '{name}': either --embedder KIND:MODEL (an embedder), "
                "or --vectors INDEX to share another index's vectors, or --lexical for BM25."
            )
        if embedder is not None:
            return _Plan(embedder, None, ann)
        return _Plan(None, self.store.embedding(str(vectors)), ann)

    def _plan_again(
        self, name: str, embedder: Embedder | None, vectors: str | None, ann: str | None
    ) -> _Plan:
        index, embedding = self.store.index(name), self.store.embedding(name)
        if embedder is not None:
            check_same(name, embedding, embedder)
        has = index.recipe.get("factory", "Flat")
        shares = vectors is None or self.store.embedding(vectors).number == embedding.number
        # A structure that FAISS refused or that was cut short may be exchanged for another.
        settled = index.kind == "flat" or index.file is not None
        if not shares or (settled and ann not in (None, has)):
            raise MismatchError(
                f"Index '{name}' is there already ({has} over {embedding.model}). "
                f"Choose another name, or first: retriever drop {self._quoted} {name}"
            )
        return _Plan(embedder, embedding, ann or has)

    @property
    def _quoted(self) -> str:
        """The folder as a shell takes it, for advice."""
        return shlex.quote(str(self.store.folder))


@dataclass(frozen=True)
class _Plan:
    """How to build: with a new embedder, or on an embedding that there is; its own embedder is
    loaded only when there is something to embed.
    """

    embedder: Embedder | None
    embedding: EmbeddingRow | None
    ann: str | None

    @property
    def factory(self) -> str | None:
        """The FAISS factory string; None for exact search."""
        return None if self.ann == "Flat" else self.ann

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        known = self.embedder or self.embedding
        return known.dim if known else 0


def refuse_text(what: str, given: object) -> None:
    """Refuse one text where a list of names belongs."""
    if isinstance(given, str):
        raise InputError(f"The {what} are one text, '{given}'; expected a list of names.")
