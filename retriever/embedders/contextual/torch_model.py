"""Sentence models in torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from retriever.embedders.base import IMAGE, TEXT_ONLY, Matrix
from retriever.embedders.contextual import inspection
from retriever.embedders.contextual.batching import Batch
from retriever.embedders.contextual.fingerprint import fingerprint_of_model
from retriever.embedders.contextual.images.processing import (
    check_batches,
    pad_as_trained,
    pixels_of,
    preprocess,
    takes_images,
)
from retriever.embedders.contextual.model_info import EncodingOptions, ModelInfo
from retriever.embedders.contextual.overrides import apply_overrides, count_layers, layer_of_tokens
from retriever.embedders.contextual.similarity import similarity_notes, similarity_of_model
from retriever.embedders.contextual.weights import LoadReport, settle_weights
from retriever.embedders.devices import computing

if TYPE_CHECKING:
    from retriever.images.decode import Picture

# Positions per batch: small batches stay in a CPU's caches, a GPU needs large ones.
BUDGET_CPU, BUDGET_GPU = 2048, 65_536
# Images per batch.
IMAGES = 16
# Batch size with the model's own preprocessing: the default of sentence-transformers.
OWN_BATCH = 32


class SentenceModel:
    """A loaded model, with options applied.

    `model` is a `SentenceTransformer` that this object owns, as `parts`; `reports` are those on its
    weights. `most` is the model's own maximum length, whatever is chosen.

    Raises:
        ModelNotAvailableError: see `settle_weights`.
        InputError: an option that this model does not support.
    """

    runtime = "torch"
    images_at_once = IMAGES

    def __init__(
        self,
        model: Any,
        choices: EncodingOptions,
        *,
        raw: bool = False,
        reports: Sequence[LoadReport] = (),
    ) -> None:
        self.parts, self._choices, self._raw = model, choices, raw
        # With all layers, whichever are pooled.
        self._transformer = model.transformers_model
        self.precision = choices.precision
        self.budget = BUDGET_CPU if model.device.type == "cpu" else BUDGET_GPU
        self.most = inspection.max_positions(model)
        if choices.max_length is not None:
            inspection.limit_length(model, choices.max_length)
        self._stated_length = inspection.finite_length(model.max_seq_length)
        inspection.keep_positions(model)
        inspection.enable_padding(model)
        self._padded = pad_as_trained(model, self.most, choices.max_length)
        names = getattr(model.tokenizer, "model_input_names", ())
        # Of networks that read padding, some were trained without a mask.
        self.reads_mask = self._padded is None or "attention_mask" in names
        # Also for float32: a checkpoint saved in half precision would be computed in it.
        _compute_in(model, choices.precision)
        settle_weights(model, reports)
        self._chosen_dim = apply_overrides(model, choices)
        model.eval()
        if takes_images(model):
            check_batches(model)

    @cached_property
    def card(self) -> ModelInfo:
        """What is known about the model without its weights."""
        model, tokenizer = self.parts, self.parts.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        kind = type(self._transformer).__name__
        raw = inspection.raw_notes(model, kind) if self._raw else ()
        chosen = self._choices.similarity
        similarity = similarity_of_model(model, chosen)
        return ModelInfo(
            dim=int(model.truncate_dim or model.get_embedding_dimension()),
            max_length=inspection.limit_of(model),
            prompts={name: text for name, text in sorted(model.prompts.items()) if text},
            fingerprint=fingerprint_of_model(
                model, self._stated_length, self._chosen_dim, similarity
            ),
            tokenizer=None if backend is None else str(backend.to_str()),
            pad=inspection.padding_of(model),
            side=str(getattr(tokenizer, "truncation_side", "right")),
            plain=inspection.is_plain(model, self._padded),
            pools_prompt=all(getattr(module, "include_prompt", True) for module in model),
            layers=count_layers(self._transformer),
            literal=bool(getattr(tokenizer, "split_special_tokens", False)),
            notes=(
                *raw,
                *inspection.prompt_notes(model.prompts, self._choices),
                *similarity_notes(model, chosen),
            ),
            similarity=similarity,
            modalities=("text", IMAGE) if takes_images(model) else TEXT_ONLY,
            padded=self._padded,
            pixels=pixels_of(model) if takes_images(model) else None,
        )

    def embed(self, batch: Batch, skipped: int = 0) -> Matrix:
        """Return the vectors (n, dim) of a batch, not normalized.

        The first `skipped` tokens belong to a prompt that the model leaves out of pooling.
        """
        import torch

        with torch.inference_mode(), computing(batch.ids.size):
            features = self._features(batch)
            if skipped:
                features["prompt_length"] = skipped
            vectors: Matrix = self.chain(features).float().cpu().numpy()
        return vectors

    def chain(self, features: dict[str, Any]) -> Any:
        """Apply the modules in order to tokens; return the vectors (n, dim), a tensor."""
        for module in self.parts:
            features = module(features)
        return features["sentence_embedding"][:, : self.card.dim]

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Yield each batch with its vectors; torch uses all threads."""
        for batch in batches:
            yield batch, self.embed(batch, skipped)

    def hidden(self, batch: Batch, layer: int) -> NDArray[np.float32]:
        """Return the output of a layer (0 to `layers`) for each token, (n, width, hidden)."""
        import torch

        with torch.inference_mode():
            features = self._features(batch)
            del features["modality"]
            states = layer_of_tokens(self._transformer, layer, **features)
            found: NDArray[np.float32] = states.float().cpu().numpy()
        return found

    def embed_texts(
        self, texts: Sequence[str], prompt: str, task: str, batch_size: int | None = None
    ) -> Matrix:
        """Return the vectors of texts with the model's own preprocessing.

        Texts of similar length are batched, at most `batch_size` at once.
        """
        encode = self.parts.encode_query if task == "query" else self.parts.encode_document
        options = {"batch_size": batch_size or OWN_BATCH, "show_progress_bar": False}
        # A model that takes images would open a text that is a path, and fetch one that is a URL.
        given = [{"text": text} for text in texts] if takes_images(self.parts) else list(texts)
        encoded = encode(given, prompt=prompt, convert_to_tensor=True, **options)
        vectors: Matrix = encoded.float().cpu().numpy()
        return vectors

    def embed_images(self, pictures: Iterable[Picture], *, alone: bool) -> Matrix:
        """Return the vectors (n, dim) of images; see `Engine`."""
        with computing(1) if alone else nullcontext():
            return self.embed_features(preprocess(self.parts, pictures))

    def embed_features(self, features: Mapping[str, Any]) -> Matrix:
        """Return the vectors (n, dim) of preprocessed images, not normalized."""
        import torch

        with torch.inference_mode():
            moved = {name: self._moved(value) for name, value in features.items()}
            found = self.parts(moved, task="document")["sentence_embedding"]
            vectors: Matrix = found[:, : self.card.dim].float().cpu().numpy()
        return vectors

    def _moved(self, value: Any) -> Any:
        """Return a feature on the model's device, in its precision if its values are floats."""
        if isinstance(value, np.ndarray):
            import torch

            value = torch.from_numpy(value)
        if not hasattr(value, "to"):
            return value
        return value.to(self.parts.device, self.parts.dtype if value.is_floating_point() else None)

    def lengths(self, texts: Sequence[str], task: str) -> list[tuple[int, int | None]]:
        """Return the number of tokens of each untruncated text, and the limit, if any."""
        part = inspection.part_for(self.parts, task)
        own = getattr(part, "max_seq_length", None)
        limit = (
            inspection.limit_of(self.parts)
            if part is self.parts[0]
            else inspection.finite_length(own)
        )
        return [(length, limit) for length in inspection.count_tokens(part.tokenizer, texts)]

    def _features(self, batch: Batch) -> dict[str, Any]:
        import torch

        arrays = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if not self.reads_mask:
            del arrays["attention_mask"]
        moved = {
            name: torch.from_numpy(array).to(self.parts.device) for name, array in arrays.items()
        }
        return {**moved, "modality": "text"}


def _compute_in(model: Any, precision: str) -> None:
    """Convert all weights to a precision."""
    import torch

    device = model.device
    if precision == "float16" and device.type == "cpu":
        raise InputError(
            "precision is float16, which is for GPUs; on a CPU, expected one of: float32, "
            "bfloat16, int8."
        )
    wanted, weights = getattr(torch, precision), model.state_dict()
    if all(w.dtype == wanted for w in weights.values() if w.is_floating_point()):
        return
    # Computed buffers, which are not saved, stay exact: with 8 bits, rotary angles of distant
    # positions are off by more than a radian.
    made = {name: buffer for name, buffer in model.named_buffers() if name not in weights}
    model.to(wanted)
    for name, buffer in made.items():
        place, _, last = name.rpartition(".")
        if wanted.itemsize < buffer.dtype.itemsize:
            model.get_submodule(place).register_buffer(last, buffer, persistent=False)
