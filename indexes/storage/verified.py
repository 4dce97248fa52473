"""Which large files were read and found intact: at the next opening, unchanged ones are not read.

To read gigabytes takes seconds at each opening, and 8 MB half of the time to a first answer. A note
names a file, what it was compared with, and what the system changes whenever a file is written or
replaced: its size, times and inode. A copy of a collection is verified again, and so is a file of
which a disk says that it was written. Damage that the system does not know of is found by `verify`,
which trusts no note.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "verified.json"
# Smaller files are read each time, in less than a millisecond.
LARGE_BYTES = 1 << 20
# A file that was written later than this may be written again without a change of its times.
SETTLED_SECONDS = 2.0
# Locks that tantivy leaves in a folder, which are not part of its contents.
HIDDEN = "."


def is_noted(folder: Path, path: Path, what: str) -> bool:
    """Return whether a large file, or a folder of files, was verified and has not changed since."""
    stamp = _stamp(path)
    return stamp is not None and _notes(folder).get(_name(folder, path, what)) == stamp


@contextlib.contextmanager
def noting(folder: Path, path: Path, what: str) -> Iterator[None]:
    """Note that a file was found intact when the block ends, unless it raises.

    Nothing is noted of a file that is small, has changed meanwhile or was written just now, nor in
    a folder that cannot be written to.
    """
    before = _stamp(path)
    yield
    if before is None or before != _stamp(path):
        return
    kept = {
        name: stamp
        for name, stamp in _notes(folder).items()
        if (folder / name.partition(" ")[0]).exists()
    }
    notes = kept | {_name(folder, path, what): before}
    temporary = folder / f"{NAME}.{os.getpid()}"
    with contextlib.suppress(OSError):
        try:
            temporary.write_text(json.dumps(notes))
            temporary.replace(folder / NAME)
        finally:
            temporary.unlink(missing_ok=True)


def _name(folder: Path, path: Path, what: str) -> str:
    return f"{path.relative_to(folder).as_posix()} {what}"


def _notes(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        notes = json.loads((folder / NAME).read_bytes())
        if isinstance(notes, dict):
            return notes
    return {}


def _stamp(path: Path) -> list[list[Any]] | None:
    """Return what changes with a file's contents; None if it is small, young or cannot be read."""
    with contextlib.suppress(OSError):
        inside = path.iterdir() if path.is_dir() else [path]
        files = sorted(one for one in inside if not one.name.startswith(HIDDEN))
        stats = [(one.name, one.stat()) for one in files]
        settled = (
            max((stat.st_ctime for _, stat in stats), default=0) < time.time() - SETTLED_SECONDS
        )
        if settled and sum(stat.st_size for _, stat in stats) >= LARGE_BYTES:
            return [
                [name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
                for name, stat in stats
            ]
    return None
