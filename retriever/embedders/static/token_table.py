"""Token tables of static sentence models: folders of sentence-transformers or model2vec.

sentence-transformers: `modules.json` with `StaticEmbedding` as the only embedding module,
`model.safetensors` (`embedding.weight`, one row per token) and `tokenizer.json`. model2vec: the
same files, with `embeddings`, and optionally `mapping` (the row of each token) and `weights` (a
factor for each token). wordllama: its two files, where its package has them. A table that
is not plain float32 is converted once, into the user's cache.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from indexes.errors import FileFormatError, InputError
from retriever.embedders.base import Matrix
from retriever.embedders.cache import cache_folder, mark_used, remove_unused
from retriever.embedders.hub import WORDLLAMA_TABLE, WORDLLAMA_TOKENIZER
from retriever.embedders.static.safetensors_file import as_float32, read_tensors
from retriever.embedders.validation import check_not_pointer
from retriever.embedders.word_vectors.cache import checksum_of

MODULES, WEIGHTS, TOKENIZER = "modules.json", "model.safetensors", "tokenizer.json"
PROMPTS, EXTRAS = "config_sentence_transformers.json", "retriever.json"
IN_WORDLLAMA = f"weights/{WORDLLAMA_TABLE}", f"tokenizers/{WORDLLAMA_TOKENIZER}"
ROWS = 65_536


@dataclass(frozen=True)
class TokenTable:
    """A row of `vectors` (tokens, dim) for each token of `tokenizer`, and the rules of use.

    `drops_unknown`: the unknown token is ignored (model2vec's rule; sentence-transformers pools it
    like any other). `truncates`: the tokenizer's own limit of tokens applies. `teacher` is the
    fingerprint of the embedder that the table was distilled from, if `retriever.json` names it.
    """

    vectors: Matrix
    tokenizer: Path
    checksum: str
    drops_unknown: bool
    truncates: bool
    teacher: str | None


def is_token_table(folder: Path) -> bool:
    """Return whether a folder holds a sentence model, static or not, or is wordllama's."""
    return any((folder / name).is_file() for name in (MODULES, TOKENIZER, IN_WORDLLAMA[0]))


def read_token_table(folder: Path) -> TokenTable:
    """Read the token table of a folder."""
    try:
        inner = folder / _place(folder)
        weights, tokenizer = inner / WEIGHTS, inner / TOKENIZER
        if not weights.exists() and (folder / IN_WORDLLAMA[0]).is_file():
            weights, tokenizer = (folder / name for name in IN_WORDLLAMA)
        for path in (weights, tokenizer):
            if not path.is_file():
                raise FileFormatError(
                    f"{folder} has no {path.relative_to(folder)}; expected the folder of a static "
                    f"sentence model, with {WEIGHTS} and {TOKENIZER}."
                )
            check_not_pointer(path)
        tensors, checksum = read_tensors(weights), checksum_of([weights, tokenizer])
        ours = "embedding.weight" in tensors
        if not ours and "embeddings" not in tensors:
            raise FileFormatError(
                f"{weights} has the arrays {', '.join(tensors)}; expected 'embedding.weight' "
                "(sentence-transformers) or 'embeddings' (model2vec)."
            )
        vectors = _plain(weights, tensors, checksum)
        return TokenTable(vectors, tokenizer, checksum, not ours, ours, _teacher(folder))
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None


def _place(folder: Path) -> str:
    """Return the path of the table relative to the folder."""
    if not (folder / MODULES).is_file():
        return ""
    modules = _json(folder / MODULES, list)
    try:
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        place = str(modules[0]["path"])
    except (KeyError, TypeError, AttributeError, IndexError):
        raise FileFormatError(f"{folder / MODULES} is not a list of modules.") from None
    if kinds[0] != "StaticEmbedding" or not set(kinds[1:]) <= {"Normalize"}:
        raise FileFormatError(
            f"{folder} is a model of {', '.join(kinds)}; expected a static one: StaticEmbedding, "
            f"then at most Normalize. For other sentence models, use contextual:{folder}."
        )
    config = _json(folder / PROMPTS, dict)
    if prompt := (config.get("prompts") or {}).get(config.get("default_prompt_name")):
        raise FileFormatError(
            f"{folder} puts the prompt '{prompt}' before every text; static tables are read "
            f"without prompts. Use contextual:{folder}."
        )
    if Path(place).is_absolute() or ".." in Path(place).parts:
        raise FileFormatError(f"{folder / MODULES} points outside its folder: {place}.")
    return place


def _teacher(folder: Path) -> str | None:
    teacher = _json(folder / EXTRAS, dict).get("teacher")
    fingerprint = teacher.get("fingerprint") if isinstance(teacher, dict) else None
    return fingerprint if isinstance(fingerprint, str) else None


def _json(path: Path, kind: type) -> Any:
    """Return the content of a JSON file of a `kind`, empty if there is no such file."""
    if not path.is_file():
        return kind()
    check_not_pointer(path)
    try:
        read = json.loads(path.read_bytes())
    except ValueError as error:
        raise FileFormatError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(read, kind):
        raise FileFormatError(f"{path} holds a {type(read).__name__}; expected a {kind.__name__}.")
    return read


def _plain(path: Path, tensors: dict[str, tuple[str, NDArray[Any]]], checksum: str) -> Matrix:
    """Return a float32 row for each token, memory-mapped."""
    kind, table = tensors.get("embedding.weight") or tensors["embeddings"]
    mapping, weights = (tensors.get(name, ("", None))[1] for name in ("mapping", "weights"))
    count = len(table) if mapping is None else len(mapping)
    odd = weights is not None and weights.shape != (count,)
    if table.ndim != 2 or not table.size or not count or odd:
        raise FileFormatError(f"{path} holds arrays of inconsistent shapes.")
    if mapping is not None and not 0 <= mapping.min() <= mapping.max() < len(table):
        raise FileFormatError(f"{path}: 'mapping' points to missing rows.")
    if kind == "F32" and mapping is None and weights is None:
        return _finite(path, table)
    made = cache_folder() / "tables" / f"{checksum}.npy"
    if not _is_intact(made, (count, table.shape[1])):
        factors = None if weights is None else as_float32(tensors["weights"][0], weights)
        _convert(made, kind, table, mapping, factors)
        remove_unused(made.parent, made)
    mark_used(made)
    return _finite(path, np.asarray(np.load(made, mmap_mode="r")))


def _convert(
    made: Path, kind: str, table: NDArray[Any], mapping: NDArray[Any] | None, weights: Matrix | None
) -> None:
    """Write the table under a temporary name, then rename it: it is complete or absent."""
    made.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".making-", dir=made.parent)
    count = len(table) if mapping is None else len(mapping)
    try:
        with os.fdopen(handle, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (count, table.shape[1])}
            npy.write_array_header_1_0(file, header)
            for start in range(0, count, ROWS):
                part = slice(start, min(start + ROWS, count))
                rows = table[part] if mapping is None else table[mapping[part]]
                block = as_float32(kind, rows)
                if weights is not None:
                    block = block * weights[part, None]
                file.write(np.ascontiguousarray(block, "<f4").data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(made)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _is_intact(made: Path, shape: tuple[int, int]) -> bool:
    try:
        return bool(np.load(made, mmap_mode="r").shape == shape)
    except (OSError, ValueError, EOFError):
        return False


def _finite(path: Path, table: Matrix) -> Matrix:
    for start in range(0, len(table), ROWS):
        if not np.isfinite(table[start : start + ROWS]).all():
            raise FileFormatError(f"{path} holds a value that is not a finite number.")
    return table
