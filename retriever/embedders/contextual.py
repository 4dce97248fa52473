"""Sentence embeddings from transformers: the door to sentence-transformers and torch."""

from __future__ import annotations

import copy
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import InputError
from retriever.embedders.base import EmbedderSpec, Matrix, TextReport, unit
from retriever.embedders.identity import fingerprint_of_model
from retriever.embedders.locate import (
    SENTENCE_PACKAGES,
    is_offline,
    locate_sentence_model,
    not_available,
)
from retriever.embedders.texts import check_texts

__all__ = ["ContextualEmbedder", "checked_device"]

# The names that models give their prompts, first come first served.
QUERY_PROMPTS = ("query",)
DOCUMENT_PROMPTS = ("document", "passage", "corpus")
COUNTED_TOGETHER = 1024
PRECISIONS = ("float32", "bfloat16")


class ContextualEmbedder:
    """Embeds a text by a sentence-transformers model, which reads every word in its context.

    `model` is a path, a model carried by an installed package, or a name on Hugging Face (see
    `locate.py`). The model's own prompts are put before queries and documents. A text of more than
    `max_length` tokens is cut off there; the default is the model's own limit. `device` is a torch
    device such as `cpu` or `cuda:0`; without it torch's best one is taken. `precision` is that of
    the weights and of the computing: `float32`, or `bfloat16`, faster on processors that have it,
    with vectors that hardly differ. They come out as float32 of length 1; a text of nothing but
    white space gets zeros.

    Raises:
        ModelNotAvailableError: the model cannot be had: what was tried, and how to get it.
        InputError: no such device or precision, or `batch_size` or `max_length` is not a whole
            number from 1 up.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        device: str | None = None,
        batch_size: int = 32,
        max_length: int | None = None,
        precision: str = "float32",
    ) -> None:
        _check_count("batch_size", batch_size)
        if precision not in PRECISIONS:
            raise InputError(
                f"precision is {precision!r}; expected one of: {', '.join(PRECISIONS)}."
            )
        if max_length is not None:
            _check_count("max_length", max_length)
        self._name, self._batch_size, self._device = model, batch_size, device
        self._asked_length = max_length
        self._model = _load(model, checked_device(device))
        self._precision = precision
        if precision != "float32":
            self._model = _in_precision(self._model, precision)
        if max_length is not None:
            self._model.max_seq_length = _within_limit(self._model, max_length)

    @property
    def name(self) -> str:
        """The model's name without the organisation, or its folder's."""
        return Path(self._name).resolve().name if Path(self._name).exists() else _last(self._name)

    @cached_property
    def dim(self) -> int:
        """The width of every vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_length(self) -> int | None:
        """Tokens of a text that the model reads, its marks included; None where there is no end."""
        length = self._model.max_seq_length
        return None if length is None or math.isinf(length) else int(length)

    @property
    def precision(self) -> str:
        """In which numbers it computes: `float32` or `bfloat16`."""
        return self._precision

    def in_precision(self, precision: str | None = None) -> ContextualEmbedder:
        """The same model at another precision; without one, at that which this machine is best at.

        That is bfloat16 where the processor computes with it.
        """
        wanted = precision or ("bfloat16" if _computes_bfloat16() else self._precision)
        if wanted == self._precision:
            return self
        spec = self.spec
        return ContextualEmbedder(spec.model, **{**spec.options, "precision": wanted})

    def in_batches(self, batch_size: int) -> ContextualEmbedder:
        """The same loaded model, reading so many texts at once.

        Raises:
            InputError: `batch_size` is not a whole number from 1 up.
        """
        _check_count("batch_size", batch_size)
        other = copy.copy(self)
        other._batch_size = batch_size
        return other

    @property
    def tokenizer_json(self) -> str | None:
        """The model's tokenizer as the text of a `tokenizer.json`; None where it has none."""
        backend = getattr(self._model.tokenizer, "backend_tokenizer", None)
        return None if backend is None else str(backend.to_str())

    @cached_property
    def fingerprint(self) -> str:
        """Names the model by what it computes: weights, modules, prompts, vocabulary, length."""
        return fingerprint_of_model(self._model, self.max_length)

    @property
    def spec(self) -> EmbedderSpec:
        """How to load this embedder again; a path is absolute. The device is chosen anew."""
        path = Path(self._name).expanduser()
        model = str(path.resolve()) if path.exists() else os.fspath(self._name)
        options: dict[str, Any] = {"batch_size": self._batch_size}
        if self._device is not None:
            options["device"] = self._device
        if self._asked_length is not None:
            options["max_length"] = self._asked_length
        if self._precision != "float32":
            options["precision"] = self._precision
        return EmbedderSpec("contextual", model, options)

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32, with the model's prompt for documents.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        return self._encode(texts, self._model.encode_document, DOCUMENT_PROMPTS)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32, with the model's prompt for queries."""
        return self._encode(texts, self._model.encode_query, QUERY_PROMPTS)

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """`encode_documents(texts)`, and how many texts were cut off at `max_length`."""
        vectors = self.encode_documents(texts)
        return vectors, self._report(texts, self._prompt(DOCUMENT_PROMPTS))

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """How many of some queries are cut off at `max_length`, their prompt included."""
        check_texts(texts)
        return self._report(texts, self._prompt(QUERY_PROMPTS))

    def _encode(self, texts: Sequence[str], encode: Any, prompts: Sequence[str]) -> Matrix:
        check_texts(texts)
        vectors = np.zeros((len(texts), self.dim), np.float32)
        filled = [position for position, text in enumerate(texts) if text.strip()]
        if filled:
            # Sorts by length itself; the vectors come back in the order of the texts.
            encoded = encode(
                [texts[position] for position in filled],
                prompt=self._prompt(prompts),
                batch_size=self._batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,
            )
            vectors[filled] = unit(encoded.float().cpu().numpy())
        return vectors

    def _prompt(self, names: Sequence[str]) -> str:
        """The first prompt of these names that says anything.

        sentence-transformers 6.2 fills in an empty `document` prompt, finds that first, and so
        never uses a `passage` or `corpus` prompt.
        """
        return next((prompt for name in names if (prompt := self._model.prompts.get(name))), "")

    def _report(self, texts: Sequence[str], prompt: str) -> TextReport:
        limit = math.inf if self.max_length is None else self.max_length
        batches = (
            [prompt + text for text in texts[start : start + COUNTED_TOGETHER]]
            for start in range(0, len(texts), COUNTED_TOGETHER)
        )
        lengths = [length for batch in batches for length in self._lengths(batch)]
        return TextReport(
            texts=len(texts),
            truncated=sum(length > limit for length in lengths),
            tokens=int(sum(min(length, limit) for length in lengths)),
        )

    def _lengths(self, texts: list[str]) -> list[int]:
        """The tokens of each whole text. `verbose` would warn of every long one."""
        tokens = self._model.tokenizer(texts, truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]


def _load(model: str | os.PathLike[str], device: str | None) -> Any:
    place, tried = locate_sentence_model(model)
    for where, local in _attempts(place):
        try:
            return _sentence_transformer(str(place), device, local)
        except Exception as error:  # each library below raises its own kinds
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            tried.append(f"{where} {place}: {reason[:200]}")
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


def _computes_bfloat16() -> bool:
    """Whether the processor, or a GPU in its place, has instructions for bfloat16."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    processor = torch.cpu.get_capabilities()
    return bool(processor.get("avx512_bf16") or processor.get("amx_bf16"))


def _in_precision(model: Any, precision: str) -> Any:
    import torch

    return model.to(getattr(torch, precision))


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}; expected a whole number from 1 up.")


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


def _last(name: str | os.PathLike[str]) -> str:
    return os.fspath(name).rstrip("/").rsplit("/", 1)[-1]
