"""The cache of exported models: the graph of each, and what is known of it, compared with torch.

<cache>/onnx/<graph>/model.onnx          what onnxruntime computes
<cache>/onnx/<graph>/retriever.json      how like torch's its vectors are, and a seal
<cache>/onnx/<graph>/cards/<card>.json   the model's card for some prompts and a length, and a seal

`graph` is a checksum of the model's files and of all else that decides: what was chosen for the
model, the precision, the libraries' versions, and the processor, whose instructions decide how
exact int8 is. So an exchanged model is noticed, and an export is found without loading torch.
Prompts and `max_length` decide which tokens go in, but not what is computed of them: they share
a graph. Graphs that nobody opens go when another is made, see `remove_unused`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import InputError
from retriever.embedders.base import fingerprint_of
from retriever.embedders.cache import (
    cache_folder,
    make_whole,
    mark_used,
    remove_unused,
    write_whole,
)
from retriever.embedders.contextual.model_info import EncodingOptions, ModelInfo
from retriever.embedders.contextual.onnx_engine.export import write_graph
from retriever.embedders.contextual.onnx_engine.model import OnnxModel, check_exporting, quantize
from retriever.embedders.contextual.probes import Likeness, likeness, probes_of, vectors_of
from retriever.embedders.hub import files_of_sentence_model
from retriever.embedders.word_vectors.cache import checksum_of
from retriever.hardware import processor

if TYPE_CHECKING:
    from retriever.embedders.contextual.torch_model import SentenceModel

# Counts up when a graph is made in another way, or is described by other things.
FORMAT = 2
GRAPH, FACTS, CARDS = "model.onnx", "retriever.json", "cards"
# What is chosen of how texts become tokens.
READING = ("max_length", "query_prompt", "document_prompt")
LIBRARIES = (
    *("retriever-compare", "onnxruntime", "onnx", "torch", "transformers"),
    *("sentence-transformers", "tokenizers"),
)


@dataclass(frozen=True)
class Source:
    """All that decides what an export of a model is, but for the precision.

    `facts` decide what is computed, `reading` which tokens of a text are. `place` is the model's
    path or name.
    """

    place: str
    facts: Mapping[str, Any]
    reading: Mapping[str, Any]

    def key(self, **more: Any) -> str:
        """A checksum of all that decides, and of `more`, in hex."""
        return _checksum(**self.facts, reading=self.reading, **more)

    def graph_key(self, precision: str) -> str:
        """A checksum of what decides the graph in a precision, in hex."""
        return _checksum(**self.facts, precision=precision)


@dataclass(frozen=True)
class Export:
    """An exported model that may be trusted.

    `card` is as the model's own, but that its fingerprint names runtime and precision.
    """

    folder: Path
    card: ModelInfo
    precision: str
    likeness: Likeness

    @property
    def engine(self) -> OnnxModel:
        """What computes it.

        Raises:
            ModelNotAvailableError: onnxruntime is not there.
        """
        return OnnxModel(self.folder / GRAPH, self.precision)


def source_of(model: str | os.PathLike[str], choices: EncodingOptions) -> Source | None:
    """What decides an export of a model, read off its files, without loading it.

    None where they are not on this machine, or where its folder does not hold all of it.
    """
    files = files_of_sentence_model(model)
    if not files:
        return None
    chosen = {name: value for name, value in asdict(choices).items() if name != "precision"}
    reading = {name: chosen.pop(name) for name in READING}
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
        "processor": processor(),
    }
    return Source(str(path.resolve()) if path.exists() else os.fspath(model), facts, reading)


def exported_before(source: Source, precision: str) -> Export | None:
    """The export of a model where there is a whole one."""
    folder = _folder(source, precision)
    graph = _read_graph(folder)
    card = None if graph is None else _read_card(_card_file(folder, source))
    if graph is None or card is None:
        return None
    mark_used(folder)
    return Export(folder, card, precision, graph)


def export(source: Source, precision: str, model: SentenceModel) -> Export:
    """The export of a model: that which is there, or else made from `model`, and compared with it.

    `model` is in torch, in float32, on the processor.

    Raises:
        InputError: why it cannot be exported, or may not be trusted, as a clause without a full
            stop.
        ModelNotAvailableError: onnxruntime or onnx is not there.
        OSError: the cache cannot be written; `unwritable` says what to do.
    """
    if found := exported_before(source, precision):
        return found
    folder = _folder(source, precision)
    if _read_graph(folder) is None:
        check_exporting()
        _make_graph(folder, source, precision, model)
    graph = _read_graph(folder)
    if graph is None:
        raise InputError(f"{folder} was changed by someone else while it was made; try again")
    card = _card(model.card, precision)
    # Without it torch is loaded again the next time: a graph in a folder that cannot be written
    # is of use all the same.
    with suppress(OSError):
        write_whole(_card_file(folder, source), _sealed({"card": asdict(card)}))
    mark_used(folder)
    return Export(folder, card, precision, graph)


def _make_graph(folder: Path, source: Source, precision: str, model: SentenceModel) -> None:
    """Write the graph of a model, and remove graphs that are not needed any more."""
    fill: partial[None]
    if precision == "float32":
        fill = partial(_fill, source=source, precision=precision, model=model, plain=None)
    else:
        plain = export(source, "float32", model).folder / GRAPH
        fill = partial(_fill, source=source, precision=precision, model=model, plain=plain)
    make_whole(folder, fill, lambda made: _read_graph(made) is not None)
    remove_unused(folder.parent, folder, lambda made: _is_outdated(made, source))


def unwritable(error: OSError) -> str:
    """Why nothing could be exported, and what to do, as a clause without a full stop."""
    return (
        f"{error.filename or cache_folder()} cannot be written ({error.strerror or error}); set "
        "RETRIEVER_CACHE to a folder that can be written and has room"
    )


def _fill(
    folder: Path, *, source: Source, precision: str, model: SentenceModel, plain: Path | None
) -> None:
    """Write the files of an export, once its vectors are like those of torch."""
    graph = folder / GRAPH
    if plain is None:
        write_graph(model, graph)
    else:
        quantize(plain, graph)
    # Longer texts than are read now, where the model can: others share the graph.
    probes = probes_of(replace(model.card, max_length=model.most))
    found = likeness(OnnxModel(graph, precision), probes, vectors_of(model, probes))
    if not found.is_enough(precision):
        raise InputError(
            f"its vectors in onnxruntime, {precision}, are not torch's: {found} over "
            f"{len(probes.tokens)} texts; expected {Likeness.expected(precision)}"
        )
    facts = {
        "likeness": asdict(found),
        "graph": checksum_of([graph]),
        "place": source.place,
        "files": source.facts["files"],
    }
    (folder / FACTS).write_text(_sealed(facts), encoding="utf-8")


def _card(card: ModelInfo, precision: str) -> ModelInfo:
    """The card of the model as onnxruntime computes it."""
    more = {"runtime": "onnx"} | ({} if precision == "float32" else {"precision": precision})
    return replace(card, fingerprint=fingerprint_of(**json.loads(card.fingerprint), **more))


def _read_graph(folder: Path) -> Likeness | None:
    """How like torch's are the vectors of the graph in a folder; None where it is not whole."""
    try:
        facts = _unsealed(folder / FACTS)
        whole = facts["graph"] == checksum_of([folder / GRAPH])
        return Likeness(**facts["likeness"]) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_card(path: Path) -> ModelInfo | None:
    """The card in a file; None where it is damaged or not there."""
    try:
        card = _unsealed(path)["card"]
        known = {field.name for field in fields(ModelInfo)} == set(card)
        values = {name: _as_it_was(value) for name, value in card.items()}
        return ModelInfo(**values) if known else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_outdated(folder: Path, source: Source) -> bool:
    """Whether a folder holds what was exported of this model before its files changed."""
    try:
        facts = _unsealed(folder / FACTS)
        return bool(facts["place"] == source.place and facts["files"] != source.facts["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _as_it_was(value: Any) -> Any:
    """JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _sealed(facts: Mapping[str, Any]) -> str:
    """Facts as the text of a file that tells when one of them changed."""
    return json.dumps({"seal": _seal(facts), "export": facts})


def _unsealed(path: Path) -> Mapping[str, Any]:
    """The facts in a file.

    Raises:
        OSError, ValueError, KeyError, TypeError: they are not there, or not as they were written.
    """
    sealed = json.loads(path.read_text(encoding="utf-8"))
    facts: Mapping[str, Any] = sealed["export"]
    if sealed["seal"] != _seal(facts):
        raise ValueError(path)
    return facts


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _checksum(**facts: Any) -> str:
    return hashlib.sha256(fingerprint_of(**facts).encode()).hexdigest()


def _folder(source: Source, precision: str) -> Path:
    return cache_folder() / "onnx" / source.graph_key(precision)


def _card_file(folder: Path, source: Source) -> Path:
    return folder / CARDS / f"{_checksum(**source.reading)}.json"


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
