"""Judging by click, the page of what is judged, and the comparison made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from indexes.errors import InputError, RefusedError, pluralize, shown, unknown_name
from retriever.advice import shell_command
from retriever.comparison.compare import compare
from retriever.formats.judging import grades_of, qrels_in, queries_in
from retriever.formats.labels import LabelRow
from retriever.report.html.page import content_policy, page
from retriever.service.page.answers import default_choice
from retriever.service.page.libraries import JUDGMENTS, Libraries
from retriever.service.page.rendering import html

# What is said of a document, and its grade, None for unsure. Nothing withdraws what was said.
GRADES: dict[str, int | None] = {"1": 1, "0": 0, "unsure": None}
MOST_FIELDS = 16
# With fewer queries, a test seldom tells two systems apart.
FEW_QUERIES = 25
K = 10


@dataclass(frozen=True)
class JudgedQuery:
    """A query with how many of its documents got which judgment."""

    query_id: str
    text: str
    relevant: int
    not_relevant: int
    unsure: int


def add_judging(router: APIRouter, libraries: Libraries) -> None:
    """Add judging, and its pages, to a router."""

    @router.post("/page/judge", include_in_schema=False)
    async def judge(request: Request) -> Response:
        _check_own(request)
        given = _fields(request, await request.body())
        library = libraries.state.name_of(given.get("library") or None)
        judged = await libraries.state.run(lambda: _judge(libraries, library, given))
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"grade": given.get("grade", ""), "judged": judged})
        return RedirectResponse(_back(given.get("back", "")), 303)

    @router.get("/page/judgments", include_in_schema=False)
    async def judgments(request: Request) -> HTMLResponse:
        library = libraries.name_of(request)
        return await libraries.state.run(lambda: _page(libraries, library))

    @router.get("/page/comparison", include_in_schema=False)
    async def comparison(request: Request) -> HTMLResponse:
        library = libraries.name_of(request)
        names = tuple(filter(None, request.query_params.getlist("i")))
        text = await libraries.state.run(lambda: _comparison(libraries, library, names))
        policy = f"{content_policy()}; frame-ancestors 'none'"
        return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def _check_own(request: Request) -> None:
    """Refuse what another site has a browser send; its `Origin` is checked for all requests."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site != "same-origin":
        raise RefusedError(403, "The judgment comes from another site, and was not written.")


def _fields(request: Request, body: bytes) -> dict[str, str]:
    """Return the fields of a form that was sent, each once."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise InputError(f"The judgment is sent as '{kind}'; expected the form of the page.")
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise InputError("The judgment cannot be read; expected the form of the page.") from None
    return {name: values[0] for name, values in fields.items()}


def _judge(libraries: Libraries, library: str, given: dict[str, str]) -> int:
    """Write a judgment, or withdraw it; return the number of judgments."""
    file = libraries.judgments(library)
    if file is None:
        raise InputError("Judging is off: start the service with --judgments FOLDER.")
    query, grade = given.get("q", ""), given.get("grade", "")
    if grade and grade not in GRADES:
        raise InputError(f"The grade is '{grade}'; expected one of: {', '.join(GRADES)}.")
    document = libraries.collection(library).document(given.get("doc", ""))
    if not grade:
        file.withdraw(query, document.doc_id)
    else:
        known = libraries.facts(library).indexes
        found_by = [name for name in given.get("found", "").split() if name in known]
        texts = document.title, document.text
        names = " ".join(found_by)
        file.judge(LabelRow("", query, document.doc_id, *texts, names, GRADES[grade]))
    return len(file.rows())


def _back(address: str) -> str:
    """Return where a browser without scripts goes on: a page of ours, and nothing else."""
    return address if address.startswith("/page/") and address.isprintable() else "/"


def _page(libraries: Libraries, library: str) -> HTMLResponse:
    facts, file = libraries.facts(library), libraries.judgments(library)
    rows = file.rows() if file is not None else []
    chosen = default_choice(facts)
    qrels = qrels_in(rows)
    values: dict[str, Any] = {
        "enabled": file is not None,
        "start": shell_command("serve", libraries.place(library), "--judgments", "judgments"),
        "queries": _judged(rows),
        "total": len(rows),
        "graded": bool(qrels),
        "indexes": facts.info.indexes,
        "chosen": chosen,
        "few": "",
    }
    if file is not None:
        values["file"] = _name(libraries, file.path)
        values["command"] = shell_command(
            *("compare", libraries.place(library)),
            *(part for name in chosen for part in ("-i", name)),
            *("--queries", _name(libraries, file.queries_path)),
            *("--qrels", _name(libraries, file.path)),
        )
    if qrels and len(qrels) < FEW_QUERIES:
        values["few"] = (
            f"With {pluralize(len(qrels), 'judged query', 'judged queries')}, chance decides "
            f"much: from about {FEW_QUERIES} on, differences begin to tell."
        )
    return html("judgments.html.jinja", **libraries.common(library, JUDGMENTS), **values)


def _name(libraries: Libraries, path: Path) -> str:
    return shown(path) if libraries.state.settings.is_loopback else path.name


def _judged(rows: Sequence[LabelRow]) -> list[JudgedQuery]:
    judged = []
    for query_id, text in queries_in(rows).items():
        grades = list(grades_of(text, rows).values())
        unsure = grades.count(None)
        relevant = sum(1 for grade in grades if grade is not None and grade > 0)
        rest = len(grades) - unsure - relevant
        judged.append(JudgedQuery(query_id, text, relevant, rest, unsure))
    return judged


def _comparison(libraries: Libraries, library: str, names: Sequence[str]) -> str:
    """Return the report page of what is judged so far."""
    file, facts = libraries.judgments(library), libraries.facts(library)
    rows = file.rows() if file is not None else []
    qrels = qrels_in(rows)
    if file is None or not qrels:
        raise InputError("Nothing is judged yet: search, and judge some hits first.")
    for name in names:
        if name not in facts.indexes:
            raise unknown_name("index", name, library, list(facts.indexes))
    chosen = list(dict.fromkeys(names)) or list(default_choice(facts))
    made = compare(
        libraries.collection(library), chosen, queries_in(rows), qrels, k=K, baseline=chosen[0]
    )
    return page(made)
