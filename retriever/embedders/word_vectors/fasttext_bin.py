"""Integrity check of fastText models in Facebook's binary format.

gensim never returns from a file that ends inside its vocabulary, reads a compressed model's numbers
as plain ones, and asserts the rest, so the structure is checked first. The layout is that of
`FastText::loadModel`, https://github.com/facebookresearch/fastText/blob/main/src/fasttext.cc
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

from indexes.errors import FileFormatError

MAGIC = 793712314
# epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate, t
ARGUMENTS = "<10id"
LOSSES, MODELS = range(1, 5), range(1, 4)
ENTRY = "<qb"  # after a word and its zero byte: count and kind
# Longer ones would only cost time; fastText's default is 6.
LONGEST_NGRAM = 255


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
    """Refuse a damaged, compressed (`.ftz`) or classifying model; errors call it `name`."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            _check(name, data)
        except struct.error:
            raise _cut_off(name) from None


def damaged(path: Path, reason: str) -> FileFormatError:
    """Return the error for a fastText model that gensim could not load."""
    message = f"{path} is a fastText model, but damaged: {reason}. Download or create it again."
    return FileFormatError(message)


def _check(path: Path, data: mmap.mmap) -> None:
    new = struct.unpack_from("<i", data)[0] == MAGIC
    start = 8 if new else 0
    dim = struct.unpack_from("<i", data, start)[0]
    *_, bucket, min_n, max_n, _, threshold = struct.unpack_from(ARGUMENTS, data, start + 8)
    position = start + 8 + struct.calcsize(ARGUMENTS)
    entries, words, labels, _ = struct.unpack_from("<3iq", data, position)
    position += struct.calcsize("<3iq")
    if labels > 0:
        raise FileFormatError(f"{path} is a fastText classifier; expected a model of word vectors.")
    if not 0 < entries == words or bucket < 0:
        raise damaged(path, f"it has {entries} entries, {words} words and {bucket} buckets")
    if min_n < 0 or not 0 <= max_n <= LONGEST_NGRAM or not math.isfinite(threshold):
        raise damaged(path, f"its n-grams have {min_n} to {max_n} letters, its sample {threshold}")
    pruned = struct.unpack_from("<q", data, position)[0] if new else 0
    position = _check_words(path, data, position + (8 if new else 0), entries)
    _check_matrix(path, data, position + 8 * max(pruned, 0), new, (entries + bucket, dim))


def _check_words(path: Path, data: mmap.mmap, position: int, entries: int) -> int:
    """Check the words and their counts, which gensim requires; return the position after them."""
    seen: set[bytes] = set()
    for number in range(1, entries + 1):
        end = data.find(b"\0", position)
        if end < 0:
            raise _cut_off(path)
        word = data[position:end]
        count, _ = struct.unpack_from(ENTRY, data, end + 1)
        if count < 1 or word in seen:
            what = f"has the count {count:,}" if count < 1 else "is there twice"
            shown = word.decode(errors="replace")[:40]
            raise damaged(path, f"word {number:,}, '{shown}', {what}")
        seen.add(word)
        position = end + 1 + struct.calcsize(ENTRY)
    return position


def _check_matrix(
    path: Path, data: mmap.mmap, position: int, new: bool, expected: tuple[int, int]
) -> None:
    if new and struct.unpack_from("<?", data, position)[0]:
        raise FileFormatError(
            f"{path} is a compressed fastText model (.ftz); expected the full .bin."
        )
    position += int(new)
    rows, width = struct.unpack_from("<2q", data, position)
    if (rows, width) != expected or width < 1:
        found = f"it has {rows:,} vectors of {width:,} numbers"
        raise damaged(path, f"{found}; its header promises {expected[0]:,} of {expected[1]:,}")
    if position + 16 + 4 * rows * width > len(data):
        raise _cut_off(path)


def _cut_off(path: Path) -> FileFormatError:
    return FileFormatError(f"{path} is a fastText model, but ends too early. Download it again.")
