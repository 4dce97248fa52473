"""`build`, `info`, `drop`: indexes made, looked at, removed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from retriever.cli.options import as_json, index_names, library
from retriever.cli.output import note, print_json, printer, progress_bar

__all__ = ["build", "drop", "info"]


@click.command()
@library
@click.argument("name")
@click.option(
    "--embedder", "spec", metavar="KIND:MODEL", help="static:MODEL, contextual:MODEL, hashing."
)
@click.option(
    "-o",
    "--option",
    "options",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="An option of the embedder, such as -o batch_size 64; or -o dtype float16.",
)
@click.option(
    "--vectors",
    metavar="INDEX",
    shell_complete=index_names,
    help="Share the vectors of that index; nothing is embedded again.",
)
@click.option(
    "--ann",
    metavar="FACTORY",
    help="A FAISS factory string, such as HNSW32 or IVF256,SQ8. Default: exact search.",
)
@as_json
def build(
    library: Path,
    name: str,
    spec: str | None,
    options: tuple[tuple[str, str], ...],
    vectors: str | None,
    ann: str | None,
    as_json: bool,
) -> None:
    """Build the index NAME over the collection LIBRARY, or bring it up to date.

    A model is looked up as a path, then among installed packages, then on its usual hub. Only
    documents that the index lacks are embedded; an interrupted build goes on when run again.
    """
    from retriever.collection import Collection
    from retriever.embedders import load_embedder, parse_spec
    from retriever.info import index_notes
    from retriever.report.numbers import many

    chosen = dict(options)
    # How vectors are stored is no matter of the embedder's.
    dtype = chosen.pop("dtype", None)
    if chosen and spec is None:
        raise click.UsageError("-o belongs to an embedder: give --embedder KIND:MODEL with it.")
    with Collection.open(library) as collection:
        embedder = load_embedder(parse_spec(spec, chosen)) if spec else None
        with progress_bar(f"embedding {name}") as progress:
            report = collection.build(
                name, embedder, vectors=vectors, ann=ann, dtype=dtype, progress=progress
            )
        index, split = collection.index_info(name), collection.split
    if as_json:
        print_json(asdict(report))
    else:
        noun = "passage" if split else "document"
        embedded = many(report.embedded, noun, f"{noun}s")
        click.echo(
            f"{name}: {embedded} embedded in {report.embedding_seconds:.1f} s, "
            f"{report.already:,} there already, indexed in {report.indexing_seconds:.2f} s"
        )
    if report.text.coverage is not None:
        note(f"{index.model} knows {100 * report.text.coverage:.1f} % of the corpus's words")
    for text in index_notes(index, library, split=split is not None):
        note(text)


@click.command()
@library
@as_json
def info(library: Path, as_json: bool) -> None:
    """Show what the collection LIBRARY holds: documents, indexes, sizes, times."""
    from retriever.collection import Collection

    with Collection.open(library) as collection:
        facts = collection.info()
    if as_json:
        print_json(asdict(facts))
        return
    from retriever.report.collection import info_table

    show = printer()
    for part in info_table(facts):
        show(part)


@click.command()
@library
@click.argument("names", nargs=-1, required=True, shell_complete=index_names)
def drop(library: Path, names: tuple[str, ...]) -> None:
    """Remove the indexes NAMES from the collection LIBRARY; its documents stay.

    Vectors go with the last index that uses them.
    """
    from retriever.collection import Collection
    from retriever.report.numbers import size

    with Collection.open(library) as collection:
        # All of them or none: an unknown name is said before the first is gone.
        for name in names:
            collection.index_info(name)
        for name in names:
            freed = collection.drop(name)
            click.echo(f"dropped {name}: {size(freed) if freed else 'nothing'} freed")
