"""Milvus as a server of vectors: collections with a key, a vector, an index of it, and fields."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from indexes.errors import EngineError, InputError
from indexes.neighbors import COSINE, DOT, EUCLIDEAN, Keys, Matrix, Neighbors, nothing
from indexes.vectors.milvus_engine.expressions import FIELDS, KEY, VECTOR, expression
from indexes.vectors.remote.conditions import Condition
from indexes.vectors.remote.fields import Row
from indexes.vectors.remote.server import Chosen, Shape, Structure, batches

# The user's name and password, `user:password`, or a token. Not in the catalog, which is copied.
TOKEN = "MILVUS_TOKEN"
# How long is waited for a connection, for a search, and for a structure to be built.
CONNECT_SECONDS, CALL_SECONDS, BUILD_SECONDS = 5.0, 20.0, 3600.0
POLLED_SECONDS = 0.2
# Cosines are inner products of unit vectors.
METRICS = {COSINE: "IP", DOT: "IP", EUCLIDEAN: "L2"}
SIMILARITY = "retriever.similarity"
# By type: what has to be said to build it, what may be, and search parameters that find more.
DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "HNSW": {"M": 16, "efConstruction": 200},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "IVF_PQ": {"nlist": 1024, "m": 16, "nbits": 8},
    "SCANN": {"nlist": 1024},
    "FLAT": {},
    "DISKANN": {},
    "AUTOINDEX": {},
}
STEPS = (16, 32, 64, 128, 256, 512, 1024)
EFFORTS: Mapping[str, Sequence[Mapping[str, float]]] = {
    "HNSW": [{"ef": one} for one in STEPS],
    "DISKANN": [{"search_list": one} for one in STEPS],
    **{kind: [{"nprobe": one} for one in STEPS] for kind in DEFAULTS if "nlist" in DEFAULTS[kind]},
}
# What errors of a wrong password, or of one that may not do this, say; and how deep it is.
REFUSALS, CAUSES = ("unauthenticated", "auth check failure", "permission"), 10
USUAL = {"ef": 128, "search_list": 128, "nprobe": 32}
INSERTED_AT_ONCE, KEYS_AT_ONCE = 4096, 10_000


class MilvusServer:
    """`VectorServer` over one Milvus."""

    most_found, most_chosen = 16_384, 20_000

    def __init__(self, uri: str) -> None:
        """Use the Milvus at an address; it is connected to when it is first asked."""
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"'{uri}' is no address of Milvus; expected one such as "
                "milvus:http://10.0.0.1:19530."
            )
        if parts.username or parts.password:
            raise InputError(
                "A password in the address of Milvus would be kept in the catalog. Leave it out, "
                f"and set the environment variable {TOKEN} to user:password."
            )
        self.place = f"Milvus at {uri}"
        self._uri, self._lock = uri, threading.Lock()
        self._client: tuple[int, str, Any] | None = None

    def check(self, structure: Structure) -> None:
        """Raise an InputError for a type of index, or an option, that Milvus has not."""
        if structure.type not in DEFAULTS:
            raise InputError(
                f"index_type is {structure.type!r}; expected one of: {', '.join(DEFAULTS)}."
            )
        known = DEFAULTS[structure.type]
        if unknown := sorted(set(structure.options) - set(known)):
            raise InputError(
                f"{', '.join(unknown)}: no option of {structure.type}. "
                f"It has: {', '.join(known) or 'none'}."
            )

    def efforts(self, structure: Structure) -> Sequence[Mapping[str, float]]:
        """Return search parameters that find more and more."""
        return EFFORTS.get(structure.type, [{}])

    def usual(self, structure: Structure) -> Mapping[str, float]:
        """Return the search parameters unless others are chosen."""
        return {name: USUAL[name] for name in self.efforts(structure)[0]}

    def create(self, name: str, shape: Shape, properties: Mapping[str, str]) -> None:
        """Create an empty collection, in which all reads see all writes."""
        from pymilvus import DataType

        with self._asking("create a collection") as client:
            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field(KEY, DataType.INT64, is_primary=True)
            schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=shape.dim)
            schema.add_field(FIELDS, DataType.JSON)
            client.create_collection(
                name,
                schema=schema,
                consistency_level="Strong",
                properties={**properties, SIMILARITY: shape.similarity},
                timeout=CALL_SECONDS * 3,
            )

    def properties(self, name: str) -> Mapping[str, str] | None:
        """Return the properties of a collection; None if there is none."""
        described = self._described(name)
        return None if described is None else dict(described["properties"])

    def set_properties(self, name: str, properties: Mapping[str, str]) -> None:
        """Set some properties."""
        with self._asking("change a collection") as client:
            client.alter_collection_properties(name, properties, timeout=CALL_SECONDS)

    def shape(self, name: str) -> tuple[int, str]:
        """Return the width of the vectors, and how they are compared."""
        described = self._described(name) or {"fields": [], "properties": {}}
        fields = {field["name"]: field for field in described["fields"]}
        width = fields.get(VECTOR, {}).get("params", {}).get("dim", 0) if KEY in fields else 0
        similarity = described["properties"].get(SIMILARITY, "") if FIELDS in fields else ""
        return int(width), str(similarity)

    def _described(self, name: str) -> Mapping[str, Any] | None:
        with self._asking("describe a collection") as client:
            try:
                described: Mapping[str, Any] = client.describe_collection(
                    name, timeout=CALL_SECONDS
                )
                return described
            except Exception:
                if not client.has_collection(name, timeout=CALL_SECONDS):
                    return None
                raise

    def expression(self, condition: Condition) -> str:
        """Return a condition as a boolean expression."""
        return expression(condition)

    def upsert(self, name: str, keys: Keys, vectors: Matrix, rows: Sequence[Row]) -> None:
        """Add vectors and the fields of their rows, or replace those of their keys."""
        names = (KEY, VECTOR, FIELDS)
        with self._asking("take vectors") as client:
            entities = zip(keys.tolist(), vectors, rows, strict=True)
            while some := list(islice(entities, INSERTED_AT_ONCE)):
                data = [dict(zip(names, entity, strict=True)) for entity in some]
                client.upsert(name, data, timeout=3 * CALL_SECONDS)

    def delete(self, name: str, keys: Keys) -> None:
        """Remove the vectors of some keys."""
        with self._asking("delete vectors") as client:
            for some in batches(keys, KEYS_AT_ONCE):
                client.delete(name, ids=some.tolist(), timeout=CALL_SECONDS)

    def settle(self, name: str, shape: Shape) -> str:
        """Wait until all that was written is in the index, and that is loaded.

        Return the time of Milvus's clock at which it was written, or nothing.

        A new collection is loaded at the end: else Milvus answers from an interim index, which
        finds less, and goes on with it for a while.
        """
        until = time.monotonic() + BUILD_SECONDS
        with self._asking("build an index") as client:
            client.flush(name, timeout=CALL_SECONDS * 3)
            is_new = not client.list_indexes(name, timeout=CALL_SECONDS)
            if is_new:
                client.create_index(name, _index(client, shape), sync=False, timeout=CALL_SECONDS)
            while True:
                state = client.describe_index(name, VECTOR, timeout=CALL_SECONDS)
                if state.get("state") == "Finished" and not state.get("pending_index_rows"):
                    break
                if state.get("state") == "Failed" or time.monotonic() > until:
                    raise TimeoutError(f"the index is not built: {state}")
                time.sleep(POLLED_SECONDS)
            if is_new:
                client.load_collection(name, timeout=BUILD_SECONDS)
        return _last_written(urlsplit(self._uri).netloc, name)

    def search(
        self,
        name: str,
        shape: Shape,
        queries: Matrix,
        k: int,
        parameters: Mapping[str, float],
        chosen: Chosen | None,
        point: str,
    ) -> Neighbors:
        """Return up to `k` nearest of each query, best first.

        To see all that was written up to now, Milvus waits for its next tick, up to 0.4 seconds.
        """
        seeing = {"consistency_level": "Customized", "guarantee_timestamp": int(point or 0)}
        metric = METRICS[shape.similarity]
        with self._asking("search") as client:
            found = client.search(
                name,
                data=list(np.ascontiguousarray(queries, np.float32)),
                anns_field=VECTOR,
                limit=k,
                filter=_filter(chosen),
                search_params={"metric_type": metric, "params": dict(parameters)},
                timeout=CALL_SECONDS,
                **(seeing if point else {}),
            )
        out = nothing(len(queries), k)
        for row, hits in enumerate(found):
            out.keys[row, : len(hits)] = [hit[KEY] if KEY in hit else hit["id"] for hit in hits]
            scores = [hit["distance"] for hit in hits]
            out.scores[row, : len(hits)] = scores if metric == "IP" else np.negative(scores)
        return out

    def fetch(self, name: str, keys: Keys) -> tuple[Keys, Matrix, Sequence[Row]]:
        """Return those of some keys that are there, ascending, with their vectors and fields."""
        wanted = [KEY, VECTOR, FIELDS]
        with self._asking("return vectors") as client:
            rows = client.query(name, ids=keys.tolist(), output_fields=wanted, timeout=CALL_SECONDS)
        rows = sorted(rows, key=lambda row: int(row[KEY]))
        found = np.array([row[KEY] for row in rows], np.int64)
        vectors = np.array([row[VECTOR] for row in rows], np.float32)
        return found, vectors, [row[FIELDS] for row in rows]

    def count(self, name: str) -> int:
        """Return how many vectors there are."""
        with self._asking("count vectors") as client:
            counted = client.query(name, output_fields=["count(*)"], timeout=CALL_SECONDS)
            return int(counted[0]["count(*)"])

    def drop(self, name: str) -> None:
        """Remove a collection, if it is there."""
        with self._asking("drop a collection") as client:
            if client.has_collection(name, timeout=CALL_SECONDS):
                client.drop_collection(name, timeout=CALL_SECONDS)

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[Any]:
        """Yield the client; its errors become one of ours."""
        try:
            yield self._connected()
        except (EngineError, InputError):
            raise
        except Exception as error:  # of pymilvus, of gRPC
            raise self._failed(what, error) from None

    def _connected(self) -> Any:
        """Return the client of this process: a fork needs its own."""
        token = os.environ.get(TOKEN, "")
        with self._lock:
            if self._client is None or self._client[:2] != (os.getpid(), token):
                client = _client()(self._uri, token=token, timeout=CONNECT_SECONDS)
                self._client = os.getpid(), token, client
            return self._client[2]

    def _failed(self, what: str, error: Exception) -> EngineError:
        said = str(getattr(error, "message", "") or error).strip().partition("\n")[0].rstrip(".")
        if any(mark in str(one).lower() for one in _chain(error) for mark in REFUSALS):
            return EngineError(
                f"{self.place} refuses the password, or what this user asks for. Set the "
                f"environment variable {TOKEN} to user:password."
            )
        return EngineError(
            f"{self.place} cannot {what}: {said}. Check that it runs and can be reached from here, "
            "then run the same again; exact search and the other indexes need no server."
        )


def _index(client: Any, shape: Shape) -> Any:
    """Return the index that Milvus is to build, by its own names."""
    kind, metric = shape.structure.type, METRICS[shape.similarity]
    index, options = client.prepare_index_params(), {**DEFAULTS[kind], **shape.structure.options}
    index.add_index(VECTOR, index_type=kind, metric_type=metric, params=options)
    return index


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that it came from: the first one may only say that all failed."""
    for _ in range(CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _filter(chosen: Chosen | None) -> str:
    if chosen is None:
        return ""
    parts = [] if chosen.expression is None else [str(chosen.expression)]
    if len(chosen.keys):
        keys = np.array2string(chosen.keys, separator=",", threshold=len(chosen.keys) + 1)
        parts.append(f"{KEY} {'' if chosen.shown else 'not '}in {' '.join(keys.split())}")
    return " and ".join(parts)


def _last_written(address: str, name: str) -> str:
    """Return when this process wrote to a collection last, or "" if the client does not say so."""
    try:
        from pymilvus.client.ts_utils import get_collection_ts
    except ImportError:  # no part of the client's documented interface
        return ""
    return str(get_collection_ts(name, address) or "")


@cache
def _client() -> Any:
    """Return the class of Milvus's client, whose import takes a second."""
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise InputError(
            "An index on Milvus needs its client. Install it: "
            "pip install 'retriever-compare[milvus]'"
        ) from None
    return MilvusClient
