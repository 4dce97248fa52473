"""An index engine on a server: builds a collection there, or brings it up to date."""

from __future__ import annotations

import contextlib
import re
import socket
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import DamageError, EngineError, InputError
from indexes.neighbors import Keys, is_among
from indexes.storage.files import new_file, repair_step
from indexes.vectors.blocks import Block, live_keys, rows_of
from indexes.vectors.engine import Definition, Described, Fill
from indexes.vectors.nodes import NO_KEYS
from indexes.vectors.remote.fields import Known, Row, row_of
from indexes.vectors.remote.index import (
    MARKS,
    METADATA,
    OWNER,
    SUFFIX,
    Kept,
    Reference,
    RemoteIndex,
    read,
)
from indexes.vectors.remote.server import Shape, Structure, VectorServer

# In a definition: the server, as `milvus:http://10.0.0.1:19530`.
ENGINE = "engine"
SENT_BYTES = 8 << 20


class RemoteEngine:
    """`IndexEngine` over servers of one kind; `connect` returns the one at an address."""

    suffix = SUFFIX

    def __init__(self, kind: str, connect: Callable[[str], VectorServer]) -> None:
        self.kind, self._connect = kind, connect

    def check(self, definition: Definition, dim: int) -> None:
        """Raise an InputError for a structure or search parameters that the server has not."""
        server, structure = self._server(definition), self._structure(definition)
        server.check(structure)
        known = list(server.usual(structure))
        if unknown := sorted(set(definition.get("search", {})) - set(known)):
            raise InputError(
                f"{', '.join(unknown)}: no search parameter of {structure.type}. "
                f"It has: {', '.join(known) or 'none'}."
            )

    def automatic(self, rows: int, dim: int, recall: float) -> dict[str, Any]:
        """Return nothing: a server is never chosen by itself."""
        return {}

    def settled(self, definition: Definition, dim: int) -> dict[str, Any]:
        """Return the definition as it is."""
        return dict(definition)

    def parameters(self, definition: Definition, dim: int, k: int) -> dict[str, float]:
        """Return the search parameters for `k` neighbors, by the server's names."""
        server, structure = self._server(definition), self._structure(definition)
        none = Kept(Reference("", "", "", "", ""), np.empty(0, np.int64))
        search = definition.get("search", {})
        return RemoteIndex(server, none, dim, structure, search).parameters(k)

    def load(self, path: Path, definition: Definition, dim: int) -> RemoteIndex:
        """Read what is kept of an index; the server is asked when it is searched."""
        kept = read(path)
        server, structure = self._server(definition), self._structure(definition)
        search = definition.get("search", {})
        return RemoteIndex(server, kept, dim, structure, search, path)

    def build(
        self,
        definition: Definition,
        dim: int,
        blocks: Sequence[Block],
        deleted: Keys,
        fill: Fill | None = None,
        described: Described | None = None,
    ) -> RemoteIndex:
        """Build an index that no collection of ours owns, without others; see `update`."""
        path = Path(f"/unowned/ann/index-0{SUFFIX}")
        return self.update(None, path, definition, dim, blocks, deleted, described)

    def update(
        self,
        before: Path | None,
        path: Path,
        definition: Definition,
        dim: int,
        blocks: Sequence[Block],
        deleted: Keys,
        described: Described | None,
    ) -> RemoteIndex:
        """Build an index for the file at `path`, or bring that of the file `before` up to date.

        What is new, or has other metadata, is upserted by key, and what is gone deleted; readers of
        the state before find what they did, with its filters as lists of keys if metadata changed.
        What is written on the server first, is noted in a file next to `path`: so that of a killed
        build is found and removed by the next writer. Filters are evaluated there on what
        `described` says of the documents; without it, none is.

        Raises:
            InputError: there are no vectors, or the definition is invalid.
            EngineError: the server does not answer, or refuses.
        """
        self.check(definition, dim)
        keys = live_keys(blocks, deleted)
        if not len(keys):
            raise InputError("There are no vectors to build an index of.")
        server, shape = self._server(definition), self._shape(definition, dim, blocks)
        owner, mark = _owner(path), f"{_number(path)}-{uuid.uuid4().hex}"
        old = self._reusable(server, before, owner, shape, described is not None)
        kept = old or Kept(_new_reference(definition, path, mark, owner, shape), NO_KEYS)
        name, marks = kept.reference.name, [kept.reference.mark, mark] if old else [mark]
        if old is None:
            if path.parent.is_dir():
                with new_file(path.with_name(f"begun-{path.name}")) as file:
                    file.write(kept.pack())
            server.create(name, shape, {OWNER: owner, MARKS: "", METADATA: ""})
        digests = described.digests(keys) if described else NO_KEYS
        known, metadata = dict(kept.reference.known), kept.reference.metadata
        with _taken_back(server, None if old else name):
            changed = _changed(server, kept, keys, digests)
            if described and (not metadata or is_among(changed, kept.keys).any()):
                metadata = uuid.uuid4().hex
                server.set_properties(name, {METADATA: ""})
            self._send(server, name, blocks, changed, described, known)
            if len(gone := np.setdiff1d(kept.keys, keys)):
                server.delete(name, gone)
            point = server.settle(name, shape) or kept.reference.point
            server.set_properties(name, {MARKS: " ".join(marks), METADATA: metadata})
        content = described.content if described else -1
        reference = replace(
            kept.reference,
            mark=mark,
            metadata=metadata,
            content=content,
            known=known,
            point=point,
        )
        kept = Kept(reference, keys, digests)
        search = definition.get("search", {})
        return RemoteIndex(server, kept, dim, shape.structure, search, path)

    def discard(self, path: Path, used: Collection[str]) -> bool:
        """Remove the collection of a file that no row names any more; return whether it is gone.

        Unless it is in use, by the names of collections, or has another owner.
        """
        with contextlib.suppress(DamageError):
            reference = read(path).reference
            if reference.owner == _owner(path) and reference.name not in used:
                try:
                    self._connect(reference.engine.partition(":")[2]).drop(reference.name)
                except (EngineError, InputError):  # tried again by the next writer
                    return False
        return True

    def _reusable(
        self, server: VectorServer, before: Path | None, owner: str, shape: Shape, described: bool
    ) -> Kept | None:
        """Return what is kept of an earlier file's collection, if it is ours and as it was left."""
        if before is None:
            return None
        with contextlib.suppress(DamageError):
            kept = read(before)
            reference = kept.reference
            if reference.owner == owner and bool(reference.metadata) == described:
                RemoteIndex(server, kept, shape.dim, shape.structure, {}, before).check()
                whole = server.count(reference.name) >= len(kept.keys)
                same = server.shape(reference.name) == (shape.dim, shape.similarity)
                return kept if whole and same else None
        return None

    def _send(
        self,
        server: VectorServer,
        name: str,
        blocks: Sequence[Block],
        keys: Keys,
        described: Described | None,
        known: Known,
    ) -> None:
        """Upsert some keys; enter into `known` which fields their rows have."""
        for block in blocks:
            rows = rows_of(keys, block.keys)
            step = max(1, SENT_BYTES // (4 * max(1, block.vectors.shape[1])))
            for start in range(0, len(rows), step):
                some = rows[start : start + step]
                vectors = np.ascontiguousarray(block.vectors[some], np.float32)
                fields: list[Row] = [{}] * len(some)
                if described:
                    metadata = described.metadata(block.keys[some])
                    fields = [row_of(one, known) for one in metadata]
                server.upsert(name, block.keys[some], vectors, fields)

    def server(self, address: str) -> VectorServer:
        """Return the server at an address; an InputError if it is none."""
        return self._connect(address)

    def _server(self, definition: Definition) -> VectorServer:
        return self._connect(str(definition[ENGINE]).partition(":")[2])

    def _structure(self, definition: Definition) -> Structure:
        return Structure.of(str(definition["factory"]).partition(":")[2])

    def _shape(self, definition: Definition, dim: int, blocks: Sequence[Block]) -> Shape:
        return Shape(dim, blocks[0].similarity, self._structure(definition))


def _changed(server: VectorServer, kept: Kept, keys: Keys, digests: Keys) -> Keys:
    """Return those of some keys that a collection lacks, or has with other metadata."""
    same = is_among(keys, kept.keys)
    if len(digests) and same.any():
        if (server.properties(kept.reference.name) or {}).get(METADATA) != kept.reference.metadata:
            return keys  # a build that was changing them did not end
        places = np.searchsorted(kept.keys, keys[same])
        same[same] = kept.digests[places] == digests[same]
    return keys[~same]


def _new_reference(
    definition: Definition, path: Path, mark: str, owner: str, shape: Shape
) -> Reference:
    name = f"retriever_{re.sub('[^A-Za-z0-9]', '_', path.stem)}_{uuid.uuid4().hex}"
    return Reference(str(definition[ENGINE]), name, mark, owner, shape.similarity)


@contextlib.contextmanager
def _taken_back(server: VectorServer, name: str | None) -> Any:
    """Drop a new collection on a server if what fills it fails."""
    try:
        yield
    except BaseException:
        if name is not None:
            with contextlib.suppress(EngineError):
                server.drop(name)
        raise


def _owner(path: Path) -> str:
    """Return what tells the collections of ours apart that use a server: a copy is another one."""
    return f"{socket.gethostname()}:{repair_step(path).folder}"


def _number(path: Path) -> str:
    """Return the generation in the name of a file of an index."""
    return path.stem.rpartition("-")[2]
