"""`word`: show the senses of a word in a corpus, or the passages that use it in one sense."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import POSITIVE, as_json, how_many, indexes, library
from retriever.cli.output import (
    note,
    print_json,
    print_parts,
    progress_bar,
    table_columns,
    terminal_columns,
)

if TYPE_CHECKING:
    from retriever.word_senses import WordSenses, WordUses


@click.command(short_help="Show a word's senses in a collection and its static neighbors.")
@library
@click.argument("word")
@click.option(
    "--in",
    "text",
    metavar="TEXT",
    help="Text that uses WORD: find passages that use it in the same sense.",
)
@indexes("Contextual or static index; may be repeated. Default: the first of each.")
@click.option(
    "--senses", type=POSITIVE, help="Number of senses. Default: chosen by separation, at most 6."
)
@click.option(
    "--layer",
    type=int,
    help="Contextual layer: 0 is before the first, -1 the last. Default: chosen by the embedder.",
)
@click.option(
    "--occurrences",
    default=500,
    show_default=True,
    type=POSITIVE,
    help="Number of uses of the word to sample, evenly over the corpus.",
)
@how_many("Number of neighbors of the word, or of passages with --in.")
@as_json
def word(
    library: Path,
    word: str,
    text: str | None,
    indexes: tuple[str, ...],
    senses: int | None,
    layer: int | None,
    occurrences: int,
    k: int,
    as_json: bool,
) -> None:
    """Show the neighbors of WORD in a static index, next to its senses in the collection LIBRARY.

    Its uses are found with a BM25 index (build LIBRARY bm25 --lexical), encoded in their sentences
    by a contextual index, and clustered. Encoded uses are cached.
    """
    from retriever.collection import Collection

    if text is not None and senses is not None:
        raise click.UsageError("--senses cannot be combined with --in.")
    options: dict[str, Any] = {"layer": layer, "occurrences": occurrences, "k": k}
    with Collection.open(library) as collection:
        contextual, options["static"] = collection.split_by_kind(indexes)
        for index in contextual or (None,):
            with progress_bar("reading") as progress:
                options |= {"index": index, "progress": progress}
                found = (
                    collection.word(word, senses=senses, **options)
                    if text is None
                    else collection.word_in(word, text, **options)
                )
            _show(found, as_json)


def _show(found: WordSenses | WordUses, as_json: bool) -> None:
    from retriever.records import sense_records
    from retriever.report.terminal.word_senses import sense_lines

    if as_json:
        print_json(*sense_records(found))
    else:
        print_parts(
            *sense_lines(found, min(one for one in (table_columns(), terminal_columns()) if one))
        )
    note(*found.notes)
