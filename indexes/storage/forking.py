"""What a forked child does first: of this process's threads, only the one that forked lives on.

A library that computes with threads waits forever in a child for those of its parent. With a single
thread it waits for none.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

_ACTIONS: dict[str, Callable[[], None]] = {}


def in_child(name: str, action: Callable[[], None]) -> None:
    """Run an action at the start of each child forked from now on, once for each name."""
    _register()
    _ACTIONS[name] = action


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
