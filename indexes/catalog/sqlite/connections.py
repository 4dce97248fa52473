"""The connections of each thread to a catalog's file, while it is the file that was opened."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from pathlib import Path
from urllib.parse import quote

from indexes.catalog.sqlite import forks
from indexes.catalog.sqlite.forks import Connection
from indexes.errors import CollectionError

BUSY_MILLISECONDS = 30_000
LOG_BYTES = 64 << 20


class _OfThread(threading.local):
    """The connections of one thread."""

    reader: Connection | None = None
    writer: Connection | None = None
    # Of a connection that was opened as immutable: what changes when somebody writes.
    stamp: tuple[object, ...] | None = None


class Connections:
    """A connection for reading and one for writing of each thread that asks for them.

    `log` is the path of SQLite's write-ahead log. A connection that is opened, or used again
    outside a transaction, is to the file that was there at first: CollectionError if another has
    taken its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path.with_name(f"{path.name}-wal")
        self.closed = False
        self._local = _OfThread()
        # Weak: a thread's connections are closed when it ends.
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._opening = threading.Lock()
        # The file that was opened; another may come to its place.
        self._file = str(path.absolute())
        self._identity = _identity(self._file)
        forks.watch(self)

    def of_thread(self, *, writer: bool) -> Connection:
        """Return this thread's connection for writing, or the one for reading."""
        if self.closed:
            raise CollectionError(f"{self.path.parent}/ is closed. Open it again.")
        if forks.INHERITED and self._identity in forks.INHERITED:
            raise CollectionError(
                f"{self.path.parent}/ was opened before this process was forked, and was in use. "
                "Open it in the new process, and start that by spawn or forkserver."
            )
        local = self._local
        found = local.writer if writer else local.reader
        if found is None or not found.conn.in_transaction:
            self.check_identity()
            if found is None or (local.stamp is not None and self._stamp() != local.stamp):
                found = self._open("writer" if writer else "reader")
        return found

    def check_identity(self) -> None:
        """Raise a CollectionError if another file, or none, is where the catalog was opened."""
        if self._identity is None or _identity(self._file) != self._identity:
            raise self.replaced()

    def replaced(self) -> CollectionError:
        """Return the error for a file that is not the one that was opened."""
        return CollectionError(
            f"{self.path.parent}/ was moved, removed or replaced after it was opened. "
            "Open it again, where it is now; a service that has it must be restarted."
        )

    def _open(self, role: str) -> Connection:
        with self._opening:
            connection = self._connect()
            try:
                self.check_identity()  # not replaced since
            except CollectionError:
                connection.close()
                raise
            self._opened.add(connection)
        setattr(self._local, role, connection)
        return connection

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
        if self.log.exists():
            return f"{address}?mode=ro"
        # Nobody is writing, so SQLite needs no shared memory, until somebody does.
        self._local.stamp = self._stamp()
        return f"{address}?mode=ro&immutable=1"

    def _stamp(self) -> tuple[object, ...]:
        """Return what changes when somebody writes, for a reader of a read-only folder."""
        stat = self.path.stat()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns, self.log.exists()

    def before_fork(self) -> list[Connection]:
        """Close this thread's idle connections; return those that stay open. See `forks`."""
        self._opening.acquire()
        if self.closed:
            return []
        for role in ("reader", "writer"):
            connection = getattr(self._local, role)
            if connection is not None and not connection.conn.in_transaction:
                setattr(self._local, role, None)
                self._opened.discard(connection)
                connection.close()
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
        """Close the connections of all threads; none can be used or opened afterwards."""
        self.closed = True
        with self._opening:
            for connection in list(self._opened):
                connection.close()
            self._opened.clear()


def _identity(file: str) -> tuple[int, int] | None:
    """Return what tells a file from all others, also from one of its name; None if it is absent."""
    try:
        stat = os.stat(file)  # noqa: PTH116 - at each search, in a third of the time
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
