"""The place that picks the engine of an index."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from indexes.errors import DamageError, InputError, check_text
from indexes.vectors.engine import Definition, IndexEngine
from indexes.vectors.faiss_engine.engine import FaissEngine
from indexes.vectors.remote.engine import ENGINE, RemoteEngine
from indexes.vectors.remote.index import read
from indexes.vectors.remote.server import Structure, VectorServer, number

FAISS = FaissEngine()
# In the options of an engine: what it is to build.
INDEX_TYPE, DEFAULT_TYPE = "index_type", "HNSW"


@cache
def _milvus(address: str) -> VectorServer:
    from indexes.vectors.milvus_engine.server import MilvusServer

    return MilvusServer(address)


SERVERS: Mapping[str, RemoteEngine] = {"milvus": RemoteEngine("milvus", _milvus)}


def engine_of(definition: Definition) -> IndexEngine:
    """Return the engine that builds and searches a definition: FAISS, unless it names a server."""
    return remote_engine_of(definition) or FAISS


def remote_engine_of(definition: Definition) -> RemoteEngine | None:
    """Return the engine of a definition that names a server; None for all others."""
    named = definition.get(ENGINE)
    return None if named is None else SERVERS[str(named).partition(":")[0]]


def discard(path: Path, used: Collection[str]) -> bool:
    """Remove the collection on a server of a file that no row names; return whether it is gone."""
    try:
        kind = read(path).reference.engine.partition(":")[0]
    except DamageError:
        return True
    return kind not in SERVERS or SERVERS[kind].discard(path, used)


def automatic(rows: int, dim: int, recall: float) -> dict[str, Any]:
    """Return the definition of the best structure for so many vectors; empty for exact search."""
    return FAISS.automatic(rows, dim, recall)


def remote_definition(engine: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition of an index on a server, `KIND:ADDRESS`, with options of both kinds.

    The server knows which of them are search parameters, and which are of the structure.

    Raises:
        InputError: no such kind of server, no such option, or an option that is no number.
    """
    check_text("engine", engine)
    kind, _, address = engine.partition(":")
    if kind not in SERVERS or not address:
        raise InputError(
            f"engine is {engine!r}; expected a server, such as milvus:http://10.0.0.1:19530."
        )
    options = dict(options)
    structure = Structure(str(options.pop(INDEX_TYPE, DEFAULT_TYPE)))
    try:
        numbers = {name: number(value) for name, value in options.items()}
    except ValueError:
        raise InputError(f"The options of an engine are numbers: {options}.") from None
    server = SERVERS[kind].server(address)
    server.check(structure)
    searching = server.usual(structure)
    own = {name: value for name, value in numbers.items() if name not in searching}
    search = {name: value for name, value in numbers.items() if name in searching}
    structure = Structure(structure.type, own)
    server.check(structure)
    definition = {"factory": f"{kind}:{structure}", ENGINE: engine}
    return {**definition, "search": search} if search else definition
