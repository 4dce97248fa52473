"""Vectors in Parquet: one row a passage, read and written a few thousand rows at a time."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError, first_of, pluralize
from retriever.formats.records import DOCUMENT_IDS
from retriever.formats.vectors.passages import PassageId

# Columns, the first of which are those that we write.
ID, START, END, TITLE, TEXT, METADATA, VECTOR = (
    *("doc_id", "passage_start", "passage_end", "title", "text", "metadata", "vector"),
)
IDS, VECTORS = (ID, *DOCUMENT_IDS), (VECTOR, "vectors", "embedding", "embeddings")
# In the schema: what is known of the vectors, as JSON.
KEY = b"retriever"
BATCH = 4_096
# A group of rows is written at this many, or at this many bytes.
GROUP_ROWS, GROUP_BYTES = 8_192, 64 << 20


@dataclass(frozen=True)
class ParquetVectors:
    """The vectors of a Parquet file, in a temporary file that rows can be read from in any order.

    `absent` are the rows whose vector is null.
    """

    path: Path
    vectors: NDArray[np.floating]
    absent: NDArray[np.intp]
    similarity: str | None
    columns: Sequence[str]

    @classmethod
    def read(cls, path: Path) -> ParquetVectors:
        """Copy the vectors of a file; errors as in `reading.read_vectors`."""
        import pyarrow as pa

        try:
            return cls._read(path)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            message = f"{path} cannot be read as Parquet: {reason}. Download or create it again."
            raise FileFormatError(message) from None

    @classmethod
    def _read(cls, path: Path) -> ParquetVectors:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, pre_buffer=False) as file:
            columns, rows = file.schema_arrow.names, file.metadata.num_rows
            name = _column(path, columns, VECTORS)
            dtype = _dtype(path, name, file.schema_arrow.field(name).type)
            similarity = _known(file.schema_arrow.metadata).get("similarity")
            with tempfile.TemporaryFile() as temporary:
                copy = _Copy(path, name, rows, dtype, temporary)
                for batch in file.iter_batches(BATCH, columns=[name]):
                    copy.add(batch.column(0))
                return cls(path, copy.finish(), copy.absent(), similarity, columns)

    def ids(self, split: bool) -> Iterator[PassageId]:
        """Yield the passage of each row; with its place, if documents are split and it has one."""
        import pyarrow.parquet as pq

        names = [_column(self.path, self.columns, IDS)]
        if split and START in self.columns and END in self.columns:
            names += [START, END]
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH, columns=names):
                places = [batch.column(name).to_pylist() for name in names]
                for doc_id, *place in zip(*places, strict=True):
                    yield PassageId(str(doc_id), *place)


def similarity_in(path: Path) -> str | None:
    """Return how the vectors of a file are to be compared, if it says so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = _known(pq.read_schema(path).metadata).get("similarity")
    except (pa.ArrowException, OSError):  # a file of somebody else's
        return None
    return found if isinstance(found, str) else None


class _Copy:
    """The vectors of a column, written to a temporary file one batch after another."""

    def __init__(
        self, path: Path, column: str, rows: int, dtype: np.dtype[Any], file: IO[bytes]
    ) -> None:
        self._path, self._column, self._rows, self._dtype = path, column, rows, dtype
        self._file = file
        self._dim, self._wrong, self._count = 0, 0, 0
        self._absent: list[NDArray[np.intp]] = []

    def add(self, column: Any) -> None:
        import pyarrow.compute as pc

        valid = column.is_valid().to_numpy(zero_copy_only=False)
        widths = pc.list_value_length(column).to_numpy(zero_copy_only=False)[valid]
        if not self._dim and len(widths):
            self._dim = int(widths[0])
            # The rows of nulls before the first vector.
            self._file.write(bytes(self._count * self._dim * self._dtype.itemsize))
        self._wrong += int((widths != self._dim).sum())
        if not self._wrong:
            rows = np.zeros((len(column), self._dim), self._dtype)
            values = column.drop_null().flatten().to_numpy(zero_copy_only=False)
            if len(values):
                with np.errstate(over="ignore"):  # too large for single precision: not finite
                    rows[valid] = values.reshape(-1, self._dim)
            self._file.write(rows.data)
        self._absent.append(np.flatnonzero(~valid) + self._count)
        self._count += len(column)

    def absent(self) -> NDArray[np.intp]:
        """Return the rows without a vector."""
        return np.concatenate([np.empty(0, np.intp), *self._absent])

    def finish(self) -> NDArray[np.floating]:
        """Return all rows, from the file.

        Raises:
            InputError: there is none, or not all are of one width.
        """
        if not self._dim:
            raise InputError(f"No row of {self._path} has a vector in '{self._column}'.")
        if self._wrong:
            raise InputError(
                f"{self._path}: {pluralize(self._wrong, 'vector is', 'vectors are')} not "
                f"{self._dim} wide, as the first is. All must be of one width."
            )
        self._file.flush()
        shape = (self._rows, self._dim)
        return np.memmap(self._file, self._dtype, mode="r", shape=shape)


def _column(path: Path, columns: Sequence[str], known: Sequence[str]) -> str:
    found = next((name for name in known if name in columns), None)
    if found is None:
        raise InputError(
            f"{path} has no column '{known[0]}'. It has: {first_of(list(columns), 24)}."
        )
    return found


def _dtype(path: Path, name: str, type_: Any) -> np.dtype[Any]:
    """Return the type of the numbers in a column of lists."""
    import pyarrow as pa

    types = pa.types
    lists = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if any(is_one(type_) for is_one in lists):
        inner = type_.value_type
        if types.is_float16(inner):
            return np.dtype(np.float16)
        if types.is_floating(inner) or types.is_integer(inner):
            return np.dtype(np.float32)
    raise InputError(f"The column '{name}' of {path} is {type_}; expected lists of numbers.")


def _known(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """Return what the file says of its vectors, if we have written it."""
    try:
        known = json.loads((metadata or {}).get(KEY, b"{}"))
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


@dataclass(frozen=True)
class Columns:
    """A page of rows, by column; `places` and `vectors` (n, dim) with `has` (n,) if there are any.

    `metadata` is JSON.
    """

    doc_ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]
    metadata: Sequence[str]
    places: Sequence[tuple[int, int]] | None = None
    vectors: NDArray[np.floating] | None = None
    has: NDArray[np.bool_] | None = None


@contextlib.contextmanager
def parquet_file(
    path: Path, dim: int, dtype: str, passages: bool, facts: Mapping[str, Any] | None
) -> Iterator[Callable[[Columns], None]]:
    """Yield what writes pages of rows to a Parquet file.

    It has the place of each row if they are `passages`, and vectors if there is a `dim`: lists of
    one width, null where a passage has nothing to embed. `facts` are kept as JSON in the schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = pa.float16() if dtype == "float16" else pa.float32()
    fields = [(ID, pa.string())]
    fields += [(START, pa.int64()), (END, pa.int64())] if passages else []
    fields += [(TITLE, pa.string()), (TEXT, pa.string()), (METADATA, pa.string())]
    fields += [(VECTOR, pa.list_(number, dim))] if dim else []
    schema = pa.schema(fields, {KEY: json.dumps(facts or {}).encode()})
    # Vectors do not compress, and their numbers hardly repeat.
    compression = dict.fromkeys([name for name, _ in fields if name != VECTOR], "zstd")
    if dim:
        compression[f"{VECTOR}.list.element"] = "none"
    options = {"compression": compression, "use_dictionary": [METADATA]}
    waiting: list[Any] = []
    with pq.ParquetWriter(path, schema, **options) as writer:

        def flush() -> None:
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting.clear()

        def write(page: Columns) -> None:
            arrays = [page.doc_ids]
            if passages:
                arrays += zip(*(page.places or ()), strict=True)
            arrays += [page.titles, page.texts, page.metadata]
            made = [pa.array(one, field.type) for one, field in zip(arrays, schema, strict=False)]
            if dim and page.vectors is not None and page.has is not None:
                flat = pa.array(np.ascontiguousarray(page.vectors).reshape(-1), number)
                made.append(pa.FixedSizeListArray.from_arrays(flat, dim, mask=pa.array(~page.has)))
            waiting.append(pa.RecordBatch.from_arrays(made, schema=schema))
            rows = sum(one.num_rows for one in waiting)
            if rows >= GROUP_ROWS or sum(one.nbytes for one in waiting) >= GROUP_BYTES:
                flush()

        yield write
        flush()
