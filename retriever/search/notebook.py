"""Hits and runs as HTML tables, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from indexes.errors import pluralize
from indexes.images import Image
from retriever.formatting import alt_text, beginning
from retriever.images.check import NO_PILLOW, has_pillow
from retriever.images.thumbnails import thumbnail_if_any

if TYPE_CHECKING:
    from retriever.search.results import Hit, Hits, Run

# Most hits of a table, and characters of a title or text.
MOST, CHARACTERS = 100, 200
# Best hits of each query that the table of a run shows.
BEST = 5
LEFT = ' style="text-align: left"'


def hits_html(hits: Hits) -> str:
    """Return a table of rank, score, thumbnail if any hit has one, document and text; then notes.

    Everything is escaped, and nothing is loaded: thumbnails are within the HTML.
    """
    shown = hits[:MOST]
    pictured = any(hit.image for hit in shown)
    heads = ["rank", "score", *(["image"] if pictured else []), "document", "text"]
    cells = "".join(f"<th{LEFT}>{head}</th>" for head in heads)
    rows = "".join(f"<tr>{''.join(_cells(hit, pictured=pictured))}</tr>" for hit in shown)
    table = f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
    more = [f"{len(hits) - MOST:,} more hits"] if len(hits) > MOST else []
    more += [NO_PILLOW] if pictured and not has_pillow() else []
    notes = [*more, *hits.notes] if hits else ["no hits", *hits.notes]
    html = "".join([table if hits else "", *(f"<p>{escape(note)}</p>" for note in notes)])
    # An image's name may hold a lone surrogate, which UTF-8 cannot encode.
    return html.encode("utf-8", "replace").decode()


def run_html(run: Run) -> str:
    """Return a table of the best hits of each query in a run: ids with scores, all escaped."""
    shown = list(run.ranking.items())[:MOST]
    ranks = range(1, 1 + min(BEST, max((len(hits) for _, hits in shown), default=0)))
    heads = "".join(f"<th{LEFT}>{head}</th>" for head in ("query", *ranks))
    rows = "".join(
        f"<tr><th{LEFT}>{escape(beginning(query_id, CHARACTERS))}</th>"
        f"{''.join(f'<td{LEFT}>{_found(*hit)}</td>' for hit in hits[:BEST])}</tr>"
        for query_id, hits in shown
    )
    queries = pluralize(len(run.ranking), "query", "queries")
    said = f"<p>{escape(run.name)}: {queries}, at most {run.k:,} hits each</p>"
    more = len(run.ranking) - MOST
    rest = f"<p>{pluralize(more, 'more query', 'more queries')}</p>" if more > 0 else ""
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return (said + (table if shown else "") + rest).encode("utf-8", "replace").decode()


def _found(doc_id: str, score: float) -> str:
    return f"{escape(beginning(doc_id, CHARACTERS))}<br><small>{score:.3f}</small>"


def _cells(hit: Hit, *, pictured: bool) -> Iterator[str]:
    yield f"<td>{hit.rank}</td><td>{hit.score:.3f}</td>"
    alt = escape(alt_text(hit.title, hit.text, hit.doc_id))
    if pictured:
        yield f"<td{LEFT}>{_image(hit.image, alt) if hit.image else ''}</td>"
    title = f"<b>{escape(beginning(hit.title, CHARACTERS))}</b><br>" if hit.title else ""
    stale = " (stale)" if hit.stale else ""
    yield f"<td{LEFT}>{title}{escape(beginning(hit.doc_id, CHARACTERS))}{stale}</td>"
    yield f"<td{LEFT}>{escape(beginning(hit.text, CHARACTERS))}</td>"


def _image(image: Image, alt: str) -> str:
    small = thumbnail_if_any(image)
    if small is None:
        return f"<i>{alt}</i>"
    size = f'width="{small.width}" height="{small.height}"'
    return f'<img src="{small.uri}" alt="{alt}" {size}>'
