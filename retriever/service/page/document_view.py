"""The page of one document: its text, image and metadata."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from retriever.evaluation.results import Excerpt
from retriever.evaluation.shared_words import SharedWords, matches_in, telling
from retriever.formats.judging import grades_of
from retriever.formatting import alt_text
from retriever.images.thumbnails import thumbnail_if_any
from retriever.report.excerpts import Piece, pieces_of
from retriever.service.page.libraries import SEARCH, Libraries
from retriever.service.page.rendering import html

# Of a longer text, the rest is left out.
MOST_CHARACTERS = 100_000


def add_document(router: APIRouter, libraries: Libraries) -> None:
    """Add the page of a document to a router."""

    @router.get("/page/document", include_in_schema=False)
    async def document(request: Request) -> HTMLResponse:
        library = libraries.name_of(request)
        doc_id, query = (request.query_params.get(name, "") for name in ("id", "q"))
        query = query[: libraries.state.limits.text]
        return await libraries.state.run(lambda: _page(libraries, library, doc_id, query))


def _page(libraries: Libraries, library: str, doc_id: str, query: str) -> HTMLResponse:
    document = libraries.collection(library).document(doc_id)
    language = libraries.facts(library).language
    metadata = [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in document.metadata.items()
    ]
    return html(
        "document.html.jinja",
        **libraries.common(library, SEARCH),
        document=document,
        paragraphs=_paragraphs(document.text[:MOST_CHARACTERS], query, language),
        cut=max(0, len(document.text) - MOST_CHARACTERS),
        metadata=metadata,
        query=query,
        grade=_grade(libraries, library, query, doc_id),
        image=thumbnail_if_any(document.image),
        alt=alt_text(document.title, document.text, doc_id),
    )


def _paragraphs(text: str, query: str, language: str) -> list[list[Piece]]:
    shared = SharedWords({"": Excerpt("", text)}, language)
    words = shared.of(telling(query, language), [""]) if query.strip() else frozenset()
    lines = (line for line in text.splitlines() if line.strip())
    return [pieces_of(line, list(matches_in(line, words))) for line in lines]


def _grade(libraries: Libraries, library: str, query: str, doc_id: str) -> str:
    file = libraries.judgments(library)
    if file is None or not query.strip():
        return ""
    grades = grades_of(query, file.rows())
    if doc_id not in grades:
        return ""
    grade = grades[doc_id]
    return "unsure" if grade is None else f"judged {grade} for this query"
