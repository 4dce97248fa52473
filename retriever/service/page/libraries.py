"""What all pages need: the libraries, what is kept about them, and where judgments go."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import HTMLResponse

from indexes.errors import InputError, RetrieverError
from retriever.collection import Collection
from retriever.formats.judging import JudgmentFile
from retriever.service.page.facts import Facts, Kept
from retriever.service.page.rendering import html
from retriever.service.problems import told
from retriever.service.state import ServiceState

Made = TypeVar("Made")
SEARCH, MAP, WORD, JUDGMENTS = "search", "map", "word", "judgments"


class Libraries:
    """The libraries of a service, as its pages show them."""

    def __init__(self, state: ServiceState) -> None:
        self.state = state
        self._kept = Kept()

    def name_of(self, request: Request) -> str:
        """Return the name of the library that a page is about; errors as in `state.name_of`."""
        return self.state.name_of(request.query_params.get("library") or None)

    def collection(self, library: str) -> Collection:
        """Return a library's collection."""
        return self.state.collections[library]

    def facts(self, library: str) -> Facts:
        """Return what is known about a library's present state."""
        return self.kept(library, "facts", lambda: Facts.of(self.collection(library)))

    def kept(self, library: str, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` returns, made once for each state of a library."""
        return self._kept.of(self.collection(library), library, key, make)

    def judgments(self, library: str) -> JudgmentFile | None:
        """Return the file of a library's judgments; None where judging is off."""
        folder = self.state.settings.judgments
        return None if folder is None else JudgmentFile(folder / f"{library}.csv")

    def common(self, library: str, here: str) -> dict[str, Any]:
        """Return what the frame of each page shows: the library, and its pages."""
        return {"library": library, "here": here, "pages": self.pages(self.facts(library))}

    def pages(self, facts: Facts) -> list[tuple[str, str]]:
        """Return the pages that a library has: address and name."""
        pages = [(SEARCH, "Search")]
        if facts.with_vectors:
            pages.append((MAP, "Map"))
        if facts.has_words:
            pages.append((WORD, "Words"))
        return [*pages, (JUDGMENTS, "Judgments")]

    def problem(self, error: RetrieverError) -> dict[str, str]:
        """Return the sentence of an error, and the command that helps, for a template."""
        _, sentence, command, _ = told(error, self.state.folders)
        return {"problem": sentence, "command": command}


def error_page(error: RetrieverError, state: ServiceState) -> HTMLResponse:
    """Return an error as a page of its own."""
    status, sentence, command, headers = told(error, state.folders)
    title = {404: "Not found", 429: "Too many requests", 503: "Not now"}.get(status, "Not possible")
    page = html(
        "error.html.jinja", status, title=title, problem=sentence, command=command, library=""
    )
    page.headers.update(headers)
    return page


def not_found() -> InputError:
    """Return the error for an address that is no page."""
    from retriever.service.problems import Refusal

    return Refusal(404, "There is no page at this address.")  # type: ignore[return-value]
