"""Texts to the tokens that a transformer reads, marks included: the tokenizer of a model in Rust.

`tokenizer.py` is for tables of single tokens: it knows no marks, and looks pieces up instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# So many texts are read together, sorted by length, while the next ones are split into tokens.
TOGETHER = 4096


@dataclass(frozen=True)
class TokenizedBatch:
    """What a model reads of some texts: the tokens of each, and whether it was cut off.

    `offsets` (tokens, 2) say for each text which of its characters a token stands for, where they
    were asked for; those of marks are empty.
    """

    tokens: list[list[int]]
    cut: list[bool]
    offsets: list[NDArray[np.int64]]


class ModelTokenizer:
    """The tokenizer in the text of a `tokenizer.json`, cutting off at `max_length` tokens.

    `side` says which end is cut off: `right` or `left`.
    """

    def __init__(self, text: str, max_length: int | None, side: str = "right") -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if max_length is not None:
            self._tokenizer.enable_truncation(max_length, direction=side)

    def read(self, texts: Sequence[str], *, offsets: bool = False) -> TokenizedBatch:
        """The tokens of each text, all at once, in as many threads as there are."""
        encode = self._tokenizer.encode_batch if offsets else self._tokenizer.encode_batch_fast
        encoded = encode(list(texts))
        return TokenizedBatch(
            tokens=[one.ids for one in encoded],
            cut=[bool(one.overflowing) for one in encoded],
            offsets=[np.array(one.offsets, np.int64).reshape(-1, 2) for one in encoded]
            if offsets
            else [],
        )

    def tokenize_ahead(
        self, texts: Sequence[str], prompt: str
    ) -> Iterator[tuple[int, TokenizedBatch]]:
        """The tokens of some thousand texts at a time, and where these begin among all.

        `prompt` is put before each text. The next ones are split into tokens while the caller has
        to do with those before.
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

    def length_of_prompt(self, prompt: str) -> int:
        """The tokens that a prompt puts before a text, the marks before it included."""
        encoded = self._tokenizer.encode(prompt)
        count = len(encoded.ids)
        while count and encoded.special_tokens_mask[count - 1]:
            count -= 1
        return count
