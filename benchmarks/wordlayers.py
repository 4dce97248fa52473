"""The vectors of words at every layer of MiniLM at once, with and without common components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.wordpairs import Occurrence
from indexes.text.words import word_spans
from retriever import ContextualEmbedder
from retriever.embedders.base import Matrix, unit
from retriever.embedders.contextual.batching import Batch, batches
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.hub import locate_sentence_model
from retriever.embedders.static.components import top_components
from retriever.embedders.tokenization.alignment import POOLINGS, pool_words

CONTEXTUAL = "all-MiniLM-L6-v2"
AS_THEY_ARE = "as they are"
TOP = 3
# Tokens in a batch; and how many sentences are compared with `encode_words`.
BUDGET, CHECKED = 2048, 64


def of_all_layers(
    embedder: ContextualEmbedder, occurrences: Sequence[Occurrence]
) -> dict[str, Matrix]:
    """Return the vectors (n, layers + 1, hidden) of words in their sentences, by pooling.

    They equal those of `encode_words`, which some are compared with; but each sentence is encoded
    once for all layers. A span of several words has the mean of their vectors.
    """
    places: dict[str, list[int]] = {}
    for row, (text, _) in enumerate(occurrences):
        places.setdefault(text, []).append(row)
    texts, width = list(places), embedder.layers + 1
    found = {
        ways: np.zeros((len(occurrences), width, embedder.dim), np.float32) for ways in POOLINGS
    }
    for text, offsets, states in _hidden(embedder, texts):
        spans = word_spans(text)
        for ways, row in product(POOLINGS, places[text]):
            begin, end = occurrences[row][1]
            inside = [span for span in spans if span[0] < end and span[1] > begin]
            words = pool_words(inside, offsets, states, ways).vectors
            each = unit(words.reshape(-1, embedder.dim)).reshape(len(words), width, -1)
            found[ways][row] = unit(each.mean(axis=0))
    _check(embedder, occurrences, found)
    return found


def _hidden(
    embedder: ContextualEmbedder, texts: Sequence[str]
) -> Iterable[tuple[str, NDArray[np.int64], Matrix]]:
    """Yield each text with the offsets of its tokens and, one row per token, all hidden states."""
    import torch
    from sentence_transformers import SentenceTransformer

    place, _ = locate_sentence_model(CONTEXTUAL)
    model = SentenceTransformer(str(place), device="cpu").transformers_model.eval()
    tokenizer = ModelTokenizer(embedder.tokenizer_json or "", embedder.max_length)
    read = tokenizer.read(texts, offsets=True)

    def states(batch: Batch) -> Any:
        ids, mask = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
        with torch.inference_mode():
            done = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        return torch.cat(done.hidden_states, dim=2).numpy()

    for batch in batches(read.tokens, range(len(texts)), pad=0, budget=BUDGET):
        for text, vectors in zip(batch.places, states(batch), strict=True):
            offsets = read.offsets[text]
            yield texts[text], offsets, vectors[: len(offsets)]


def _check(
    embedder: ContextualEmbedder, occurrences: Sequence[Occurrence], found: Mapping[str, Matrix]
) -> None:
    """Exit where `encode_words` gives another vector: then it is not what is measured."""
    some = range(0, len(occurrences), max(1, len(occurrences) // CHECKED))
    texts = [occurrences[row][0] for row in some]
    for layer, ways in product(range(embedder.layers + 1), POOLINGS):
        encoded = embedder.encode_words(texts, layer=layer, pieces=ways)
        for row, words in zip(some, encoded, strict=True):
            span, ours = occurrences[row][1], found[ways][row, layer]
            if span not in words.spans:  # several words
                continue
            worst = float(np.abs(ours - words.vectors[words.spans.index(span)]).max())
            if worst > 1e-5:
                raise SystemExit(f"encode_words, layer {layer}, {ways}: differs by {worst}.")


def adjusted(vectors: Matrix, known: Matrix) -> dict[str, Matrix]:
    """Return the vectors unchanged, and without what is common to the `known` ones.

    `centered` is without their mean; `all but the top` also without their principal components (Mu
    and Viswanath 2018); `standardized` has mean 0 and deviation 1 in every dimension (Timkey and
    van Schijndel 2021, "All Bark and No Bite").
    """
    common = top_components(known, TOP)
    centered = vectors - common.mean
    deviation = known.std(axis=0, dtype=np.float64)
    varying = deviation > 1e-6
    return {
        AS_THEY_ARE: vectors,
        "centered": centered,
        f"all but the top {TOP}": centered - (centered @ common.directions.T) @ common.directions,
        "standardized": centered[:, varying] / deviation[varying],
    }


def pieces_of(embedder: ContextualEmbedder, occurrences: Sequence[Occurrence]) -> NDArray[np.int64]:
    """Return the number of tokens of each word, (n,), without the two special tokens."""
    tokenizer = ModelTokenizer(embedder.tokenizer_json or "", None)
    forms = [text[begin:end] for text, (begin, end) in occurrences]
    return np.array([len(tokens) - 2 for tokens in tokenizer.read(forms).tokens])
