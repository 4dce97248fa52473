"""`queries`: make queries from the documents of a collection, and write them to a file."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.cli import options
from retriever.cli.output import check_writable, keep_inputs, note


@click.command(short_help="Make queries from the documents: no judgments needed.")
@options.library
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON lines to write: each query, its document, and what is left of that.",
)
@click.option(
    "-n",
    "--number",
    default=300,
    show_default=True,
    type=options.POSITIVE,
    help="How many queries to make, of as many documents where there are so many.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["title", "first", "middle", "keywords"]),
    help="What a query is: the title, the first sentence, the middle one, or the rarest words of "
    "a sentence. Repeatable. Default: title, first and middle, which were most often right.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Random seed of the documents. Default: fixed.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def queries(
    library: Path,
    output: Path,
    number: int,
    kinds: tuple[str, ...],
    seed: int | None,
    force: bool,
) -> None:
    """Make queries from the documents of the collection LIBRARY; no index is needed.

    Each asks for the rest of its document: without its title, and without what the query says. Look
    at them, edit them, or write others of the same form, then: retriever compare LIBRARY --queries
    made:FILE. `compare --queries made:300` makes them without a file.
    """
    from retriever.collection import Collection
    from retriever.evaluation.significance import SEED
    from retriever.formats.writing import check_replaceable
    from retriever.known_items.files import write_made
    from retriever.known_items.making import make_queries

    keep_inputs("-o", output, (), (library,))
    check_replaceable(output, force=force)
    check_writable(output)
    with Collection.open(library) as collection:
        made = make_queries(
            collection, number, kinds=kinds or None, seed=SEED if seed is None else seed
        )
    write_made(output, made, force=force)
    note(*made.notes, f"wrote {output}: {made}")
