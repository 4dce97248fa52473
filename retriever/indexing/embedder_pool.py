"""The embedders of a collection's indexes: loaded when needed, kept, and found to be the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indexes.catalog.records import EmbeddingRow, IndexRow
from indexes.errors import (
    DamageError,
    InputError,
    MismatchError,
    ModelNotAvailableError,
    unknown_name,
)
from indexes.maintenance.verify import Problem
from indexes.pipeline.encoder import Encode
from indexes.store import Store
from retriever.embedders import Embedder, EmbedderSpec, ReportsCoverage, load_embedder
from retriever.embedders.base import Fittable, Matrix
from retriever.embedders.static.token_table import is_token_table
from retriever.indexing.fingerprints import (
    CUSTOM,
    QUERIES,
    check_answers,
    check_same,
    check_teacher,
    embedder_record,
    embedder_spec,
    model_inside,
    vector_fingerprint,
)

# The folder of a collection for the models that were made from it; nothing in it is ever removed.
MODELS = "models"


class EmbedderPool:
    """Embedders by index; those of indexes over the same vectors are one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: dict[str, Embedder] = {}

    def of(self, index: str) -> Embedder:
        """The embedder that made an index's vectors, fitted as it was then.

        Raises:
            MismatchError: the model of that name is no longer the one that made them.
            InputError: it is one of the user's own, and was not given.
            DamageError: what it was fitted to is not what the catalog says.
        """
        embedder = self._loaded.get(vector_fingerprint(self._store.embedding(index).fingerprint))
        if embedder is None:
            embedding, parameters = self._store.fitted(index)
            embedder = self._load(index, embedding.embedder)
            if parameters is not None and isinstance(embedder, Fittable):
                embedder = embedder.with_parameters(parameters)
            check_same(index, embedding, embedder)
            self.keep(embedder)
        return embedder

    def for_queries(self, index: IndexRow) -> Embedder:
        """The embedder that encodes an index's queries: most often the one of its vectors.

        Raises:
            MismatchError: it is no longer the one that the index was given, or that was distilled
                from the embedder of the vectors. Other errors as in `of`.
        """
        asked = index.definition.get(QUERIES)
        if asked is None:
            return self.of(index.name)
        embedder = self._loaded.get(vector_fingerprint(asked["fingerprint"]))
        if embedder is None:
            embedder = self._load(index.name, asked["embedder"])
        check_answers(index, self._store.embedding(index.name), embedder)
        self.keep(embedder)
        return embedder

    def _load(self, index: str, kept: Mapping[str, Any]) -> Embedder:
        """An embedder as it is kept; one whose model lay in the collection may be gone.

        Raises:
            ModelNotAvailableError: it cannot be had.
        """
        inside = model_inside(kept)
        if inside is not None and not (self._store.folder / inside).exists():
            raise ModelNotAvailableError(_gone(index, self._store.folder / inside))
        return load_embedder(embedder_spec(index, kept, self._store.folder))

    def keep(self, embedder: Embedder) -> None:
        """Have an embedder at hand for the indexes that it made."""
        self._loaded[vector_fingerprint(embedder.fingerprint)] = embedder

    def use(self, index: str, embedder: Embedder) -> None:
        """Answer an index's queries with this embedder, or embed its documents with it.

        Raises:
            MismatchError: it is neither the one that made the index's vectors nor the one that
                encodes its queries.
        """
        row, embedding = self._store.index(index), self._store.embedding(index)
        embedder = self.as_fitted(index, embedder)
        others = vector_fingerprint(embedder.fingerprint) != vector_fingerprint(
            embedding.fingerprint
        )
        if QUERIES in row.definition and others:
            check_answers(row, embedding, embedder)
        else:
            check_same(index, embedding, embedder)
        self.keep(embedder)

    def as_fitted(self, index: str, embedder: Embedder) -> Embedder:
        """An embedder with what an index's own was fitted to, where it is fitted to nothing yet."""
        if not isinstance(embedder, Fittable) or not embedder.needs_fit:
            return embedder
        parameters = self._store.fitted(index)[1]
        try:
            return embedder if parameters is None else embedder.with_parameters(parameters)
        except DamageError:
            # They are whole, so they are another kind of embedder's: its fingerprint says which.
            return embedder

    def to_fit(self, index: str, given: Embedder | None) -> Fittable:
        """The embedder of an index, to be fitted anew; where it is the user's own, as given.

        Raises:
            InputError: nothing is fitted in it.
            MismatchError: another was given.
        """
        embedding = self._store.embedding(index)
        if embedding.fitted.file is None:
            raise InputError(
                f"Nothing is fitted in index '{index}' ({embedding.model}): its vectors do not "
                "depend on other documents. Leave --refit out (refit=False)."
            )
        if given is not None and embedder_record(given, self._store.folder) != embedding.embedder:
            raise MismatchError(
                f"Index '{index}' was made by another embedder than {given.name}, or with other "
                "options. Leave the embedder out to fit its own anew."
            )
        embedder = given or self._own(index, embedding)
        if not isinstance(embedder, Fittable):
            raise InputError(f"{embedder.name} takes nothing that was fitted: it has no 'fitted'.")
        return embedder

    def _own(self, index: str, embedding: EmbeddingRow) -> Embedder:
        """As it was before it was fitted: what it was fitted to may be damaged."""
        loaded = self._loaded.get(vector_fingerprint(embedding.fingerprint))
        if loaded is not None and embedding.embedder["kind"] == CUSTOM:
            return loaded
        return load_embedder(embedder_spec(index, embedding.embedder, self._store.folder))

    def encoder(self, index: str) -> Encode:
        """What embeds documents for an index; errors as in `of`."""
        embedder = self.of(index)
        return lambda texts: encode(embedder, texts)

    def for_queries_of(self, index: str, embedding: EmbeddingRow, name: str) -> dict[str, Any]:
        """What an index's recipe keeps of the embedder `name` that will encode its queries.

        `name` is a model in the collection's folder of models, or else an index whose embedder it
        is. That index is not needed any more afterwards.

        Raises:
            UnknownNameError: there is neither.
            MismatchError: it was not distilled from the embedder of the index's vectors.
        """
        kept, student = self._named(name)
        check_teacher(name, student, index, embedding)
        self.keep(student)
        return {"name": name, "embedder": kept, "fingerprint": student.fingerprint}

    def _named(self, name: str) -> tuple[Mapping[str, Any], Embedder]:
        folder = self._store.folder / MODELS
        models = _names_in(folder)
        rows = {row.name: row for row in self._store.indexes()}
        # Word vectors that were trained lie there, too: their index says what they are.
        if name in models and not is_token_table(folder / name) and name not in rows:
            raise MismatchError(
                f"'{name}' (in {folder}/) was not distilled from any embedder: it cannot encode "
                "queries for others' vectors."
            )
        if name in models and is_token_table(folder / name):
            student = load_embedder(EmbedderSpec("static", str(folder.resolve() / name)))
            return embedder_record(student, self._store.folder), student
        if name not in rows:
            place = f"{self._store.folder}/"
            raise unknown_name("model or index", name, place, sorted({*models, *rows}))
        embedding = self._store.embedding(name)
        if embedding.fitted.file is not None:
            raise InputError(
                f"'{name}' was fitted on the documents, which no other index can share. "
                "Give --queries-by a model that was distilled."
            )
        return embedding.embedder, self.of(name)


def _names_in(folder: Path) -> list[str]:
    """The models of a folder; what is being made there has a name that begins with a dot."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _gone(index: str, place: Path) -> str:
    return (
        f"Index '{index}' needs the model in {place}, which is not there. "
        "Restore it from a backup, or make it again in the same way."
    )


def missing_models(store: Store) -> list[Problem]:
    """The models in the collection's own folder that an index needs, and that are not there."""
    try:
        needed = [
            (index.name, kept) for index in store.indexes() for kept in _kept_by(store, index)
        ]
    except DamageError:  # told of already
        return []
    return [
        Problem(_gone(name, store.folder / inside))
        for name, kept in needed
        if (inside := model_inside(kept)) and not Path(store.folder / inside).exists()
    ]


def _kept_by(store: Store, index: IndexRow) -> list[Mapping[str, Any]]:
    """What is kept of an index's embedders: of its vectors, of its queries."""
    kept = [] if index.embedding is None else [store.embedding(index.name).embedder]
    return kept + ([index.definition[QUERIES]["embedder"]] if QUERIES in index.definition else [])


def encode(embedder: Embedder, texts: Sequence[str]) -> tuple[Matrix, dict[str, int]]:
    """The vectors of documents, and what the embedder counted on the way."""
    if not isinstance(embedder, ReportsCoverage):
        return embedder.encode_documents(texts), {}
    vectors, report = embedder.encode_and_report(texts)
    counts = {
        "words": report.words,
        "known_words": report.known_words,
        "truncated": report.truncated,
        "tokens": report.tokens,
        "padded": report.padded,
    }
    return vectors, counts
