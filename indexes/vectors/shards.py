"""Immutable, checksummed vector shards of an embedding: written, opened, merged."""

from __future__ import annotations

import heapq
import io
import operator
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.records import EmbeddingRow, IndexRow, ShardRow
from indexes.errors import InputError, MismatchError
from indexes.neighbors import COSINE, LONGEST, Keys, Matrix, lengths_of
from indexes.progress import PEAK
from indexes.storage.files import (
    NO_FILE,
    FileDigest,
    new_file,
    read_verified,
    repair_step,
    verified,
)
from indexes.vectors import postings
from indexes.vectors.blocks import Block, live, rows_of
from indexes.vectors.postings import Postings, SparseBlock

MERGED_BYTES = 64 << 20
WRITTEN_BYTES = 4 << 20
# Files that are memory-mapped per embedding: a mapped file stays open, and processes have limits.
MAPPED_FILES, SMALL_FILE = 128, 1 << 16
UNIT_TOLERANCE = 1e-5
# What half precision may lose of a vector that is stored as it is: twice the rounding in its range.
HALF_TOLERANCE = 2.0**-10


def pack_keys(keys: Keys, first_key: int, stop_key: int) -> bytes | None:
    """Return a compressed bitmap of the keys of an interval that have a row; None if all do."""
    if len(keys) == stop_key - first_key:
        return None
    bitmap = np.zeros(stop_key - first_key, np.bool_)
    bitmap[keys - first_key] = True
    return zlib.compress(np.packbits(bitmap).tobytes())


def keys_of(shard: ShardRow) -> Keys:
    """Return the keys with a row in a shard, ascending; its file is not read."""
    if shard.present is None:
        return np.arange(shard.first_key, shard.stop_key, dtype=np.int64)
    packed = np.frombuffer(zlib.decompress(shard.present), np.uint8)
    bits = np.unpackbits(packed, count=shard.stop_key - shard.first_key)
    return np.flatnonzero(bits) + shard.first_key


def live_rows(shards: Sequence[ShardRow], deleted: Keys) -> int:
    """Count the rows with a key that is not in `deleted`; no file is read."""
    return sum(shard.rows - len(rows_of(deleted, keys_of(shard))) for shard in shards)


def tail_of(index: IndexRow, shards: Sequence[ShardRow]) -> list[ShardRow]:
    """Return the shards that an index with a structure does not cover: searched exactly."""
    return [shard for shard in shards if index.file and shard.first_key >= index.stop_key]


def open_shards(shards: Sequence[ShardRow], embedding: EmbeddingRow, folder: Path) -> list[Block]:
    """Open several shards of an embedding, in their order; see `open_shard`."""
    mapped = to_map(shards)
    return [open_shard(one, embedding, folder, mapped=one.number in mapped) for one in shards]


def to_map(shards: Sequence[ShardRow]) -> set[int]:
    """Return the numbers of the shards to memory-map: all but small ones, of very many the largest.

    Each takes one of the files that the process may open.
    """
    # A failed text splits a shard in two, so there may be thousands.
    largest = heapq.nlargest(MAPPED_FILES, shards, key=lambda shard: shard.digest.size)
    return {shard.number for shard in largest if shard.digest.size >= SMALL_FILE}


def open_shard(
    shard: ShardRow,
    embedding: EmbeddingRow,
    folder: Path,
    *,
    mapped: bool = True,
    again: bool = False,
) -> Block:
    """Open a shard: its keys, and its vectors mapped or read; the file as in `files.verify`."""
    keys = keys_of(shard)
    if shard.file is None:
        return _block(keys, np.empty((0, embedding.dim), embedding.dtype), embedding)
    path, sparse = folder / shard.file, embedding.is_sparse
    vectors: Any
    if not mapped:
        data = read_verified(path, shard.digest, repair_step(path))
        if sparse:
            vectors = postings.read(path, np.frombuffer(data, np.uint8))
        else:
            vectors = np.load(io.BytesIO(data), allow_pickle=False)
        return _block(keys, vectors, embedding)
    with verified(path, shard.digest, again=again):
        vectors = (
            postings.mapped(path) if sparse else np.load(path, mmap_mode="r", allow_pickle=False)
        )
    return _block(keys, vectors, embedding)


def _block(keys: Keys, vectors: Any, embedding: EmbeddingRow) -> Block:
    if embedding.is_sparse:
        return SparseBlock(keys, _stored(vectors, embedding), embedding.similarity)
    return Block(keys, vectors, embedding.similarity)


def _stored(rows: Any, embedding: EmbeddingRow) -> Any:
    """Return rows in the type in which an embedding stores them; those of sparse ones as postings.

    Some that are postings stay so.
    """
    if not embedding.is_sparse:
        return rows.astype(embedding.dtype, copy=False)
    return rows if isinstance(rows, Postings) else Postings.of(postings.as_sparse(rows))


@dataclass
class ShardDraft:
    """Vectors of a future shard: batches are appended in key order; `write` makes the file.

    A row of zeros means that there was nothing to embed: the shard covers its key but has no row
    for it, so no search can find it.
    """

    embedding: EmbeddingRow
    first_key: int
    keys: list[Keys] = field(default_factory=list)
    vectors: list[NDArray[np.floating]] = field(default_factory=list)
    seconds: float = 0.0
    report: dict[str, int] = field(default_factory=dict)
    texts: int = 0

    @property
    def size(self) -> int:
        """Bytes of vectors."""
        return sum(part.nbytes for part in self.vectors)

    def append(
        self, keys: Sequence[int], vectors: Matrix, *, seconds: float, report: Mapping[str, int]
    ) -> None:
        """Add the vectors (n, dim) of `keys`; `seconds` and `report` add up. See `as_rows`."""
        rows: Any = as_rows(keys, vectors, self.embedding.dim)
        if self.embedding.is_sparse:
            rows = postings.as_sparse(rows)
        some = postings.filled(rows)
        rows = for_similarity(rows, self.embedding)[some]
        self.keys.append(np.asarray(keys, np.int64)[some])
        self.vectors.append(_stored(rows, self.embedding))
        self.seconds += seconds
        self.texts += len(keys)
        self.report = add_reports(self.report, report)

    def write(self, number: int, stop_key: int, folder: Path, stem: str = "") -> ShardRow:
        """Write the file that covers all keys from `first_key` to before `stop_key`.

        Without a `stem`, it is named by the number.
        """
        keys = np.concatenate(self.keys) if self.keys else np.empty(0, np.int64)
        file, digest = None, NO_FILE
        if len(keys):
            ending = "postings" if self.embedding.is_sparse else "npy"
            file = f"vectors/{self.embedding.name}/{stem or f'{number:08d}'}.{ending}"
            digest = _write_vectors(folder / file, self.vectors, len(keys), self.embedding)
        return ShardRow(
            number=number,
            embedding=self.embedding.number,
            first_key=self.first_key,
            stop_key=stop_key,
            rows=len(keys),
            present=pack_keys(keys, self.first_key, stop_key),
            file=file,
            digest=digest,
            seconds=self.seconds,
            report=self.report,
        )


def mergeable(
    shards: Sequence[ShardRow],
    boundaries: set[int],
    row_bytes: int,
    is_bare: Callable[[int, int], bool] = operator.eq,
) -> list[list[ShardRow]]:
    """Return runs of adjacent small shards that together fill one file of at most `MERGED_BYTES`.

    Of very many vectors, files are larger, so that there are few enough to map all of them.
    No run crosses one of the `boundaries`, the keys up to which an index covers everything. There
    may be a gap between adjacent shards if `is_bare` says that no passage has a key in it.
    """
    rows = sum(shard.rows for shard in shards)
    most = max(MERGED_BYTES, 2 * row_bytes * rows // MAPPED_FILES)
    runs: list[list[ShardRow]] = []
    for shard in sorted(shards, key=lambda shard: shard.first_key):
        run = runs[-1] if runs else []
        if (
            run
            and not any(run[-1].stop_key <= key <= shard.first_key for key in boundaries)
            and is_bare(run[-1].stop_key, shard.first_key)
            and row_bytes * (sum(part.rows for part in run) + shard.rows) <= most
        ):
            run.append(shard)
        else:
            runs.append([shard])
    return [run for run in runs if len(run) > 1]


def rewritten(
    run: Sequence[ShardRow], number: int, embedding: EmbeddingRow, folder: Path, deleted: Keys
) -> ShardRow:
    """Write one shard with the rows of adjacent ones, without `deleted` keys."""
    draft = ShardDraft(embedding, run[0].first_key)
    for shard, whole in zip(run, open_shards(run, embedding, folder), strict=True):
        block = live(whole, deleted)
        draft.keys.append(block.keys)
        draft.vectors.append(block.vectors)
        draft.seconds += shard.seconds
        draft.report = add_reports(draft.report, shard.report)
    return draft.write(number, run[-1].stop_key, folder)


def bytes_of_row(shards: Sequence[ShardRow], embedding: EmbeddingRow) -> int:
    """Return the bytes of a vector; of sparse ones, which differ, the mean."""
    if not embedding.is_sparse:
        return embedding.dim * np.dtype(embedding.dtype).itemsize
    return 1 + sum(one.digest.size for one in shards) // max(1, sum(one.rows for one in shards))


def add_reports(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Add the counts of two parts by name; of peaks, take the higher one."""
    total = dict(first)
    for name, count in second.items():
        known = total.get(name, 0)
        total[name] = max(known, count) if name.startswith(PEAK) else known + count
    return total


def as_rows(keys: Sequence[int], vectors: Any, dim: int) -> Matrix:
    """Return an embedder's vectors for the passages `keys` as a matrix (len(keys), dim).

    Sparse rows of scipy stay sparse.

    Raises:
        MismatchError: the embedder returned another number of rows, or another width.
        InputError: a vector holds a value that is not finite.
    """
    with np.errstate(over="ignore"):  # too large for single precision: refused as not finite
        sparse = postings.is_sparse(vectors)
        rows = vectors.tocsr().astype(np.float32) if sparse else np.asarray(vectors, np.float32)
    wanted = (len(keys), dim)
    if rows.shape != wanted:
        raise MismatchError(
            f"The embedder gave vectors of shape {rows.shape} for {len(keys)} texts; "
            f"expected {wanted}. Fix the embedder."
        )
    if not np.isfinite(rows.data if sparse else rows).all():
        bad = ~np.isfinite(postings.dense(rows)).all(axis=1)
        key = keys[int(np.flatnonzero(bad)[0])]
        raise InputError(
            f"The vector of passage {key} holds a value that is not finite. "
            "Fix the embedder, or remove the document."
        )
    return cast(Matrix, rows)


def for_similarity(vectors: Matrix, embedding: EmbeddingRow) -> Matrix:
    """Return rows as an embedding stores them: of length 1 for the cosine, else as they are.

    Raises:
        InputError: a row that is not scaled is out of range, of scores or of half precision.
    """
    if postings.is_sparse(vectors):
        return cast(Matrix, postings.scaled(vectors, embedding.similarity))
    if embedding.similarity == COSINE:
        return _of_unit_length(vectors, embedding.dtype)
    lengths = lengths_of(vectors)
    if (lengths > LONGEST).any():
        raise InputError(
            f"A vector has the length {lengths.max():.2g}; expected at most {LONGEST:.2g} for the "
            f"similarity '{embedding.similarity}'. Fix the embedder, or let it scale its vectors."
        )
    if embedding.dtype == "float16":
        with np.errstate(over="ignore"):
            lost = lengths_of(vectors - vectors.astype(np.float16))
        if not (lost <= HALF_TOLERANCE * lengths).all():
            raise InputError(
                "A vector is out of the range of half precision (float16): its numbers are up to "
                f"{np.abs(vectors).max():.2g}, or all very small. Store the vectors as float32."
            )
    return vectors


def _of_unit_length(vectors: Matrix, dtype: str) -> Matrix:
    """Scale rows to length 1, except zeros, so that scores are cosines."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    off = (np.abs(lengths - 1) > UNIT_TOLERANCE) & (lengths > 0)
    if dtype == "float16" and off.any():
        # What half precision made of a row of length 1 is that row: it stays the same, bit by bit.
        near = off & (np.abs(lengths - 1) <= HALF_TOLERANCE)
        off[near] = (vectors[near].astype(np.float16) != vectors[near]).any(axis=1)
    if not off.any():
        return vectors
    scaled = vectors.copy()
    scaled[off] = vectors[off] / lengths[off, None]
    return scaled


def _write_vectors(
    path: Path, parts: Sequence[NDArray[np.floating]], rows: int, embedding: EmbeddingRow
) -> FileDigest:
    """Write rows in NumPy's format, a few MiB at a time; sparse ones as postings."""
    if embedding.is_sparse:
        return postings.write(path, cast(Sequence[Postings], parts))
    dtype = np.dtype(embedding.dtype)
    header = {"descr": dtype.str, "fortran_order": False, "shape": (rows, embedding.dim)}
    step = max(1, WRITTEN_BYTES // (dtype.itemsize * embedding.dim))
    with new_file(path) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            for start in range(0, len(part), step):
                file.write(np.ascontiguousarray(part[start : start + step]).data)
    return file.digest
