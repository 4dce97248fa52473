"""A fitted table as a sentence-transformers folder of `StaticEmbedding`, which loads without us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retriever.embedders.base import Matrix
from retriever.embedders.static.token_table import EXTRAS, MODULES, TOKENIZER, WEIGHTS

TABLE = "0_StaticEmbedding"
PLACES = [
    {
        "idx": 0,
        "name": "0",
        "path": TABLE,
        "type": "sentence_transformers.models.StaticEmbedding",
    },
    {
        "idx": 1,
        "name": "1",
        "path": "1_Normalize",
        "type": "sentence_transformers.models.Normalize",
    },
]
CONFIG = {"model_type": "SentenceTransformer", "prompts": {}, "similarity_fn_name": "cosine"}


def write_folder(folder: Path, table: Matrix, tokenizer: str, facts: Mapping[str, Any]) -> None:
    """Write a table (tokens, dim) with its tokenizer, and what is known of how it came to be.

    `facts` go into `retriever.json`, which other readers leave alone.
    """
    from safetensors.numpy import save_file

    inner = folder / TABLE
    inner.mkdir(parents=True)
    (folder / "1_Normalize").mkdir()
    save_file({"embedding.weight": np.ascontiguousarray(table, np.float32)}, inner / WEIGHTS)
    (inner / TOKENIZER).write_text(tokenizer, "utf-8")
    _write(folder / MODULES, PLACES)
    _write(folder / "config_sentence_transformers.json", CONFIG)
    _write(folder / EXTRAS, dict(facts))


def read_facts(folder: Path) -> dict[str, Any]:
    """What `retriever.json` says; nothing where there is none that can be read."""
    try:
        facts = json.loads((folder / EXTRAS).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")
