"""The search page: one query in several indexes, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from indexes.errors import RetrieverError
from indexes.images import Image
from retriever.advice import shell_command
from retriever.formats.judging import grades_of
from retriever.images.thumbnails import thumbnail_if_any
from retriever.service.page.answers import FAMILIES, Answered, answer, default_choice
from retriever.service.page.facts import Facts
from retriever.service.page.filters import controls
from retriever.service.page.forms import COUNTS, SearchForm, search_form
from retriever.service.page.libraries import SEARCH, Libraries
from retriever.service.page.rendering import html

# The values of the buttons, and what they say.
GRADES = (("1", "Relevant"), ("0", "Not"), ("unsure", "Unsure"))
EXAMPLE = "year >= 2020 and source = faq"


def add_search(router: APIRouter, libraries: Libraries) -> None:
    """Add the search page to a router."""

    @router.get("/page/search", include_in_schema=False)
    async def search(request: Request) -> HTMLResponse:
        library = libraries.name_of(request)
        form = search_form(library, request.query_params, libraries.state.limits)
        # What is typed on is asked for by a script, which replaces the results alone.
        only_results = request.query_params.get("part") == "results"
        return await libraries.state.run(lambda: _page(libraries, form, only_results))

    @router.post("/page/search", include_in_schema=False)
    async def search_by_image(request: Request) -> HTMLResponse:
        """Return the results for an image, which is the body; the rest is in the address."""
        library = libraries.name_of(request)
        image = Image.of_bytes(await request.body())
        form = search_form(library, request.query_params, libraries.state.limits)
        form = replace(form, text="", like="", image=image)
        return await libraries.state.run(lambda: _page(libraries, form, only_results=True))


def _page(libraries: Libraries, form: SearchForm, only_results: bool) -> HTMLResponse:
    facts = libraries.facts(form.library)
    form = replace(form, indexes=form.indexes or default_choice(facts))
    values: dict[str, Any] = {
        **libraries.common(form.library, SEARCH),
        "form": form,
        "indexes": facts.info.indexes,
        "tones": {one.name: _tone(one.family) for one in facts.info.indexes},
        "build": shell_command(
            "build", libraries.place(form.library), "NAME", "--embedder", "KIND:MODEL"
        ),
        "answered": None,
        "mapped": bool(facts.with_vectors),
        "query_image": thumbnail_if_any(form.image),
        "with_images": facts.info.images > 0,
        "problem": "",
        "command": "",
        "judging": False,
    }
    status = 200
    if form.is_asked and form.indexes:
        try:
            answered = _public(libraries, answer(libraries.collection(form.library), facts, form))
            values |= {"answered": answered, **_judging(libraries, form, answered)}
        except RetrieverError as error:
            status = libraries.summarize(error).status
            values |= libraries.problem(error)
    if only_results:
        status = 200  # as what is being typed is seldom complete
    else:
        values |= {"controls": controls(facts.fields, form.chosen), "example": _example(facts)}
        most = libraries.state.limits.k
        values["counts"] = sorted({form.k, *(count for count in COUNTS if count <= most)})
    return html("results.html.jinja" if only_results else "search.html.jinja", status, **values)


def _tone(family: str) -> str:
    return family if family in FAMILIES else "other"


def _public(libraries: Libraries, answered: Answered) -> Answered:
    """Return an answer whose messages name no folder."""
    say = libraries.public
    columns = [
        replace(one, notes=[say(note) for note in one.notes], error=say(one.error))
        for one in answered.columns
    ]
    return replace(answered, columns=columns)


def _judging(libraries: Libraries, form: SearchForm, answered: Answered) -> Mapping[str, Any]:
    """Return what the buttons of hits need; without a text, hits are not judged."""
    file = libraries.judgments(form.library)
    if file is None or not form.text.strip() or form.like:
        return {"judging": False, "grades": {}}
    rows = file.rows()
    grades = grades_of(form.text, rows)
    found_by: dict[str, list[str]] = {}
    for column in answered.columns:
        for shown in column.hits:
            found_by.setdefault(shown.hit.doc_id, []).append(column.name)

    def pressed(doc_id: str) -> str:
        grade = grades.get(doc_id, "")
        return "unsure" if grade is None else "" if grade == "" else str(min(1, max(0, int(grade))))

    return {
        "judging": True,
        "grades": grades,
        "pressed": pressed,
        "grade_names": GRADES,
        "found_by": {doc_id: " ".join(names) for doc_id, names in found_by.items()},
        "judged": len(rows),
    }


def _example(facts: Facts) -> str:
    """Return a filter that could be typed here."""
    for field in facts.fields:
        if field.low is not None and field.kind == "number":
            return f"{field.name} >= {field.low}"
        if field.values:
            value = field.values[0][0]
            return f'{field.name} = "{value}"' if isinstance(value, str) else EXAMPLE
    return EXAMPLE
