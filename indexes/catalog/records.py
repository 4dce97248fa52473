"""Catalog records of embeddings, shards and indexes, and of their files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexes.catalog.database import Row
from indexes.storage.files import NO_FILE, FileDigest


@dataclass(frozen=True)
class Fitted:
    """A file of what was fitted on the corpus; it counts only if a row names it."""

    file: str | None = None
    digest: FileDigest = NO_FILE


@dataclass(frozen=True)
class NewEmbedding:
    """Definition of an embedding; `embedder` says how to load the embedder again.

    `parameters` is what was fitted on the corpus, or None; `attributes` are for people. This
    package takes them as opaque JSON objects and bytes.
    """

    embedder: Mapping[str, Any]
    model: str
    fingerprint: str
    dim: int
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parameters: bytes | None = None


@dataclass(frozen=True)
class EmbeddingRow:
    """One embedder's vectors for the passages of a collection; see `NewEmbedding`.

    With `replaces`, it is unfinished and no index searches it yet: once complete, it will replace
    the embedding of that number.
    """

    number: int
    name: str
    embedder: Mapping[str, Any]
    model: str
    fingerprint: str
    dim: int
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    replaces: int | None = None
    fitted: Fitted = Fitted()


@dataclass(frozen=True)
class ShardRow:
    """A file of vectors that covers the keys from `first_key` to before `stop_key`."""

    number: int
    embedding: int
    first_key: int
    stop_key: int
    rows: int
    present: bytes | None
    file: str | None
    digest: FileDigest
    seconds: float
    report: Mapping[str, int]


@dataclass(frozen=True)
class IndexRow:
    """A named way to search.

    `flat` scans an embedding's shards, `ann` uses a FAISS file, `lexical` a folder with a BM25
    index of the texts. `combined` has no file: `definition["parts"]` names the indexes that it
    combines, and the rest of the definition belongs to the caller.
    """

    number: int
    name: str
    kind: str
    embedding: int | None
    definition: Mapping[str, Any]
    generation: int
    stop_key: int
    rows: int
    file: str | None
    digest: FileDigest
    seconds: float
    report: Mapping[str, int]

    @property
    def parts(self) -> Sequence[str]:
        """Names of the indexes that it combines."""
        return tuple(self.definition.get("parts", ()))


# An empty index, to derive others from with `replace`.
NOTHING = IndexRow(0, "", "", None, {}, 0, 1, 0, None, NO_FILE, 0.0, {})


def embedding_row(row: Row) -> EmbeddingRow:
    """Return a catalog row, its columns in this order, as an embedding."""
    number, name, embedder, model, fingerprint, dim, dtype, attributes, replaces, *fitted = row
    file, size, checksum = fitted
    return EmbeddingRow(
        number=number,
        name=name,
        embedder=json.loads(embedder),
        model=model,
        fingerprint=fingerprint,
        dim=dim,
        dtype=dtype,
        attributes=json.loads(attributes),
        replaces=replaces,
        fitted=Fitted(file, FileDigest(size, checksum)),
    )


def shard_row(row: Row) -> ShardRow:
    """Return a catalog row, its columns in this order, as a shard."""
    number, embedding, first, stop, rows, present, file, size, checksum, seconds, report = row
    digest = FileDigest(size, checksum)
    counts = json.loads(report)
    return ShardRow(number, embedding, first, stop, rows, present, file, digest, seconds, counts)


def index_row(row: Row) -> IndexRow:
    """Return a catalog row, its columns in this order, as an index."""
    (number, name, kind, embedding, definition, generation, stop, rows, *rest) = row
    file, size, checksum, seconds, report = rest
    return IndexRow(
        number=number,
        name=name,
        kind=kind,
        embedding=embedding,
        definition=json.loads(definition),
        generation=generation,
        stop_key=stop,
        rows=rows,
        file=file,
        digest=FileDigest(size, checksum),
        seconds=seconds,
        report=json.loads(report),
    )
