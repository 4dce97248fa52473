"""`evaluate`: TREC runs judged alone, without a collection."""

from __future__ import annotations

import click

from retriever.cli.options import as_json
from retriever.cli.output import note, printer


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--qrels",
    required=True,
    metavar="FILE",
    help="Judgments: BEIR's TSV, TREC's four columns, CSV, or a file of labels.",
)
@click.option(
    "-m",
    "--measure",
    "measures",
    multiple=True,
    help="A measure by its ir_measures name, such as nDCG@10, R@100, AP@100.",
)
@click.option(
    "--keep-self",
    is_flag=True,
    help="Count hits whose document has the query's id. Default: they are left out.",
)
@click.option("--per-query", is_flag=True, help="Show the values of every query too.")
@as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, one line a run and measure.")
def evaluate(
    runs: tuple[str, ...],
    qrels: str,
    measures: tuple[str, ...],
    keep_self: bool,
    per_query: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Judge TREC runs, of any system, with trec_eval's numbers; needs no collection.

    RUNS are files of TREC's six columns, also gzipped. Every query that the judgments name counts,
    and one without hits counts 0. With --csv, --per-query prints a line a run, measure and query
    instead.
    """
    from retriever.evaluation.evaluate_runs import evaluate_runs, read_runs
    from retriever.evaluation.measures import DEFAULT_MEASURES, parse_measures
    from retriever.formats import read_qrels

    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    # A wrong name is told before large files are read.
    names = parse_measures(measures or DEFAULT_MEASURES)
    result = evaluate_runs(read_runs(runs), read_qrels(qrels), names, keep_self=keep_self)
    if as_json:
        click.echo(result.to_json(per_query=per_query))
    elif as_csv:
        click.echo(result.to_csv(per_query=per_query))
    else:
        from retriever.report.terminal.evaluation import evaluation_tables, per_query_tables

        show = printer()
        for table in evaluation_tables(result):
            show(table)
        for table in per_query_tables(result) if per_query else ():
            show("")
            show(table)
    for text in result.notes:
        note(text)
