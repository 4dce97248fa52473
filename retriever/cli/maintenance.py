"""`verify`, `repair`, `compact`: maintenance of a collection."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.cli.options import as_json, library
from retriever.cli.output import note, print_json, progress_bar


@click.command(short_help="Check every checksum, key and count; change nothing.")
@library
@as_json
@click.pass_context
def verify(ctx: click.Context, library: Path, as_json: bool) -> None:
    """Check every checksum, key and count of the collection LIBRARY without changing anything.

    Exits with 1 if there is a problem.
    """
    from indexes.errors import pluralize
    from retriever.collection import Collection
    from retriever.records import verify_record

    with Collection.open(library) as collection, progress_bar("checking") as progress:
        checked = collection.verify(progress=progress)
    if as_json:
        print_json(verify_record(checked))
    else:
        for problem in checked.problems:
            click.echo(problem.what)
        what = pluralize(len(checked.problems), "problem") if checked.problems else "intact"
        documents = pluralize(checked.documents, "document")
        vectors, files = pluralize(checked.vectors, "vector"), pluralize(checked.files, "file")
        click.echo(f"{library}/: {what}; {documents}, {vectors}, {files}")
    if checked.leftovers:
        left = pluralize(len(checked.leftovers), "file is", "files are")
        note(
            f"{left} not in the catalog: left by an interrupted write, or replaced just now. The "
            "next write removes them."
        )
    ctx.exit(0 if checked.ok else 1)


@click.command(short_help="Rebuild damaged parts that can be derived, and list them.")
@library
@as_json
@click.pass_context
def repair(ctx: click.Context, library: Path, as_json: bool) -> None:
    """Rebuild damaged parts of the collection LIBRARY that can be derived, and list them.

    Search structures are rebuilt from vectors, vectors by embedding again. Exits with 1 if a
    problem is left.
    """
    from indexes.errors import pluralize
    from retriever.collection import Collection
    from retriever.records import repair_record

    with Collection.open(library) as collection, progress_bar("repairing") as progress:
        repaired = collection.repair(progress=progress)
    if as_json:
        print_json(repair_record(repaired))
    else:
        for done in repaired.done:
            click.echo(done)
        for problem in repaired.left:
            click.echo(f"left: {problem.what}")
        left_over = pluralize(len(repaired.left), "problem is left", "problems are left")
        click.echo(f"{library}/: {'intact' if repaired.ok else left_over}")
    ctx.exit(0 if repaired.ok else 1)


@click.command(short_help="Free the disk space of deleted documents.")
@library
@as_json
def compact(library: Path, as_json: bool) -> None:
    """Free the disk space of deleted documents in the collection LIBRARY.

    Their vectors and texts are dropped and search structures rebuilt; nothing is embedded.
    """
    from indexes.errors import pluralize
    from retriever.collection import Collection
    from retriever.formatting import format_bytes
    from retriever.records import compact_record

    with Collection.open(library) as collection, progress_bar("compacting") as progress:
        compacted = collection.compact(progress=progress)
    for name in compacted.exact:
        note(
            f"'{name}' is searched exactly from now on: too few vectors are left for its "
            "structure. Rebuild it when there are more."
        )
    if as_json:
        print_json(compact_record(compacted))
        return
    gone = pluralize(compacted.rows, "vector")
    freed = format_bytes(compacted.freed) if compacted.freed else "nothing"
    click.echo(f"{library}/: {gone} of deleted documents dropped, {freed} freed")
