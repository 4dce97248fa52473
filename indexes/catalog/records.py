"""Catalog records of embeddings, shards and indexes; their files, and the kinds of indexes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from indexes.catalog.sqlite.database import Row
from indexes.errors import DamageError, NextStep
from indexes.neighbors import COSINE, SIMILARITIES
from indexes.storage.files import NO_FILE, FileDigest, read_verified

# In an embedding's attributes.
SIMILARITY, SPARSE = "similarity", "sparse"
# How long a fit took, with the choice of its options, and how much more memory the process took at
# most: no properties of the vectors.
FITTING_SECONDS, FITTING_MEMORY = "fitting_seconds", "fitting_memory"
# In an index's definition: its structure is chosen by the number of vectors; the recall@10 asked of
# its structure, for which the search parameters are chosen.
AUTO, ASKED = "auto", "recall"
# The file that its vectors were imported from: nothing here can compute them again.
IMPORTED = "imported"


@dataclass(frozen=True)
class IndexKind:
    """What one kind of index is: `name` is the string in the catalog."""

    name: str
    has_vectors: bool = False
    has_structure: bool = False
    is_lexical: bool = False


# Brute force over an embedding's shards.
FLAT = IndexKind("flat", has_vectors=True)
# Approximate search through an engine's file over an embedding's shards.
ANN = IndexKind("ann", has_vectors=True, has_structure=True)
# BM25 over the words of all texts, in a folder.
LEXICAL = IndexKind("lexical", is_lexical=True)
# A combination of other indexes (`IndexRow.parts`), without files.
COMBINED = IndexKind("combined")
_KINDS: Mapping[str, IndexKind] = {kind.name: kind for kind in (FLAT, ANN, LEXICAL, COMBINED)}


def kind_of(stored: str) -> IndexKind:
    """Return the kind that a string of the catalog names; raise a DamageError if none has it."""
    if stored not in _KINDS:
        known = ", ".join(_KINDS)
        raise DamageError(f"The catalog names an index kind '{stored}'; known: {known}.")
    return _KINDS[stored]


@dataclass(frozen=True)
class _Record:
    def columns(self) -> list[object]:
        """Return the catalog columns: JSON of mappings, and a digest as size, checksum.

        Without `parameters`, which are written to a file.
        """
        columns: list[object] = []
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, FileDigest):
                columns += [value.size, value.checksum]
            elif part.name != "parameters":
                columns.append(json.dumps(dict(value)) if isinstance(value, Mapping) else value)
        return columns


@dataclass(frozen=True)
class Fitted(_Record):
    """A file of what was fitted on the corpus; it counts only if a row names it."""

    file: str | None = None
    digest: FileDigest = NO_FILE


@dataclass(frozen=True)
class NewEmbedding(_Record):
    """Definition of an embedding; `embedder` says how to load the embedder again.

    `parameters` is what was fitted on the corpus, or None; `attributes` are shown to people. To
    this package they are opaque, JSON objects and bytes, except for the attributes `similarity`:
    how queries are compared with the vectors, one of `SIMILARITIES`; without it, by the cosine;
    `sparse`: vectors are stored as postings; and `imported`: the name of the file that the vectors
    came from, if no embedder made them here.
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

    @property
    def similarity(self) -> str:
        """How queries are compared with the vectors, one of `SIMILARITIES`."""
        stored = str(self.attributes.get(SIMILARITY, COSINE))
        if stored not in SIMILARITIES:
            known = ", ".join(SIMILARITIES)
            raise DamageError(f"The catalog names a similarity '{stored}'; known: {known}.")
        return stored

    @property
    def is_sparse(self) -> bool:
        """Whether its vectors are stored as postings, and searched by the terms of a query."""
        return bool(self.attributes.get(SPARSE))

    @property
    def imported(self) -> str:
        """The file that its vectors were imported from; empty if an embedder made them here."""
        return str(self.attributes.get(IMPORTED, ""))

    @classmethod
    def of(cls, row: Row) -> EmbeddingRow:
        """Return a catalog row as this record."""
        number, name, embedder, model, fingerprint, dim, dtype, attributes, replaces, *fitted = row
        file, size, checksum = fitted
        record = number, name, json.loads(embedder), model, fingerprint, dim, dtype
        digest = FileDigest(size, checksum)
        return cls(*record, json.loads(attributes), replaces, Fitted(file, digest))


@dataclass(frozen=True)
class ShardRow(_Record):
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

    @classmethod
    def of(cls, row: Row) -> ShardRow:
        """Return a catalog row as this record."""
        number, embedding, first, stop, rows, present, file, size, checksum, seconds, report = row
        record = number, embedding, first, stop, rows, present, file
        return cls(*record, FileDigest(size, checksum), seconds, json.loads(report))


@dataclass(frozen=True)
class IndexRow(_Record):
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

    @classmethod
    def planned(cls, name: str, embedding: EmbeddingRow, definition: Mapping[str, Any]) -> IndexRow:
        """Return an index without a file yet, searched by brute force until it has one.

        In its definition, `factory` is a FAISS factory string and `search` may hold search
        parameters. With `auto`, both are chosen; with `recall`, the parameters, to reach it. The
        rest belongs to the caller.
        """
        kind = ANN.name if "factory" in definition else FLAT.name
        number = embedding.number
        return replace(NOTHING, name=name, kind=kind, embedding=number, definition=definition)

    @property
    def holder(self) -> int:
        """What has its passages: the number of its embedding, or minus its own."""
        return -self.number if self.embedding is None else self.embedding

    @property
    def parts(self) -> Sequence[str]:
        """Names of the indexes that it combines."""
        return tuple(self.definition.get("parts", ()))

    @classmethod
    def of(cls, row: Row) -> IndexRow:
        """Return a catalog row as this record."""
        number, name, kind, embedding, definition, generation, stop, rows, *work = row
        file, size, checksum, seconds, report = work
        record = number, name, kind, embedding, json.loads(definition), generation, stop, rows, file
        return cls(*record, FileDigest(size, checksum), seconds, json.loads(report))


# An empty index, to derive others from with `replace`.
NOTHING = IndexRow(0, "", "", None, {}, 0, 1, 0, None, NO_FILE, 0.0, {})


def read_parameters(folder: Path, embedding: EmbeddingRow, index: str) -> bytes | None:
    """Return what an embedding's embedder was fitted to; None where it was fitted to nothing.

    The next step of its DamageError is a refit.
    """
    if embedding.fitted.file is None:
        return None
    cure = NextStep("refit", folder, index)
    return read_verified(folder / embedding.fitted.file, embedding.fitted.digest, cure)
