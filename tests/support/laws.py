"""How many examples of a law are tried."""

from __future__ import annotations

from hypothesis import settings

# The profile of `make test-fast`; see `conftest.py`.
FAST = "fast"


def examples(count: int) -> int:
    """Return how many examples to try where `count` are tried in the whole suite."""
    return max(3, count // 6) if settings.get_current_profile_name() == FAST else count
