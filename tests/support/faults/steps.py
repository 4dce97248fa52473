"""The durable steps of this process: each is counted, and one of them goes wrong.

A durable step is a call that changes what is on the disk, or waits until the disk has it: of our
own files through the `os` module, of the catalog through SQLite's VFS (see `faults_sqlite`). What
tantivy writes is seen when we sync it, and until then a power cut takes it.
Nothing waits for the real disk: what a power cut takes is worked out by `faults_disk.Disk`.
"""

# What is patched here is the `os` module itself, by names that it takes:
# ruff: noqa: PTH100, PTH110, PTH112, PTH120, PTH202, PTH208

from __future__ import annotations

import builtins
import errno
import io
import mmap
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import indexes.progress
from tests.support.faults.disk import Disk, File, Folder
from tests.support.faults.sqlite_steps import Vfs, watch_commits

CHANGES = {"create", "write", "truncate", "replace", "unlink", "mkdir", "rmdir"}
NEED_ROOM = {"create", "write", "replace", "mkdir", "map"}
# What happens at a step, and the kinds of steps that it can happen at.
MODES = {
    # The process is gone before the step, as by kill -9: there is what it wrote until then.
    "kill": CHANGES | {"sync"},
    # The process is gone in the middle of a write.
    "torn": {"write"},
    # The power is gone before the step: nothing stays that was not synced.
    "power": CHANGES | {"sync", "end"},
    # The same, but an arbitrary part of what was not synced has reached the disk.
    "flicker": CHANGES | {"sync", "end"},
    # The step fails once, and the process continues.
    "ENOSPC": NEED_ROOM,
    "EIO": CHANGES | {"sync", "map"},
    # The disk is full from the step on; when the operation has failed there is room again, and it
    # is run again in the same process.
    "full": NEED_ROOM,
}
# What these leave is in the files of one run that goes on: each step needs none of its own.
DEADLY = {"kill", "torn", "power", "flicker"}


def shared_counts() -> NDArray[np.int32]:
    """Steps, commits, whether the fault has happened, and commits when it did: forks share them."""
    return np.frombuffer(mmap.mmap(-1, 16), np.int32)


class Faults:
    """Counts the durable steps under `root` in this process, and lets the step `at` go wrong.

    Permanently: the process is a fork that ends soon. `committed` is called at each commit. Of the
    modes in `DEADLY`, what each step would leave is written to a folder in `folder`, by number, and
    `left` has how many commits there were.
    """

    def __init__(
        self,
        root: Path,
        mode: str = "",
        at: int = 0,
        *,
        shared: NDArray[np.int32] | None = None,
        committed: Callable[[int], None] = lambda count: None,
        folder: Path | None = None,
    ) -> None:
        self.steps: list[tuple[str, str]] = []
        self.left: dict[int, int] = {}
        self.armed = True
        self._root, self._left = str(root), folder
        self._mode, self._at = mode, at
        self._shared = shared_counts() if shared is None else shared
        self._committed = committed
        self._commits = self._before = 0
        self._happened = False
        self._disk = Disk(root) if mode in ("power", "flicker") else None
        self._paths: dict[int, str] = {}
        self._nodes: dict[int, Any] = {}
        self._patch_files()
        self._patch_names()
        watch_commits(self._commit)
        # The same run writes the same bytes: its random numbers and its clock are the same. Whoever
        # checks what is left draws others, so that no log of his fits to one that he has found.
        self._vfs = Vfs(self, seed=bool(mode))
        # What took how long, and how much memory, is written to the catalog.
        time.perf_counter = lambda: 0.0
        indexes.progress.resident = lambda: 0

    def inside(self, path: Any) -> str | None:
        """The absolute path of the root or a file below, not of SQLite's shared memory; or None."""
        if isinstance(path, int):
            return None
        path = os.path.abspath(os.fsdecode(path))
        ours = f"{path}/".startswith(f"{self._root}/") and not path.endswith("-shm")
        return path if ours else None

    def step(self, kind: str, path: str, torn: Callable[[], object] | None = None) -> int:
        """Count a step; an error number when it has to fail, else 0. It may be the last."""
        # tantivy draws the names of its files.
        name = re.sub("[0-9a-f]{32}", "segment", os.path.relpath(path, self._root))
        self.steps.append((kind, name))
        here = len(self.steps) == self._at
        if here:
            self._happened, self._before = True, self._commits
        self._report()
        if self._left and kind in MODES[self._mode]:
            self._leave(self._left / str(len(self.steps)), torn)
        if not self.armed or kind not in MODES.get(self._mode, ()):
            return 0
        if here:
            return errno.EIO if self._mode == "EIO" else errno.ENOSPC
        return errno.ENOSPC if self._mode == "full" and self._happened else 0

    def _leave(self, place: Path, torn: Callable[[], object] | None) -> None:
        """Write what there would be without this process, or without power. It goes on."""
        self.left[len(self.steps)] = self._commits
        if self._disk:
            chance, flickers = random.Random(len(self.steps)), self._mode == "flicker"
            self._disk.lose_power(lambda: flickers and chance.random() < 0.5, place)
            return
        if torn and self._mode == "torn":
            torn()
        shutil.copytree(self._root, place)

    def _commit(self) -> None:
        self._commits += 1
        self._report()
        self._committed(self._commits)

    def _report(self) -> None:
        self._shared[:] = len(self.steps), self._commits, self._happened, self._before

    def check(self, kind: str, path: str, torn: Callable[[], object] | None = None) -> None:
        """Count a step of the `os` module."""
        if failure := self.step(kind, path, torn):
            raise OSError(failure, os.strerror(failure), path)

    # What the model of the disk records; a file is known by its name until it is open.

    def made(self, path: str, node: File | Folder | None) -> None:
        if self._disk:
            self._disk.change(path, node)

    def node(self, path: str) -> Any:
        return self._disk.node(path) if self._disk else None

    def found(self, path: str) -> None:
        """Take in a file that others have written: neither its name nor its bytes are synced."""
        if self._disk and not self._disk.knows(path):
            self._disk.change(path, File(since=[(0, Path(path).read_bytes())]))

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
            if not flags & os.O_CREAT:
                self.found(name)
            self._paths[descriptor], self._nodes[descriptor] = name, self.node(name)
            return descriptor

        def tear(descriptor: int, half: bytes) -> None:
            os.pwrite(descriptor, half, os.lseek(descriptor, 0, os.SEEK_CUR))

        def write(descriptor: int, data: Any) -> int:
            if descriptor in self._paths:
                whole = bytes(data)
                half = whole[: len(whole) // 2]
                self.check("write", self._paths[descriptor], lambda: tear(descriptor, half))
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
        real_replace, real_unlink, real_link = os.replace, os.unlink, os.link
        real_mkdir, real_rmdir = os.mkdir, os.rmdir

        def replace(old: Any, new: Any) -> None:
            if name := self.inside(new):
                self.check("replace", name)
                if self._disk:
                    before = os.path.abspath(os.fsdecode(old))
                    self.found(before)
                    self._disk.replace(before, name)
            real_replace(old, new)

        def link(old: Any, new: Any) -> None:
            if name := self.inside(new):
                self.check("create", name)
                self.made(name, self.node(os.path.abspath(os.fsdecode(old))))
            real_link(old, new)

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
        os.link = link
        os.unlink = os.remove = unlink
        os.mkdir, os.rmdir = mkdir, rmdir
