"""Workers of a build: chosen by the user's words, and what each of them loads."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from indexes.errors import InputError, MismatchError
from indexes.pipeline.calls import mapped
from indexes.pipeline.encoder import Encode
from indexes.pipeline.executors.base import Executor
from retriever.embedders import Embedder, load_embedder
from retriever.embedders.base import FitsInParts, Fittable, Matrix, vector_fingerprint
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
# A corpus of fewer passages is read for a fit here: reading them takes longer than counting their
# words, so that workers save some 10 seconds of a million, and take some to start
# (benchmarks/README.md).
FITTED_PASSAGES = 1_000_000
# A list of texts that is read for a fit at once has about so many, or more.
LEAST_TEXTS = 1_000


def executor_of(workers: int | str) -> Executor:
    """Return the executor that a number of processes, `ray` or `ray:ADDRESS` names.

    One process is this one.

    Raises:
        InputError: it is none of these.
    """
    kind, colon, address = str(workers).partition(":")
    if kind == RAY and (address or not colon):
        from indexes.pipeline.executors.ray_cluster import RayExecutor

        return RayExecutor(address or None)
    is_count = kind.isascii() and kind.isdecimal() and not isinstance(workers, bool)
    if colon or not is_count or not int(kind):
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


def fitted(
    embedder: Fittable,
    texts: Iterable[Any],
    passages: int,
    folder: Path,
    executor: Executor | None,
    loaded: Embedder,
) -> Embedder:
    """Return an embedder fitted on the texts of so many passages, read by workers where it pays.

    They read parts of the corpus with the embedder as it was `loaded`, before it chose options. The
    fit is the same to the last bit.
    """
    if executor is None or not isinstance(embedder, FitsInParts) or passages < FITTED_PASSAGES:
        return embedder.fitted(texts)
    load = _PartOfFit(WorkerEmbedder.of(loaded, folder))
    what = f"the texts that {loaded.name} is fitted to"
    most = -(-passages // LEAST_TEXTS)
    parts = partial(mapped, executor, load, what=what, most=most)
    return embedder.fitted_in_parts(texts, parts)


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
class QueryEncoder:
    """Loads what encodes queries in a worker."""

    embedder: WorkerEmbedder

    def __call__(self) -> Callable[[Sequence[str]], Matrix]:
        """Load the embedder; return its `encode_queries`."""
        return self.embedder().encode_queries


@dataclass(frozen=True)
class _PartOfFit:
    """Loads what reads parts of a corpus in a worker, for a fit."""

    embedder: WorkerEmbedder

    def __call__(self) -> Callable[[Sequence[str]], Any]:
        """Load the embedder; return its `part_of_fit`."""
        part: Callable[[Sequence[str]], Any] = cast(FitsInParts, self.embedder()).part_of_fit
        return part
