"""Workers of a build: chosen by the user's words, and what each of them loads."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

from indexes.errors import InputError, MismatchError
from indexes.pipeline.calls import mapped
from indexes.pipeline.encoder import Encode
from indexes.pipeline.executors.base import Executor
from retriever.embedders import Embedder, load_embedder
from retriever.embedders.base import FitsInParts, Fittable, vector_fingerprint
from retriever.indexing.embedder_pool import (
    CUSTOM,
    embedder_record,
    embedder_spec,
    encode,
    pickled,
)
from retriever.indexing.fingerprints import differences

RAY = "ray"
# Passages in a task, unless the embedder says fewer (`task_passages`): of static vectors, a second.
PASSAGES = 8192
# Characters of a corpus that are read for a fit before workers are started.
FEW_CHARACTERS = 64 << 20


def executor_of(workers: int | str) -> Executor:
    """Return the executor that a number of processes, `ray` or `ray:ADDRESS` names.

    One process is this one.

    Raises:
        InputError: it is none of these.
    """
    kind, _, address = str(workers).partition(":")
    if kind == RAY and not isinstance(workers, int):
        from indexes.pipeline.executors.ray_cluster import RayExecutor

        return RayExecutor(address or None)
    if address or isinstance(workers, bool) or not kind.isdecimal() or not int(kind):
        raise InputError(
            f"workers is {workers!r}; expected a number of processes, such as 4, or ray, or "
            "ray:ADDRESS of a cluster, such as ray:10.0.0.1:6379."
        )
    # Here, since few builds have workers, and every command would import multiprocessing.
    if int(kind) == 1:
        from indexes.pipeline.executors.inline import InlineExecutor

        return InlineExecutor()
    from indexes.pipeline.executors.processes import ProcessExecutor

    return ProcessExecutor(int(kind))


def passages_of_task(embedder: Embedder) -> int:
    """Return how many passages a worker embeds at once: the same for every number of workers."""
    return int(getattr(embedder, "task_passages", PASSAGES))


@dataclass(frozen=True)
class WorkerEmbedder:
    """Loads an embedder in a worker: by its record, or of the user's own by its pickle.

    A model in the collection is found there; any other has to be installed on the machine.
    """

    record: Mapping[str, Any]
    folder: Path
    fingerprint: str
    parameters: bytes | None
    custom: bytes | None

    @classmethod
    def of(cls, embedder: Embedder, folder: Path) -> WorkerEmbedder:
        """Return what loads this embedder again, in the runtime that it has.

        Raises:
            InputError: it is the user's own, and cannot be pickled.
        """
        record = embedder_record(embedder, folder)
        runtime = getattr(embedder, "runtime", None)
        if runtime is not None and record["kind"] != CUSTOM:
            # Chosen by a worker for itself, it might be another one.
            record["options"]["runtime"] = runtime
        parameters = embedder.parameters if isinstance(embedder, Fittable) else None
        custom = pickled(embedder) if record["kind"] == CUSTOM else None
        return cls(record, folder, embedder.fingerprint, parameters, custom)

    def __call__(self) -> Embedder:
        """Load the embedder.

        Raises:
            ModelNotAvailableError: its model is not on this machine.
            MismatchError: it is another one here.
        """
        embedder: Embedder = pickle.loads(self.custom) if self.custom else self._load()
        made, here = map(vector_fingerprint, (self.fingerprint, embedder.fingerprint))
        if made != here:
            raise MismatchError(
                f"A worker has another {embedder.name}: {differences(made, here)}. Install the "
                "same version of the model on all machines."
            )
        return embedder

    def _load(self) -> Embedder:
        embedder = load_embedder(embedder_spec("", self.record, self.folder))
        if self.parameters is not None and isinstance(embedder, Fittable):
            return embedder.with_parameters(self.parameters)
        return embedder


@dataclass(frozen=True)
class DocumentEncoder:
    """Loads what encodes documents in a worker."""

    embedder: WorkerEmbedder

    def __call__(self) -> Encode:
        """Load the embedder; return what encodes documents with it."""
        return partial(encode, self.embedder())


@dataclass(frozen=True)
class PartOfFit:
    """Loads what reads parts of a corpus in a worker, for a fit."""

    embedder: WorkerEmbedder

    def __call__(self) -> Callable[[Sequence[str]], Any]:
        """Load the embedder; return its `part_of_fit`."""
        part: Callable[[Sequence[str]], Any] = cast(FitsInParts, self.embedder()).part_of_fit
        return part


def parts_by_workers(
    executor: Executor,
    load: PartOfFit,
    here: Callable[[Sequence[str]], Any],
    lists: Iterator[Sequence[str]],
) -> Iterator[Any]:
    """Yield the part of a fit of each list of texts: by workers, or few `here`."""
    first, size = list[Sequence[str]](), 0
    for texts in lists:
        first.append(texts)
        size += sum(map(len, texts))
        if size >= FEW_CHARACTERS:
            break
    else:
        yield from map(here, first)
        return
    every = chain(first, lists)
    # How many lists there are is known at their end.
    yield from mapped(executor, load, every, what="the texts of a fit", most=sys.maxsize)
