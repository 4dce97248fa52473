"""`info`, `tune`, `runtime`, `drop`: commands on indexes."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.cli.options import as_json, index_names, library, recall
from retriever.cli.output import note, print_json, print_parts


@click.command(short_help="Show documents and indexes, with sizes and times.")
@library
@as_json
def info(library: Path, as_json: bool) -> None:
    """Show the documents and indexes of the collection LIBRARY, with sizes and times."""
    from indexes.errors import shown
    from retriever.collection import Collection
    from retriever.indexing.notes import fitting_notes, recall_notes
    from retriever.records import info_record

    with Collection.open(library) as collection:
        facts = collection.info()
    note(*facts.notes)
    for index in facts.indexes:
        note(*fitting_notes(index, library))
        reached = index.recall, index.recall_asked
        note(*recall_notes(library, index.name, index.factory, *reached))
    if as_json:
        print_json(info_record(facts, shown(facts.path)))
        return
    from retriever.report.terminal.collection import info_table

    print_parts(*info_table(facts))


@click.command(short_help="Choose the search parameters of an index again, for a recall.")
@library
@click.argument("index", shell_complete=index_names)
@recall("Share of the 10 nearest that a search has to find. Default: 0.98.")
@click.option(
    "--queries",
    metavar="FILE",
    help="Queries to find it for, as for compare. Default: vectors near those of documents.",
)
@as_json
def tune(
    library: Path, index: str, recall: float | None, queries: str | None, as_json: bool
) -> None:
    """Choose the search parameters of the structure of INDEX again, for a recall; build nothing.

    The cheapest that reach it are kept with the index, of the collection LIBRARY.
    """
    from retriever.collection import Collection
    from retriever.formats import read_mixed_queries
    from retriever.indexing.builds import RECALL
    from retriever.records import tune_record
    from retriever.report.terminal.collection import tune_table

    asked = list(read_mixed_queries(queries).values()) if queries is not None else None
    with Collection.open(library) as collection:
        tuned = collection.tune(index, recall=RECALL if recall is None else recall, queries=asked)
    note(*tuned.notes)
    if as_json:
        print_json(tune_record(tuned))
        return
    print_parts(*tune_table(tuned))


@click.command(short_help="Measure again in which runtimes sentence models are fastest.")
@library
@click.argument("names", nargs=-1, required=True, shell_complete=index_names)
@as_json
def runtime(library: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Measure again in which runtimes sentence models are fastest, those of the indexes NAMES.

    The indexes are in the collection LIBRARY. A model is measured when it is first used on a
    machine, and again when its libraries, the processor or the number of threads change; `info`
    shows the choice. The vectors stay as they are.
    """
    from retriever.collection import Collection
    from retriever.records import runtime_record

    with Collection.open(library) as collection:
        for name in names:
            choice = collection.measure_runtime(name)
            if as_json:
                print_json(runtime_record(name, choice))
            else:
                click.echo(choice.note(name))


@click.command(short_help="Delete indexes; the documents are kept.")
@library
@click.argument("names", nargs=-1, required=True, shell_complete=index_names)
def drop(library: Path, names: tuple[str, ...]) -> None:
    """Delete the indexes NAMES from the collection LIBRARY; its documents are kept.

    Vectors are deleted with the last index that uses them. Models in LIBRARY/models are kept.
    """
    from retriever.collection import Collection
    from retriever.formatting import format_bytes

    with Collection.open(library) as collection:
        # All or none: an unknown name is reported before the first index is dropped.
        infos = {name: collection.index_info(name) for name in names}
        # Combinations go before their parts, the latest first: one may be part of another.
        latest_first = collection.index_names()[::-1]
        made = [name for name in latest_first if name in infos and infos[name].parts]
        for name in dict.fromkeys((*made, *names)):
            freed = collection.drop(name)
            click.echo(f"dropped {name}: {format_bytes(freed) if freed else 'nothing'} freed")
