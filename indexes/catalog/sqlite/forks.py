"""SQLite's connections across a fork of this process.

SQLite keeps locks by process: a child would believe that it holds those of its parent. So a thread
that forks closes its own idle connections first, and opens them again when it needs them. What
other threads have open can be neither used in the child nor closed there, and the child cannot open
the same file again.

SQLite's own mutexes are held while a process forks: a child would wait forever for one that another
thread held at that moment.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import functools
import os
import sqlite3
import time
import weakref
from typing import Any, Protocol

from indexes.storage.forking import keep


class Connection:
    """A connection to SQLite that can be referred to weakly."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.conn = conn

    def close(self) -> None:
        """Close it."""
        self.conn.close()


class ForkAware(Protocol):
    """An owner of connections."""

    def before_fork(self) -> list[Connection]:
        """Close what this thread has open and idle; return what stays open."""

    def after_fork(self, *, in_child: bool) -> None:
        """Resume in the parent, or start in the child without what it inherited."""


# Files, by device and inode, that this process inherited open connections to. SQLite would take
# their locks for its own, also in a new connection.
INHERITED: set[tuple[int, int]] = set()
_OWNERS: weakref.WeakSet[ForkAware] = weakref.WeakSet()
# Connections that are open while this process forks; in the child they are kept until it ends.
_AT_FORK: list[Connection] = []


# Numbers of SQLite's static mutexes: SQLITE_MUTEX_STATIC_MAIN to SQLITE_MUTEX_STATIC_VFS3.
STATIC_MUTEXES = range(2, 14)
# A fork waits at most so long for other threads to leave SQLite; a mutex is held for microseconds.
PATIENCE_SECONDS = 1.0
_HELD: list[int] = []


def watch(owner: ForkAware) -> None:
    """Call the owner's `before_fork` and `after_fork` at each fork, as long as it lives."""
    _register()
    _OWNERS.add(owner)


@functools.cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
        )


def _before_fork() -> None:
    for owner in list(_OWNERS):
        _AT_FORK.extend(owner.before_fork())
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not _hold_mutexes() and time.monotonic() < give_up:
        time.sleep(0)


def _after_in_parent() -> None:
    _release_mutexes()
    for owner in list(_OWNERS):
        owner.after_fork(in_child=False)
    _AT_FORK.clear()


def _after_in_child() -> None:
    _release_mutexes()
    for database in _AT_FORK:
        # Not even the end of the process may close them: that would roll back the parent's work.
        keep(database.conn)
    for owner in list(_OWNERS):
        owner.after_fork(in_child=True)


@functools.cache
def _library() -> Any:
    """Return SQLite as Python's module links it, or None if its functions cannot be reached."""
    try:
        library: Any = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_mutex_alloc.restype = ctypes.c_void_p
        for name in ("sqlite3_mutex_try", "sqlite3_mutex_leave"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
    except (AttributeError, OSError):  # linked into Python itself, without exported names
        return None
    return library


def _hold_mutexes() -> bool:
    """Enter all static mutexes, or none if another thread is in one; return whether it did."""
    library = _library()
    if library is None:
        return True
    for number in STATIC_MUTEXES:
        mutex = library.sqlite3_mutex_alloc(number)
        if library.sqlite3_mutex_try(mutex):
            _release_mutexes()
            return False
        _HELD.append(mutex)
    return True


def _release_mutexes() -> None:
    while _HELD:
        _library().sqlite3_mutex_leave(_HELD.pop())
