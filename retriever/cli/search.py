"""`search`: search one index, or several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retriever.cli.options import as_json, how_many, indexes, library, where
from retriever.cli.output import note, print_json, print_parts


@click.command(short_help="Search for the documents nearest to a query or an image.")
@library
@click.argument("query", required=False)
@indexes("Index to search; give several to compare them side by side.")
@how_many("Number of hits.")
@click.option(
    "--image",
    metavar="FILE",
    help="Search by an image, in an index of a model that takes images.",
)
@click.option(
    "--queries",
    metavar="FILE",
    help="Run every query of a file (JSON lines, CSV, TSV, or text with one per line).",
)
@where
@as_json
def search(
    library: Path,
    query: str | None,
    indexes: tuple[str, ...],
    k: int,
    image: str | None,
    queries: str | None,
    where: dict[str, Any] | None,
    as_json: bool,
) -> None:
    """Search the collection LIBRARY for the documents nearest to QUERY, or to an image.

    Without -i, the newest fusion answers, or else all indexes. With several indexes, show which
    documents all of them found, which only one, and every rank.
    """
    from indexes.images import Image
    from retriever.collection import Collection
    from retriever.formats import read_mixed_queries
    from retriever.records import hit_records
    from retriever.report.terminal.escape import one_line
    from retriever.report.terminal.hits import hits_list, side_by_side
    from retriever.search.queries import Query, query_text

    if [query, image, queries].count(None) != 2:
        raise click.UsageError("Give a QUERY, or --image FILE, or --queries FILE.")
    if queries is not None:
        texts: dict[str, Query] = read_mixed_queries(queries)
    else:
        texts = {"": Image.of(image) if image is not None else str(query)}
    with Collection.open(library) as collection:
        names = indexes or collection.default_indexes()
        if not indexes and names != collection.index_names():
            note(f"'{names[0]}', the newest fusion, answers; -i INDEX selects another.")
        retrievers = [collection.retriever(name) for name in names]
        answers = {r.name: r.search_many(list(texts.values()), k, where=where) for r in retrievers}
    notes: dict[str, None] = {}
    for position, (query_id, content) in enumerate(texts.items()):
        text = query_text(content)
        hits = {name: found[position] for name, found in answers.items()}
        notes |= dict.fromkeys(n for found in hits.values() for n in found.notes)
        if as_json:
            for name, found in hits.items():
                print_json(*hit_records(query_id, text, name, found))
            continue
        if queries is not None:
            print_parts(f"\n{one_line(f'{query_id}: {text}')}")
        print_parts(*(side_by_side(hits) if len(hits) > 1 else hits_list(*hits.values())))
    note(*notes)
