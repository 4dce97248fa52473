"""Fingerprints of sentence models, independent of their name and location.

This module only reads the model's own objects, so that it does not import torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from indexes.neighbors import COSINE
from retriever.embedders.base import fingerprint_of
from retriever.embedders.contextual.images.processing import settings_of, takes_images

# Case, accents, digits, signs, other scripts and emoji: where tokenizers differ.
PROBE = (
    "The café's naïve Ångström: 3.14159 % of 2,048 über-large #tags — 東京都 한국어 Привет 🙂 ﬁn."
)

# How sentence-transformers reads a network's last layer.
LAST_LAYER = {"method": "forward", "method_output_name": "last_hidden_state"}

# Settings that change the result for the same weights.
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


def fingerprint_of_model(
    model: Any, max_length: int | None, dim: int | None = None, similarity: str = COSINE
) -> str:
    """Return one line of JSON on weights, modules, prompts, length, vocabulary and a probe.

    Path, name, device and batch size are left out. `dim` is the number of leading values kept of
    each vector, if it differs from the model's own.
    """
    # Without these, fingerprints stay as they were before the options existed.
    chosen: dict[str, Any] = {} if dim is None else {"dim": dim}
    if similarity != COSINE:
        chosen["similarity"] = similarity
    if getattr(model.tokenizer, "split_special_tokens", False):
        chosen["split_special_tokens"] = True
    if takes_images(model):
        config = model.transformers_model.config
        parts = (getattr(config, f"{name}_config", None) for name in ("text", "vision"))
        chosen |= {"images": settings_of(model), "networks": [_read_config(one) for one in parts]}
    return fingerprint_of(
        **chosen,
        kind="contextual",
        weights=weights_checksum(_used_weights(model)),
        modules=[_describe(module) for module in model],
        config=_config(model),
        prompts={name: text for name, text in sorted(model.prompts.items()) if text},
        default_prompt=model.default_prompt_name,
        max_length=max_length,
        vocabulary=vocabulary_checksum(model.tokenizer),
        probe=_probe(model),
        text="normalized",
        unit=similarity == COSINE,
    )


def _probe(model: Any) -> list[int]:
    """Return the tokens of the probe; none if the model counts words instead of reading tokens."""
    read = model.preprocess([PROBE]).get("input_ids")
    return [] if read is None else np.asarray(read.cpu()).ravel().tolist()


def weights_checksum(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 of name, type, shape and bytes of all weights, ordered by name."""
    digest = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        digest.update(f"{name}\0{weight.dtype}\0{tuple(weight.shape)}\0".encode())
        flat = weight.detach().cpu().contiguous().reshape(-1)
        # numpy has no bfloat16: every type is read as bytes.
        digest.update(flat.view(flat[:0].byte().dtype).numpy().data)
    return digest.hexdigest()


def _used_weights(model: Any) -> dict[str, Any]:
    """Return all weights but those of unused poolers: a file without one makes the same vectors."""
    beside = tuple(_unused_poolers(model))
    weights = model.state_dict()
    return {name: weight for name, weight in weights.items() if not name.startswith(beside)}


def _unused_poolers(model: Any) -> Iterator[str]:
    """Yield the prefixes of weights of poolers in networks of which only the last layer is read.

    In transformers, a `pooler` makes the output `pooler_output` from the last layer, and no other.
    """
    unused = [
        module.model.pooler
        for module in model.modules()
        if (getattr(module, "modality_config", None) or {}).get("text") == LAST_LAYER
        and getattr(module.model, "pooler", None) is not None
    ]
    for name, module in model.named_modules(remove_duplicate=False):
        if any(module is pooler for pooler in unused):
            yield f"{name}."


def _describe(module: Any) -> dict[str, Any]:
    """Return a module's class and, where it has them, its layers, pooling and activation."""
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
    return _read_config(getattr(model.transformers_model, "config", None))


def _read_config(config: Any) -> dict[str, Any]:
    found = {name: getattr(config, name, None) for name in CONFIG}
    return {name: value for name, value in found.items() if isinstance(value, str | int | float)}


def vocabulary_checksum(tokenizer: Any) -> str:
    """Return the SHA-256 of all tokens and their ids."""
    known = tokenizer.get_vocab()
    if not isinstance(known, Mapping):
        known = {token: number for number, token in enumerate(known)}
    # Names alone are sorted four times faster than pairs.
    pairs = [(token, known[token]) for token in sorted(known)]
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
