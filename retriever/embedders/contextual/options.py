"""Options of contextual embedders: validated, and converted to `EncodingOptions` and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from indexes.errors import InputError
from retriever.embedders.contextual.model_info import POOLINGS, PRECISIONS, EncodingOptions
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.layers import parse_layers
from retriever.embedders.validation import check_count, check_one_of


def validate_options(
    *,
    max_length: int | None,
    precision: str,
    pooling: str | None,
    layer: str | int | None,
    dim: int | None,
    query_prompt: str | None,
    document_prompt: str | None,
    normalize: bool,
) -> EncodingOptions:
    """Return the options of the constructor as `EncodingOptions`.

    Raises:
        InputError: a value that is invalid for every model.
    """
    check_count("max_length", max_length)
    check_count("dim", dim)
    check_one_of("precision", precision, PRECISIONS)
    if pooling is not None:
        check_one_of("pooling", pooling, tuple(POOLINGS))
    _check_prompt("query_prompt", query_prompt)
    _check_prompt("document_prompt", document_prompt)
    if normalize is not True:
        raise InputError(
            f"normalize is {normalize!r}; expected True: scores are cosines here, so vectors "
            "always have length 1."
        )
    return EncodingOptions(
        max_length=max_length,
        precision=precision,
        pooling=pooling,
        layer=None if layer is None else parse_layers(layer),
        dim=dim,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
    )


def options_of(choices: EncodingOptions) -> dict[str, Any]:
    """Return the given options, without the precision, as constructor arguments."""
    layer = None if choices.layer is None else ",".join(map(str, choices.layer))
    options = {
        "max_length": choices.max_length,
        "pooling": choices.pooling,
        "layer": layer,
        "dim": choices.dim,
        "query_prompt": choices.query_prompt,
        "document_prompt": choices.document_prompt,
    }
    return {name: value for name, value in options.items() if value is not None}


def check_prompt_length(
    tokenizer: ModelTokenizer, prompts: Sequence[str], max_length: int | None
) -> None:
    """Check that special tokens and prompts leave room for at least one token of a text.

    Raises:
        InputError: they take all `max_length` tokens, so that all texts would be equal.
    """
    taken = [len(tokens) for tokens in tokenizer.read(["", *prompts]).tokens]
    if max_length is None or max(taken) < max_length:
        return
    if taken[0] >= max_length:
        raise InputError(
            f"max_length is {max_length}; the model's special tokens take {taken[0]} tokens: "
            f"expected at least {taken[0] + 1}."
        )
    prompt = prompts[taken.index(max(taken)) - 1]
    raise InputError(
        f"The prompt {prompt!r} takes all {max_length} tokens and leaves none for the text. "
        "Give a shorter prompt, or a larger max_length."
    )


def _check_prompt(name: str, value: str | None) -> None:
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} is {value!r}; expected text, which may be empty.")
