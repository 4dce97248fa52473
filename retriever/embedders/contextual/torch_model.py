"""Sentence models in torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from retriever.embedders.base import Matrix
from retriever.embedders.contextual.batching import Batch
from retriever.embedders.contextual.fingerprint import fingerprint_of_model
from retriever.embedders.contextual.inspection import (
    count_tokens,
    enable_padding,
    finite_length,
    is_plain,
    limit_length,
    limit_of,
    max_positions,
    padding_of,
    part_for,
    prompt_notes,
    raw_notes,
)
from retriever.embedders.contextual.model_info import EncodingOptions, ModelInfo
from retriever.embedders.contextual.overrides import apply_overrides, count_layers, layer_of_tokens

# Positions per batch: small batches stay in a CPU's caches, a GPU needs large ones.
BUDGET_CPU, BUDGET_GPU = 2048, 65_536
# Batch size with the model's own preprocessing: the default of sentence-transformers.
OWN_BATCH = 32


class SentenceModel:
    """A loaded model, with options applied.

    `model` is a `SentenceTransformer` that this object owns.
    """

    runtime = "torch"

    def __init__(self, model: Any, choices: EncodingOptions, *, raw: bool = False) -> None:
        self._model, self._choices, self._raw = model, choices, raw
        # With all layers, whichever are pooled.
        self._transformer = model.transformers_model
        self._process = os.getpid()
        # The model's own maximum length, whatever is chosen.
        self.most = max_positions(model)
        if choices.max_length is not None:
            limit_length(model, choices.max_length)
        # Also for float32: a checkpoint saved in half precision would be computed in it.
        _compute_in(model, choices.precision)
        self._chosen_dim = apply_overrides(model, choices)
        enable_padding(model)
        model.eval()

    @property
    def precision(self) -> str:
        """Precision of the computation."""
        return self._choices.precision

    @property
    def budget(self) -> int:
        """Maximum positions per batch."""
        return BUDGET_CPU if self._model.device.type == "cpu" else BUDGET_GPU

    @cached_property
    def card(self) -> ModelInfo:
        """What is known about the model without its weights."""
        model = self._model
        tokenizer = model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        return ModelInfo(
            dim=int(model.truncate_dim or model.get_embedding_dimension()),
            max_length=limit_of(model),
            prompts={name: text for name, text in sorted(model.prompts.items()) if text},
            fingerprint=fingerprint_of_model(
                model, finite_length(model.max_seq_length), self._chosen_dim
            ),
            tokenizer=None if backend is None else str(backend.to_str()),
            pad=padding_of(model),
            side=str(getattr(tokenizer, "truncation_side", "right")),
            plain=is_plain(model),
            pools_prompt=all(getattr(module, "include_prompt", True) for module in model),
            layers=count_layers(self._transformer),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        kind = type(self._transformer).__name__
        raw = raw_notes(self._model, kind) if self._raw else ()
        return (*raw, *prompt_notes(self._model.prompts, self._choices))

    def embed(self, batch: Batch, skipped: int = 0) -> Matrix:
        """Return the vectors (n, dim) of a batch, not normalized.

        The first `skipped` tokens belong to a prompt that the model leaves out of pooling.
        """
        import torch

        self._limit_threads_after_fork()
        with torch.inference_mode():
            features = self._features(batch)
            if skipped:
                features["prompt_length"] = skipped
            vectors: Matrix = self.chain(features).float().cpu().numpy()
        return vectors

    def chain(self, features: dict[str, Any]) -> Any:
        """Apply the modules in order to tokens; return the vectors (n, dim), a tensor."""
        for module in self._model:
            features = module(features)
        return features["sentence_embedding"][:, : self.card.dim]

    @property
    def parts(self) -> Any:
        """The modules as one `torch.nn.Module`, a `SentenceTransformer`."""
        return self._model

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Yield each batch with its vectors; torch uses all threads."""
        for batch in batches:
            yield batch, self.embed(batch, skipped)

    def hidden(self, batch: Batch, layer: int) -> NDArray[np.float32]:
        """Return the output of a layer (0 to `layers`) for each token, (n, width, hidden)."""
        import torch

        self._limit_threads_after_fork()
        with torch.inference_mode():
            features = self._features(batch)
            del features["modality"]
            states = layer_of_tokens(self._transformer, layer, **features)
            found: NDArray[np.float32] = states.float().cpu().numpy()
        return found

    def embed_texts(
        self, texts: Sequence[str], prompt: str, task: str, batch_size: int | None = None
    ) -> Matrix:
        """Return the vectors of texts with the model's own preprocessing, which takes more than
        tokens.

        Texts of similar length are batched, at most `batch_size` at once.
        """
        self._limit_threads_after_fork()
        encode = self._model.encode_query if task == "query" else self._model.encode_document
        encoded = encode(
            list(texts),
            prompt=prompt,
            batch_size=batch_size or OWN_BATCH,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        vectors: Matrix = encoded.float().cpu().numpy()
        return vectors

    def lengths(self, texts: Sequence[str], task: str) -> list[tuple[int, int | None]]:
        """Return the number of tokens of each untruncated text, and the limit, if any."""
        part = part_for(self._model, task)
        own = getattr(part, "max_seq_length", None)
        limit = limit_of(self._model) if part is self._model[0] else finite_length(own)
        return [(length, limit) for length in count_tokens(part.tokenizer, texts)]

    def _limit_threads_after_fork(self) -> None:
        """Use a single thread in a process that was forked from the one that loaded the model.

        Otherwise torch waits forever for its other threads, which do not survive a fork.
        """
        if self._process != os.getpid():
            import torch

            torch.set_num_threads(1)
            self._process = os.getpid()

    def _features(self, batch: Batch) -> dict[str, Any]:
        import torch

        device = self._model.device
        return {
            "input_ids": torch.from_numpy(batch.ids).to(device),
            "attention_mask": torch.from_numpy(batch.mask).to(device),
            "modality": "text",
        }


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
