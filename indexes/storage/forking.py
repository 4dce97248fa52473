"""What a forked child does first: of this process's threads, only the one that forked lives on.

A library that computes with threads waits forever in a child for those of its parent. With a single
thread it waits for none.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

# The process that has imported this module, and the libraries with threads that it had by then.
_PROCESS = os.getpid()
_BEFORE = {"faiss", "torch"}.intersection(sys.modules)
# In the flags of a Linux process: it was forked, and runs the program of its parent.
FORKED = 0x40
_ACTIONS: dict[str, Callable[[], None]] = {}


def in_child(name: str, action: Callable[[], None]) -> None:
    """Run an action at the start of each child forked from now on, once for each library.

    Also now, if it is the first and this process is a child itself, whose parent may have computed
    with that library on its own.
    """
    _register()
    first = name not in _ACTIONS
    _ACTIONS[name] = action
    known = _BEFORE if os.getpid() == _PROCESS else sys.modules
    if first and name in known and _is_child():
        action()


def _is_child() -> bool:
    """Return whether this process was forked, and has its parent's libraries."""
    if os.getpid() != _PROCESS:
        return True
    try:
        stat = Path("/proc/self/stat").read_text()
    except OSError:  # not Linux: of a child that imports us itself, only multiprocessing knows
        return _is_forked_by_multiprocessing()
    # The name, in parentheses, may hold anything.
    return bool(int(stat.rpartition(")")[2].split()[6]) & FORKED)


def _is_forked_by_multiprocessing() -> bool:
    """Return whether multiprocessing has forked this process."""
    if "multiprocessing" not in sys.modules:
        return False
    import multiprocessing

    if multiprocessing.parent_process() is None:
        return False
    # That of its context, or else the default, which children of other methods set.
    method = getattr(multiprocessing.current_process(), "_start_method", None)
    return (method or multiprocessing.get_start_method(allow_none=True)) == "fork"


def keep(inherited: object) -> None:
    """Keep an object until the process ends, which does not destroy it either."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


@functools.cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_start_child)


def _start_child() -> None:
    for action in list(_ACTIONS.values()):
        action()
