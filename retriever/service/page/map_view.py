"""The map page: a corpus in two embeddings, and where the hits of a query are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from indexes.catalog.filters.field_names import field_path, value_at
from indexes.errors import InputError, RetrieverError, unknown_name
from retriever.collection import Collection
from retriever.corpus_map.corpus_map import PCA, CorpusMap
from retriever.corpus_map.pca import Points, rotation_onto
from retriever.corpus_map.umap_layout import has_umap
from retriever.formatting import percentage
from retriever.search.finders import DenseFinder
from retriever.search.metadata_fields import BOOLEAN, TEXT
from retriever.search.retriever import Retriever
from retriever.service.page.answers import default_choice
from retriever.service.page.facts import Facts
from retriever.service.page.libraries import MAP, Libraries
from retriever.service.page.rendering import html

# Size of a map, and space around its points, in units of its drawing.
SIDE, MARGIN = 480, 18
HITS = 10
# Values of a field with a color of their own.
SHADES = 7
REST = "shade-rest"


@dataclass(frozen=True)
class Mark:
    """A hit on a map; `number` is that of its document."""

    rank: int
    doc_id: str
    label: str
    number: int
    x: float
    y: float


@dataclass(frozen=True)
class DrawnMap:
    """A map as it is drawn: dots are x, y, the document's number and the class of its color."""

    name: str
    family: str
    dots: Sequence[tuple[float, float, int, str]]
    marks: Sequence[Mark]
    query: tuple[float, float] | None
    caption: str
    side: int = SIDE


@dataclass(frozen=True)
class _Laid:
    """A map with the hits of a query, and with the query itself if it has a vector."""

    made: CorpusMap
    points: Points
    hits: Sequence[tuple[str, str, tuple[float, float]]]
    query: tuple[float, float] | None


def add_map(router: APIRouter, libraries: Libraries) -> None:
    """Add the map page to a router."""

    @router.get("/page/map", include_in_schema=False)
    async def corpus_map(request: Request) -> HTMLResponse:
        library = libraries.name_of(request)
        given = {
            name: request.query_params.get(name, "") for name in ("a", "b", "q", "color", "method")
        }
        libraries.state.limits.check_text(given["q"])
        return await libraries.state.run(lambda: _page(libraries, library, given))


def _page(libraries: Libraries, library: str, given: Mapping[str, str]) -> HTMLResponse:
    facts = libraries.facts(library)
    a, b = _pair(facts)
    chosen = given["a"] or a, given["b"] or b
    values: dict[str, Any] = {
        **libraries.common(library, MAP),
        "indexes": facts.with_vectors,
        "a": chosen[0],
        "b": chosen[1],
        "query": given["q"],
        "color": given["color"],
        "colors": [f.name for f in facts.fields if f.kind in (TEXT, BOOLEAN) and len(f.values) > 1],
        "method": given["method"] or PCA,
        "has_umap": has_umap(),
        "maps": (),
        "legend": (),
        "problem": "",
        "command": "",
    }
    status = 200
    try:
        values |= _maps(libraries, library, facts, chosen, values)
    except RetrieverError as error:
        status = libraries.summarize(error).status
        values |= libraries.problem(error)
    return html("map.html.jinja", status, **values)


def _pair(facts: Facts) -> tuple[str, str]:
    """Return the indexes to show first: one of each of two families where there are two."""
    having = [name for name in default_choice(facts) if name in facts.with_vectors]
    names = list(dict.fromkeys([*having, *facts.with_vectors]))
    if not names:
        raise InputError("A map needs an index with vectors, and there is none.")
    return names[0], names[min(1, len(names) - 1)]


def _maps(
    libraries: Libraries,
    library: str,
    facts: Facts,
    chosen: Sequence[str],
    values: Mapping[str, Any],
) -> dict[str, Any]:
    collection, method = libraries.collection(library), values["method"]
    for name in chosen:
        if name not in facts.indexes:
            raise unknown_name("index", name, library, facts.with_vectors)
    laid = []
    for name in dict.fromkeys(chosen):
        made = libraries.kept(
            library,
            ("map", name, method),
            lambda name=name: collection.corpus_map(name, method=method),  # type: ignore[misc]
        )
        laid.append(_laid(collection, made, values["query"]))
    if len(laid) > 1:
        laid[1] = _turned(laid[1], laid[0])
    labels = {
        doc_id: label
        for one in laid
        for doc_id, label in (
            *zip(one.made.doc_ids, one.made.labels, strict=True),
            *((doc_id, label) for doc_id, label, _ in one.hits),
        )
    }
    numbers = {doc_id: number for number, doc_id in enumerate(labels)}
    shades: Mapping[str, str] = {}
    legend: Sequence[tuple[str, str, str]] = ()
    if values["color"]:
        ids = [doc_id for one in laid for doc_id in one.made.doc_ids]
        shades, legend = libraries.kept(
            library,
            ("colors", values["color"], method, *chosen),
            lambda: _shades(collection, values["color"], ids),
        )
    return {
        "maps": [_drawn(one, facts, numbers, shades) for one in laid],
        "documents": [[doc_id, label] for doc_id, label in labels.items()],
        "legend": legend,
    }


def _laid(collection: Collection, made: CorpusMap, query: str) -> _Laid:
    """Return a map with where the hits of a query are, and the query."""
    if not query.strip():
        return _Laid(made, made.points, (), None)
    hits = collection.search(query, index=made.index, k=HITS)
    places = collection.places(made, [hit.doc_id for hit in hits])

    def place(retriever: Retriever) -> tuple[float, float] | None:
        if not isinstance(retriever.finder, DenseFinder):
            return None
        vector = np.asarray(retriever.finder.embedder.encode_queries([query])[0], np.float32)
        return collection.place_of(made, vector) if vector.any() else None

    found = [
        (hit.doc_id, hit.title or hit.doc_id, places[hit.doc_id])
        for hit in hits
        if hit.doc_id in places
    ]
    return _Laid(made, made.points, found, collection.with_retriever(made.index, place))


def _turned(one: _Laid, onto: _Laid) -> _Laid:
    """Return a map turned so that its documents are nearest to where another map has them."""
    at = {doc_id: row for row, doc_id in enumerate(onto.made.doc_ids)}
    common = [(row, at[doc_id]) for row, doc_id in enumerate(one.made.doc_ids) if doc_id in at]
    rows, others = (list(side) for side in zip(*common, strict=True)) if common else ([], [])
    turn = rotation_onto(one.points[rows], onto.points[others])

    def turned(place: tuple[float, float]) -> tuple[float, float]:
        x, y = (np.array(place) @ turn).tolist()
        return x, y

    return replace(
        one,
        points=one.points @ turn,
        hits=[(doc_id, label, turned(place)) for doc_id, label, place in one.hits],
        query=None if one.query is None else turned(one.query),
    )


def _drawn(
    one: _Laid, facts: Facts, numbers: Mapping[str, int], shades: Mapping[str, str]
) -> DrawnMap:
    hits = np.array([place for _, _, place in one.hits]).reshape(-1, 2)
    every = np.concatenate([one.points, hits])
    low, high = every.min(axis=0), every.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / max(float((high - low).max()), 1e-12)

    def at(place: Sequence[float]) -> tuple[float, float]:
        x, y = (np.asarray(place) - (low + high) / 2) * scale
        return round(SIDE / 2 + float(x), 1), round(SIDE / 2 - float(y), 1)

    dots = [
        (*at(place), numbers[doc_id], shades.get(doc_id, "shade"))
        for doc_id, place in zip(one.made.doc_ids, one.points.tolist(), strict=True)
    ]
    marks = [
        Mark(rank, doc_id, label, numbers[doc_id], *at(place))
        for rank, (doc_id, label, place) in enumerate(one.hits, start=1)
    ]
    name = one.made.index
    shown, total = len(one.made.doc_ids), one.made.documents
    caption = f"{shown:,} of {total:,} documents" if shown < total else f"{total:,} documents"
    if one.made.share is not None:
        caption += f"; the plane keeps {percentage(one.made.share)} of the variance"
    query = None if one.query is None else at(one.query)
    if query and any(not MARGIN / 2 <= side <= SIDE - MARGIN / 2 for side in query):
        # A short text may be far from all documents, which would become one spot.
        x, y = np.clip(query, MARGIN / 2, SIDE - MARGIN / 2).tolist()
        query = x, y
        caption += "; the query is farther out than drawn"
    return DrawnMap(name, facts.indexes[name].family, dots, marks, query, f"{caption}.")


def _shades(
    collection: Collection, field: str, doc_ids: Sequence[str]
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return the class of each document's color by its value in a field, and the legend."""
    path = field_path(field)
    values = {}
    for document in collection.documents_of(list(dict.fromkeys(doc_ids))):
        value = value_at(document.metadata, path)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str | bool | int | float):
            values[document.doc_id] = str(value).lower() if isinstance(value, bool) else str(value)
    counts = Counter(values.values())
    frequent = {value: f"shade-{n}" for n, (value, _) in enumerate(counts.most_common(SHADES))}
    shades = {doc_id: frequent.get(values.get(doc_id, ""), REST) for doc_id in doc_ids}
    legend = [(shade, value, f"{counts[value]:,}") for value, shade in frequent.items()]
    if rest := sum(1 for shade in shades.values() if shade == REST):
        legend.append((REST, "others", f"{rest:,}"))
    return shades, legend
