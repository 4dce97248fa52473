"""HTML from templates, under a policy that lets nothing run or load but the page's own files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from indexes.errors import pluralize
from retriever.formatting import format_bytes

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # With `no-referrer`, browsers would not say that a form comes from here.
    "Referrer-Policy": "same-origin",
}
# What is served under `/page/assets`: the parts of each file, of the report page or of this one.
REPORT, OWN = "retriever.report.html.template", "retriever.service.page.assets"
ASSETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "page.css": ((REPORT, "style.css"), (OWN, "page.css")),
    "page.js": ((OWN, "page.js"),),
    "search.js": ((OWN, "search.js"),),
    "map.js": ((OWN, "map.js"),),
}
MEDIA_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@cache
def asset(name: str) -> bytes:
    """Return a file that pages load; its name is a key of `ASSETS`."""
    parts = (files(folder).joinpath(part).read_bytes() for folder, part in ASSETS[name])
    return b"\n".join(parts)


@cache
def asset_url(name: str) -> str:
    """Return the address of a file, which changes with its content."""
    version = hashlib.sha256(asset(name)).hexdigest()[:12]
    return f"/page/assets/{name}?v={version}"


def asset_response(name: str) -> Response:
    """Return a file of `ASSETS`, which browsers may keep."""
    return Response(asset(name), media_type=MEDIA_TYPES[name.rpartition(".")[2]], headers=FOREVER)


def address(path: str, **parameters: object) -> str:
    """Return the address of a page: `/page/search?q=...`; parameters that are empty are left out.

    A list or tuple becomes several parameters of its name.
    """
    pairs = [
        (name, str(one))
        for name, value in parameters.items()
        for one in (value if isinstance(value, list | tuple) else [value])
        if one not in (None, "", False)
    ]
    query = urlencode(pairs, errors="replace")
    return f"/page/{path}?{query}" if query else f"/page/{path}"


def json_block(value: Any) -> Markup:
    r"""Return JSON that is safe in a `<script>` element: `<` is written as `\u003c` and so on."""
    data = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(data.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&"}))


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("retriever.service.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"address": address, "asset_url": asset_url, "json_block": json_block}
    made.filters |= {"pluralize": pluralize, "bytes": format_bytes, "spaced": _spaced}
    return made


def _spaced(parts: Iterable[str], mark: str = ", ") -> str:
    return mark.join(parts)


def html(template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Return a page made of a template and values, which are escaped."""
    text = _environment().get_template(template).render(values)
    # A path or an id may hold a lone surrogate, which UTF-8 cannot encode.
    return HTMLResponse(text.encode("utf-8", "replace"), status, HEADERS)
