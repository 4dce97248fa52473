"""Threads to compute with: as many as this process may use, shared by all that compute at once.

A query alone computes in one thread: on a busy machine, two that wait for each other take several
times as long (`benchmarks/load.py`). A batch computes in all. Threads of the caller take turns at
queries that compute mostly in Python (`IN_TURN`): they would only hand its lock to each other.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# Texts of up to this many tokens together are computed in one thread; longer ones gain by more.
SHORT_TOKENS = 64

_LOCK = threading.Lock()
_computing = 0
# Held by a query that computes mostly in Python. Eight threads that ask at once get as many answers
# as one with it, and half as many without (`benchmarks/threads.py`).
IN_TURN = threading.RLock()


def cores() -> int:
    """Return the number of cores that this process may use: its affinity, or a container's quota.

    A quota of a part of a core counts as one.
    """
    has = hasattr(os, "sched_getaffinity")
    own = len(os.sched_getaffinity(0)) if has else os.cpu_count() or 1
    return math.ceil(min(own, _quota()))


def threads() -> int:
    """Return the number of threads to compute with: cores, or OMP_NUM_THREADS if fewer."""
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores(), int(limit)) if limit.isdecimal() and int(limit) > 0 else cores()


@contextmanager
def sharing() -> Iterator[int]:
    """Yield the number of threads for a batch: an equal share of those of the process.

    Where several threads of the caller compute batches at once, they share the cores.
    """
    global _computing
    with _LOCK:
        _computing += 1
        count = max(1, threads() // _computing)
    try:
        yield count
    finally:
        with _LOCK:
            _computing -= 1


def _start_child() -> None:
    """Forget the threads of the parent, which a forked child lacks."""
    global _LOCK, _computing, IN_TURN
    _LOCK, _computing, IN_TURN = threading.Lock(), 0, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_child)


@cache
def _quota() -> float:
    return cgroup_quota(Path("/"))


def cgroup_quota(root: Path) -> float:
    """Return how many cores the control groups of this process allow; infinity without a limit.

    The limit of each group also holds for those inside it. See the kernel's documentation,
    Control Group v2 (`cpu.max`), and CFS Bandwidth Control for v1.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    allowed = math.inf
    for line in lines:
        controllers, path = line.split(":", 2)[1:]
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        # Inside a container, the path may be that of the host, and its own group is at the top.
        groups = [top, *(top / part for part in _prefixes(path.strip("/")))]
        allowed = min([allowed, *map(_limit_v1 if controllers else _limit_v2, groups)])
    return allowed


def _prefixes(path: str) -> list[Path]:
    return [*reversed(Path(path).parents), Path(path)] if path else []


def _limit_v2(group: Path) -> float:
    return _share(*_words(group / "cpu.max"))


def _limit_v1(group: Path) -> float:
    return _share(*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us"))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _share(quota: str = "max", period: str = "100000", *_: str) -> float:
    """Return a quota of a period as cores; `max`, -1 and what is no number set no limit."""
    limited = quota.isdecimal() and period.isdecimal() and int(quota) and int(period)
    return int(quota) / int(period) if limited else math.inf
