"""SQLite's connections across a fork of this process.

SQLite keeps locks by process: a child would believe that it holds those of its parent. So a thread
that forks closes its own idle connections first, and opens them again when it needs them. What
other threads have open can be neither used in the child nor closed there, and the child cannot open
the same file again.
"""

from __future__ import annotations

import functools
import os
import weakref
from typing import Protocol

import sqlite_utils

from indexes.storage.forking import keep


class ForkAware(Protocol):
    """An owner of connections."""

    def before_fork(self) -> list[sqlite_utils.Database]:
        """Close what this thread has open and idle; return what stays open."""

    def after_fork(self, *, in_child: bool) -> None:
        """Resume in the parent, or start in the child without what it inherited."""


# Files, by device and inode, that this process inherited open connections to. SQLite would take
# their locks for its own, also in a new connection.
INHERITED: set[tuple[int, int]] = set()
_OWNERS: weakref.WeakSet[ForkAware] = weakref.WeakSet()
# Connections that are open while this process forks; in the child they are kept until it ends.
_AT_FORK: list[sqlite_utils.Database] = []


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


def _after_in_parent() -> None:
    for owner in list(_OWNERS):
        owner.after_fork(in_child=False)
    _AT_FORK.clear()


def _after_in_child() -> None:
    for database in _AT_FORK:
        # Not even the end of the process may close them: that would roll back the parent's work.
        keep(database.conn)
    for owner in list(_OWNERS):
        owner.after_fork(in_child=True)
