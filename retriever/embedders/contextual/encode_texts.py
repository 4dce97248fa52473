"""Encoding of texts with a loaded model: from tokens, or with the model's own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from indexes.neighbors import COSINE
from indexes.text.normalize import normalize_all
from retriever.embedders.base import Matrix, TextReport, check_texts, unit
from retriever.embedders.contextual.batching import batches
from retriever.embedders.contextual.runtime import LoadedModel
from retriever.embedders.contextual.tokenizer import ModelTokenizer, TokenizedBatch


@dataclass(frozen=True)
class ModelTexts:
    """Encodes texts with a loaded model, at most `batch_size` at once.

    Texts are read in their normal form (`indexes.text.normalize`). Without a `tokenizer`, the model
    does its own preprocessing. A `task` is `query` or `document`;
    the model's prompt for it is put before every text.
    """

    opened: LoadedModel
    tokenizer: ModelTokenizer | None
    batch_size: int | None

    def encode(self, texts: Sequence[str], task: str) -> tuple[Matrix, TextReport]:
        """Return vectors (len(texts), dim) and the report on the texts.

        They have length 1 for the cosine, else the model's own. Blank texts get zeros.
        """
        check_texts(texts)
        texts = normalize_all(texts)
        if self.tokenizer is None:
            return self._encode_by_model(texts, task)
        card = self.opened.card
        prompt = card.prompt(task)
        vectors, report = np.zeros((len(texts), card.dim), np.float32), TextReport()
        # Tokens of the prompt that are read but not pooled.
        skipped = 0
        if prompt and not card.pools_prompt:
            skipped = self.tokenizer.length_of_prompt(prompt)
        for start, read in self.tokenizer.tokenize_ahead(texts, prompt):
            part = vectors[start : start + len(read.tokens)]
            # Without special tokens, a text of control characters has no token.
            not_blank = _not_blank(texts[start : start + len(part)])
            filled = [place for place in not_blank if read.tokens[place]]
            padded = self._fill(part, read, filled, skipped, task)
            report += _report(read, filled, padded)
        return self._scaled(vectors), report

    def report(self, texts: Sequence[str], task: str) -> TextReport:
        """Return the report on texts, prompt included, without computing vectors."""
        check_texts(texts)
        texts = normalize_all(texts)
        if self.tokenizer is None:
            return self._report_by_model(texts, task)
        report = TextReport()
        for at, read in self.tokenizer.tokenize_ahead(texts, self.opened.card.prompt(task)):
            report += _report(read, _not_blank(texts[at : at + len(read.tokens)]))
        return report

    def _fill(
        self, vectors: Matrix, read: TokenizedBatch, filled: list[int], skipped: int, task: str
    ) -> int:
        """Write the vectors of the `filled` texts to their rows; return the positions computed."""
        engine = self.opened.queries if task == "query" else self.opened.engine
        card, padded = self.opened.card, 0
        parts = batches(
            read.tokens,
            filled,
            pad=card.pad,
            padded=card.padded,
            budget=engine.budget,
            most=self.batch_size,
        )
        for batch, found in engine.embed_all(parts, skipped):
            vectors[batch.places] = found
            padded += batch.ids.size
        return padded

    def _encode_by_model(self, texts: Sequence[str], task: str) -> tuple[Matrix, TextReport]:
        """Return vectors and report of texts that the model preprocesses and batches itself."""
        card, filled = self.opened.card, _not_blank(texts)
        vectors = np.zeros((len(texts), card.dim), np.float32)
        if filled:
            some, prompt = [texts[place] for place in filled], card.prompt(task)
            vectors[filled] = self.opened.model().embed_texts(some, prompt, task, self.batch_size)
        return self._scaled(vectors), self._report_by_model(texts, task)

    def _scaled(self, vectors: Matrix) -> Matrix:
        return unit(vectors) if self.opened.card.similarity == COSINE else vectors

    def _report_by_model(self, texts: Sequence[str], task: str) -> TextReport:
        """Return the report on texts that the model preprocesses itself."""
        prompt = self.opened.card.prompt(task)
        prompted = [prompt + texts[place] for place in _not_blank(texts)]
        lengths = self.opened.model().lengths(prompted, task)
        read = [length if limit is None else min(length, limit) for length, limit in lengths]
        truncated = sum(count < length for count, (length, _) in zip(read, lengths, strict=True))
        return TextReport(texts=len(texts), truncated=truncated, tokens=sum(read))


def _not_blank(texts: Sequence[str]) -> list[int]:
    """Return the positions of the texts that are not blank."""
    return [place for place, text in enumerate(texts) if text.strip()]


def _report(read: TokenizedBatch, filled: Sequence[int], padded: int = 0) -> TextReport:
    """Return the report on texts of which only the `filled` ones are read."""
    return TextReport(
        texts=len(read.tokens),
        truncated=sum(read.cut[place] for place in filled),
        tokens=sum(len(read.tokens[place]) for place in filled),
        padded=padded,
    )
