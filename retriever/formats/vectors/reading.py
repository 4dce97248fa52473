"""Vectors read from files, row by row or all at once, without holding them in memory."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from indexes.errors import FileFormatError, InputError, pluralize
from retriever.formats.ids import read_ids
from retriever.formats.vectors.parquet import ParquetVectors, similarity_in
from retriever.formats.vectors.passages import PassageId, passage_of

IDS = ".ids.txt"
ENDINGS = ".npy (with .ids.txt beside it), .npz, .parquet, or a folder of these"
# Names of arrays in a .npz file.
ARRAYS = (("ids", "doc_ids", "id"), ("vectors", "embeddings", "vector", "embedding"))
ROWS = 8_192
# A path, or ids with the vectors (n, dim) in their order.
VectorSource = str | os.PathLike[str] | tuple[Sequence[str], ArrayLike]


class Rows(Protocol):
    """A matrix (n, dim) of which rows are read by slices or by numbers, as an array of NumPy's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows, and their width."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


@dataclass(frozen=True)
class VectorFile:
    """The vectors (n, dim) of a file, float16 or float32, and the passages that they belong to.

    `ids` yields one for each row; with `split`, lines may have a place behind the id. None: the
    file has none. `absent` are the rows that are declared to have no vector; they are zeros.
    `similarity` is how the vectors are to be compared, where the file says so.
    """

    name: str
    vectors: Rows
    ids: Callable[[bool], Iterator[PassageId]] | None
    absent: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    similarity: str | None = None

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return int(self.vectors.shape[1])

    def batches(self) -> Iterator[NDArray[np.float32]]:
        """Yield the vectors in order, some thousand rows at a time."""
        for start in range(0, len(self.vectors), ROWS):
            with np.errstate(over="ignore"):  # too large for single precision: not finite
                yield np.asarray(self.vectors[start : start + ROWS], np.float32)


def read_vectors(path: str | os.PathLike[str]) -> VectorFile:
    """Open a file of vectors; a folder has several, in parts.

    Raises:
        InputError: there is no such file, its ending is unknown, or ids and vectors differ in
            number, or vectors in width.
        FileFormatError: it cannot be read.
    """
    place = Path(path)
    if place.is_dir():
        return _read_folder(place)
    if not place.is_file():
        raise InputError(f"No file {place}. Give vectors as {ENDINGS}.")
    ending = place.suffix.lower()
    if ending == ".npy":
        return _read_npy(place)
    if ending == ".npz":
        return _read_npz(place)
    if ending == ".parquet":
        found = ParquetVectors.read(place)
        absent, similarity = found.absent, found.similarity
        return VectorFile(str(place), found.vectors, found.ids, absent, similarity)
    raise InputError(f"{place} is no file of vectors that is known. Give {ENDINGS}.")


def vectors_of(source: VectorSource) -> VectorFile:
    """Return the vectors of a file, or of a pair of ids and vectors (n, dim) in memory.

    Raises:
        InputError: as `read_vectors`, or the pair is none, or of two lengths.
    """
    if isinstance(source, str | os.PathLike):
        return read_vectors(source)
    try:
        ids, rows = source
        lines = [str(one) for one in ids]
    except (TypeError, ValueError):
        raise InputError("The vectors are neither a path nor a pair (ids, vectors).") from None
    try:
        array = np.asarray(rows)
    except ValueError:
        raise InputError("The vectors of the pair are no rows of numbers of one width.") from None
    vectors = _matrix("The pair", array)
    _check_number("The pair", len(lines), "its array", len(vectors))
    return VectorFile("the given vectors", vectors, _from_lines(lines))


def _read_npy(path: Path) -> VectorFile:
    beside = path.with_name(path.name.removesuffix(path.suffix) + IDS)
    vectors = _matrix(str(path), _loaded(path, lambda: np.load(path, mmap_mode="r")))
    if not beside.exists():
        return VectorFile(str(path), vectors, None)
    lines = read_ids(str(beside))
    _check_number(str(beside), len(lines), str(path), len(vectors))
    return VectorFile(str(path), vectors, _from_lines(lines))


def _read_npz(path: Path) -> VectorFile:
    def load() -> tuple[Any, Any]:
        with np.load(path) as arrays:
            names = [next((n for n in known if n in arrays.files), None) for known in ARRAYS]
            if names[1] is None:
                raise InputError(
                    f"{path} has no array 'vectors'. It has: {', '.join(arrays.files)}."
                )
            return names[0] and arrays[names[0]], arrays[names[1]]

    ids, rows = _loaded(path, load)
    vectors = _matrix(str(path), rows)
    if ids is None:
        return VectorFile(str(path), vectors, None)
    if ids.ndim != 1 or ids.dtype.kind not in "Uiu":
        raise InputError(f"The ids in {path} are {ids.dtype} {ids.shape}; expected a row of texts.")
    _check_number(f"'ids' in {path}", len(ids), "'vectors'", len(vectors))
    return VectorFile(str(path), vectors, _from_lines([str(one) for one in ids.tolist()]))


def _read_folder(folder: Path) -> VectorFile:
    """Read the parts of a folder, in the order of their names: its .npy files, or else Parquet."""
    for ending in ("npy", "parquet"):
        if names := sorted(folder.glob(f"*.{ending}")):
            found = _joined(str(folder), [read_vectors(name) for name in names])
            # NumPy's files do not say how vectors are compared; the Parquet beside them does.
            beside = next(iter(sorted(folder.glob("*.parquet"))), None)
            return replace(found, similarity=similarity_in(beside) if beside else None)
    raise InputError(f"{folder}/ has no .npy and no .parquet file. Give vectors as {ENDINGS}.")


def _joined(name: str, parts: Sequence[VectorFile]) -> VectorFile:
    widths = sorted({part.dim for part in parts})
    if len(widths) > 1:
        raise InputError(f"The vectors in {name}/ are {' and '.join(map(str, widths))} wide.")
    without = [part.name for part in parts if part.ids is None]
    if without and len(without) < len(parts):
        raise InputError(f"{without[0]} has no ids beside it, as other parts of {name}/ have.")

    def ids(split: bool) -> Iterator[PassageId]:
        for part in parts:
            if part.ids is not None:
                yield from part.ids(split)

    starts = np.cumsum([0, *(len(part.vectors) for part in parts)])
    absent = [part.absent + start for part, start in zip(parts, starts, strict=False)]
    rows = Parts([part.vectors for part in parts])
    similarities = {part.similarity for part in parts}
    similarity = similarities.pop() if len(similarities) == 1 else None
    return VectorFile(name, rows, None if without else ids, np.concatenate(absent), similarity)


class Parts:
    """Matrices of one width below each other, of which rows are read as of one."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.shape = (int(self._starts[-1]), parts[0].shape[1])
        self.dtype = np.result_type(*{part.dtype for part in parts})

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> NDArray[np.floating]:
        """Return some rows, given as a slice or by number."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        out = np.empty((len(rows), self.shape[1]), self.dtype)
        of = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(of):
            here = of == number
            out[here] = self._parts[number][rows[here] - self._starts[number]]
        return out


def _loaded(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise FileFormatError(f"{path} cannot be read as NumPy's: {reason}.") from None


def _matrix(name: str, array: Any) -> NDArray[np.floating]:
    if array.ndim == 1 and array.dtype.kind == "f":  # a single vector
        array = array[None, :]
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
        raise InputError(
            f"{name} holds {array.dtype} of shape {array.shape}; expected numbers (rows, width)."
        )
    found: NDArray[np.floating] = array
    return found


def _check_number(ids: str, lines: int, file: str, rows: int) -> None:
    if lines != rows:
        raise InputError(
            f"{ids} has {pluralize(lines, 'id')}, and {file} {pluralize(rows, 'vector')}: each "
            "vector needs one id, in the same order."
        )


def _from_lines(lines: Iterable[str]) -> Callable[[bool], Iterator[PassageId]]:
    def ids(split: bool) -> Iterator[PassageId]:
        return (passage_of(line, split=split) for line in lines)

    return ids


def batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the items in lists of a size; the last may be shorter."""
    waiting = iter(items)
    while some := list(islice(waiting, size)):
        yield some
