"""A disk that fails on demand: each durable step of a writer is counted, and one goes wrong.

    python tests/faults.py OPERATION [MODE [STEP]]

runs an operation (see `OPERATIONS`) once for every durable step that it takes and every mode (see
`MODES`), or only for those given, and prints what it found as JSON. A durable step is a call that
changes what is on the disk, or waits until the disk has it: of our own files through the `os`
module, of the catalog through SQLite's VFS, whose methods are replaced by ours.

Each case runs in a fork of a process that has imported everything and has computed nothing, on a
copy of the collection. A second fork then opens what is left, checks it, and runs the operation
again. Nothing waits for the real disk: what a power cut takes is worked out by `Disk`.
"""

# What is patched here is the `os` module itself, by names that it takes:
# ruff: noqa: PTH100, PTH110, PTH112, PTH119, PTH120, PTH202, PTH208

from __future__ import annotations

import builtins
import contextlib
import ctypes
import errno
import gc
import importlib
import io
import json
import mmap
import os
import random
import shutil
import signal
import sqlite3
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import indexes.builder
import indexes.store
from retriever import Collection, Document, HashingEmbedder, RetrieverError

WORKERS = 2
CASE_SECONDS = 60

# -- modes ----------------------------------------------------------------------------------------

CHANGES = {"create", "write", "truncate", "replace", "unlink", "mkdir", "rmdir"}
NEED_ROOM = {"create", "write", "replace", "mkdir", "map"}
# What happens at a step, and the kinds of steps that it can happen at.
MODES = {
    # The process is gone before the step, as by kill -9; what it wrote stays.
    "kill": CHANGES | {"sync"},
    # The process is gone in the middle of a write.
    "torn": {"write"},
    # The power is gone before the step: nothing stays that was not synced.
    "power": CHANGES | {"sync", "end"},
    # The same, but an arbitrary part of what was not synced has reached the disk.
    "flicker": CHANGES | {"sync", "end"},
    # The step fails once, and the process goes on.
    "ENOSPC": NEED_ROOM,
    "EIO": CHANGES | {"sync", "map"},
    # The disk is full from the step on; when the operation has failed there is room again, and it
    # is run again in the same process.
    "full": NEED_ROOM,
}
DEADLY = {"kill", "torn", "power", "flicker"}

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


# -- what a power cut leaves ----------------------------------------------------------------------


@dataclass
class File:
    """A file's bytes as they were synced, and what was done to it since."""

    synced: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def write(self, offset: int, data: bytes) -> None:
        self.since.append((offset, data))

    def truncate(self, size: int) -> None:
        self.since.append((size, None))

    def sync(self) -> None:
        self.synced, self.since = self.after(lambda: True), []

    def after(self, kept: Callable[[], bool]) -> bytes:
        """The bytes on the disk when only some of what was done since has reached it."""
        content = bytearray(self.synced)
        for offset, data in self.since:
            if not kept():
                continue
            if len(content) < offset:
                content.extend(bytes(offset - len(content)))
            if data is None:
                del content[offset:]
            else:
                content[offset : offset + len(data)] = data
        return bytes(content)


@dataclass
class Folder:
    """A folder's names as they were synced, as they are now, and the changes between the two."""

    synced: dict[str, File | Folder] = field(default_factory=dict)
    now: dict[str, File | Folder] = field(default_factory=dict)
    since: list[dict[str, File | Folder | None]] = field(default_factory=list)

    def change(self, names: dict[str, File | Folder | None]) -> None:
        """Give names to files, or take them (None), all at once."""
        self.since.append(names)
        _rename(self.now, names)

    def sync(self) -> None:
        self.synced, self.since = dict(self.now), []

    def after(self, kept: Callable[[], bool]) -> dict[str, File | Folder]:
        names = dict(self.synced)
        for change in self.since:
            if kept():
                _rename(names, change)
        return names


def _rename(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """A model of what the disk has, next to what the operating system says that it has."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = _scan(root)

    def node(self, path: str) -> Any:
        node: Any = self._top
        for part in Path(path).relative_to(self._root).parts:
            node = node.now[part]
        return node

    def change(self, path: str, node: File | Folder | None) -> None:
        self.node(os.path.dirname(path)).change({os.path.basename(path): node})

    def replace(self, old: str, new: str) -> None:
        assert os.path.dirname(old) == os.path.dirname(new)
        names = {os.path.basename(old): None, os.path.basename(new): self.node(old)}
        self.node(os.path.dirname(old)).change(names)

    def lose_power(self, kept: Callable[[], bool]) -> None:
        """Make the real folder what the disk has."""
        shutil.rmtree(self._root)
        _write_out(self._top, self._root, kept)


def _scan(folder: Path) -> Folder:
    names: dict[str, File | Folder] = {}
    for path in folder.iterdir():
        if path.is_dir():
            names[path.name] = _scan(path)
        elif not path.name.endswith("-shm"):
            names[path.name] = File(path.read_bytes())
    return Folder(dict(names), names)


def _write_out(folder: Folder, path: Path, kept: Callable[[], bool]) -> None:
    path.mkdir()
    for name, node in folder.after(kept).items():
        if isinstance(node, Folder):
            _write_out(node, path / name, kept)
        else:
            (path / name).write_bytes(node.after(kept))


# -- the steps ------------------------------------------------------------------------------------


class Shared:
    """What a process tells its parent though it dies: see `get`."""

    FORMAT = struct.Struct("4i")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self.FORMAT.size)

    def clear(self) -> None:
        self._memory[:] = bytes(self.FORMAT.size)

    def get(self) -> tuple[int, int, bool, int]:
        """Steps, commits, whether the fault has happened, and commits when it did."""
        steps, commits, happened, before = self.FORMAT.unpack(self._memory)
        return steps, commits, bool(happened), before

    def put(self, steps: int, commits: int, happened: bool, before: int) -> None:
        self._memory[:] = self.FORMAT.pack(steps, commits, happened, before)


class Faults:
    """Counts the durable steps under `root` in this process, and lets the step `at` go wrong.

    For good: the process is a fork that ends soon.
    """

    def __init__(
        self,
        root: Path,
        mode: str = "",
        at: int = 0,
        *,
        shared: Shared | None = None,
        committed: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.steps: list[tuple[str, str]] = []
        self.armed = True
        self._root = str(root)
        self._mode, self._at = mode, at
        self._shared, self._committed = shared or Shared(), committed
        self._commits = self._before = 0
        self._happened = False
        self._disk = Disk(root) if mode in ("power", "flicker") else None
        self._paths: dict[int, str] = {}
        self._nodes: dict[int, Any] = {}
        self._patch_os()
        self._patch_connections()
        self._vfs = Vfs(self)

    def inside(self, path: Any) -> str | None:
        """The absolute path of a file under the root, not of SQLite's shared memory; else None."""
        if isinstance(path, int):
            return None
        path = os.path.abspath(os.fsdecode(path))
        ours = path.startswith(f"{self._root}/") and not path.endswith("-shm")
        return path if ours else None

    def step(self, kind: str, path: str, torn: Callable[[], object] | None = None) -> int:
        """Count a step; an error number when it has to fail, else 0. It may be the last."""
        self.steps.append((kind, os.path.relpath(path, self._root)))
        here = len(self.steps) == self._at
        if here:
            self._happened, self._before = True, self._commits
        self._report()
        if here and self._mode in DEADLY:
            if torn and self._mode == "torn":
                torn()
            if self._disk:
                chance = random.Random(self._at)
                flickers = self._mode == "flicker"
                self._disk.lose_power(lambda: flickers and chance.random() < 0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        if not self.armed or kind not in MODES.get(self._mode, ()):
            return 0
        if here:
            return errno.EIO if self._mode == "EIO" else errno.ENOSPC
        return errno.ENOSPC if self._mode == "full" and self._happened else 0

    def _report(self) -> None:
        self._shared.put(len(self.steps), self._commits, self._happened, self._before)

    def check(self, kind: str, path: str, torn: Callable[[], object] | None = None) -> None:
        """Count a step of the `os` module."""
        if failure := self.step(kind, path, torn):
            raise OSError(failure, os.strerror(failure), path)

    # What the model of the disk is told; a file is known by its name until it is open.

    def made(self, path: str, node: File | Folder | None) -> None:
        if self._disk:
            self._disk.change(path, node)

    def node(self, path: str) -> Any:
        return self._disk.node(path) if self._disk else None

    def _patch_os(self) -> None:
        self._patch_files()
        self._patch_names()

    def _patch_files(self) -> None:
        real_open, real_write, real_close = os.open, os.write, os.close
        real_io_open = io.open

        def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            name = self.inside(path)
            if name is None:
                return real_open(path, flags, mode, dir_fd=dir_fd)
            there = os.path.exists(name)
            if there and flags & os.O_CREAT and flags & os.O_EXCL:
                return real_open(path, flags, mode)  # raises
            if flags & os.O_CREAT and not there:
                self.check("create", name)
                self.made(name, File())
            if there and flags & os.O_TRUNC and os.path.getsize(name):
                self.check("truncate", name)
                if node := self.node(name):
                    node.truncate(0)
            descriptor = real_open(path, flags, mode)
            self._paths[descriptor], self._nodes[descriptor] = name, self.node(name)
            return descriptor

        def write(descriptor: int, data: Any) -> int:
            if descriptor in self._paths:
                whole = bytes(data)
                half = whole[: len(whole) // 2]
                self.check("write", self._paths[descriptor], lambda: real_write(descriptor, half))
                if node := self._nodes[descriptor]:
                    node.write(os.lseek(descriptor, 0, os.SEEK_CUR), whole)
            return real_write(descriptor, data)

        def sync(descriptor: int) -> None:
            if descriptor in self._paths:
                self.check("sync", self._paths[descriptor])
                if node := self._nodes[descriptor]:
                    node.sync()

        def close(descriptor: int) -> None:
            self._paths.pop(descriptor, None)
            self._nodes.pop(descriptor, None)
            real_close(descriptor)

        def io_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            name = self.inside(file) if set(mode) & set("wxa+") else None
            if name and not os.path.exists(name):
                self.check("create", name)
                self.made(name, File())  # what is written to it is no step: it is never synced
            return real_io_open(file, mode, *rest, **options)

        os.open, os.write, os.close = open_, write, close
        os.fsync = os.fdatasync = sync
        io.open = builtins.open = io_open

    def _patch_names(self) -> None:
        real_replace, real_unlink = os.replace, os.unlink
        real_mkdir, real_rmdir = os.mkdir, os.rmdir

        def replace(old: Any, new: Any) -> None:
            if name := self.inside(new):
                self.check("replace", name)
                if self._disk:
                    self._disk.replace(os.path.abspath(os.fsdecode(old)), name)
            real_replace(old, new)

        def unlink(path: Any, *, dir_fd: int | None = None) -> None:
            name = self.inside(path) if dir_fd is None else None
            if name and os.path.lexists(name):
                self.check("unlink", name)
                self.made(name, None)
            real_unlink(path, dir_fd=dir_fd)

        def mkdir(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
            name = self.inside(path)
            if name and not os.path.exists(name) and os.path.isdir(os.path.dirname(name)):
                self.check("mkdir", name)
                self.made(name, Folder())
            real_mkdir(path, mode, dir_fd=dir_fd)

        def rmdir(path: Any, *, dir_fd: int | None = None) -> None:
            name = self.inside(path) if dir_fd is None else None
            if name and os.path.isdir(name) and not os.listdir(name):
                self.check("rmdir", name)
                self.made(name, None)
            real_rmdir(path, dir_fd=dir_fd)

        os.replace = os.rename = replace
        os.unlink = os.remove = unlink
        os.mkdir, os.rmdir = mkdir, rmdir

    def _patch_connections(self) -> None:
        """Count the transactions whose COMMIT has returned."""
        faults = self

        class Watched(sqlite3.Connection):
            writing = False

            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
                cursor = super().execute(sql, *parameters)
                if sql == "BEGIN IMMEDIATE":
                    self.writing = True
                elif sql in ("COMMIT", "ROLLBACK"):
                    if self.writing and sql == "COMMIT":
                        faults._commits += 1
                        faults._report()
                        faults._committed(faults._commits)
                    self.writing = False
                return cursor

        real_connect = sqlite3.connect
        sqlite3.connect = lambda *args, **options: real_connect(*args, factory=Watched, **options)


# -- SQLite's files -------------------------------------------------------------------------------


class VfsStruct(ctypes.Structure):
    """The beginning of `sqlite3_vfs`."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("iVersion", "szOsFile", "mxPathname")),
        *((name, ctypes.c_void_p) for name in ("pNext", "zName", "pAppData", "xOpen", "xDelete")),
    ]


class IoMethods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("xClose", "xRead", "xWrite", "xTruncate", "xSync", "xFileSize", "xLock"),
                *("xUnlock", "xCheckReservedLock", "xFileControl", "xSectorSize"),
                *("xDeviceCharacteristics", "xShmMap", "xShmLock", "xShmBarrier", "xShmUnmap"),
                *("xFetch", "xUnfetch"),
            )
        ),
    ]


class FileStruct(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_ = [("methods", ctypes.POINTER(IoMethods))]


# Names stay pointers: what they point to must outlive the call, and goes on behind the end.
POINTER, INT, LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
X_OPEN = ctypes.CFUNCTYPE(INT, POINTER, POINTER, POINTER, INT, POINTER)
X_DELETE = ctypes.CFUNCTYPE(INT, POINTER, POINTER, INT)
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

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._paths: dict[int, str] = {}
        self._nodes: dict[int, Any] = {}
        self._new: set[str] = set()  # journals and logs whose first sync syncs the folder as well
        self._kept: list[Any] = []  # callbacks, as long as SQLite may call them
        self._methods: dict[int, IoMethods] = {}
        vfs = default_vfs()
        self._open, self._delete = X_OPEN(vfs.xOpen), X_DELETE(vfs.xDelete)
        vfs.xOpen = self._pointer(X_OPEN(self._on_open))
        vfs.xDelete = self._pointer(X_DELETE(self._on_delete))

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
            ours.xWrite = self._pointer(X_WRITE(self._write_with(X_WRITE(real.xWrite))))
            ours.xTruncate = self._pointer(
                X_TRUNCATE(self._truncate_with(X_TRUNCATE(real.xTruncate)))
            )
            ours.xSync = self._pointer(X_SYNC(self._on_sync))
            if real.xShmMap:
                ours.xShmMap = self._pointer(X_SHM_MAP(self._map_with(X_SHM_MAP(real.xShmMap))))
        return self._methods[address]

    def _write_with(self, real: Any) -> Any:
        def write(file: int, data: int, size: int, offset: int) -> int:
            path = self._paths[file]
            failure = self._failing("write", path, lambda: real(file, data, size // 2, offset))
            if failure:
                return failure
            if node := self._nodes[file]:
                node.write(offset, ctypes.string_at(data, size))
            return int(real(file, data, size, offset))

        return write

    def _truncate_with(self, real: Any) -> Any:
        def truncate(file: int, size: int) -> int:
            if failure := self._failing("truncate", self._paths[file]):
                return failure
            if node := self._nodes[file]:
                node.truncate(size)
            return int(real(file, size))

        return truncate

    def _map_with(self, real: Any) -> Any:
        def shm_map(file: int, page: int, size: int, extend: int, out: int) -> int:
            if extend and (failure := self._failing("map", f"{self._paths[file]}-shm")):
                return failure
            return int(real(file, page, size, extend, out))

        return shm_map

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


# -- the operations -------------------------------------------------------------------------------

EMBEDDER, OTHER = HashingEmbedder(16), HashingEmbedder(8)
QUERIES = ["cat and dog", "the sea at night", "an old road home", "fish"]
TEXTS = {
    "cat": "A cat sleeps on the mat.",
    "dog": "A dog runs after the cat.",
    "sea": "The sea is dark at night.",
    "none": "!?",  # nothing to embed
    "road": "The old road leads home.",
    "fish": "A fish swims in the sea.",
    "star": "A star stands over the sea at night.",
}
BASE = [Document(name, text, metadata={"kind": "old"}) for name, text in TEXTS.items()]
NEW = [
    Document("owl", "An owl hunts at night.", "Birds", {"kind": "new"}),
    Document("home", "There is no road but the road home.", metadata={"kind": "new"}),
    Document("mat", "The mat and the cat.", metadata={"kind": "new"}),
    Document("boat", "An old boat on the sea.", metadata={"kind": "new"}),
]
EDITED = [
    Document("cat", "A cat sleeps on the old road.", metadata={"kind": "old"}),  # new text
    Document("sea", TEXTS["sea"], metadata={"kind": "new"}),  # new metadata
    Document("dog", TEXTS["dog"], metadata={"kind": "old"}),  # as it was
    Document("none", "A word at last.", "Title", {"kind": "new"}),  # now there is something
    *NEW[:1],
]


def small() -> None:
    """Commit after every batch, and make batches small: many steps over few documents."""
    indexes.store.ADD_BATCH, indexes.store.COMMIT_SECONDS = 3, 0.0
    indexes.builder.FIRST_BATCH = indexes.builder.LARGEST_BATCH = 4
    indexes.builder.COMMIT_SECONDS = 0.0


@dataclass(frozen=True)
class Operation:
    """What is run, and the collection that it is run on; `extra` is a folder for its sources.

    `takes_back`: when it fails before any work was kept, its first commit is undone.
    """

    prepare: Callable[[Path], None]
    run: Callable[[Collection, Path], object]
    takes_back: bool = False


def _documents(folder: Path, *, build: bool = False) -> None:
    with Collection.create(folder) as collection:
        collection.index_fields("kind")
        collection.add(BASE)
        if build:
            collection.build("flat", EMBEDDER)
            collection.build("graph", vectors="flat", ann="HNSW8")
            collection.delete([])  # sweeps


def _indexed(folder: Path) -> None:
    _documents(folder, build=True)


def _behind(folder: Path) -> None:
    """There are edits and new documents that no index has seen."""
    _indexed(folder)
    with Collection.open(folder) as collection:
        collection.add(EDITED)


def _worn(folder: Path) -> None:
    """Removed passages stand in every file of two embeddings, and a structure is behind."""
    _behind(folder)
    with Collection.open(folder) as collection:
        collection.build("flat")
        collection.build("other", OTHER)
        collection.delete(["fish", "owl"])


def _two(folder: Path) -> None:
    _indexed(folder)
    with Collection.open(folder) as collection:
        collection.build("other", OTHER, ann="HNSW8")
        collection.delete([])


def _add_file(collection: Collection, extra: Path) -> None:
    source = extra / "new.jsonl"
    if not source.exists():
        lines = [
            {"id": d.doc_id, "title": d.title, "text": d.text, "metadata": d.metadata} for d in NEW
        ]
        source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    collection.add(source)


def _delete(collection: Collection, extra: Path) -> None:
    ids = ["cat", "fish", "none"]
    unknown = set(collection.unknown_ids(ids))
    collection.delete([doc_id for doc_id in ids if doc_id not in unknown])


def _drop(collection: Collection, extra: Path) -> None:
    if "other" in collection.index_names():
        collection.drop("other")


OPERATIONS = {
    "create": Operation(lambda folder: None, lambda c, extra: None),
    "add": Operation(_documents, _add_file),
    "edit": Operation(_indexed, lambda c, extra: c.add(EDITED)),
    "build": Operation(
        _documents, lambda c, extra: c.build("graph", EMBEDDER, ann="HNSW8"), takes_back=True
    ),
    "rebuild": Operation(_behind, lambda c, extra: c.build("graph")),
    "delete": Operation(_indexed, _delete),
    "delete-where": Operation(_indexed, lambda c, extra: c.delete(where={"kind": "old"})),
    "compact": Operation(_worn, lambda c, extra: c.compact()),
    "drop": Operation(_two, _drop),
}


def state_of(collection: Collection) -> Any:
    """All that a user can see: documents, indexes, and what each finds, to the last score."""
    documents = [[d.doc_id, d.title, d.text, d.metadata] for d in collection.documents()]
    answers = {
        f"{name} {where}": [
            [[[hit.doc_id, hit.score, hit.text] for hit in hits], hits.notes]
            for hits in collection.search_many(QUERIES, index=name, k=20, where=where)
        ]
        for name in collection.index_names()
        for where in (None, {"kind": "new"})
    }
    # Notes name the folder.
    return json.loads(json.dumps([documents, answers]).replace(str(collection.path), "library"))


# -- the cases ------------------------------------------------------------------------------------


class Bench:
    """One operation, prepared: its collection, its steps, and the states that it goes through."""

    def __init__(self, name: str, work: Path) -> None:
        self.name, self.operation = name, OPERATIONS[name]
        self._work, self._shared = work, Shared()
        self.before = work / "before"
        self.before.mkdir()
        small()
        importable = in_fork(work, lambda: self._prepare())
        for module in importable:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
        gc.collect()
        gc.freeze()
        self.steps, commits = in_fork(work, lambda: self._clean_run(work / "first", snaps=True))
        again, _ = in_fork(work, lambda: self._clean_run(work / "second"))
        if self.steps != again:
            raise RuntimeError(f"Two runs of {name} took different steps: {self.steps} {again}")
        self.states = in_fork(work, lambda: self._states(commits))

    def _prepare(self) -> list[str]:
        Faults(self._work)
        self.operation.prepare(self.before / "library")
        with Collection.open_or_create(self._work / "warm" / "library") as collection:
            collection.add(BASE)
            collection.build("graph", EMBEDDER, ann="HNSW8")
            state_of(collection)
        return sorted(sys.modules)

    def _clean_run(self, root: Path, *, snaps: bool = False) -> tuple[list[Any], int]:
        shutil.copytree(self.before, root)
        commits = 0

        def committed(count: int) -> None:
            nonlocal commits
            commits = count
            if snaps and self.name != "create":
                leave = shutil.ignore_patterns("*-shm")
                shutil.copytree(root, self._work / f"after-{count}", ignore=leave)

        faults = Faults(root, committed=committed)
        self._run(root)
        faults.step("end", str(root / "library"))
        return faults.steps, commits

    def _run(self, root: Path) -> None:
        with Collection.open_or_create(root / "library") as collection:
            self.operation.run(collection, self._work)

    def _states(self, commits: int) -> list[Any]:
        """Before, after each commit, and at the end of an uninterrupted run."""
        Faults(self._work)
        roots = [self.before, *(self._work / f"after-{n + 1}" for n in range(commits))]
        if self.name == "create":
            roots = []
        states = []
        for root in [*roots, self._work / "second"]:
            with Collection.open(root / "library") as collection:
                states.append(state_of(collection))
        return states

    def cases(self, mode: str) -> list[int]:
        """The numbers of the steps that a mode can happen at."""
        return [n for n, (kind, _) in enumerate(self.steps, start=1) if kind in MODES[mode]]

    def case(self, mode: str, at: int, root: Path) -> str:
        """Run one case; what is wrong, or nothing."""
        shutil.copytree(self.before, root)
        self._shared.clear()
        outcome = root.with_suffix(".outcome")
        outcome.unlink(missing_ok=True)
        status = fork(lambda: outcome.write_text(json.dumps(self._attempt(root, mode, at))))
        steps, commits, happened, before = self._shared.get()
        if not happened:
            return f"the step was never reached: there were {steps} ({status})"
        if mode in DEADLY:
            if status != -signal.SIGKILL:
                return f"did not die: {status}"
            allowed = self.states[commits : commits + 2]
        else:
            if status:
                return f"died of the error: {status}"
            ended, said, live = json.loads(outcome.read_text())
            if ended == "broke":
                return f"ended in an error that is not ours: {said}"
            allowed = self.states[commits : commits + 2]
            if ended == "returned":
                allowed = self.states[-1:]
            elif self.operation.takes_back and before <= 1:
                allowed = self.states[: before + 2]
            if live is not None and live not in allowed:
                return f"the open collection answers neither before nor after: {_told(said)}"
        allowed = allowed or self.states[-1:]
        return str(in_fork(root.parent, lambda: self._check(root, allowed)))

    def _attempt(self, root: Path, mode: str, at: int) -> tuple[str, str, Any]:
        """How the operation ended, what it said, and the state that the open collection shows."""
        faults = Faults(root, mode, at, shared=self._shared)
        ended, said, live = "returned", "", None
        try:
            with Collection.open_or_create(root / "library") as collection:
                try:
                    self.operation.run(collection, self._work)
                except RetrieverError as error:
                    ended, said = "refused", str(error)
                    faults.armed = False
                    if mode == "full":
                        self.operation.run(collection, self._work)
                        ended = "returned"
                    live = state_of(collection)
        except RetrieverError as error:
            if ended != "returned":
                return "broke", f"after an error, in the same process: {traceback.format_exc()}", 0
            ended, said = "refused", str(error)
        except Exception:
            return "broke", traceback.format_exc(), None
        faults.step("end", str(root / "library"))
        return ended, said, live

    def _check(self, root: Path, allowed: list[Any]) -> str:
        """What is wrong with what is left, and with running the operation again."""
        Faults(root)
        library = root / "library"
        try:
            with Collection.open_or_create(library) as collection:
                if not (checked := collection.verify()).ok:
                    return f"verify: {'; '.join(map(str, checked.problems))}"
                if (state := state_of(collection)) not in allowed:
                    at = [n for n, known in enumerate(self.states) if known == state]
                    wanted = [n for n, known in enumerate(self.states) if known in allowed]
                    return f"the state is {at or _brief(state)}; expected one of {wanted}"
                self.operation.run(collection, self._work)
            with Collection.open(library) as collection:
                collection.delete([])  # the next writer sweeps
                if not (checked := collection.verify()).ok:
                    return f"verify after the rerun: {'; '.join(map(str, checked.problems))}"
                if left := [*checked.leftovers, *_strange_files(library)]:
                    return f"files are left after the rerun: {left}"
                if (state := state_of(collection)) != self.states[-1]:
                    return f"the rerun ended with another state: {_brief(state)}"
        except Exception:
            return f"the check failed: {traceback.format_exc(limit=-6, chain=False)}"
        return ""


def _strange_files(library: Path) -> list[str]:
    """What lies beside the catalog and its files, and does not belong there."""
    known = {"catalog.db", "catalog.db-wal", "catalog.db-shm", "writer.lock", "vectors", "ann"}
    return [path.name for path in library.iterdir() if path.name not in known]


def _brief(state: Any) -> str:
    documents, answers = state
    return f"{[document[0] for document in documents]} {json.dumps(answers)[:500]}"


def _told(said: str) -> str:
    return said or "no error was raised"


def fork(work: Callable[[], object]) -> int:
    """Run something in a fork; its exit status, or minus the signal that it died of."""
    child = os.fork()
    if not child:
        signal.alarm(CASE_SECONDS)
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def in_fork(folder: Path, work: Callable[[], Any]) -> Any:
    """What something gives, run in a fork."""
    answer = folder / f"answer-{os.getpid()}.json"
    status = fork(lambda: answer.write_text(json.dumps(work())))
    if status:
        raise RuntimeError(f"A fork ended with {status}.")
    found = json.loads(answer.read_text())
    answer.unlink()
    return found


def run_cases(bench: Bench, mode: str, steps: list[int], work: Path) -> list[dict[str, Any]]:
    """Run the cases of a mode, some side by side; those that went wrong."""

    def some(worker: int) -> list[dict[str, Any]]:
        failures = []
        for at in steps[worker::WORKERS]:
            root = work / f"case-{worker}" / f"{mode}-{at}"
            root.parent.mkdir(exist_ok=True)
            if wrong := bench.case(mode, at, root):
                failures.append({"mode": mode, "step": at, "what": bench.steps[at - 1]})
                failures[-1]["wrong"] = wrong
            shutil.rmtree(root, ignore_errors=True)
        return failures

    answers = [work / f"worker-{worker}.json" for worker in range(WORKERS)]
    children = []
    for worker, answer in enumerate(answers):
        child = os.fork()
        if not child:
            bench._shared = Shared()
            answer.write_text(json.dumps(some(worker)))
            os._exit(0)
        children.append(child)
    for child in children:
        if status := os.waitpid(child, 0)[1]:
            raise RuntimeError(f"A worker ended with {os.waitstatus_to_exitcode(status)}.")
    return [failure for answer in answers for failure in json.loads(answer.read_text())]


@contextlib.contextmanager
def _work_folder() -> Iterator[Path]:
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        yield Path(folder).resolve()


def main(name: str, mode: str = "", step: str = "") -> None:
    """Run an operation's cases and print the report."""
    with _work_folder() as work:
        bench = Bench(name, work)
        failures, ran = [], {}
        for one in [mode] if mode else MODES:
            started = time.monotonic()
            steps = [int(step)] if step else bench.cases(one)
            failures += run_cases(bench, one, steps, work)
            ran[one] = [len(steps), round(time.monotonic() - started, 1)]
    steps = bench.steps
    print(json.dumps({"steps": steps, "ran": ran, "failures": failures}))  # noqa: T201


if __name__ == "__main__":
    # One thread each: a fork of a process with threads may wait for them forever.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    main(*sys.argv[1:])
