"""The SQLite file that is the truth of a collection, and the only place where anything commits."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import shlex
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlite_utils

from indexes.catalog import migrations
from indexes.catalog.row_checksums import digest
from indexes.errors import CollectionError, DamageError, NewerFormatError, NotACollectionError
from indexes.storage.files import sync, writer_lock

# "RTRV" in ASCII, in SQLite's header: tells our file from any other database.
APPLICATION_ID = 0x52545256
# What decides which files count, and what the numbers in this catalog mean.
MANIFEST = (
    "SELECT generation, content, documents, passages, next_document, next_key, split FROM state",
    "SELECT * FROM embeddings NOT INDEXED ORDER BY embedding",
    "SELECT * FROM shards NOT INDEXED ORDER BY shard",
    "SELECT * FROM indexes NOT INDEXED ORDER BY number",
    "SELECT * FROM fields NOT INDEXED ORDER BY field",
    "SELECT COUNT(*), SUM(key) FROM tombstones",
    "SELECT * FROM sources ORDER BY fingerprint",
)
# SQLite's result codes for a file that cannot be used now, though nothing is wrong with it.
PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_TOOBIG,
}
BUSY_MILLISECONDS = 30_000
LOG_BYTES = 64 << 20
PATIENCE = 2.0
# All that are open in this process: SQLite's connections must not live through a fork.
CATALOGS: weakref.WeakSet[Catalog] = weakref.WeakSet()
# Behind the name of a catalog that is being created: a crash leaves no half of one under the name.
UNFINISHED = ".creating"

Row = tuple[Any, ...]


class Catalog:
    """One connection a thread to a collection's `catalog.db`.

    Statements run inside `reading()` see one state of the collection; statements inside `writing()`
    take effect together or not at all. Everything else about transactions stays in here.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        # Weak: a thread's connections go when it ends.
        self._opened: weakref.WeakSet[sqlite_utils.Database] = weakref.WeakSet()
        self._opening = threading.Lock()
        self._closed = False
        # The generation whose manifest was found whole, with its digest.
        self._whole: Row | None = None
        self._checked: set[str] = set()
        self._inherits = False
        _watch_forks()
        CATALOGS.add(self)

    @classmethod
    def create(cls, path: Path, split: str = "null") -> Catalog:
        """A new, empty catalog at `path`; `split` is the JSON of how documents are cut.

        Raises:
            CollectionError: the folder cannot be written to.
        """
        unfinished = path.with_name(path.name + UNFINISHED)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(path.parent, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            # Two processes may want to make the same one.
            with writer_lock(path.parent, PATIENCE):
                if path.exists():
                    raise CollectionError("another process has just made one there")
                for leftover in path.parent.glob(f"{unfinished.name}*"):
                    leftover.unlink()
                cls(unfinished)._set_up(split)
                # Closing does not say when it fails: the log was moved into the file before.
                unfinished.with_name(f"{unfinished.name}-wal").unlink(missing_ok=True)
                unfinished.replace(path)
                sync(path.parent)
                sync(path.parent.parent)
        except (OSError, sqlite3.Error, CollectionError) as error:
            raise CollectionError(
                f"Cannot create a collection in {path.parent}/: {error}. "
                "Choose a folder that you may write to."
            ) from None
        return cls(path)

    def _set_up(self, split: str) -> None:
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrations.steps.apply(self._database)
            with self._transaction():
                self.execute("UPDATE state SET split = ?", [split])
            if self.value("PRAGMA wal_checkpoint(TRUNCATE)"):
                raise CollectionError("its log cannot be moved into the file")
        finally:
            self.close()

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """The catalog at `path`, brought up to this version's schema.

        Raises:
            NotACollectionError: there is no such file, or it is another program's database.
            NewerFormatError: a newer version of Retriever has written it.
            DamageError: SQLite cannot read it.
        """
        _check_there(path)
        catalog = cls(path)
        try:
            catalog._check_version()
        except CollectionError:
            catalog.close()
            raise
        except sqlite3.Error as error:
            catalog.close()
            raise catalog._translate(error) from None
        except Exception as error:
            # What sqlite-utils makes of a table of schema steps that is not what it wrote.
            catalog.close()
            raise catalog.damage(f"its schema cannot be read ({error})") from None
        return catalog

    def _check_version(self) -> None:
        if self.value("PRAGMA application_id") != APPLICATION_ID:
            raise NotACollectionError(
                f"{self._path} is not a collection's catalog: another program has written it."
            )
        pending = {step.name for step in migrations.steps.pending(self._database)}
        applied = {step.name for step in migrations.steps.applied(self._database)}
        newer = sorted(applied - migrations.NAMES)
        if newer:
            raise NewerFormatError(
                f"{self._path.parent}/ was written by a newer Retriever (schema step {newer[-1]}). "
                "Upgrade with: pip install --upgrade retriever-compare"
            )
        if pending:
            self._bring_up_to_date()

    def _bring_up_to_date(self) -> None:
        """Apply the schema's newer steps, in one transaction."""
        folder = self._path.parent
        if not os.access(folder, os.W_OK):
            raise CollectionError(
                f"{folder}/ was written by an older Retriever and must be brought up to date once. "
                f"Open it where it may be written to: retriever info {self.quoted_folder}"
            )
        # Two readers may open it at once: one of them does this, and the other finds it done.
        with writer_lock(folder, PATIENCE), self._writer():
            self.execute("PRAGMA foreign_keys = OFF")  # tables are replaced; no effect inside
            with self._transaction():
                migrations.steps.apply(self._database)
            self.execute("PRAGMA foreign_keys = ON")

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def quoted_folder(self) -> str:
        """Its folder as a shell takes it, for advice."""
        return shlex.quote(str(self._path.parent))

    # -- transactions ---------------------------------------------------------------------------

    def reading(self) -> _Reading:
        """Return a context in which all statements see one committed state.

        That holds whatever a writer does meanwhile, and also inside this thread's own `writing()`,
        whose changes may never be committed. A nested context sees the state of the outer one.
        """
        return _Reading(self)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """All statements inside take effect together on leaving; none does when it raises."""
        with self._writer(), self._transaction():
            self._check_manifest()
            yield

    @contextlib.contextmanager
    def _writer(self) -> Iterator[None]:
        """Use this thread's connection for writing."""
        try:
            self._local.writing = True
            yield
        finally:
            self._local.writing = False

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Changes that take effect together, as a new generation with its digest."""
        with self._begun("BEGIN IMMEDIATE"):
            yield
            self.execute("UPDATE state SET generation = generation + 1")
            self.execute("UPDATE state SET digest = ?", [self._digest()])
            self.execute("COMMIT")

    @contextlib.contextmanager
    def _begun(self, statement: str) -> Iterator[None]:
        """A transaction; what is not committed inside is rolled back, wherever Ctrl-C strikes."""
        connection, process = self._database.conn, os.getpid()
        try:
            self._begin(connection, statement)
            yield
        finally:
            _roll_back(connection, process)

    def _begin(self, connection: sqlite3.Connection, statement: str) -> None:
        if connection.in_transaction:
            connection.rollback()
        try:
            connection.execute(statement)
        except sqlite3.Error as error:
            raise self._translate(error) from error

    def _check_manifest(self) -> int:
        """Check, once a generation, that the tables that name files are as they were committed.

        Gives the generation.

        Raises:
            DamageError: they are not.
        """
        row = self.row("SELECT generation, digest FROM state")
        if row is None or row != self._whole:
            if row is None or row[1] != self._digest():
                raise self.damage("its list of files is not what was committed")
            self._whole = row
        return int(row[0])

    def check_once(self, name: str, check: Callable[[], None]) -> None:
        """Run a check the first time that it is asked for: damage comes while files lie still."""
        if name not in self._checked:
            check()
            self._checked.add(name)

    def _digest(self) -> bytes:
        return digest(self.rows(sql) for sql in MANIFEST)

    def _flag(self, name: str) -> bool:
        return bool(getattr(self._local, name, False))

    def vacuum(self) -> None:
        """Write the file anew without what was deleted, and give the room back to the disk.

        While somebody reads an older state, its room is kept until the next commit after that.
        """
        with self._writer():
            self.execute("VACUUM")
            self.execute("PRAGMA busy_timeout = 0")
            try:
                self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")

    def reindex(self, tables: Iterable[str]) -> bool:
        """Build SQLite's own indexes of some tables again; whether that could be done."""
        try:
            with self._writer():
                for table in tables:
                    self.execute(f"REINDEX {table}")
        except sqlite3.IntegrityError:
            return False  # two rows with what must be unique
        return True

    # -- statements -----------------------------------------------------------------------------
    # Each raises DamageError where the file is damaged, and CollectionError where the disk is full
    # or the file cannot be written.

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        try:  # every search comes by here: sooner than by `_told`
            found: list[Row] = self._connection.execute(sql, parameters).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._translate(error) from error
        return found

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of a query, one at a time."""
        with self._translating_errors():
            yield from self._connection.execute(sql, parameters)

    def pages(self, sql: str, parameters: Sequence[Any], limit: int) -> Iterator[list[Row]]:
        """The rows of a query in pages, by their first column, a number that ascends from above 0.

        The query's last two parameters are the number to start behind, and how many rows to give.

        Raises:
            DamageError: the numbers do not ascend: it would never end.
        """
        position = 0
        while page := self.rows(sql, [*parameters, position, limit]):
            for number, *_ in page:
                if not isinstance(number, int) or number <= position:
                    raise self.damage("rows do not stand in their order")
                position = number
            yield page

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of a query, or None."""
        try:
            found: Row | None = self._connection.execute(sql, parameters).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._translate(error) from error
        return found

    def value(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row of a query that always has one."""
        row = self.row(sql, parameters)
        if row is None:
            raise self.damage("its row of state is lost")
        return row[0]

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; the number of rows that it changed."""
        with self._translating_errors():
            return int(self._connection.execute(sql, parameters).rowcount)

    def insert(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one INSERT; the key of the new row."""
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
            raise self._translate(error) from error

    def damage(self, what: str) -> DamageError:
        """The error for a catalog that is not what was committed."""
        return DamageError(
            f"{self._path} is damaged: {what}. Restore it from a backup, "
            f"or see what is wrong with: retriever verify {self.quoted_folder}"
        )

    def _translate(self, error: sqlite3.Error | UnicodeDecodeError) -> Exception:
        """SQLite's error in our words; one that only a bug of ours can cause stays as it is."""
        if isinstance(error, UnicodeDecodeError):
            return self.damage("text that is no text")
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in PASSING:
            return CollectionError(
                f"{self._path} cannot be used: {error}. "
                "Check that the disk has room and that you may write there, then try again."
            )
        # Our statements fit our schema: where SQLite cannot follow one, the schema was changed, or
        # a value is not what we wrote.
        if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
            return self.damage(str(error))
        return error

    def generation(self) -> int:
        """How many commits have changed what a search can see; inside `reading()`, up to there."""
        known: int | None = getattr(self._local, "generation", None)
        return int(self.value("SELECT generation FROM state")) if known is None else known

    # -- connections ----------------------------------------------------------------------------

    @property
    def _connection(self) -> sqlite3.Connection:
        """That of `_database`; inside `reading()` it is known already."""
        begun = getattr(self._local, "begun", None)
        if begun is None or self._closed:
            connection: sqlite3.Connection = self._database.conn
        else:
            connection = begun[0]
        return connection

    @property
    def _database(self) -> sqlite_utils.Database:
        """This thread's connection: its writer's inside `writing()`, else its reader's."""
        if self._closed:
            raise CollectionError(f"{self._path.parent}/ is closed. Open it again.")
        if self._inherits:
            raise CollectionError(
                f"{self._path.parent}/ was opened before this process was forked, and was in use. "
                "Open it in the new process, and start that by spawn or forkserver."
            )
        role = "writer" if self._flag("writing") and not self._flag("reading") else "reader"
        database: sqlite_utils.Database | None = getattr(self._local, role, None)
        if database is not None and self._is_stale(database):
            database = None
        if database is None:
            with self._opening:
                database = self._connect()
                self._opened.add(database)
            setattr(self._local, role, database)
        return database

    def _is_stale(self, database: sqlite_utils.Database) -> bool:
        """Whether a connection to what was taken for unchanging may show an older state."""
        stamp = getattr(self._local, "stamp", None)
        return stamp is not None and not database.conn.in_transaction and self._stamp() != stamp

    def _connect(self) -> sqlite_utils.Database:
        # Used by one thread each, but closed by whichever closes the collection.
        connection = sqlite3.connect(self._address(), uri=True, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        connection.execute("PRAGMA foreign_keys = ON")
        # FULL: a commit that was answered survives a power cut, so files may be removed after it.
        connection.execute("PRAGMA synchronous = FULL")
        # A large transaction's log is cut back to this, in bytes.
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        return sqlite_utils.Database(connection, execute_plugins=False)

    def _address(self) -> str:
        """The file as SQLite takes it; in a folder that may not be written to, for reading only."""
        address = f"file:{quote(str(self._path.absolute()))}"
        self._local.stamp = None
        if os.access(self._path.parent, os.W_OK):
            return address
        if self._log.exists():
            return f"{address}?mode=ro"
        # Nobody is writing, and SQLite needs no shared memory of its own; until somebody does.
        self._local.stamp = self._stamp()
        return f"{address}?mode=ro&immutable=1"

    def _stamp(self) -> tuple[object, ...]:
        """What tells a reader of a folder that it may not write to that somebody has written."""
        facts = self._path.stat()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns, self._log.exists()

    @property
    def _log(self) -> Path:
        return self._path.with_name(f"{self._path.name}-wal")

    # SQLite keeps locks by process: a child would believe to hold those of its parent. So a thread
    # that forks closes its own idle connections first, and opens them again when it needs them.
    # What other threads have open can be neither used in the child nor closed there.

    def before_fork(self) -> list[sqlite_utils.Database]:
        """Close what this thread has open and does not use; what is open all the same."""
        self._opening.acquire()
        if self._closed:
            return []
        for role in ("reader", "writer"):
            database = self._local.__dict__.pop(role, None)
            if database is not None and not database.conn.in_transaction:
                self._opened.discard(database)
                database.close()
            elif database is not None:
                setattr(self._local, role, database)
        return list(self._opened)

    def after_fork(self, *, in_child: bool) -> None:
        """Go on in the parent, or begin in the child without what it inherited."""
        if not in_child:
            self._opening.release()
            return
        self._opening = threading.Lock()
        self._inherits = bool(self._opened)
        self._opened = weakref.WeakSet()
        self._local = threading.local()

    def close(self) -> None:
        """Close the connections of all threads; nothing can be asked afterwards."""
        self._closed = True
        with self._opening:
            for database in list(self._opened):
                database.close()
            self._opened.clear()


class _Reading:
    """The context of `Catalog.reading()`: a class, as every search enters one."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._nested = catalog._flag("reading")

    def __enter__(self) -> None:
        if self._nested:
            return
        catalog, local = self._catalog, self._catalog._local
        try:
            local.reading = True
            connection = catalog._database.conn
            local.begun = connection, os.getpid()
            catalog._begin(connection, "BEGIN")
            local.generation = catalog._check_manifest()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *exception: object) -> None:
        if self._nested:
            return
        # In a child that was forked inside, `_local` is another.
        local = self._catalog._local
        begun, local.begun, local.generation = getattr(local, "begun", None), None, None
        try:
            if begun is not None:
                _roll_back(*begun)
        finally:
            local.reading = False


def _roll_back(connection: sqlite3.Connection, process: int) -> None:
    """End a transaction that was begun in a process, if it is still open."""
    # Closed meanwhile, or rolled back by SQLite, there is nothing left to do; in a child that was
    # forked inside, it is the parent's.
    try:
        if os.getpid() == process and connection.in_transaction:
            connection.rollback()
    except sqlite3.Error:
        pass


# Connections that are open while this process forks: kept, and in the child for good.
_AT_FORK: list[sqlite_utils.Database] = []


@functools.cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
        )


def _before_fork() -> None:
    for catalog in list(CATALOGS):
        _AT_FORK.extend(catalog.before_fork())


def _after_in_parent() -> None:
    for catalog in list(CATALOGS):
        catalog.after_fork(in_child=False)
    _AT_FORK.clear()


def _after_in_child() -> None:
    for database in _AT_FORK:
        # Not even the end of the process may close them: that would roll back the parent's work.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(database.conn))
    for catalog in list(CATALOGS):
        catalog.after_fork(in_child=True)


def _check_there(path: Path) -> None:
    folder = path.parent
    try:
        path.stat()
    except PermissionError as error:
        raise CollectionError(f"{path} cannot be read: {error.strerror}.") from None
    except OSError:
        pass
    if folder.is_file():
        raise NotACollectionError(
            f"{folder} is a file; expected the folder of a collection. "
            "The folder comes first: retriever COMMAND LIBRARY ..."
        )
    if not path.is_file():
        raise NotACollectionError(
            f"{folder}/ is not a collection: it has no {path.name}. "
            f"Make one with: retriever add {shlex.quote(str(folder))} FILE"
        )
