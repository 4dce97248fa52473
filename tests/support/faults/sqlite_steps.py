"""The durable steps that SQLite takes: our methods wrap those of its VFS."""

# The names are those that the `os` module takes:
# ruff: noqa: PTH110, PTH120

from __future__ import annotations

import ctypes
import errno
import functools
import os
import random
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.support.faults.disk import File

if TYPE_CHECKING:
    from tests.support.faults.steps import Faults

# SQLite's result codes for a failing step.
FULL = 13
SQLITE_CODES = {
    "create": 14,  # SQLITE_CANTOPEN
    "write": 10 | 3 << 8,
    "sync": 10 | 4 << 8,
    "truncate": 10 | 6 << 8,
    "unlink": 10 | 10 << 8,
    "map": 10 | 19 << 8,  # SQLITE_IOERR_SHMSIZE
}


VFS_POINTERS = "pNext zName pAppData xOpen xDelete xAccess xFullPathname"
VFS_POINTERS += " xDlOpen xDlError xDlSym xDlClose xRandomness"
IO_METHODS = "xClose xRead xWrite xTruncate xSync xFileSize xLock xUnlock xCheckReservedLock"
IO_METHODS += " xFileControl xSectorSize xDeviceCharacteristics xShmMap xShmLock xShmBarrier"
IO_METHODS += " xShmUnmap xFetch xUnfetch"


class VfsStruct(ctypes.Structure):
    """The beginning of `sqlite3_vfs`."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, ctypes.c_void_p) for name in VFS_POINTERS.split()),
    ]


class IoMethods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        *((name, ctypes.c_void_p) for name in IO_METHODS.split()),
    ]


class FileStruct(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_ = [("methods", ctypes.POINTER(IoMethods))]


# Names stay pointers: what they point to must outlive the call, and goes on behind the end.
POINTER, INT, LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
X_OPEN = ctypes.CFUNCTYPE(INT, POINTER, POINTER, POINTER, INT, POINTER)
X_DELETE = ctypes.CFUNCTYPE(INT, POINTER, POINTER, INT)
X_RANDOMNESS = ctypes.CFUNCTYPE(INT, POINTER, INT, POINTER)
X_WRITE = ctypes.CFUNCTYPE(INT, POINTER, POINTER, INT, LONG)
X_TRUNCATE = ctypes.CFUNCTYPE(INT, POINTER, LONG)
X_SYNC = ctypes.CFUNCTYPE(INT, POINTER, INT)
X_SHM_MAP = ctypes.CFUNCTYPE(INT, POINTER, INT, INT, INT, POINTER)

OPEN_CREATE = 0x4
OPEN_JOURNAL_OR_WAL = 0x800 | 0x4000 | 0x80000


def default_vfs() -> VfsStruct:
    """SQLite's default VFS, in the library that Python's `sqlite3` uses.

    Raises:
        AttributeError, OSError, ImportError: it cannot be reached.
    """
    import _sqlite3

    find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    find.restype, find.argtypes = ctypes.POINTER(VfsStruct), [ctypes.c_char_p]
    found = find(None)
    if not found:
        raise OSError("sqlite3_vfs_find found nothing")
    return found.contents


class Vfs:
    """SQLite's default VFS, with our counting methods in front of its own."""

    def __init__(self, faults: Faults, *, seed: int) -> None:
        self._faults = faults
        self._random = random.Random(seed)
        self._paths: dict[int, str] = {}
        self._nodes: dict[int, Any] = {}
        self._new: set[str] = set()  # journals and logs whose first sync syncs the folder as well
        self._kept: list[Any] = []  # callbacks, as long as SQLite may call them
        self._methods: dict[int, IoMethods] = {}
        vfs = default_vfs()
        self._open, self._delete = X_OPEN(vfs.xOpen), X_DELETE(vfs.xDelete)
        vfs.xOpen = self._pointer(X_OPEN(self._on_open))
        vfs.xDelete = self._pointer(X_DELETE(self._on_delete))
        vfs.xRandomness = self._pointer(X_RANDOMNESS(self._on_randomness))

    def _pointer(self, callback: Any) -> int:
        self._kept.append(callback)
        return ctypes.cast(callback, ctypes.c_void_p).value or 0

    def _failing(self, kind: str, path: str, torn: Callable[[], object] | None = None) -> int:
        failure = self._faults.step(kind, path, torn)
        if failure == errno.ENOSPC and kind == "write":
            return FULL
        return SQLITE_CODES[kind] if failure else 0

    def _on_open(self, vfs: int, name: int, file: int, flags: int, out: int) -> int:
        path = self._faults.inside(ctypes.string_at(name)) if name else None
        creates = bool(path and flags & OPEN_CREATE and not os.path.exists(path))
        if path and creates and (failure := self._failing("create", path)):
            FileStruct.from_address(file).methods = None
            return failure
        result = self._open(vfs, name, file, flags, out)
        if path is None or result:
            return result
        if creates:
            self._faults.made(path, File())
            if flags & OPEN_JOURNAL_OR_WAL:
                self._new.add(path)
        self._paths[file], self._nodes[file] = path, self._faults.node(path)
        handle = FileStruct.from_address(file)
        handle.methods = ctypes.pointer(self._counting(handle.methods.contents))
        return result

    def _counting(self, real: IoMethods) -> IoMethods:
        address = ctypes.addressof(real)
        if address not in self._methods:
            self._methods[address] = ours = IoMethods.from_buffer_copy(real)
            on_write = functools.partial(self._on_write, X_WRITE(real.xWrite))
            on_truncate = functools.partial(self._on_truncate, X_TRUNCATE(real.xTruncate))
            ours.xWrite = self._pointer(X_WRITE(on_write))
            ours.xTruncate = self._pointer(X_TRUNCATE(on_truncate))
            ours.xSync = self._pointer(X_SYNC(self._on_sync))
            if real.xShmMap:
                on_map = functools.partial(self._on_map, X_SHM_MAP(real.xShmMap))
                ours.xShmMap = self._pointer(X_SHM_MAP(on_map))
        return self._methods[address]

    def _on_write(self, real: Any, file: int, data: int, size: int, offset: int) -> int:
        path = self._paths[file]
        if failure := self._failing("write", path, lambda: real(file, data, size // 2, offset)):
            return failure
        if node := self._nodes[file]:
            node.write(offset, ctypes.string_at(data, size))
        return int(real(file, data, size, offset))

    def _on_truncate(self, real: Any, file: int, size: int) -> int:
        if failure := self._failing("truncate", self._paths[file]):
            return failure
        if node := self._nodes[file]:
            node.truncate(size)
        return int(real(file, size))

    def _on_map(self, real: Any, file: int, page: int, size: int, extend: int, out: int) -> int:
        if extend and (failure := self._failing("map", f"{self._paths[file]}-shm")):
            return failure
        return int(real(file, page, size, extend, out))

    def _on_sync(self, file: int, flags: int) -> int:
        path = self._paths[file]
        if failure := self._failing("sync", path):
            return failure
        if node := self._nodes[file]:
            node.sync()
        if path in self._new:
            self._new.discard(path)
            folder = os.path.dirname(path)
            if failure := self._failing("sync", folder):
                return failure
            if node := self._faults.node(folder):
                node.sync()
        return 0

    def _on_randomness(self, vfs: int, size: int, out: int) -> int:
        ctypes.memmove(out, self._random.randbytes(size), size)
        return size

    def _on_delete(self, vfs: int, name: int, sync: int) -> int:
        path = self._faults.inside(ctypes.string_at(name))
        if path and os.path.exists(path):
            if failure := self._failing("unlink", path):
                return failure
            self._faults.made(path, None)
            result = int(self._delete(vfs, name, 0))
            if sync and (node := self._faults.node(os.path.dirname(path))):
                node.sync()
            return result
        return int(self._delete(vfs, name, 0))


def watch_commits(committed: Callable[[], None]) -> None:
    """Report every transaction of the catalog's whose COMMIT has returned."""

    class Watched(sqlite3.Connection):
        writing = False

        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            cursor = super().execute(sql, *parameters)
            if sql == "BEGIN IMMEDIATE":
                self.writing = True
            elif sql in ("COMMIT", "ROLLBACK"):
                if self.writing and sql == "COMMIT":
                    committed()
                self.writing = False
            return cursor

    real_connect = sqlite3.connect
    sqlite3.connect = lambda *args, **options: real_connect(*args, factory=Watched, **options)
