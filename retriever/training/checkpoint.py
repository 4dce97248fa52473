"""Checkpoints of trainings, from which an interrupted training resumes.

models/.NAME-work/
  settings.json         the identity of the training: settings and the corpus's checksum
  state.npz             arrays after the last complete epoch, for trainings with epochs
  ...                   other files of the training
models/NAME/            the finished model, renamed into place once it is complete
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import CollectionError
from indexes.storage.files import LOCK_FILES, sync, writer_lock

SETTINGS, STATE, RESULT = "settings.json", "state.npz", "result"


@dataclass(frozen=True)
class State:
    """State of a training after some complete epochs: arrays by name."""

    epochs: int
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The work folder of one training; create it with `opened`."""

    path: Path

    @classmethod
    @contextlib.contextmanager
    def opened(cls, models: Path, name: str, identity: Mapping[str, Any]) -> Iterator[Checkpoint]:
        """Open the folder of an interrupted training of the same identity, or a new one.

        The folder is kept if the block raises after it saved something, and removed otherwise. An
        OSError, here or in the block, becomes a CollectionError.
        """
        path = models / f".{name}-work"
        try:
            path.mkdir(parents=True, exist_ok=True)
            with writer_lock(path):
                work = cls(path)
                if read_facts(path / SETTINGS) != json.loads(json.dumps(identity)):
                    work.clear()
                    (path / SETTINGS).write_text(json.dumps(identity))
                try:
                    yield work
                except BaseException:
                    if work._is_empty():
                        shutil.rmtree(path, ignore_errors=True)
                    raise
                # Under the lock: another process may start as soon as it is released.
                shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            raise CollectionError(
                f"{path}/ cannot be written: {error.strerror or error}. Check the free disk space "
                "and the write permissions, and run the command again to resume."
            ) from None

    def load(self, fresh: Mapping[str, NDArray[Any]]) -> State | None:
        """Return the last saved state; None if there is none or it is damaged or does not fit.

        Arrays must have the names, shapes and types of the `fresh` ones: engines in C do not check.
        """
        try:
            with np.load(self.path / STATE, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in saved.files}
            epochs = int(arrays.pop("epochs"))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        for name, one in fresh.items():
            found = arrays.get(name)
            if found is None or (found.shape, found.dtype) != (one.shape, one.dtype):
                return None
        return State(epochs, arrays)

    def save(self, state: State) -> None:
        """Replace the saved state atomically."""
        temporary = self.path / f"{STATE}.writing"
        with temporary.open("wb") as file:
            arrays: dict[str, Any] = {**state.arrays, "epochs": np.int64(state.epochs)}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / STATE)

    @contextlib.contextmanager
    def result(self, place: Path) -> Iterator[Path]:
        """Give an empty folder to fill; when the block ends, sync it and rename it to `place`."""
        folder = self.path / RESULT
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
        for path in (*folder.rglob("*"), folder):
            sync(path)
        folder.rename(place)
        sync(place.parent)

    def clear(self) -> None:
        """Remove all that was saved."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in LOCK_FILES:
                path.unlink()

    def _is_empty(self) -> bool:
        return all(path.name in (SETTINGS, *LOCK_FILES) for path in self.path.glob("*"))


def read_facts(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file; empty if there is none that can be read."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
