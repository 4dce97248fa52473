"""The cache of exported models: the graph of each, and what is known of it, compared with torch.

<cache>/onnx/<key>/model.onnx      what onnxruntime computes
<cache>/onnx/<key>/retriever.json  the model's card, how like torch's its vectors are, and a seal

The key is a checksum of the model's files and of all else that decides: what was chosen for the
model, the precision, the libraries' versions, and the processor, whose instructions decide how
exact int8 is. So an exchanged model is noticed, and an export is found without loading torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import InputError
from retriever.embedders.base import fingerprint_of
from retriever.embedders.graphs import write_graph
from retriever.embedders.locate import cache_folder, files_of_sentence_model
from retriever.embedders.modelcard import Choices, ModelCard
from retriever.embedders.onnxmodel import OnnxModel, check_exporting, quantize
from retriever.embedders.probes import Likeness, likeness, probes_of, vectors_of
from retriever.embedders.wholefolders import make_whole
from retriever.embedders.wordcache import checksum_of
from retriever.machine import processor

if TYPE_CHECKING:
    from retriever.embedders.sentencemodel import SentenceModel

__all__ = ["Export", "Source", "export", "exported_before", "source_of", "unwritable"]

# Counts up when a graph is made in another way, or is described by other things.
FORMAT = 1
GRAPH, FACTS = "model.onnx", "retriever.json"
LIBRARIES = (
    *("retriever-compare", "onnxruntime", "onnx", "torch", "transformers"),
    *("sentence-transformers", "tokenizers"),
)


@dataclass(frozen=True)
class Source:
    """All that decides what an export of a model is, but for the precision."""

    facts: Mapping[str, Any]

    def key(self, **more: Any) -> str:
        """A checksum of what decides, and of `more`, in hex."""
        return hashlib.sha256(fingerprint_of(**self.facts, **more).encode()).hexdigest()


@dataclass(frozen=True)
class Export:
    """An exported model that may be trusted.

    `card` is as the model's own, but that its fingerprint names runtime and precision.
    """

    folder: Path
    card: ModelCard
    precision: str
    likeness: Likeness

    @property
    def engine(self) -> OnnxModel:
        """What computes it.

        Raises:
            ModelNotAvailableError: onnxruntime is not there.
        """
        return OnnxModel(self.folder / GRAPH, self.precision)


def source_of(model: str | os.PathLike[str], choices: Choices) -> Source | None:
    """What decides an export of a model, read off its files, without loading it.

    None where they are not on this machine, or where its folder does not hold all of it.
    """
    files = files_of_sentence_model(model)
    if not files:
        return None
    chosen = {name: value for name, value in asdict(choices).items() if name != "precision"}
    try:
        checksum = checksum_of(list(files.values()))
    except OSError:
        return None
    return Source(
        {
            "format": FORMAT,
            "names": list(files),
            "files": checksum,
            "choices": chosen,
            "libraries": {name: _version(name) for name in LIBRARIES},
            "processor": processor(),
        }
    )


def exported_before(source: Source, precision: str) -> Export | None:
    """The export of a model where there is a whole one."""
    return _read(_folder(source, precision))


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
    check_exporting()
    fill: partial[None]
    if precision == "float32":
        fill = partial(_fill, precision=precision, model=model, plain=None)
    else:
        plain = export(source, "float32", model)
        fill = partial(_fill, precision=precision, model=model, plain=plain.folder / GRAPH)
    folder = _folder(source, precision)
    make_whole(folder, fill, lambda made: _read(made) is not None)
    found = _read(folder)
    if found is None:
        raise InputError(f"{folder} was changed by someone else while it was made; try again")
    return found


def unwritable(error: OSError) -> str:
    """Why nothing could be exported, and what to do, as a clause without a full stop."""
    return (
        f"{error.filename or cache_folder()} cannot be written ({error.strerror or error}); set "
        "RETRIEVER_CACHE to a folder that can be written and has room"
    )


def _fill(folder: Path, *, precision: str, model: SentenceModel, plain: Path | None) -> None:
    """Write the files of an export, once its vectors are like those of torch."""
    graph = folder / GRAPH
    if plain is None:
        write_graph(model, graph)
    else:
        quantize(plain, graph)
    probes = probes_of(model.card)
    found = likeness(OnnxModel(graph, precision), probes, vectors_of(model, probes))
    if not found.is_enough(precision):
        raise InputError(
            f"its vectors in onnxruntime, {precision}, are not torch's: {found} over "
            f"{len(probes.tokens)} texts; expected {Likeness.expected(precision)}"
        )
    facts = {
        "card": asdict(_card(model.card, precision)),
        "precision": precision,
        "likeness": asdict(found),
        "graph": checksum_of([graph]),
    }
    sealed = {"seal": _seal(facts), "export": facts}
    (folder / FACTS).write_text(json.dumps(sealed), encoding="utf-8")


def _card(card: ModelCard, precision: str) -> ModelCard:
    """The card of the model as onnxruntime computes it."""
    more = {"runtime": "onnx"} | ({} if precision == "float32" else {"precision": precision})
    return replace(card, fingerprint=fingerprint_of(**json.loads(card.fingerprint), **more))


def _read(folder: Path) -> Export | None:
    """The export in a folder; None where it is damaged or not there."""
    try:
        sealed = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        facts = sealed["export"]
        whole = sealed["seal"] == _seal(facts) and facts["graph"] == checksum_of([folder / GRAPH])
        known = {field.name for field in fields(ModelCard)} == set(facts["card"])
        if not (whole and known):
            return None
        card = {name: _as_it_was(value) for name, value in facts["card"].items()}
        return Export(
            folder, ModelCard(**card), str(facts["precision"]), Likeness(**facts["likeness"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _as_it_was(value: Any) -> Any:
    """JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _seal(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _folder(source: Source, precision: str) -> Path:
    return cache_folder() / "onnx" / source.key(precision=precision)


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
