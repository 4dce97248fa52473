"""Loading of sentence models from a folder, an installed package, the user's cache or the hub.

The only module that imports sentence-transformers and transformers, when a model is loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retriever.embedders import hub
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.embedders.validation import first_line


def load(
    model: str | os.PathLike[str], device: str | None, choices: EncodingOptions
) -> SentenceModel:
    """Load the model from a path, an installed package or the Hugging Face hub.

    Raises:
        ModelNotAvailableError: it cannot be loaded; the message lists what was tried.
        InputError: an option that this model does not support.
    """
    place, tried = hub.locate_sentence_model(model)
    for where, local in _attempts(place):
        try:
            loaded = _sentence_transformer(str(place), device, local)
            raw = hub.is_raw_checkpoint(place)
        except Exception as error:  # each library below raises its own kinds
            tried.append(f"{where} {place}: {_reason(error)}")
        else:
            return SentenceModel(loaded, choices, raw=raw)
    if not isinstance(place, Path) and hub.is_offline():
        tried.append("Hugging Face: skipped, HF_HUB_OFFLINE is set")
    raise hub.not_available("sentence model", os.fspath(model), tried, hub.SENTENCE_PACKAGES)


def _reason(error: Exception) -> str:
    """Return in one line why a model could not be loaded."""
    if "trust_remote_code" in str(error):
        return "it contains custom code, which Retriever never runs"
    if "weights_only" in str(error):
        return "its weights are a pickle that would run code, which Retriever never loads"
    return first_line(error)


def _attempts(place: Path | str) -> list[tuple[str, bool]]:
    """Return where to load from, in order, and whether each is limited to local files."""
    if isinstance(place, Path):
        return [("folder", True)]
    cache, online = ("Hugging Face cache", True), ("Hugging Face", False)
    if hub.is_offline():
        return [cache]
    # The cache may hold the transformer alone; only the hub knows whether it has pooling.
    return [cache, online] if hub.files_of_sentence_model(place) else [online, cache]


def _sentence_transformer(place: str, device: str | None, local: bool) -> Any:
    from sentence_transformers import SentenceTransformer

    with _quiet(progress=not local):
        return SentenceTransformer(place, device=device, local_files_only=local)


@contextmanager
def _quiet(*, progress: bool) -> Iterator[None]:
    """Silence the load report and progress bar of transformers; downloads may show theirs."""
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
