"""Runtimes of sentence models on this machine: torch, or onnxruntime with an exported graph."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders.base import Matrix
from retriever.embedders.contextual import autoselect
from retriever.embedders.contextual.autoselect import RuntimeChoice, RuntimeConfig
from retriever.embedders.contextual.batching import Batch
from retriever.embedders.contextual.engine import Engine
from retriever.embedders.contextual.loading import load
from retriever.embedders.contextual.model_info import EncodingOptions, ModelInfo
from retriever.embedders.contextual.onnx_engine import export_cache
from retriever.embedders.contextual.onnx_engine.export_cache import Export, Source
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.embedders.devices import (
    fastest_precision,
    on_processor,
    survive_forks,
    validate_device,
)
from retriever.hardware import processor

if TYPE_CHECKING:
    from retriever.images.decode import Picture

NOT_HERE = "no folder on this machine holds all of its files"
_measures: ContextVar[bool] = ContextVar("measures", default=True)


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model: its info, the engines of documents and of queries, and notes.

    `model` returns the complete model in torch, which is loaded on first use. `is_measured` says
    whether the engine of documents is the fastest one here, or simply the one that opens at once.
    """

    card: ModelInfo
    engine: Engine
    queries: Engine
    notes: tuple[str, ...]
    model: Callable[[], SentenceModel]
    is_measured: bool = True


class _DeferredEngine:
    """An engine in torch that `load` loads on first use, and returns again later."""

    runtime = "torch"

    def __init__(self, precision: str, load: Callable[[], SentenceModel]) -> None:
        self.precision, self._load = precision, load

    @property
    def budget(self) -> int:
        return self._load().budget

    def embed_all(
        self, batches: Iterable[Batch], skipped: int = 0
    ) -> Iterator[tuple[Batch, Matrix]]:
        return self._load().embed_all(batches, skipped)

    @property
    def images_at_once(self) -> int:
        return self._load().images_at_once

    def embed_images(self, pictures: Iterable[Picture], *, alone: bool) -> Matrix:
        return self._load().embed_images(pictures, alone=alone)


@contextmanager
def without_measuring() -> Iterator[None]:
    """Open a model at once if an export is there, even if the fastest runtime is not known yet."""
    token = _measures.set(False)
    try:
        yield
    finally:
        _measures.reset(token)


def opened(
    model: str | os.PathLike[str], *, device: str | None, runtime: str, choices: EncodingOptions
) -> LoadedModel:
    """Load a model with the best engine here.

    If an exported graph is cached, and onnxruntime was requested or selected before, torch is not
    imported, which would take seconds. The runtime `torch` does not touch the cache.

    Raises:
        ModelNotAvailableError: it cannot be loaded; the message lists what was tried.
        InputError: the runtime is not available here, or the model does not support an option.
    """
    survive_forks()
    _check_together(device, runtime, choices.precision)
    request = _ModelRequest(model, device, choices)
    among = autoselect.candidates(runtime, choices.precision)
    if device not in (None, "cpu") or all(config.runtime == "torch" for config in among):
        return request.in_torch()
    if [config.runtime for config in among] == ["onnx"]:
        return _load_onnx(request, among[0])
    return _load_fastest(request, among)


@dataclass(frozen=True)
class _ModelRequest:
    """A model to be loaded, and its options."""

    model: str | os.PathLike[str]
    device: str | None
    choices: EncodingOptions

    @property
    def name(self) -> str:
        """Display name."""
        return Path(self.model).name or str(self.model)

    def source(self) -> Source | None:
        return export_cache.source_of(self.model, self.choices)

    def load(self, precision: str = "float32") -> SentenceModel:
        """Load it in torch, on the CPU."""
        return load(self.model, "cpu", replace(self.choices, precision=precision))

    def in_torch(self) -> LoadedModel:
        """Load it in torch on the device; precision `auto` is the fastest one there."""
        device, precision = validate_device(self.device), self.choices.precision
        if precision == "auto":
            precision = fastest_precision(device)
        return _torch(load(self.model, device, replace(self.choices, precision=precision)))

    def refused(self, reason: str) -> InputError:
        """Return the error for a model that does not run in onnxruntime."""
        more = ", and another precision than int8" if self.choices.precision == "int8" else ""
        return InputError(
            f"{self.name} cannot run in onnxruntime: {reason}. Choose runtime torch{more}."
        )

    def exported(self, found: Export, note: Sequence[str] = ()) -> LoadedModel:
        """Return an exported model; torch is loaded on first use."""
        notes = [*note, *found.card.notes]
        if (precision := found.precision) != "float32":
            likeness, speed = found.measured.likeness, _speed(found)
            notes.append(f"{self.name}: vectors in {precision} against float32: {likeness}{speed}.")
        engine = found.engine
        return LoadedModel(found.card, engine, engine, tuple(notes), cache(self.load))

    def torch_beside(self, found: Export, note: str) -> LoadedModel:
        """Return a model that computes documents in torch, loaded on first use, and queries here.

        Both are in float32.
        """
        card, load = found.card_in_torch, cache(self.load)
        engine = _DeferredEngine(found.precision, load)
        return LoadedModel(card, engine, found.engine, (note, *card.notes), load)


def _speed(found: Export) -> str:
    """Return how fast an export is, as a clause: int8 pays on a processor with products of it."""
    speed = found.measured.speed
    if speed is None:
        return ""
    if speed > autoselect.FASTER:
        return f", {speed:.1f} times as fast here"
    return (
        f", and not faster on this processor ({speed:.2f} times as fast; {processor()}): precision "
        "float32 is exact, and auto the fastest here"
    )


def _torch(model: SentenceModel, *notes: str) -> LoadedModel:
    return LoadedModel(model.card, model, model, (*notes, *model.card.notes), lambda: model)


def _check_together(device: str | None, runtime: str, precision: str) -> None:
    """Check that device, runtime and precision are compatible."""
    if runtime == "onnx" and precision in ("bfloat16", "float16"):
        raise InputError(
            f"precision is {precision}, which only torch supports; with runtime onnx expected "
            "one of: float32, int8, auto."
        )
    if runtime == "torch" and precision == "int8":
        raise InputError(
            "precision is int8, which only onnxruntime supports; with runtime torch expected one "
            "of: float32, bfloat16, float16, auto."
        )
    if device not in (None, "cpu") and (runtime == "onnx" or precision == "int8"):
        raise InputError(
            f"device is '{device}', but onnxruntime runs on the CPU here; expected "
            "'cpu', or runtime torch with precision float32, bfloat16, float16 or auto."
        )


def _load_onnx(request: _ModelRequest, config: RuntimeConfig) -> LoadedModel:
    """Load the model in onnxruntime in a given precision."""
    source = request.source()
    if source and (there := export_cache.cached_export(source, config.precision)):
        return request.exported(there)
    loaded, source = _loaded(request, source)
    try:
        if source is None:
            raise InputError(NOT_HERE)
        return request.exported(export_cache.export(source, config.precision, loaded))
    except InputError as error:
        raise request.refused(str(error)) from None
    except OSError as error:
        raise request.refused(export_cache.unwritable_cache_reason(error)) from None


def _load_fastest(request: _ModelRequest, among: Sequence[RuntimeConfig]) -> LoadedModel:
    """Load the model with the fastest configuration here, from the cache or measured now."""
    source = request.source()
    choice = autoselect.cached_choice(source, among) if source else None
    if source and choice and (found := _load_cached_choice(request, source, choice)):
        return found
    if source and not _measures.get() and (found := _load_unmeasured(request, source, among[0])):
        return found
    exact = next((config for config in among if config.runtime == "torch"), None)
    if exact and not on_processor(request.device):
        return request.in_torch()
    loaded, source = _loaded(request, source)
    if source is None:
        if exact is None:
            raise request.refused(NOT_HERE)
        return _torch(loaded, f"{request.name} computes in {exact}: for onnxruntime, {NOT_HERE}.")
    try:
        return _load_choice(
            request, source, autoselect.choose(source, among, loaded, request.load), loaded
        )
    except InputError as error:
        raise request.refused(str(error)) from None


def _load_unmeasured(
    request: _ModelRequest, source: Source, config: RuntimeConfig
) -> LoadedModel | None:
    """Load the most exact configuration if it is an export that is there; it may be slower."""
    if config.runtime != "onnx" or not (
        there := export_cache.cached_export(source, config.precision)
    ):
        return None
    return replace(request.exported(there), is_measured=False)


def _loaded(request: _ModelRequest, before: Source | None) -> tuple[SentenceModel, Source | None]:
    """Return the model in torch, and what determines an export of the files that were loaded.

    `before` is what determined an export so far. Loading may fetch files from the hub that were
    missing, and another program may rewrite a folder in the meantime.
    """
    loaded = request.load()
    source = request.source()
    if before and source != before:
        return request.load(), request.source()
    return loaded, source


def _load_cached_choice(
    request: _ModelRequest, source: Source, choice: RuntimeChoice
) -> LoadedModel | None:
    """Load the model with the cached choice; None if that is no longer possible."""
    note = choice.note(request.name)
    # To load torch takes longer than a search: queries need it only if it is there, or alone can.
    if (choice.queries.runtime == "onnx" or "torch" not in sys.modules) and (
        there := export_cache.cached_export(source, choice.queries.precision)
    ):
        if choice.documents.runtime == "onnx":
            return request.exported(there, [note])
        return request.torch_beside(there, note)
    try:
        loaded = request.load(choice.documents.precision_in_torch)
        return _load_choice(request, source, choice, loaded)
    except (InputError, ModelNotAvailableError, OSError):
        return None


def _load_choice(
    request: _ModelRequest, source: Source, choice: RuntimeChoice, loaded: SentenceModel
) -> LoadedModel:
    """Load the model as chosen; `loaded` is in torch, in its precision or in float32."""
    found = _load_config(request, source, choice.documents, loaded, choice.note(request.name))
    if choice.queries == choice.documents:
        return found
    return replace(found, queries=_load_config(request, source, choice.queries, loaded).engine)


def _load_config(
    request: _ModelRequest,
    source: Source,
    config: RuntimeConfig,
    loaded: SentenceModel,
    *note: str,
) -> LoadedModel:
    if config.runtime == "onnx":
        return request.exported(export_cache.export(source, config.precision, loaded), note)
    if config.precision != loaded.precision:
        loaded = request.load(config.precision)
    return _torch(loaded, *note)
