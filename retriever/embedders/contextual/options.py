"""Options of contextual embedders: validated, and converted back to arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from indexes.errors import InputError
from indexes.neighbors import SIMILARITIES
from retriever.embedders.contextual.model_info import (
    POOLINGS,
    PRECISIONS,
    RUNTIMES,
    EncodingOptions,
)
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.layers import parse_layers
from retriever.embedders.validation import check_count, check_one_of

# One line for each option of `ContextualEmbedder`.
OPTION_HELP = {
    "device": "Device of torch, such as cpu or cuda:0; none: the best one.",
    "batch_size": "Texts computed at once, at most; none: the fastest.",
    "max_length": "Tokens at which texts are truncated; none: the model's own limit.",
    "runtime": f"Runtime: {', '.join(RUNTIMES)}; auto: the faster one on this machine.",
    "precision": f"Precision: {', '.join(PRECISIONS)}; auto: the fastest here.",
    "pooling": f"Tokens to a vector: {', '.join(POOLINGS)}; none: the model's own.",
    "layer": "Layer to pool, such as -2, or several to average, -4..-1; none: the model's own.",
    "dim": "Leading values of a vector to keep (Matryoshka models); none: all.",
    "query_prompt": "Text before each query; empty: nothing; none: the model's own.",
    "document_prompt": "Text before each document; empty: nothing; none: the model's own.",
    "similarity": f"Comparison: {', '.join(SIMILARITIES)}; none: the model's own.",
    "normalize": "Only true; for vectors of their own length, set similarity.",
    "center": "Center texts and images, each around its mean (models of both).",
}


def validate_options(options: EncodingOptions, normalize: bool) -> None:
    """Check values that are valid or invalid for every model.

    Raises:
        InputError: one is invalid.
    """
    check_count("max_length", options.max_length)
    check_count("dim", options.dim)
    check_one_of("precision", options.precision, PRECISIONS)
    if options.pooling is not None:
        check_one_of("pooling", options.pooling, tuple(POOLINGS))
    if options.similarity is not None:
        check_one_of("similarity", options.similarity, SIMILARITIES)
    for name in ("query_prompt", "document_prompt"):
        value = getattr(options, name)
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name} is {value!r}; expected text, which may be empty.")
    if normalize is not True:
        raise InputError(
            f"normalize is {normalize!r}; expected True. For vectors of their own length, set "
            "similarity to dot or euclidean."
        )


def options_of(choices: EncodingOptions) -> dict[str, Any]:
    """Return the given options, without the precision, as constructor arguments."""
    options = {name: value for name, value in asdict(choices).items() if value is not None}
    del options["precision"]
    if choices.layer is not None:
        options["layer"] = ",".join(map(str, choices.layer))
    return options


def choices_of(options: Mapping[str, Any]) -> EncodingOptions:
    """Return the options among constructor arguments that decide what is computed."""
    names = [field.name for field in fields(EncodingOptions)]
    given = {name: options[name] for name in names if options.get(name) is not None}
    if "layer" in given:
        given["layer"] = parse_layers(given["layer"])
    return EncodingOptions(**given)


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
