"""Inspection of a loaded sentence model: its limits, padding and prompts, and notes on them.

This module only reads the model's own objects, so that it does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from indexes.errors import InputError
from retriever.embedders.base import IMAGE
from retriever.embedders.contextual import model_info
from retriever.embedders.contextual.model_info import EncodingOptions

# Libraries represent no limit as infinity or as 10 to the 30th.
NO_LIMIT = 10**9
# If no limit is stated (T5): the memory of a layer grows with the square of a text's length.
UNSTATED = 4096

# Modules that only use tokens and mask. Others take more (a `Router` the task, an `LSTM` the
# length), or read the padding too (`CNN`).
PLAIN_PARTS = {"Dense", "Dropout", "LayerNorm", "Normalize", "Pooling", "WordWeights"}

TASKS = ("query", "document")

# Published nDCG@10 on SciFact, test queries: https://github.com/embeddings-benchmark/results.
BERT_ON_SCIFACT, GLOVE_ON_SCIFACT = 13.3, 29.6


def finite_length(length: float | None) -> int | None:
    """Return a length stated by sentence-transformers as an integer; None if unlimited."""
    return None if length is None or math.isinf(length) else int(length)


def part_for(model: Any, task: str) -> Any:
    """Return the module that reads texts for a task, `query` or `document`.

    A `Router` has modules for each task; without a route for a task, its first route is used.
    """
    routes = getattr(model[0], "sub_modules", None)
    if routes is None:
        return model[0]
    route = task if task in routes else getattr(model[0], "default_route", None)
    return routes[route if route in routes else next(iter(routes))][0]


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Count the tokens of each untruncated text, with any tokenizer of a sentence model."""
    if not texts:
        return []  # transformers fails for no texts
    if callable(tokenizer):
        # `verbose` would warn about every long text.
        read = tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in read["input_ids"]]
    if hasattr(tokenizer, "encode_batch_fast"):
        # A Rust tokenizer, for token tables: without special tokens.
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) for one in encoded]
    return [len(tokenizer.tokenize(text)) for text in texts]


def limit_of(model: Any) -> int | None:
    """Return the maximum number of tokens, special tokens included; None if unlimited.

    RoBERTa counts positions from 2: of 514, 512 are for tokens, whatever its folder says. A
    transformer that states no limit reads 4,096, unless another number is chosen.
    """
    transformer = model.transformers_model
    limits = (finite_length(model.max_seq_length), _positions(transformer))
    unstated = None if transformer is None else UNSTATED
    return min((one for one in limits if one is not None and one < NO_LIMIT), default=unstated)


def limit_length(model: Any, length: int) -> None:
    """Set the maximum number of tokens, special tokens included.

    Raises:
        InputError: the model has fewer positions, or does not truncate texts.
    """
    positions = max_positions(model)
    if positions is not None and length > positions:
        raise InputError(f"max_length is {length}; this model reads at most {positions} tokens.")
    try:
        model.max_seq_length = length
    except AttributeError:
        raise InputError(
            "max_length cannot be set for this model: its StaticEmbedding does not truncate texts. "
            "Leave max_length out."
        ) from None


def keep_positions(model: Any) -> None:
    """Make a model truncate texts at its positions, if it states a longer maximum."""
    limit, stated = limit_of(model), finite_length(model.max_seq_length)
    if limit is not None and stated is not None and limit < stated:
        model.max_seq_length = limit


def max_positions(model: Any) -> int | None:
    """Return for how many tokens the model has positions, whatever it states; None if unlimited."""
    transformer = model.transformers_model
    config = getattr(transformer, "config", None)
    # A network of two parts (CLIP) states the positions of texts with that part.
    texts = getattr(config, "text_config", config)
    limits = (getattr(texts, "max_position_embeddings", None), _positions(transformer))
    # -1 means unlimited (XLNet).
    return min((one for one in limits if one is not None and one > 0), default=None)


def _positions(transformer: Any) -> int | None:
    """Return the number of learned positions for tokens; None if they are not learned."""
    for module in transformer.modules() if transformer is not None else ():
        for name in ("position_embeddings", "wpe"):
            rows = getattr(getattr(module, name, None), "num_embeddings", None)
            if rows is not None:
                padding = getattr(module, "padding_idx", None)
                return int(rows) - (padding + 1 if isinstance(padding, int) else 0)
    return None


def enable_padding(model: Any) -> None:
    """Give a tokenizer without padding token one: its end token, or else its first token.

    Any token will do, since the mask excludes it; without one, texts cannot be batched.
    """
    tokenizer = model.tokenizer
    if getattr(tokenizer, "pad_token", "") is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)


def padding_of(model: Any) -> int:
    """Return the padding token, which RoBERTa does not count as a position."""
    pad = getattr(model.tokenizer, "pad_token_id", None)
    transformer = model.transformers_model
    table = _token_vectors(transformer)
    rows = 1 if table is None else table.weight.shape[0]
    # A token that was added to the tokenizer only is unknown to the model.
    return int(pad) if pad is not None and pad < rows else 0


def embedding_rows(part: Any) -> int | None:
    """Return for how many tokens a module that reads texts has vectors; None if not known."""
    network: Any = getattr(part, "model", None)
    if hasattr(network, "get_input_embeddings"):
        table = _token_vectors(network)
    else:
        table = getattr(part, "embedding", None)
    rows = getattr(table, "num_embeddings", None)
    return None if rows is None else int(rows)


def _token_vectors(network: Any) -> Any | None:
    """Return the table of token vectors of a network, or of its part for texts (CLIP)."""
    if network is None:
        return None
    try:
        return network.get_input_embeddings()
    except NotImplementedError:  # transformers finds none in a network of two parts
        return _token_vectors(getattr(network, "text_model", None))


def is_plain(model: Any, padded: int | None = None) -> bool:
    """Return whether the model reads a text as tokens and a mask, and nothing else.

    `padded` is the number of tokens that all texts are padded to, if any.
    """
    first, tokenizer = model[0], model.tokenizer
    if type(first).__name__ != "Transformer":
        return False
    # A network of two parts (CLIP) gives a vector to an entire text, others to each token.
    whole = IMAGE in (getattr(first, "modality_config", None) or {})
    given = "sentence_embedding" if whole else "token_embeddings"
    if first.module_output_name != given or (len(list(model)) < 2 and not whole):
        return False
    if not {type(part).__name__ for part in list(model)[1:]} <= PLAIN_PARTS:
        return False
    settings = getattr(first, "processing_kwargs", None) or {}
    names = ("query_length", "document_length", "query_expansion")
    own = [getattr(first, name, None) for name in names]
    reading = None if padded else settings.get("text")
    if any((*own, reading, settings.get("common"))) or "message" in getattr(
        first, "modality_config", {}
    ):
        return False
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return False
    # Token types other than 0 distinguish two texts; some models use them for more.
    types = tokenizer("a probe", verbose=False).get("token_type_ids") or [0]
    return not any(types)


def raw_notes(model: Any, kind: str) -> tuple[str, ...]:
    """Return the notes on a `SentenceTransformer` that was made from a raw checkpoint.

    Empty if the checkpoint itself has a vector for an entire text (CLIP).
    """
    modes = [part.pooling_mode for part in model if hasattr(part, "pooling_mode")]
    if not modes:
        return ()
    ours = {theirs: name for name, theirs in model_info.POOLINGS.items()}
    pooling = ours.get(modes[0], modes[0])
    return (
        f"A raw {kind}, never trained to embed texts, pooled by '{pooling}'. Such models usually "
        f"lose to averaged word vectors: nDCG@10 on SciFact is {BERT_ON_SCIFACT} for "
        f"bert-base-uncased, {GLOVE_ON_SCIFACT} for GloVe 6B 300d. A model trained for sentences, "
        "such as all-MiniLM-L6-v2, does better.",
    )


def prompt_notes(prompts: Mapping[str, str], choices: EncodingOptions) -> tuple[str, ...]:
    """Return the notes on a model that only has prompts for other tasks, so that none is used."""
    named = [name for name, text in sorted(prompts.items()) if text]
    chosen = choices.query_prompt is not None or choices.document_prompt is not None
    if (
        not named
        or chosen
        or set(named) & {*model_info.QUERY_PROMPTS, *model_info.DOCUMENT_PROMPTS}
    ):
        return ()
    return (
        f"The model has prompts for {', '.join(named)}, but none for queries or documents, so none "
        "is used. Set them with query_prompt and document_prompt.",
    )
