"""What a person should know before building with a sentence model, a sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retriever.embedders.contextual.model_info import (
    DOCUMENT_PROMPTS,
    POOLINGS,
    QUERY_PROMPTS,
    EncodingOptions,
)

# Published nDCG@10 on SciFact, test queries: https://github.com/embeddings-benchmark/results.
BERT_ON_SCIFACT, GLOVE_ON_SCIFACT = 13.3, 29.6


def raw_notes(model: Any, kind: str) -> tuple[str, ...]:
    """What to say of a `SentenceTransformer` that was made from a raw checkpoint of some kind.

    Nothing, where the checkpoint itself has a vector for a whole text (CLIP).
    """
    modes = [part.pooling_mode for part in model if hasattr(part, "pooling_mode")]
    if not modes:
        return ()
    ours = {theirs: name for name, theirs in POOLINGS.items()}
    pooling = ours.get(modes[0], modes[0])
    return (
        f"A raw {kind}, never trained to embed texts, pooled by '{pooling}'. Such models usually "
        f"lose to averaged word vectors: nDCG@10 on SciFact is {BERT_ON_SCIFACT} for "
        f"bert-base-uncased, {GLOVE_ON_SCIFACT} for GloVe 6B 300d. A model trained for sentences, "
        "such as all-MiniLM-L6-v2, does better.",
    )


def prompt_notes(prompts: Mapping[str, str], choices: EncodingOptions) -> tuple[str, ...]:
    """What to say of a model whose prompts are for other tasks, so that none is used."""
    named = [name for name, text in sorted(prompts.items()) if text]
    chosen = choices.query_prompt is not None or choices.document_prompt is not None
    if not named or chosen or set(named) & {*QUERY_PROMPTS, *DOCUMENT_PROMPTS}:
        return ()
    return (
        f"The model has prompts for {', '.join(named)}, none of them by a name for queries or "
        "documents: none is put before texts. Give them by query_prompt and document_prompt.",
    )
