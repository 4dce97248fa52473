"""Answers to searches as records, made in a thread: of one query, and of many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.catalog.filters.field_names import field_path, value_at
from retriever.collection import Collection
from retriever.records import Record, hit_records
from retriever.report.terminal.best_sentences import MOST_CHARACTERS, best_sentences, matches
from retriever.search.combinations.hybrid import single_indexes
from retriever.search.finders import Finder, LexicalFinder
from retriever.search.options import SearchOptions
from retriever.search.queries import AnyQuery
from retriever.search.results import Hits, Timing
from retriever.search.where import Where

ENGLISH = "english"


@dataclass(frozen=True)
class Shown:
    """What a record of a hit has: the `fields` of its metadata (None: all), its text, highlights.

    `highlights` are the spans, in characters, of words in the text that share a stem with the
    query, and the sentence that has most of them.
    """

    fields: tuple[str, ...] | None = None
    text: bool = True
    highlights: bool = False


def answer_many(
    collection: Collection,
    index: str,
    queries: Sequence[AnyQuery],
    k: int,
    where: Where | None,
    options: SearchOptions,
    *,
    vectors: bool = False,
) -> tuple[list[Hits], Timing]:
    """Return the hits of each query in an index, and the time of the stages of all together.

    With `vectors`, the queries are vectors; then no model is loaded. Errors as in
    `Collection.search`.
    """
    if vectors:
        retriever = collection.vector_retriever(index)
        return retriever.answer(queries, k, where=where, options=options)
    return collection.with_retriever(
        index, lambda one: one.answer(queries, k, where=where, options=options)
    )


def answer_record(
    collection: Collection, query_id: str, text: str, index: str, hits: Hits, shown: Shown
) -> Record:
    """Return what an index answers to a query: records of hits as of `--json`, and notes."""
    records = [] if not hits else list(hit_records(query_id, text, index, hits))
    if shown.highlights and text:
        language = language_of(collection.retriever(index).finder)
        for record, marks in zip(records, highlights(hits, text, language), strict=True):
            record["highlights"] = marks
    for record in records:
        if shown.fields is not None:
            record["metadata"] = selected(record["metadata"], shown.fields)
        if not shown.text:
            del record["text"]
    return {"index": index, "hits": records, "notes": list(hits.notes)}


def highlights(hits: Hits, query: str, language: str) -> Iterator[Record]:
    """Yield, for each hit, the spans of matching words in its text and in its best sentence."""
    for hit, (sentence, spans) in zip(hits, best_sentences(hits, query, language), strict=True):
        of_text = matches(hit.text[:MOST_CHARACTERS], query, language)
        yield {"text": of_text, "sentence": sentence, "spans": spans}


def selected(metadata: Mapping[str, Any], fields: Sequence[str]) -> Record:
    """Return some fields of metadata by the names that were given; a dot leads into objects."""
    found = {name: value_at(metadata, field_path(name)) for name in fields}
    return {name: value for name, value in found.items() if value is not None}


def language_of(finder: Finder) -> str:
    """Return the language in which words are compared: that of BM25, if it is part; or English."""
    languages = (
        one.options.language for one in single_indexes(finder) if isinstance(one, LexicalFinder)
    )
    return next((one for one in languages if one != ENGLISH), ENGLISH)
