"""Overrides of a sentence model's own layers, pooling, prompts and dimension."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from indexes.errors import InputError
from retriever.embedders.contextual import model_info
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.layers import resolve_layers

# Attribute that holds the layers, for models that return the last layer's output unchanged. Others
# normalize it again, or repeat layers.
STACKS = {
    "BertModel": "encoder",
    "CamembertModel": "encoder",
    "DistilBertModel": "transformer",
    "ElectraModel": "encoder",
    "MPNetModel": "encoder",
    "RobertaModel": "encoder",
    "XLMRobertaModel": "encoder",
}


def apply_overrides(model: Any, choices: EncodingOptions) -> int | None:
    """Apply the options to a `SentenceTransformer`; others keep the model's own values.

    Return the number of values kept of each vector, if it differs from the model's own.

    Raises:
        InputError: an option that this model does not support.
    """
    model.prompts = _prompts(model.prompts, choices)
    if choices.pooling is not None:
        _replace_pooling(model, model_info.POOLINGS[choices.pooling])
    if choices.layer is not None:
        _average_layers(model, choices.layer)
    return None if choices.dim is None else _truncate_vectors(model, choices.dim)


def count_layers(transformer: Any) -> int:
    """Count the hidden layers of a transformers model; 0 if it has none."""
    config = getattr(transformer, "config", None)
    count = getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None)
    return int(count or 0)


def width_of(model: Any) -> int:
    """Return the dimension of a `SentenceTransformer` before truncation."""
    own, model.truncate_dim = model.truncate_dim, None
    try:
        width = model.get_embedding_dimension()
    finally:
        model.truncate_dim = own
    return int(width or own)


def layer_of_tokens(transformer: Any, layer: int, **tokens: Any) -> Any:
    """Return the output of a layer (0 to `count_layers`), a tensor (n, width, hidden).

    The layers above are not computed if the architecture allows it.

    Raises:
        InputError: the model does not return its layers.
    """
    count = count_layers(transformer)
    lower = None if layer == count else _lower_layers(transformer, layer)
    if lower is not None or layer == count:
        return (lower or transformer)(**tokens).last_hidden_state
    return _states(transformer, count, **tokens)[layer]


def _prompts(own: Mapping[str, str], choices: EncodingOptions) -> dict[str, str]:
    """Return the prompts by name, with those for a task replaced by the chosen one."""
    prompts = dict(own)
    for names, chosen in (
        (model_info.QUERY_PROMPTS, choices.query_prompt),
        (model_info.DOCUMENT_PROMPTS, choices.document_prompt),
    ):
        used = next((own[name] for name in names if own.get(name)), "")
        if chosen is not None and chosen != used:
            prompts = {name: text for name, text in prompts.items() if name not in names}
            prompts[names[0]] = chosen
    return prompts


def _truncate_vectors(model: Any, dim: int) -> int | None:
    """Truncate the vectors; return the new dimension if it differs from the model's own."""
    width = width_of(model)
    if dim > width:
        raise InputError(
            f"dim is {dim}; the vectors of this model have {width} numbers: expected 1 to {width}."
        )
    if dim == (model.truncate_dim or width):
        return None
    model.truncate_dim = dim
    return dim


def _replace_pooling(model: Any, mode: str) -> None:
    _check_parts(model, "pooling")
    own, after = model[1], list(model)[2:]
    width = own.embedding_dimension
    needed = next((part.in_features for part in after if type(part).__name__ == "Dense"), width)
    if needed != width:
        raise InputError(
            f"pooling cannot be chosen for this model: its Dense layer expects {needed} values, "
            f"and a single pooling mode returns {width}. Leave pooling out."
        )
    # The model's own class, which is a `Pooling`.
    pooling = type(own)(width, pooling_mode=mode, include_prompt=own.include_prompt)
    model._modules[list(model._modules)[1]] = pooling


def _average_layers(model: Any, layers: tuple[int, ...]) -> None:
    """Replace the last layer, as input of the pooling, by the average of some layers."""
    _check_parts(model, "layer")
    transformer = model[0].model
    count = count_layers(transformer)
    chosen = resolve_layers(layers, count, "this model")
    if chosen == (count,):
        return
    _check_layers(transformer, count)
    model[0].model = _averaging_class()(transformer, chosen)


def _check_parts(model: Any, option: str) -> None:
    """Check that after transformer and pooling, a model only has `Dense` or `Normalize`."""
    names = [type(part).__name__ for part in model]
    plain = names[:2] == ["Transformer", "Pooling"] and set(names[2:]) <= {"Dense", "Normalize"}
    if not plain:
        raise InputError(
            f"{option} cannot be chosen for this model with the modules {', '.join(names)}; "
            f"expected Transformer, Pooling, and then only Dense or Normalize. Leave {option} out."
        )


def _check_layers(transformer: Any, count: int) -> None:
    """Run the model once to check that it returns all its layers."""
    import torch

    with torch.inference_mode():
        ids = torch.zeros((1, 1), dtype=torch.int64, device=transformer.device)
        _states(transformer, count, input_ids=ids, attention_mask=torch.ones_like(ids))


def _states(transformer: Any, count: int, **tokens: Any) -> Any:
    """Return the input of the first layer and the outputs of all `count` layers."""
    states = getattr(transformer(**tokens, output_hidden_states=True), "hidden_states", None)
    if states is None or len(states) != count + 1:
        raise InputError(
            f"{type(transformer).__name__} does not return its {count} layers; leave layer out."
        )
    return states


def _lower_layers(transformer: Any, layer: int) -> Any | None:
    """Return the model without the layers above one, sharing its weights; None if not supported.

    Its output equals that of the layer within the complete model.
    """
    name = STACKS.get(type(transformer).__name__)
    if name is None:
        return None
    stack = getattr(transformer, name)
    return _copy_with(transformer, **{name: _copy_with(stack, layer=stack.layer[:layer])})


def _copy_with(module: Any, **parts: Any) -> Any:
    """Return a shallow copy of a module with some submodules replaced."""
    other = copy.copy(module)
    # A shallow copy shares the dict.
    other._modules = {**module._modules, **parts}
    return other


@cache
def _averaging_class() -> Any:
    """Return the class that averages layers of a model; defined once torch is imported anyway."""
    import torch

    class Layers(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        """Returns the average of some `layers` per token; otherwise behaves like the model."""

        def __init__(self, model: Any, layers: tuple[int, ...]) -> None:
            super().__init__()
            lower = _lower_layers(model, layers[-1])
            self.model = model if lower is None else lower
            self.layers = layers
            # The model's output is then the only layer needed.
            self.is_top = lower is not None and len(layers) == 1

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("model"), name)

        def forward(self, **inputs: Any) -> dict[str, Any]:
            if self.is_top:
                return {"last_hidden_state": self.model(**inputs).last_hidden_state}
            states = self.model(**{**inputs, "output_hidden_states": True}).hidden_states
            chosen = [states[layer] for layer in self.layers]
            if len(chosen) == 1:
                return {"last_hidden_state": chosen[0]}
            # Sums in half precision lose too much.
            average = torch.stack([state.float() for state in chosen]).mean(0)
            return {"last_hidden_state": average.to(chosen[0].dtype)}

    return Layers
