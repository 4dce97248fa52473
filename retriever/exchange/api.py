"""The methods of a collection that bring vectors and the collection itself out, or in."""

from __future__ import annotations

import os
from pathlib import Path

from indexes.maintenance.copying import CopyReport
from indexes.progress import Progress
from indexes.store import Store
from retriever.exchange.export import ExportReport, export
from retriever.notebooks import progress_shown
from retriever.search.where import Where
from retriever.search.where_parser import filter_of


class ExchangeMethods:
    """Mixin of `Collection`: copies, names and exports."""

    _store: Store

    def copy(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> CopyReport:
        """Copy the collection, as it is now, to a folder that is absent or empty.

        The copy is of one state, also while another process writes, and complete under its name or
        absent. Every file is compared with its checksum on the way. Models in the folder `models/`
        are copied; models and images elsewhere stay there.

        Raises:
            CollectionError: the folder is not empty, is inside the collection, or cannot be
                written.
            DamageError: a file is not what the catalog says; `repair` first.
        """
        with progress_shown(progress, "copying") as shown:
            return self._store.copy(Path(path), shown)

    def export(
        self,
        index: str | None,
        path: str | os.PathLike[str],
        *,
        where: Where | None = None,
        partition: str | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write the passages of an index with their vectors, or without one the documents.

        By the ending of `path`: `.parquet` has a row for each passage, with its document's id, its
        place in the text (in characters), title, text, metadata as JSON, and vector, as it is
        stored; null if the passage has nothing to embed. `.npy` has the vectors, and the ids are
        beside it in `.ids.txt`, one a line, where documents have several passages followed by the
        place. Without an ending it is a folder of parts: texts in Parquet, vectors in `.npy`.
        Without an index, `.parquet`, `.jsonl` (which `add` reads again) or a folder.

        With `partition`, a metadata field, the folder has one of parts for each value of it, such
        as `year=2020/`: DuckDB, Spark and Polars read only those that a query needs, and join hits
        by `doc_id`.

        `where` selects documents. What is not in the index yet is left out, and noted. All is of
        one state, also while another process writes; memory does not grow with the corpus. Files
        are complete under their names, or absent; with `force`, they replace those that exist.

        Raises:
            UnknownNameError: no such index.
            InputError: the index has no vectors, the ending is unknown, the file exists or cannot
                be written, or an id does not fit on a line.
        """
        wanted = None if where is None else filter_of(where)
        with progress_shown(progress, "exporting") as shown:
            return export(
                *(self._store, index, Path(path), wanted),
                force=force,
                progress=shown,
                partition=partition,
            )

    def rename(self, old: str, new: str) -> None:
        """Rename an index; combinations that use it follow, in the same commit.

        Raises:
            UnknownNameError: no index has the old name.
            InputError: the new one cannot name an index.
            MismatchError: another index has the new one.
            LockedError: another process is writing.
        """
        self._store.rename(old, new)
