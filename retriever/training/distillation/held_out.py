"""Which texts a student learns from, and which are held out to tell how close it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexes.catalog.document_rows import whole_text
from indexes.document import Document
from retriever.embedders.base import Matrix
from retriever.splitting import sentences
from retriever.training.distillation.reading import FEWEST_TEXTS

HELD_OUT, HELD_OUT_SHARE = 1_000, FEWEST_TEXTS
# A passage that a held-out text makes up to this share tells what it is.
MOSTLY = 0.8


@dataclass(frozen=True)
class TaughtTexts:
    """Texts with the teacher's vectors, (len(texts), dim)."""

    texts: Sequence[str]
    vectors: Matrix

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, wanted: Sequence[bool]) -> TaughtTexts:
        """Return those for which `wanted` is true."""
        texts = [text for text, one in zip(self.texts, wanted, strict=True) if one]
        return TaughtTexts(texts, self.vectors[np.array(wanted, np.bool_)])


@dataclass(frozen=True)
class Division:
    """Texts that the teacher read and passages of its index, without the held-out texts.

    `known` of the held-out texts were not read: their vectors are those of the index.
    """

    read: TaughtTexts
    passages: TaughtTexts
    held_out: TaughtTexts
    known: int


def plain(text: str) -> str:
    """Return a text without what no teacher reads: further spaces and line breaks."""
    return " ".join(text.split())


def not_among(texts: Iterable[str], passages: Iterable[str]) -> list[str]:
    """Return the texts that are none of the passages, whose vectors are there."""
    there = set(map(plain, passages))
    return [text for text in texts if plain(text) not in there]


def divide(
    own: Sequence[str], read: TaughtTexts, passages: TaughtTexts, documents: Iterable[Document]
) -> Division:
    """Hold out the first of the documents' `own` texts that have a vector; no lesson has them.

    Those that the teacher read come first, then those that are passages, whose vectors are there. A
    passage is no lesson if it is a held-out text, or the document of one that makes up most of it.
    """
    of_read, of_passages = _places(read.texts), _places(passages.texts)
    were_read = [text for text in own if plain(text) in of_read]
    there = [text for text in own if plain(text) in of_passages and plain(text) not in of_read]
    having = were_read + there or list(read.texts)
    held = having[: min(HELD_OUT, (len(read) + len(there)) // HELD_OUT_SHARE)]
    known = [plain(text) not in of_read for text in held]
    rows = [
        passages.vectors[of_passages[plain(text)]] if there else read.vectors[of_read[plain(text)]]
        for text, there in zip(held, known, strict=True)
    ]
    vectors = np.array(rows, np.float32).reshape(len(held), read.vectors.shape[1])
    out = set(map(plain, held))
    left_out = out | _mostly(out, documents)
    return Division(
        read.only([plain(text) not in out for text in read.texts]),
        passages.only([plain(text) not in left_out for text in passages.texts]),
        TaughtTexts(held, vectors),
        sum(known),
    )


def _places(texts: Iterable[str]) -> Mapping[str, int]:
    return {plain(text): place for place, text in enumerate(texts)}


def _mostly(held: set[str], documents: Iterable[Document]) -> set[str]:
    """Return the texts of documents of which a title or sentence in `held` makes up most."""
    longest = max(map(len, held), default=0)
    found = set()
    for document in documents:
        whole = plain(whole_text(document))
        if MOSTLY * len(whole) > longest:
            continue
        parts = map(plain, (document.title, *sentences(document.text)))
        if any(part in held and len(part) >= MOSTLY * len(whole) for part in parts):
            found.add(whole)
    return found
