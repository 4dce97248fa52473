"""Test collections by name, such as `beir/scifact/test`, through ir_datasets."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from indexes.document import Document
from indexes.errors import InputError, RetrieverError, UnknownNameError

CATALOG = "https://ir-datasets.com"
SHOWN_REASON = 200


@dataclass(frozen=True)
class NamedDataset:
    """A test collection of ir_datasets.

    `documents()` starts a new pass over the documents in the collection's order. `queries` maps
    query_id to text, `qrels` query_id to doc_id to grade. Both are empty if the collection has none
    under this name; `qrels` may not cover all queries.
    """

    name: str
    documents: Callable[[], Iterator[Document]]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def load_named(name: str) -> NamedDataset:
    """Load the test collection that ir_datasets calls `name`, downloading it if necessary.

    ir_datasets stores its downloads in `~/.ir_datasets` or `IR_DATASETS_HOME` and reports them on
    stderr. Queries and judgments are read now, documents on iteration.

    A document's text is its default text in ir_datasets without a leading title, which becomes the
    document's title. A query's text is its default text, for TREC topics the title. If a document
    is judged several times for one query, the highest grade counts.

    Raises:
        InputError: ir_datasets is not installed, the collection has no documents, or something
            cannot be downloaded or read. Iterating over `documents()` may raise it, too.
        UnknownNameError: no collection has this name.
    """
    dataset = _find(name)
    if not dataset.has_docs():
        raise InputError(
            f"'{name}' has no documents in ir_datasets: it is a group of collections. "
            f"Choose one of them: {CATALOG}"
        )
    return NamedDataset(
        name=name,
        documents=lambda: _documents(name, dataset),
        queries=_queries(name, dataset) if dataset.has_queries() else {},
        qrels=_qrels(name, dataset) if dataset.has_qrels() else {},
    )


def _find(name: str) -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise InputError(
            f"'{name}' needs ir_datasets, which cannot be imported ({error}). "
            "Run: pip install 'retriever-compare[datasets]'"
        ) from None
    try:
        return ir_datasets.load(name)
    except KeyError:
        near = difflib.get_close_matches(name, list(ir_datasets.registry), n=3)
        similar = f" Similar names: {', '.join(near)}." if near else ""
        raise UnknownNameError(
            f"No test collection '{name}' in ir_datasets {ir_datasets.__version__}.{similar} "
            f"All names are listed at {CATALOG}"
        ) from None


def _documents(name: str, dataset: Any) -> Iterator[Document]:
    with _reading(name, "documents"):
        yield from map(_document, dataset.docs_iter())


def _document(doc: Any) -> Document:
    text, title = _text(doc), getattr(doc, "title", None)
    if not isinstance(title, str) or not title.strip():
        return Document(doc.doc_id, text)
    if not text.startswith(title):
        # A title elsewhere in the text is not repeated.
        return Document(doc.doc_id, text, "" if title in text else title)
    return Document(doc.doc_id, text.removeprefix(title).lstrip(), title)


def _queries(name: str, dataset: Any) -> dict[str, str]:
    with _reading(name, "queries"):
        return {query.query_id: _text(query) for query in dataset.queries_iter()}


def _qrels(name: str, dataset: Any) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    with _reading(name, "judgments"):
        for judged in dataset.qrels_iter():
            grades, grade = qrels.setdefault(judged.query_id, {}), int(judged.relevance)
            grades[judged.doc_id] = max(grade, grades.get(judged.doc_id, grade))
    return qrels


def _text(record: Any) -> str:
    default = getattr(record, "default_text", None)
    return str(default() if default else record.text)


@contextmanager
def _reading(name: str, what: str) -> Iterator[None]:
    """Raise InputError instead of any error of ir_datasets."""
    try:
        yield
    except RetrieverError:
        raise
    # Every collection has its own download and reader, which may raise anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:SHOWN_REASON] or "no reason given"
        raise InputError(
            f"The {what} of '{name}' could not be downloaded or read ({type(error).__name__}: "
            f"{reason}). Check the network, or put the files where ir_datasets looks for them: "
            f"{CATALOG}/{name.split('/')[0]}.html"
        ) from None
