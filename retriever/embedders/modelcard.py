"""What is to be known of a sentence model without its weights, and what is chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PRECISIONS", "RUNTIMES", "Choices", "ModelCard"]

RUNTIMES = ("auto", "torch", "onnx")
PRECISIONS = ("float32", "bfloat16", "float16", "int8", "auto")


@dataclass(frozen=True)
class Choices:
    """What a user chooses of how a model turns tokens into a vector; None leaves it to the model.

    `precision` is that of the weights and of the computing.
    """

    max_length: int | None = None
    precision: str = "float32"


@dataclass(frozen=True)
class ModelCard:
    """What decides how texts are read by a model, and what its vectors are.

    `fingerprint` is that of the vectors. `tokenizer` is the text of a `tokenizer.json`, `pad` the
    token for places that hold nothing, `side` the end at which long texts are cut. `plain` models
    read tokens and a mask, and nothing else. Where `pools_prompt` is false, the tokens of a prompt
    are read, but not pooled.
    """

    dim: int
    max_length: int | None
    prompts: Mapping[str, str]
    fingerprint: str
    tokenizer: str | None
    pad: int
    side: str
    plain: bool
    pools_prompt: bool
    layers: int
