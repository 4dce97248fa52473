"""Training jobs: what every model trained from a collection shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from indexes.catalog.registry import NAME
from indexes.errors import CollectionError, InputError
from indexes.progress import Progress, ignore_progress
from retriever.advice import shell_command
from retriever.collection import Collection
from retriever.indexing.embedder_pool import MODELS
from retriever.training.checkpoint import read_facts

# Called with the label of each stage; the context gives its progress callback.
Stages = Callable[[str], AbstractContextManager[Progress]]


def silent_stages(_label: str) -> AbstractContextManager[Progress]:
    """Ignore the progress of a stage."""
    return nullcontext(ignore_progress)


@dataclass(frozen=True)
class TrainingJob:
    """A model to train from a collection, under a name."""

    library: Collection
    name: str

    @property
    def place(self) -> Path:
        """The folder of the finished model."""
        return self.library.path / MODELS / self.name

    def check(self) -> None:
        """Check before any work that the name is valid and that there are documents."""
        if not NAME.fullmatch(self.name):
            raise InputError(
                f"'{self.name}' is not a valid model name. "
                "Use letters, digits, dots, dashes and underscores (64 at most)."
            )
        if not len(self.library):
            raise InputError(
                f"{self.library.path}/ has no documents yet. Add some first: "
                f"{shell_command('add', self.library.path, 'FILE')}"
            )

    def check_index(self) -> None:
        """Check that no index has the name of the model."""
        if self.name in self.library.index_names():
            raise CollectionError(
                f"Index '{self.name}' already exists. Choose another name, or first run: "
                f"{shell_command('drop', self.library.path, self.name)}"
            )

    def corpus(self) -> dict[str, Any]:
        """Return what identifies the documents that the model is trained on."""
        return {"checksum": self.library.content_checksum(), "documents": len(self.library)}

    def check_unchanged(self, corpus: Mapping[str, Any]) -> None:
        """Check that the documents are still those of `corpus`."""
        if self.library.content_checksum() != corpus["checksum"]:
            raise CollectionError(
                f"The documents of {self.library.path}/ changed while they were read. "
                "Run the command again when nothing is being added."
            )

    def finished(self, facts: str, identity: Mapping[str, Any], *, needs: Path) -> dict[str, Any]:
        """Return what the file `facts` of the model says, which must have this identity."""
        found = read_facts(self.place / facts)
        expected = json.loads(json.dumps(identity))
        other = [name for name, value in expected.items() if found.get(name) != value]
        if other or not needs.exists():
            raise CollectionError(
                f"{self.place}/ already exists and was made from other settings or documents"
                f"{_differences(other, found, expected)}. "
                "Choose another name, or first remove the folder and the indexes over it."
            )
        return found


def _differences(
    names: Sequence[str], found: Mapping[str, Any], expected: Mapping[str, Any]
) -> str:
    """Return which settings differ, in brackets, with their values if these are short."""
    plain = (int, float, str, NoneType)
    parts = [
        f"{name} was {found[name]}, is {expected[name]}"
        if name in found and isinstance(found[name], plain) and isinstance(expected[name], plain)
        else name
        for name in names
    ]
    return f" ({', '.join(parts)})" if parts else ""
