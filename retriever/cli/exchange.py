"""`list`, `export`, `copy`, `rename`: what leaves a collection, and its names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import POSITIVE, as_json, index_names, library, where
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from indexes.document import Document

LISTS = ("text", "ids", "jsonl", "csv")
WIDTH = 60


@click.command("list", short_help="List documents, with their titles and metadata.")
@library
@where
@click.option("--fields", help="Metadata to show, such as year,author.name; commas between them.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(LISTS),
    default="text",
    show_default=True,
    help="Form of the list.",
)
@click.option("--limit", type=POSITIVE, help="Most documents to list.")
def list_documents(
    library: Path, where: dict[str, Any] | None, fields: str | None, format_: str, limit: int | None
) -> None:
    """List the documents of the collection LIBRARY, in the order in which they were added.

    Each is a line with its id, its title (or the beginning of its text) and the chosen metadata.
    """
    from retriever.collection import Collection

    names = [name.strip() for name in fields.split(",")] if fields is not None else []
    show = _listers(names)[format_]
    with Collection.open(library) as collection:
        notes = [*collection.field_notes(*names)]
        notes += collection.filter_notes(where) if where is not None else ()
        if format_ == "csv":
            click.echo(_csv_line(["doc_id", "title", *names]))
        # A limit beyond this is more documents than a collection can hold.
        most = None if limit is None else min(limit, sys.maxsize)
        for document in islice(collection.documents(where=where), most):
            show(document)
    note(*notes)


def _listers(names: Sequence[str]) -> dict[str, Callable[[Document], None]]:
    """Return what prints a document, by format."""
    from indexes.catalog.filters.field_names import field_path, value_at
    from retriever.report.terminal.escape import one_line

    paths = {name: field_path(name) for name in names}

    def values(document: Document) -> dict[str, Any]:
        found = {name: value_at(document.metadata, path) for name, path in paths.items()}
        return {name: value for name, value in found.items() if value is not None}

    def text(document: Document) -> None:
        head = document.title or document.text[: 4 * WIDTH]
        short = " ".join(head.split())
        short = short if len(short) <= WIDTH else f"{short[: WIDTH - 3]}..."
        own = [f"{name}: {value}" for name, value in values(document).items()]
        click.echo("  ".join(map(one_line, filter(None, [document.doc_id, short, *own]))))

    def jsonl(document: Document) -> None:
        own = values(document) if names else dict(document.metadata)
        print_json({"doc_id": document.doc_id, "title": document.title, "metadata": own})

    def csv(document: Document) -> None:
        own = values(document)
        cells = [str(own.get(name, "")) for name in names]
        click.echo(_csv_line([document.doc_id, document.title, *cells]))

    def ids(document: Document) -> None:
        click.echo(document.doc_id)

    return {"text": text, "ids": ids, "jsonl": jsonl, "csv": csv}


def _csv_line(cells: Sequence[str]) -> str:
    from retriever.formats.writing import delimited_line

    return delimited_line(cells, ",", end="")


@click.command(short_help="Write documents, or the vectors of an index, to files.")
@library
@click.argument(
    "output", nargs=-1, required=True, metavar="[INDEX] OUTPUT", shell_complete=index_names
)
@where
@click.option(
    "--partition",
    metavar="FIELD",
    help="For a folder: one of parts for each value of a metadata field, FIELD=VALUE/.",
)
@click.option("--force", is_flag=True, help="Replace what exists.")
@as_json
def export(
    library: Path,
    output: tuple[str, ...],
    where: dict[str, Any] | None,
    partition: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the passages of an INDEX of the collection LIBRARY, with their vectors, to OUTPUT.

    OUTPUT.parquet has ids, places in the text, titles, texts, metadata as JSON, and vectors.
    OUTPUT.npy has the vectors, and OUTPUT.ids.txt the ids. A name without an ending is a folder of
    both, in parts. Without INDEX, documents are written, as .jsonl, .parquet or a folder.
    """
    from indexes.errors import pluralize
    from retriever.collection import Collection

    if len(output) > 2:
        raise click.UsageError("Give at most one INDEX, and OUTPUT.")
    *names, place = output
    index = names[0] if names else None
    with Collection.open(library) as collection, progress_bar("exporting") as progress:
        notes = collection.filter_notes(where) if where is not None else ()
        report = collection.export(
            index, place, where=where, partition=partition, force=force, progress=progress
        )
    if as_json:
        paths = list(map(str, report.paths))
        counts = {"rows": report.rows, "vectors": report.vectors, "missing": report.missing}
        print_json({"paths": paths, **counts})
    else:
        what = pluralize(report.rows, "passage" if index else "document")
        vectors = f", {pluralize(report.vectors, 'vector')}" if index else ""
        click.echo(f"{' and '.join(map(str, report.paths))}: {what}{vectors}")
    note(*notes, *report.notes)


@click.command(short_help="Copy a collection as it is now, while others may write.")
@library
@click.argument("backup", type=click.Path(path_type=Path))
@as_json
def copy(library: Path, backup: Path, as_json: bool) -> None:
    """Copy the collection LIBRARY, as it is now, to the folder BACKUP, which must be new or empty.

    Another process may write meanwhile: the copy is of one state, and complete or absent.
    """
    from indexes.errors import pluralize, shown
    from retriever.collection import Collection
    from retriever.formatting import format_bytes

    with Collection.open(library) as collection, progress_bar("copying") as progress:
        report = collection.copy(backup, progress=progress)
    if as_json:
        print_json({**vars(report), "path": shown(report.path)})
        return
    documents, indexes = report.documents, report.indexes
    what = f"{pluralize(documents, 'document')}, {pluralize(indexes, 'index', 'indexes')}"
    files = pluralize(report.files, "file")
    click.echo(f"{backup}/: {what}; {files}, {format_bytes(report.size)}")


@click.command(short_help="Rename an index; combinations that use it follow.")
@library
@click.argument("old", shell_complete=index_names)
@click.argument("new")
def rename(library: Path, old: str, new: str) -> None:
    """Rename the index OLD of the collection LIBRARY to NEW; combinations that use it follow."""
    from retriever.collection import Collection

    with Collection.open(library) as collection:
        collection.rename(old, new)
    click.echo(f"renamed {old}: {new}")
