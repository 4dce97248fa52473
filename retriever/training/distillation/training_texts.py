"""The training texts of a student: titles and sentences of its corpus, and general ones."""

from __future__ import annotations

import random
from collections.abc import Iterable

from indexes.document import Document
from indexes.errors import RetrieverError
from retriever.datasets.lee import lee
from retriever.splitting import count_words, sentences

# Shorter texts carry little information.
FEWEST_WORDS = 3
# More documents have more sentences than can be encoded in a reasonable time.
MOST_DOCUMENTS = 30_000


def sample(documents: Iterable[Document], count: int, seed: int) -> list[Document]:
    """Sample at most `MOST_DOCUMENTS` of `count` documents, in order; repeatable by the seed."""
    if count <= MOST_DOCUMENTS:
        return list(documents)
    chosen = set(random.Random(seed).sample(range(count), MOST_DOCUMENTS))
    return [document for place, document in enumerate(documents) if place in chosen]


def titles_and_sentences(documents: Iterable[Document]) -> list[str]:
    """Return the distinct titles and sentences of at least `FEWEST_WORDS` words, in order."""
    found = (
        text
        for document in documents
        for text in (document.title.strip(), *sentences(document.text))
        if count_words(text) >= FEWEST_WORDS
    )
    return list(dict.fromkeys(found))


def shuffled(texts: Iterable[str], seed: int) -> list[str]:
    """Return the texts in random order, repeatable by the seed."""
    order = list(texts)
    random.Random(seed).shuffle(order)
    return order


def general_sentences(count: int) -> list[str]:
    """Return at most `count` sentences of the Lee news corpus; none if it is not installed.

    They have common words of questions, such as `what`, `must` and `when`, that a small corpus of
    titles and short texts lacks.
    """
    if count <= 0:
        return []
    try:
        return titles_and_sentences(lee().documents)[:count]
    except RetrieverError:
        return []
