"""The vectors of texts by a model that is open: from their tokens, or in a way of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retriever.embedders.base import Matrix, TextReport, unit
from retriever.embedders.contextual.batching import batches
from retriever.embedders.contextual.runtime import LoadedModel
from retriever.embedders.contextual.tokenizer import ModelTokenizer, TokenizedBatch
from retriever.embedders.texts import check_texts


@dataclass(frozen=True)
class ModelTexts:
    """An open model that is asked for the vectors of texts, at most `batch_size` at once.

    Without a `tokenizer`, the model reads texts in its own way. A `task` is `query` or `document`;
    the model's prompt for it is put before every text.
    """

    opened: LoadedModel
    tokenizer: ModelTokenizer | None
    batch_size: int | None

    def encode(self, texts: Sequence[str], task: str) -> tuple[Matrix, TextReport]:
        """Unit vectors (len(texts), dim) of texts, and what was made of them.

        A text of nothing but white space gets zeros.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        check_texts(texts)
        if self.tokenizer is None:
            return self._in_its_own_way(texts, task)
        card = self.opened.card
        prompt = card.prompt(task)
        vectors, report = np.zeros((len(texts), card.dim), np.float32), TextReport()
        # Tokens of the prompt that are read, but not pooled.
        skipped = 0
        if prompt and not card.pools_prompt:
            skipped = self.tokenizer.length_of_prompt(prompt)
        for start, read in self.tokenizer.tokenize_ahead(texts, prompt):
            part = vectors[start : start + len(read.tokens)]
            # Without marks, a text of nothing but control signs has no token.
            spoken = _filled(texts[start : start + len(part)])
            filled = [place for place in spoken if read.tokens[place]]
            padded = self._fill(part, read, filled, skipped)
            report += _report(read, filled, padded)
        return unit(vectors), report

    def report(self, texts: Sequence[str], task: str) -> TextReport:
        """What would be read of some texts, their prompt included; nothing is computed.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        check_texts(texts)
        if self.tokenizer is None:
            return self._counted(texts, task)
        parts = self.tokenizer.tokenize_ahead(texts, self.opened.card.prompt(task))
        return sum(
            (_report(read, _filled(texts[at : at + len(read.tokens)])) for at, read in parts),
            TextReport(),
        )

    def _fill(self, vectors: Matrix, read: TokenizedBatch, filled: list[int], skipped: int) -> int:
        """Put the vectors of the `filled` texts into their rows; how many places were computed."""
        engine, pad, padded = self.opened.engine, self.opened.card.pad, 0
        parts = batches(read.tokens, filled, pad=pad, budget=engine.budget, most=self.batch_size)
        for batch, found in engine.embed_all(parts, skipped):
            vectors[batch.places] = found
            padded += batch.ids.size
        return padded

    def _in_its_own_way(self, texts: Sequence[str], task: str) -> tuple[Matrix, TextReport]:
        """Unit vectors of texts that the model splits and batches itself, and what it read."""
        card, filled = self.opened.card, _filled(texts)
        vectors = np.zeros((len(texts), card.dim), np.float32)
        if filled:
            some, prompt = [texts[place] for place in filled], card.prompt(task)
            vectors[filled] = self.opened.model().embed_texts(some, prompt, task, self.batch_size)
        return unit(vectors), self._counted(texts, task)

    def _counted(self, texts: Sequence[str], task: str) -> TextReport:
        """What a model makes of texts that it reads in its own way."""
        prompt = self.opened.card.prompt(task)
        prompted = [prompt + texts[place] for place in _filled(texts)]
        lengths = self.opened.model().lengths(prompted, task)
        return TextReport(
            texts=len(texts),
            truncated=sum(limit is not None and length > limit for length, limit in lengths),
            tokens=sum(
                length if limit is None else min(length, limit) for length, limit in lengths
            ),
        )


def _filled(texts: Sequence[str]) -> list[int]:
    """The positions of the texts that are more than white space."""
    return [place for place, text in enumerate(texts) if text.strip()]


def _report(read: TokenizedBatch, filled: Sequence[int], padded: int = 0) -> TextReport:
    """What was made of some texts, of which only the `filled` ones are read."""
    return TextReport(
        texts=len(read.tokens),
        truncated=sum(read.cut[place] for place in filled),
        tokens=sum(len(read.tokens[place]) for place in filled),
        padded=padded,
    )
