"""How an index of vectors comes to be: embedded, over vectors that are there, or fitted anew."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexes.builder import Embedded, Encode, Progress
from indexes.errors import (
    FailedText,
    FailedTextsError,
    InputError,
    MismatchError,
    RetrieverError,
    counted,
)
from indexes.rows import EmbeddingRow, IndexRow, NewEmbedding
from indexes.store import Store
from retriever.embedders import Embedder, TextReport
from retriever.embedders.base import Fittable, Matrix, Noting
from retriever.info import (
    BuildReport,
    embedding_seconds,
    fitted_texts,
    read_since,
    text_report,
)
from retriever.models import Models, encode
from retriever.provenance import QUERIES, check_same, new_embedding

__all__ = ["VectorBuilding", "Wanted", "check_dtype", "checked"]

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Wanted:
    """What a call of `build` asked for; see `Collection.build`."""

    embedder: Embedder | None = None
    vectors: str | None = None
    ann: str | None = None
    dtype: str | None = None
    lexical: bool = False
    language: str | None = None
    queries_by: str | None = None
    refit: bool = False

    @property
    def nothing_of_vectors(self) -> bool:
        """Whether it says nothing that only an index of vectors has."""
        own = (self.embedder, self.vectors, self.ann, self.dtype, self.queries_by)
        return all(one is None for one in own)


@dataclass(frozen=True)
class VectorBuilding:
    """Builds the indexes of vectors of one collection."""

    store: Store
    models: Models

    def build(
        self, name: str, there: IndexRow | None, wanted: Wanted, progress: Progress
    ) -> BuildReport:
        """Build an index of vectors, or bring one up to date; see `Collection.build`."""
        _check(wanted)
        plan = self._plan(name, wanted)
        if plan.embedding and wanted.dtype not in (None, plan.embedding.dtype):
            raise MismatchError(
                f"The vectors of '{wanted.vectors or name}' are stored as "
                f"{plan.embedding.dtype}, not {wanted.dtype}. "
                "Leave dtype out, or build another index with an embedder."
            )
        self.store.check_new(name, factory=plan.recipe.get("factory"), dim=plan.dim)
        before = _Before.of(self.store, plan.embedding)
        maker = _Maker(self.store, self.models, plan.embedder, wanted.dtype or DTYPES[0])
        of = wanted.vectors or name
        index, embedded = self.store.build(
            name,
            embedding=plan.embedding,
            make=maker.make,
            recipe=plan.recipe,
            encoder=lambda: maker.encoder(of),
            progress=progress,
        )
        report = self._report(of, index, there, embedded, before, maker.notes)
        return checked(self.store, report, embedded.failed, unbuilt=embedded.unbuilt)

    def refit(self, name: str, given: Embedder | None, progress: Progress) -> BuildReport:
        """Fit an index's embedder anew, and embed all again; see `Collection.build`.

        Raises:
            FailedTextsError: some texts could not be embedded anew. Where the old vectors have
                them, those go on answering.
        """
        embedding, there = self.store.embedding(name), self.store.index(name)
        embedder = self.models.to_fit(name, given)
        self._check_pupils(embedding)
        before = _Before.of(self.store, embedding)
        maker = _Maker(self.store, self.models, embedder, embedding.dtype, refit=True)
        index, embedded = self.store.refit(name, embedding, maker.make, maker.encode, progress)
        if self.store.embedding(name).number != embedding.number:
            before = _Before()
        report = self._report(name, index, there, embedded, before, maker.notes)
        half = self.store.is_refitting(self.store.embedding(name))
        return checked(self.store, report, embedded.failed, half=half, unbuilt=embedded.unbuilt)

    def _report(
        self,
        of: str,
        index: IndexRow,
        there: IndexRow | None,
        embedded: Embedded,
        before: _Before,
        notes: tuple[str, ...],
    ) -> BuildReport:
        embedding = self.store.embedding(of)
        text = text_report(self.store, embedding)
        there_before = self.store.count_passages() - embedded.count - embedded.failed_passages
        return BuildReport(
            name=index.name,
            embedded=embedded.count,
            already=max(0, there_before),
            embedding_seconds=embedding_seconds(self.store, embedding) - before.seconds,
            indexing_seconds=0.0 if index == there else index.seconds,
            text=text,
            fitted_texts=fitted_texts(embedding),
            read=read_since(before.text, text),
            notes=notes,
        )

    def _check_pupils(self, embedding: EmbeddingRow) -> None:
        """Refuse to change vectors that others' queries are made for."""
        pupils = [
            row.name
            for row in self.store.indexes()
            if row.embedding == embedding.number and QUERIES in row.recipe
        ]
        if pupils:
            raise InputError(
                f"The queries of {', '.join(pupils)} are encoded for the vectors that "
                f"'{embedding.name}' has now, and would not fit others. Drop what is asked in "
                "that way first, and distil anew afterwards."
            )

    def _plan(self, name: str, wanted: Wanted) -> _Plan:
        """What to build on: an index that is there, another's vectors, or a new embedding."""
        if name in [row.name for row in self.store.indexes()]:
            return self._plan_again(name, wanted)
        if (wanted.embedder is None) == (wanted.vectors is None):
            raise InputError(
                f"Say how to build '{name}': either --embedder KIND:MODEL (an embedder), "
                "or --vectors INDEX to share another index's vectors, or --lexical for BM25."
            )
        recipe = _recipe(wanted.ann)
        if wanted.embedder is not None:
            if wanted.queries_by is not None:
                raise InputError(
                    "--queries-by (queries_by) belongs to --vectors INDEX: it encodes queries for "
                    "vectors that are there."
                )
            return _Plan(wanted.embedder, None, recipe)
        embedding = self.store.embedding(str(wanted.vectors))
        if wanted.queries_by is not None:
            of, by = str(wanted.vectors), wanted.queries_by
            recipe |= {QUERIES: self.models.for_queries_of(of, embedding, by)}
        return _Plan(None, embedding, recipe)

    def _plan_again(self, name: str, wanted: Wanted) -> _Plan:
        index, embedding = self.store.index(name), self.store.embedding(name)
        embedder = wanted.embedder
        if embedder is not None:
            embedder = self.models.as_fitted(name, embedder)
            check_same(name, embedding, embedder)
            self.models.keep(embedder)
        has = index.recipe.get("factory", "Flat")
        by = index.recipe.get(QUERIES, {}).get("name")
        vectors = wanted.vectors
        shares = vectors is None or self.store.embedding(vectors).number == embedding.number
        # A structure that FAISS refused or that was cut short may be exchanged for another.
        settled = index.kind == "flat" or index.file is not None
        other = not shares or (settled and wanted.ann not in (None, has))
        if other or wanted.queries_by not in (None, by):
            queries = f", queries by {by}" if by else ""
            raise MismatchError(
                f"Index '{name}' is there already ({has} over {embedding.model}{queries}). "
                f"Choose another name, or first: retriever drop {self._quoted} {name}"
            )
        recipe = _recipe(wanted.ann or has)
        if QUERIES in index.recipe:
            recipe[QUERIES] = index.recipe[QUERIES]
        if wanted.queries_by is not None:
            # Named again, the model is taken as it is now.
            recipe[QUERIES] = self.models.for_queries_of(name, embedding, wanted.queries_by)
        return _Plan(embedder, embedding, recipe)

    @property
    def _quoted(self) -> str:
        """The folder as a shell takes it, for advice."""
        return shlex.quote(str(self.store.folder))


@dataclass
class _Maker:
    """An embedder on its way into a collection: fitted on its texts where it has to be."""

    store: Store
    models: Models
    embedder: Any
    dtype: str
    refit: bool = False

    def make(self, texts: Iterator[str]) -> NewEmbedding:
        """What the catalog keeps of it, when it was fitted on the texts."""
        facts: dict[str, Any] = {}
        if self.refit or (isinstance(self.embedder, Fittable) and self.embedder.needs_fit):
            read = _Counted(texts)
            self.embedder = self.embedder.fitted(read)
            facts["fitted"] = {"documents": self.store.count(), "texts": read.count}
        self.models.keep(self.embedder)
        return new_embedding(self.embedder, self.dtype, self.store.folder, facts)

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
        return tuple(self.embedder.notes) if isinstance(self.embedder, Noting) else ()


@dataclass(frozen=True)
class _Before:
    """What had been embedded before a build, and how long that had taken."""

    seconds: float = 0.0
    text: TextReport = field(default_factory=TextReport)

    @classmethod
    def of(cls, store: Store, embedding: EmbeddingRow | None) -> _Before:
        if embedding is None:
            return cls()
        return cls(embedding_seconds(store, embedding), text_report(store, embedding))


@dataclass
class _Counted:
    """Some texts, counted while they are read."""

    texts: Iterator[str]
    count: int = 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.count += 1
            yield text


@dataclass(frozen=True)
class _Plan:
    """How to build: with a new embedder, or on an embedding that there is; its own embedder is
    loaded only when there is something to embed.
    """

    embedder: Embedder | None
    embedding: EmbeddingRow | None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        known = self.embedder or self.embedding
        return known.dim if known else 0


def checked(
    store: Store,
    report: BuildReport,
    failed: Sequence[FailedText],
    *,
    half: bool = False,
    unbuilt: Exception | None = None,
    name: str = "",
) -> BuildReport:
    """The report of a build, unless some texts failed in it; `half`: so the old vectors stay.

    `unbuilt` is why, besides, the index or its part `name` could not be built.

    Raises:
        FailedTextsError: they did; all else was done, but for what is `unbuilt`.
    """
    if not failed:
        return report
    again = f"retriever build {shlex.quote(str(store.folder))} {report.name}"
    were = "was" if report.embedded == 1 else "were"
    done = f"{counted(report.embedded, 'passage')} {were}"
    if half:
        again += " --refit"
        done += ". What was there before answers until all are"
    there = report.name in [row.name for row in store.indexes()]
    advice = "Change or delete them, or run the same again" + (f": {again}" if there else ".")
    if unbuilt is not None:
        advice += f"\nBesides, '{name or report.name}' could not be built: {_said(unbuilt)}"
    raise FailedTextsError(failed, done, advice=advice, report=report) from unbuilt


def _said(error: Exception) -> str:
    """What an error says, after its kind where it is not one of ours."""
    if isinstance(error, RetrieverError):
        return str(error)
    return ": ".join(filter(None, (type(error).__name__, str(error).strip())))


def _recipe(ann: str | None) -> dict[str, Any]:
    """With a FAISS factory string; without one for exact search."""
    return {} if ann in (None, "Flat") else {"factory": ann}


def check_dtype(dtype: str | None) -> None:
    """Check how vectors are to be stored; None leaves it to the default.

    Raises:
        InputError: not one of `DTYPES`.
    """
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f"dtype is {dtype!r}; expected one of: {', '.join(DTYPES)}.")


def _check(wanted: Wanted) -> None:
    embedder = wanted.embedder
    if embedder is not None and not isinstance(embedder, Embedder):
        kind = type(embedder).__name__
        raise InputError(
            f"The embedder is {kind}; expected an object with name, dim, fingerprint, "
            "encode_documents and encode_queries, such as StaticEmbedder('glove-6b-50d')."
        )
    check_dtype(wanted.dtype)
