"""The sentence of each hit that answers a query best, and the words that it shares with it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise

import numpy as np

from indexes.neighbors import Matrix
from retriever.embedders.base import unit
from retriever.evaluation.results import Excerpt
from retriever.evaluation.shared_words import SharedWords, matches_in, telling
from retriever.report.terminal.escape import one_line
from retriever.search.results import Hits
from retriever.splitting import sentences

# A model takes about a second for so many sentences on two cores; of more, words decide.
MOST_ENCODED = 64
# A sentence so far into a hit is not looked at.
MOST_CHARACTERS = 20_000

# Returns vectors (n, dim) of texts.
Encode = Callable[[list[str]], Matrix]
Spans = list[tuple[int, int]]


def best_sentences(
    hits: Hits, query: str, language: str, encode: Encode | None = None
) -> list[tuple[str, Spans]]:
    """Return the best sentence of each hit, as one line, with the spans of words to highlight.

    With `encode`, the sentence with the vector nearest to that of the query, unless there are too
    many sentences. Otherwise, or where no word is known, the one that shares most words with the
    query, without stop words; the first one of several.
    """
    of_each = [_lines(hit.text[:MOST_CHARACTERS]) for hit in hits]
    flat = [line for lines in of_each for line in lines]
    words = telling(query, language)
    marks = [_matches(line, words, language) for line in flat]
    values = [float(len({line[b:e].lower() for b, e in spans})) for line, spans in
              zip(flat, marks, strict=True)]  # fmt: skip
    if encode is not None and query.strip() and 0 < len(flat) <= MOST_ENCODED:
        vectors = unit(np.asarray(encode([query, *flat]), np.float32))
        values = (vectors[1:] @ vectors[0]).tolist() if vectors[0].any() else values
    chosen = []
    for begin, end in pairwise(accumulate(map(len, of_each), initial=0)):
        best = max(range(begin, end), key=lambda at: (values[at], -at), default=None)
        chosen.append(("", []) if best is None else (flat[best], marks[best]))
    return chosen


def _lines(text: str) -> list[str]:
    return [line for sentence in sentences(text) if (line := one_line(sentence))]


def matches(line: str, query: str, language: str) -> Spans:
    """Return the spans of the words of a line that share a stem with a query; no stop words."""
    return _matches(line, telling(query, language), language)


def _matches(line: str, words: str, language: str) -> Spans:
    """Return `matches` for the telling words of a query."""
    shared = SharedWords({"": Excerpt("", line)}, language).of(words, [""])
    return list(matches_in(line, shared))
