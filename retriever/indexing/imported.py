"""Vectors that were made elsewhere: checked, named by passage, and what stands for their model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.records import EmbeddingRow
from indexes.catalog.registry import gaps
from indexes.errors import InputError, pluralize
from indexes.neighbors import Keys, Matrix, is_among
from indexes.pipeline.given import GivenVectors
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from retriever.embedders.base import IMAGE, TEXT
from retriever.formats.vectors.passages import PassageId, shown_passage
from retriever.formats.vectors.reading import VectorFile, batched

NAMED = 3
IDS_AT_ONCE = 5_000


@dataclass(frozen=True)
class ImportedVectors:
    """What stands for the unknown model of imported vectors: it encodes nothing, and says so."""

    index: str
    embedding: EmbeddingRow

    modalities = (TEXT, IMAGE)

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.embedding.imported

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.embedding.dim

    @property
    def similarity(self) -> str:
        """How queries are compared with the vectors."""
        return self.embedding.similarity

    @property
    def fingerprint(self) -> str:
        """That of the vectors."""
        return self.embedding.fingerprint

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Raise: nobody knows what made the vectors."""
        self.refuse_documents()

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Raise: nobody knows what made the vectors."""
        raise InputError(
            f"Index '{self.index}' holds vectors imported from {self.name}, whose model is not "
            "known: search it by a vector (--vector FILE, vector=...), or declare the model of "
            f"queries by building it from {self.name} again with --queries-by KIND:MODEL."
        )

    encode_images = encode_queries

    def refuse_documents(self) -> NoReturn:
        """Raise an error for documents that are to be embedded."""
        raise InputError(
            f"The vectors of '{self.index}' were imported from {self.name} and cannot be computed "
            "here: give those of the documents that it lacks with --from-vectors FILE "
            "(from_vectors=FILE)."
        )


@dataclass(frozen=True)
class Checked:
    """Vectors that can be imported: by key, with a checksum over all; `missing` passages lack one.

    `known` of them are in the index already, and stay as they are there.
    """

    given: GivenVectors
    checksum: str
    missing: int
    known: int


def check_vectors(
    store: Store, file: VectorFile, embedding: EmbeddingRow | None, *, allow_missing: bool
) -> Checked:
    """Find the passage of each vector, for a new embedding or for what another one lacks.

    Raises:
        InputError: the file has no ids; ids are of no passage, or of several, or occur twice;
            vectors are not finite or, unless missing ones are allowed, zero everywhere; or passages
            have none. Each kind with its number and the first of them.
    """
    with store.snapshot() as now:
        keys = _keys(store, file, now)
        checksum = _check_values(file, now, allow_zeros=allow_missing)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        shards = store.registry.shards(embedding.number) if embedding else []
        left = [now.corpus.keys(*gap) for gap in gaps(shards, now.corpus.stop_key())]
        lacking = [some[~is_among(some, ordered)] for some in left]
        missing = np.concatenate([np.empty(0, np.int64), *lacking])
        if len(missing) and not allow_missing:
            _refuse_missing(store, file, now, missing)
    vectors = file.vectors

    def read(places: NDArray[np.intp]) -> Matrix:
        return np.asarray(vectors[order[places]], np.float32)

    new = sum(map(len, left)) - len(missing)
    return Checked(GivenVectors(ordered, read), checksum, len(missing), len(keys) - new)


def _keys(store: Store, file: VectorFile, now: Snapshot) -> Keys:
    """Return the key of the passage of each row, each once."""
    if file.ids is None:
        raise InputError(
            f"{file.name} has no ids. Write one document id a line, in the order of the vectors, "
            "to a file of its name that ends in .ids.txt (or an array 'ids' in .npz)."
        )
    keys, unknown, several = list[int](), _Some(), _Some()
    for batch in batched(file.ids(_is_split(now)), IDS_AT_ONCE):
        for one, found in zip(batch, now.corpus.named(batch), strict=True):
            if len(found) != 1:
                (several if found else unknown).add(one)
            keys.append(found[0] if found else -1)
    place = f"{store.folder}/"
    if unknown.count:
        ids = pluralize(unknown.count, "id")
        raise InputError(
            f"{ids} in {file.name}, of no passage of {place}: {unknown}. Add those documents "
            "first, or leave these vectors out."
        )
    if several.count:
        ids = pluralize(several.count, "id")
        raise InputError(
            f"{ids} in {file.name}, of documents with several passages: {several}. Write "
            "doc_id, start and end (in characters) of each passage, separated by tabs."
        )
    made = np.array(keys, np.int64)
    distinct, counts = np.unique(made, return_counts=True)
    if len(again := distinct[counts > 1]):
        ids = pluralize(len(again), "id occurs", "ids occur")
        raise InputError(
            f"{ids} more than once in {file.name}: {_shown_keys(now, again)}. Give each passage "
            "one vector."
        )
    return made


def _is_split(now: Snapshot) -> bool:
    return now.corpus.is_split or now.has_several


class _Some:
    """How many passages there are of a kind, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[PassageId] = []

    def add(self, one: PassageId) -> None:
        """Count one more."""
        self.count += 1
        if len(self._first) < NAMED:
            self._first.append(one)

    def __str__(self) -> str:
        more = f" and {self.count - NAMED:,} more" if self.count > NAMED else ""
        return ", ".join(map(shown_passage, self._first)) + more


def _check_values(file: VectorFile, now: Snapshot, *, allow_zeros: bool) -> str:
    """Check that all vectors can be searched; return a checksum over ids and vectors."""
    digest, start = hashlib.sha256(), 0
    wrong, zero = list[NDArray[np.intp]](), list[NDArray[np.intp]]()
    for rows in file.batches():
        digest.update(np.ascontiguousarray(rows).data)
        finite = np.isfinite(rows).all(axis=1)
        wrong.append(np.flatnonzero(~finite) + start)
        zero.append(np.flatnonzero(~rows.any(axis=1)) + start)
        start += len(rows)
    if len(bad := _joined(wrong)):
        vectors = pluralize(len(bad), "vector holds", "vectors hold")
        raise InputError(
            f"{vectors} a value that is not finite in {file.name}: {_shown_rows(file, now, bad)}. "
            "Compute them again, or leave them out."
        )
    bad = np.setdiff1d(_joined(zero), file.absent)
    if len(bad) and not allow_zeros:
        vectors = pluralize(len(bad), "vector is", "vectors are")
        raise InputError(
            f"{vectors} zero everywhere in {file.name}: {_shown_rows(file, now, bad)}. Nothing "
            "would find them: leave them out, or take them as documents with nothing to embed by "
            "--allow-missing (allow_missing=True)."
        )
    return digest.hexdigest()


def _joined(parts: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    return np.concatenate([np.empty(0, np.intp), *parts])


def _shown_rows(file: VectorFile, now: Snapshot, rows: NDArray[np.intp]) -> str:
    """Return the first of some rows by their ids, and the number of others."""
    some, wanted = _Some(), set(rows[:NAMED].tolist())
    ids = file.ids(_is_split(now)) if file.ids else iter(())
    for row, one in zip(range(max(wanted) + 1), ids, strict=False):
        if row in wanted:
            some.add(one)
    some.count = len(rows)
    return str(some)


def _refuse_missing(store: Store, file: VectorFile, now: Snapshot, missing: Keys) -> NoReturn:
    passages = pluralize(len(missing), "passage")
    raise InputError(
        f"{passages} of {store.folder}/ without a vector in {file.name}: "
        f"{_shown_keys(now, missing)}. Give all, or leave them out by --allow-missing "
        "(allow_missing=True)."
    )


def _shown_keys(now: Snapshot, keys: Keys) -> str:
    some = _Some()
    for passage in now.corpus.found(keys[:NAMED].tolist()).values():
        place = (passage.start, passage.end) if _is_split(now) else ()
        some.add(PassageId(passage.document.doc_id, *place))
    some.count = len(keys)
    return str(some)
