"""Threads of one process that write to a folder: one after the other."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import CollectionError, LockedError

# A process and a folder. A forked child thus has other locks than its parent, whose threads it
# does not have.
Name = tuple[int, int, int]

_LOCKS: dict[Name, threading.Lock] = {}


@dataclass
class _Turn:
    """A thread's turn; it has ended for code that keeps a copy of its context, too."""

    name: Name
    running: bool = True


# Turns that the running code is inside of. The background thread of a build has a copy.
_INSIDE: ContextVar[tuple[_Turn, ...]] = ContextVar("writer_turns", default=())


@contextlib.contextmanager
def writer_turn(folder: Path) -> Iterator[None]:
    """Wait until no other thread of this process writes to a folder.

    Inside a turn for another folder it does not wait, as two threads could wait for each other: it
    raises a LockedError. Inside one for the same folder, it raises a CollectionError.
    """
    name = _name_of(folder)
    outer = [turn for turn in _INSIDE.get() if turn.running and turn.name[0] == name[0]]
    if any(turn.name == name for turn in outer):
        raise CollectionError(
            f"{folder}/ is being written to by the call that this one is made from, such as an "
            "add that still reads its documents. Write again when that call has returned."
        )
    lock = _LOCKS.setdefault(name, threading.Lock())
    if not lock.acquire(blocking=not outer):
        raise LockedError(
            f"{folder}/ is being written to by another thread of this process. "
            "Wait for it to finish, and try again."
        )
    turn = _Turn(name)
    token = _INSIDE.set((*outer, turn))
    try:
        yield
    finally:
        turn.running = False
        _INSIDE.reset(token)
        lock.release()


def _name_of(folder: Path) -> Name:
    try:
        stat = folder.stat()
    except OSError as error:
        raise CollectionError(f"{folder}/ cannot be written to: {error.strerror}.") from None
    return os.getpid(), stat.st_dev, stat.st_ino
