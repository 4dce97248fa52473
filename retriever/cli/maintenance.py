"""`verify`, `repair`, `compact`: whether a collection is whole, making it so, giving room back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retriever.cli.options import as_json, library
from retriever.cli.output import note, print_json, progress_bar


@click.command()
@library
@as_json
@click.pass_context
def verify(ctx: click.Context, library: Path, as_json: bool) -> None:
    """Check every checksum, key and count of the collection LIBRARY; changes nothing.

    Exits with 1 where something does not add up.
    """
    from retriever.collection import Collection
    from retriever.formatting import many

    with Collection.open(library) as collection, progress_bar("checking") as progress:
        checked = collection.verify(progress=progress)
    if as_json:
        print_json(
            {
                "ok": checked.ok,
                "documents": checked.documents,
                "passages": checked.passages,
                "vectors": checked.vectors,
                "files": checked.files,
                "problems": [_problem(problem) for problem in checked.problems],
                "leftovers": [str(path) for path in checked.leftovers],
            }
        )
    else:
        for problem in checked.problems:
            click.echo(problem.what)
        what = many(len(checked.problems), "problem", "problems") if checked.problems else "whole"
        click.echo(
            f"{library}/: {what}; {many(checked.documents, 'document', 'documents')}, "
            f"{many(checked.vectors, 'vector', 'vectors')}, {many(checked.files, 'file', 'files')}"
        )
    if checked.leftovers:
        left = many(len(checked.leftovers), "file", "files")
        note(f"{left} left by a writer that was stopped; the next one removes them.")
    ctx.exit(0 if checked.ok else 1)


@click.command()
@library
@as_json
@click.pass_context
def repair(ctx: click.Context, library: Path, as_json: bool) -> None:
    """Make again what can be derived in the collection LIBRARY, and say what was done.

    Search structures are built from vectors, vectors by embedding again. Exits with 1 where
    something is left that cannot be derived.
    """
    from retriever.collection import Collection
    from retriever.formatting import many

    with Collection.open(library) as collection, progress_bar("repairing") as progress:
        repaired = collection.repair(progress=progress)
    if as_json:
        left = [_problem(problem) for problem in repaired.left]
        print_json({"ok": repaired.ok, "done": repaired.done, "left": left})
    else:
        for done in repaired.done:
            click.echo(done)
        for problem in repaired.left:
            click.echo(f"left: {problem.what}")
        left_over = many(len(repaired.left), "problem is left", "problems are left")
        click.echo(f"{library}/: {'whole' if repaired.ok else left_over}")
    ctx.exit(0 if repaired.ok else 1)


@click.command()
@library
@as_json
def compact(library: Path, as_json: bool) -> None:
    """Give back the room that removed documents still take in the collection LIBRARY.

    Their vectors and texts are dropped, and structures that hold them built anew; nothing is
    embedded.
    """
    from retriever.collection import Collection
    from retriever.formatting import many, size

    with Collection.open(library) as collection, progress_bar("compacting") as progress:
        compacted = collection.compact(progress=progress)
    for name in compacted.exact:
        note(
            f"'{name}' is searched exactly from now on: too few vectors are left for its "
            "structure. Build it again when there are more."
        )
    if as_json:
        told = {"vectors": compacted.rows, "freed": compacted.freed, "exact": compacted.exact}
        print_json(told)
        return
    gone = many(compacted.rows, "vector", "vectors")
    freed = size(compacted.freed) if compacted.freed else "nothing"
    click.echo(f"{library}/: {gone} of removed documents dropped, {freed} freed")


def _problem(problem: Any) -> dict[str, str]:
    return {"what": problem.what, "cure": problem.cure}
