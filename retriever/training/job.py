"""What every model that is made from a collection needs: a place in it, and stages to watch."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import CollectionError, InputError
from indexes.progress import Progress
from indexes.store import NAME
from retriever.collection import Collection
from retriever.indexing.embedder_pool import MODELS

# For each stage of the work: a label, giving something to report progress to.
Stages = Callable[[str], AbstractContextManager[Progress]]


@contextlib.contextmanager
def silent_stages(_: str) -> Iterator[Progress]:
    """Stages that nobody watches."""
    yield lambda _done, _total: None


@dataclass(frozen=True)
class TrainingJob:
    """A model that is to be made from a collection, under a name."""

    library: Collection
    name: str

    @property
    def place(self) -> Path:
        """The folder where it will stand, whole."""
        return self.library.path / MODELS / self.name

    @property
    def quoted(self) -> str:
        """The collection's folder as a shell takes it, for advice."""
        return shlex.quote(str(self.library.path))

    def check(self) -> None:
        """Refuse, before any work is spent, what could not be finished.

        Raises:
            InputError: the name is not fit for a file, or there are no documents.
        """
        if not NAME.fullmatch(self.name):
            raise InputError(
                f"'{self.name}' cannot name a model. "
                "Use letters, digits, dots, dashes and underscores (64 at most)."
            )
        if not len(self.library):
            raise InputError(
                f"{self.library.path}/ has no documents yet. Add some first: "
                f"retriever add {self.quoted} FILE"
            )

    def check_index(self) -> None:
        """Refuse a name that an index has: one over the model could not be built.

        Raises:
            CollectionError: it has.
        """
        if self.name in self.library.index_names():
            raise CollectionError(
                f"Index '{self.name}' is there already. "
                f"Choose another name, or first: retriever drop {self.quoted} {self.name}"
            )

    def corpus(self) -> dict[str, Any]:
        """Which documents it is made from, for what identifies it."""
        return {"checksum": self.library.content_checksum(), "documents": len(self.library)}

    def check_unchanged(self, corpus: Mapping[str, Any]) -> None:
        """Refuse to go on with documents that are others now than when `corpus` was told.

        Raises:
            CollectionError: they are.
        """
        if self.library.content_checksum() != corpus["checksum"]:
            raise CollectionError(
                f"The documents of {self.library.path}/ changed while they were read. "
                "Run the same again when nothing is being added."
            )

    def is_another(self, made_by: str) -> CollectionError:
        """The error for a place where something else stands; `made_by` says what does not fit."""
        return CollectionError(
            f"{self.place}/ is there already, and it is not what {made_by} of these documents. "
            "Choose another name, or remove the folder first, and the indexes over it: nothing of "
            "it would be kept."
        )
