"""Rerankers of a collection's cascades: loaded when needed, cached, and checked to be the same."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from indexes.catalog.document_rows import whole_text
from indexes.catalog.records import IndexRow
from indexes.document import Document
from indexes.errors import DamageError, InputError, MismatchError, ModelNotAvailableError, pluralize
from indexes.maintenance.verify import Problem
from indexes.storage.files import digest_of
from indexes.store import Store
from retriever.embedders.base import EmbedderSpec, fingerprint_parts
from retriever.indexing.embedder_pool import embedder_record, embedder_spec
from retriever.indexing.fingerprints import differences
from retriever.rerankers.base import Candidate, Reranker
from retriever.rerankers.registry import load_reranker

# In an index's definition: the record of its reranker.
RERANKER = "reranker"
# In an embedder's or reranker's record: a file of an option is in the collection's own folder.
FILE, FILE_INSIDE = "regions", "regions_inside"
# What a query costs is measured on a few documents and this query.
MEASURED, QUERY = 4, "what people look for, in the usual number of words"


class RerankerPool:
    """Rerankers by their fingerprint; cascades with the same one share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: dict[str, Reranker] = {}

    def of(self, index: IndexRow) -> Reranker:
        """Return the reranker of a cascade, checked to be the one that it was built with.

        Raises:
            ModelNotAvailableError: its model or its file of regions is missing.
            MismatchError: they have changed; the message says what.
        """
        kept = index.definition[RERANKER]
        expected = str(kept["fingerprint"])
        known = self._loaded.get(expected)
        if known is not None:
            return known
        for path in _missing(self._store.folder, kept):
            raise ModelNotAvailableError(_missing_message(index.name, path))
        reranker = load_reranker(reranker_spec(index.name, kept, self._store.folder))
        if reranker.fingerprint != expected:
            raise MismatchError(
                f"Index '{index.name}' was built with another {reranker.name}: "
                f"{differences(expected, reranker.fingerprint)}. Restore its files, "
                "or drop the index and build it with these."
            )
        self.keep(reranker)
        return reranker

    def keep(self, reranker: Reranker) -> None:
        """Cache a reranker for the cascades that it ranks."""
        self._loaded[reranker.fingerprint] = reranker

    def notes(self, reranker: Reranker, depth: int) -> tuple[str, ...]:
        """Return the reranker's notes, what a query costs here, and which documents it cannot read.

        Raises:
            InputError: it can read none of the documents.
        """
        count, notes = self._store.count(), list(reranker.notes)
        documents = self._some_readable(reranker)
        if not documents:
            raise InputError(
                f"{reranker.name} can read none of the {pluralize(count, 'document')} in "
                f"{self._store.folder}/. Add documents, and give it a file with their ids."
            )
        lacking = self._count_lacking(reranker)
        if lacking:
            have = pluralize(lacking, "document has", "documents have")
            notes.append(f"{have} no regions for {reranker.name}, and will be left out.")
        most = min(depth, count - lacking)
        seconds = _seconds(reranker, documents) * most
        work = reranker.work(most)
        return *notes, f"{reranker.name} reads {work} for each query: about {seconds:.2g} s here."

    def _some_readable(self, reranker: Reranker) -> list[Candidate]:
        """Return a few documents of the collection that a reranker can read."""
        if (ids := reranker.readable) is None:
            some: Iterable[Document] = islice(self._store.corpus.documents(), MEASURED)
        else:
            unknown = set(self._store.corpus.unknown_ids(list(ids)))
            known = islice((doc_id for doc_id in ids if doc_id not in unknown), MEASURED)
            some = self._store.documents_of(list(known))
        return [Candidate(one.doc_id, whole_text(one)) for one in some]

    def _count_lacking(self, reranker: Reranker) -> int:
        """Return how many documents of the collection a reranker cannot read."""
        if (ids := reranker.readable) is None:
            return 0
        unknown = self._store.corpus.unknown_ids(list(ids))
        return self._store.count() - (len(ids) - len(unknown))


def _seconds(reranker: Reranker, documents: Sequence[Candidate]) -> float:
    """Return the seconds that it takes for one of some documents, after a first one."""
    reranker.scores(QUERY, documents[:1])
    started = time.perf_counter()
    reranker.scores(QUERY, documents)
    return (time.perf_counter() - started) / len(documents)


def reranker_record(reranker: Reranker, folder: Path) -> dict[str, Any]:
    """Return a JSON record to load a reranker by; files in the collection by their place there."""
    kept = embedder_record(reranker, folder)
    if file := kept["options"].get(FILE):
        path, folder = Path(file).resolve(), folder.resolve()
        if path.is_relative_to(folder):
            kept["options"][FILE] = path.relative_to(folder).as_posix()
            kept[FILE_INSIDE] = True
    return {**kept, "fingerprint": reranker.fingerprint}


def reranker_spec(index: str, kept: Mapping[str, Any], folder: Path) -> EmbedderSpec:
    """Return the spec to load a cascade's reranker by."""
    spec = embedder_spec(index, kept, folder)
    file = _file(folder, kept)
    return replace(spec, options={**spec.options, FILE: str(file)}) if file else spec


def _file(folder: Path, kept: Mapping[str, Any]) -> Path | None:
    """Return the file of regions of a reranker's record, if it has one."""
    file = kept["options"].get(FILE)
    if not file:
        return None
    return folder.resolve() / file if kept.get(FILE_INSIDE) else Path(file)


def _missing(folder: Path, kept: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the model and the file of regions of a record that should be there and are not."""
    model = Path(embedder_spec("", kept, folder).model)
    for path in (model if model.is_absolute() else None, _file(folder, kept)):
        if path is not None and not path.exists():
            yield path


def _missing_message(index: str, path: Path) -> str:
    return (
        f"Index '{index}' reranks with {path}, which is missing. Restore it, or drop the index "
        "and build it again."
    )


def reranker_problems(store: Store) -> list[Problem]:
    """List models and files of regions of cascades that are missing or have changed."""
    problems = list[Problem]()
    try:
        indexes = store.indexes()
    except DamageError:  # reported already
        return problems
    for index in indexes:
        if (kept := index.definition.get(RERANKER)) is None:
            continue
        missing = list(_missing(store.folder, kept))
        problems += [Problem(_missing_message(index.name, path)) for path in missing]
        file = _file(store.folder, kept)
        made = fingerprint_parts(kept["fingerprint"]).get(FILE)
        if file and file not in missing and digest_of(file).checksum != made:
            problems.append(
                Problem(
                    f"Index '{index.name}' was built with other regions than {file} holds now. "
                    "Restore the file, or drop the index and build it again."
                )
            )
    return problems
