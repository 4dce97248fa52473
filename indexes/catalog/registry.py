"""Embeddings, shards and indexes in the catalog: which files count, and which keys they cover."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from indexes.catalog.records import EmbeddingRow, Fitted, IndexRow, NewEmbedding, ShardRow
from indexes.catalog.sqlite.database import Catalog
from indexes.errors import (
    DamageError,
    InputError,
    MismatchError,
    NextStep,
    check_text,
    unknown_name,
)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EMBEDDINGS = """
    SELECT embedding, name, embedder, model, fingerprint, dim, dtype, facts, replaces, fitted,
           fitted_size, fitted_checksum
    FROM embeddings
"""
# Without SQLite's index of names, which may be damaged.
_INDEXES = """
    SELECT number, name, kind, embedding, recipe, generation, stop_key, rows, file, size, checksum,
           seconds, report
    FROM indexes NOT INDEXED
"""


class Registry:
    """Embeddings, shards and indexes. Methods that write must run inside `catalog.writing()`."""

    def __init__(self, catalog: Catalog, place: str) -> None:
        self._catalog = catalog
        self._place = place

    def add_embedding(
        self, name: str, new: NewEmbedding, fitted: Fitted, replaces: int | None = None
    ) -> EmbeddingRow:
        """Add an embedding, named after its first index, with a number if the name is taken."""
        taken = {row.name for row in self.embeddings()}
        names = chain([name], (f"{name}-{number}" for number in count(2)))
        unique = next(one for one in names if one not in taken)
        number = self._catalog.insert(
            """
            INSERT INTO embeddings (name, embedder, model, fingerprint, dim, dtype, facts, replaces,
                                    fitted, fitted_size, fitted_checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [unique, *new.columns(), replaces, *fitted.columns()],
        )
        return self.embedding(number)

    def set_fitted(self, number: int, fitted: Fitted, attributes: Mapping[str, Any]) -> None:
        """Set the file and the attributes of what an embedding was fitted to."""
        sql = """
            UPDATE embeddings SET fitted = ?, fitted_size = ?, fitted_checksum = ?, facts = ?
            WHERE embedding = ?
        """
        self._catalog.execute(sql, [*fitted.columns(), json.dumps(attributes), number])

    def unfinished_refits(self, number: int) -> list[EmbeddingRow]:
        """Return the unfinished refits of the embedding of that number."""
        rows = self._catalog.rows(f"{_EMBEDDINGS} WHERE replaces = ? ORDER BY embedding", [number])
        return [EmbeddingRow.of(row) for row in rows]

    def replace_embedding(self, old: EmbeddingRow, new: EmbeddingRow) -> None:
        """Replace an embedding, which no index uses any more, by another under its name."""
        self.drop_embedding(old.number, but=new.number)
        sql = "UPDATE embeddings SET replaces = NULL, name = ? WHERE embedding = ?"
        self._catalog.execute(sql, [old.name, new.number])

    def embedding(self, number: int) -> EmbeddingRow:
        """Return the embedding of that number."""
        (row,) = self._catalog.rows(f"{_EMBEDDINGS} WHERE embedding = ?", [number])
        return EmbeddingRow.of(row)

    def embedding_of(self, index: IndexRow) -> EmbeddingRow:
        """Return the embedding that an index searches; raise an InputError if it searches none."""
        if index.embedding is None:
            raise InputError(f"Index '{index.name}' is {index.kind}: it has no vectors of its own.")
        return self.embedding(index.embedding)

    def embeddings(self) -> list[EmbeddingRow]:
        """Return all embeddings, oldest first."""
        rows = self._catalog.rows(f"{_EMBEDDINGS} ORDER BY embedding")
        return [EmbeddingRow.of(row) for row in rows]

    def drop_embedding(self, number: int, *, but: int = 0) -> None:
        """Drop an embedding, its unfinished refits except for `but`, and their shards."""
        for one in (number, *(row.number for row in self.unfinished_refits(number))):
            if one != but:
                self._catalog.execute("DELETE FROM stale WHERE holder = ?", [one])
                self._catalog.execute("DELETE FROM shards WHERE embedding = ?", [one])
                self._catalog.execute("DELETE FROM embeddings WHERE embedding = ?", [one])

    def next_shard(self) -> int:
        """Return the number of the next shard, for its file's name; no number is used again."""
        sql = """
            SELECT MAX(number) FROM (
                SELECT COALESCE(MAX(shard), 0) AS number FROM shards UNION ALL
                SELECT seq FROM sqlite_sequence WHERE name = 'shards'
            )
        """
        return int(self._catalog.value(sql)) + 1

    def add_shard(self, shard: ShardRow) -> None:
        """Add a finished file: from this commit on it counts."""
        sql = "INSERT INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self._catalog.execute(sql, shard.columns())

    def drop_shards(self, shards: Sequence[ShardRow]) -> None:
        """Drop shards that another one replaces."""
        numbers = [(shard.number,) for shard in shards]
        self._catalog.execute_many("DELETE FROM shards WHERE shard = ?", numbers)

    def shards(self, embedding: int) -> list[ShardRow]:
        """Return the shards of an embedding, in key order."""
        sql = """
            SELECT shard, embedding, first_key, stop_key, rows, present, file, size, checksum,
                   seconds, report
            FROM shards NOT INDEXED WHERE embedding = ? ORDER BY first_key
        """
        return [ShardRow.of(row) for row in self._catalog.rows(sql, [embedding])]

    def shard_numbers(self) -> set[int]:
        """Return the numbers of the shards of all embeddings."""
        return {number for (number,) in self._catalog.rows("SELECT shard FROM shards NOT INDEXED")}

    def set_index(self, index: IndexRow) -> None:
        """Add an index, or replace the one of the same name."""
        self._catalog.execute(
            """
            INSERT INTO indexes (name, kind, embedding, recipe, generation, stop_key, rows, file,
                                 size, checksum, seconds, report)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET
                kind = excluded.kind, embedding = excluded.embedding, recipe = excluded.recipe,
                generation = excluded.generation, stop_key = excluded.stop_key,
                rows = excluded.rows, file = excluded.file, size = excluded.size,
                checksum = excluded.checksum, seconds = excluded.seconds,
                report = excluded.report
            """,
            index.columns()[1:],
        )

    def of_kind(self, kind: str) -> list[IndexRow]:
        """Return all indexes of a kind, oldest first."""
        return [row for row in self.indexes() if row.kind == kind]

    def drop_index(self, name: str) -> None:
        """Drop an index."""
        number = "(SELECT number FROM indexes WHERE name = ?)"
        self._catalog.execute(f"DELETE FROM stale WHERE holder = -{number}", [name])
        self._catalog.execute("DELETE FROM indexes WHERE name = ?", [name])

    def rename_index(self, old: str, new: str) -> None:
        """Rename an index, in all combinations of it as well, and its embedding if it named that.

        Files keep their names: each is of one commit, so that no other file gets the same.
        """
        for row in self.indexes():
            if old in row.parts:
                parts = [new if part == old else part for part in row.parts]
                self.set_index(replace(row, definition={**row.definition, "parts": parts}))
        self._catalog.execute("UPDATE indexes SET name = ? WHERE name = ?", [new, old])
        if new not in [row.name for row in self.embeddings()]:
            self._catalog.execute("UPDATE embeddings SET name = ? WHERE name = ?", [new, old])

    def indexes(self) -> list[IndexRow]:
        """Return all indexes, oldest first."""
        rows = self._catalog.rows(f"{_INDEXES} ORDER BY number")
        return [IndexRow.of(row) for row in rows]

    def index(self, name: str) -> IndexRow:
        """Return the index of that name, or raise an UnknownNameError that lists the others."""
        check_text("The name of an index", name)
        row = self._catalog.row(f"{_INDEXES} WHERE name = ?", [name])
        if row is None:
            raise unknown_name("index", name, self._place, [row.name for row in self.indexes()])
        return IndexRow.of(row)


def check_index_name(name: str) -> None:
    """Raise an InputError for a name that cannot name a file of an index."""
    check_text("The name of an index", name)
    if not NAME.fullmatch(name):
        raise InputError(
            f"'{name}' cannot name an index. "
            "Use letters, digits, dots, dashes and underscores (64 at most)."
        )


def another_index(
    folder: Path,
    row: IndexRow,
    users: Sequence[str],
    wanted: Mapping[str, Any] | None = None,
) -> MismatchError:
    """Return the error for a name that another index has.

    `users` are the combinations that it is a part of: with any, it cannot be dropped. `wanted` is a
    definition of the same kind, from which its own differs: the message says how.
    """
    found = f" ({row.kind})"
    if wanted is not None:
        found = f", with another definition: {', '.join(_differences(row.definition, wanted))}"
    exists = f"Index '{row.name}' exists already{found}"
    if users:
        return MismatchError(f"{exists}, and is part of: {', '.join(users)}. Choose another name.")
    return MismatchError(
        f"{exists}. Drop the index first, or choose another name.",
        next_step=NextStep("drop", folder, row.name),
    )


def _differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return what differs, as `depth is 100, not 9`; of combinations of two kinds, that alone."""
    gone = [name for name in stored if name not in wanted]
    new = [name for name in wanted if name not in stored]
    # The definition of a combination begins with its kind, and all of one kind have the same names.
    if "parts" in stored and gone and new:
        return [f"it is of the kind {gone[0]}, not {new[0]}"]
    return [
        f"{name} is {_shown(stored, name)}, not {_shown(wanted, name)}"
        if not isinstance(stored.get(name), Mapping)
        else f"another {name}"
        for name in dict.fromkeys([*stored, *wanted])
        if stored.get(name) != wanted.get(name)
    ]


def _shown(definition: Mapping[str, Any], name: str) -> str:
    value = definition.get(name, "the default")
    return value if isinstance(value, str) else json.dumps(value)


def gaps(shards: Sequence[ShardRow], stop_key: int) -> list[tuple[int, int]]:
    """Return the intervals of keys before `stop_key` that no shard covers: left to embed."""
    left, position = [], 1
    for shard in sorted(shards, key=lambda shard: shard.first_key):
        if shard.first_key < position:
            raise DamageError(f"Shard {shard.number} and one before it cover the same keys.")
        if shard.first_key > position:
            left.append((position, shard.first_key))
        position = shard.stop_key
    if position < stop_key:
        left.append((position, stop_key))
    return left
