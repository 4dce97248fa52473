"""Where a model in the making keeps its work: an interrupted one goes on from there.

models/.NAME-work/
  settings.json         whose work this is: settings and the corpus's checksum
  state.npz             arrays after the last whole epoch, where there are epochs
  ...                   what else its maker keeps
models/NAME/            the finished model, put there whole
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
    """A work after some whole epochs: arrays by name."""

    epochs: int
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The folder of one work; use `opened`."""

    path: Path

    @classmethod
    @contextlib.contextmanager
    def opened(cls, models: Path, name: str, identity: Mapping[str, Any]) -> Iterator[Checkpoint]:
        """The folder of an earlier work of the same identity, or a fresh one.

        It stays when the block raises, and goes when it does not.

        Raises:
            LockedError: another process is at it.
            CollectionError: it cannot be written.
        """
        path = models / f".{name}-work"
        with explained(path):
            path.mkdir(parents=True, exist_ok=True)
            with writer_lock(path):
                work = cls(path)
                if work._identity() != json.loads(json.dumps(identity)):
                    work._clear()
                    (path / SETTINGS).write_text(json.dumps(identity))
                yield work
                # While it is locked: the next one may begin the moment that it is not.
                shutil.rmtree(path, ignore_errors=True)

    def state(self, fresh: Mapping[str, NDArray[Any]]) -> State | None:
        """What was kept last; None where nothing was, or where it cannot be read or used.

        It must have arrays of the names, shapes and types of a `fresh` training's: engines in C
        take them as they are.
        """
        try:
            with np.load(self.path / STATE, allow_pickle=False) as kept:
                arrays = {name: kept[name] for name in kept.files}
            epochs = int(arrays.pop("epochs"))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        fits = all(name in arrays and _alike(arrays[name], one) for name, one in fresh.items())
        return State(epochs, arrays) if fits else None

    def keep(self, state: State) -> None:
        """Keep a state in place of the last, whole or not at all."""
        temporary = self.path / f"{STATE}.writing"
        with temporary.open("wb") as file:
            arrays: dict[str, Any] = {**state.arrays, "epochs": np.int64(state.epochs)}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path / STATE)

    @contextlib.contextmanager
    def result(self, place: Path) -> Iterator[Path]:
        """An empty folder to fill; on leaving, it stands at `place`, whole."""
        folder = self.path / RESULT
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
        for path in (*folder.rglob("*"), folder):
            sync(path)
        folder.rename(place)
        sync(place.parent)

    def _identity(self) -> Any:
        try:
            return json.loads((self.path / SETTINGS).read_bytes())
        except (OSError, ValueError):
            return None

    def _clear(self) -> None:
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in LOCK_FILES:
                path.unlink()


def _alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype


@contextlib.contextmanager
def explained(place: Path) -> Iterator[None]:
    """An error of the disk, said in a sentence.

    Raises:
        CollectionError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise CollectionError(
            f"{place}/ cannot be written: {error.strerror or error}. Check that the disk has room "
            "and that you may write there, and run the same again: it goes on."
        ) from None
