"""Memory-mapped arrays of safetensors files.

The file is a header length (uint64), the header as JSON, and the bytes of the arrays:
https://github.com/huggingface/safetensors#format. The `safetensors` package (0.8) is not used: with
numpy it copies every array into memory, and cannot read BF16.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError

TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
TYPES |= {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1"}
HEADER_BYTES = 100_000_000


def read_tensors(path: Path) -> dict[str, tuple[str, NDArray[Any]]]:
    """Return name to (type in the file, array) of all arrays; BF16 as its bits, `<u2`."""
    try:
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            if size > HEADER_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        return {name: (of["dtype"], _mapped(path, 8 + size, of)) for name, of in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        reason = f"{type(error).__name__}: {error}"
        raise FileFormatError(f"{path} is not an intact safetensors file ({reason}).") from None


def as_float32(kind: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Convert to float32; return the array itself if it is that already."""
    if kind == "BF16":
        # The upper half of a float32.
        return (array.astype("<u4") << 16).view("<f4")
    return np.asarray(array, dtype="<f4")


def _mapped(path: Path, base: int, entry: dict[str, Any]) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    kind, shape = np.dtype(TYPES[entry["dtype"]]), tuple(entry["shape"])
    if end - begin != kind.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise ValueError("an array's size does not match its shape")
    if begin == end:
        return np.zeros(shape, kind)
    return np.asarray(np.memmap(path, kind, "r", offset=base + begin, shape=shape))
