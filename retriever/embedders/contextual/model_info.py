"""What is known about a sentence model without its weights, and what can be chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from indexes.neighbors import COSINE
from retriever.embedders.base import TEXT_ONLY

RUNTIMES = ("auto", "torch", "onnx")
PRECISIONS = ("float32", "bfloat16", "float16", "int8", "auto")
# Pooling modes: our names to those of sentence-transformers.
POOLINGS = {
    "mean": "mean",
    "cls": "cls",
    "last": "lasttoken",
    "weighted_mean": "weightedmean",
    "max": "max",
}
# Names that models use for their prompts; the first match wins.
QUERY_PROMPTS = ("query",)
DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True)
class EncodingOptions:
    """Options for how a model turns tokens into a vector; None keeps the model's own.

    `precision` is that of the weights and the computation. `pooling` is one of `POOLINGS`; `layer`
    are the layers to average, as `parse_layers` returns them; `dim` is the number of leading
    values kept of a vector. An empty prompt means no prompt. `similarity` is one of `SIMILARITIES`.
    """

    max_length: int | None = None
    precision: str = "float32"
    pooling: str | None = None
    layer: tuple[int, ...] | None = None
    dim: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    similarity: str | None = None


@dataclass(frozen=True)
class ModelInfo:
    """How a model reads texts, and what its vectors are.

    `fingerprint` is that of the vectors. `tokenizer` is the text of a `tokenizer.json`, `pad` the
    padding token, `side` the end at which long texts are truncated. `plain` models read tokens and
    a mask, and nothing else. If `pools_prompt` is false, the tokens of a prompt are read but not
    pooled. With `literal`, names of special tokens in a text are read as text. `notes` are
    sentences for the user who builds with the model. `similarity` says how vectors are compared: of
    length 1 for `cosine`, else as the model returns them. `modalities` are the kinds of content
    that it encodes. `padded` is the number of tokens that each text is padded to, if it is one
    number for all. `pixels` are the settings of a processor of images, if `Pixels` computes the
    same.
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
    literal: bool = False
    notes: tuple[str, ...] = ()
    similarity: str = COSINE
    modalities: tuple[str, ...] = TEXT_ONLY
    padded: int | None = None
    pixels: Mapping[str, Any] | None = None

    def prompt(self, task: str) -> str:
        """Return the first non-empty prompt for a task, `query` or `document`, or an empty text.

        sentence-transformers 6.2 fills in an empty `document` prompt, finds that first, and so
        never uses a `passage` or `corpus` prompt.
        """
        names = QUERY_PROMPTS if task == "query" else DOCUMENT_PROMPTS
        return next((self.prompts[name] for name in names if self.prompts.get(name)), "")
