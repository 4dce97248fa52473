"""Runtimes of the sentence models of indexes on this machine: known, or measured again."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.errors import InputError
from retriever.embedders.base import EmbedderSpec
from retriever.embedders.contextual import autoselect
from retriever.embedders.contextual.autoselect import RuntimeChoice, RuntimeConfig
from retriever.embedders.contextual.embedder import ContextualEmbedder
from retriever.embedders.contextual.onnx_engine.export_cache import Source, source_of
from retriever.embedders.contextual.options import choices_of

KIND = "contextual"


def runtime_choice(spec: EmbedderSpec) -> RuntimeChoice | None:
    """Return the runtimes of a model's documents and queries here, without loading it.

    As its options say, or as measured before; None if it was not measured, or is no sentence model.
    """
    if spec.kind != KIND:
        return None
    among = _among(spec)
    if len(among) == 1:
        return RuntimeChoice(among[0], among[0])
    source = _source(spec)
    return autoselect.cached_choice(source, among) if source else None


def measure_runtime(spec: EmbedderSpec) -> RuntimeChoice:
    """Measure again which runtimes of a model are the fastest here, cache and return them.

    Raises:
        InputError: there is nothing to choose: why, as a sentence.
        ModelNotAvailableError: the model cannot be loaded.
    """
    if spec.kind != KIND:
        raise InputError(f"{spec} has one runtime only: those of sentence models are chosen.")
    among = _among(spec)
    if len(among) == 1:
        raise InputError(
            f"{spec} is computed in {among[0]}, as its options say: there is no other to choose."
        )
    if source := _source(spec):
        autoselect.forget_choice(source, among)
    embedder = ContextualEmbedder(spec.model, **spec.options)
    if choice := runtime_choice(spec):
        return choice
    raise InputError(" ".join(embedder.notes) or f"{spec} is computed on another device.")


def _among(spec: EmbedderSpec) -> Sequence[RuntimeConfig]:
    runtime, precision = spec.options.get("runtime", "auto"), choices_of(spec.options).precision
    if spec.options.get("device") not in (None, "cpu"):
        return [RuntimeConfig("torch", precision)]
    return autoselect.candidates(runtime, precision) or [RuntimeConfig("torch", precision)]


def _source(spec: EmbedderSpec) -> Source | None:
    return source_of(spec.model, choices_of(spec.options))
