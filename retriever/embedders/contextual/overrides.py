"""What a user chose of a sentence model, put in the place of its own: layers, pooling and such."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from indexes.errors import InputError
from retriever.embedders.contextual.model_info import (
    DOCUMENT_PROMPTS,
    POOLINGS,
    QUERY_PROMPTS,
    EncodingOptions,
)
from retriever.embedders.layers import resolved_layers

# Where the layers stand of the models whose vectors are what the last layer gives, as it is. Others
# normalize it once more, or go through the same layers again.
STACKS = {
    "BertModel": "encoder",
    "CamembertModel": "encoder",
    "DistilBertModel": "transformer",
    "ElectraModel": "encoder",
    "MPNetModel": "encoder",
    "RobertaModel": "encoder",
    "XLMRobertaModel": "encoder",
}


def override(model: Any, choices: EncodingOptions) -> int | None:
    """Change a `SentenceTransformer` to what was chosen; what was not stays its own.

    Gives how many numbers of a vector are kept, where that is not the model's own choice.

    Raises:
        InputError: something that this model cannot do.
    """
    model.prompts = _prompts(model.prompts, choices)
    if choices.pooling is not None:
        _pool(model, POOLINGS[choices.pooling])
    if choices.layer is not None:
        _take_layers(model, choices.layer)
    return None if choices.dim is None else _cut_vectors(model, choices.dim)


def count_layers(transformer: Any) -> int:
    """Hidden layers of a model of transformers; 0 for what has none."""
    config = getattr(transformer, "config", None)
    count = getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None)
    return int(count or 0)


def _width(model: Any) -> int:
    """The width of the vectors of a `SentenceTransformer`, before any are cut."""
    own, model.truncate_dim = model.truncate_dim, None
    try:
        width = model.get_embedding_dimension()
    finally:
        model.truncate_dim = own
    return int(width or own)


def layer_of_tokens(transformer: Any, layer: int, **tokens: Any) -> Any:
    """What a layer (0 to `count_layers`) makes of each token, a tensor (n, width, hidden).

    The layers above are not computed where the kind of model allows it.

    Raises:
        InputError: the model does not give its layers.
    """
    count = count_layers(transformer)
    lower = None if layer == count else _lower(transformer, layer)
    if lower is not None or layer == count:
        return (lower or transformer)(**tokens).last_hidden_state
    return _states(transformer, count, **tokens)[layer]


def _prompts(own: Mapping[str, str], choices: EncodingOptions) -> dict[str, str]:
    """The prompts by their names, those for a task replaced by the one that was chosen for it."""
    prompts = dict(own)
    for names, chosen in (
        (QUERY_PROMPTS, choices.query_prompt),
        (DOCUMENT_PROMPTS, choices.document_prompt),
    ):
        used = next((own[name] for name in names if own.get(name)), "")
        if chosen is not None and chosen != used:
            prompts = {name: text for name, text in prompts.items() if name not in names}
            prompts[names[0]] = chosen
    return prompts


def _cut_vectors(model: Any, dim: int) -> int | None:
    """Keep the first numbers of each vector; how many, if it is not so many anyway."""
    width = _width(model)
    if dim > width:
        raise InputError(
            f"dim is {dim}; the vectors of this model have {width} numbers: expected 1 to {width}."
        )
    if dim == (model.truncate_dim or width):
        return None
    model.truncate_dim = dim
    return dim


def _pool(model: Any, mode: str) -> None:
    """Pool in another way."""
    _check_parts(model, "pooling")
    own, after = model[1], list(model)[2:]
    width = own.embedding_dimension
    needed = next((part.in_features for part in after if type(part).__name__ == "Dense"), width)
    if needed != width:
        raise InputError(
            f"pooling cannot be chosen for this model: its own gives {needed} numbers to the Dense "
            f"after it, any one way alone {width}. Leave pooling out."
        )
    # Of the class that the model has, which is a `Pooling`.
    pooling = type(own)(width, pooling_mode=mode, include_prompt=own.include_prompt)
    model._modules[list(model._modules)[1]] = pooling


def _take_layers(model: Any, layers: tuple[int, ...]) -> None:
    """Give the parts that pool the average of some layers in the place of the last one."""
    _check_parts(model, "layer")
    transformer = model[0].model
    count = count_layers(transformer)
    chosen = resolved_layers(layers, count, "this model")
    if chosen == (count,):
        return
    _check_layers(transformer, count)
    model[0].model = _averaging()(transformer, chosen)


def _check_parts(model: Any, option: str) -> None:
    """Check that a model is a transformer, a pooling and at most what comes after it.

    Raises:
        InputError: it is made in another way.
    """
    names = [type(part).__name__ for part in model]
    plain = names[:2] == ["Transformer", "Pooling"] and set(names[2:]) <= {"Dense", "Normalize"}
    if not plain:
        raise InputError(
            f"{option} cannot be chosen for this model, whose parts are: {', '.join(names)}; "
            f"expected Transformer, Pooling, and then only Dense or Normalize. Leave {option} out."
        )


def _check_layers(transformer: Any, count: int) -> None:
    """Try out whether a model gives all its layers.

    Raises:
        InputError: it does not.
    """
    import torch

    with torch.inference_mode():
        ids = torch.zeros((1, 1), dtype=torch.int64, device=transformer.device)
        _states(transformer, count, input_ids=ids, attention_mask=torch.ones_like(ids))


def _states(transformer: Any, count: int, **tokens: Any) -> Any:
    """What goes into the first layer, and what each of the `count` layers makes of it."""
    states = getattr(transformer(**tokens, output_hidden_states=True), "hidden_states", None)
    if states is None or len(states) != count + 1:
        raise InputError(
            f"{type(transformer).__name__} does not give its {count} layers; leave layer out."
        )
    return states


def _lower(transformer: Any, layer: int) -> Any | None:
    """The same model without the layers above one, sharing its weights; None where that differs.

    What it gives is what that layer gives within the whole model.
    """
    name = STACKS.get(type(transformer).__name__)
    if name is None:
        return None
    stack = getattr(transformer, name)
    return _with(transformer, **{name: _with(stack, layer=stack.layer[:layer])})


def _with(module: Any, **parts: Any) -> Any:
    """A copy of a module that shares all its parts but those given."""
    other = copy.copy(module)
    # A plain copy has the very same dict.
    other._modules = {**module._modules, **parts}
    return other


@cache
def _averaging() -> Any:
    """The class of a model that averages layers of another; made when torch is there anyway."""
    import torch

    class Layers(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        """Gives the average of what the `layers` of a model make of each token.

        In all else it is that model.
        """

        def __init__(self, whole: Any, layers: tuple[int, ...]) -> None:
            super().__init__()
            lower = _lower(whole, layers[-1])
            self.model = whole if lower is None else lower
            self.layers = layers
            # What the model gives is then the only layer that is asked for.
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
            # Sums of short numbers lose too much.
            average = torch.stack([state.float() for state in chosen]).mean(0)
            return {"last_hidden_state": average.to(chosen[0].dtype)}

    return Layers
