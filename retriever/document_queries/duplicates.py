"""Documents that another document of the corpus repeats: the rest of one may be found as the other.

Broder 1997, "On the resemblance and containment of documents": two texts are alike if they share
many of their *shingles*, the runs of a few words. Here no shingle is left to chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from retriever.document_queries.rest import words_of

SHINGLE = 4
# A document is repeated by another that has this share of its shingles.
CONTAINED = 0.5

Shingle = tuple[str, ...]


def repeated_documents(some: Mapping[str, str], corpus: Iterable[tuple[str, str]]) -> set[str]:
    """Return which of some documents another one repeats; both are ids with texts.

    One pass over the corpus: of its documents, only the shingles that `some` have are counted.
    """
    having: dict[Shingle, list[str]] = {}
    numbers = {}
    for doc_id, text in some.items():
        own = set(shingles(text))
        numbers[doc_id] = len(own)
        for shingle in own:
            having.setdefault(shingle, []).append(doc_id)
    found = set[str]()
    for doc_id, text in corpus:
        shared = Counter[str]()
        for shingle in having.keys() & set(shingles(text)):
            shared.update(having[shingle])
        shared.pop(doc_id, None)
        found |= {one for one, count in shared.items() if count >= CONTAINED * numbers[one]}
    return found


def shingles(text: str) -> Iterator[Shingle]:
    """Yield the runs of `SHINGLE` words of a text; a shorter text is one."""
    words = words_of(text)
    if len(words) < SHINGLE:
        yield tuple(words)
    yield from zip(*(words[start:] for start in range(SHINGLE)), strict=False)
