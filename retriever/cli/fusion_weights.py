"""`tune-fusion`: find the weights of a fusion on training queries."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.cli import options
from retriever.cli.completion import measure_names
from retriever.cli.output import note, print_json, print_parts


@click.command("tune-fusion", short_help="Find the weights of a fusion on training queries.")
@options.library
@click.argument("fusion", shell_complete=options.index_names)
@click.option("--train-queries", metavar="FILE", required=True, help="Queries to tune on.")
@click.option("--train-qrels", metavar="FILE", required=True, help="Their judgments.")
@click.option("--queries", metavar="FILE", help="Other queries, to test the weights on.")
@options.qrels(" For --queries.")
@click.option(
    "-m",
    "--measure",
    default="nDCG@10",
    shell_complete=measure_names,
    show_default=True,
    help="Measure to raise, by its ir_measures name.",
)
@options.drop_self
@click.option("--save", metavar="NAME", help="Name a fusion with the weights that were found.")
@options.as_json
def tune_fusion(
    library: Path,
    fusion: str,
    train_queries: str,
    train_qrels: str,
    queries: str | None,
    qrels: str | None,
    measure: str,
    drop_self: bool,
    save: str | None,
    as_json: bool,
) -> None:
    """Find the weights of FUSION that are best on training queries; test them on others.

    FUSION is one of the collection LIBRARY. Test queries are looked at twice: with the weights
    before and with those that were chosen. A query that is in both sets is refused.
    """
    from dataclasses import asdict

    from retriever.advice import shell_command
    from retriever.collection import Collection
    from retriever.comparison.tuning import tune_fusion as library_tune
    from retriever.formats import read_mixed_queries, read_qrels
    from retriever.report.terminal.tuning import tuning_parts

    if (queries is None) != (qrels is None):
        raise click.UsageError("A test needs both --queries FILE and --qrels FILE.")
    if save == fusion:
        raise click.UsageError(f"'{fusion}' is the fusion to tune: give --save another name.")
    with Collection.open(library) as collection:
        found = library_tune(
            collection,
            fusion,
            read_mixed_queries(train_queries),
            read_qrels(train_qrels),
            read_mixed_queries(queries) if queries else None,
            read_qrels(qrels) if qrels else None,
            measure=measure,
            drop_self=drop_self,
        )
        if as_json:
            print_json(asdict(found))
        else:
            values = [("training queries", found.train)]
            values += [("test queries", found.test)] if found.test else []
            both = (found.before, found.weights)
            print_parts(*tuning_parts(found.parts, both, found.measure, values))
        note(*found.notes)
        if save is None:
            build = shell_command("build", library, "NAME", *found.build_options)
            note(f"To keep them: --save NAME, or {build}")
            return
        # Another fusion of that name is refused; by now, the weights are printed.
        found.save(collection, save)
        note(f"'{save}' is a fusion with these weights.")
