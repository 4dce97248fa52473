"""The fingerprint of a sentence model: what it computes, whatever it is called and wherever it is.

Only the model's own objects are asked here, so that torch is imported by whoever loaded it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from retriever.embedders.base import fingerprint_of

# Case, accents, digits, signs, other scripts and emoji: where tokenizers differ.
PROBE = (
    "The café's naïve Ångström: 3.14159 % of 2,048 über-large #tags — 東京都 한국어 Привет 🙂 ﬁn."
)

# What shapes cannot tell: the same weights compute something else under another value of these.
CONFIG = (
    "hidden_act",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "model_type",
    "num_attention_heads",
    "num_heads",
    "num_key_value_heads",
    "relative_attention_num_buckets",
    "rope_theta",
    "sliding_window",
)


def fingerprint_of_model(model: Any, max_length: int | None, dim: int | None = None) -> str:
    """One line of JSON over weights, modules, prompts, length, vocabulary and a probe's tokens.

    Not over the path, the name, the device or the batch size. `dim` is how many numbers of a vector
    are kept, where that is not the model's own choice.
    """
    # A model as it is keeps the fingerprint that it had before there was a choice.
    chosen = {} if dim is None else {"dim": dim}
    return fingerprint_of(
        **chosen,
        kind="contextual",
        weights=_weights_checksum(model),
        modules=[_describe(module) for module in model],
        config=_config(model),
        prompts={name: text for name, text in sorted(model.prompts.items()) if text},
        default_prompt=model.default_prompt_name,
        max_length=max_length,
        vocabulary=_vocabulary_checksum(model.tokenizer),
        probe=_probe(model),
        unit=True,
    )


def _probe(model: Any) -> list[int]:
    """The tokens of the probe; none where a model counts words instead of reading them."""
    read = model.preprocess([PROBE]).get("input_ids")
    return [] if read is None else np.asarray(read.cpu()).ravel().tolist()


def _weights_checksum(model: Any) -> str:
    """SHA-256 over the name, type, shape and bytes of every weight, in the order of the names."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name}\0{weight.dtype}\0{tuple(weight.shape)}\0".encode())
        flat = weight.detach().cpu().contiguous().reshape(-1)
        # numpy has no bfloat16: every type is read as bytes.
        digest.update(flat.view(flat[:0].byte().dtype).numpy().data)
    return digest.hexdigest()


def _describe(module: Any) -> dict[str, Any]:
    """A module's class; which layers it takes, how it pools, what it applies, where it does."""
    described: dict[str, Any] = {"class": type(module).__name__}
    layers = getattr(getattr(module, "model", None), "layers", None)
    if isinstance(layers, tuple):
        described["layers"] = list(layers)
    pooling = getattr(module, "pooling_mode", None)
    if pooling is not None:
        described["pooling"] = [pooling] if isinstance(pooling, str) else list(pooling)
        described["include_prompt"] = getattr(module, "include_prompt", True)
    activation = getattr(module, "activation_function", None)
    if activation is not None:
        described["activation"] = type(activation).__name__
    return described


def _config(model: Any) -> dict[str, Any]:
    config = getattr(model.transformers_model, "config", None)
    found = {name: getattr(config, name, None) for name in CONFIG}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def _vocabulary_checksum(tokenizer: Any) -> str:
    """SHA-256 over every token and its number."""
    known = tokenizer.get_vocab()
    if not isinstance(known, Mapping):
        known = {token: number for number, token in enumerate(known)}
    tokens = sorted(known.items())
    return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()
