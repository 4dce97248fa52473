"""Passages that were found lately, kept with their documents until one of these changes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from sys import getsizeof

from indexes.catalog.corpus import Corpus
from indexes.catalog.passages import FoundPassage
from indexes.catalog.sqlite.database import Catalog

# What is kept at most; a document beyond a part of it is not kept at all.
KEPT_BYTES = 16 << 20
LARGEST_PART = 16
# Of a passage with its document, without its texts; and of a character of its metadata, as shown.
OBJECT_BYTES, METADATA_FACTOR = 600, 8


@dataclass
class _Kept:
    """Passages by key, the oldest first; `content` is the state of the documents they are of."""

    content: int
    passages: dict[int, FoundPassage] = field(default_factory=dict)
    size: int = 0


class RecentPassages:
    """Reads passages by key as `Passages.found` does; those found lately are not read again.

    A passage was compared with its checksum when it was read. Threads may share this.
    """

    def __init__(self, catalog: Catalog, corpus: Corpus) -> None:
        self._catalog, self._corpus = catalog, corpus
        self._lock = threading.Lock()
        # The last generation that these were found to be of, read and replaced as a pair.
        self._known = -1, _Kept(-1)

    def found(self, keys: Sequence[int]) -> Mapping[int, FoundPassage]:
        """Return the passages of some keys; whoever gets them must not change their metadata."""
        kept = self._at_this_generation()
        passages = kept.passages
        try:
            return {key: passages[key] for key in keys}  # the usual case
        except KeyError:
            found = {key: passage for key in keys if (passage := passages.get(key)) is not None}
        read = self._corpus.found([key for key in keys if key not in found])
        self._keep(kept, read.values())
        found.update(read)
        return found

    def _at_this_generation(self) -> _Kept:
        """Return what is kept of the documents as the running `catalog.reading()` has them."""
        generation = self._catalog.generation()
        known = self._known
        if known[0] == generation:
            return known[1]
        content = self._corpus.content()
        with self._lock:
            at, kept = self._known
            if content != kept.content:
                if content < kept.content:  # another thread reads a newer state
                    return _Kept(content)
                kept = _Kept(content)
            self._known = max(at, generation), kept
        return kept

    def _keep(self, kept: _Kept, read: Iterable[FoundPassage]) -> None:
        """Keep some passages, and drop the oldest beyond the limit; none that is stale."""
        with self._lock:
            for passage in read:
                size = _size(passage)
                if passage.stale or size > KEPT_BYTES // LARGEST_PART:
                    continue
                if passage.key not in kept.passages:
                    kept.passages[passage.key] = passage
                    kept.size += size
            while kept.size > KEPT_BYTES:
                kept.size -= _size(kept.passages.pop(next(iter(kept.passages))))


def _size(passage: FoundPassage) -> int:
    """Return about how many bytes a passage takes with its document."""
    document = passage.document
    metadata = METADATA_FACTOR * len(str(document.metadata))
    texts = (document.doc_id, document.title, document.text)
    return OBJECT_BYTES + metadata + sum(map(getsizeof, texts))
