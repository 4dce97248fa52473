"""`search`: search one index, or several side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import (
    as_json,
    check_query_columns,
    check_reranker,
    how_many,
    indexes,
    library,
    query_columns,
    rerank_by,
    where,
)
from retriever.cli.output import (
    check_writable,
    keep_inputs,
    note,
    print_json,
    print_parts,
    table_columns,
    terminal_columns,
)
from retriever.cli.running.suggestions import query_without_library

if TYPE_CHECKING:
    from rich.text import Text

    from retriever.collection import Collection
    from retriever.report.answers import Answers
    from retriever.search.like import Like
    from retriever.search.queries import AnyQuery
    from retriever.search.results import Hits
    from retriever.search.retriever import Retriever

FORMATS = ("trec", "jsonl", "csv")
# On a narrower terminal, a hit is one line.
TWO_LINES = 60
# The id of a single query in a file that needs one.
ONLY = "1"


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
    help="Print a TREC run, JSON lines or CSV. A single query has the id 1.",
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
    rerank_options: tuple[tuple[str, str], ...],
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
    from retriever.collection import Collection
    from retriever.report.terminal.escape import one_line
    from retriever.search.options import search_options

    asked = _Asked(query, image, queries, vector, like, unlike)
    asked.check(library, reranks=rerank_by is not None)
    _check_format(format_, output, as_json)
    if output is not None:
        keep_inputs("--output", output, (queries, vector, image), (library,))
    check_query_columns(columns, queries)
    check_reranker(rerank_by, rerank_options)
    options = search_options(mmr, all_words=all_words, phrase=phrase)
    texts = asked.read(columns)
    with Collection.open(library) as collection:
        names = indexes or asked.default_indexes(collection)
        if not indexes and len(names) == 1 and collection.index_info(names[0]).parts:
            note(f"'{names[0]}', the newest fusion, answers; -i INDEX selects another.")
        if asked.documents is not None:
            how: dict[str, Any] = {"like": like, "unlike": unlike, "where": where, "k": k}
            how |= {"mmr": mmr, "all_words": all_words, "phrase": phrase}
            found = {name: [collection.search(index=name, **how)] for name in names}
        else:
            open_ = collection.retriever if vector is None else collection.vector_retriever
            retrievers = [open_(name) for name in names]
            if rerank_by is not None:
                retrievers = _reranked(retrievers, rerank_by, rerank_options, rerank_depth)
            contents = list(texts.values())
            found = {
                retriever.name: retriever.search_many(contents, k, where=where, options=options)
                for retriever in retrievers
            }
        answers = {name: dict(zip(texts, hits, strict=True)) for name, hits in found.items()}
        if format_ is not None or as_json:
            _write(format_ or "jsonl", output, answers, texts)
        else:
            shown_fields = [one.strip() for one in fields.split(",") if one.strip()]
            for query_id, content in texts.items():
                if query_id:
                    print_parts(f"\n{one_line(f'{query_id}: {_text(content)}')}")
                hits = {name: by_id[query_id] for name, by_id in answers.items()}
                # The names of documents are no text whose words could be marked in hits.
                is_text = asked.documents is None and isinstance(content, str)
                words = _text(content) if is_text else ""
                print_parts(*_shown(collection, hits, words, shown_fields))
    note(*dict.fromkeys(one for hits in found.values() for each in hits for one in each.notes))


@dataclass(frozen=True)
class _Asked:
    """What to search by: exactly one of these."""

    query: str | None
    image: str | None
    queries: str | None
    vector: str | None
    like: tuple[str, ...]
    unlike: tuple[str, ...]

    def check(self, library: Path, *, reranks: bool) -> None:
        """Refuse none or several of them, and what a reranker cannot read."""
        by_documents = self.like or self.unlike or None
        given = [self.query, self.image, self.queries, self.vector, by_documents]
        if given.count(None) != len(given) - 1:
            raise click.UsageError(
                "Give a QUERY, or --like DOC_ID, or --image, --queries or --vector with a FILE."
                + (query_without_library(library) if given.count(None) == len(given) else "")
            )
        if reranks and (self.vector is not None or by_documents is not None):
            other = "--vector" if self.vector is not None else "--like" if self.like else "--unlike"
            raise click.UsageError(f"--rerank-by reads the text of a query: leave out {other}.")

    @property
    def documents(self) -> Like | None:
        """The documents to be like, and unlike; None for another search."""
        from retriever.search.like import Like

        return Like.of(self.like, self.unlike)

    def read(self, columns: Mapping[str, Any]) -> Mapping[str, AnyQuery]:
        """Return the queries by id; a single one has the empty id."""
        from indexes.images import Image
        from retriever.formats import read_mixed_queries
        from retriever.search.given import read_query_vectors

        if self.queries is not None:
            return read_mixed_queries(self.queries, **columns)
        if self.vector is not None:
            return read_query_vectors(self.vector)
        if self.image is not None:
            return {"": Image.of(self.image)}
        return {"": str(self.documents or self.query)}

    def default_indexes(self, collection: Collection) -> Sequence[str]:
        """Return the indexes that answer if none is named."""
        if self.vector is not None:
            return [collection.vector_retriever().name]
        return collection.default_indexes()


def _reranked(
    retrievers: Sequence[Retriever],
    by: str,
    options: Sequence[tuple[str, str]],
    depth: int,
) -> list[Retriever]:
    from retriever.rerankers.registry import load_reranker, parse_reranker
    from retriever.search.reranked import reranked

    reranker = load_reranker(parse_reranker(by, dict(options)))
    return [reranked(one, reranker, depth) for one in retrievers]


def _text(content: AnyQuery) -> str:
    """Return the text of a query, or the name of an image; a vector has none."""
    from retriever.search.queries import QueryVector, query_text

    return "" if isinstance(content, QueryVector) else query_text(content)


def _shown(
    collection: Collection, hits: Mapping[str, Hits], query: str, fields: list[str]
) -> Iterator[Text]:
    """Yield the hits of a query as lines, as wide as the terminal or the settings say."""
    from retriever.embedders import ContextualEmbedder
    from retriever.report.terminal.best_sentences import best_sentences
    from retriever.report.terminal.hits import hit_blocks, hits_list, side_by_side
    from retriever.search.finders import DenseFinder

    columns, wide = terminal_columns(), table_columns()
    if len(hits) > 1:
        return side_by_side(hits, fields, max(columns or 0, wide))
    ((name, found),) = hits.items()
    if columns is None or columns < TWO_LINES:
        return hits_list(found, fields, wide)
    # A search by a vector needs no model, nor does showing its hits.
    finder = collection.retriever(name).finder if query else None
    embedder = finder.embedder if isinstance(finder, DenseFinder) else None
    encode = embedder.encode_documents if isinstance(embedder, ContextualEmbedder) else None
    language = str(collection.index_info(name).options.get("language", "english"))
    return hit_blocks(found, best_sentences(found, query, language, encode), fields, columns)


def _check_format(format_: str | None, output: Path | None, as_json: bool) -> None:
    """Refuse options that exclude each other, and a file that cannot be written."""
    if format_ is None and output is not None:
        raise click.UsageError("--output needs --format.")
    if format_ is not None and as_json:
        raise click.UsageError("--json prints the same as --format jsonl: give one of them.")
    check_writable(output)


def _write(
    format_: str, output: Path | None, answers: Answers, queries: Mapping[str, AnyQuery]
) -> None:
    """Write the answers as lines, to standard output without a file."""
    from retriever.formats.writing import atomic_writer
    from retriever.report.answers import csv_lines, trec_lines

    if format_ == "jsonl":
        records = _records(answers, queries)
        if output is None:
            for one in records:
                print_json(one)
            return
        lines: Iterator[str] = (
            f"{json.dumps(one, ensure_ascii=False, default=str)}\n" for one in records
        )
    else:
        numbered = {
            name: {query_id or ONLY: hits for query_id, hits in found.items()}
            for name, found in answers.items()
        }
        lines = {"trec": trec_lines, "csv": csv_lines}[format_](numbered)
    if output is None:
        for line in lines:
            click.echo(line, nl=False)
        return
    with atomic_writer(output) as file:
        file.writelines(lines)


def _records(answers: Answers, queries: Mapping[str, AnyQuery]) -> Iterator[dict[str, Any]]:
    from retriever.records import hit_records

    for query_id, content in queries.items():
        for name, found in answers.items():
            yield from hit_records(query_id, _text(content), name, found[query_id])
