"""Options of a search other than its query, `k` and filter."""

from __future__ import annotations

from dataclasses import dataclass

from indexes.errors import InputError, check_flag, short_repr
from indexes.values import is_number

# Which of a query's words a passage must have, to be found by BM25.
ANY, ALL, PHRASE = "any", "all", "phrase"
# The usual balance of relevance and diversity.
MMR = 0.5


@dataclass(frozen=True)
class SearchOptions:
    """`mmr` is the balance of `diversity`, None without it; `matching` is `any`, `all` or `phrase`.

    Raises:
        InputError: `mmr` is not a number from 0 to 1.
    """

    mmr: float | None = None
    matching: str = ANY

    def __post_init__(self) -> None:
        if self.mmr is None:
            return
        if not is_number(self.mmr) or not 0 <= self.mmr <= 1:
            raise InputError(
                f"mmr is {short_repr(self.mmr)}; expected a number from 0, diversity alone, to 1, "
                "relevance alone."
            )


PLAIN = SearchOptions()


def search_options(mmr: float | None, *, all_words: bool, phrase: bool) -> SearchOptions:
    """Return the options of a search; a phrase has all of its words."""
    if mmr is None and all_words is False and phrase is False:
        return PLAIN
    check_flag("all_words", all_words)
    check_flag("phrase", phrase)
    return SearchOptions(mmr, PHRASE if phrase else ALL if all_words else ANY)
