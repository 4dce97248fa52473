"""`distill`: distill a contextual embedder into a table of token vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retriever.cli.options import (
    as_json,
    index_option,
    library,
    no_index,
    training_seed,
    workers,
)
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from retriever.training.distillation import DistillReport


@click.command(short_help="Distill an index's embedder into a table of token vectors.")
@library
@click.argument("name")
@index_option("--teacher", required=True, help="Index with the embedder to distill.")
@click.option(
    "--seconds",
    type=float,
    help="Time limit of all that the teacher reads: single tokens of its vocabulary, then "
    "sentences. Default: none; with it, the table depends on the speed of the machine.",
)
@click.option("--texts", type=int, help="Sentences that the teacher reads at most. Default: 2000.")
@click.option(
    "--precision",
    help="Precision of the teacher: float32, bfloat16, float16, int8 or auto. Default: its own.",
)
@workers("Let the teacher read on")
@training_seed
@no_index
@click.option("--queries", metavar="FILE", help="Evaluate student and teacher on these queries.")
@click.option("--qrels", metavar="FILE", help="Judgments of --queries.")
@as_json
def distill(
    library: Path,
    name: str,
    teacher: str,
    seconds: float | None,
    texts: int | None,
    precision: str | None,
    workers: str | None,
    seed: int,
    no_index: bool,
    queries: str | None,
    qrels: str | None,
    as_json: bool,
) -> None:
    """Distill the embedder of an index of the collection LIBRARY into a table of token vectors, and
    build the index NAME with it.

    The table is fitted on the sentences of the documents and on their vectors in the index. It is
    saved in LIBRARY/models/NAME, as a sentence-transformers folder. To encode queries with it over
    the teacher's vectors: build LIBRARY fast --vectors INDEX --queries-by NAME. Run an interrupted
    distillation again to resume it.
    """
    from retriever.collection import Collection
    from retriever.formats import read_qrels, read_queries
    from retriever.training.distillation import distill as distill_from

    if (queries is None) != (qrels is None):
        raise click.UsageError("Give both --queries and --qrels, or neither.")
    with Collection.open(library) as collection:
        report = distill_from(
            collection,
            name,
            teacher=teacher,
            seconds=seconds,
            texts=texts,
            precision=precision,
            workers=workers,
            seed=seed,
            build=not no_index,
            queries=read_queries(queries) if queries else None,
            qrels=read_qrels(qrels) if qrels else None,
            stages=progress_bar,
        )
    if as_json:
        from indexes.errors import shown

        print_json(asdict(report) | {"path": shown(report.path)})
        return
    click.echo("\n".join(_summary(report)))
    if not report.already:
        note(*_notes(report))


def _notes(report: DistillReport) -> Iterator[str]:
    """Yield how the teacher read, and what it did not read."""
    precision = f"the teacher encoded in {report.precision} precision"
    if report.skipped_tokens or report.skipped_texts:
        tokens = f"{report.tokens:,} of {report.tokens + report.skipped_tokens:,} tokens"
        texts = f"{report.read:,} of {report.read + report.skipped_texts:,} sentences"
        yield f"{precision}, and --seconds ended when it had read {tokens} and {texts}"
        yield (
            "the same command may read more or less another time: without --seconds, the table is "
            "the same on any machine"
        )
    else:
        yield f"{precision}; --texts {report.read} repeats this table"
    if report.skipped_tokens:
        yield (
            "tokens that it did not read start from the sentences and passages that have them; "
            f"{report.unknown_tokens:,} are in none and have no vector"
        )
    if report.held_out_known:
        known = f"{report.held_out_known:,} of the {report.held_out:,} held-out sentences"
        yield f"{known} are passages, whose vectors are in {report.teacher}"
    if report.general:
        own = f"{report.general:,} of the {report.read:,} sentences are general English ones"
        yield f"{own}: the documents have only {report.read - report.general:,}"


def _summary(report: DistillReport) -> list[str]:
    from indexes.errors import pluralize, shown

    held = pluralize(report.held_out, "held-out sentence", "held-out sentences")
    near = f"cosine {report.cosine:.3f} with {report.teacher} on {held}"
    texts = pluralize(report.texts, "sentence")
    if report.already:
        lines = [f"{report.name}: exists already, from {texts}, {near}: {shown(report.path)}"]
    else:
        passages = pluralize(report.passages, "vector")
        took = f"encoded in {report.encoding_seconds:.0f} s, "
        took += f"fitted in {report.fitting_seconds:.0f} s"
        lines = [
            f"{report.name}: learned from {texts} and {passages} of {report.teacher}, {took}",
            f"{report.name}: {near}: {shown(report.path)}",
        ]
    if report.build:
        lines.append(f"index {report.name}: {pluralize(report.build.embedded, 'passage')} embedded")
    if (judged := report.judged) is not None:
        lines.append(f"nDCG@10 over {pluralize(judged.queries, 'query', 'queries')}:")
        for value, who in (
            (judged.teacher, f"{report.teacher} itself"),
            (judged.student_queries, f"{report.name}'s queries over {report.teacher}'s vectors"),
            (judged.student, f"{report.name} on both sides"),
        ):
            if value is not None:
                share = 100 * value / (judged.teacher or 1.0)
                lines.append(f"  {value:.4f}  {share:5.1f} %  {who}")
    return lines
