"""The passages that an embedding covers, with their vectors as they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexes.catalog.corpus import Corpus
from indexes.catalog.passages import FoundPassage
from indexes.catalog.records import EmbeddingRow
from indexes.catalog.registry import Registry
from indexes.neighbors import Keys, is_among
from indexes.vectors.blocks import rows_of
from indexes.vectors.shards import open_shards

# Passages with their documents, which may be a megabyte each.
PAGE = 512


@dataclass(frozen=True)
class PassageRows:
    """Some passages in key order, and their vectors (n, dim); zeros where `has` (n,) says no.

    A passage without one has nothing to embed.
    """

    passages: list[FoundPassage]
    vectors: NDArray[np.floating]
    has: NDArray[np.bool_]


def passage_rows(
    corpus: Corpus,
    registry: Registry,
    embedding: EmbeddingRow,
    folder: Path,
    allowed: Keys | None = None,
) -> Iterator[PassageRows]:
    """Yield every passage that an embedding covers; only those among `allowed`, if it is given.

    Call it, and take all of it, inside one `catalog.reading()`. All files are opened at first, so
    that a writer that removes one later disturbs nothing.

    Raises:
        DamageError: a file is not what the catalog says, or was removed meanwhile.
    """
    shards = registry.shards(embedding.number)
    blocks = open_shards(shards, embedding, folder)
    for shard, block in zip(shards, blocks, strict=True):
        live = corpus.keys(shard.first_key, shard.stop_key)
        if allowed is not None:
            live = live[is_among(live, allowed)]
        for start in range(0, len(live), PAGE):
            keys = live[start : start + PAGE]
            found = corpus.found(keys.tolist())
            has = is_among(keys, block.keys)
            vectors = np.zeros((len(keys), embedding.dim), embedding.dtype)
            vectors[has] = block.vectors[rows_of(keys[has], block.keys)]
            yield PassageRows([found[key] for key in keys.tolist()], vectors, has)
