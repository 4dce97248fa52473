"""A sentence model in torch: loaded, asked, and described: the door to sentence-transformers."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from retriever.embedders.base import Matrix
from retriever.embedders.batches import Batch
from retriever.embedders.identity import fingerprint_of_model
from retriever.embedders.locate import (
    SENTENCE_PACKAGES,
    is_offline,
    locate_sentence_model,
    not_available,
)
from retriever.embedders.modelcard import Choices, ModelCard

__all__ = ["SentenceModel", "checked_device", "computes_bfloat16", "load"]

# Places of a batch: on a processor small ones stay in its caches, a GPU wants to be filled.
BUDGET_CPU, BUDGET_GPU = 2048, 65_536


class SentenceModel:
    """A loaded model: its parts turn tokens into vectors, as its own folder says or `choices` do.

    `model` is a `SentenceTransformer` that belongs to this object alone.
    """

    def __init__(self, model: Any, choices: Choices) -> None:
        self._model, self._choices = model, choices
        if choices.max_length is not None:
            model.max_seq_length = _within_limit(model, choices.max_length)
        if choices.precision != "float32":
            model.to(_dtype(choices.precision, model.device))
        model.eval()

    @property
    def runtime(self) -> str:
        """What computes."""
        return "torch"

    @property
    def precision(self) -> str:
        """In which numbers it computes."""
        return self._choices.precision

    @property
    def budget(self) -> int:
        """How many places for tokens a batch should have, at most."""
        return BUDGET_CPU if self._model.device.type == "cpu" else BUDGET_GPU

    @cached_property
    def card(self) -> ModelCard:
        """What is to be known of the model without its weights at hand."""
        model = self._model
        length = model.max_seq_length
        limit = None if length is None or math.isinf(length) else int(length)
        tokenizer = model.tokenizer
        backend = getattr(tokenizer, "backend_tokenizer", None)
        pad = getattr(tokenizer, "pad_token_id", None)
        return ModelCard(
            dim=int(model.truncate_dim or model.get_embedding_dimension()),
            max_length=limit,
            prompts={name: text for name, text in sorted(model.prompts.items()) if text},
            fingerprint=fingerprint_of_model(model, limit),
            tokenizer=None if backend is None else str(backend.to_str()),
            pad=0 if pad is None else int(pad),
            side=str(getattr(tokenizer, "truncation_side", "right")),
            plain=self._is_plain(),
            pools_prompt=all(getattr(module, "include_prompt", True) for module in model),
            layers=self.layers,
        )

    @property
    def layers(self) -> int:
        """Hidden layers of the transformer; 0 where there is none."""
        config = getattr(self._model.transformers_model, "config", None)
        count = getattr(config, "num_hidden_layers", None) or getattr(config, "num_layers", None)
        return int(count or 0)

    def embed(self, batch: Batch, skipped: int = 0) -> Matrix:
        """The vectors (n, dim) of a batch, as long as they are.

        `skipped` tokens at the beginning are a prompt's, which some models leave out in pooling.
        """
        import torch

        with torch.inference_mode():
            features = self._features(batch)
            if skipped:
                features["prompt_length"] = skipped
            for module in self._model:
                features = module(features)
            found = features["sentence_embedding"][:, : self.card.dim]
            vectors: Matrix = found.float().cpu().numpy()
        return vectors

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        """Each batch with its vectors; torch itself uses all threads."""
        for batch in batches:
            yield batch, self.embed(batch, skipped)

    def hidden(self, batch: Batch, layer: int) -> NDArray[np.float32]:
        """What a layer (0 to `layers`) makes of each token of a batch, (n, width, hidden)."""
        import torch

        with torch.inference_mode():
            features = self._features(batch)
            states = self._model.transformers_model(
                input_ids=features["input_ids"],
                attention_mask=features["attention_mask"],
                output_hidden_states=True,
            ).hidden_states
            found: NDArray[np.float32] = states[layer].float().cpu().numpy()
        return found

    def embed_texts(self, texts: Sequence[str], prompt: str, task: str) -> Matrix:
        """The vectors of texts by the model's own way to read them, which is not just tokens."""
        encode = self._model.encode_query if task == "query" else self._model.encode_document
        encoded = encode(
            list(texts), prompt=prompt, show_progress_bar=False, convert_to_tensor=True
        )
        vectors: Matrix = encoded.float().cpu().numpy()
        return vectors

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each whole text. `verbose` would warn of every long one."""
        tokens = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]

    def _features(self, batch: Batch) -> dict[str, Any]:
        import torch

        device = self._model.device
        return {
            "input_ids": torch.from_numpy(batch.ids).to(device),
            "attention_mask": torch.from_numpy(batch.mask).to(device),
            "modality": "text",
        }

    def _is_plain(self) -> bool:
        """Whether it reads a text as its tokens and a mask, and nothing else."""
        first, tokenizer = self._model[0], self._model.tokenizer
        if type(first).__name__ != "Transformer" or len(list(self._model)) < 2:
            return False
        own = (
            getattr(first, "query_length", None),
            getattr(first, "document_length", None),
            getattr(first, "query_expansion", None),
            (getattr(first, "processing_kwargs", None) or {}).get("text"),
        )
        if any(own) or "message" in getattr(first, "modality_config", {}):
            return False
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            return False
        # Types other than 0 say which of two texts a token is from; some mark more by them.
        types = tokenizer("a probe").get("token_type_ids") or [0]
        return first.module_output_name == "token_embeddings" and not any(types)


def load(model: str | os.PathLike[str], device: str | None, choices: Choices) -> SentenceModel:
    """The model at a path, in an installed package or on the hub of Hugging Face.

    Raises:
        ModelNotAvailableError: it cannot be had: what was tried, and how to get it.
        InputError: a choice that this model cannot have.
    """
    place, tried = locate_sentence_model(model)
    for where, local in _attempts(place):
        try:
            loaded = _sentence_transformer(str(place), device, local)
        except Exception as error:  # each library below raises its own kinds
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            tried.append(f"{where} {place}: {reason[:200]}")
        else:
            return SentenceModel(loaded, choices)
    if not isinstance(place, Path) and is_offline():
        tried.append("Hugging Face: not asked, HF_HUB_OFFLINE is set")
    raise not_available("sentence model", os.fspath(model), tried, SENTENCE_PACKAGES)


def _attempts(place: Path | str) -> list[tuple[str, bool]]:
    """Where to load from, in turn, and whether only what is on this machine may be read."""
    if isinstance(place, Path):
        return [("folder", True)]
    cache = ("Hugging Face cache", True)
    return [cache] if is_offline() else [cache, ("Hugging Face", False)]


def _sentence_transformer(place: str, device: str | None, local: bool) -> Any:
    from sentence_transformers import SentenceTransformer

    with _quiet(progress=not local):
        return SentenceTransformer(place, device=device, local_files_only=local)


@contextmanager
def _quiet(*, progress: bool) -> Iterator[None]:
    """Without the load report and the bar of transformers; downloads may show theirs."""
    from transformers.utils import logging as chatter

    bars = chatter.is_progress_bar_enabled()
    names = ("transformers", "sentence_transformers")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    if not progress:
        chatter.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars and not progress:
            chatter.enable_progress_bar()


def checked_device(device: str | None) -> str | None:
    """The device, once it has held a number.

    Raises:
        InputError: torch does not know it, or this machine does not have it.
    """
    if device is None:
        return None
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"Device '{device}' cannot be used here: {reason}. Without a device, the best one is "
            "taken; 'cpu' is always there."
        ) from None
    return device


def computes_bfloat16() -> bool:
    """Whether the processor, or a GPU in its place, has instructions for bfloat16."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    processor = torch.cpu.get_capabilities()
    return bool(processor.get("avx512_bf16") or processor.get("amx_bf16"))


def _dtype(precision: str, device: Any) -> Any:
    import torch

    if precision == "float16" and device.type == "cpu":
        raise InputError(
            "precision is float16, which is for GPUs; on a processor expected one of: float32, "
            "bfloat16, int8."
        )
    return getattr(torch, precision)


def _within_limit(model: Any, asked: int) -> int:
    """The asked number of tokens, if the model has positions for so many.

    Raises:
        InputError: it has not.
    """
    config = getattr(model.transformers_model, "config", None)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and asked > positions:
        raise InputError(f"max_length is {asked}; this model reads at most {positions} tokens.")
    return asked
