"""`evaluate`: evaluate TREC runs without a collection."""

from __future__ import annotations

import click

from retriever.cli.options import as_csv, as_json, drop_self, measures, qrels
from retriever.cli.output import note, print_parts, table_columns


@click.command(short_help="Evaluate TREC runs of any system; no collection is needed.")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@qrels(required=True)
@measures()
@drop_self
@click.option("--per-query", is_flag=True, help="Also show the values of every query.")
@as_json
@as_csv("one line per run and measure")
def evaluate(
    runs: tuple[str, ...],
    qrels: str,
    measures: tuple[str, ...],
    drop_self: bool,
    per_query: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Evaluate TREC runs of any system with trec_eval's measures; no collection is needed.

    RUNS are files in TREC's six-column format, also gzipped. Every judged query counts; one without
    hits counts 0. With --csv, --per-query prints one line per run, measure and query.
    """
    from retriever.evaluation.evaluate_runs import evaluate_runs, read_runs
    from retriever.evaluation.measures import DEFAULT_MEASURES, parse_measures
    from retriever.formats import read_qrels

    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    # Report a wrong name before reading large files.
    names = parse_measures(measures or DEFAULT_MEASURES)
    result = evaluate_runs(read_runs(runs), read_qrels(qrels), names, drop_self=drop_self)
    if as_json:
        click.echo(result.to_json(per_query=per_query))
    elif as_csv:
        click.echo(result.to_csv(per_query=per_query))
    else:
        from retriever.report.terminal.evaluation import evaluation_tables, per_query_tables

        columns = table_columns()
        print_parts(*evaluation_tables(result, columns))
        for table in per_query_tables(result, columns) if per_query else ():
            print_parts("", table)
    note(*result.notes)
