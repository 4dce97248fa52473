"""What is to be known of a sentence model without its weights, and what is chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RUNTIMES = ("auto", "torch", "onnx")
PRECISIONS = ("float32", "bfloat16", "float16", "int8", "auto")
# How the vectors of tokens become one, by our names and by those of sentence-transformers.
POOLINGS = {
    "mean": "mean",
    "cls": "cls",
    "last": "lasttoken",
    "weighted_mean": "weightedmean",
    "max": "max",
}
# The names that models give their prompts, first come first served.
QUERY_PROMPTS = ("query",)
DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True)
class EncodingOptions:
    """What a user chooses of how a model turns tokens into a vector; None leaves it to the model.

    `precision` is that of the weights and of the computing. `pooling` is one of `POOLINGS`; `layer`
    names the layers that are averaged, as `parsed_layers` gives them; `dim` is how many numbers of
    a vector are kept. An empty prompt stands for none.
    """

    max_length: int | None = None
    precision: str = "float32"
    pooling: str | None = None
    layer: tuple[int, ...] | None = None
    dim: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None


@dataclass(frozen=True)
class ModelInfo:
    """What decides how texts are read by a model, and what its vectors are.

    `fingerprint` is that of the vectors. `tokenizer` is the text of a `tokenizer.json`, `pad` the
    token for places that hold nothing, `side` the end at which long texts are cut. `plain` models
    read tokens and a mask, and nothing else. Where `pools_prompt` is false, the tokens of a prompt
    are read, but not pooled. `notes` are sentences for whoever builds with the model.
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
    notes: tuple[str, ...] = ()

    def prompt(self, task: str) -> str:
        """The first prompt for a task, `query` or `document`, that says anything; or an empty one.

        sentence-transformers 6.2 fills in an empty `document` prompt, finds that first, and so
        never uses a `passage` or `corpus` prompt.
        """
        names = QUERY_PROMPTS if task == "query" else DOCUMENT_PROMPTS
        return next((self.prompts[name] for name in names if self.prompts.get(name)), "")
