"""Cache of exported models: ONNX graphs that were compared with torch, and model info.

<cache>/onnx/<graph>/model.onnx          the graph for onnxruntime
<cache>/onnx/<graph>/images.onnx         the graph for images, of a model that takes some
<cache>/onnx/<graph>/retriever.json      its similarity to torch, its speed, and a checksum
<cache>/onnx/<graph>/cards/<card>.json   model info for given prompts and length, and a checksum

`graph` is a checksum of everything that determines the result: the model's files and options, the
precision, the versions of the libraries, and the processor, whose instructions affect the accuracy
of int8. So a replaced model is noticed, and an export is found without loading torch. Prompts and
`max_length` change the tokens but not the computation: they share a graph. Unused graphs are
removed when another one is exported, see `remove_unused`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import InputError
from retriever.embedders import cache
from retriever.embedders.base import fingerprint_of
from retriever.embedders.cache import cache_folder, mark_used
from retriever.embedders.contextual.model_info import EncodingOptions, ModelInfo
from retriever.embedders.contextual.onnx_engine.export import IMAGE_GRAPH, write_graph
from retriever.embedders.contextual.onnx_engine.model import OnnxModel, check_exporting, quantize
from retriever.embedders.contextual.probes import (
    Similarity,
    cpu_seconds,
    likeness,
    probes_of,
    vectors_of,
)
from retriever.embedders.hub import files_of_sentence_model
from retriever.embedders.word_vectors.cache import checksum_of
from retriever.hardware import processor_features, processor_name

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

# Increased when graphs, their description (fingerprints too) or the checks before an export change.
FORMAT = 5
GRAPH, FACTS, CARDS = "model.onnx", "retriever.json", "cards"
# Rounds of timing a graph.
ROUNDS = 2
# Options for tokenizing texts.
READING = ("max_length", "query_prompt", "document_prompt")
LIBRARIES = (
    *("retriever-compare", "onnxruntime", "onnx", "torch", "transformers"),
    # With torchvision, another processor of images is used.
    *("sentence-transformers", "tokenizers", "pillow", "torchvision"),
)


@dataclass(frozen=True)
class Source:
    """Everything that determines an export of a model, except the precision.

    `facts` determine the computation, `reading` the tokens of a text. `place` is the model's path
    or name.
    """

    place: str
    facts: Mapping[str, Any]
    reading: Mapping[str, Any]

    def key(self, **more: Any) -> str:
        """Return a checksum, in hex, of everything, including `more`."""
        return _checksum(**self.facts, reading=self.reading, **more)

    def graph_key(self, precision: str) -> str:
        """Return a checksum, in hex, of what determines the graph in a precision."""
        return _checksum(**self.facts, precision=precision)


@dataclass(frozen=True)
class Measured:
    """What was measured of a graph: its similarity to torch, and how fast it is.

    `speed` is its CPU time for some texts as a divisor of that of the graph in float32; None for
    that one, and for a graph of a version that did not measure it.
    """

    likeness: Similarity
    speed: float | None = None


@dataclass(frozen=True)
class Export:
    """An exported model that passed the comparison.

    `card` is the model's own, except that its fingerprint includes runtime and precision.
    """

    folder: Path
    card: ModelInfo
    precision: str
    measured: Measured

    @property
    def engine(self) -> OnnxModel:
        """Engine that runs the graph."""
        return OnnxModel(self.folder / GRAPH, self.precision, self.card.pixels)

    @property
    def card_in_torch(self) -> ModelInfo:
        """The model's own info, where torch computes its vectors in float32."""
        parts = json.loads(self.card.fingerprint)
        del parts["runtime"]
        return replace(self.card, fingerprint=fingerprint_of(**parts))


def source_of(model: str | os.PathLike[str], choices: EncodingOptions) -> Source | None:
    """Return what determines an export of a model, from its files, without loading it.

    None if they are not on this machine, or if the folder does not hold all of them.
    """
    if not (files := files_of_sentence_model(model)):
        return None
    chosen = {name: value for name, value in asdict(choices).items() if name != "precision"}
    reading = {name: chosen.pop(name) for name in READING}
    if chosen["similarity"] is None:
        del chosen["similarity"]  # graphs keep the names that they had before this option existed
    path = Path(model).expanduser()
    try:
        checksum = checksum_of(list(files.values()))
    except OSError:
        return None
    facts = {
        "format": FORMAT,
        "names": list(files),
        "files": checksum,
        "choices": chosen,
        "libraries": {name: _version(name) for name in LIBRARIES},
        "processor": [processor_name(), *processor_features()],
    }
    return Source(str(path.resolve()) if path.exists() else os.fspath(model), facts, reading)


def cached_export(source: Source, precision: str) -> Export | None:
    """Return the cached export of a model if it is intact."""
    folder = _folder(source, precision)
    if (graph := _read_graph(folder)) and (card := _read_card(_card_file(folder, source))):
        mark_used(folder)
        return Export(folder, card, precision, graph)
    return None


def export(source: Source, precision: str, model: SentenceModel) -> Export:
    """Return the cached export of a model, or export `model` and compare the result with it.

    `model` is in torch, in float32, on the CPU.

    Raises:
        InputError: why it cannot be exported, or differs from torch, as a clause.
        ModelNotAvailableError: onnxruntime or onnx is not installed.
        OSError: the cache is not writable; `unwritable_cache_reason` says what to do.
    """
    if found := cached_export(source, precision):
        return found
    folder = _folder(source, precision)
    if _read_graph(folder) is None:
        check_exporting()
        _make_graph(folder, source, precision, model)
    graph = _read_graph(folder)
    if graph is None:
        raise InputError(f"another program changed {folder} during the export; try again")
    card = _card(model.card, precision)
    # Without this file torch is loaded next time; a graph in a read-only folder is still usable.
    with suppress(OSError):
        cache.write_file_atomic(_card_file(folder, source), _with_checksum({"card": asdict(card)}))
    mark_used(folder)
    return Export(folder, card, precision, graph)


def _make_graph(folder: Path, source: Source, precision: str, model: SentenceModel) -> None:
    """Write the graph of a model, and remove unused graphs."""
    plain = None if precision == "float32" else export(source, "float32", model).folder
    fill = partial(_fill, source=source, precision=precision, model=model, plain=plain)
    cache.write_folder_atomic(folder, fill, lambda made: _read_graph(made) is not None)
    cache.remove_unused(folder.parent, folder, lambda made: _is_outdated(made, source))


def unwritable_cache_reason(error: OSError) -> str:
    """Return why nothing could be exported, and what to do, as a clause without a full stop."""
    return (
        f"{error.filename or cache_folder()} cannot be written ({error.strerror or error}); set "
        "RETRIEVER_CACHE to a writable folder with free space"
    )


def _fill(
    folder: Path, *, source: Source, precision: str, model: SentenceModel, plain: Path | None
) -> None:
    """Write the files of an export after comparing its vectors with those of torch."""
    graph = folder / GRAPH
    speed = None
    if plain is None:
        write_graph(model, graph)
    else:
        for path in _graphs(plain):
            quantize(path, folder / path.name)
    # Up to the model's own maximum length: other lengths share the graph.
    probes = probes_of(replace(model.card, max_length=model.most))
    engine = OnnxModel(graph, precision, model.card.pixels)
    found = likeness(engine, probes, vectors_of(model, probes))
    if not found.is_enough(precision):
        raise InputError(
            f"its vectors in onnxruntime, {precision}, are not torch's: {found} over "
            f"{probes}; expected {Similarity.expected(precision)}"
        )
    if plain is not None:
        exact = OnnxModel(plain / GRAPH, "float32", model.card.pixels)
        before, now = cpu_seconds([exact, engine], probes, ROUNDS)
        speed = before / now
    facts = {
        **asdict(Measured(found, speed)),
        "graph": checksum_of(_graphs(folder)),
        "place": source.place,
    }
    facts["files"] = source.facts["files"]
    (folder / FACTS).write_text(_with_checksum(facts), encoding="utf-8")


def _graphs(folder: Path) -> list[Path]:
    """Return the files of the graphs: that for texts, and that for images if there is one."""
    images = folder / IMAGE_GRAPH
    return [folder / GRAPH, *([images] if images.exists() else [])]


def _card(card: ModelInfo, precision: str) -> ModelInfo:
    """Return the info of the model as run by onnxruntime."""
    more = {"runtime": "onnx"} | ({} if precision == "float32" else {"precision": precision})
    return replace(card, fingerprint=fingerprint_of(**json.loads(card.fingerprint), **more))


def _read_graph(folder: Path) -> Measured | None:
    """Return what was measured of the graph in a folder; None if it is not intact."""
    try:
        facts = _verified(folder / FACTS)
        intact = facts["graph"] == checksum_of(_graphs(folder))
        measured = Measured(Similarity(**facts["likeness"]), facts.get("speed"))
        return measured if intact else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_card(path: Path) -> ModelInfo | None:
    """Return the model info in a file; None if it is damaged or missing."""
    try:
        card = _verified(path)["card"]
        known = {field.name for field in fields(ModelInfo)} == set(card)
        # JSON has no tuples.
        return ModelInfo(**{**card, "notes": tuple(card["notes"])}) if known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_outdated(folder: Path, source: Source) -> bool:
    """Return whether a folder holds an export of this model from before its files changed."""
    try:
        facts = _verified(folder / FACTS)
        return bool(facts["place"] == source.place and facts["files"] != source.facts["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _with_checksum(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON with a checksum."""
    return json.dumps({"seal": _digest(facts), "export": facts})


def _verified(path: Path) -> Mapping[str, Any]:
    """Read the facts in a file, whose checksum must match."""
    content = json.loads(path.read_text(encoding="utf-8"))
    facts: Mapping[str, Any] = content["export"]
    if content["seal"] != _digest(facts):
        raise ValueError(path)
    return facts


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _checksum(**facts: Any) -> str:
    return hashlib.sha256(fingerprint_of(**facts).encode()).hexdigest()


def _folder(source: Source, precision: str) -> Path:
    return cache_folder() / "onnx" / source.graph_key(precision)


def _card_file(folder: Path, source: Source) -> Path:
    return folder / CARDS / f"{_checksum(**source.reading)}.json"


def _version(library: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
