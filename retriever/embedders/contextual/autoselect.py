"""Selection of the fastest runtime on this machine: measured on a few texts, then cached.

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
from retriever.embedders.contextual.probes import Probes, likeness, probes_of, seconds, vectors_of
from retriever.embedders.devices import computes_bfloat16
from retriever.hardware import accelerators

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

# Names of the libraries, for display.
NAMES = {"onnx": "onnxruntime", "torch": "torch"}
# Minimum speedup over the configurations before: timings on a busy machine vary by less, and
# opening without torch saves seconds in every process.
FASTER = 1.25
# Timing ends after this many seconds or rounds.
SECONDS, TURNS = 0.7, 3


@dataclass(frozen=True)
class RuntimeConfig:
    """A runtime and its precision."""

    runtime: str
    precision: str

    def __str__(self) -> str:
        return f"{NAMES[self.runtime]}, {self.precision}"


# The most exact first; of two equally exact ones, the one that opens without loading torch.
CONFIGS = (
    RuntimeConfig("onnx", "float32"),
    RuntimeConfig("torch", "float32"),
    RuntimeConfig("torch", "bfloat16"),
    RuntimeConfig("onnx", "int8"),
)


@dataclass(frozen=True)
class RuntimeChoice:
    """The selected configuration, texts per second of those measured, and why others failed.

    Keys are configurations as text. Nothing is measured if only one is available.
    """

    way: RuntimeConfig
    rates: Mapping[str, float] = field(default_factory=dict)
    ruled_out: Mapping[str, str] = field(default_factory=dict)

    def note(self, model: str) -> str:
        """Return a sentence on what was selected, and why."""
        start = f"{model} computes in {self.way}"
        others = {config: rate for config, rate in self.rates.items() if config != str(self.way)}
        if others:
            slower = "; ".join(f"{config}: {rate:,.0f}" for config, rate in others.items())
            start += f": {self.rates[str(self.way)]:,.0f} texts/s here ({slower})"
        reasons = "".join(f"; not {config}: {reason}" for config, reason in self.ruled_out.items())
        return f"{start}{reasons}."


def candidates(runtime: str, precision: str) -> tuple[RuntimeConfig, ...]:
    """Return the configurations that a runtime and a precision allow on the CPU, best first."""
    some = [config for config in CONFIGS if runtime in ("auto", config.runtime)]
    return tuple(config for config in some if precision in ("auto", config.precision))


def cached_choice(source: Source, among: Sequence[RuntimeConfig]) -> RuntimeChoice | None:
    """Return the cached choice for a model on this machine, if any."""
    try:
        kept = json.loads(_choice_file(source, among).read_text(encoding="utf-8"))
        choice = RuntimeChoice(RuntimeConfig(**kept["way"]), kept["rates"], kept["ruled_out"])
        choice.note("")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return choice if choice.way in among else None


def choose(
    source: Source,
    among: Sequence[RuntimeConfig],
    model: SentenceModel,
    other: Callable[[str], SentenceModel],
) -> RuntimeChoice:
    """Return the fastest configuration on this machine, measured on a few texts.

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
        with suppress(OSError):
            write_file_atomic(_choice_file(source, among), json.dumps(asdict(choice)))
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
    if len(engines) == 1 or probes is None:
        return RuntimeChoice(next(iter(engines)), {}, ruled_out)
    taken = seconds(list(engines.values()), probes, most=SECONDS, turns=TURNS)
    rates = {config: len(probes.tokens) / each for config, each in zip(engines, taken, strict=True)}
    rounded = {str(config): round(rate, 2) for config, rate in rates.items()}
    return RuntimeChoice(fastest(rates), rounded, ruled_out)


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
