"""`compare`: the same queries on several systems, as tables, JSON, CSV or a page."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli import compare_files as files
from retriever.cli import options
from retriever.cli.output import (
    check_writable,
    keep_inputs,
    note,
    print_parts,
    progress_bar,
    table_columns,
)
from retriever.cli.running.suggestions import files_without_options

if TYPE_CHECKING:
    from retriever.comparison.comparison import Comparison
    from retriever.search.queries import Query
    from retriever.search.results import Run

OUTPUT = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Run queries on several indexes; show quality, speed and size.")
@click.argument(
    "library", metavar="LIBRARY...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options.indexes("Index, or combination of indexes, to compare. Default: all.")
@click.option(
    "--queries",
    metavar="FILE",
    multiple=True,
    help="JSON lines, CSV, TSV, TREC topics, or text with one query per line. Or made:300 for "
    "queries made from the collection (made:FILE for those of `retriever queries`), which need no "
    "judgments.",
)
@options.query_columns
@options.qrels(" Without judgments: agreement and cost only.", multiple=True)
@click.option(
    "--dataset",
    "datasets",
    metavar="NAME",
    multiple=True,
    help="Queries and judgments by an ir_datasets name, such as beir/scifact/test.",
)
@options.measures(" The first one decides wins.")
@options.index_option(
    "--baseline",
    metavar="SYSTEM",
    help="Compare every other system with this one: difference, interval, p, wins.",
)
@click.option(
    "--pairs", is_flag=True, help="Test all pairs of systems, Holm-corrected over the pairs."
)
@options.rerank_by(" Every index is compared as it is, and reranked.")
@options.index_option(
    "--query-vectors",
    "vectors",
    nargs=2,
    multiple=True,
    metavar="INDEX FILE",
    help="Vectors of the queries for INDEX (.npy, .npz, .parquet; by the ids of the queries, or in "
    "their order), such as one built --from-vectors by a model that is not known here.",
)
@click.option(
    "--run",
    "others",
    multiple=True,
    metavar="FILE",
    help="TREC run of another system, added to the table under its file name.",
)
@options.how_many("Depth of agreement, ann_recall and latency measurements.")
@options.drop_self
@click.option("--memory", is_flag=True, help="Measure the memory of each open system.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Random seed of the resampling, and of the documents that queries are made from. "
    "Default: fixed.",
)
@click.option(
    "--why",
    metavar="N",
    type=options.POSITIVE,
    help="Show the N queries where the best static system leads the best contextual one by most, "
    "and vice versa.",
)
@click.option(
    "--runs",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write one TREC run per system, DIR/NAME.trec.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=OUTPUT,
    help="Write a self-contained page: tables, plots, every query with its results.",
)
@click.option(
    "--latex", metavar="FILE", type=OUTPUT, help="Write the measures as a LaTeX table (booktabs)."
)
@click.option(
    "--markdown", metavar="FILE", type=OUTPUT, help="Write the measures as a Markdown table."
)
@click.option(
    "--plots",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the plots of the page as SVG and PDF, DIR/NAME.svg and .pdf. Requires: pip install "
    "'retriever-compare[plots]'.",
)
@click.option("--no-texts", is_flag=True, help="For --html: show ids instead of texts and images.")
@click.option(
    "--label-file",
    metavar="FILE",
    type=OUTPUT,
    help="Write a CSV file to judge: the queries on which the systems disagree most.",
)
@options.as_json
@options.as_csv("one line per number")
def compare(
    library: tuple[Path, ...],
    queries: tuple[str, ...],
    columns: dict[str, Any],
    qrels: tuple[str, ...],
    datasets: tuple[str, ...],
    others: tuple[str, ...],
    vectors: tuple[tuple[str, str], ...],
    why: int | None,
    runs: Path | None,
    html: Path | None,
    latex: Path | None,
    markdown: Path | None,
    plots: Path | None,
    no_texts: bool,
    label_file: Path | None,
    as_json: bool,
    as_csv: bool,
    **asked: Any,
) -> None:
    """Run the same queries on indexes of the collection LIBRARY; show quality, speed and size.

    With several collections, which have indexes of the same names, show the quality on each and the
    macro average; give --queries and --qrels once for each, in their order.
    """
    from retriever.evaluation.evaluate_runs import read_runs
    from retriever.formats.labels import refuse_existing
    from retriever.report.paper.pdf import font_file
    from retriever.search.results import Run

    if misplaced := files_without_options(library):
        raise click.UsageError(misplaced)
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    if no_texts and not html:
        raise click.UsageError("--no-texts needs --html FILE.")
    options.check_reranker(asked["rerank_by"], asked["rerank_options"])
    for_one: dict[str, object] = {"run": others, "runs": runs, "html": html, "plots": plots}
    _check_for_one(library, **for_one, query_vectors=vectors, why=why, label_file=label_file)
    asked |= {"vectors": dict(vectors), "rerank_options": dict(asked["rerank_options"])}
    named = (one.removeprefix(files.MADE) for one in queries)
    inputs = (*named, *qrels, label_file, *others, *asked["vectors"].values())
    tables = files.Tables(latex, markdown)
    if runs:
        files.keep_apart(runs, inputs)
    if html:
        keep_inputs("--html", html, inputs, library)
    tables.check(inputs, library)
    if label_file:
        refuse_existing(label_file)
    check_writable(html, label_file, folder=runs)
    options.check_query_columns(columns, queries)
    if plots:
        check_writable(folder=plots)
        font_file()
    wanted = files.given_for(library, queries, qrels, datasets)
    given = [one.read(columns, asked["seed"]) for one in wanted]
    made = [one for one in queries if files.is_made(one)]
    unjudged = not made and any(judgments is None for _, judgments in given)
    if tables.wanted and unjudged:
        raise click.UsageError("A table for a paper needs judgments: --qrels FILE.")
    if why and unjudged:
        raise click.UsageError("--why needs judgments: --qrels FILE.")
    if len(library) > 1:
        _several(library, given, tables, asked, as_json=as_json, as_csv=as_csv)
        return
    joining = {name: Run.of(name, ranking) for name, ranking in read_runs(others).items()}
    result = _compare_one(library[0], *given[0], asked, joining)
    _print(result, why, as_json=as_json, as_csv=as_csv)
    note(*result.notes)
    # Files come last: the numbers must not be lost if one cannot be written.
    if html:
        (result.without_texts() if no_texts else result).write_html(html)
        note(f"wrote {html}")
    tables.write(result)
    for path in result.write_plots(plots) if plots else ():
        note(f"wrote {path}")
    if label_file:
        count = result.write_label_file(label_file)
        note(
            f"wrote {label_file}: {count:,} documents to judge. Fill in the column relevance and "
            f"pass the file: --qrels {shlex.quote(str(label_file))}"
        )
    # An id may have no place in TREC's format.
    for path in result.write_runs(runs) if runs else ():
        note(f"wrote {path}")


def _check_for_one(libraries: Sequence[Path], **given: object) -> None:
    """Refuse what is for one collection only, where there are several."""
    for name, value in given.items() if len(libraries) > 1 else ():
        if value:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is for one collection; {len(libraries)} were given."
            )


def _compare_one(
    library: Path,
    texts: Mapping[str, Query],
    judgments: files.Judgments,
    asked: Mapping[str, Any],
    runs: Mapping[str, Run],
) -> Comparison:
    """Compare the indexes of one collection as the options ask for."""
    from retriever.collection import Collection
    from retriever.comparison.compare import compare as library_compare
    from retriever.evaluation.significance import SEED

    rest = dict(asked)
    indexes, measures, seed = rest.pop("indexes"), rest.pop("measures"), rest.pop("seed")
    with Collection.open(library) as collection, progress_bar("comparing") as progress:
        return library_compare(
            collection,
            list(indexes) or collection.index_names(),
            texts,
            judgments,
            measures=measures or None,
            runs=runs,
            seed=SEED if seed is None else seed,
            command=shlex.join(["retriever", *sys.argv[1:]]),
            progress=progress,
            **rest,
        )


def _several(
    libraries: Sequence[Path],
    given: Sequence[tuple[Mapping[str, Query], files.Judgments]],
    tables: files.Tables,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Compare the indexes of several collections; print one table."""
    from retriever.evaluation.macro_average import SeveralComparisons
    from retriever.report.paper.table import paper_table
    from retriever.report.terminal.several import several_tables

    asked = {**asked, "indexes": files.shared_indexes(libraries, asked["indexes"])}
    found = {
        name: _compare_one(library, *one, asked, {})
        for name, library, one in zip(files.labels_of(libraries), libraries, given, strict=True)
    }
    several = SeveralComparisons(found)
    if as_json:
        click.echo(several.to_json())
    elif as_csv:
        click.echo(several.to_csv())
    else:
        print_parts(*several_tables(paper_table(several)))
    note(*(f"{name}: {one}" for name, result in found.items() for one in result.notes))
    tables.write(several)


def _print(result: Comparison, why: int | None, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        click.echo(result.to_json())
    elif as_csv:
        click.echo(result.to_csv())
    else:
        from retriever.report.terminal.comparison import comparison_parts
        from retriever.report.terminal.contrasts import contrast_lines

        columns = table_columns()
        print_parts(*comparison_parts(result, columns))
        if why:
            print_parts(*contrast_lines(result, why, columns=columns))
