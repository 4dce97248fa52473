"""`compare`: the same queries on several systems, as tables, JSON, CSV or a page."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retriever.cli import options
from retriever.cli.output import check_writable, note, print_parts, progress_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retriever.comparison.comparison import Comparison
    from retriever.search.queries import Query

OUTPUT = click.Path(path_type=Path, dir_okay=False)


@click.command(short_help="Run queries on several indexes; show quality, speed and size.")
@options.library
@options.indexes("Index, fusion or cascade (reranking) to compare. Default: all.")
@click.option(
    "--queries",
    metavar="FILE",
    help="JSON lines, CSV, TSV, TREC topics, or text with one query per line.",
)
@options.qrels(" Without judgments: agreement and cost only.")
@click.option(
    "--dataset",
    metavar="NAME",
    help="Queries and judgments by an ir_datasets name, such as beir/scifact/test.",
)
@options.measures(" The first one decides wins.")
@options.index_option(
    "--baseline",
    metavar="SYSTEM",
    help="Compare every other system with this one: difference, interval, p, wins.",
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
    "--seed", type=click.IntRange(min=0), help="Random seed of the resampling. Default: fixed."
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
    library: Path,
    indexes: tuple[str, ...],
    queries: str | None,
    qrels: str | None,
    dataset: str | None,
    measures: tuple[str, ...],
    baseline: str | None,
    others: tuple[str, ...],
    k: int,
    drop_self: bool,
    memory: bool,
    seed: int | None,
    why: int | None,
    runs: Path | None,
    html: Path | None,
    no_texts: bool,
    label_file: Path | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Run the same queries on indexes of the collection LIBRARY; show quality, speed and size."""
    from retriever.collection import Collection
    from retriever.comparison.compare import compare as library_compare
    from retriever.evaluation.evaluate_runs import read_runs
    from retriever.evaluation.measures import DEFAULT_MEASURES
    from retriever.evaluation.significance import SEED
    from retriever.formats.labels import refuse_existing
    from retriever.search.results import Run

    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.")
    if no_texts and not html:
        raise click.UsageError("--no-texts needs --html FILE.")
    if runs:
        _keep_apart(runs, others)
    if html:
        _keep_inputs(html, (queries, qrels, label_file, *others), library)
    if label_file:
        refuse_existing(label_file)
    check_writable(html, label_file, folder=runs)
    texts, judgments = _read_queries(queries, qrels, dataset)
    with Collection.open(library) as collection:
        joining = {name: Run.of(name, ranking) for name, ranking in read_runs(others).items()}
        with progress_bar("comparing") as progress:
            result = library_compare(
                collection,
                list(indexes) or collection.index_names(),
                texts,
                judgments,
                measures=measures or DEFAULT_MEASURES,
                baseline=baseline,
                runs=joining,
                k=k,
                drop_self=drop_self,
                memory=memory,
                seed=SEED if seed is None else seed,
                command=shlex.join(["retriever", *sys.argv[1:]]),
                progress=progress,
            )
    _print(result, why, as_json=as_json, as_csv=as_csv)
    note(*result.notes)
    # Files come last: the numbers must not be lost if one cannot be written.
    for path in result.write_runs(runs) if runs else ():
        note(f"wrote {path}")
    if html:
        (result.without_texts() if no_texts else result).write_html(html)
        note(f"wrote {html}")
    if label_file:
        count = result.write_label_file(label_file)
        note(
            f"wrote {label_file}: {count:,} documents to judge. Fill in the column relevance and "
            f"pass the file: --qrels {shlex.quote(str(label_file))}"
        )


def _keep_apart(runs: Path, others: tuple[str, ...]) -> None:
    """Refuse to overwrite an input run with the run that was evaluated."""
    for path in map(Path, others):
        if path.suffix == ".trec" and path.resolve().parent == runs.resolve():
            raise click.UsageError(
                f"--runs {runs} would overwrite --run {path}. Give another folder."
            )


def _keep_inputs(html: Path, others: Iterable[str | Path | None], library: Path) -> None:
    """Refuse to overwrite an input, or a file of the collection, with the page."""
    inside = html.exists() and library.resolve() in html.resolve().parents
    if inside and html.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(
            f"--html {html} would overwrite a file of the collection. Give another file."
        )
    for path in others:
        if path is not None and Path(path).resolve() == html.resolve():
            raise click.UsageError(f"--html {html} would overwrite {path}. Give another file.")


def _read_queries(
    queries: str | None, qrels: str | None, dataset: str | None
) -> tuple[Mapping[str, Query], dict[str, dict[str, int]] | None]:
    """Return queries and judgments; files take precedence over those of the dataset."""
    from retriever.datasets.ir_datasets_loader import load_named
    from retriever.formats import read_mixed_queries, read_qrels

    if queries is None and dataset is None:
        raise click.UsageError("Give --queries FILE, or --dataset NAME.")
    named = load_named(dataset) if dataset is not None else None
    texts = read_mixed_queries(queries) if queries else named.queries if named else {}
    judgments = read_qrels(qrels) if qrels else named.qrels if named else {}
    return texts, judgments or None


def _print(result: Comparison, why: int | None, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        click.echo(result.to_json())
    elif as_csv:
        click.echo(result.to_csv())
    else:
        from retriever.report.terminal.comparison import comparison_parts
        from retriever.report.terminal.contrasts import contrast_lines

        print_parts(*comparison_parts(result))
        if why:
            print_parts(*contrast_lines(result, why))
