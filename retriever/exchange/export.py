"""Exports: documents, and the vectors of an index, written to files that others read."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from indexes.catalog.filters.conditions import Filter
from indexes.catalog.filters.field_names import field_path
from indexes.errors import InputError
from indexes.neighbors import COSINE
from indexes.progress import Progress
from indexes.search.snapshot import Snapshot
from indexes.store import Store
from indexes.vectors.rows import passage_rows
from retriever.formats.vectors.partitions import PartitionedParts
from retriever.formats.vectors.writing import (
    Layout,
    Sink,
    ids_path,
    json_lines,
    npy_file,
    parquet_rows,
    parts,
)
from retriever.formats.writing import check_replaceable
from retriever.indexing.notes import missing_note
from retriever.search.filter_notes import field_notes

PAGE = 256
# What writes to a place with a layout.
Open = Callable[[Path, Layout], contextlib.AbstractContextManager[Sink]]
FILES: dict[str, Open] = {".parquet": parquet_rows, ".npy": npy_file, ".jsonl": json_lines}


@dataclass(frozen=True)
class ExportReport:
    """What was exported: the files or the folder, `rows` passages or documents, their vectors.

    `missing` documents are not in the index yet, or only with an earlier text, and were left out.
    """

    paths: tuple[Path, ...]
    rows: int
    vectors: int
    missing: int = 0
    notes: tuple[str, ...] = ()


def export(
    store: Store,
    index: str | None,
    path: Path,
    where: Filter | None,
    *,
    force: bool,
    progress: Progress,
    partition: str | None = None,
) -> ExportReport:
    """Export the documents, or the passages of an index with vectors; see `Collection.export`."""
    kind = _kind(path, index)
    if partition is not None:
        if kind is not parts:
            raise InputError(
                f"{path} is one file; partitions are folders. Give a name without an ending."
            )
        kind = PartitionedParts(partition)
    targets = (path, ids_path(path)) if path.suffix.lower() == ".npy" else (path,)
    _check_targets(targets, store.folder, force=force)

    def write(snapshot: Snapshot) -> ExportReport:
        corpus = snapshot.corpus
        if partition is not None and (
            notes := field_notes(corpus.any_match, [field_path(partition)], corpus.some_fields)
        ):
            raise InputError(f"The partition: {notes[0]}")
        is_folder = kind is parts or partition is not None
        with _unfinished(targets, is_folder=is_folder, path=path) as place:
            if index is None:
                return _documents(snapshot, kind, place, where, progress, targets)
            return _vectors(store, snapshot, index, kind, place, where, progress, targets)

    return store.read(write)


def _kind(path: Path, index: str | None) -> Open:
    ending = path.suffix.lower()
    if not ending or path.is_dir():
        return parts
    known = (".jsonl", ".parquet") if index is None else (".parquet", ".npy")
    if ending not in known:
        what = "Documents are" if index is None else "Vectors are"
        raise InputError(
            f"{path} cannot be exported to. {what} exported to {' or '.join(known)}, or to a "
            "folder (a name without an ending)."
        )
    return FILES[ending]


def _check_targets(targets: Sequence[Path], collection: Path, *, force: bool) -> None:
    for target in targets:
        if target.exists() and collection.resolve() in target.resolve().parents:
            raise InputError(f"{target} is a file of the collection. Choose a place outside.")
        if not target.absolute().parent.is_dir():
            raise InputError(
                f"{target} cannot be written: there is no folder {target.parent}/. Make it first."
            )
        if target.is_dir() and any(not _is_part(one) for one in target.iterdir()):
            raise InputError(f"{target}/ holds other files. Choose a new folder for the export.")
        check_replaceable(target, force=force)


def _is_part(path: Path) -> bool:
    if path.is_dir() and "=" in path.name:  # a partition
        return all(map(_is_part, path.iterdir()))
    return path.name.startswith("part-") and path.suffix in (".parquet", ".npy", ".txt")


@contextlib.contextmanager
def _unfinished(targets: Sequence[Path], *, is_folder: bool, path: Path) -> Iterator[Path]:
    """Yield a place to write to; it becomes the targets when the block ends without an error."""
    folder = path.absolute().parent / f".{uuid.uuid4().hex}.tmp"
    try:
        try:
            folder.mkdir()
            yield folder if is_folder else folder / path.name
            if is_folder:
                _replace_folder(folder, path)
            else:
                for target in targets:
                    _sync(folder / target.name)
                if len(targets) > 1:
                    # Never vectors with the ids of others: these come last.
                    path.unlink(missing_ok=True)
                for target in reversed(targets):
                    (folder / target.name).replace(target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from None


def _replace_folder(folder: Path, path: Path) -> None:
    for part in folder.rglob("part-*"):
        _sync(part)
    if path.is_dir():
        old = folder.with_name(f"{folder.name}.old")
        path.replace(old)
        folder.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        folder.replace(path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _documents(
    snapshot: Snapshot,
    kind: Open,
    place: Path,
    where: Filter | None,
    progress: Progress,
    targets: tuple[Path, ...],
) -> ExportReport:
    documents, total, done = snapshot.corpus.documents(where), snapshot.corpus.count(), 0
    with kind(place, Layout()) as write:
        while page := list(islice(documents, PAGE)):
            write(page)
            done += len(page)
            progress(done, 0 if where else total)
    return ExportReport(targets, done, 0)


def _vectors(
    store: Store,
    snapshot: Snapshot,
    index: str,
    kind: Open,
    place: Path,
    where: Filter | None,
    progress: Progress,
    targets: tuple[Path, ...],
) -> ExportReport:
    embedding = store.registry.embedding_of(store.registry.index(index))
    corpus, counts = snapshot.corpus, store.counts(embedding)
    facts: dict[str, Any] = {
        "index": index,
        "model": embedding.model,
        "similarity": embedding.similarity,
        "fingerprint": embedding.fingerprint,
    }
    split = corpus.is_split or corpus.has_several()
    layout = Layout(embedding.dim, embedding.dtype, split, facts)
    allowed = None if where is None else corpus.matching(where)
    total, done, having = corpus.count_all_passages(), 0, 0
    with kind(place, layout) as write:
        for page in passage_rows(corpus, store.registry, embedding, store.folder, allowed):
            write(page)
            done, having = done + len(page.passages), having + int(page.has.sum())
            progress(done, 0 if where else total)
    notes = tuple[str, ...]()
    if counts.missing_documents:
        note = missing_note(
            *(store.folder, index, counts.missing_documents, counts.stale_documents),
            imported=bool(embedding.imported),
        )
        notes = (f"Left out: {note}",)
    if kind is npy_file and embedding.similarity != COSINE:
        by = embedding.similarity
        notes += (f"{targets[0]} cannot say that its vectors are compared by '{by}'.",)
    return ExportReport(targets, done, having, counts.missing_documents, notes)
