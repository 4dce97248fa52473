"""How busy other processes keep the machine while times are measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Self

import psutil

from indexes.threads import cores
from retriever.evaluation.results import Load

# Waiting for a disk leaves a core free; the time of guests is in that of users.
NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")


@dataclass(frozen=True)
class Reading:
    """Seconds that all processors were busy so far, that this process computed, and on the clock.

    Time that a hypervisor gave to other machines counts as busy.
    """

    busy: float
    own: float
    clock: float

    @classmethod
    def now(cls) -> Self:
        """Read all of them now."""
        times = psutil.cpu_times()._asdict()
        busy = sum(seconds for name, seconds in times.items() if name not in NOT_BUSY)
        return cls(busy, time.process_time(), time.perf_counter())


def load_between(before: Reading, after: Reading, machine: int, average: float | None) -> Load:
    """Return the load of other processes between two readings on a machine of so many cores."""
    seconds = max(after.clock - before.clock, 1e-9)
    others = (after.busy - before.busy) - (after.own - before.own)
    return Load(min(max(others / seconds, 0.0), float(machine)), machine, cores(), average)


class LoadMeter:
    """Measures the load of other processes inside a `with` block; `load` is known after it."""

    load: Load

    def __enter__(self) -> Self:
        self._before = Reading.now()
        return self

    def __exit__(self, *exception: object) -> None:
        average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        machine = psutil.cpu_count() or cores()
        self.load = load_between(self._before, Reading.now(), machine, average)
