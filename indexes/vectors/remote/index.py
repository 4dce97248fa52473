"""An index on a server: what is kept of it here, and searches that notice when it is another.

A file here says which collection of the server it is, which keys that had when it was built, and a
mark. The collection has the marks of the files that it can serve: its data are written first, then
the mark of the new file is added, and then the catalog names that file. So a reader of the state
before finds what it did, and a collection that is behind or ahead, restored from a backup or
written to by another copy of ours, has other marks.

Metadata are changed in place, for all marks. So the collection also says which metadata it has, by
a name that is taken away before any of them changes and given again after. A filter is evaluated
there for a file, and a state of the documents, that had the same metadata; that name is read again
after each such search. Else the keys that pass the filter are sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from indexes.catalog.filters.conditions import Filter
from indexes.errors import DamageError, FilterNotSeenError
from indexes.neighbors import NO_KEY, Keys, Matrix, Neighbors, best, is_among, nothing, validate_k
from indexes.storage.files import repair_step
from indexes.vectors.blocks import Block, rows_of
from indexes.vectors.engine import Described, Mask
from indexes.vectors.nodes import NO_KEYS, Nodes
from indexes.vectors.remote.conditions import condition_of
from indexes.vectors.remote.fields import LACKING, Known, readable, row_of
from indexes.vectors.remote.server import Chosen, Shape, Structure, VectorServer

SUFFIX = ".remote"
HEADER = b"retriever: an index on a server\n"
# Properties of a collection on a server: the marks of the files here that it can serve, the name of
# the metadata that it has, and whose collection it is.
MARKS, METADATA, OWNER = "retriever.marks", "retriever.metadata", "retriever.owner"
MORE = 16
# How many rows `verify` compares.
SAMPLE = 256
ALL_KEYS = Chosen(NO_KEYS, shown=True)


@dataclass(frozen=True)
class Reference:
    """A collection on a server: its name there, the mark of this file, and its owner.

    `metadata` names those that it has, empty if it has none; they are of the documents as a change
    in the generation `content` left them, and `known` are the fields of their rows. All was written
    by a `point` in the server's time.
    """

    engine: str
    name: str
    mark: str
    owner: str
    similarity: str
    metadata: str = ""
    content: int = -1
    known: Known = field(default_factory=dict)
    point: str = ""


@dataclass(frozen=True)
class Kept:
    """What a file holds: `keys`, ascending, and a digest of the metadata of each, or none."""

    reference: Reference
    keys: Keys
    digests: Keys = field(default_factory=lambda: NO_KEYS)

    def pack(self) -> bytes:
        """Return the bytes of a file."""
        numbers = np.concatenate([self.keys, self.digests]).astype("<i8")
        head = json.dumps(asdict(self.reference)).encode()
        return HEADER + head + b"\n" + numbers.tobytes()


def read(path: Path) -> Kept:
    """Return what a file holds."""
    try:
        data = path.read_bytes()
        head, _, rest = data.removeprefix(HEADER).partition(b"\n")
        if not data.startswith(HEADER):
            raise ValueError("it does not begin as such a file does")
        reference, numbers = (
            Reference(**json.loads(head)),
            np.frombuffer(rest, "<i8").astype(np.int64),
        )
        rows = len(numbers) // (2 if reference.metadata else 1)
        return Kept(reference, numbers[:rows], numbers[rows:])
    except (OSError, ValueError, TypeError) as error:
        step = repair_step(path)
        raise DamageError(f"{path} cannot be read: {error}.", next_step=step) from None


class RemoteIndex:
    """`VectorIndex` over a collection on a server."""

    visits_all = True  # a filter is given to the server

    def __init__(
        self,
        server: VectorServer,
        kept: Kept,
        dim: int,
        structure: Structure,
        search: Mapping[str, float],
        path: Path | None = None,
    ) -> None:
        self.server, self.kept = server, kept
        self.reference, self.keys = kept.reference, kept.keys
        self._shape = Shape(dim, self.reference.similarity, structure)
        self._search, self._path = search, path
        self.rows = len(self.keys)

    @property
    def heads(self) -> Keys:
        """All keys: each has its own vector on the server."""
        return self.keys

    def write(self, write: Callable[[bytes], int]) -> None:
        """Write what is kept here."""
        write(self.kept.pack())

    def search(self, queries: Matrix, k: int, mask: Mask | None = None) -> Neighbors:
        """Return candidates for the `k` nearest; see `VectorIndex`."""
        # Of equal scores, the server may return any: some more, to be ordered by key here.
        k = min(2 * validate_k(k) + MORE, self.rows, self.server.most_found)
        asking = np.flatnonzero(queries.any(axis=1))
        out = nothing(len(queries), k)
        chosen: Chosen | None = None if mask is None else mask.selector
        evaluates = chosen is not None and chosen.expression is not None
        if not k or not len(asking) or (mask and not evaluates and not mask.share):
            return out
        self.check(metadata=evaluates)
        name, parameters = self.reference.name, self.parameters(k)
        asked = name, self._shape, queries[asking], k, parameters, chosen, self.reference.point
        found = self.server.search(*asked)
        if evaluates:  # and none of the metadata has changed meanwhile
            self.check(metadata=True)
        if mask is None and not (found.keys != NO_KEY).any():
            raise self._damaged("it finds nothing: its vectors are gone")
        # Another writer may have added some that this state does not know.
        keys = np.where(is_among(found.keys, self.keys), found.keys, NO_KEY)
        width = found.keys.shape[1]
        out.keys[asking, :width], out.scores[asking, :width] = keys, found.scores
        out.scores[out.keys == NO_KEY] = -np.inf
        return best(out.keys, out.scores, k)

    def parameters(self, k: int) -> dict[str, float]:
        """Return the search parameters for `k` neighbors, by the server's names."""
        chosen = {**self.server.usual(self._shape.structure), **self._search}
        # A list of candidates must not be shorter than what is asked for.
        lists = ("ef", "search_list")
        return {name: max(value, k) if name in lists else value for name, value in chosen.items()}

    def expand(self, found: Neighbors, k: int, mask: Mask | None = None) -> Neighbors:
        """Return the `k` best keys."""
        return Neighbors(found.keys[:, :k], found.scores[:, :k])

    def mask(self, hidden: Keys) -> Mask | None:
        """Return a mask that hides some keys; None if there is none of them."""
        visible = ~np.isin(self.keys, hidden, assume_unique=True)
        if visible.all():
            return None
        shown = int(visible.sum()) <= len(visible) // 2
        chosen = Chosen(self.keys[visible == shown], bool(shown))
        heads = np.where(visible, self.keys, NO_KEY)
        return Mask(visible, chosen, Nodes(heads, NO_KEYS, NO_KEYS))

    def pushed(self, where: Filter, content: int, hidden: Mask | None) -> Mask | None:
        """Return a mask with which the server evaluates a filter; see `VectorIndex.pushed`."""
        if not self.reference.metadata or content != self.reference.content:
            return None
        if hidden and not self.supports_filter(hidden):
            return None
        condition = condition_of(where, self.reference.known)
        expression = None if condition is None else self.server.expression(condition)
        if expression is None:
            return None
        chosen = replace(hidden.selector if hidden else ALL_KEYS, expression=expression)
        visible = hidden.visible if hidden else np.broadcast_to(np.True_, self.rows)
        return Mask(visible, chosen, Nodes(self.keys, NO_KEYS, NO_KEYS))

    def supports_filter(self, mask: Mask) -> bool:
        """Return whether the server can be given the keys that are shown or hidden."""
        return len(mask.selector.keys) <= self.server.most_chosen

    def efforts(self) -> Sequence[Sequence[Mapping[str, float]]]:
        """Return search parameters to choose from, in one row."""
        return [list(self.server.efforts(self._shape.structure))]

    def cost(self, search: Mapping[str, float]) -> float:
        """Return a number that grows with the effort: the time of a network is not known here."""
        return float(sum(search.values()))

    def using(self, search: Mapping[str, float]) -> RemoteIndex:
        """Return the same index with other search parameters."""
        other = copy(self)
        other._search = dict(search)
        return other

    def check(self, *, metadata: bool = False) -> None:
        """Raise a DamageError unless the collection on the server is of this state.

        An EngineError if the server does not answer. If asked, a FilterNotSeenError if it has not
        the `metadata` of this state.
        """
        properties = self.server.properties(self.reference.name)
        if properties is None:
            raise self._damaged("it is gone")
        marks, mark = properties.get(MARKS, "").split(), self.reference.mark
        if mark not in marks:
            known = [generation_of(one) for one in marks]
            place = "behind" if max(known, default=0) < generation_of(mark) else "ahead"
            raise self._damaged(
                f"it is {place}: it is of generation {max(known, default=0)}, and here is "
                f"{generation_of(mark)}"
            )
        if metadata and properties.get(METADATA) != self.reference.metadata:
            raise FilterNotSeenError(f"{self.server.place} has other metadata now. Search again.")

    def verify(self, blocks: Sequence[Block], described: Described) -> None:
        """Raise a DamageError unless the collection has all keys, and a sample of their rows."""
        self.check()
        shape = self.server.shape(self.reference.name)
        if shape != (self._shape.dim, self._shape.similarity):
            raise self._damaged(
                f"its vectors are {shape[0]} wide, compared by '{shape[1]}'; expected "
                f"{self._shape.dim} and '{self._shape.similarity}'"
            )
        if (count := self.server.count(self.reference.name)) < self.rows:
            raise self._damaged(f"it has {count:,} vectors; expected {self.rows:,}")
        sample = np.sort(np.random.default_rng(0).permutation(self.keys)[:SAMPLE])
        found, vectors, rows = self.server.fetch(self.reference.name, sample)
        for block in blocks:
            here = rows_of(sample, block.keys)
            keys = block.keys[here]
            expected = np.asarray(block.vectors[here], np.float32)
            there = np.searchsorted(found, keys)
            if not is_among(keys, found).all() or not np.array_equal(vectors[there], expected):
                raise self._damaged("it has other vectors than the shards here")
        if self.reference.metadata and described.content == self.reference.content:
            try:
                self.check(metadata=True)
            except FilterNotSeenError:
                raise self._damaged("others have changed its metadata") from None
            wanted = [row_of(one, {}) for one in described.metadata(found)]
            if wanted != list(rows):
                raise self._damaged("it has other metadata than the documents here")

    @cached_property
    def _step(self) -> str:
        return "Repair the collection: that builds the index again from the vectors here."

    def _damaged(self, what: str) -> DamageError:
        step = None if self._path is None else repair_step(self._path)
        place = f"The collection {self.reference.name} of {self.server.place}"
        return DamageError(
            f"{place} is not the index that was built: {what}. {self._step}", next_step=step
        )


@dataclass(frozen=True)
class FilterSupport:
    """Whether a server has the metadata as they are now, and the fields that are left out of it."""

    is_current: bool
    left_out: tuple[str, ...]


def filter_support(reference: Reference, content: int) -> FilterSupport:
    """Return what a file says of filters, for the generation of the documents."""
    left_out = (name for name, kinds in reference.known.items() if LACKING in kinds)
    is_current = bool(reference.metadata) and reference.content == content
    return FilterSupport(is_current, tuple(sorted(map(readable, left_out))))


def generation_of(mark: str) -> int:
    """Return the generation in a mark; 0 if it is none of ours."""
    number = mark.partition("-")[0]
    return int(number) if number.isdecimal() else 0
