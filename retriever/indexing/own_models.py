"""Models that were made from a collection's documents, and what that took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retriever.indexing.embedder_pool import model_inside

# What a distilled table and trained word vectors say of their making: files, and the times in them.
DISTILLED, TRAINED = "retriever.json", "training.json"
TIMES = ("encoding_seconds", "fitting_seconds", "seconds")


@dataclass(frozen=True)
class OwnModel:
    """A model in the collection's folder: its place there, the seconds of its making, its bytes."""

    place: str
    seconds: float
    size: int


def own_models(folder: Path, embedders: Sequence[Mapping[str, Any]]) -> tuple[OwnModel, ...]:
    """Return the models of embedders, by their records, that were made in the collection."""
    places = dict.fromkeys(place for kept in embedders if (place := model_inside(kept)))
    return tuple(made for place in places for made in _made(folder, Path(place)))


def _made(folder: Path, place: Path) -> Iterator[OwnModel]:
    """Yield the model at a place, or the one that the file there is of, if it tells its making."""
    for inside in (place, place.parent):
        for name, part in ((DISTILLED, "report"), (TRAINED, None)):
            try:
                facts = json.loads((folder / inside / name).read_bytes())
                times = facts[part] if part else facts
                seconds = sum(float(times.get(time, 0.0)) for time in TIMES)
                files = [path for path in (folder / inside).rglob("*") if path.is_file()]
                size = sum(path.stat().st_size for path in files)
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                continue
            yield OwnModel(inside.as_posix(), seconds, size)
            return
