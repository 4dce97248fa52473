"""The page of a word: its neighbors in a static index, its senses in a contextual one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from indexes.errors import RetrieverError
from retriever.report.excerpts import Piece, pieces_of
from retriever.service.page.libraries import WORD, Libraries
from retriever.service.page.rendering import html
from retriever.word_senses import Use

# Uses of a word that are encoded at most: about five seconds for a small model on two cores.
OCCURRENCES = 200
USES, NEIGHBORS = 10, 12


def add_word(router: APIRouter, libraries: Libraries) -> None:
    """Add the page of a word to a router."""

    @router.get("/page/word", include_in_schema=False)
    async def word(request: Request) -> HTMLResponse:
        library = libraries.name_of(request)
        asked, text = (request.query_params.get(name, "").strip() for name in ("w", "in"))
        text = text[: libraries.state.limits.text]
        return await libraries.state.run(lambda: _page(libraries, library, asked, text))


def _page(libraries: Libraries, library: str, asked: str, text: str) -> HTMLResponse:
    values: dict[str, Any] = {
        **libraries.common(library, WORD),
        "word": asked,
        "text": text,
        "found": None,
        "senses": (),
        "uses": None,
        "neighbors": (),
        "problem": "",
        "command": "",
        "marked": _marked,
    }
    status = 200
    if asked:
        collection = libraries.collection(library)
        try:
            if text:
                uses = collection.word_in(asked, text, occurrences=OCCURRENCES, k=USES)
                values |= {"found": uses, "uses": uses.uses}
            else:
                found = collection.word(asked, occurrences=OCCURRENCES, k=NEIGHBORS)
                values |= {"found": found, "senses": found.senses, "neighbors": found.neighbors}
        except RetrieverError as error:
            status = libraries.summarize(error).status
            values |= libraries.problem(error)
    return html("word.html.jinja", status, **values)


def _marked(use: Use) -> list[Piece]:
    return pieces_of(use.text, [use.span])
