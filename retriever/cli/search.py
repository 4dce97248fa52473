"""`search`: one index, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import as_json, how_many, indexes, library, where
from retriever.cli.output import note, print_json, printer

if TYPE_CHECKING:
    from retriever.search.results import Hits


@click.command()
@library
@click.argument("query", required=False)
@indexes("An index; give several to see them side by side.")
@how_many("How many hits.")
@click.option(
    "--queries",
    metavar="FILE",
    help="Ask every query of a file (JSON lines, CSV, TSV, or text with one a line).",
)
@where
@as_json
def search(
    library: Path,
    query: str | None,
    indexes: tuple[str, ...],
    k: int,
    queries: str | None,
    where: dict[str, Any] | None,
    as_json: bool,
) -> None:
    """Ask the collection LIBRARY for the documents nearest to QUERY.

    With several indexes: what all of them find, what only one finds, and the ranks on every side.
    """
    from retriever.collection import Collection
    from retriever.formats import read_queries
    from retriever.report.terminal.escape import one_line
    from retriever.report.terminal.hits import hits_list, side_by_side

    if (query is None) == (queries is None):
        raise click.UsageError("Give a QUERY, or --queries FILE.")
    texts = {"": query} if query is not None else read_queries(str(queries))
    with Collection.open(library) as collection:
        names = indexes or (None,)
        retrievers = [collection.retriever(name) for name in names]
        answers = {r.name: r.search_many(list(texts.values()), k, where=where) for r in retrievers}
    show = printer()
    notes: dict[str, None] = {}
    for position, (query_id, text) in enumerate(texts.items()):
        hits = {name: found[position] for name, found in answers.items()}
        notes |= dict.fromkeys(n for found in hits.values() for n in found.notes)
        if as_json:
            _print_json(query_id, text, hits)
            continue
        if queries is not None:
            show(f"\n{one_line(f'{query_id}: {text}')}")
        for line in side_by_side(hits) if len(hits) > 1 else hits_list(*hits.values()):
            show(line)
    for text in notes:
        note(text)


def _print_json(query_id: str, text: str, answers: Mapping[str, Hits]) -> None:
    """One object a hit; where an index found nothing, one that says so, with its notes."""
    asked = {"query_id": query_id, "query": text} if query_id else {"query": text}
    for name, hits in answers.items():
        for hit in hits:
            print_json({**asked, "index": name, **asdict(hit)})
        if not hits:
            print_json({**asked, "index": name, "hits": 0, "notes": hits.notes})
