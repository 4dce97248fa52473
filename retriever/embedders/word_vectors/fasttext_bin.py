"""Integrity check of fastText models in Facebook's binary format.

gensim never returns from a file that ends inside its vocabulary, and reads a compressed model's
numbers as plain ones, so the structure is checked first. The layout is that of
`FastText::loadModel`, https://github.com/facebookresearch/fastText/blob/main/src/fasttext.cc
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from indexes.errors import FileFormatError

MAGIC = 793712314
# epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
ARGUMENTS = "<10id"
LOSSES, MODELS = range(1, 5), range(1, 4)
ENTRY_BYTES = 9  # after a word and its zero byte: count (int64) and kind (int8)


def looks_like_fasttext(head: bytes) -> bool:
    """Return whether a file begins like a fastText model, in the current or the pre-2017 format."""
    if len(head) < 8 + struct.calcsize(ARGUMENTS):
        return False
    first, second = struct.unpack_from("<2i", head)
    if first == MAGIC:
        return True
    # The old format begins with the width and the window, without a magic number.
    _, _, _, _, loss, model, *_ = struct.unpack_from(ARGUMENTS, head, 8)
    return 0 < first < 1 << 16 and 0 <= second < 1 << 12 and loss in LOSSES and model in MODELS


def validate_fasttext(path: Path, name: Path) -> None:
    """Refuse a truncated, compressed (`.ftz`) or classifying model; errors call it `name`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _check(name, data)
        except struct.error:
            raise _cut_off(name) from None


def _check(path: Path, data: mmap.mmap) -> None:
    new = struct.unpack_from("<i", data)[0] == MAGIC
    position = (16 if new else 8) + struct.calcsize(ARGUMENTS)
    entries, _, labels = struct.unpack_from("<3i", data, position)
    position += 12 + 8
    if labels > 0:
        raise FileFormatError(f"{path} is a fastText classifier; expected a model of word vectors.")
    pruned = struct.unpack_from("<q", data, position)[0] if new else 0
    position += 8 if new else 0
    for _ in range(entries):
        end = data.find(b"\0", position)
        if end < 0:
            raise _cut_off(path)
        position = end + 1 + ENTRY_BYTES
    _check_matrix(path, data, position + 8 * max(pruned, 0), new)


def _check_matrix(path: Path, data: mmap.mmap, position: int, new: bool) -> None:
    if new and struct.unpack_from("<?", data, position)[0]:
        raise FileFormatError(
            f"{path} is a compressed fastText model (.ftz); expected the full .bin."
        )
    position += int(new)
    rows, width = struct.unpack_from("<2q", data, position)
    if rows < 0 or width <= 0 or position + 16 + 4 * rows * width > len(data):
        raise _cut_off(path)


def _cut_off(path: Path) -> FileFormatError:
    return FileFormatError(f"{path} is a fastText model, but ends too early. Download it again.")
