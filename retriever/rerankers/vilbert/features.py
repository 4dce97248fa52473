"""Features of image regions, read from a file by the ids of documents.

`docs/rerankers.md` describes the three layouts.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError, pluralize
from indexes.storage.files import digest_of
from retriever.embedders.static.safetensors_file import as_float32, read_tensors
from retriever.embedders.validation import first_line

Array = NDArray[Any]
Floats = NDArray[np.float32]

# Region 0, the mean of an image's regions, stands for the image as a whole.
WHOLE = np.array([0, 0, 1, 1, 1], np.float32)
# With region 0; those of a file come best first, so that later ones are left out.
MOST_REGIONS = 101
# What rounding may add to a box that ends at the edge of its image.
TOLERANCE = 1e-3
PARTS = ("doc_ids", "counts", "features", "boxes")
CONVERT = "Write its arrays to an .npz without pickles, as docs/rerankers.md shows."


@dataclass(frozen=True)
class Regions:
    """Regions of the images of documents.

    `rows` gives the number of each document; its regions are those from `starts[n]` to before
    `starts[n + 1]`. `features` (regions, width) are as in the file, `boxes` (regions, 5) are left,
    top, right, bottom and the share of the area, all relative to the image.
    """

    path: Path
    rows: Mapping[str, int]
    starts: NDArray[np.int64]
    features: Array
    boxes: Floats

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the file."""
        return digest_of(self.path).checksum

    def of(self, doc_id: str) -> tuple[Floats, Floats]:
        """Return features (n, width) and boxes (n, 5) of a document, region 0 first, at most 101.

        Region 0 is added unless the file has it: a first box of the whole image, with the mean of
        the other regions as its features.
        """
        row = self.rows[doc_id]
        some = slice(int(self.starts[row]), int(self.starts[row + 1]))
        features, boxes = self.features[some].astype(np.float32), self.boxes[some]
        if not _has_mean(features, boxes):
            features = np.concatenate([features.mean(0, keepdims=True), features])
            boxes = np.concatenate([WHOLE[None], boxes])
        return features[:MOST_REGIONS], boxes[:MOST_REGIONS]

    def mean_count(self) -> float:
        """Return the mean number of regions of a document, as the file has them."""
        return len(self.features) / len(self.rows)


def _has_mean(features: Floats, boxes: Floats) -> bool:
    if len(features) < 2 or not np.allclose(boxes[0], WHOLE, atol=TOLERANCE):
        return False
    return np.allclose(features[0], features[1:].mean(0), rtol=1e-2, atol=1e-3)


def read_regions(path: Path, width: int) -> Regions:
    """Read a file of regions whose features are `width` wide.

    Raises:
        InputError: there is no such file, or it is of a format that holds pickles.
        FileFormatError: it cannot be read, an array is missing, has another shape, a value that
            is not finite, or a box outside its image; the message names the document.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None or path.is_dir():
        raise InputError(
            f"{path} is not read: .npy and LMDB files of regions are pickles, which can run code, "
            f"and only {', '.join(_READERS)} are taken. {CONVERT}"
        )
    if not path.is_file():
        raise InputError(f"No file of regions {path}. Give its path: -o regions FILE.")
    try:
        arrays = read(path)
    except (FileFormatError, InputError):
        raise
    except Exception as error:  # zip, numpy and pyarrow raise their own kinds
        raise FileFormatError(f"{path} cannot be read ({first_line(error)}). {CONVERT}") from None
    return _checked(path, arrays, width)


def _read_npz(path: Path) -> dict[str, Array]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no archive of arrays")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except ValueError as error:
        if "pickle" in str(error):
            raise FileFormatError(
                f"{path} holds pickles, which can run code and are never loaded. {CONVERT}"
            ) from None
        raise


def _read_safetensors(path: Path) -> dict[str, Array]:
    tensors = read_tensors(path)
    arrays = {
        name: as_float32(kind, array) if kind == "BF16" else array
        for name, (kind, array) in tensors.items()
    }
    if "doc_ids" in arrays:
        arrays["doc_ids"] = np.array(json.loads(arrays["doc_ids"].astype(np.uint8).tobytes()))
    return arrays


def _read_parquet(path: Path) -> dict[str, Array]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path).combine_chunks()
    if lacking := [
        name for name in ("doc_id", "features", "boxes") if name not in table.schema.names
    ]:
        raise FileFormatError(f"{path} lacks the column {', '.join(lacking)}. {CONVERT}")
    counts, features = _nested(path, table, "features")
    boxed, boxes = _nested(path, table, "boxes")
    if counts.tolist() != boxed.tolist():
        raise FileFormatError(f"{path}: a document has more features than boxes, or fewer.")
    arrays = {"doc_ids": np.array(table["doc_id"].to_pylist()), "counts": counts}
    if {"width", "height"} <= set(table.schema.names):
        arrays["sizes"] = np.stack([table[name].to_numpy() for name in ("width", "height")], 1)
    return arrays | {"features": features, "boxes": boxes}


def _nested(path: Path, table: Any, name: str) -> tuple[Array, Array]:
    """Return how many lists of numbers each row of a column has, and all of them as (n, width)."""
    import pyarrow.compute

    rows = table[name].combine_chunks()
    lists = rows.flatten()
    widths = np.unique(pyarrow.compute.list_value_length(lists).to_numpy(zero_copy_only=False))
    if len(widths) != 1 or rows.null_count or lists.null_count:
        raise FileFormatError(f"{path}: the {name} of all regions are not equally many numbers.")
    counts = pyarrow.compute.list_value_length(rows).to_numpy(zero_copy_only=False)
    numbers = lists.flatten().to_numpy(zero_copy_only=False)
    return counts, numbers.reshape(-1, int(widths[0]))


_READERS: Mapping[str, Callable[[Path], dict[str, Array]]] = {
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}


def _checked(path: Path, arrays: Mapping[str, Array], width: int) -> Regions:
    """Check shapes and values of the arrays of a file, and return its regions."""
    if lacking := [name for name in PARTS if name not in arrays]:
        raise FileFormatError(f"{path} lacks the array {', '.join(lacking)}. {CONVERT}")
    ids, counts, features, boxes = (arrays[name] for name in PARTS)
    names = [str(name) for name in ids.ravel().tolist()]
    if ids.dtype.kind != "U" or len(set(names)) < len(names) or not names:
        raise FileFormatError(f"{path}: doc_ids are not different texts, one for each document.")
    if counts.shape != ids.shape or counts.dtype.kind not in "iu" or counts.min() < 1:
        raise FileFormatError(
            f"{path}: counts are not one whole number from 1 up for each of "
            f"{pluralize(len(names), 'document')}."
        )
    total = int(counts.sum())
    for name, of, widths in (("features", features, (width,)), ("boxes", boxes, (4, 5))):
        if (
            of.ndim != 2
            or len(of) != total
            or of.shape[1] not in widths
            or of.dtype.kind not in "fiu"
        ):
            expected = " or ".join(f"({total:,}, {wide:,})" for wide in widths)
            found = f"{of.dtype} of shape {of.shape}"
            raise FileFormatError(
                f"{path}: {name} are {found}; expected numbers of shape {expected}, "
                "one row for each region, as wide as the model's."
            )
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def check(right: Any, what: str) -> None:
        if not right.all():
            row = int(np.searchsorted(starts, int(np.argmin(right)), side="right")) - 1
            raise FileFormatError(f"{path}: document '{names[row]}' has {what}.")

    check(np.isfinite(features).all(1), "a feature that is not a finite number")
    relative = _relative(path, boxes.astype(np.float64), arrays.get("sizes"), counts, check)
    inside = (relative >= -TOLERANCE) & (relative <= 1 + TOLERANCE)
    check(inside.all(1), "a box outside its image (expected x1, y1, x2, y2 from 0 to its size)")
    ordered = (relative[:, :2] <= relative[:, 2:4]).all(1)
    check(ordered, "a box whose right edge is left of its left, or bottom above its top")
    rows = {name: row for row, name in enumerate(names)}
    return Regions(path, rows, starts, features, relative.astype(np.float32))


def _relative(
    path: Path,
    boxes: Array,
    sizes: Array | None,
    counts: Array,
    check: Callable[[Any, str], None],
) -> Array:
    """Return boxes (n, 5) relative to their images; (n, 4) are in pixels of images of `sizes`."""
    check(np.isfinite(boxes).all(1), "a box that is not made of finite numbers")
    if boxes.shape[1] == 5:
        return boxes
    if sizes is None or sizes.shape != (len(counts), 2):
        raise FileFormatError(
            f"{path}: boxes of 4 numbers are in pixels, and need the width and height of each "
            f"image: an array sizes of shape ({len(counts):,}, 2), or columns width and height."
        )
    each = np.repeat(sizes.astype(np.float64), counts, axis=0)
    check((each > 0).all(1) & np.isfinite(each).all(1), "an image without a width or height")
    scaled = boxes / np.concatenate([each, each], 1)
    area = (scaled[:, 2] - scaled[:, 0]) * (scaled[:, 3] - scaled[:, 1])
    return np.concatenate([scaled, area[:, None]], 1)
