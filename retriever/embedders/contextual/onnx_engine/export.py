"""Export of a sentence model in torch to ONNX graphs: from tokens or images to vectors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.errors import InputError
from retriever.embedders.base import IMAGE
from retriever.embedders.contextual.images.pixels import Pixels
from retriever.embedders.contextual.onnx_engine.first_position import first_position_only
from retriever.embedders.contextual.probes import probe_images
from retriever.embedders.validation import first_line
from retriever.images.decode import decode

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "sentence_embedding"
PIXELS = "pixel_values"
# The file of the graph for images, beside that for texts.
IMAGE_GRAPH = "images.onnx"
OPSET = 17
# Protocol buffers are limited to 2 GiB; the graph itself needs some of it.
MOST_BYTES = 2_000_000_000
# The traced shape: neither number may be 1, which would become a constant.
TRACED = (2, 9)


def write_graph(model: SentenceModel, path: Path) -> None:
    """Write the graph of the complete model, from tokens to vectors (n, dim), to a file.

    A model that takes images gets a second graph beside it, from their pixels to vectors. The
    number of texts or images and the width of texts are dynamic. A graph is traced from one run, so
    a model with data-dependent control flow silently comes out wrong: compare the result before
    use.

    Raises:
        InputError: why this model cannot be exported, as a clause without a full stop.
        OSError: the disk is full or not writable.
    """
    import torch

    _check_exportable(model)
    ids = torch.from_numpy(np.full(TRACED, model.card.pad, np.int64))
    mask = torch.ones(TRACED, dtype=torch.int64)
    mask[1, 5:] = 0
    given = dict(zip(INPUTS if model.reads_mask else INPUTS[:1], (ids, mask), strict=False))
    _write(model, path, "text", given, {0: "texts", 1: "width"})
    if model.card.pixels is not None:
        some = Pixels(model.card.pixels).of(map(decode, probe_images()[: TRACED[0]]))
        with first_position_only(model.parts.transformers_model):
            given = {PIXELS: torch.from_numpy(some)}
            _write(model, path.with_name(IMAGE_GRAPH), IMAGE, given, {0: "images"})


def _write(
    model: SentenceModel, path: Path, modality: str, given: dict[str, Any], axes: dict[int, str]
) -> None:
    """Write the graph of the model's modules for content of one modality.

    `given` are the inputs that it is traced with, `axes` the names of their dynamic axes.
    """
    import torch

    class Chain(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        """The model's modules, with the graph's inputs as arguments."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = model.parts

        def forward(self, *inputs: Any) -> Any:
            return model.chain({**dict(zip(given, inputs, strict=True)), "modality": modality})

    dynamic = dict.fromkeys(given, axes) | {OUTPUT: {0: axes[0]}}
    options: dict[str, Any] = {"dynamo": False, "opset_version": OPSET, "dynamic_axes": dynamic}
    options |= {"input_names": list(given), "output_names": [OUTPUT]}
    try:
        with _recordable(model.parts), torch.inference_mode():
            torch.onnx.export(Chain().eval(), tuple(given.values()), str(path), **options)
    except OSError:
        # A full disk says nothing about the model.
        raise
    except Exception as error:  # torch raises many kinds, depending on what it cannot export
        raise InputError(f"torch cannot export it as a graph: {first_line(error)}") from None


def _check_exportable(model: SentenceModel) -> None:
    """Check what is known before the export."""
    if not model.card.plain:
        raise InputError("it takes more than tokens and a mask, or has no Rust tokenizer")
    if IMAGE in model.card.modalities and model.card.pixels is None:
        raise InputError("its images are not preprocessed in a way that is known here")
    if not model.card.pools_prompt:
        raise InputError("it leaves its prompt out of pooling, which differs by text")
    known = ("sentence_transformers", "retriever")
    own = [part for part in model.parts if type(part).__module__.partition(".")[0] not in known]
    if own:
        raise InputError(f"{type(own[0]).__name__} is a module with custom code")
    weights = list(model.parts.state_dict().values())
    kinds = {str(w.dtype).removeprefix("torch.") for w in weights if w.is_floating_point()}
    if kinds - {"float32"}:
        raise InputError(f"its weights are {', '.join(sorted(kinds))}, not float32")
    if sum(w.numel() * w.element_size() for w in weights) > MOST_BYTES:
        raise InputError("its weights are 2 GB or more, too large for one graph")


@contextmanager
def _recordable(parts: Any) -> Iterator[None]:
    """Use eager attention, and silence torch's warnings about tracing."""
    network = parts.transformers_model
    before = network.config._attn_implementation
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if before != "eager":
                network.set_attn_implementation("eager")
            yield
    finally:
        if network.config._attn_implementation != before:
            network.set_attn_implementation(before)
