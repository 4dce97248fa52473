"""Vectors of a word's occurrences, kept in the cache, so that no context is encoded twice.

<cache>/words/in-context/<of the embedder>/<of the word>   one file a word: a line of JSON that says
    whose vectors these are, the checksum of every context with the place of the word in it, the
    vectors, and a SHA-256 over all of it

No text is kept. A file that is damaged, or not what it should be, counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexes.errors import CollectionError
from indexes.progress import Progress
from indexes.storage.files import new_file
from retriever.embedders.base import Matrix, WordEncoding, WordVectors
from retriever.embedders.cache import cache_folder

# A word in its text: the text, and where the word stands in it.
Placed = tuple[str, tuple[int, int]]
Rows = dict[bytes, Matrix]

DIGEST = 32
# Texts that go to the embedder at once: between them, the progress is told.
TOGETHER = 64
# Of these, the latest are kept: 30 MB of vectors of 384 numbers.
KEPT = 20_000


@dataclass(frozen=True)
class Encoder:
    """An embedder of words with a layer, and a way with pieces; `fingerprint` is the embedder's."""

    embedder: WordEncoding
    fingerprint: str
    layer: int | None
    pieces: str

    def __call__(self, texts: Sequence[str]) -> list[WordVectors]:
        """The words of some texts."""
        return self.embedder.encode_words(texts, layer=self.layer, pieces=self.pieces)

    def says(self, word: str) -> bytes:
        """One line that says whose vectors these are."""
        facts = {
            "embedder": self.fingerprint,
            "layer": self.layer,
            "pieces": self.pieces,
            "word": word,
        }
        return json.dumps(facts, sort_keys=True).encode() + b"\n"

    def path(self, word: str) -> Path:
        """The file of a word's vectors."""
        of_embedder, of_word = (
            hashlib.sha256(self.says(one)).hexdigest()[:32] for one in ("", word)
        )
        return cache_folder() / "words" / "in-context" / of_embedder / of_word


def encoded(
    encoder: Encoder, word: str, places: Sequence[Placed], progress: Progress
) -> tuple[list[Matrix | None], str | None]:
    """The vector (dim,) of a word at each of some places, and a note where they cannot be kept.

    None for a place that the embedder did not read: it may be beyond its longest text. Only texts
    that are not in the cache are encoded; interrupted, those that are done are kept.
    """
    path, says = encoder.path(word), encoder.says(word)
    rows, note = _read(path, says), None
    names = [_name(place) for place in places]
    missing: dict[str, list[tuple[bytes, tuple[int, int]]]] = {}
    for name, (text, span) in zip(names, places, strict=True):
        if name not in rows:
            missing.setdefault(text, []).append((name, span))
    if missing:
        new: Rows = {}
        try:
            _encode(encoder, missing, new, progress)
        finally:
            rows |= new
            note = _write(path, says, rows) if new else None
    vectors = (rows[name] for name in names)
    return [vector if vector.any() else None for vector in vectors], note


def _encode(
    encoder: Callable[[Sequence[str]], list[WordVectors]],
    missing: dict[str, list[tuple[bytes, tuple[int, int]]]],
    rows: Rows,
    progress: Progress,
) -> None:
    """Puts the vectors of what is missing, by text, into `rows`."""
    texts = list(missing)
    progress(0, len(texts))
    for start in range(0, len(texts), TOGETHER):
        some = texts[start : start + TOGETHER]
        for text, words in zip(some, encoder(some), strict=True):
            at = {span: row for row, span in enumerate(words.spans)}
            for name, span in missing[text]:
                # Zeros for what was not read: it need not be tried again.
                row = at.get(span)
                unread = np.zeros(words.vectors.shape[1:], np.float32)
                rows[name] = unread if row is None else words.vectors[row].astype(np.float32)
        progress(start + len(some), len(texts))


def _name(place: Placed) -> bytes:
    text, (begin, end) = place
    return hashlib.sha256(f"{begin} {end} {text}".encode()).digest()


def _read(path: Path, says: bytes) -> Rows:
    """The vectors in a file by their contexts; none where it is not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    body, digest_of = data[:-DIGEST], data[-DIGEST:]
    if hashlib.sha256(body).digest() != digest_of or not body.startswith(says):
        return {}
    count, dim = np.frombuffer(body, "<i8", 2, len(says)).tolist()
    names = len(says) + 16
    vectors = np.frombuffer(body, "<f4", count * dim, names + count * DIGEST)
    return {
        body[names + n * DIGEST : names + (n + 1) * DIGEST]: row
        for n, row in enumerate(vectors.reshape(count, dim))
    }


def _write(path: Path, says: bytes, rows: Rows) -> str | None:
    """Keeps vectors; a note where that fails: they are of use without it."""
    kept = list(rows.items())[-KEPT:]
    vectors = np.stack([row for _, row in kept]).astype("<f4")
    body = b"".join(
        [says, np.array(vectors.shape, "<i8").tobytes(), *(n for n, _ in kept), vectors.tobytes()]
    )
    # Two processes may write at once: each its own file, and the last one stays.
    own = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with new_file(own) as file:
            file.write(body)
            file.write(hashlib.sha256(body).digest())
        own.replace(path)
    except (CollectionError, OSError) as error:
        reason = " ".join(str(error).split())
        return (
            f"What was encoded of this word could not be kept ({reason}): it is encoded again when "
            "it is asked for. Set RETRIEVER_CACHE to a folder that can be written and has room."
        )
    return None
