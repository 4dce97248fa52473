"""How a sentence model reads a text: how many tokens, what fills gaps, whether tokens are all.

Only the model's own objects are asked here, so that torch is imported by whoever loaded it.
"""

from __future__ import annotations

import math
from typing import Any

from indexes.errors import InputError

__all__ = ["enable_padding", "is_plain", "limit_of", "padding_of", "stated_limit", "within_limit"]

# Libraries write no limit as infinity or as 10 to the 30th.
NO_LIMIT = 10**9
# Where nothing is stated (T5): what a layer holds of a text grows with the square of its length.
UNSTATED = 4096


def stated_limit(model: Any) -> int | None:
    """The tokens of a text that a `SentenceTransformer` says it reads; None for no end."""
    length = model.max_seq_length
    return None if length is None or math.isinf(length) else int(length)


def limit_of(model: Any) -> int | None:
    """The tokens that it can read, its marks included; None where there is no end.

    RoBERTa counts its positions from 2 on: of 514, 512 are for tokens, whatever its folder says.
    A transformer that states no limit reads 4,096, unless it is asked for another number.
    """
    transformer = model.transformers_model
    limits = (stated_limit(model), _positions(transformer))
    unstated = None if transformer is None else UNSTATED
    return min((one for one in limits if one is not None and one < NO_LIMIT), default=unstated)


def within_limit(model: Any, asked: int) -> int:
    """The asked number of tokens, if the model has positions for so many.

    Raises:
        InputError: it has not.
    """
    transformer = model.transformers_model
    config = getattr(transformer, "config", None)
    limits = (getattr(config, "max_position_embeddings", None), _positions(transformer))
    # -1 stands for no end (XLNet).
    positions = min((one for one in limits if one is not None and one > 0), default=None)
    if positions is not None and asked > positions:
        raise InputError(f"max_length is {asked}; this model reads at most {positions} tokens.")
    return asked


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
