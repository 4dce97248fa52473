"""A sentence model loaded from a folder, an installed package, the user's cache or the hub.

The door to sentence-transformers and transformers, which are imported when a model is loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.embedders.hub import (
    SENTENCE_PACKAGES,
    files_of_sentence_model,
    is_offline,
    is_raw_checkpoint,
    locate_sentence_model,
    not_available,
)


def load(
    model: str | os.PathLike[str], device: str | None, choices: EncodingOptions
) -> SentenceModel:
    """The model at a path, in an installed package or on the hub of Hugging Face.

    Raises:
        ModelNotAvailableError: it cannot be had: what was tried, and how to get it.
        InputError: a choice that this model cannot have.
    """
    place, tried = locate_sentence_model(model)
    for where, local in _attempts(place):
        try:
            loaded = _sentence_transformer(str(place), device, local)
            raw = is_raw_checkpoint(place)
        except Exception as error:  # each library below raises its own kinds
            tried.append(f"{where} {place}: {_reason(error)}")
        else:
            return SentenceModel(loaded, choices, raw=raw)
    if not isinstance(place, Path) and is_offline():
        tried.append("Hugging Face: not asked, HF_HUB_OFFLINE is set")
    raise not_available("sentence model", os.fspath(model), tried, SENTENCE_PACKAGES)


def _reason(error: Exception) -> str:
    """Why a model could not be loaded, in a line."""
    whole = str(error)
    if "trust_remote_code" in whole:
        return "it comes with code of its own, which is never run here"
    if "weights_only" in whole:
        return "a file of weights would run code (pickle), which is never read here"
    return (next(iter(whole.splitlines()), "") or type(error).__name__)[:200]


def _attempts(place: Path | str) -> list[tuple[str, bool]]:
    """Where to load from, in turn, and whether only what is on this machine may be read."""
    if isinstance(place, Path):
        return [("folder", True)]
    cache, hub = ("Hugging Face cache", True), ("Hugging Face", False)
    if is_offline():
        return [cache]
    # What is here may be a transformer alone, whose pooling nobody has asked the hub for.
    return [cache, hub] if files_of_sentence_model(place) else [hub, cache]


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
