"""The demo corpus: short news texts with human similarity judgments."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexes.document import Document
from indexes.errors import FileFormatError, RetrieverError

RELEVANT_TENTHS = 5


@dataclass(frozen=True)
class Dataset:
    """A test collection: `queries` by query_id, `qrels` by query_id (maybe not all) and doc_id."""

    name: str
    documents: tuple[Document, ...]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def lee() -> Dataset:
    """Load the Lee news corpus that gensim ships: 350 documents, 50 of them also queries.

    People rated the similarity of pairs of the 50 documents `judged-01` to `judged-50`; the 300
    documents `background-001` to `background-300` are not rated. A judged document is a query with
    the same id and text. Relevant are the other judged documents with a mean rating of at least
    0.5, graded 1 (0.5 to 0.59) to 6 (1.0). Queries without a relevant document are not in `qrels`.
    A query finds its own document first: drop that hit, by `drop_self` in `compare`.

    Source: M.D. Lee, B.M. Pincombe, M.B. Welsh (2005), "An Empirical Evaluation of Models of Text
    Document Similarity", Proceedings of the 27th Annual Conference of the Cognitive Science
    Society.

    Raises:
        RetrieverError: gensim or its copy of the corpus is not installed, or the copy is damaged.
    """
    folder = gensim_data()
    if folder is None or not (folder / "lee.cor").is_file():
        raise RetrieverError(
            "The Lee corpus is part of gensim, and no gensim with it is installed. "
            "Run: pip install gensim"
        )
    judged = _documents(folder / "lee.cor", "judged", 2)
    background = _documents(folder / "lee_background.cor", "background", 3)
    ids = [document.doc_id for document in judged]
    ratings = _ratings(folder / "similarities0-1.txt", len(ids))
    return Dataset(
        name="lee",
        documents=(*judged, *background),
        queries={document.doc_id: document.text for document in judged},
        qrels=_qrels(ids, ratings),
    )


def gensim_data() -> Path | None:
    """Return the folder of the test data that gensim ships; None without gensim."""
    # Looked up, not imported: importing gensim takes a second.
    spec = importlib.util.find_spec("gensim")
    places = (spec.submodule_search_locations or ()) if spec else ()
    return next((Path(place) / "test" / "test_data" for place in places), None)


def _documents(path: Path, part: str, digits: int) -> tuple[Document, ...]:
    # Latin-1, because of a pound sign.
    lines = path.read_text(encoding="latin-1").splitlines()
    return tuple(
        Document(f"{part}-{number:0{digits}}", text, metadata={"set": part})
        for number, text in enumerate(lines, 1)
    )


def _ratings(path: Path, size: int) -> list[list[float]]:
    """Return the square matrix of the file, 0 below the diagonal."""
    lines = path.read_text(encoding="ascii").splitlines()
    rows = [[float(cell) for cell in line.split()] for line in lines]
    if [len(row) for row in rows] != [size] * size:
        raise FileFormatError(f"{path} is damaged: expected {size} rows of {size} ratings.")
    return rows


def _qrels(ids: Sequence[str], ratings: Sequence[Sequence[float]]) -> dict[str, dict[str, int]]:
    qrels = {}
    for row, query_id in enumerate(ids):
        grades = {
            doc_id: _grade(ratings[min(row, column)][max(row, column)])
            for column, doc_id in enumerate(ids)
            if column != row
        }
        relevant = {doc_id: grade for doc_id, grade in grades.items() if grade > 0}
        if relevant:
            qrels[query_id] = relevant
    return qrels


def _grade(rating: float) -> int:
    """Return the grade of a rating: 1 from 0.5 to 6 at 1.0, one per tenth; below 1 otherwise."""
    # The slack undoes binary fractions only: means of a few ratings are far coarser.
    tenths = int(rating * 10 + 1e-3)
    return tenths - RELEVANT_TENTHS + 1
