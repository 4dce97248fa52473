"""`word`: the senses of a word in a corpus, or the passages that use it in one of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import as_json, how_many, indexes, library
from retriever.cli.output import note, print_json, printer, progress_bar

if TYPE_CHECKING:
    from retriever.word_senses import WordSenses, WordUses


@click.command()
@library
@click.argument("word")
@click.option(
    "--in",
    "text",
    metavar="TEXT",
    help="A text that uses WORD: find the passages that use it in the same sense.",
)
@indexes("A contextual index, or the static one beside it; give several. Default: the first ones.")
@click.option(
    "--senses",
    type=click.IntRange(min=1),
    help="So many senses. Default: as many as stand apart, 6 at most.",
)
@click.option(
    "--layer",
    type=int,
    help="Of the contextual embedder: 0 is before the first, -1 the last. Default: its own choice.",
)
@click.option(
    "--occurrences",
    default=500,
    show_default=True,
    type=click.IntRange(min=1),
    help="How many uses of the word to look at, evenly spread over the corpus.",
)
@how_many("How many neighbours of the word, or passages with --in.")
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
    """Show the neighbours of WORD in a static table, beside its senses in the collection LIBRARY.

    Its uses are found by an index of words (build LIBRARY bm25 --lexical), encoded in their
    sentences by a contextual index, and grouped. They are kept: what was encoded once is at hand
    the next time.
    """
    from retriever.collection import Collection

    if text is not None and senses is not None:
        raise click.UsageError("--senses groups all uses of a word; with --in there is nothing to.")
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
    from retriever.report.terminal.word_senses import word_lines, word_records

    if as_json:
        for record in word_records(found):
            print_json(record)
    else:
        show = printer()
        for line in word_lines(found, _columns()):
            show(line)
    for text in found.notes:
        note(text)


def _columns() -> int:
    """How wide a line may be: as wide as the terminal, if that is narrower than a page."""
    from rich.console import Console

    from retriever.formatting import WIDTH

    console = Console()
    return min(WIDTH, console.width) if console.is_terminal else WIDTH
