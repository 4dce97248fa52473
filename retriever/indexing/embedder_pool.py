"""Embedders of a collection's indexes: loaded when needed, cached, and checked to be the same."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from indexes.catalog.passages import Content
from indexes.catalog.records import IMPORTED, EmbeddingRow, IndexRow
from indexes.errors import (
    DamageError,
    InputError,
    MismatchError,
    ModelNotAvailableError,
    check_text,
    unknown_name,
)
from indexes.images import Image
from indexes.maintenance.verify import Problem
from indexes.pipeline.encoder import Encode
from indexes.store import Store
from indexes.vectors.postings import dense
from indexes.vectors.shards import as_rows
from retriever.embedders import (
    ContextualEmbedder,
    Embedder,
    EmbedderSpec,
    ReportsCoverage,
    load_embedder,
    modalities_of,
    parse_spec,
)
from retriever.embedders.base import (
    IMAGE,
    TEXT,
    EncodesImages,
    Fittable,
    Matrix,
    vector_fingerprint,
)
from retriever.embedders.contextual.autoselect import RuntimeChoice
from retriever.embedders.contextual.runtime import without_measuring
from retriever.embedders.devices import survive_forks
from retriever.embedders.static.token_table import is_token_table
from retriever.indexing.fingerprints import (
    DECLARED,
    QUERIES,
    check_declared,
    check_query_embedder,
    check_same_embedder,
    check_teacher,
)
from retriever.indexing.imported import ImportedVectors
from retriever.indexing.runtimes import measure_runtime

# The kind of an embedder that is the user's own object: only the user can load it again.
CUSTOM = "custom"
# In an embedder's record: its model is in the collection's own folder, and moves with it.
INSIDE = "inside"
# The folder of a collection for the models made from it; nothing in it is ever removed.
MODELS = "models"
# What shards keep of a report on texts, in this order.
_COUNTED = ("words", "known_words", "truncated", "tokens", "padded", "guessed_words")


def check_embedder(embedder: object) -> None:
    """Raise an InputError unless an object has the members of an embedder."""
    if not isinstance(embedder, Embedder):
        raise InputError(
            f"The embedder is {type(embedder).__name__}; expected an object with name, dim, "
            "fingerprint, encode_documents and encode_queries, such as "
            "StaticEmbedder('glove-6b-50d')."
        )


class EmbedderPool:
    """Embedders by index; indexes over the same vectors share one."""

    def __init__(self, store: Store) -> None:
        survive_forks()
        self._store = store
        self._loaded: dict[str, Embedder] = {}

    def of(self, index: str) -> Embedder:
        """Return the embedder that made an index's vectors; errors as in `Collection.embedder`."""
        embedding = self._store.embedding(index)
        if embedding.imported:
            return ImportedVectors(index, embedding)
        embedder = self._loaded.get(vector_fingerprint(embedding.fingerprint))
        if embedder is None:
            embedding, parameters = self._store.fitted(index)
            embedder = self._load(index, embedding.embedder)
            if parameters is not None and isinstance(embedder, Fittable):
                embedder = embedder.with_parameters(parameters)
            check_same_embedder(index, embedding, embedder)
            self.keep(embedder)
        return embedder

    def for_queries(self, index: IndexRow) -> Embedder:
        """Return the embedder of an index's queries, checked: that of its vectors or a student."""
        student = index.definition.get(QUERIES)
        if student is None:
            return self.of(index.name)
        embedder = self._loaded.get(vector_fingerprint(student["fingerprint"]))
        if embedder is None:
            embedder = self._load(index.name, student["embedder"])
        check_query_embedder(index, self._store.embedding(index.name), embedder)
        self.keep(embedder)
        return embedder

    def _load(self, index: str, kept: Mapping[str, Any]) -> Embedder:
        """Load an embedder by its record, unless its model in the collection is missing."""
        if path := _missing_model(self._store.folder, kept):
            raise ModelNotAvailableError(_missing_message(index, path))
        with without_measuring():
            return load_embedder(embedder_spec(index, kept, self._store.folder))

    def for_documents(self, index: str) -> Embedder:
        """Return the embedder of an index in its fastest runtime here; errors as in `of`."""
        embedder = self.of(index)
        if isinstance(embedder, ImportedVectors):
            embedder.refuse_documents()
        if isinstance(embedder, ContextualEmbedder):
            embedder = embedder.for_documents()
            self.keep(embedder)
        return embedder

    def measure_runtime(self, index: str) -> RuntimeChoice:
        """Measure the runtimes of an index's model; see `Collection.measure_runtime`."""
        kept = self._store.embedding(index).embedder
        choice = measure_runtime(embedder_spec(index, kept, self._store.folder))
        self._loaded.pop(vector_fingerprint(self._store.embedding(index).fingerprint), None)
        return choice

    def keep(self, embedder: Embedder) -> None:
        """Cache an embedder for the indexes that it made."""
        check_text(f"The fingerprint of {embedder.name}", embedder.fingerprint)
        self._loaded[vector_fingerprint(embedder.fingerprint)] = embedder

    def pickled(self) -> list[bytes]:
        """Return the custom embedders as pickles; all others can be loaded again by their records.

        Raises:
            InputError: one cannot be pickled.
        """
        custom = [one for one in self._loaded.values() if _is_custom(one)]
        return [pickled(embedder) for embedder in custom]

    def unpickle(self, pickles: Sequence[bytes]) -> None:
        """Cache the embedders that `pickled` returned in another process."""
        for data in pickles:
            self.keep(pickle.loads(data))

    def use(self, index: str, embedder: Embedder) -> None:
        """Use this embedder for an index's queries or documents; see `Collection.use`."""
        check_embedder(embedder)
        row, embedding = self._store.index(index), self._store.embedding(index)
        embedder = self.as_fitted(index, embedder)
        given, made = map(vector_fingerprint, (embedder.fingerprint, embedding.fingerprint))
        if QUERIES in row.definition and given != made:
            check_query_embedder(row, embedding, embedder)
        else:
            check_same_embedder(index, embedding, embedder)
        self.keep(embedder)

    def as_fitted(self, index: str, embedder: Embedder) -> Embedder:
        """Give an embedder that has to be fitted the parameters of an index's own; return it."""
        if not isinstance(embedder, Fittable) or not embedder.needs_fit:
            return embedder
        parameters = self._store.fitted(index)[1]
        try:
            return embedder if parameters is None else embedder.with_parameters(parameters)
        except DamageError:
            # The file is intact, so it belongs to another kind of embedder; see its fingerprint.
            return embedder

    def to_fit(self, index: str, given: Embedder | None) -> Fittable:
        """Return the embedder of an index for a refit; a custom one as `given`."""
        embedding = self._store.embedding(index)
        if embedding.fitted.file is None:
            raise InputError(
                f"Nothing is fitted in index '{index}' ({embedding.model}): its vectors do not "
                "depend on other documents. Leave --refit out (refit=False)."
            )
        if given is not None and embedder_record(given, self._store.folder) != embedding.embedder:
            raise MismatchError(
                f"Index '{index}' was made by another embedder than {given.name}, or with other "
                "options. Leave the embedder out to refit its own."
            )
        embedder = given or self._unfitted(index, embedding)
        if not isinstance(embedder, Fittable):
            raise InputError(f"{embedder.name} cannot be fitted: it has no method 'fitted'.")
        return embedder

    def _unfitted(self, index: str, embedding: EmbeddingRow) -> Embedder:
        """Load an index's embedder without its parameters, which may be damaged."""
        loaded = self._loaded.get(vector_fingerprint(embedding.fingerprint))
        if loaded is not None and embedding.embedder["kind"] == CUSTOM:
            return loaded
        return load_embedder(embedder_spec(index, embedding.embedder, self._store.folder))

    def encoder(self, index: str) -> Encode:
        """Return what embeds documents for an index; errors as in `of`."""
        embedder = self.for_documents(index)
        return lambda contents: encode(embedder, contents)

    def for_queries_of(
        self, index: str, embedding: EmbeddingRow, name: str | Embedder
    ) -> dict[str, Any]:
        """Return what an index's definition keeps of the embedder `name` of its queries.

        For imported vectors, it is any embedder, `KIND:MODEL`, or an index that was built by it.
        Else `name` is a model in the collection's folder of models, or else an index built by the
        embedder. That index is not needed afterwards. Errors as in `Collection.build`.
        """
        if embedding.imported or not isinstance(name, str):
            return self._declared(index, embedding, name)
        kept, student = self._named(name)
        check_teacher(name, student, index, embedding)
        self.keep(student)
        return {"name": name, "embedder": kept, "fingerprint": student.fingerprint}

    def _declared(self, index: str, embedding: EmbeddingRow, by: str | Embedder) -> dict[str, Any]:
        if not embedding.imported:
            raise InputError(
                f"Only for imported vectors can any embedder encode the queries, and '{index}' has "
                "its own. Give the name of a model that was distilled from that (queries_by)."
            )
        if isinstance(by, str):
            built = by in [row.name for row in self._store.indexes()]
            embedder = self.of(by) if built else load_embedder(parse_spec(by, {}))
        else:
            embedder = by
        name = str(getattr(embedder, "spec", None) or embedder.name)
        check_declared(name, embedder, index, embedding)
        self.keep(embedder)
        kept = embedder_record(embedder, self._store.folder)
        fingerprint = embedder.fingerprint
        return {"name": name, "embedder": kept, "fingerprint": fingerprint, DECLARED: True}

    def _named(self, name: str) -> tuple[Mapping[str, Any], Embedder]:
        folder = self._store.folder / MODELS
        # An unfinished model has a name that begins with a dot.
        models = sorted(path.name for path in folder.glob("[!.]*"))
        indexes = [row.name for row in self._store.indexes()]
        if name in models and is_token_table(folder / name):
            student = load_embedder(EmbedderSpec("static", str(folder.resolve() / name)))
            return embedder_record(student, self._store.folder), student
        if name in indexes:
            # Trained word vectors are in the folder of models, too: their index describes them.
            embedding = self._store.embedding(name)
            if embedding.fitted.file is not None:
                raise InputError(
                    f"'{name}' was fitted on the documents, which no other index can share. "
                    "Give --queries-by a model that was distilled."
                )
            return embedding.embedder, self.of(name)
        if name in models:
            raise MismatchError(
                f"'{name}' (in {folder}/) was not distilled from any embedder: it cannot encode "
                "queries for others' vectors."
            )
        known = sorted({*models, *indexes})
        raise unknown_name("model or index", name, f"{self._store.folder}/", known)


def _is_custom(embedder: Embedder) -> bool:
    return getattr(embedder, "spec", None) is None


def pickled(embedder: Embedder) -> bytes:
    """Return an embedder of the user's own as a pickle, for another process of the user's."""
    try:
        return pickle.dumps(embedder)
    except Exception as error:  # anything, in code of the user's own
        raise InputError(
            f"{embedder.name} cannot be pickled for another process: {error}. "
            "Open the collection there, and give it the embedder with use."
        ) from None


def embedder_record(embedder: object, folder: Path) -> dict[str, Any]:
    """Return a JSON record to load an embedder by; a model in the collection by its place there."""
    spec = getattr(embedder, "spec", None) or EmbedderSpec(CUSTOM, type(embedder).__name__)
    kept = {"kind": spec.kind, "model": spec.model, "options": dict(spec.options)}
    path = Path(spec.model).expanduser()
    if spec.kind != CUSTOM and spec.model and path.exists():
        path, folder = path.resolve(), folder.resolve()
        if path.is_relative_to(folder):
            kept |= {"model": path.relative_to(folder).as_posix(), INSIDE: True}
    return kept


def model_inside(kept: Mapping[str, Any]) -> str | None:
    """Return the path of an embedder's model inside the collection; None if it is elsewhere."""
    return str(kept["model"]) if kept.get(INSIDE) else None


def shown_spec(kept: Mapping[str, Any]) -> EmbedderSpec:
    """Return the spec in an embedder's record, for display."""
    return EmbedderSpec(kept["kind"], kept["model"], kept["options"])


def embedder_spec(index: str, kept: Mapping[str, Any], folder: Path) -> EmbedderSpec:
    """Return the spec to load an index's embedder by; custom embedders are refused."""
    spec = shown_spec(kept)
    if spec.kind == IMPORTED:
        raise InputError(f"Index '{index}' has imported vectors, and no model of its own.")
    if spec.kind == CUSTOM:
        raise InputError(
            f"Index '{index}' was made by an embedder of your own, {spec.model}. "
            f"Give it first: collection.use({index!r}, embedder)."
        )
    inside = model_inside(kept)
    return replace(spec, model=str(folder.resolve() / inside)) if inside else spec


def missing_models(store: Store) -> list[Problem]:
    """List models of indexes that are missing from the collection's own folder."""
    try:
        needed = [(row.name, kept) for row in store.indexes() for kept in _records(store, row)]
    except DamageError:  # reported already
        return []
    missing = ((name, _missing_model(store.folder, kept)) for name, kept in needed)
    return [Problem(_missing_message(name, path)) for name, path in missing if path]


def _records(store: Store, index: IndexRow) -> list[Mapping[str, Any]]:
    """Return the records of an index's embedders: of its vectors, of its queries."""
    records = [] if index.embedding is None else [store.embedding(index.name).embedder]
    queries = index.definition.get(QUERIES)
    return [*records, queries["embedder"]] if queries else records


def _missing_model(folder: Path, kept: Mapping[str, Any]) -> Path | None:
    """Return the path of an embedder's model that should be in the collection, and is not."""
    inside = model_inside(kept)
    path = folder / (inside or "")
    return path if inside and not path.exists() else None


def _missing_message(index: str, path: Path) -> str:
    return (
        f"Index '{index}' needs the model in {path}, which is missing. "
        "Restore it from a backup, or make it again in the same way."
    )


def encode(embedder: Embedder, contents: Sequence[Content]) -> tuple[Matrix, dict[str, int]]:
    """Return the vectors of texts and images, and what the embedder counted meanwhile.

    Those of a kind that the embedder does not encode get zeros, as a text with nothing to embed.
    """
    takes = modalities_of(embedder)
    texts = [content for content in contents if isinstance(content, str)]
    images = [content for content in contents if isinstance(content, Image)]
    if not images and TEXT in takes:
        return _encode_texts(embedder, texts)
    is_text = np.array([isinstance(content, str) for content in contents])
    vectors, report = np.zeros((len(contents), embedder.dim), np.float32), dict[str, int]()
    if texts and TEXT in takes:
        rows, report = _encode_texts(embedder, texts)
        found = as_rows(np.flatnonzero(is_text).tolist(), rows, embedder.dim)
        vectors[is_text] = dense(found)
    if images and IMAGE in takes:
        rows = cast(EncodesImages, embedder).encode_images(images)
        vectors[~is_text] = as_rows(np.flatnonzero(~is_text).tolist(), rows, embedder.dim)
    return vectors, report


def _encode_texts(embedder: Embedder, texts: Sequence[str]) -> tuple[Matrix, dict[str, int]]:
    if not isinstance(embedder, ReportsCoverage):
        return embedder.encode_documents(texts), {}
    vectors, report = embedder.encode_and_report(texts)
    return vectors, {name: getattr(report, name) for name in _COUNTED}
