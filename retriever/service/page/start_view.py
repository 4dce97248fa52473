"""The start page: every library with its indexes, as `retriever info` says."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from indexes.errors import RetrieverError
from retriever.advice import shell_command
from retriever.service.page.libraries import Libraries
from retriever.service.page.rendering import html


def add_start(router: APIRouter, libraries: Libraries) -> None:
    """Add the start page to a router."""

    @router.get("/", include_in_schema=False)
    async def start() -> HTMLResponse:
        state = libraries.state
        return await state.run(
            lambda: html(
                "start.html.jinja",
                shown=[_library(libraries, name) for name in state.collections],
                library="",
            )
        )


def _library(libraries: Libraries, name: str) -> dict[str, Any]:
    """Return what the start page shows of a library; one that cannot be read has its error."""
    try:
        facts = libraries.facts(name)
    except RetrieverError as error:
        return {"name": name, **libraries.problem(error)}
    notes = [
        *facts.info.notes,
        *(one for index in facts.info.indexes for one in facts.notes(index)),
    ]
    build = shell_command("build", libraries.place(name), "NAME", "--embedder", "KIND:MODEL")
    return {
        "name": name,
        "problem": "",
        "info": facts.info,
        "notes": [libraries.public(note) for note in notes],
        "pages": libraries.pages(facts),
        "build": build,
    }
