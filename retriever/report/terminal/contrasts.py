"""Queries on which two systems differ most, with the hits of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from rich.cells import cell_len
from rich.text import Text

from indexes.errors import pluralize
from retriever.evaluation.results import ComparisonResults, Query
from retriever.evaluation.shared_words import matches_in
from retriever.formatting import WIDTH
from retriever.report.lines import label_of
from retriever.report.terminal.hits import fit, id_width

HITS_SHOWN = 5
NAMED = 10
RIGHT, SHARED = "*", "underline"


def contrast_lines(
    comparison: ComparisonResults,
    count: int,
    pair: tuple[str, str] | None = None,
    columns: int = WIDTH,
) -> Iterator[Text]:
    """Yield up to `count` queries on which each of two systems beats the other, by difference.

    Relevant hits are starred, words that a hit shares with the query are underlined. The queries
    for which no system found anything relevant follow.
    """
    pair = pair or comparison.default_pair()
    if not comparison.judged or pair is None:
        yield Text()
        yield Text("No queries to contrast: this needs judgments and at least two systems.")
        return
    for winner, loser in (pair, pair[::-1]):
        gains = comparison.largest_differences(winner, loser)
        wins = pluralize(sum(gain > 0 for _, gain in gains), "query", "queries")
        yield Text()
        yield Text(f"{winner} beats {loser} on {wins}", style="bold cyan")
        for query_id, gain in islice(gains, count):
            if gain > 0:
                yield from _query(
                    comparison, comparison.queries[query_id], (winner, loser), columns
                )
    yield from _missed(comparison, columns)


def _query(
    comparison: ComparisonResults, query: Query, pair: Sequence[str], columns: int
) -> Iterator[Text]:
    measure = comparison.measure
    yield Text()
    yield Text(fit(f"query {query.query_id}: {query.text}", columns).rstrip(), style="bold")
    values = (f"{name} {comparison.per_query[name][measure][query.query_id]:.3f}" for name in pair)
    yield _indented(f"{label_of(measure)}: {', '.join(values)}", columns)
    for name in pair:
        if words := query.unknown.get(name):
            yield _indented(f"{name} does not know: {', '.join(words)}", columns)
    for doc_id, ranks in islice(comparison.ranks(query.query_id).items(), HITS_SHOWN):
        places = ", ".join(f"{name} {ranks[name] or '-'}" for name in pair)
        yield _indented(
            f"{doc_id} is relevant ({query.judgments[doc_id]}), rank: {places}", columns
        )
    for name in pair:
        yield Text(f"  {name}", style="bold cyan")
        yield from _hits(comparison, name, query, columns)


def _indented(text: str, columns: int) -> Text:
    return Text(f"  {fit(text, columns - 2).rstrip()}")


def _hits(comparison: ComparisonResults, name: str, query: Query, columns: int) -> Iterator[Text]:
    hits = comparison.runs[name].ranking.get(query.query_id, ())[:HITS_SHOWN]
    width = id_width([doc_id for doc_id, _ in hits])
    for rank, (doc_id, score) in enumerate(hits, start=1):
        mark = RIGHT if query.judgments.get(doc_id, 0) > 0 else " "
        head = Text(f"  {mark} {rank}  {score:6.3f}  ") + Text(fit(doc_id, width), style="bold")
        shown = comparison.documents.get(doc_id)
        said = f"{shown.title} {shown.text}" if shown else "(not in the collection)"
        yield head + "  " + _underlined(fit(said, columns - head.cell_len - 2).rstrip(), query)
    if not hits:
        yield Text("    no hits", style="dim")


def _underlined(said: str, query: Query) -> Text:
    text = Text(said)
    for span in matches_in(said, query.matched):
        text.stylize(SHARED, *span)
    return text


def _missed(comparison: ComparisonResults, columns: int) -> Iterator[Text]:
    missed = comparison.missed()
    if not missed:
        return
    queries = pluralize(len(missed), "query", "queries")
    start, line = f"No system found anything relevant to {queries}; check the label", ""
    # As many as fit: a cut id could be that of another query.
    for named in range(min(NAMED, len(missed)), 0, -1):
        more = f" and {len(missed) - named:,} more" if len(missed) > named else ""
        line = f"{start}: {', '.join(missed[:named])}{more}"
        if cell_len(line) <= columns:
            break
    yield Text()
    yield Text(fit(line, columns).rstrip())
