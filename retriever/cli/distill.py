"""`distill`: a table of token vectors that answers like a contextual embedding."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retriever.cli.options import as_json, index_names, library
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from retriever.training.distillation import DistillReport


@click.command()
@library
@click.argument("name")
@click.option(
    "--teacher",
    required=True,
    metavar="INDEX",
    shell_complete=index_names,
    help="The index whose embedder is to be learnt from.",
)
@click.option(
    "--seconds",
    type=float,
    help="How long the teacher may read sentences. Default: 120, or no limit with --texts.",
)
@click.option("--texts", type=int, help="How many it may read at most; the same on any machine.")
@click.option(
    "--precision",
    help="Of the teacher's reading: float32 or bfloat16. Default: what this machine is best at.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of all random numbers.")
@click.option("--no-index", is_flag=True, help="Only distil; build no index over the table.")
@click.option("--queries", metavar="FILE", help="Judge student and teacher by these queries ...")
@click.option("--qrels", metavar="FILE", help="... and their judgments.")
@as_json
def distill(
    library: Path,
    name: str,
    teacher: str,
    seconds: float | None,
    texts: int | None,
    precision: str | None,
    seed: int,
    no_index: bool,
    queries: str | None,
    qrels: str | None,
    as_json: bool,
) -> None:
    """Distil the embedder of an index of the collection LIBRARY into a table of token vectors, and
    build the index NAME over it.

    The table is fitted on the sentences of the documents and on the vectors that the index has of
    them. It stays in LIBRARY/models/NAME, a folder of sentence-transformers. To have it encode the
    queries of its teacher's vectors: build LIBRARY fast --vectors INDEX --queries-by NAME. An
    interrupted distillation goes on when run again.
    """
    from retriever.collection import Collection
    from retriever.formats import read_qrels, read_queries
    from retriever.training.distillation import distill as distill_from

    if (queries is None) != (qrels is None):
        raise click.UsageError("--queries and --qrels belong together: give both, or neither.")
    with Collection.open(library) as collection:
        report = distill_from(
            collection,
            name,
            teacher=teacher,
            seconds=seconds,
            texts=texts,
            precision=precision,
            seed=seed,
            build=not no_index,
            queries=read_queries(queries) if queries else None,
            qrels=read_qrels(qrels) if qrels else None,
            stages=progress_bar,
        )
    if as_json:
        print_json(asdict(report))
        return
    for line in _told(report):
        click.echo(line)
    if not report.already:
        note(f"the teacher read in {report.precision}; --texts {report.read} repeats this table")


def _told(report: DistillReport) -> list[str]:
    from retriever.formatting import many

    held = many(report.held_out, "held-out sentence", "held-out sentences")
    near = f"cosine {report.cosine:.3f} with {report.teacher} on {held}"
    if report.already:
        texts = many(report.texts, "sentence", "sentences")
        lines = [f"{report.name}: there already, of {texts}, {near}: {report.path}"]
    else:
        texts = many(report.texts, "sentence", "sentences")
        passages = many(report.passages, "vector", "vectors")
        took = f"read in {report.encoding_seconds:.0f} s, fitted in {report.fitting_seconds:.0f} s"
        lines = [
            f"{report.name}: learnt from {texts} and {passages} of {report.teacher}, {took}",
            f"{report.name}: {near}: {report.path}",
        ]
    if report.build:
        embedded = many(report.build.embedded, "passage", "passages")
        lines.append(f"index {report.name}: {embedded} embedded")
    if (judged := report.judged) is not None:
        lines.append(f"nDCG@10 over {many(judged.queries, 'query', 'queries')}:")
        lines += [
            f"  {value:.4f}  {100 * value / (judged.teacher or 1.0):5.1f} %  {who}"
            for who, value in (
                (f"{report.teacher} itself", judged.teacher),
                (
                    f"{report.name}'s queries over {report.teacher}'s vectors",
                    judged.student_queries,
                ),
                (f"{report.name} on both sides", judged.student),
            )
            if value is not None
        ]
    return lines
