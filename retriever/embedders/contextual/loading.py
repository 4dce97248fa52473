"""Loading of sentence models from a folder, an installed package, the user's cache or the hub.

The only module that imports sentence-transformers and transformers, when a model is loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from retriever.embedders import hub
from retriever.embedders.contextual.diagnosis import reason_of
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.embedders.contextual.vocabulary import check_vocabulary
from retriever.embedders.contextual.weights import LoadReport, check_types

Loaded = TypeVar("Loaded")

# Where the reports on the networks that this thread is loading go.
_reports: ContextVar[list[LoadReport] | None] = ContextVar("reports", default=None)


def load(
    model: str | os.PathLike[str], device: str | None, choices: EncodingOptions
) -> SentenceModel:
    """Load the model from a path, an installed package or the Hugging Face hub.

    Raises:
        ModelNotAvailableError: it cannot be loaded; the message lists what was tried. Or its files
            lack weights that its vectors depend on, or have them as whole numbers.
        InputError: an option that this model does not support.
    """

    def attempt(place: Path | str, local: bool) -> tuple[Any, list[LoadReport], bool]:
        from sentence_transformers import SentenceTransformer

        made = partial(SentenceTransformer, str(place), device=device, local_files_only=local)
        loaded, reports = _reported(made, progress=not local)
        check_vocabulary(loaded)
        return loaded, reports, hub.is_raw_checkpoint(place)

    loaded, reports, raw = _first_loaded(model, attempt, "sentence model", hub.SENTENCE_PACKAGES)
    check_types(reports, hub.files_of_sentence_model(model).values())
    return SentenceModel(loaded, choices, raw=raw, reports=reports)


def load_cross_encoder(
    model: str | os.PathLike[str], device: str | None, max_length: int | None
) -> tuple[Any, list[LoadReport]]:
    """Load a `CrossEncoder` as `load` does; return it and the reports on its weights.

    Raises:
        ModelNotAvailableError: it cannot be loaded; the message lists what was tried.
    """

    def attempt(place: Path | str, local: bool) -> tuple[Any, list[LoadReport]]:
        from sentence_transformers import CrossEncoder

        options = {"device": device, "local_files_only": local, "max_length": max_length}
        return _reported(partial(CrossEncoder, str(place), **options), progress=not local)

    return _first_loaded(model, attempt, "cross-encoder", {})


def load_late_interaction(
    model: str | os.PathLike[str], device: str | None
) -> tuple[Any, list[LoadReport]]:
    """Load a `MultiVectorEncoder` as `load` does; return it and the reports on its weights.

    Raises:
        ModelNotAvailableError: it cannot be loaded; the message lists what was tried.
    """
    return _first_loaded(
        model, _attempt("MultiVectorEncoder", device), "late-interaction model", {}
    )


def load_sparse(model: str | os.PathLike[str], device: str | None) -> tuple[Any, list[LoadReport]]:
    """Load a `SparseEncoder` as `load` does; return it and the reports on its weights.

    Raises:
        ModelNotAvailableError: it cannot be loaded; the message lists what was tried.
    """
    return _first_loaded(
        model, _attempt("SparseEncoder", device), "sparse model", hub.SPARSE_PACKAGES
    )


def _attempt(
    kind: str, device: str | None
) -> Callable[[Path | str, bool], tuple[Any, list[LoadReport]]]:
    """Return what loads a model by a class of sentence-transformers, and checks its vocabulary."""

    def attempt(place: Path | str, local: bool) -> tuple[Any, list[LoadReport]]:
        import sentence_transformers

        made = partial(
            getattr(sentence_transformers, kind), str(place), device=device, local_files_only=local
        )
        loaded, reports = _reported(made, progress=not local)
        check_vocabulary(loaded)
        return loaded, reports

    return attempt


def _first_loaded(
    model: str | os.PathLike[str],
    attempt: Callable[[Path | str, bool], Loaded],
    noun: str,
    packages: dict[str, str],
) -> Loaded:
    """Return what the first attempt that does not fail loads, of those in order."""
    place, tried = hub.locate_sentence_model(model, noun, packages)
    for where, local in _attempts(place):
        try:
            return attempt(place, local)
        except Exception as error:  # each library below raises its own kinds
            folder = place if isinstance(place, Path) else None
            tried.append(f"{where} {place}: {reason_of(error, folder, _tokenizer)}")
    if not isinstance(place, Path) and hub.is_offline():
        tried.append("Hugging Face: skipped, HF_HUB_OFFLINE is set")
    raise hub.not_available(noun, os.fspath(model), tried, packages)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    with _quiet(progress=False):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _attempts(place: Path | str) -> list[tuple[str, bool]]:
    """Return where to load from, in order, and whether each is limited to local files."""
    if isinstance(place, Path):
        return [("folder", True)]
    cache, online = ("Hugging Face cache", True), ("Hugging Face", False)
    if hub.is_offline():
        return [cache]
    # The cache may hold the transformer alone; only the hub knows whether it has pooling.
    return [cache, online] if hub.files_of_sentence_model(place) else [online, cache]


def _reported(make: Callable[[], Any], *, progress: bool) -> tuple[Any, list[LoadReport]]:
    """Return the model that a call makes, and the reports of transformers on its weights."""
    _report_loads()
    reports: list[LoadReport] = []
    token = _reports.set(reports)
    try:
        with _quiet(progress=progress):
            return make(), reports
    finally:
        _reports.reset(token)


@cache
def _report_loads() -> None:
    """Make transformers hand over its reports while `_reports` is set; else nothing changes.

    `output_loading_info` is the documented way to get them, which sentence-transformers does not
    use. Weights of another shape are reported rather than refused: not all of them are needed.
    """
    from transformers import PreTrainedModel

    own = PreTrainedModel.from_pretrained.__func__

    def from_pretrained(cls: Any, *args: Any, **options: Any) -> Any:
        reports = _reports.get()
        if reports is None or options.get("output_loading_info"):
            return own(cls, *args, **options)
        options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        network, found = own(cls, *args, **options)
        shapes = {name: (tuple(a), tuple(b)) for name, a, b in found["mismatched_keys"]}
        names = sorted(found["missing_keys"]), shapes, sorted(found["unexpected_keys"])
        reports.append(LoadReport(network, *names))
        return network

    PreTrainedModel.from_pretrained = classmethod(from_pretrained)


@contextmanager
def _quiet(*, progress: bool) -> Iterator[None]:
    """Silence the log and progress bar of transformers; downloads may show theirs."""
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
