"""Environment of a comparison: versions, machine, data, seed, commands to reproduce it."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata

from indexes.catalog.kinds import kind_of
from indexes.errors import pluralize
from retriever.collection import Collection
from retriever.hardware import cores, processor_name
from retriever.indexing.info import IndexInfo

LIBRARIES = (
    *("retriever-compare", "faiss-cpu", "tantivy", "sentence-transformers", "torch", "gensim"),
    *("numpy", "ir-measures"),
)


def collect_environment(
    collection: Collection,
    indexes: Sequence[IndexInfo],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    seed: int,
    command: str,
) -> dict[str, str]:
    """Return when, where and on which data a comparison ran, and the commands to reproduce it."""
    place = shlex.quote(str(collection.path))
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "collection": pluralize(len(collection), "document"),
        "documents checksum": collection.content_checksum(),
        "queries checksum": _checksum(queries),
        "judgments checksum": _checksum(qrels) if qrels else "none",
        "seed": str(seed),
        "machine": f"{processor_name()}, {platform.machine()}, {cores()} cores",
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
    }
    facts |= {f"index {info.name}": _command(place, info) for info in indexes}
    return facts | ({"command": command} if command else {})


def _command(place: str, info: IndexInfo) -> str:
    """Return the command that builds an index."""
    start = f"retriever build {place} {info.name}"
    if kind_of(info.kind).is_lexical:
        return f"{start} --lexical --language {info.options['language']}"
    if info.options.get("cascade"):
        first, second = info.parts
        return f"{start} --cascade {first} --rerank {second} --depth {info.options['depth']}"
    if info.parts:
        fused = zip(info.parts, info.options["weights"], strict=True)
        parts = " ".join(f"--fuse {name}={_short(weight)}" for name, weight in fused)
        rank = f" --rrf-k {_short(info.options['rrf_k'])}" if info.options["fuse"] == "rrf" else ""
        how = f"--method {info.options['fuse']}{rank} --depth {info.options['depth']}"
        return f"{start} {parts} {how}"
    options = dict(info.options) | ({"dtype": "float16"} if info.dtype == "float16" else {})
    given = "".join(f" -o {name} {shlex.quote(str(value))}" for name, value in options.items())
    ann = f" --ann {shlex.quote(info.factory)}" if kind_of(info.kind).has_structure else ""
    if info.queries_by:
        vectors = next(iter(info.vectors_shared_with), info.embedding)
        return f"{start} --vectors {vectors} --queries-by {info.queries_by}{ann}"
    return f"{start} --embedder {shlex.quote(info.embedder)}{given}{ann}"


def _short(number: float) -> str:
    """Format a number with all its digits, without a trailing `.0`."""
    return repr(number).removesuffix(".0")


def _checksum(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
