"""Environment of a comparison: versions, machine, data, seed, commands to reproduce it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from typing import Any

from indexes.catalog.records import IMPORTED, kind_of
from indexes.errors import pluralize
from indexes.lexical.options import LexicalOptions
from indexes.threads import cores
from retriever.advice import shell_command
from retriever.collection import Collection
from retriever.hardware import processor
from retriever.indexing.embedder_pool import shown_spec
from retriever.indexing.info import IndexInfo
from retriever.indexing.inspection import ESCALATE, MARGIN
from retriever.indexing.reranker_pool import RERANKER
from retriever.search.queries import Query

LIBRARIES = (
    *("retriever-compare", "faiss-cpu", "tantivy", "sentence-transformers", "torch", "gensim"),
    *("numpy", "ir-measures"),
)


def collect_environment(
    collection: Collection,
    indexes: Sequence[IndexInfo],
    queries: Mapping[str, Query],
    qrels: Mapping[str, Mapping[str, int]],
    seed: int,
    command: str,
) -> dict[str, str]:
    """Return when, where and on which data a comparison ran, and the commands to reproduce it."""
    facts = {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "collection": pluralize(len(collection), "document"),
        "documents checksum": collection.content_checksum(),
        "queries checksum": _checksum(
            {one: q if isinstance(q, str) else q.checksum for one, q in queries.items()}
        ),
        "judgments checksum": _checksum(qrels) if qrels else "none",
        "seed": str(seed),
        "machine": f"{processor()}, {platform.machine()}, {cores()} cores",
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in LIBRARIES},
    }
    facts |= {
        f"index {info.name}": shell_command("build", collection.path, info.name, *_words(info))
        for info in indexes
    }
    return facts | ({"command": command} if command else {})


def _words(info: IndexInfo) -> list[str]:
    """Return the options of the command that builds an index."""
    options = info.options
    if kind_of(info.kind).is_lexical:
        own = LexicalOptions.of(options)
        tuned = ["--k1", _short(own.k1), "--b", _short(own.b)] if own.is_tuned else []
        return [
            "--lexical",
            "--language",
            own.language,
            *["--stopwords"] * own.stopwords,
            *tuned,
        ]
    if options.get("cascade"):
        first, *second = info.parts
        kept = options.get(RERANKER)
        words = _spec_words(kept) if kept else second
        return ["--cascade", first, "--rerank", *words, "--depth", str(options["depth"])]
    if ESCALATE in options:
        first, other = info.parts
        return ["--escalate", first, "--to", other, "--margin", _short(options[MARGIN])]
    if info.parts:
        return _fusion_words(info)
    ann = [] if info.automatic else ["--ann", info.factory]
    if info.engine:
        kind, *built = info.factory.partition(":")[2].split(",")
        pairs = [["index_type", kind], *(one.split("=") for one in built)]
        pairs += [[name, f"{value:g}"] for name, value in info.effort.items()]
        words = [word for pair in pairs for word in ("-o", *pair)]
        vectors = next(iter(info.vectors_shared_with), info.embedding)
        return ["--vectors", vectors, "--engine", info.engine, *words]
    if info.recall_asked is not None:
        ann += ["--recall", f"{info.recall_asked:g}"]
    kind, _, file = info.embedder.partition(":")
    if kind == IMPORTED:
        queries = ["--queries-by", info.queries_by] if info.queries_by else []
        return ["--from-vectors", file, *queries, *ann]
    if info.queries_by:
        vectors = next(iter(info.vectors_shared_with), info.embedding)
        return ["--vectors", vectors, "--queries-by", info.queries_by, *ann]
    half = {"dtype": "float16"} if info.dtype == "float16" else {}
    return ["--embedder", info.embedder, *_option_words({**options, **half}), *ann]


def _spec_words(kept: Mapping[str, Any]) -> list[str]:
    """Return the spec in a reranker's record, and its options."""
    return [str(shown_spec(kept)), *_option_words(kept["options"])]


def _option_words(options: Mapping[str, Any]) -> list[str]:
    pairs = [("-o", name, str(value)) for name, value in options.items()]
    return [*chain.from_iterable(pairs)]


def _fusion_words(info: IndexInfo) -> list[str]:
    options = info.options
    fused = zip(info.parts, options["weights"], strict=True)
    parts = [("--fuse", f"{name}={_short(weight)}") for name, weight in fused]
    rank = ["--rrf-k", _short(options["rrf_k"])] if options["fuse"] == "rrf" else []
    how = ["--method", options["fuse"], *rank, "--depth", str(options["depth"])]
    return [*chain.from_iterable(parts), *how]


def _short(number: float) -> str:
    """Format a number with all its digits, without a trailing `.0`."""
    return repr(number).removesuffix(".0")


def _checksum(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
