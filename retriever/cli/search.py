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
from retriever.cli.output import (
    check_writable,
    note,
    print_json,
    print_parts,
    terminal_columns,
)

if TYPE_CHECKING:
    from rich.text import Text

    from retriever.collection import Collection
    from retriever.report.answers import Answers
    from retriever.search.queries import AnyQuery
    from retriever.search.results import Hits

FORMATS = ("trec", "jsonl", "csv")
# On a narrower terminal, a hit is one line.
TWO_LINES = 60


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
    "--like",
    metavar="DOC_ID",
    multiple=True,
    help="Instead of a query: find documents like this one; may be given several times.",
)
@click.option(
    "--unlike",
    metavar="DOC_ID",
    multiple=True,
    help="With --like: find documents unlike this one; may be given several times.",
)
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
@click.option(
    "--mmr",
    type=click.FloatRange(0, 1),
    is_flag=False,
    flag_value=0.5,
    metavar="[LAMBDA]",
    help="Find documents that are unlike each other, too: maximal marginal relevance, with 1 for "
    "relevance alone and 0 for diversity alone. Without a number: 0.5.",
)
@click.option(
    "--all-words", is_flag=True, help="For BM25: find only passages with all words of the query."
)
@click.option(
    "--phrase",
    is_flag=True,
    help="For BM25: find only passages with the words of the query next to each other, in order.",
)
@click.option(
    "--fields",
    metavar="FIELD,...",
    default="",
    help="Show these metadata fields with each hit, such as year,source.",
)
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
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    vector: str | None,
    format_: str | None,
    output: Path | None,
    where: dict[str, Any] | None,
    rerank_by: str | None,
    rerank_depth: int,
    mmr: float | None,
    all_words: bool,
    phrase: bool,
    fields: str,
    as_json: bool,
) -> None:
    """Search the collection LIBRARY for what is nearest to QUERY, an image, documents or a vector.

    Without -i, the newest fusion answers, or else all indexes. With several indexes, show which
    documents all of them found, which only one, and every rank.
    """
    from indexes.images import Image
    from retriever.collection import Collection
    from retriever.formats import read_mixed_queries
    from retriever.records import hit_records
    from retriever.report.terminal.escape import one_line
    from retriever.search.given import read_query_vectors
    from retriever.search.like import Like
    from retriever.search.options import search_options
    from retriever.search.queries import QueryVector, query_text

    shown_fields = [one.strip() for one in fields.split(",") if one.strip()]
    given = like or unlike or None
    if [query, image, queries, vector, given].count(None) != 4:
        raise click.UsageError(
            "Give a QUERY, or --like DOC_ID, or --image, --queries or --vector with a FILE."
        )
    if rerank_by is not None and (vector is not None or given is not None):
        raise click.UsageError("--rerank-by reads the text of a query: leave out the other option.")
    _check_format(format_, output, as_json, several=(queries or vector) is not None)
    check_query_columns(columns, queries)
    documents = Like.of(like, unlike) if given else None
    texts: Mapping[str, AnyQuery]
    if documents is not None:
        texts = {"": str(documents)}
    elif queries is not None:
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
        if not indexes and len(names) == 1 and collection.index_info(names[0]).parts:
            note(f"'{names[0]}', the newest fusion, answers; -i INDEX selects another.")
        if documents is not None:
            how: dict[str, Any] = {"like": like, "unlike": unlike, "where": where, "k": k}
            how |= {"mmr": mmr, "all_words": all_words, "phrase": phrase}
            answers = {name: [collection.search(index=name, **how)] for name in names}
        else:
            options = search_options(mmr, all_words=all_words, phrase=phrase)
            open_ = collection.retriever if vector is None else collection.vector_retriever
            asked = list(texts.values())
            retrievers = [open_(name) for name in names]
            if rerank_by is not None:
                from retriever.rerankers.registry import load_reranker, parse_reranker
                from retriever.search.reranked import reranked

                reranker = load_reranker(parse_reranker(rerank_by, {}))
                retrievers = [reranked(one, reranker, rerank_depth) for one in retrievers]
            answers = {
                retriever.name: retriever.search_many(asked, k, where=where, options=options)
                for retriever in retrievers
            }
        notes = dict.fromkeys(n for found in answers.values() for hits in found for n in hits.notes)
        if format_ is not None:
            by_id = {name: dict(zip(texts, found, strict=True)) for name, found in answers.items()}
            _write(format_, output, by_id, texts)
            note(*notes)
            return
        for position, (query_id, content) in enumerate(texts.items()):
            text = "" if isinstance(content, QueryVector) else query_text(content)
            hits = {name: found[position] for name, found in answers.items()}
            if as_json:
                for name, found in hits.items():
                    print_json(*hit_records(query_id, text, name, found))
                continue
            if query_id:
                print_parts(f"\n{one_line(f'{query_id}: {text}')}")
            words = text if documents is None and isinstance(content, str) else ""
            print_parts(*_shown(collection, hits, words, shown_fields))
    note(*notes)


def _shown(
    collection: Collection, hits: Mapping[str, Hits], query: str, fields: list[str]
) -> Iterator[Text]:
    """Yield the hits of a query as lines, as wide as the terminal."""
    from retriever.embedders import ContextualEmbedder
    from retriever.formatting import WIDTH
    from retriever.report.terminal.best_sentences import best_sentences
    from retriever.report.terminal.hits import hit_blocks, hits_list, side_by_side
    from retriever.search.finders import DenseFinder

    columns = terminal_columns()
    if len(hits) > 1:
        return side_by_side(hits, fields, columns if columns and columns > WIDTH else WIDTH)
    ((name, found),) = hits.items()
    if columns is None or columns < TWO_LINES:
        return hits_list(found, fields)
    # A search by a vector needs no model, nor does showing its hits.
    finder = collection.retriever(name).finder if query else None
    embedder = finder.embedder if isinstance(finder, DenseFinder) else None
    encode = embedder.encode_documents if isinstance(embedder, ContextualEmbedder) else None
    language = str(collection.index_info(name).options.get("language", "english"))
    return hit_blocks(found, best_sentences(found, query, language, encode), fields, columns)


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
