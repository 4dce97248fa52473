"""Encoding of words in context with a loaded model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from indexes.text.normalize import normalize_with_origins
from indexes.text.words import word_spans
from retriever.embedders.base import Spans, WordVectors
from retriever.embedders.contextual.batching import batches
from retriever.embedders.contextual.runtime import LoadedModel
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.tokenization.alignment import pool_words


def encode_words_in_context(
    opened: LoadedModel,
    tokenizer: ModelTokenizer,
    texts: Sequence[str],
    *,
    layer: int,
    pieces: str,
    batch_size: int | None,
    spans: Sequence[Spans] | None = None,
) -> list[WordVectors]:
    """Return the words of each text that are read, without a prompt, with their vectors of a layer.

    `layer` counts from 0, the input of the first layer. `pieces` combines the pieces of a word into
    one vector, see `pool_words`. At most `batch_size` texts are computed at once. With `spans`, the
    stretches of each text that they name take the place of its words.
    """
    normal, origins = zip(*map(normalize_with_origins, texts), strict=True) if texts else ((), ())
    read = tokenizer.read(normal, offsets=True)
    # An exported graph has no hidden layers as outputs: use the complete model in torch.
    model, pad = opened.model(), opened.card.pad
    places = range(len(texts))
    found: dict[int, WordVectors] = {}
    for batch in batches(read.tokens, places, pad=pad, budget=model.budget, most=batch_size):
        hidden = model.hidden(batch, layer)
        for place, vectors in zip(batch.places, hidden, strict=True):
            offsets = np.array(origins[place])[read.offsets[place]]
            wanted = word_spans(texts[place]) if spans is None else spans[place]
            found[place] = pool_words(wanted, offsets, vectors[: len(offsets)], pieces)
    return [found[place] for place in places]
