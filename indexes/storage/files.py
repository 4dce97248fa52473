"""Files that are complete or absent: written under another name, synced, renamed, checksummed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from indexes.errors import CollectionError, DamageError, LockedError, NextStep
from indexes.storage.verified import is_noted, noting

TEMPORARY = ".writing"
LOCK_FILES = ("writer.lock", "writer.json")
ADVICE = {
    "repair": "Repair the collection.",
    "refit": "It cannot be derived from anything else. Refit index '{index}'.",
}
# What tantivy leaves next to an index; not part of its contents.
LOCAL_LOCKS = (".tantivy-writer.lock", ".tantivy-meta.lock")


@dataclass(frozen=True)
class FileDigest:
    """The size in bytes and the SHA-256 of an immutable file, as kept in the catalog."""

    size: int
    checksum: str


NO_FILE = FileDigest(0, "")


class NewFile:
    """A file that is written from front to back, with its checksum."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of some bytes; return their number."""
        left = memoryview(data).cast("B")
        size = len(left)
        self._digest.update(left)
        with _write_errors(self._path):
            while left:
                left = left[os.write(self._descriptor, left) :]
        self._size += size
        return size

    @property
    def digest(self) -> FileDigest:
        """Size and checksum of the bytes written so far."""
        return FileDigest(self._size, self._digest.hexdigest())

    def sync(self) -> None:
        """Wait until it is on disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """Yield a file to write to; on leaving, it is synced and complete at `path`.

    If the block raises, nothing is left behind. A disk that is full raises a CollectionError.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with _write_errors(path):
            _make_folder(path.parent)
            file = NewFile(temporary)
        try:
            yield file
            with _write_errors(path):
                file.sync()
        finally:
            file.close()
        with _write_errors(path):
            os.replace(temporary, path)  # noqa: PTH105 - tests intercept each step in `os`
            sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None


def unwritable(path: Path, why: str) -> CollectionError:
    """Return the error for a file that cannot be written."""
    return CollectionError(
        f"{path} cannot be written: {why}. What was committed is kept; check that the disk has "
        "room and that you may write there, and run the same again."
    )


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, so that they survive a power cut."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def digest_of(path: Path) -> FileDigest:
    """Return size and checksum of a finished file; of a folder, over its files by name."""
    if path.is_dir():
        return _digest_of_folder(path)
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        return FileDigest(os.fstat(file.fileno()).st_size, checksum)


def _digest_of_folder(folder: Path) -> FileDigest:
    size, lines = 0, hashlib.sha256()
    for name in sorted({path.name for path in folder.iterdir()} - {*LOCAL_LOCKS}):
        digest = digest_of(folder / name)
        size += digest.size
        lines.update(f"{name} {digest.size} {digest.checksum}\n".encode())
    return FileDigest(size, lines.hexdigest())


def verify(path: Path, expected: FileDigest, *, again: bool = False) -> None:
    """Raise a DamageError unless a file, or a folder of files, is the one named in the catalog.

    A large one that has not changed since it was verified is not read, except `again`.
    """
    step = repair_step(path)
    folder = collection_of(path)
    if not again and is_noted(folder, path, expected.checksum):
        return
    with _read_errors(path, step), noting(folder, path, expected.checksum):
        _compare(path, digest_of(path), expected, step)


@contextlib.contextmanager
def verified(path: Path, expected: FileDigest, *, again: bool = False) -> Iterator[None]:
    """Verify a file or folder before it is loaded inside; a DamageError if it cannot be read.

    So it is if a writer has removed it meanwhile, or a part of it, whatever was loaded.
    """
    verify(path, expected, again=again)
    with _read_errors(path, repair_step(path)):
        yield
        if _size(path) != expected.size:
            raise FileNotFoundError(path)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of those of a folder that count."""
    if not path.is_dir():
        return path.stat().st_size
    files = [one for one in path.iterdir() if one.name not in LOCAL_LOCKS]
    return sum(one.stat().st_size for one in files)


def read_verified(path: Path, expected: FileDigest, cure: NextStep) -> bytes:
    """Return the bytes of a small file, as `verify`; `cure` is the next step of the error."""
    with _read_errors(path, cure):
        data = path.read_bytes()
    _compare(path, FileDigest(len(data), hashlib.sha256(data).hexdigest()), expected, cure)
    return data


@contextlib.contextmanager
def _read_errors(path: Path, cure: NextStep) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise _damaged(path, "is missing, though the catalog names it", cure) from None
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}", cure) from None


def _compare(path: Path, found: FileDigest, expected: FileDigest, cure: NextStep) -> None:
    if found != expected:
        wanted = f"{expected.size:,} bytes with SHA-256 {expected.checksum[:12]}"
        what = f"expected {wanted}, found {found.size:,} with {found.checksum[:12]}"
        raise _damaged(path, f"is damaged: {what}", cure)


def _damaged(path: Path, what: str, cure: NextStep) -> DamageError:
    advice = ADVICE[cure.operation].format(index=cure.index)
    return DamageError(f"{path} {what}. {advice}", next_step=cure)


def unreadable(path: Path, why: str) -> DamageError:
    """Return the error for a file of a collection that cannot be read."""
    return _damaged(path, f"cannot be read: {why}", repair_step(path))


def repair_step(path: Path) -> NextStep:
    """Return the next step for a damaged file of a collection."""
    return NextStep("repair", collection_of(path))


def collection_of(path: Path) -> Path:
    """Return the folder of the collection that a file is in."""
    # It is in vectors/NAME/, in ann/ or in lexical/.
    above = path.parents[1]
    return above.parent if above.name == "vectors" else above


def size_of(path: Path) -> int:
    """Return the bytes of a file; 0 if it was removed meanwhile, as SQLite's log may be."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_file(path: Path) -> bool:
    """Remove a file or an empty folder, and a parent that is empty then; return whether it is gone.

    A file that cannot be removed is harmless, and tried again later.
    """
    with contextlib.suppress(OSError):
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone already
            path.parent.rmdir()
        return True
    return False


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
def writer_lock(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Lock `folder` against other writers; the operating system frees a dead process's lock.

    Waits for other threads of this process as long as they write, and for other processes up to
    `patience` seconds; then raises a LockedError that names the other process. A write from inside
    a write of the same folder, which would wait for itself, raises a CollectionError.
    """
    with writer_turn(folder), _lock_out_processes(folder, patience):
        yield


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


@contextlib.contextmanager
def _lock_out_processes(folder: Path, patience: float) -> Iterator[None]:
    holder = folder / LOCK_FILES[1]
    lock = filelock.FileLock(folder / LOCK_FILES[0], timeout=patience, thread_local=False)
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
    process = os.getpid()
    try:
        _sign(holder)
        yield
    finally:
        if os.getpid() == process:  # a child that was forked inside does not hold it
            with contextlib.suppress(OSError):
                holder.unlink(missing_ok=True)
            lock.release()


def _sign(holder: Path) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    info = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
    # Optional: on a full disk, a document can still be deleted.
    with contextlib.suppress(OSError):
        holder.write_text(json.dumps(info))


def _describe(holder: Path) -> str:
    try:
        info = json.loads(holder.read_text())
        return f"process {info['process']} on {info['host']} since {info['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
