"""Averaged word vectors: a word means the same everywhere, and a text is the mean of its words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from indexes.errors import InputError
from retriever.embedders import pooling
from retriever.embedders.base import EmbedderSpec, Matrix, TextReport, fingerprint_of, unit
from retriever.embedders.locate import locate_words
from retriever.embedders.texts import check_texts
from retriever.embedders.tokens import chunks, split
from retriever.embedders.words import WordVectors, load_words

__all__ = ["StaticEmbedder"]

WEIGHTINGS = ("mean",)
ENDINGS = {".gz", ".txt", ".vec", ".bin", ".model", ".kv", ".w2v", ".glove"}


class StaticEmbedder:
    """Embeds a text as the mean of the vectors of its words, scaled to length 1.

    `model` is a path or a name (see `locate.py`); `words` gives the vector of a single word, as in
    `embedder.words["apple"]`. Words are runs of letters, marks and digits (see `tokens.py`),
    lower-cased exactly where the vocabulary has no upper-case letter. How words are averaged is
    said by `pooling.mean`. Unknown words count for nothing, except that a fastText model with
    subwords knows every word of a few letters. A text without a known word gets zeros.

    Raises:
        InputError: an unknown weighting, or a pickle without `trust_pickle`.
        FileFormatError: a file that holds no word vectors, or a damaged one.
        ModelNotAvailableError: no such path or name.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        weighting: str = "mean",
        trust_pickle: bool = False,
    ) -> None:
        if weighting not in WEIGHTINGS:
            known = ", ".join(WEIGHTINGS)
            raise InputError(f"Unknown weighting '{weighting}'. It can be: {known}.")
        self._model, self._weighting = model, weighting
        self._words = load_words(locate_words(model), trust_pickle=trust_pickle)

    @property
    def name(self) -> str:
        """The model's name, or its file's without the ending."""
        path = Path(self._model)
        while path.suffix.lower() in ENDINGS:
            path = path.with_suffix("")
        return path.name

    @property
    def dim(self) -> int:
        """The width of the word vectors."""
        return self._words.dim

    @property
    def words(self) -> WordVectors:
        """The vectors of single words: as they are in the source, not scaled."""
        return self._words

    @property
    def lower(self) -> bool:
        """Whether texts are lower-cased: the vocabulary has no upper-case letter."""
        return not self._words.has_upper_case

    @cached_property
    def fingerprint(self) -> str:
        """Names the source by its content, so that a file may move and be renamed."""
        return fingerprint_of(
            kind="static",
            source=self._words.checksum,
            weighting=self._weighting,
            words="unicode L, M, N",
            lower=self.lower,
            subwords=self._words.subwords is not None,
            unit=True,
        )

    @property
    def spec(self) -> EmbedderSpec:
        """How to load this embedder again; a path is absolute.

        Trust in a pickle is not kept: a collection may come from somebody else. Its converted form
        in this user's cache needs none.
        """
        path = Path(self._model).expanduser()
        model = str(path.resolve()) if path.exists() else os.fspath(self._model)
        return EmbedderSpec("static", model, {"weighting": self._weighting})

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32; zeros where no word is known.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        return self.encode_and_report(texts)[0]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """The same as `encode_documents`: words mean the same in a query."""
        return self.encode_and_report(texts)[0]

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """`encode_documents(texts)`, and how many words occurred and were known."""
        check_texts(texts)
        vectors, report = np.empty((len(texts), self.dim), np.float32), TextReport()
        for chunk in chunks(texts):
            means, part = self._encode_chunk(chunk)
            vectors[report.texts : report.texts + len(chunk)] = unit(means)
            report += part
        return vectors, report

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """How many words occur in some queries, and how many of them are known."""
        return self.encode_and_report(texts)[1]

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """For each text, its words that have no vector, each once, in their order."""
        check_texts(texts)
        words = split(texts, lower=self.lower)
        rows, _ = self._words.table(words.distinct)
        missing = {word for word, row in zip(words.distinct, rows.tolist(), strict=True) if row < 0}
        return [
            [word for word in dict.fromkeys(words.of(text)) if word in missing]
            for text in range(len(words))
        ]

    def coverage(self, texts: Sequence[str]) -> float:
        """Share of word occurrences that are known; 0.0 where there is no word at all."""
        return self.report_queries(texts).coverage or 0.0

    def _encode_chunk(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        words = split(texts, lower=self.lower)
        rows, table = self._words.table(words.distinct)
        occurring, known = pooling.counts_of(words, rows)
        report = TextReport(texts=len(texts), words=occurring, known_words=known)
        return pooling.mean(words, rows, table), report
