"""Export of a student as a sentence-transformers `StaticEmbedding`, loadable without Retriever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from retriever.embedders.base import Matrix
from retriever.embedders.static.token_table import EXTRAS, MODULES, TOKENIZER, WEIGHTS

# The folders of the modules, in order.
FOLDERS = TABLE, NORMALIZE = "0_StaticEmbedding", "1_Normalize"
CONFIG_FILE = "config_sentence_transformers.json"
CONFIG = {"model_type": "SentenceTransformer", "prompts": {}, "similarity_fn_name": "cosine"}


def write_folder(folder: Path, table: Matrix, tokenizer: str, facts: Mapping[str, Any]) -> None:
    """Write a table (tokens, dim), its tokenizer, and `facts` as `retriever.json`."""
    from safetensors.numpy import save_file

    inner = folder / TABLE
    inner.mkdir(parents=True)
    (folder / NORMALIZE).mkdir()
    save_file({"embedding.weight": np.ascontiguousarray(table, np.float32)}, inner / WEIGHTS)
    (inner / TOKENIZER).write_text(tokenizer, "utf-8")
    types = [f"sentence_transformers.models.{path[2:]}" for path in FOLDERS]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": types[number]}
        for number, path in enumerate(FOLDERS)
    ]
    files = {MODULES: modules, CONFIG_FILE: CONFIG, EXTRAS: dict(facts)}
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")
