"""What a reader holds open: the shards and the search structure of an index, at one generation."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from indexes import ann, exact
from indexes.blocks import Block
from indexes.catalog import Catalog
from indexes.corpus import Corpus
from indexes.files import verify
from indexes.neighbours import NO_KEY, Keys, Matrix, Neighbours, best, checked_queries, merge
from indexes.registry import EmbeddingRow, IndexRow, Registry, ShardRow, gaps
from indexes.shards import open_shard, unpack_keys

__all__ = ["View", "Views", "living_rows", "missing_passages"]


@dataclass(frozen=True)
class View:
    """One index, ready to search.

    `blocks` are all vectors of its embedding, `unseen` those that the search structure has not seen
    yet, `dead` the keys that a shard holds but no document any more, `missing` how many passages
    the embedding has no answer for yet.
    """

    index: IndexRow
    embedding: EmbeddingRow
    blocks: Sequence[Block]
    unseen: Sequence[Block]
    structure: ann.AnnIndex | None
    dead: Keys
    missing: int

    def search(self, queries: Matrix, k: int) -> Neighbours:
        """The `k` nearest passages of each query; scores are exact cosines for every index.

        Raises:
            InputError, MismatchError: see `neighbours.checked_queries` and `checked_k`.
        """
        if self.structure is None:
            return self.exact_search(queries, k)
        if len(queries) <= exact.QUERY_ROWS:
            return self._search_structure(self.structure, queries, k)
        return exact.stack(
            [
                self._search_structure(self.structure, queries[start : start + exact.QUERY_ROWS], k)
                for start in range(0, len(queries), exact.QUERY_ROWS)
            ]
        )

    def _search_structure(self, structure: ann.AnnIndex, queries: Matrix, k: int) -> Neighbours:
        found = structure.candidates(queries, k, self.dead)
        scores = exact.rescore(
            checked_queries(queries, self.embedding.dim), found.keys, self.blocks
        )
        parts = [best(found.keys, scores, k)]
        if self.unseen:
            parts.append(exact.search(queries, self.unseen, k, self.dead))
        return self._filled_up(merge(parts, k), queries, k)

    def _filled_up(self, found: Neighbours, queries: Matrix, k: int) -> Neighbours:
        """`found`, with exact answers where the structure saw fewer than `k` though there are more.

        Cells not visited, or a part of a graph that cannot be reached, must not hide documents.
        """
        wanted = min(k, self.rows)
        counts = np.count_nonzero(found.keys[:, :wanted] != NO_KEY, axis=1)
        short = (counts < wanted) & np.asarray(queries).any(axis=1)
        if not short.any():
            return Neighbours(found.keys[:, :wanted], found.scores[:, :wanted])
        whole = self.exact_search(np.asarray(queries)[short], k)
        keys = np.full((len(queries), wanted), NO_KEY)
        scores = np.full((len(queries), wanted), -np.inf, np.float32)
        width = min(wanted, found.keys.shape[1])
        keys[:, :width], scores[:, :width] = found.keys[:, :width], found.scores[:, :width]
        keys[short], scores[short] = whole.keys[:, :wanted], whole.scores[:, :wanted]
        return Neighbours(keys, scores)

    def exact_search(self, queries: Matrix, k: int) -> Neighbours:
        """The true `k` nearest passages over the same vectors, by brute force."""
        return exact.search(queries, self.blocks, k, self.dead)

    @cached_property
    def rows(self) -> int:
        """How many passages the index can find."""
        held = sum(len(block.keys) for block in self.blocks)
        gone = sum(
            int(np.isin(self.dead, block.keys, assume_unique=True).sum()) for block in self.blocks
        )
        return held - gone


class Views:
    """The views of a collection, kept from one search to the next as long as nothing changed.

    Files are immutable, so a new generation opens only the files that are new in it.
    """

    def __init__(self, catalog: Catalog, registry: Registry, folder: Path) -> None:
        self._catalog = catalog
        self._corpus = Corpus(catalog)
        self._registry = registry
        self._folder = folder
        self._lock = threading.Lock()
        self._generation = -1
        self._views: dict[str, View] = {}
        self._blocks: dict[int, Block] = {}
        self._structures: dict[str, ann.AnnIndex] = {}

    def of(self, name: str) -> View:
        """The view of an index at the generation of the running `catalog.reading()`.

        Raises:
            UnknownNameError: no such index.
            DamageError: one of its files is not what the catalog says.
        """
        generation = self._catalog.generation()
        with self._lock:
            if generation != self._generation:
                self._views.clear()
                self._generation = generation
            view = self._views.get(name)
            if view is None:
                view = self._views[name] = self._open(name)
                self._forget_old_files()
        return view

    def _open(self, name: str) -> View:
        index = self._registry.index(name)
        embedding = self._registry.embedding(index.embedding)
        shards = self._registry.shards(embedding.number)
        blocks = [self._block(shard, embedding) for shard in shards]
        later = [
            block
            for block, shard in zip(blocks, shards, strict=True)
            if shard.first_key >= index.stop_key and shard.rows
        ]
        return View(
            index=index,
            embedding=embedding,
            blocks=[block for block in blocks if len(block.keys)],
            unseen=later if index.file else (),
            structure=self._structure(index, embedding) if index.file else None,
            dead=np.array(self._corpus.tombstones(), np.int64),
            missing=missing_passages(self._corpus, shards),
        )

    def _block(self, shard: ShardRow, embedding: EmbeddingRow) -> Block:
        block = self._blocks.get(shard.number)
        if block is None:
            block = self._blocks[shard.number] = open_shard(shard, embedding, self._folder)
        return block

    def _structure(self, index: IndexRow, embedding: EmbeddingRow) -> ann.AnnIndex:
        file = str(index.file)
        structure = self._structures.get(file)
        if structure is None:
            verify(self._folder / file, index.sealed)
            structure = self._structures[file] = ann.load(self._folder / file, embedding.dim)
        return structure

    def _forget_old_files(self) -> None:
        shards = {
            shard.number
            for embedding in self._registry.embeddings()
            for shard in self._registry.shards(embedding.number)
        }
        files = {row.file for row in self._registry.indexes()}
        self._blocks = {n: block for n, block in self._blocks.items() if n in shards}
        self._structures = {f: index for f, index in self._structures.items() if f in files}


def missing_passages(corpus: Corpus, shards: Sequence[ShardRow]) -> int:
    """How many passages no shard of an embedding answers for yet."""
    left = gaps(shards, corpus.stop_key())
    return sum(corpus.count_passages(*gap) for gap in left)


def living_rows(corpus: Corpus, shards: Sequence[ShardRow]) -> int:
    """How many passages an embedding can find, by the catalog alone: no file is opened."""
    dead = np.array(corpus.tombstones(), np.int64)
    return sum(
        shard.rows
        - int(np.isin(dead, unpack_keys(shard.present, shard.first_key, shard.stop_key)).sum())
        for shard in shards
    )
