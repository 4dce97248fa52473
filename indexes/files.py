"""Files that are whole or absent: written under another name, synced, renamed, checksummed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from indexes.errors import CollectionError, DamageError, LockedError

__all__ = ["Sealed", "new_file", "remove_file", "seal", "verify", "writer_lock"]

TEMPORARY = ".writing"


@dataclass(frozen=True)
class Sealed:
    """What the catalog remembers of an immutable file: its size in bytes and its SHA-256."""

    size: int
    checksum: str


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on leaving, the file is synced and stands at `path`, whole.

    When the block raises, nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def seal(path: Path) -> Sealed:
    """Size and checksum of a finished file."""
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        return Sealed(os.fstat(file.fileno()).st_size, checksum)


def verify(path: Path, expected: Sealed) -> None:
    """Check that a file is the one that the catalog names.

    Raises:
        DamageError: it is missing, has another size, or its bytes changed.
        FileNotFoundError: never; a missing file is damage.
    """
    try:
        found = seal(path)
    except FileNotFoundError:
        raise DamageError(
            f"{path} is missing, though the catalog names it. "
            "Restore it from a backup, or drop and build the index again."
        ) from None
    if found != expected:
        raise DamageError(
            f"{path} is damaged: expected {expected.size:,} bytes with SHA-256 "
            f"{expected.checksum[:12]}, found {found.size:,} with {found.checksum[:12]}. "
            "Restore it from a backup, or drop and build the index again."
        )


def remove_file(path: Path) -> None:
    """Remove a file that nothing names any more, and its folder when that leaves it empty."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or gone already
        path.parent.rmdir()


@contextlib.contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Be the only process that writes to `folder`; the operating system frees a dead holder's lock.

    Raises:
        LockedError: another process holds it; names the process, its host and since when.
    """
    holder = folder / "writer.json"
    lock = filelock.FileLock(folder / "writer.lock", timeout=0, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LockedError(
            f"{folder}/ is being written to by {_describe(holder)}. "
            "Wait for it to finish, or stop it, and try again."
        ) from None
    except OSError as error:
        raise CollectionError(
            f"{folder}/ cannot be written to: {error.strerror}. It can still be searched."
        ) from None
    try:
        holder.write_text(
            json.dumps(
                {
                    "process": os.getpid(),
                    "host": socket.gethostname(),
                    "since": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )
        )
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text())
        return f"process {facts['process']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
