"""The texts that a student learns from: titles and sentences of its corpus, and of the news."""

from __future__ import annotations

import random
from collections.abc import Iterable

from indexes.document import Document
from indexes.errors import RetrieverError
from retriever.datasets.lee import lee
from retriever.splitting import sentences

# Shorter ones say little, and all alike.
FEWEST_WORDS = 3
# More sentences than any sensible time is enough to encode.
MOST_DOCUMENTS = 30_000


def sample(documents: Iterable[Document], count: int, seed: int) -> list[Document]:
    """At most `MOST_DOCUMENTS` of `count` documents, in their order; the same for the same seed."""
    if count <= MOST_DOCUMENTS:
        return list(documents)
    chosen = set(random.Random(seed).sample(range(count), MOST_DOCUMENTS))
    return [document for place, document in enumerate(documents) if place in chosen]


def of_documents(documents: Iterable[Document]) -> list[str]:
    """Every distinct title and sentence of some words, in the order of the documents."""
    found = (
        text
        for document in documents
        for text in (document.title.strip(), *sentences(document.text))
        if len(text.split()) >= FEWEST_WORDS
    )
    return list(dict.fromkeys(found))


def shuffled(texts: Iterable[str], seed: int) -> list[str]:
    """The same texts in another order: that in which they are encoded, as far as time allows."""
    order = list(texts)
    random.Random(seed).shuffle(order)
    return order


def general(count: int) -> list[str]:
    """At most `count` sentences of the Lee news corpus; none where gensim came without it.

    A small corpus of titles and short texts does not have the plain words of questions, such as
    `what`, `must` and `when`; these do.
    """
    if count <= 0:
        return []
    try:
        return of_documents(lee().documents)[:count]
    except RetrieverError:
        return []
