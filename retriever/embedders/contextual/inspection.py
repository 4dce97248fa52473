"""How a sentence model reads a text: how many tokens, what fills gaps, whether tokens are all.

Only the model's own objects are asked here, so that torch is imported by whoever loaded it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from indexes.errors import InputError

# Libraries write no limit as infinity or as 10 to the 30th.
NO_LIMIT = 10**9
# Where nothing is stated (T5): what a layer holds of a text grows with the square of its length.
UNSTATED = 4096

# What goes by the tokens and their mask alone. Others are told more (a `Router` what a text is for,
# an `LSTM` how long it is), or read the padding too (`CNN`).
PLAIN_PARTS = {"Dense", "Dropout", "LayerNorm", "Normalize", "Pooling", "WordWeights"}


def stated_limit(model: Any) -> int | None:
    """The tokens of a text that a `SentenceTransformer` says it reads; None for no end."""
    return length_stated(model.max_seq_length)


def length_stated(length: float | None) -> int | None:
    """A number of tokens as sentence-transformers states it; None for no end."""
    return None if length is None or math.isinf(length) else int(length)


def part_for(model: Any, task: str) -> Any:
    """The part of a `SentenceTransformer` that reads texts for a task, `query` or `document`.

    A `Router` has some for each; where it names none for a task, those of its first are read.
    """
    routes = getattr(model[0], "sub_modules", None)
    if routes is None:
        return model[0]
    route = task if task in routes else getattr(model[0], "default_route", None)
    return routes[route if route in routes else next(iter(routes))][0]


def count_tokens(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """The tokens of each whole text, by any kind of tokenizer that sentence models have."""
    if callable(tokenizer):
        # `verbose` would warn of every long one.
        read = tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in read["input_ids"]]
    if hasattr(tokenizer, "encode_batch_fast"):
        # In Rust, for tables of tokens: no marks stand around a text.
        encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) for one in encoded]
    return [len(tokenizer.tokenize(text)) for text in texts]


def limit_of(model: Any) -> int | None:
    """The tokens that it can read, its marks included; None where there is no end.

    RoBERTa counts its positions from 2 on: of 514, 512 are for tokens, whatever its folder says.
    A transformer that states no limit reads 4,096, unless it is asked for another number.
    """
    transformer = model.transformers_model
    limits = (stated_limit(model), _positions(transformer))
    unstated = None if transformer is None else UNSTATED
    return min((one for one in limits if one is not None and one < NO_LIMIT), default=unstated)


def limit_length(model: Any, asked: int) -> None:
    """Have a `SentenceTransformer` read so many tokens of a text, its marks included.

    Raises:
        InputError: it has no positions for so many, or reads whole texts.
    """
    positions = most_tokens(model)
    if positions is not None and asked > positions:
        raise InputError(f"max_length is {asked}; this model reads at most {positions} tokens.")
    try:
        model.max_seq_length = asked
    except AttributeError:
        raise InputError(
            "max_length cannot be chosen for this model, whose StaticEmbedding reads whole texts. "
            "Leave max_length out."
        ) from None


def most_tokens(model: Any) -> int | None:
    """For how many tokens a model has positions, whatever is stated; None where there is no end."""
    transformer = model.transformers_model
    config = getattr(transformer, "config", None)
    limits = (getattr(config, "max_position_embeddings", None), _positions(transformer))
    # -1 stands for no end (XLNet).
    return min((one for one in limits if one is not None and one > 0), default=None)


def _positions(transformer: Any) -> int | None:
    """For how many tokens there are learned positions; None where positions are not learned."""
    for module in transformer.modules() if transformer is not None else ():
        for name in ("position_embeddings", "wpe"):
            rows = getattr(getattr(module, name, None), "num_embeddings", None)
            if rows is not None:
                padding = getattr(module, "padding_idx", None)
                return int(rows) - (padding + 1 if isinstance(padding, int) else 0)
    return None


def enable_padding(model: Any) -> None:
    """Give a tokenizer that has no token for gaps one: its end mark, or its first token.

    The mask says where they are, so that any will do; without one, texts cannot be read together.
    """
    tokenizer = model.tokenizer
    if getattr(tokenizer, "pad_token", "") is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)


def padding_of(model: Any) -> int:
    """The token for places that hold nothing: RoBERTa does not count it as a position."""
    pad = getattr(model.tokenizer, "pad_token_id", None)
    transformer = model.transformers_model
    rows = transformer.get_input_embeddings().weight.shape[0] if transformer is not None else 1
    # A token that was given to the tokenizer alone is none that the model knows.
    return int(pad) if pad is not None and pad < rows else 0


def is_plain(model: Any) -> bool:
    """Whether it reads a text as its tokens and a mask, and nothing else."""
    first, tokenizer = model[0], model.tokenizer
    if type(first).__name__ != "Transformer" or len(list(model)) < 2:
        return False
    if not {type(part).__name__ for part in list(model)[1:]} <= PLAIN_PARTS:
        return False
    settings = getattr(first, "processing_kwargs", None) or {}
    own = (
        getattr(first, "query_length", None),
        getattr(first, "document_length", None),
        getattr(first, "query_expansion", None),
        settings.get("text"),
        settings.get("common"),
    )
    if any(own) or "message" in getattr(first, "modality_config", {}):
        return False
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        return False
    # Types other than 0 say which of two texts a token is from; some mark more by them.
    types = tokenizer("a probe", verbose=False).get("token_type_ids") or [0]
    return first.module_output_name == "token_embeddings" and not any(types)
