"""Why a sentence model cannot be loaded, in one sentence: libraries hide or misname the cause."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from retriever.embedders.hub import PARTS_FILE
from retriever.embedders.validation import LFS_ADVICE, is_lfs_pointer

# The endings of the files that are read.
READ = {".bin", ".json", ".model", ".safetensors", ".txt"}
SENTENCEPIECE = ("sentencepiece", "protobuf")
CONFIG, WEIGHTS = "config.json", ("model.safetensors", "pytorch_model.bin")
# Modules without weights, or with other files of weights.
WEIGHTLESS = {"BoW", "Dropout", "Normalize", "Pooling", "Router", "Transformer", "WordWeights"}
CUT_OFF = "is damaged or ends too early; get it again"
# Characters of the message of a library: some quote a whole page.
MOST = 500


def reason_of(error: Exception, folder: Path | None, load_tokenizer: Callable[[Path], Any]) -> str:
    """Return why a model could not be loaded, as a clause without a full stop.

    `folder` holds its files, if known. `load_tokenizer` loads the tokenizer from there, and raises
    why it cannot, which sentence-transformers hides.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if "trust_remote_code" in text:
        return "it contains custom code, which Retriever never runs"
    if folder is not None:
        for reason in _reasons_in(folder, error, text, load_tokenizer):
            return reason
    if "weights_only" in text:
        return "its weights are a pickle that would run code, which Retriever never loads"
    if isinstance(error, KeyError):
        text = f"{text} is missing from its files"
    return textwrap.shorten(text, MOST, placeholder=" ...").rstrip(".")


def _reasons_in(
    folder: Path, error: Exception, text: str, load_tokenizer: Callable[[Path], Any]
) -> Iterator[str]:
    """Yield what is wrong with the files of a model, the cause of others first."""
    if pointers := sorted(path for path in folder.rglob("*") if _is_pointer(path)):
        yield f"{pointers[0].relative_to(folder)} is {LFS_ADVICE}"
    if made := re.match(r"(\w+)\.__init__\(\) missing \d+ required", text):
        yield from _without_config(folder, made[1])
    if text.startswith("Could not find 'model.safetensors'"):
        yield from _without_weights(folder)
    if "deserializing header" in text:
        yield from (f"{path.relative_to(folder)} {CUT_OFF}" for path in _cut_off(folder))
    if "Unrecognized processing class" in text:
        yield _reason_of_tokenizer(folder, load_tokenizer)


def _is_pointer(path: Path) -> bool:
    return path.suffix in READ and is_lfs_pointer(path)


def _cut_off(folder: Path) -> Iterator[Path]:
    """Yield the safetensors files in a folder that are damaged or end too early."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(path, "numpy"):
                pass
        except SafetensorError:
            yield path


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Return class and folder of the modules that a model lists."""
    listed = json.loads((folder / PARTS_FILE).read_text("utf-8"))
    return [(part["type"].rpartition(".")[2], Path(part["path"])) for part in listed]


def _without_config(folder: Path, kind: str) -> Iterator[str]:
    """Yield which modules of a class have no settings."""
    for found, path in _modules(folder):
        if found == kind and not (folder / path / CONFIG).is_file():
            yield f"{PARTS_FILE} lists a {kind} in {path}, but it has no {CONFIG}"


def _without_weights(folder: Path) -> Iterator[str]:
    """Yield which modules have no weights, of those that need them."""
    for kind, path in _modules(folder):
        if kind not in WEIGHTLESS and not any((folder / path / name).is_file() for name in WEIGHTS):
            yield f"{PARTS_FILE} lists a {kind} in {path}, but it has no {' or '.join(WEIGHTS)}"


def _reason_of_tokenizer(folder: Path, load_tokenizer: Callable[[Path], Any]) -> str:
    """Return why the tokenizer in a folder cannot be loaded."""
    pieces = sorted(path.name for path in folder.glob("*.model"))
    absent = [name for name in SENTENCEPIECE if not _is_installed(name)]
    if pieces and absent:
        return (
            f"its tokenizer is {pieces[0]}, which needs packages that are not installed. "
            f"Run: pip install {' '.join(absent)}"
        )
    try:
        load_tokenizer(folder)
    except Exception as error:  # each library raises its own kinds
        why = textwrap.shorten(" ".join(str(error).split()), MOST, placeholder=" ...")
        return f"its tokenizer cannot be loaded: {why}".rstrip(".")
    return "its tokenizer cannot be loaded"


def _is_installed(package: str) -> bool:
    return find_spec({"protobuf": "google.protobuf"}.get(package, package)) is not None
