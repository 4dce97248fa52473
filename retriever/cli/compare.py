"""`compare`: the same queries through several indexes, in one table."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.cli.options import as_json, index_names, library
from retriever.cli.output import note, printer, progress_bar

__all__ = ["compare"]


@click.command()
@library
@click.option(
    "-i",
    "--index",
    "indexes",
    multiple=True,
    shell_complete=index_names,
    help="An index to compare. Default: all.",
)
@click.option(
    "--queries",
    required=True,
    metavar="FILE",
    help="JSON lines, CSV, TSV, or text with one query a line.",
)
@click.option(
    "--qrels",
    metavar="FILE",
    help="Judgments, BEIR's TSV or TREC's four columns. Without: overlap and cost.",
)
@click.option(
    "-m",
    "--measure",
    "measures",
    multiple=True,
    help="A measure by its ir_measures name, such as nDCG@10, R@100, AP@100.",
)
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Depth of overlap, ann_recall and timed searches.",
)
@click.option(
    "--runs",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write one TREC run an index, DIR/INDEX.trec.",
)
@as_json
def compare(
    library: Path,
    indexes: tuple[str, ...],
    queries: str,
    qrels: str | None,
    measures: tuple[str, ...],
    k: int,
    runs: Path | None,
    as_json: bool,
) -> None:
    """Ask the indexes of the collection LIBRARY the same queries; show quality, speed and size."""
    from retriever.collection import Collection
    from retriever.comparison import compare as library_compare
    from retriever.formats import read_qrels, read_queries
    from retriever.measures import DEFAULT_MEASURES

    with Collection.open(library) as collection:
        texts, judgments = read_queries(queries), read_qrels(qrels) if qrels else None
        with progress_bar("comparing") as progress:
            result = library_compare(
                collection,
                list(indexes) or collection.index_names(),
                texts,
                judgments,
                k=k,
                measures=measures or DEFAULT_MEASURES,
                progress=progress,
            )
    if as_json:
        click.echo(result.to_json())
    else:
        from retriever.report.comparison import comparison_tables

        show = printer()
        for table in comparison_tables(result):
            show(table)
    for text in result.notes:
        note(text)
    # After the numbers, which must not be lost when a run cannot be written.
    for path in result.write_runs(runs) if runs else ():
        note(f"wrote {path}")
