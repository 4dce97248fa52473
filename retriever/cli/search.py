"""`search`: search one index, or several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import as_json, how_many, indexes, library, where
from retriever.cli.output import note, print_json, print_parts, terminal_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.text import Text

    from retriever.collection import Collection
    from retriever.search.results import Hits

# On a narrower terminal, a hit is one line.
TWO_LINES = 60


@click.command()
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
@as_json
def search(
    library: Path,
    query: str | None,
    indexes: tuple[str, ...],
    k: int,
    image: str | None,
    queries: str | None,
    like: tuple[str, ...],
    unlike: tuple[str, ...],
    where: dict[str, Any] | None,
    mmr: float | None,
    all_words: bool,
    phrase: bool,
    fields: str,
    as_json: bool,
) -> None:
    """Search the collection LIBRARY for the documents nearest to QUERY, an image or documents.

    Without -i, the newest fusion answers, or else all indexes. With several indexes, show which
    documents all of them found, which only one, and every rank.
    """
    from indexes.images import Image
    from retriever.collection import Collection
    from retriever.formats import read_mixed_queries
    from retriever.records import hit_records
    from retriever.report.terminal.escape import one_line
    from retriever.search.like import Like
    from retriever.search.queries import Query, query_text

    shown_fields = [one.strip() for one in fields.split(",") if one.strip()]
    given = like or unlike or None
    if [query, image, queries, given].count(None) != 3:
        raise click.UsageError("Give a QUERY, or --image FILE, --like DOC_ID or --queries FILE.")
    documents = Like.of(like, unlike) if given else None
    if documents is not None:
        texts: dict[str, Query] = {"": str(documents)}
    elif queries is not None:
        texts = read_mixed_queries(queries)
    else:
        texts = {"": Image.of(image) if image is not None else str(query)}
    with Collection.open(library) as collection:
        names = indexes or collection.default_indexes()
        if not indexes and names != collection.index_names():
            note(f"'{names[0]}', the newest fusion, answers; -i INDEX selects another.")
        how: dict[str, Any] = {"where": where, "k": k, "mmr": mmr}
        if documents is not None:
            how |= {"like": documents.like, "unlike": documents.unlike}
            answers = {name: [collection.search(index=name, **how)] for name in names}
        else:
            how |= {"all_words": all_words, "phrase": phrase}
            asked = list(texts.values())
            answers = {name: collection.search_many(asked, index=name, **how) for name in names}
        notes: dict[str, None] = {}
        for position, (query_id, content) in enumerate(texts.items()):
            text = query_text(content)
            hits = {name: found[position] for name, found in answers.items()}
            notes |= dict.fromkeys(n for found in hits.values() for n in found.notes)
            if as_json:
                for name, found in hits.items():
                    print_json(*hit_records(query_id, text, name, found))
                continue
            if queries is not None:
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
    finder = collection.retriever(name).finder
    embedder = finder.embedder if isinstance(finder, DenseFinder) else None
    encode = embedder.encode_documents if isinstance(embedder, ContextualEmbedder) else None
    language = str(collection.index_info(name).options.get("language", "english"))
    return hit_blocks(found, best_sentences(found, query, language, encode), fields, columns)
