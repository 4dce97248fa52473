"""Selection of the fastest runtimes on this machine: measured on a few texts, then cached.

Documents are computed by the one that needs the least CPU time for a batch, queries by the one that
needs the least for a short text alone.

<cache>/onnx/choices/<key>.json    the selected runtime and the measurements
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.errors import InputError, ModelNotAvailableError
from indexes.threads import threads
from retriever.embedders.cache import cache_folder, write_file_atomic
from retriever.embedders.contextual.engine import Engine
from retriever.embedders.contextual.onnx_engine import export_cache
from retriever.embedders.contextual.onnx_engine.export_cache import Source
from retriever.embedders.contextual.probes import (
    Probes,
    cpu_seconds,
    likeness,
    probes_of,
    query_of,
    vectors_of,
)
from retriever.embedders.devices import computes_bfloat16
from retriever.hardware import accelerators

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

# Names of the libraries, for display.
NAMES = {"onnx": "onnxruntime", "torch": "torch"}
# Minimum speedup over the configurations before: timings on a busy machine vary by less, and
# opening without torch saves seconds in every process.
FASTER = 1.25
# Rounds of timing: of all probes as a batch, and of one short text.
ROUNDS, QUERY_ROUNDS = 3, 9


@dataclass(frozen=True)
class RuntimeConfig:
    """A runtime and its precision."""

    runtime: str
    precision: str

    def __str__(self) -> str:
        return f"{NAMES[self.runtime]}, {self.precision}"

    @property
    def precision_in_torch(self) -> str:
        """Precision to load a model in, to compute or to export it."""
        return self.precision if self.runtime == "torch" else "float32"


# The most exact first; of two equally exact ones, the one that opens without loading torch.
CONFIGS = (
    RuntimeConfig("onnx", "float32"),
    RuntimeConfig("torch", "float32"),
    RuntimeConfig("torch", "bfloat16"),
    RuntimeConfig("onnx", "int8"),
)


@dataclass(frozen=True)
class RuntimeChoice:
    """The selected configurations, what was measured of each, and why others failed.

    `documents` computes documents, `queries` queries. `texts_per_second` and `query_ms`, for a
    short query, are of CPU time. Keys are configurations as text. `measured` says what those texts
    are. Nothing is measured if only one is available.
    """

    documents: RuntimeConfig
    queries: RuntimeConfig
    texts_per_second: Mapping[str, float] = field(default_factory=dict)
    query_ms: Mapping[str, float] = field(default_factory=dict)
    ruled_out: Mapping[str, str] = field(default_factory=dict)
    measured: str = "texts"

    def note(self, model: str) -> str:
        """Return a sentence on what was selected, and why."""
        slower = self._slower(self.texts_per_second, self.documents, f"{self.measured}/s")
        start = f"{model} computes in {self.documents}{slower}"
        if self.queries != self.documents:
            slower = self._slower(self.query_ms, self.queries, "ms")
            start += f", and queries in {self.queries}{slower}"
        reasons = "".join(f"; not {config}: {reason}" for config, reason in self.ruled_out.items())
        return f"{start}{reasons}."

    @staticmethod
    def _slower(measured: Mapping[str, float], chosen: RuntimeConfig, unit: str) -> str:
        others = {config: value for config, value in measured.items() if config != str(chosen)}
        if not others:
            return ""
        slower = "; ".join(f"{config}: {value:,.0f}" for config, value in others.items())
        return f": {measured[str(chosen)]:,.0f} {unit} of CPU time here ({slower})"


def candidates(runtime: str, precision: str) -> tuple[RuntimeConfig, ...]:
    """Return the configurations that a runtime and a precision allow on the CPU, best first."""
    some = [config for config in CONFIGS if runtime in ("auto", config.runtime)]
    return tuple(config for config in some if precision in ("auto", config.precision))


def cached_choice(source: Source, among: Sequence[RuntimeConfig]) -> RuntimeChoice | None:
    """Return the cached choice for a model on this machine, if any."""
    try:
        kept = json.loads(_choice_file(source, among).read_text(encoding="utf-8"))
        documents, queries = (RuntimeConfig(**kept.pop(name)) for name in ("documents", "queries"))
        choice = RuntimeChoice(documents, queries, **kept)
        choice.note("")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    fits = choice.queries.precision == choice.documents.precision
    return choice if fits and {choice.documents, choice.queries} <= set(among) else None


def forget_choice(source: Source, among: Sequence[RuntimeConfig]) -> None:
    """Remove the cached choice, so that the next process that loads the model measures again."""
    _choice_file(source, among).unlink(missing_ok=True)


def choose(
    source: Source,
    among: Sequence[RuntimeConfig],
    model: SentenceModel,
    other: Callable[[str], SentenceModel],
) -> RuntimeChoice:
    """Return the fastest configurations on this machine, measured on a few texts.

    The choice is cached, unless another configuration failed for a reason that may pass: a missing
    library, or a cache that is not writable.

    A less exact configuration must be 25 % faster than those before it. `model` is in torch, in
    float32, on the CPU; `other(precision)` returns it in another precision.

    Raises:
        InputError: no configuration is available: why, as a clause without a full stop.
    """
    probes = probes_of(model.card) if model.card.plain and model.card.tokenizer else None
    engines: dict[RuntimeConfig, Engine] = {}
    ruled_out: dict[str, str] = {}
    lasting = True
    for config in among:
        try:
            engines[config] = _engine(config, source, model, other, probes)
        except InputError as error:
            ruled_out[str(config)] = str(error)
        except ModelNotAvailableError as error:
            ruled_out[str(config)], lasting = str(error).rstrip("."), False
        except OSError as error:
            ruled_out[str(config)], lasting = export_cache.unwritable_cache_reason(error), False
    if not engines:
        raise InputError("; ".join(ruled_out.values()))
    choice = _measure(engines, probes, ruled_out)
    if lasting:
        # An index keeps the chosen precision: its model is opened among those in it.
        alike = tuple(one for one in among if one.precision == choice.documents.precision)
        for some in (among, alike) if 1 < len(alike) < len(among) else (among,):
            with suppress(OSError):
                write_file_atomic(_choice_file(source, some), json.dumps(asdict(choice)))
    return choice


def _engine(
    config: RuntimeConfig,
    source: Source,
    model: SentenceModel,
    other: Callable[[str], SentenceModel],
    probes: Probes | None,
) -> Engine:
    """Return the engine of a configuration, or raise why it is not available, as a clause."""
    if config.runtime == "onnx":
        return export_cache.export(source, config.precision, model).engine
    if config.precision == model.precision:
        return model
    if not computes_bfloat16("cpu"):
        raise InputError("this processor has no instructions for it")
    rough = other(config.precision)
    if probes is not None:
        found = likeness(rough, probes, vectors_of(model, probes))
        if not found.is_enough(config.precision):
            raise InputError(f"its vectors differ from those in float32: {found}")
    return rough


def _measure(
    engines: Mapping[RuntimeConfig, Engine], probes: Probes | None, ruled_out: Mapping[str, str]
) -> RuntimeChoice:
    first = next(iter(engines))
    if len(engines) == 1 or probes is None:
        return RuntimeChoice(first, first, ruled_out=ruled_out)
    taken = cpu_seconds(list(engines.values()), probes, ROUNDS)
    # Every batch may use all cores, so CPU time is what limits them.
    rates = {config: len(probes) / each for config, each in zip(engines, taken, strict=True)}
    documents = fastest(rates)
    # Queries are to be as exact as the documents.
    alike = [config for config in engines if config.precision == documents.precision]
    taken = cpu_seconds([engines[config] for config in alike], query_of(probes), QUERY_ROUNDS)
    query = {config: 1 / each for config, each in zip(alike, taken, strict=True)}
    return RuntimeChoice(
        documents,
        fastest(query),
        {str(config): round(rate, 2) for config, rate in rates.items()},
        {str(config): round(1000 / rate, 2) for config, rate in query.items()},
        ruled_out,
        "texts and images" if probes.images else "texts",
    )


def fastest(rates: Mapping[RuntimeConfig, float]) -> RuntimeConfig:
    """Return the fastest configuration; it must beat those before it by 25 %."""
    best = next(iter(rates))
    for config, rate in rates.items():
        if rate > FASTER * rates[best]:
            best = config
    return best


def _choice_file(source: Source, among: Sequence[RuntimeConfig]) -> Path:
    """Return the file of a choice; another number of threads or accelerator has its own."""
    ways = [str(config) for config in among]
    key = source.key(ways=ways, threads=threads(), accelerators=accelerators())
    return cache_folder() / "onnx" / "choices" / f"{key}.json"
