"""What a row of the catalog says of an embedding, a shard or an index: which files count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexes.catalog.database import Row
from indexes.storage.files import NO_FILE, FileDigest


@dataclass(frozen=True)
class Fitted:
    """A file of what was fitted on the corpus: whole, but it counts only where a row names it."""

    file: str | None = None
    digest: FileDigest = NO_FILE


@dataclass(frozen=True)
class NewEmbedding:
    """What an embedding is made with; `embedder` says how to load the embedder again.

    `parameters` are what it has fitted on the corpus, None where nothing was; `facts` are what its
    owner tells people of it. To this room, they are any JSON objects and any bytes.
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

    With `replaces`, it is half made, and no index searches it yet: once it is whole, it will stand
    for the embedding of that number.
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
    """A file of vectors that answers for the keys from `first_key` to before `stop_key`."""

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

    `flat` goes over an embedding's shards, `ann` through a FAISS file, `lexical` through a folder
    that BM25 made of the texts. `combined` has nothing of its own: `recipe["parts"]` names the
    indexes that it is made of, and the rest of the recipe is its owner's.
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
        """The names of the indexes that it is made of."""
        return tuple(self.definition.get("parts", ()))


# An index that has nothing yet: what others are made from.
NOTHING = IndexRow(0, "", "", None, {}, 0, 1, 0, None, NO_FILE, 0.0, {})


def embedding_row(row: Row) -> EmbeddingRow:
    """A row of the catalog as an embedding, its columns in this order."""
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
    """A row of the catalog as a shard, its columns in this order."""
    number, embedding, first, stop, rows, present, file, size, checksum, seconds, report = row
    digest = FileDigest(size, checksum)
    counts = json.loads(report)
    return ShardRow(number, embedding, first, stop, rows, present, file, digest, seconds, counts)


def index_row(row: Row) -> IndexRow:
    """A row of the catalog as an index, its columns in this order."""
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
