"""What all pages need: the libraries, what is kept about them, and where judgments go."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import HTMLResponse

from indexes.errors import RetrieverError
from retriever.collection import Collection
from retriever.formats.judging import JudgmentFile
from retriever.service.page.facts import Facts, Kept
from retriever.service.page.rendering import html
from retriever.service.problems import ErrorSummary, summarize, without_paths
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

    def place(self, library: str) -> Path:
        """Return how commands name a library: its folder, or for other machines its name."""
        settings = self.state.settings
        return settings.by_name[library] if settings.is_loopback else Path(library)

    def public(self, text: str) -> str:
        """Return a message as clients may read it: on other machines without folders."""
        return without_paths(text, hidden_folders(self.state))

    def summarize(self, error: RetrieverError) -> ErrorSummary:
        """Return an error for a client."""
        return summarize(error, hidden_folders(self.state))

    def problem(self, error: RetrieverError) -> dict[str, str]:
        """Return the sentence of an error, and the command that helps, for a template."""
        says = self.summarize(error)
        return {"problem": says.sentence, "command": says.command}


def hidden_folders(state: ServiceState) -> Mapping[str, str]:
    """Return the folders that clients need not know, with their names; none on this machine."""
    return {} if state.settings.is_loopback else state.folders


def error_page(error: RetrieverError, state: ServiceState) -> HTMLResponse:
    """Return an error as a page of its own."""
    status, sentence, command, headers = summarize(error, hidden_folders(state))
    title = {404: "Not found", 429: "Too many requests", 503: "Not now"}.get(status, "Not possible")
    page = html(
        "error.html.jinja", status, title=title, problem=sentence, command=command, library=""
    )
    page.headers.update(headers)
    return page
