"""The searchers of the indexes of a collection at one generation, kept until it changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from indexes.catalog.corpus import Corpus
from indexes.catalog.filters.conditions import Filter
from indexes.catalog.records import EmbeddingRow, IndexRow, ShardRow, kind_of
from indexes.catalog.registry import Registry, gaps
from indexes.catalog.sqlite.database import Catalog
from indexes.lexical.bm25 import LexicalIndex, Terms
from indexes.lexical.bm25 import load as load_lexical
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import Keys, Matrix, Neighbors, validate_k
from indexes.search.prefilter import AllowList, KeySet
from indexes.search.vector_searcher import KEPT_FILTERS, VectorSearcher
from indexes.storage.files import verified
from indexes.vectors.blocks import Block, join_small
from indexes.vectors.engine import VectorIndex
from indexes.vectors.engines import engine_of
from indexes.vectors.shards import open_shard, tail_of, to_map

File = TypeVar("File")

# Memory-mapped files that are kept open: each takes one of 1,024 that most processes may open.
MOST_MAPPED = 512
KEPT_NOTES = 1000
KEPT_FILTER_BYTES = 64 << 20


@dataclass(frozen=True)
class LexicalSearcher:
    """A BM25 index, ready to search; `deleted`, `missing`, `stale` as in `VectorSearcher`."""

    index: IndexRow
    words: LexicalIndex
    deleted: Keys
    missing: int
    stale: int

    def search(
        self,
        queries: Sequence[Terms],
        k: int,
        allowed: AllowList | None = None,
        *,
        exact: bool = False,
    ) -> Neighbors:
        """Return the `k` best passages of each query that share a term with it; always exact."""
        keys = None if allowed is None else allowed.keys
        return self.words.search(queries, validate_k(k), deleted=self.deleted, allowed=keys)

    def count(self, allowed: AllowList | None = None) -> int:
        """Return the most passages that a search can find, if all share a term with the query."""
        return self.words.rows if allowed is None else min(self.words.rows, allowed.allowed.count)

    def scores(self, queries: Sequence[Terms], keys: Keys) -> Matrix:
        """Return the BM25 of `keys` (n, m) for each of n queries; see `LexicalIndex.scores`."""
        return self.words.scores(queries, keys)


class SearcherCache:
    """The searchers of a collection, kept from one search to the next while nothing changes.

    Files are immutable, so a new generation opens only its new files.
    """

    def __init__(self, catalog: Catalog, registry: Registry, folder: Path) -> None:
        self._catalog, self._corpus = catalog, Corpus(catalog)
        self._registry, self._folder = registry, folder
        self._lock = threading.Lock()
        self._generation = self._tidied = -1
        self._searchers: dict[str, VectorSearcher | LexicalSearcher] = {}
        self._definitions: dict[str, Mapping[str, Any]] = {}
        # By checksum too: a damaged catalog cannot make one file's vectors pass for another's.
        self._blocks: dict[tuple[int, str], Block] = {}
        self._files: dict[tuple[str, str, str], Any] = {}
        # Changes with the documents only, not with every shard that a writer commits.
        self._content = -1
        self._allowed: dict[str, AllowList] = {}
        self._notes: dict[str, tuple[str, ...]] = {}
        self._deleted: Keys | None = None
        self._has_stale: bool | None = None

    def of(self, name: str) -> VectorSearcher | LexicalSearcher:
        """Return the searcher of an index at the generation of the running `catalog.reading()`.

        A combination of others, without vectors or words, raises an InputError.
        """
        with self._lock:
            self._at_this_generation()
            if name not in self._searchers:
                self._searchers[name] = self._open(name)
                # After those files were opened that stay: once is enough for a generation.
                if self._tidied != self._generation:
                    self._forget_old_files()
                    self._tidied = self._generation
            return self._searchers[name]

    def definition(self, name: str) -> Mapping[str, Any]:
        """Return the definition of an index, also of a combination."""
        with self._lock:
            self._at_this_generation()
            if name not in self._definitions:
                self._definitions[name] = self._registry.index(name).definition
            return self._definitions[name]

    def has_stale(self) -> bool:
        """Return whether keys of earlier texts may be found: then a document has several keys."""
        with self._lock:
            self._at_this_generation()
            if self._has_stale is None:
                self._has_stale = self._corpus.stale.exist()
            return self._has_stale

    def _at_this_generation(self) -> None:
        """Drop what is older than the running `catalog.reading()`."""
        generation = self._catalog.generation()
        if generation != self._generation:
            self._searchers.clear()
            self._definitions.clear()
            self._has_stale = None
            self._generation = generation

    def allowed(self, where: Filter) -> AllowList:
        """Return the passages that pass a filter; kept until a document changes."""
        with self._lock:
            content = self._at_this_content()
            found = self._allowed.get(where.key)
        if found is None:
            # The name identifies the filter and the state of the documents.
            find = partial(self._matching, where)
            found = AllowList(f"{content} {where.key}", find, where, content)
            self._keep(content, where.key, found)
        return found

    def _matching(self, where: Filter) -> KeySet:
        return KeySet.of(self._corpus.matching(where))

    def notes_on(self, name: str, make: Callable[[Corpus], tuple[str, ...]]) -> tuple[str, ...]:
        """Return what a function says about the documents; kept by name until one changes."""
        with self._lock:
            content = self._at_this_content()
            found = self._notes.get(name)
        if found is None:
            found = make(self._corpus)
            with self._lock:
                if content == self._content and len(self._notes) < KEPT_NOTES:
                    self._notes[name] = found
        return found

    def _keep(self, content: int, name: str, allowed: AllowList) -> None:
        with self._lock:
            if content != self._content:
                return
            self._allowed[name] = allowed
            while (
                len(self._allowed) > KEPT_FILTERS
                or sum(one.size for one in self._allowed.values()) > KEPT_FILTER_BYTES
            ):
                del self._allowed[next(iter(self._allowed))]

    def _at_this_content(self) -> int:
        """Return the generation of the last change to a document; drop what is older."""
        content = self._corpus.content()
        if content != self._content:
            self._allowed.clear()
            self._notes.clear()
            self._deleted = None
            self._content = content
        return content

    def _close_some(self) -> None:
        """Let go of all vectors if very many files are open; a running search keeps its own."""
        if sum(one.is_mapped for one in self._blocks.values()) > MOST_MAPPED:
            self._searchers.clear()
            self._blocks.clear()

    def _open(self, name: str) -> VectorSearcher | LexicalSearcher:
        self._at_this_content()
        self._close_some()
        if self._deleted is None:
            self._deleted = self._corpus.tombstones()
        index, stop_key = self._registry.index(name), self._corpus.stop_key()
        if kind_of(index.kind).is_lexical:
            left = [(index.stop_key, stop_key)]
            load = partial(load_lexical, options=LexicalOptions.of(index.definition))
            words, missing = self._opened(index, load), self._corpus.count_documents(left)
            stale = self._corpus.stale.answering(index.holder, left)
            return LexicalSearcher(index, words, stale.hidden(self._deleted), missing, stale.count)
        embedding = self._registry.embedding_of(index)
        shards = self._registry.shards(embedding.number)
        mapped = to_map(shards)
        blocks = [self._block(one, embedding, one.number in mapped) for one in shards]
        tail = {shard.number for shard in tail_of(index, shards)}
        pairs = zip(blocks, shards, strict=True)
        later = [block for block, one in pairs if one.number in tail and one.rows]
        left = gaps(shards, stop_key)
        stale = self._corpus.stale.answering(embedding.number, left)
        return VectorSearcher(
            index=index,
            embedding=embedding,
            blocks=join_small(block for block in blocks if len(block.keys)),
            unseen=join_small(later),
            structure=self._structure(index, embedding) if index.file else None,
            deleted=stale.hidden(self._deleted),
            missing=self._corpus.count_documents(left),
            stale=stale.count_in(block.keys for block in blocks),
        )

    def _block(self, shard: ShardRow, embedding: EmbeddingRow, mapped: bool) -> Block:
        name = shard.number, shard.digest.checksum
        if name not in self._blocks:
            self._blocks[name] = open_shard(shard, embedding, self._folder, mapped=mapped)
        return self._blocks[name]

    def _structure(self, index: IndexRow, embedding: EmbeddingRow) -> VectorIndex:
        definition = index.definition
        load = partial(engine_of(definition).load, definition=definition, dim=embedding.dim)
        return self._opened(index, load)

    def _opened(self, index: IndexRow, load: Callable[[Path], File]) -> File:
        """Return the open file of an index, or verify and load it."""
        name = _file_of(index)
        if name not in self._files:
            path = self._folder / str(index.file)
            with verified(path, index.digest):
                loaded = load(path)
            self._files[name] = loaded
        file: File = self._files[name]
        return file

    def _forget_old_files(self) -> None:
        shards = self._registry.shard_numbers()
        files = {_file_of(row) for row in self._registry.indexes()}
        self._blocks = {n: block for n, block in self._blocks.items() if n[0] in shards}
        self._files = {n: file for n, file in self._files.items() if n in files}


def _file_of(index: IndexRow) -> tuple[str, str, str]:
    """Return what an open file depends on: its name, its checksum and its search parameters."""
    return str(index.file), index.digest.checksum, repr(index.definition.get("search"))
