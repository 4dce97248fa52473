"""The Rust tokenizer of a transformer, special tokens included.

`subword_tokenizer.py` is for tables of single tokens: it has no special tokens, and looks pieces up
instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Texts that are sorted by length together, while the next ones are tokenized.
TOGETHER = 4096


@dataclass(frozen=True)
class TokenizedBatch:
    """Tokens of some texts, and whether each text was truncated.

    `offsets` (tokens, 2) give for each text the characters of each token, if requested; those of
    special tokens are empty.
    """

    tokens: list[list[int]]
    cut: list[bool]
    offsets: list[NDArray[np.int64]]


class ModelTokenizer:
    """Tokenizer from the text of a `tokenizer.json`, truncating at `max_length` tokens.

    `side` is the end that is truncated: `right` or `left`. With `literal`, names of special tokens
    in a text, such as `[SEP]`, are read as text.
    """

    def __init__(
        self, text: str, max_length: int | None, side: str = "right", *, literal: bool = False
    ) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # Not part of the file's format.
        self._tokenizer.encode_special_tokens = literal
        if max_length is not None:
            self._tokenizer.enable_truncation(max_length, direction=side)

    def read(self, texts: Sequence[str], *, offsets: bool = False) -> TokenizedBatch:
        """Tokenize all texts at once, in all available threads."""
        encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
        encoded = encode(list(texts))
        with_offsets = encoded if offsets else []
        return TokenizedBatch(
            tokens=[one.ids for one in encoded],
            cut=[bool(one.overflowing) for one in encoded],
            offsets=[np.array(one.offsets, np.int64).reshape(-1, 2) for one in with_offsets],
        )

    def tokenize_ahead(
        self, texts: Sequence[str], prompt: str
    ) -> Iterator[tuple[int, TokenizedBatch]]:
        """Yield the start position and the tokens of a few thousand texts at a time.

        `prompt` is put before each text. The next texts are tokenized while the caller processes
        the previous ones.
        """
        starts = range(0, len(texts), TOGETHER)
        if len(starts) < 2:
            yield 0, self.read([prompt + text for text in texts])
            return
        with ThreadPoolExecutor(1, "tokens") as ahead:
            coming = None
            for start in starts:
                some = [prompt + text for text in texts[start : start + TOGETHER]]
                ready, coming = coming, (start, ahead.submit(self.read, some))
                if ready is not None:
                    yield ready[0], ready[1].result()
            if coming is not None:
                yield coming[0], coming[1].result()

    def highest(self) -> int:
        """Return the highest number of a token; -1 without any."""
        return max(self._tokenizer.get_vocab().values(), default=-1)

    def length_of_prompt(self, prompt: str) -> int:
        """Count the tokens that a prompt adds before a text, leading special tokens included."""
        encoded = self._tokenizer.encode(prompt)
        count = len(encoded.ids)
        while count and encoded.special_tokens_mask[count - 1]:
            count -= 1
        return count
