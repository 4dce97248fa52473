"""A model of a disk that loses, when the power goes, what was not synced."""

# Paths are those that the `os` module takes:
# ruff: noqa: PTH119, PTH120

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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

    def knows(self, path: str) -> bool:
        try:
            self.node(path)
        except KeyError:
            return False
        return True

    def change(self, path: str, node: File | Folder | None) -> None:
        self.node(os.path.dirname(path)).change({os.path.basename(path): node})

    def replace(self, old: str, new: str) -> None:
        node = self.node(old)
        if os.path.dirname(old) == os.path.dirname(new):
            names = {os.path.basename(old): None, os.path.basename(new): node}
            self.node(os.path.dirname(old)).change(names)
        else:  # two folders, each synced for itself
            self.change(new, node)
            self.change(old, None)

    def lose_power(self, kept: Callable[[], bool], place: Path) -> None:
        """Write to a new folder what the disk has."""
        _write_out(self._top, place, kept)


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


def fingerprint(root: Path) -> str:
    """A checksum of all names and bytes below a folder that whoever opens it next can see."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.name.endswith("-shm"):
            continue  # SQLite empties it where no process has it open
        # Which process was writing, and since when: reported to others while it lives, and no more.
        counts = path.is_file() and path.name != "writer.json"
        content = path.read_bytes() if counts else b""
        digest.update(f"{path.relative_to(root)} {path.is_dir()} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()
