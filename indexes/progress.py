"""What long work reports: its progress, and counts that are kept with its result."""

from __future__ import annotations

from collections.abc import Callable

# Called with the number of passages done, and the number of all.
Progress = Callable[[int, int], None]

# Of counts with this prefix, reports keep the highest; others add up.
PEAK = "peak_"
# The most memory that the process held, in a report.
PEAK_MEMORY = f"{PEAK}memory"


def ignore_progress(done: int, total: int) -> None:
    """Ignore progress."""
