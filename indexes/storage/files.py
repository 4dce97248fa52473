"""Files that are whole or absent: written under another name, synced, renamed, checksummed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import filelock

from indexes.errors import CollectionError, DamageError, LockedError

TEMPORARY = ".writing"
LOCK_FILES = ("writer.lock", "writer.json")
# What tantivy leaves beside an index: it says nothing of what the index holds.
LOCAL_LOCKS = (".tantivy-writer.lock", ".tantivy-meta.lock")


@dataclass(frozen=True)
class FileDigest:
    """What the catalog remembers of an immutable file: its size in bytes and its SHA-256."""

    size: int
    checksum: str


NO_FILE = FileDigest(0, "")


class NewFile:
    """A file that is being written, front to back; its checksum is taken on the way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of some bytes; how many those were.

        Raises:
            CollectionError: the disk is full, or cannot be written to.
        """
        left = memoryview(data).cast("B")
        size = len(left)
        self._digest.update(left)
        with _translate(self._path):
            while left:
                left = left[os.write(self._descriptor, left) :]
        self._size += size
        return size

    @property
    def digest(self) -> FileDigest:
        """Size and checksum of what was written so far."""
        return FileDigest(self._size, self._digest.hexdigest())

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A file to write to; on leaving, it is synced and stands at `path`, whole.

    When the block raises, nothing is left behind.

    Raises:
        CollectionError: the disk is full, or cannot be written to.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with _translate(path):
            _make_folder(path.parent)
            file = NewFile(temporary)
        try:
            yield file
            with _translate(path):
                file.sync()
        finally:
            file.close()
        with _translate(path):
            os.replace(temporary, path)  # noqa: PTH105 - one layer, for those who watch each step
            sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _translate(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CollectionError(
            f"{path} cannot be written: {error.strerror or error}. What was committed is kept; "
            "check that the disk has room and that you may write there, and run the same again."
        ) from None


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut does not take them back."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def digest_of(path: Path) -> FileDigest:
    """Size and checksum of a finished file; of a folder, over its files by name."""
    if path.is_dir():
        return _seal_folder(path)
    with path.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
        return FileDigest(os.fstat(file.fileno()).st_size, checksum)


def _seal_folder(folder: Path) -> FileDigest:
    names = sorted(path.name for path in folder.iterdir() if path.name not in LOCAL_LOCKS)
    digest = [(name, digest_of(folder / name)) for name in names]
    lines = "".join(f"{name} {one.size} {one.checksum}\n" for name, one in digest)
    return FileDigest(
        sum(one.size for _, one in digest), hashlib.sha256(lines.encode()).hexdigest()
    )


def verify(path: Path, expected: FileDigest) -> None:
    """Check that a file, or a folder of files, is the one that the catalog names.

    Raises:
        DamageError: it is missing, cannot be read, has another size, or its bytes changed.
    """
    with _read(path, advice(path)):
        _compare(path, digest_of(path), expected, advice(path))


def read_sealed(path: Path, expected: FileDigest, cure: str) -> bytes:
    """The bytes of a small file, if they are those that the catalog names; `cure` says what to do.

    Raises:
        DamageError: see `verify`.
    """
    with _read(path, cure):
        data = path.read_bytes()
    _compare(path, FileDigest(len(data), hashlib.sha256(data).hexdigest()), expected, cure)
    return data


@contextlib.contextmanager
def _read(path: Path, cure: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DamageError(f"{path} is missing, though the catalog names it. {cure}") from None
    except OSError as error:
        raise DamageError(f"{path} cannot be read: {error.strerror}. {cure}") from None


def _compare(path: Path, found: FileDigest, expected: FileDigest, cure: str) -> None:
    if found != expected:
        raise DamageError(
            f"{path} is damaged: expected {expected.size:,} bytes with SHA-256 "
            f"{expected.checksum[:12]}, found {found.size:,} with {found.checksum[:12]}. {cure}"
        )


def advice(path: Path) -> str:
    """How to mend a damaged file of a collection."""
    # It lies in vectors/NAME/, in ann/ or in lexical/.
    above = path.parents[1]
    folder = above.parent if above.name == "vectors" else above
    return f"Make it again from what is whole: retriever repair {shlex.quote(str(folder))}"


def size_of(path: Path) -> int:
    """Bytes of a file; 0 for one that has gone meanwhile, as SQLite's log does."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def remove_file(path: Path) -> bool:
    """Remove a file or an empty folder that nothing names any more, and the folder that it was in
    when that leaves it empty.

    Whether it is gone: a file that cannot be removed now does no harm, and is tried again later.
    """
    with contextlib.suppress(OSError):
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone already
            path.parent.rmdir()
        return True
    return False


@contextlib.contextmanager
def writer_lock(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Be the only process that writes to `folder`; the operating system frees a dead holder's lock.

    Waits for another for so many seconds.

    Raises:
        LockedError: another process holds it; names the process, its host and since when.
    """
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
    try:
        _sign(holder)
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _sign(holder: Path) -> None:
    facts = {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # A courtesy to others who want to write: on a full disk, a document can still be deleted.
    with contextlib.suppress(OSError):
        holder.write_text(json.dumps(facts))


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text())
        return f"process {facts['process']} on {facts['host']} since {facts['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
