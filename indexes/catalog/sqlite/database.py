"""The SQLite file that defines a collection: the only place where anything commits."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from indexes.catalog.sqlite import forks
from indexes.catalog.sqlite.commits import note_commit
from indexes.catalog.sqlite.connections import BUSY_MILLISECONDS, Connections
from indexes.catalog.sqlite.forks import Connection
from indexes.catalog.sqlite.problems import TEMPORARY, damage, translated
from indexes.checksums import digest
from indexes.errors import DamageError
from indexes.storage.files import size_of, sync, unwritable
from indexes.storage.verified import is_noted, noting

# The tables that decide which files count, and what the numbers in this catalog mean.
MANIFEST = (
    "SELECT generation, content, documents, passages, next_document, next_key, split FROM state",
    "SELECT * FROM embeddings NOT INDEXED ORDER BY embedding",
    "SELECT * FROM shards NOT INDEXED ORDER BY shard",
    "SELECT * FROM indexes NOT INDEXED ORDER BY number",
    "SELECT * FROM fields NOT INDEXED ORDER BY field",
    "SELECT COUNT(*), SUM(key) FROM tombstones",
    "SELECT COUNT(*), SUM(key), SUM(holder), SUM(document) FROM stale NOT INDEXED",
    "SELECT * FROM sources ORDER BY fingerprint",
    "SELECT COUNT(*), SUM(document), SUM(seal) FROM images",
    "SELECT * FROM origins NOT INDEXED ORDER BY origin",
    "SELECT COUNT(*), SUM(origin), SUM(block), SUM(seal) FROM members",
    "SELECT * FROM readings ORDER BY name",
)
STATE = "SELECT generation, digest FROM state"
_LOG = logging.getLogger("retriever.catalog")
# A subquery over numbers or ids in JSON.
CHOSEN = "(SELECT value FROM json_each(?))"

Row = tuple[Any, ...]


class _OfThread(threading.local):
    """What a thread does with a catalog."""

    reading = False
    writing = False
    # Inside `reading()`: its connection with the process that began it, and its generation; or the
    # state that was read, while its transaction is put off.
    begun: tuple[sqlite3.Connection, int] | None = None
    generation: int | None = None
    put_off: Row | None = None


class Catalog:
    """One connection a thread to a collection's `catalog.db`.

    Statements inside `reading()` see one state of the collection; statements inside `writing()`
    take effect together or not at all. Each raises DamageError if the file is damaged, and
    CollectionError if the disk is full or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = _OfThread()
        self._connections = Connections(path)
        # The generation that the manifest was last verified for, with its digest.
        self._verified: Row | None = None
        self._checked: set[str] = set()
        forks.watch(self)

    def reading(self, *, lazily: bool = False) -> _Reading:
        """Return a context in which all statements see one committed state.

        Also inside this thread's own `writing()`, whose changes may never be committed. A nested
        context sees the state of the outer one.

        With `lazily`, the generation is read alone, and the transaction begins with the next
        statement, if there is one: it raises DamageError if there was a commit in between.
        """
        return _Reading(self, lazily)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Commit all statements inside together on leaving; roll all back when one raises."""
        known = self._verified
        with self.as_writer(), self.transaction():
            generation = self._check_manifest(known)
            yield
        note_commit(self.path, generation + 1)
        _LOG.debug("%s: commit %d", self.path, generation + 1)

    @contextlib.contextmanager
    def as_writer(self) -> Iterator[None]:
        """Use this thread's connection for writing."""
        try:
            self._local.writing = True
            yield
        finally:
            self._local.writing = False

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit the changes inside as a new generation; roll back on any error or Ctrl-C."""
        connection, process = self.database.conn, os.getpid()
        try:
            if connection.in_transaction:
                connection.rollback()
            self.execute("BEGIN IMMEDIATE")
            yield
            self.execute("UPDATE state SET generation = generation + 1")
            self.execute("UPDATE state SET digest = ?", [self._digest()])
            self.execute("COMMIT")
        finally:
            _roll_back(connection, process)

    def _check_manifest(self, known: Row | None) -> int:
        """Return the generation; check once for each that `MANIFEST` is as it was committed.

        `known` was `_verified` before the transaction began: generations only increase.
        """
        row = self.row(STATE)
        if row is None or row != self._verified:
            if row is None or row[1] != self._digest():
                raise self.damage("its list of files is not what was committed")
            if known is not None and row != known and row[0] <= known[0]:
                raise self._connections.replaced()
            self._verified = row
        return int(row[0])

    def _begin_reading(self, *, lazily: bool = False) -> int:
        """Begin to read on this thread's connection; return the generation."""
        known = self._verified
        connection: sqlite3.Connection = self.database.conn
        try:
            if connection.in_transaction:
                connection.rollback()
            if lazily and known is not None and connection.execute(STATE).fetchone() == known:
                self._local.put_off = known
                return int(known[0])
            self._local.begun = connection, os.getpid()
            connection.execute("BEGIN")
            # On the path of every search: if nothing has changed, this is all that is read.
            if known is not None and connection.execute(STATE).fetchone() == known:
                return int(known[0])
        except sqlite3.Error as error:
            raise self.translate(error) from error
        return self._check_manifest(known)

    def _begin_put_off(self, known: Row) -> None:
        """Begin the transaction of a lazy `reading()`, in which the state is to be `known`."""
        connection: sqlite3.Connection = self.database.conn
        try:
            connection.execute("BEGIN")
            if connection.execute(STATE).fetchone() != known:
                raise self.damage("it changed while it was read")  # so would further statements
            self._local.begun, self._local.put_off = (connection, os.getpid()), None
        except sqlite3.Error as error:
            raise self.translate(error) from error
        finally:
            if self._local.put_off is not None:
                _roll_back(connection, os.getpid())

    def check_once(self, name: str, check: Callable[[], object]) -> None:
        """Run a check the first time it is needed: files are damaged while nobody uses them.

        Of a large catalog, one that passed is noted, and not run until its file changes.
        """
        if name in self._checked:
            return
        folder = self.path.parent
        if self._has_log() or not is_noted(folder, self.path, name):
            with contextlib.nullcontext() if self._has_log() else noting(folder, self.path, name):
                check()
        self._checked.add(name)

    def _has_log(self) -> bool:
        """Return whether commits are in the log, which is not part of the catalog's file yet."""
        return size_of(self._connections.log) > 0

    def _digest(self) -> bytes:
        return digest(self.rows(sql) for sql in MANIFEST)

    def vacuum(self) -> None:
        """Rewrite the file without what was deleted, and return the space to the disk."""
        with self.as_writer():
            # While a reader uses an older state, its space is kept until a later commit.
            self.execute("VACUUM")
            self.execute("PRAGMA busy_timeout = 0")
            try:
                self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")

    def back_up(self, path: Path) -> None:
        """Write the state that is read into a new file at `path`, and wait until it is on disk."""
        try:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                self._connection.backup(copy)
            sync(path)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in TEMPORARY:
                raise unwritable(path, str(error)) from None
            raise self.translate(error) from error

    def reindex(self, tables: Iterable[str]) -> bool:
        """Rebuild SQLite's own indexes of some tables; return whether that succeeded."""
        try:
            with self.as_writer():
                for table in tables:
                    self.execute(f"REINDEX {table}")
        except sqlite3.IntegrityError:
            return False  # two rows share a value that must be unique
        return True

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query."""
        try:  # on the path of every search: faster than `_translating_errors`
            found: list[Row] = self._connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, UnicodeError) as error:
            raise self.translate(error) from error
        return found

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Yield the rows of a query."""
        with self._translating_errors():
            yield from self._connection.execute(sql, parameters)

    def pages(
        self, sql: str, parameters: Sequence[Any], limit: int, *, after: int = 0
    ) -> Iterator[list[Row]]:
        """Yield pages of a query's rows, in order of their first column, integers above `after`.

        The query's last two parameters are the number to start after, and the number of rows.
        """
        position = after
        while page := self.rows(sql, [*parameters, position, limit]):
            for number, *_ in page:
                if not isinstance(number, int) or number <= position:  # paging would never end
                    raise self.damage("rows are out of order")
                position = number
            yield page

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Return the first row of a query, or None."""
        try:
            found: Row | None = self._connection.execute(sql, parameters).fetchone()
        except (sqlite3.Error, UnicodeError) as error:
            raise self.translate(error) from error
        return found

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row of a query that always has one."""
        row = self.row(sql, parameters)
        if row is None:
            raise self.damage("its row of state is lost")
        return row[0]

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; return the number of rows that it changed."""
        with self._translating_errors():
            return int(self._connection.execute(sql, parameters).rowcount)

    def insert(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one INSERT; return the key of the new row."""
        with self._translating_errors():
            return int(self._connection.execute(sql, parameters).lastrowid or 0)

    def execute_many(self, sql: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each set of parameters."""
        with self._translating_errors():
            self._connection.executemany(sql, parameters)

    @contextlib.contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeError) as error:
            raise self.translate(error) from error

    def damage(self, what: str) -> DamageError:
        """Return the error for a catalog that is not what was committed."""
        return damage(self.path, what)

    def translate(self, error: sqlite3.Error | UnicodeError) -> Exception:
        """Return SQLite's error as one of ours; one that only a bug of ours causes is unchanged."""
        return translated(error, self.path, self._connections.log)

    def generation(self) -> int:
        """Return how many commits changed what a search can see; in `reading()`, its state's."""
        known = self._local.generation
        if known is not None:
            return known
        found = self.value("SELECT generation FROM state")
        if not isinstance(found, int):
            raise self.damage("its row of state is not what was committed")
        return found

    @property
    def _connection(self) -> sqlite3.Connection:
        """Connection of `database`; inside `reading()` it is known already."""
        if self._local.put_off is not None:
            self._begin_put_off(self._local.put_off)
        begun = None if self._connections.closed else self._local.begun
        connection: sqlite3.Connection = begun[0] if begun else self.database.conn
        return connection

    @property
    def database(self) -> Connection:
        """This thread's connection: its writer's inside `writing()`, else its reader's."""
        local = self._local
        return self._connections.of_thread(writer=local.writing and not local.reading)

    def check_identity(self) -> None:
        """Raise a CollectionError if another file, or none, is where the catalog was opened."""
        self._connections.check_identity()

    def before_fork(self) -> list[Connection]:
        """Return no connections: they have an owner of their own."""
        return []

    def after_fork(self, *, in_child: bool) -> None:
        """Forget in the child what the parent's thread was doing."""
        if in_child:
            self._local = _OfThread()

    def close(self) -> None:
        """Close the connections of all threads; the catalog cannot be used afterwards."""
        self._connections.close()


class _Reading:
    """The context of `Catalog.reading()`: a class, as every search enters one."""

    def __init__(self, catalog: Catalog, lazily: bool) -> None:
        self._catalog, self._lazily = catalog, lazily

    def __enter__(self) -> None:
        catalog, local = self._catalog, self._catalog._local
        self._nested = local.reading
        if self._nested:
            return
        try:
            local.reading = True
            local.generation = catalog._begin_reading(lazily=self._lazily)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exception: object) -> None:
        if self._nested:
            return
        # In a child that was forked inside, `_local` is another.
        local = self._catalog._local
        begun, local.begun, local.generation, local.put_off = local.begun, None, None, None
        try:
            if begun is not None:
                _roll_back(*begun)
        finally:
            local.reading = False


def _roll_back(connection: sqlite3.Connection, process: int) -> None:
    """End a transaction that was begun in `process`, if it is still open."""
    # Nothing to do if the connection was closed or SQLite rolled back; in a child that was forked
    # inside, the transaction is the parent's.
    try:
        if os.getpid() == process and connection.in_transaction:
            connection.rollback()
    except sqlite3.Error:
        pass
