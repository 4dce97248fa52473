"""Words that a passage must have to be found by BM25: all of a query's, or its phrase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from indexes.errors import InputError
from indexes.lexical.bm25 import Required, Terms, tokens_of
from indexes.lexical.options import LexicalOptions
from indexes.neighbors import Keys
from indexes.search.snapshot import Snapshot
from retriever.search.options import PHRASE
from retriever.search.queries import Query, query_text


def required(
    snapshot: Snapshot,
    contents: Sequence[Query],
    terms: Sequence[Terms],
    options: LexicalOptions,
    matching: str,
) -> list[Required]:
    """Return the terms of queries as required ones, in a phrase if `matching` says so.

    Scores stay those of BM25 by the terms: being a phrase adds nothing.
    """
    wanted = [Required(one) for one in terms]
    for content, one in zip(contents, wanted, strict=True):
        phrase = tokens_of(query_text(content), replace(options, stopwords=False), query=True)
        if matching == PHRASE and len(phrase) > 1:
            one.accepts = _PhraseCheck(snapshot, phrase, options)
    return wanted


class _PhraseCheck:
    """Says which passages have some terms next to each other, in order; reads each text once.

    An index has no positions of words. Stop words count here, also where an index leaves them out.
    """

    def __init__(self, snapshot: Snapshot, phrase: Sequence[str], options: LexicalOptions) -> None:
        self._snapshot, self._phrase = snapshot, _joined(phrase)
        self._options = replace(options, stopwords=False)
        self._known = dict[int, bool]()

    def __call__(self, keys: Keys) -> NDArray[np.bool_]:
        """Return whether each of some passages has the phrase."""
        wanted = keys.tolist()
        new = [key for key in wanted if key not in self._known]
        for key, passage in self._snapshot.corpus.found(new).items():
            tokens = tokens_of(passage.text or "", self._options, query=True)
            self._known[key] = self._phrase in _joined(tokens)
        return np.array([self._known[key] for key in wanted], np.bool_)


def _joined(tokens: Sequence[str]) -> str:
    # No term holds a space.
    return f" {' '.join(tokens)} "


def refuse_vectors(index: str, part: str) -> InputError:
    """Return the error for an index that finds documents by vectors, not by words alone."""
    by = "It" if part == index else f"Its part '{part}'"
    return InputError(
        f"'{index}' does not find documents by words alone: all_words and phrase (--all-words, "
        f"--phrase) are for BM25. {by} searches vectors. Choose a BM25 index."
    )
