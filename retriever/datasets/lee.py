"""The demo corpus: short news texts with people's judgments of how alike they are."""

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
    """A test collection: `queries` map query_id to text, `qrels` query_id to doc_id to grade.

    `qrels` may judge fewer queries than there are.
    """

    name: str
    documents: tuple[Document, ...]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def lee() -> Dataset:
    """The Lee news corpus that gensim ships: 350 documents, every judged one also a query.

    50 documents, `judged-01` to `judged-50`, were rated in pairs by people for how alike they are;
    300 more, `background-001` to `background-300`, were not. The query of a judged document is its
    text and has its doc_id. Relevant are the other judged documents with a mean rating of at least
    0.5, graded 1 (0.5 to 0.59) to 6 (1.0). Queries without a relevant document are not in `qrels`.
    A query finds its own document first: leave that hit out, as `measures.drop_self` does.

    Source: M.D. Lee, B.M. Pincombe, M.B. Welsh (2005), "An Empirical Evaluation of Models of Text
    Document Similarity", Proceedings of the 27th Annual Conference of the Cognitive Science
    Society.

    Raises:
        RetrieverError: gensim or its copy of the corpus is not installed, or the copy is damaged.
    """
    folder = _folder()
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


def _folder() -> Path:
    # Looked up, not imported: importing gensim takes a second.
    spec = importlib.util.find_spec("gensim")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "test" / "test_data"
        if (folder / "lee.cor").is_file():
            return folder
    raise RetrieverError(
        "The Lee corpus comes with gensim, and there is no gensim here that has it. "
        "Run: pip install gensim"
    )


def _documents(path: Path, part: str, digits: int) -> tuple[Document, ...]:
    # Latin-1, because of a pound sign.
    lines = path.read_text(encoding="latin-1").splitlines()
    return tuple(
        Document(f"{part}-{number:0{digits}}", text, metadata={"set": part})
        for number, text in enumerate(lines, 1)
    )


def _ratings(path: Path, size: int) -> list[list[float]]:
    """The file's square, 0 below the diagonal."""
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
    """1 for 0.5 up to 6 for 1.0, a tenth each; less than 1 below 0.5."""
    # Means of a few ratings are far coarser than the slack, which only undoes binary fractions.
    tenths = int(rating * 10 + 1e-3)
    return tenths - RELEVANT_TENTHS + 1
