"""Token tables as vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from indexes.errors import FileFormatError
from retriever.embedders.static.token_table import TokenTable, read_token_table
from retriever.embedders.static.vocabulary import TokenRows
from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer


class TokenVocabulary:
    """Vocabulary of tokens, without special ones; a token's number is its row.

    Texts are read to the end, as in sentence-transformers (model2vec's `encode` stops after 512
    tokens by default). A limit in the tokenizer of a sentence-transformers folder applies.
    """

    def __init__(self, table: TokenTable, tokenizer: TextTokenizer) -> None:
        self.vectors, self.checksum, self.teacher = table.vectors, table.checksum, table.teacher
        self.dim = self.vectors.shape[1]
        self._tokenizer = tokenizer
        self._limit = tokenizer.limit if table.truncates else None
        self._dropped = tokenizer.unknown if table.drops_unknown else None

    @property
    def case(self) -> str:
        """Description of case handling, which is up to the tokenizer."""
        return "as its tokenizer does"

    @property
    def attributes(self) -> Mapping[str, object]:
        """Attributes of the fingerprint; the checksum covers table and tokenizer."""
        unknown = "pooled" if self._dropped is None else "dropped"
        return {"source": self.checksum, "words": "tokens, normalized", "unknown": unknown}

    def name(self, row: int) -> str:
        """Return the string of a token, such as `##ing`."""
        return self._tokenizer.name(row)

    def bags(self, texts: Sequence[str]) -> TokenRows:
        """Return the rows of the tokens of all texts."""
        tokens, offsets = self._tokenizer.tokens(texts)
        if self._limit is not None and len(tokens):
            counts = np.diff(offsets)
            place = np.arange(len(tokens)) - np.repeat(offsets[:-1], counts)
            tokens = tokens[place < self._limit]
            offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, self._limit))])
        occurring = len(tokens)
        if self._dropped is not None and (kept := tokens != self._dropped).sum() < occurring:
            tokens, offsets = tokens[kept], np.concatenate([[0], np.cumsum(kept)])[offsets]
        used = np.zeros(len(self.vectors), np.bool_)
        used[tokens] = True
        ids = np.flatnonzero(used)
        rows = (np.cumsum(used, dtype=np.int32) - 1)[tokens]
        table = self.vectors[ids]
        return TokenRows(
            rows, offsets, ids, table, occurring, lambda: [*map(self.name, ids.tolist())]
        )

    def rows_of(self, text: str) -> list[int] | None:
        """Return the rows of one text's tokens: the fast twin of `bags`."""
        tokens = self._tokenizer.tokens_of(text)[: self._limit]
        if self._dropped is not None and self._dropped in tokens:
            return [token for token in tokens if token != self._dropped]
        return tokens

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """Return, for each text, what became the unknown token; nothing if that has a vector."""
        if self._dropped is None:
            return [[] for _ in texts]
        return [self._tokenizer.unknown_in(text) for text in texts]


def load_tokens(folder: Path) -> TokenVocabulary:
    """Load the token table of a static sentence model."""
    table = read_token_table(folder)
    tokenizer = TextTokenizer(table.tokenizer)
    if tokenizer.size > len(table.vectors):
        raise FileFormatError(
            f"{table.tokenizer} knows {tokenizer.size:,} tokens, but the table in {folder} has "
            f"{len(table.vectors):,} rows; expected a row for each."
        )
    return TokenVocabulary(table, tokenizer)
