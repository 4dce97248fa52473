"""Writers of passages with their vectors, and of documents; a page of rows at a time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TextIO, cast

import numpy as np

from indexes.catalog.images import NO_TEXT
from indexes.catalog.passages import FoundPassage
from indexes.document import Document
from indexes.vectors.rows import PassageRows
from retriever.formats.vectors.parquet import Columns, parquet_file
from retriever.formats.vectors.passages import PassageId, passage_line
from retriever.formats.vectors.reading import IDS

# Rows of a part of a folder, about.
PART_ROWS = 65_536
# Files of vectors are given passages, files without vectors documents.
Page = PassageRows | Sequence[Document]


class Sink(Protocol):
    """Takes one page of passages or documents after another."""

    def __call__(self, page: Page, /) -> None:
        """Write a page."""


@dataclass(frozen=True)
class Layout:
    """What is written: `dim` and `dtype` of the vectors (`dim` 0: documents without vectors).

    With `split`, ids are followed by the place of the passage; `facts` are kept in Parquet.
    """

    dim: int = 0
    dtype: str = "float32"
    split: bool = False
    facts: Mapping[str, Any] | None = None


@contextlib.contextmanager
def npy_file(path: Path, layout: Layout) -> Iterator[Sink]:
    """Yield what writes the vectors of passages that have one, and their ids beside `path`."""
    with path.open("wb") as file, ids_path(path).open("w", encoding="utf-8", newline="\n") as ids:
        rows = 0
        _write_header(file, layout, rows)

        def write(page: Page) -> None:
            nonlocal rows
            passages = cast(PassageRows, page)
            _write_ids(ids, passages, layout)
            file.write(np.ascontiguousarray(passages.vectors[passages.has]).data)
            rows += int(passages.has.sum())

        yield write
        file.seek(0)
        _write_header(file, layout, rows)


def ids_path(path: Path) -> Path:
    """Return the file of ids beside a .npy file."""
    return path.with_name(path.name.removesuffix(path.suffix) + IDS)


def _write_header(file: BinaryIO, layout: Layout, rows: int) -> None:
    # NumPy leaves room for the number of rows to grow.
    descr = np.dtype(layout.dtype).str
    header = {"descr": descr, "fortran_order": False, "shape": (rows, layout.dim)}
    np.lib.format.write_array_header_1_0(file, header)


def _write_ids(file: TextIO, page: PassageRows, layout: Layout) -> None:
    for passage, has in zip(page.passages, page.has.tolist(), strict=True):
        if has:
            file.write(f"{passage_line(_passage_id(passage, split=layout.split))}\n")


def _passage_id(passage: FoundPassage, *, split: bool) -> PassageId:
    doc_id = passage.document.doc_id
    return PassageId(doc_id, passage.start, passage.end) if split else PassageId(doc_id)


@contextlib.contextmanager
def parquet_rows(path: Path, layout: Layout, *, vectors: bool = True) -> Iterator[Sink]:
    """Yield what writes a row a passage or a document to Parquet; without `vectors`, only texts."""
    dim = layout.dim if vectors else 0
    with parquet_file(path, dim, layout.dtype, bool(layout.dim), layout.facts) as write:
        yield lambda page: write(_columns(page, with_vectors=bool(dim)))


def _columns(page: Page, *, with_vectors: bool) -> Columns:
    if not isinstance(page, PassageRows):
        return Columns(
            [one.doc_id for one in page],
            [one.title for one in page],
            [one.text for one in page],
            [one.metadata_json() for one in page],
        )
    documents = [one.document for one in page.passages]
    return Columns(
        [one.doc_id for one in documents],
        [one.title for one in documents],
        [_text(one) for one in page.passages],
        [one.metadata_json() for one in documents],
        [(one.start, one.end) for one in page.passages],
        page.vectors if with_vectors else None,
        page.has,
    )


def _text(passage: FoundPassage) -> str:
    """Return the passage without the title; of an image, nothing."""
    if passage.start == NO_TEXT:
        return ""
    return passage.document.text[passage.start : passage.end]


@contextlib.contextmanager
def json_lines(path: Path, layout: Layout) -> Iterator[Sink]:
    """Yield what writes documents as lines of JSON, which `add` reads."""
    with path.open("w", encoding="utf-8", newline="\n") as file:

        def write(page: Page) -> None:
            for one in cast(Sequence[Document], page):
                record = {"doc_id": one.doc_id, "title": one.title, "text": one.text}
                line = json.dumps(record | {"metadata": dict(one.metadata)}, ensure_ascii=False)
                file.write(f"{line}\n")

        yield write


@contextlib.contextmanager
def parts(folder: Path, layout: Layout) -> Iterator[Sink]:
    """Yield what writes a folder: texts as Parquet and vectors as .npy with ids, both in parts."""
    with contextlib.ExitStack() as last:
        numbers, left, sinks = count(), 0, list[Sink]()

        def write(page: Page) -> None:
            nonlocal left
            if not sinks or left <= 0:
                last.close()
                name, left = folder / f"part-{next(numbers):05d}", PART_ROWS
                texts = parquet_rows(name.with_suffix(".parquet"), layout, vectors=False)
                sinks[:] = [last.enter_context(texts)]
                if layout.dim:
                    npy = npy_file(name.with_suffix(".npy"), layout)
                    sinks.append(last.enter_context(npy))
            for sink in sinks:
                sink(page)
            left -= len(page.passages if isinstance(page, PassageRows) else page)

        yield write
