"""What computes a sentence model on this machine: torch, or onnxruntime over an exported copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders.contextual.autoselect import (
    RuntimeChoice,
    RuntimeConfig,
    choose,
    chosen_before,
    ways,
)
from retriever.embedders.contextual.engine import Engine
from retriever.embedders.contextual.loading import load
from retriever.embedders.contextual.model_info import EncodingOptions, ModelInfo
from retriever.embedders.contextual.onnx_engine.export_cache import (
    Export,
    Source,
    export,
    exported_before,
    source_of,
    unwritable,
)
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.embedders.devices import checked_device, fastest_precision, on_processor

NOT_HERE = "no folder on this machine holds all of it"


@dataclass(frozen=True)
class LoadedModel:
    """A model that can be asked: what is known of it, what computes, and what to say about it.

    `model` gives the whole model in torch, which is loaded when it is first needed.
    """

    card: ModelInfo
    engine: Engine
    notes: tuple[str, ...]
    model: Callable[[], SentenceModel]


def opened(
    model: str | os.PathLike[str], *, device: str | None, runtime: str, choices: EncodingOptions
) -> LoadedModel:
    """The model, with what computes it here.

    Where an exported copy is there, and onnxruntime was asked for or picked before, torch is not
    imported, which takes seconds. With the runtime `torch` the cache is not touched.

    Raises:
        ModelNotAvailableError: it cannot be had: what was tried, and how to get it.
        InputError: no such runtime here, or a choice that this model cannot have.
    """
    _check_together(device, runtime, choices.precision)
    wanted = _Wanted(model, device, choices)
    among = ways(runtime, choices.precision)
    if device not in (None, "cpu") or all(way.runtime == "torch" for way in among):
        return wanted.in_torch()
    if [way.runtime for way in among] == ["onnx"]:
        return _in_onnx(wanted, among[0])
    return _picked(wanted, among)


@dataclass(frozen=True)
class _Wanted:
    """A model that is to be opened, and how it may be loaded."""

    model: str | os.PathLike[str]
    device: str | None
    choices: EncodingOptions

    @property
    def name(self) -> str:
        """What to call it."""
        return Path(self.model).name or str(self.model)

    def source(self) -> Source | None:
        """What decides an export of it."""
        return source_of(self.model, self.choices)

    def load(self, precision: str = "float32") -> SentenceModel:
        """It in torch, on the processor."""
        return load(self.model, "cpu", replace(self.choices, precision=precision))

    def in_torch(self) -> LoadedModel:
        """Computed by torch on the device, in the precision that is best there if it is open."""
        device, precision = checked_device(self.device), self.choices.precision
        if precision == "auto":
            precision = fastest_precision(device)
        return _torch(load(self.model, device, replace(self.choices, precision=precision)))

    def refused(self, reason: str) -> InputError:
        """The error for a model that onnxruntime cannot compute."""
        more = ", and another precision than int8" if self.choices.precision == "int8" else ""
        return InputError(
            f"{self.name} cannot be computed by onnxruntime: {reason}. Choose runtime torch{more}."
        )

    def exported(self, found: Export, note: Sequence[str] = ()) -> LoadedModel:
        """Computed by onnxruntime; torch is loaded when it is asked for."""
        notes = [*note, *found.card.notes]
        if found.precision != "float32":
            notes.append(
                f"{self.name}: vectors in {found.precision} against float32: {found.likeness}."
            )
        return LoadedModel(found.card, found.engine, tuple(notes), cache(self.load))


def _torch(model: SentenceModel, *notes: str) -> LoadedModel:
    """A model that torch computes."""
    return LoadedModel(model.card, model, (*notes, *model.card.notes), lambda: model)


def _check_together(device: str | None, runtime: str, precision: str) -> None:
    """Check that a device, a runtime and a precision go together.

    Raises:
        InputError: they do not: which would.
    """
    if runtime == "onnx" and precision in ("bfloat16", "float16"):
        raise InputError(
            f"precision is {precision}, which is torch's; with runtime onnx expected one of: "
            "float32, int8, auto."
        )
    if runtime == "torch" and precision == "int8":
        raise InputError(
            "precision is int8, which is onnxruntime's; with runtime torch expected one of: "
            "float32, bfloat16, float16, auto."
        )
    if device not in (None, "cpu") and (runtime == "onnx" or precision == "int8"):
        raise InputError(
            f"device is '{device}', but onnxruntime computes on the processor here; expected "
            "'cpu', or runtime torch with precision float32, bfloat16, float16 or auto."
        )


def _in_onnx(wanted: _Wanted, way: RuntimeConfig) -> LoadedModel:
    """Computed by onnxruntime in a given precision.

    Raises:
        InputError: it cannot be, or its vectors are not torch's.
    """
    source = wanted.source()
    if source and (there := exported_before(source, way.precision)):
        return wanted.exported(there)
    loaded, source = _loaded(wanted, source)
    try:
        if source is None:
            raise InputError(NOT_HERE)
        return wanted.exported(export(source, way.precision, loaded))
    except InputError as error:
        raise wanted.refused(str(error)) from None
    except OSError as error:
        raise wanted.refused(unwritable(error)) from None


def _picked(wanted: _Wanted, among: Sequence[RuntimeConfig]) -> LoadedModel:
    """Computed by what is best here: as was found before, or tried now.

    Raises:
        InputError: only onnxruntime was asked for, and it cannot compute this model.
    """
    source = wanted.source()
    choice = chosen_before(source, among) if source else None
    if source and choice and (found := _remembered(wanted, source, choice)):
        return found
    exact = next((way for way in among if way.runtime == "torch"), None)
    if exact and not on_processor(wanted.device):
        return wanted.in_torch()
    loaded, source = _loaded(wanted, source)
    if source is None:
        if exact is None:
            raise wanted.refused(NOT_HERE)
        return _torch(loaded, f"{wanted.name} computes in {exact}: for onnxruntime, {NOT_HERE}.")
    try:
        return _as_chosen(wanted, source, choose(source, among, loaded, wanted.load), loaded)
    except InputError as error:
        raise wanted.refused(str(error)) from None


def _loaded(wanted: _Wanted, before: Source | None) -> tuple[SentenceModel, Source | None]:
    """The model in torch, and what decides an export of it: of the very files that were loaded.

    `before` is what decided until now. Loading may bring files from the hub, where some or none
    were on this machine, and somebody may write a folder anew in the meantime.
    """
    loaded = wanted.load()
    source = wanted.source()
    if before and source != before:
        return wanted.load(), wanted.source()
    return loaded, source


def _remembered(wanted: _Wanted, source: Source, choice: RuntimeChoice) -> LoadedModel | None:
    """Computed by what was picked before; None where that cannot be had any more."""
    if choice.way.runtime == "onnx":
        if there := exported_before(source, choice.way.precision):
            return wanted.exported(there, [choice.note(wanted.name)])
        loaded = wanted.load()
    else:
        loaded = wanted.load(choice.way.precision)
    try:
        return _as_chosen(wanted, source, choice, loaded)
    except (InputError, ModelNotAvailableError, OSError):
        return None


def _as_chosen(
    wanted: _Wanted, source: Source, choice: RuntimeChoice, loaded: SentenceModel
) -> LoadedModel:
    """Computed in the way that was picked; `loaded` is in torch, in its precision or in float32."""
    way, note = choice.way, choice.note(wanted.name)
    if way.runtime == "onnx":
        return wanted.exported(export(source, way.precision, loaded), [note])
    return _torch(loaded if way.precision == loaded.precision else wanted.load(way.precision), note)
