"""The library's entry point: a folder with one corpus and the indexes over it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from indexes.errors import (
    CollectionError,
    InputError,
    MismatchError,
    pluralize,
)
from indexes.maintenance.compact import CompactReport
from indexes.maintenance.repair import RepairReport
from indexes.maintenance.verify import Problem, VerifyReport
from indexes.progress import Progress
from indexes.store import Store, is_free
from retriever.building import Building
from retriever.corpus_map.api import CorpusMapMethods
from retriever.embedders import Embedder
from retriever.embedders.base import Matrix
from retriever.embedders.contextual.autoselect import RuntimeChoice
from retriever.exchange.api import ExchangeMethods
from retriever.indexing.builder import IndexBuilder
from retriever.indexing.embedder_pool import EmbedderPool, missing_models
from retriever.indexing.info import CollectionInfo, IndexInfo
from retriever.indexing.inspection import collection_info, index_info
from retriever.indexing.reranker_pool import RerankerPool, reranker_problems
from retriever.notebooks import progress_shown
from retriever.searching import Searching
from retriever.splitting import Splitter
from retriever.word_senses.api import WordSenseMethods

_LOG = logging.getLogger(__name__)


class Collection(Building, Searching, WordSenseMethods, ExchangeMethods, CorpusMapMethods):
    """One corpus, many ways to embed it, the same queries through all of them.

    Use `create`, `open` or `open_or_create`; close it, or use it in a `with` block. Threads may
    share a collection; one process at a time writes, any number read.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._models = EmbedderPool(store)
        self._rerankers = RerankerPool(store)
        self._building = IndexBuilder(store, self._models, self._rerankers)
        self._retrievers = {}
        self._vector_retrievers = {}
        # Called when a `with` block fails: takes back how documents are split, if there are none.
        self._forget_split: Callable[[], object] = bool

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, split: Splitter | None = None) -> Collection:
        """Create a collection in a folder that is absent or empty.

        With `split`, such as `Words(200, overlap=50)`, long documents are embedded as passages and
        ranked by their best one, in every index.

        Raises:
            CollectionError: the folder is not empty, or cannot be written to.
            InputError: `split` is not a splitter.
        """
        if split is not None and not isinstance(split, Splitter):
            raise InputError(
                f"split is {split!r}; expected Words(200, overlap=50) or Sentences(200)."
            )
        return cls(Store.create(Path(path), dict(split.spec) if split else None))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Collection:
        """Open the collection in a folder.

        Raises:
            NotACollectionError: there is none.
            NewerFormatError: it was written by a newer version.
            DamageError: its catalog cannot be read.
        """
        return cls(Store.open(Path(path)))

    @classmethod
    def open_or_create(
        cls, path: str | os.PathLike[str], *, split: Splitter | None = None
    ) -> Collection:
        """Open the collection in a folder; create it if the folder is absent or empty.

        A `with` block that ends in an error before any document was added forgets `split`.

        Raises:
            MismatchError: it holds documents, and splits them in another way.
        """
        folder = Path(path)
        if is_free(folder):
            try:
                made = cls.create(folder, split=split)
                return made._to_forget(None) if split else made
            except CollectionError:
                # Another process may have created it meanwhile.
                if is_free(folder):
                    raise
        collection = cls.open(folder)
        before = collection.split
        if split is not None and split != before:
            if not len(collection) and collection._store.set_split(dict(split.spec)):
                collection.close()
                return cls.open(folder)._to_forget(before)
            has = f"splits documents into {before}" if before else "splits none"
            collection.close()
            raise MismatchError(
                f"{folder}/ {has}, and not into {split}: this is set when a collection is created. "
                "Leave split out, or create another collection."
            )
        return collection

    def _to_forget(self, before: Splitter | None) -> Collection:
        """Return this collection, which splits as `before` if a `with` block adds nothing."""
        self._forget_split = partial(self._store.set_split, dict(before.spec) if before else None)
        return self

    def close(self) -> None:
        """Close the catalog. A closed collection cannot be used."""
        self._store.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            with contextlib.suppress(CollectionError):  # it was closed, or another process writes
                self._forget_split()
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Collection], tuple[type[Collection], Path, Any]]:
        """Pickle the folder, which another process opens again, and embedders of the user's own.

        Raises:
            InputError: one of those cannot be pickled.
        """
        return _reopened, (type(self), self.path, self._models.pickled())

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r})"

    def index_info(self, name: str) -> IndexInfo:
        """Return the kind, model, size, coverage and costs of one index.

        Raises:
            UnknownNameError: no such index.
        """
        return index_info(self._store, self._store.index(name), self._store.indexes())

    def measure_runtime(self, name: str) -> RuntimeChoice:
        """Measure again which runtimes compute an index's sentence model fastest here; return them.

        They are chosen when a model is first used on a machine, and again when its libraries, its
        processor or the number of threads change. `index_info(name).runtime` says which they are.

        Raises:
            UnknownNameError: no such index.
            InputError: it has no sentence model, or its options name the runtime.
            ModelNotAvailableError: the model cannot be loaded.
        """
        if self._store.index(name).embedding is None:
            raise InputError(f"Index '{name}' has no model of its own that a runtime computes.")
        self._retrievers.clear()
        return self._models.measure_runtime(name)

    def drop(self, name: str) -> int:
        """Remove an index, and its vectors if no other index uses them; return the bytes freed.

        A model in the collection's `models/` stays.

        Raises:
            UnknownNameError: no such index.
            LockedError: another process is writing.
        """
        freed = self._store.drop(name)
        _LOG.info("%s: dropped index '%s', %d bytes freed", self.path, name, freed)
        return freed

    def compact(self, *, progress: Progress | None = None) -> CompactReport:
        """Free the space of removed and changed documents.

        Their vectors are dropped from the files, search structures that contain them are rebuilt,
        and the catalog is rewritten without deleted data. Nothing is embedded.

        Raises:
            LockedError: another process is writing.
            DamageError: a file is not what the catalog says; `repair` first.
        """
        with progress_shown(progress, "compacting") as shown:
            report = self._store.compact(shown)
        vectors = pluralize(report.rows, "vector")
        _LOG.info("%s: compacted, %s dropped, %d bytes freed", self.path, vectors, report.freed)
        return report

    def verify(self, *, progress: Progress | None = None) -> VerifyReport:
        """Check every checksum, every key on both sides and every count; change nothing."""
        with progress_shown(progress, "verifying") as shown:
            checked = self._store.verify(shown)
        return replace(checked, problems=(*checked.problems, *self._model_problems()))

    def _model_problems(self) -> list[Problem]:
        return [*missing_models(self._store), *reranker_problems(self._store)]

    def repair(self, *, progress: Progress | None = None) -> RepairReport:
        """Rebuild what can be derived: search structures from vectors, vectors by embedding.

        The parameters of a fitted embedder cannot be derived: if their file is damaged, `build`
        with `refit`. Files that nothing refers to are removed. A damaged document is left as it is,
        and named: delete it and add it again, or restore the catalog from a backup.

        Raises:
            LockedError: another process is writing.
            ModelNotAvailableError: the model of damaged vectors is missing; nothing was changed.
            InputError: it was a custom embedder; give it first, with `use`.
        """
        with progress_shown(progress, "repairing") as shown:
            repaired = self._store.repair(self._models.encoder, shown)
        repaired = replace(repaired, left=(*repaired.left, *self._model_problems()))
        done, left = len(repaired.done), pluralize(len(repaired.left), "problem")
        _LOG.info("%s: repaired, %s, %s left", self.path, pluralize(done, "step"), left)
        return repaired

    def use(self, index: str, embedder: Embedder) -> None:
        """Use this embedder for an index's queries: needed for a custom one after `open`.

        One that has to be fitted gets the parameters from when the index was built. If an index has
        its queries encoded by another embedder than its documents, either can be given.

        Raises:
            UnknownNameError: no such index.
            MismatchError: it is not the embedder that made the index's vectors.
        """
        self._models.use(index, embedder)
        self._retrievers.clear()

    def embedder(self, index: str) -> Embedder:
        """Return the embedder that made an index's vectors, fitted as it was then.

        Raises:
            UnknownNameError: no such index.
            InputError: it has no own vectors, or its custom embedder was not given.
            MismatchError: the model is no longer the one that made them.
            DamageError: what the embedder was fitted to is not what the catalog says.
        """
        return self._models.of(index)

    def embedded(self, index: str, *, most: int) -> Iterator[tuple[list[str], Matrix]]:
        """Yield embedded passages of an index in batches: their texts and vectors (n, dim).

        At most `most`, evenly spread over the corpus, in its order; errors as in `embedder`.
        """
        return self._store.embedded(index, most)

    def info(self) -> CollectionInfo:
        """Return the documents, indexes, sizes and times of the collection."""
        return collection_info(self._store)


def _reopened(kind: type[Collection], path: Path, embedders: Sequence[bytes]) -> Collection:
    """Open a pickled collection, with embedders that only its user can make."""
    collection = kind.open(path)
    collection._models.unpickle(embedders)
    return collection
