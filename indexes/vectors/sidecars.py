"""Sidecars: what the catalog is to say of a shard that a worker has finished, next to its file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexes.catalog.records import EmbeddingRow, ShardRow
from indexes.storage.files import new_file

SUFFIX = ".json"
# The column of a shard's bitmap of keys, which JSON cannot hold.
PRESENT = 5


def write_sidecar(shard: ShardRow, embedding: EmbeddingRow, folder: Path, stem: str) -> None:
    """Write the sidecar of a shard whose file is complete, under the name of that."""
    columns = shard.columns()
    if isinstance(shard.present, bytes):
        columns[PRESENT] = base64.b64encode(shard.present).decode()
    content = {"fingerprint": embedding.fingerprint, "shard": columns}
    with new_file(folder / f"vectors/{embedding.name}/{stem}{SUFFIX}") as file:
        file.write(json.dumps({**content, "checksum": _checksum(content)}).encode())


def sidecars(folder: Path, first_key: int = 0) -> Iterator[tuple[Path, ShardRow, str]]:
    """Yield the intact sidecars of a collection, their shards, and whose vectors these are.

    Those are given by the fingerprint of the embedding. With a `first_key`, only those of shards
    of the interval that begins there.
    """
    name = f"{first_key:012d}-*{SUFFIX}" if first_key else f"*{SUFFIX}"
    for path in sorted((folder / "vectors").glob(f"*/{name}")):
        try:
            content = json.loads(path.read_bytes())
            checksum = content.pop("checksum")
            fingerprint, columns = content["fingerprint"], list(content["shard"])
            if checksum != _checksum(content):
                continue
            if columns[PRESENT] is not None:
                columns[PRESENT] = base64.b64decode(columns[PRESENT])
            yield path, ShardRow.of(tuple(columns)), fingerprint
        except (OSError, ValueError, KeyError, TypeError):  # gone meanwhile, or damaged
            continue


def stem_of(first_key: int, stop_key: int, unique: str) -> str:
    """Return the name, without its ending, of the file of a worker's shard of an interval."""
    return f"{first_key:012d}-{stop_key:012d}-{unique}"


def _checksum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
