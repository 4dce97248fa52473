"""Exports by partition: a folder for each value of a metadata field, as DuckDB and Spark read."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from indexes.catalog.filters.field_names import field_path, value_at
from indexes.document import Document
from indexes.errors import InputError
from indexes.vectors.rows import PassageRows
from retriever.formats.vectors.writing import Layout, Page, Sink, parts

# Hive's name for the partition of the rows without a value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Each has files that are open until the end, and rows that wait to be written.
MOST_PARTITIONS = 100


class PartitionedParts:
    """Opens a folder of parts for each value of a field: `year=2020/part-00000.parquet`."""

    def __init__(self, field: str) -> None:
        self.field, self._path = field, field_path(field)

    @contextlib.contextmanager
    def __call__(self, folder: Path, layout: Layout) -> Iterator[Sink]:
        """Yield what writes each page to the folders of its documents' values.

        Raises:
            InputError: a value is a list or an object, or there are too many different values.
        """
        sinks = dict[str, Sink]()
        with contextlib.ExitStack() as opened:

            def write(page: Page) -> None:
                for name, part in self._split(page).items():
                    if name not in sinks:
                        self._check(len(sinks))
                        (folder / name).mkdir()
                        sinks[name] = opened.enter_context(parts(folder / name, layout))
                    sinks[name](part)

            yield write

    def _check(self, known: int) -> None:
        if known >= MOST_PARTITIONS:
            raise InputError(
                f"The field {self.field!r} has more than {MOST_PARTITIONS} different values: too "
                "many for partitions. Choose a field with fewer, or none."
            )

    def _split(self, page: Page) -> Mapping[str, Page]:
        """Return the rows of a page by the name of their folder, in their order."""
        if not isinstance(page, PassageRows):
            by_folder = self._rows(page)
            return {name: [page[row] for row in rows] for name, rows in by_folder.items()}
        by_folder = self._rows([one.document for one in page.passages])
        return {
            name: PassageRows(
                [page.passages[row] for row in rows], page.vectors[rows], page.has[rows]
            )
            for name, rows in by_folder.items()
        }

    def _rows(self, documents: Sequence[Document]) -> Mapping[str, list[int]]:
        rows = defaultdict[str, list[int]](list)
        for row, document in enumerate(documents):
            value = value_at(document.metadata, self._path)
            rows[self._folder(document.doc_id, value)].append(row)
        return rows

    def _folder(self, doc_id: str, value: Any) -> str:
        if isinstance(value, list | tuple | Mapping):
            raise InputError(
                f"Document {doc_id!r} has {type(value).__name__} for the field {self.field!r}; "
                "expected one value, to be the name of its partition."
            )
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        name = NO_VALUE if value is None or shown == "" else quote(shown, safe=" ,:@+-_.")
        return f"{quote(self.field, safe='')}={name}"
