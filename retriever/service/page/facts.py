"""What pages say about a library, kept until a commit changes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from indexes.catalog.records import kind_of
from retriever.collection import Collection
from retriever.indexing.builder import DEFAULT_LANGUAGE
from retriever.indexing.info import CollectionInfo, IndexInfo
from retriever.indexing.notes import index_notes
from retriever.search.metadata_fields import MetadataField

Made = TypeVar("Made")
# Maps and facts that are kept of one library.
MOST = 16


@dataclass(frozen=True)
class Facts:
    """The state of a collection: its indexes, and the fields of its metadata."""

    info: CollectionInfo
    fields: tuple[MetadataField, ...]
    defaults: tuple[str, ...]

    @classmethod
    def of(cls, collection: Collection) -> Facts:
        """Read them from a collection."""
        info = collection.info()
        defaults = tuple(collection.default_indexes()) if info.indexes else ()
        return cls(info, collection.metadata_fields(), defaults)

    @cached_property
    def indexes(self) -> Mapping[str, IndexInfo]:
        """The indexes by name."""
        return {one.name: one for one in self.info.indexes}

    @cached_property
    def with_vectors(self) -> list[str]:
        """The names of indexes that have vectors of their own."""
        return [one.name for one in self.info.indexes if kind_of(one.kind).has_vectors]

    @cached_property
    def has_words(self) -> bool:
        """Whether senses of words can be shown: there is a BM25 index and a contextual one."""
        kinds = {one.family for one in self.info.indexes}
        return {"lexical", "contextual"} <= kinds

    @cached_property
    def language(self) -> str:
        """The language in which words are compared: that of the first BM25 index, or English."""
        lexical = (one for one in self.info.indexes if kind_of(one.kind).is_lexical)
        return next((str(one.options["language"]) for one in lexical), DEFAULT_LANGUAGE)

    def notes(self, index: IndexInfo) -> list[str]:
        """Return warnings on an index."""
        return index_notes(index, self.info.path, split=bool(self.info.split))


class Kept:
    """Values that were made of a library's present state; a new commit lets them go.

    Threads may share it. One makes a value, and others that need the same wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, tuple[int, dict[Hashable, tuple[threading.Lock, list[Any]]]]] = {}

    def of(
        self, collection: Collection, library: str, key: Hashable, make: Callable[[], Made]
    ) -> Made:
        """Return what `make` returns, or has returned for the same key and state."""
        generation = collection.generation
        with self._lock:
            known = self._made.get(library)
            if known is None or known[0] != generation:
                known = self._made[library] = generation, {}
            if key not in known[1] and len(known[1]) >= MOST:
                known[1].pop(next(iter(known[1])))
            lock, value = known[1].setdefault(key, (threading.Lock(), []))
        with lock:
            if not value:
                value.append(make())
            made: Made = value[0]
        return made
