"""The number of the last commit, kept next to the catalog: it tells when the catalog is older.

SQLite keeps the latest commits in a log of its own until it moves them into the catalog's file. A
copy of that file alone is an intact catalog of an earlier state.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

SUFFIX = "-commit"


def note_commit(catalog: Path, generation: int) -> None:
    """Note a commit that was made durable before; so what is noted was committed, at any crash."""
    with contextlib.suppress(OSError):  # on a full disk, the earlier note does no harm
        _note_of(catalog).write_text(f"{generation}\n")


def noted_commit(catalog: Path) -> int:
    """Return the number of the last commit noted; 0 if there is none, as in an older collection."""
    try:
        return int(_note_of(catalog).read_text())
    except (OSError, ValueError):
        return 0


def _note_of(catalog: Path) -> Path:
    return catalog.with_name(catalog.name + SUFFIX)
