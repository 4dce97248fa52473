"""The SQLite file that defines a collection: the only place where anything commits."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexes.catalog import forks
from indexes.catalog.commits import note_commit
from indexes.catalog.forks import Connection
from indexes.checksums import digest
from indexes.errors import CollectionError, DamageError, NextStep
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
# SQLite's result codes for an intact file that cannot be used now.
TEMPORARY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_TOOBIG,
}
# Those of a file system that cannot do what several processes need.
SHARING = {
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_PROTOCOL,
}
# A subquery over numbers or ids in JSON.
CHOSEN = "(SELECT value FROM json_each(?))"
BUSY_MILLISECONDS = 30_000
LOG_BYTES = 64 << 20

Row = tuple[Any, ...]


class _OfThread(threading.local):
    """What a catalog keeps for each thread: its connections, and what it is doing."""

    reader: Connection | None = None
    writer: Connection | None = None
    reading = False
    writing = False
    # Inside `reading()`: its connection with the process that began it, and its generation; or the
    # state that was read, while its transaction is put off.
    begun: tuple[sqlite3.Connection, int] | None = None
    generation: int | None = None
    put_off: Row | None = None
    # Of a connection that was opened as immutable: what changes when somebody writes.
    stamp: tuple[object, ...] | None = None


class Catalog:
    """One connection a thread to a collection's `catalog.db`.

    Statements inside `reading()` see one state of the collection; statements inside `writing()`
    take effect together or not at all. Each raises DamageError if the file is damaged, and
    CollectionError if the disk is full or the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = _OfThread()
        # Weak: a thread's connections are closed when it ends.
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._opening = threading.Lock()
        self._closed = False
        # The file that was opened; another may come to its place.
        self._file = str(path.absolute())
        self._identity = _identity(self._file)
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
                raise self._replaced()
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
        return size_of(self._log) > 0

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
        except (sqlite3.Error, UnicodeDecodeError) as error:
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
        except (sqlite3.Error, UnicodeDecodeError) as error:
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
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self.translate(error) from error

    def damage(self, what: str) -> DamageError:
        """Return the error for a catalog that is not what was committed."""
        return DamageError(
            f"{self.path} is damaged: {what}. Restore it from a backup, or verify the collection "
            "to see all problems.",
            next_step=NextStep("verify", self.path.parent),
        )

    def translate(self, error: sqlite3.Error | UnicodeDecodeError) -> Exception:
        """Return SQLite's error as one of ours; one that only a bug of ours causes is unchanged."""
        if isinstance(error, UnicodeDecodeError):
            return self.damage("a text is not valid UTF-8")
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in TEMPORARY:
            if self.path.exists() and not os.access(self.path, os.R_OK):
                return CollectionError(
                    f"{self.path} cannot be read: permission denied. Run as a user who may read it."
                )
            return CollectionError(f"{self.path} cannot be used: {error}. {self._advice(error)}")
        # Our statements fit our schema: where SQLite cannot run one, the schema was changed, or a
        # value is not what we wrote.
        if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
            return self.damage(str(error))
        return error

    def _advice(self, error: sqlite3.Error) -> str:
        """Return what to do about an error of an intact file."""
        if error.sqlite_errorcode in SHARING:
            return (
                "Its file system may be one that cannot share memory or locks between processes, "
                "such as a network file system. Copy the folder to a local disk, and open the copy."
            )
        if not os.access(self.path.parent, os.W_OK) and self._log.exists():
            return (
                f"Its folder cannot be written to, and its latest changes are in {self._log.name}. "
                "Copy the folder, with that file, to where you may write, and open the copy."
            )
        return "Check that the disk has room and that you may write there, then try again."

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
        begun = None if self._closed else self._local.begun
        connection: sqlite3.Connection = begun[0] if begun else self.database.conn
        return connection

    @property
    def database(self) -> Connection:
        """This thread's connection: its writer's inside `writing()`, else its reader's."""
        if self._closed:
            raise CollectionError(f"{self.path.parent}/ is closed. Open it again.")
        if forks.INHERITED and self._identity in forks.INHERITED:
            raise CollectionError(
                f"{self.path.parent}/ was opened before this process was forked, and was in use. "
                "Open it in the new process, and start that by spawn or forkserver."
            )
        local = self._local
        role = "writer" if local.writing and not local.reading else "reader"
        database = local.reader if role == "reader" else local.writer
        if database is None or not database.conn.in_transaction:
            self.check_identity()
            if database is None or (local.stamp is not None and self._stamp() != local.stamp):
                database = self._open(role)
        return database

    def check_identity(self) -> None:
        """Raise a CollectionError if another file, or none, is where the catalog was opened."""
        try:
            found = os.stat(self._file)  # noqa: PTH116 - at each search, in a third of the time
        except OSError:
            raise self._replaced() from None
        if (found.st_dev, found.st_ino) != self._identity:
            raise self._replaced()

    def _replaced(self) -> CollectionError:
        return CollectionError(
            f"{self.path.parent}/ was moved, removed or replaced after it was opened. "
            "Open it again, where it is now; a service that has it must be restarted."
        )

    def _open(self, role: str) -> Connection:
        with self._opening:
            database = self._connect()
            try:
                self.check_identity()  # not replaced since
            except CollectionError:
                database.close()
                raise
            self._opened.add(database)
        setattr(self._local, role, database)
        return database

    def _connect(self) -> Connection:
        # Used by one thread each, but closed by whichever closes the collection.
        connection = sqlite3.connect(self._address(), uri=True, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL: a finished commit survives a power cut, so files may be removed after it.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA recursive_triggers = ON")
        # Bytes that a large transaction's log is truncated to.
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        return Connection(connection)

    def _address(self) -> str:
        """Return the file's URI for SQLite; read-only in a folder that cannot be written to."""
        address = f"file:{quote(self._file)}"
        self._local.stamp = None
        if os.access(self.path.parent, os.W_OK):
            return f"{address}?mode=rw"  # never creates it
        if self._log.exists():
            return f"{address}?mode=ro"
        # Nobody is writing, so SQLite needs no shared memory, until somebody does.
        self._local.stamp = self._stamp()
        return f"{address}?mode=ro&immutable=1"

    def _stamp(self) -> tuple[object, ...]:
        """Return what changes when somebody writes, for a reader of a read-only folder."""
        stat = self.path.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns, self._log.exists()

    @property
    def _log(self) -> Path:
        return self.path.with_name(f"{self.path.name}-wal")

    def before_fork(self) -> list[Connection]:
        """Close this thread's idle connections; return those that stay open. See `forks`."""
        self._opening.acquire()
        if self._closed:
            return []
        for role in ("reader", "writer"):
            database = getattr(self._local, role)
            if database is not None and not database.conn.in_transaction:
                setattr(self._local, role, None)
                self._opened.discard(database)
                database.close()
        return list(self._opened)

    def after_fork(self, *, in_child: bool) -> None:
        """Resume in the parent, or start in the child without what it inherited."""
        if not in_child:
            self._opening.release()
            return
        self._opening = threading.Lock()
        if self._opened and self._identity:
            forks.INHERITED.add(self._identity)
        self._opened = weakref.WeakSet()
        self._local = _OfThread()

    def close(self) -> None:
        """Close the connections of all threads; the catalog cannot be used afterwards."""
        self._closed = True
        with self._opening:
            for database in list(self._opened):
                database.close()
            self._opened.clear()


def _identity(file: str) -> tuple[int, int] | None:
    """Return what tells a file from all others, also from one of its name; None if it is absent."""
    try:
        stat = os.stat(file)  # noqa: PTH116 - at each search, in a third of the time
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


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
