"""`search`: search one index, or several side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import (
    as_json,
    check_query_columns,
    how_many,
    indexes,
    library,
    query_columns,
    rerank_by,
    where,
)
from retriever.cli.output import check_writable, note, print_json, print_parts

if TYPE_CHECKING:
    from retriever.report.answers import Answers
    from retriever.search.queries import AnyQuery

FORMATS = ("trec", "jsonl", "csv")


@click.command(short_help="Search for the documents nearest to a query or an image.")
@library
@click.argument("query", required=False)
@indexes("Index to search; give several to compare them side by side.")
@how_many("Number of hits.")
@click.option(
    "--image",
    metavar="FILE",
    help="Search by an image, in an index of a model that takes images.",
)
@click.option(
    "--queries",
    metavar="FILE",
    help="Run every query of a file (JSON lines, CSV, TSV, or text with one per line).",
)
@query_columns
@click.option(
    "--vector",
    metavar="FILE",
    help="Search by the vectors of a file (.npy, .npz, .parquet), without a model.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="For --queries and --vector: a TREC run, JSON lines or CSV.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For --format: write to this file.",
)
@where
@rerank_by()
@as_json
def search(
    library: Path,
    query: str | None,
    indexes: tuple[str, ...],
    k: int,
    image: str | None,
    queries: str | None,
    columns: dict[str, Any],
    vector: str | None,
    format_: str | None,
    output: Path | None,
    where: dict[str, Any] | None,
    rerank_by: str | None,
    rerank_depth: int,
    as_json: bool,
) -> None:
    """Search the collection LIBRARY for the documents nearest to QUERY, an image or a vector.

    Without -i, the newest fusion answers, or else all indexes. With several indexes, show which
    documents all of them found, which only one, and every rank.
    """
    from indexes.images import Image
    from retriever.collection import Collection
    from retriever.formats import read_mixed_queries
    from retriever.records import hit_records
    from retriever.report.terminal.escape import one_line
    from retriever.report.terminal.hits import hits_list, side_by_side
    from retriever.search.given import read_query_vectors
    from retriever.search.queries import QueryVector, query_text

    if [query, image, queries, vector].count(None) != 3:
        raise click.UsageError("Give a QUERY, or --image, --queries or --vector with a FILE.")
    if vector is not None and rerank_by is not None:
        raise click.UsageError("--rerank-by reads the text of a query: leave out --vector.")
    _check_format(format_, output, as_json, several=(queries or vector) is not None)
    check_query_columns(columns, queries)
    texts: Mapping[str, AnyQuery]
    if queries is not None:
        texts = read_mixed_queries(queries, **columns)
    elif vector is not None:
        texts = read_query_vectors(vector)
    else:
        texts = {"": Image.of(image) if image is not None else str(query)}
    with Collection.open(library) as collection:
        if vector is not None:
            names: Sequence[str] = indexes or [collection.vector_retriever().name]
        else:
            names = indexes or collection.default_indexes()
        if not indexes and vector is None and names != collection.index_names():
            note(f"'{names[0]}', the newest fusion, answers; -i INDEX selects another.")
        open_ = collection.retriever if vector is None else collection.vector_retriever
        retrievers = [open_(name) for name in names]
        if rerank_by is not None:
            from retriever.rerankers.registry import load_reranker, parse_reranker
            from retriever.search.reranking import reranked

            reranker = load_reranker(parse_reranker(rerank_by, {}))
            retrievers = [reranked(one, reranker, rerank_depth) for one in retrievers]
        answers = {r.name: r.search_many(list(texts.values()), k, where=where) for r in retrievers}
    notes: dict[str, None] = {}
    if format_ is not None:
        found_by = {name: dict(zip(texts, found, strict=True)) for name, found in answers.items()}
        _write(format_, output, found_by, texts)
        note(*dict.fromkeys(n for of in answers.values() for hits in of for n in hits.notes))
        return
    for position, (query_id, content) in enumerate(texts.items()):
        text = "" if isinstance(content, QueryVector) else query_text(content)
        hits = {name: found[position] for name, found in answers.items()}
        notes |= dict.fromkeys(n for found in hits.values() for n in found.notes)
        if as_json:
            for name, found in hits.items():
                print_json(*hit_records(query_id, text, name, found))
            continue
        if query_id:
            print_parts(f"\n{one_line(f'{query_id}: {text}')}")
        print_parts(*(side_by_side(hits) if len(hits) > 1 else hits_list(*hits.values())))
    note(*notes)


def _check_format(
    format_: str | None, output: Path | None, as_json: bool, *, several: bool
) -> None:
    """Refuse options that exclude each other, and a file that cannot be written."""
    if format_ is None and output is not None:
        raise click.UsageError("--output needs --format.")
    if format_ is not None and as_json:
        raise click.UsageError("--json prints the same as --format jsonl: give one of them.")
    if format_ is not None and not several:
        raise click.UsageError("--format is for --queries and --vector.")
    check_writable(output)


def _write(
    format_: str, output: Path | None, answers: Answers, queries: Mapping[str, AnyQuery]
) -> None:
    """Write the answers as lines, to standard output without a file."""
    from retriever.formats.writing import atomic_writer
    from retriever.report.answers import csv_lines, trec_lines

    if format_ == "jsonl":
        lines = _json_lines(answers, queries)
    else:
        lines = {"trec": trec_lines, "csv": csv_lines}[format_](answers)
    if output is None:
        for line in lines:
            click.echo(line, nl=False)
        return
    with atomic_writer(output) as file:
        file.writelines(lines)


def _json_lines(answers: Answers, queries: Mapping[str, AnyQuery]) -> Iterator[str]:
    from retriever.records import hit_records
    from retriever.search.queries import QueryVector, query_text

    for query_id, content in queries.items():
        text = "" if isinstance(content, QueryVector) else query_text(content)
        for name, found in answers.items():
            for record in hit_records(query_id, text, name, found[query_id]):
                yield f"{json.dumps(record, ensure_ascii=False, default=str)}\n"
