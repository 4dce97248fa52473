"""A cache of a word's vectors in context, so that no context is encoded twice.

<cache>/words/in-context/<embedder digest>/<word digest>   one file per word: a line of JSON with
    the embedder and the word, the digest of every context with the word's span, the vectors, and
    a SHA-256 of all of it

No text is stored. A file that is damaged or of something else counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import CollectionError
from indexes.progress import Progress
from indexes.storage.files import new_file
from indexes.text.words import word_spans
from retriever.embedders.base import Matrix, WordEncoding, WordVectors
from retriever.embedders.cache import cache_folder

Span = tuple[int, int]
# A text and the span of the word in it.
Placed = tuple[str, Span]
Rows = dict[bytes, Matrix]
Missing = dict[str, list[tuple[bytes, Span]]]

DIGEST = 32
# Texts per call of the embedder; progress is reported after each.
TOGETHER = 64
# The latest vectors to keep per word: 30 MB at 384 dimensions.
KEPT = 20_000


@dataclass(frozen=True)
class Encoder:
    """A word embedder with its layer and pooling of pieces; `fingerprint` is the embedder's."""

    embedder: WordEncoding
    fingerprint: str
    layer: int | None
    pieces: str

    def header(self, word: str) -> bytes:
        """Return the line of JSON that identifies the embedder and the word."""
        facts = {"embedder": self.fingerprint, "layer": self.layer, "pieces": self.pieces}
        return json.dumps({**facts, "word": word}, sort_keys=True).encode() + b"\n"

    def path(self, word: str) -> Path:
        """Return the file of a word's vectors."""
        digests = (hashlib.sha256(self.header(one)).hexdigest()[:32] for one in ("", word))
        return cache_folder().joinpath("words", "in-context", *digests)


def encode_occurrences(
    encoder: Encoder, word: str, places: Sequence[Placed], progress: Progress
) -> tuple[list[Matrix | None], str | None]:
    """Return the vector (dim,) of a word at each place, and a note if they cannot be cached.

    None for a place beyond the embedder's length limit. Only texts that are not in the cache are
    encoded; an interrupted call caches those that are done.
    """
    path, header = encoder.path(word), encoder.header(word)
    rows, note = _read(path, header), None
    names = [_name(place) for place in places]
    missing: Missing = {}
    for name, (text, span) in zip(names, places, strict=True):
        if name not in rows:
            missing.setdefault(text, []).append((name, span))
    if missing:
        new: Rows = {}
        try:
            _encode(encoder, missing, new, progress)
        finally:
            rows |= new
            note = _write(path, header, rows) if new else None
    vectors = (rows[name] for name in names)
    return [vector if vector.any() else None for vector in vectors], note


def _encode(encoder: Encoder, missing: Missing, rows: Rows, progress: Progress) -> None:
    """Encode the missing places, by text, into `rows`."""
    texts = list(missing)
    progress(0, len(texts))
    for start in range(0, len(texts), TOGETHER):
        some = texts[start : start + TOGETHER]
        every = _words_of(encoder, some, [[span for _, span in missing[text]] for text in some])
        for text, words in zip(some, every, strict=True):
            at = {span: row for row, span in enumerate(words.spans)}
            for name, span in missing[text]:
                # Zeros mark a place that the embedder does not read, so that it is not retried.
                row = at.get(span)
                unread = np.zeros(words.vectors.shape[1:], np.float32)
                rows[name] = unread if row is None else words.vectors[row].astype(np.float32)
        progress(start + len(some), len(texts))


def _words_of(
    encoder: Encoder, texts: Sequence[str], spans: Sequence[Sequence[Span]]
) -> list[WordVectors]:
    """Return the vectors of some stretches, which in scripts without spaces are parts of words."""
    options: dict[str, Any] = {"layer": encoder.layer, "pieces": encoder.pieces}
    if any(set(some) - set(word_spans(text)) for text, some in zip(texts, spans, strict=True)):
        options["spans"] = [sorted(set(some)) for some in spans]
    return encoder.embedder.encode_words(texts, **options)


def _name(place: Placed) -> bytes:
    text, (begin, end) = place
    return hashlib.sha256(f"{begin} {end} {text}".encode()).digest()


def _read(path: Path, header: bytes) -> Rows:
    """Return the vectors of a file by their contexts; none if it is not intact."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    body, digest = data[:-DIGEST], data[-DIGEST:]
    if hashlib.sha256(body).digest() != digest or not body.startswith(header):
        return {}
    count, dim = np.frombuffer(body, "<i8", 2, len(header)).tolist()
    names = len(header) + 16
    vectors = np.frombuffer(body, "<f4", count * dim, names + count * DIGEST)
    return {
        body[names + n * DIGEST : names + (n + 1) * DIGEST]: row
        for n, row in enumerate(vectors.reshape(count, dim))
    }


def _write(path: Path, header: bytes, rows: Rows) -> str | None:
    """Write the vectors, or return a note on why that failed."""
    kept = list(rows.items())[-KEPT:]
    vectors = np.stack([row for _, row in kept]).astype("<f4")
    body = b"".join(
        [header, np.array(vectors.shape, "<i8").tobytes(), *(n for n, _ in kept), vectors.tobytes()]
    )
    # Two processes may write at once: each writes its own file, and the last one wins.
    own = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with new_file(own) as file:
            file.write(body)
            file.write(hashlib.sha256(body).digest())
        own.replace(path)
    except (CollectionError, OSError) as error:
        reason = " ".join(str(error).split())
        return (
            f"The vectors of this word could not be cached ({reason}), so the next call encodes "
            "them again. Set RETRIEVER_CACHE to a writable folder with free space."
        )
    return None
