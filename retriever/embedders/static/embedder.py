"""Averaged word vectors: a word means the same everywhere, and a text is the mean of its words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from indexes.errors import DamageError, InputError
from indexes.neighbors import validate_k
from retriever.embedders.base import TEXT_ONLY, EmbedderSpec, Matrix, TextReport, fingerprint_of
from retriever.embedders.static.fit import Fit
from retriever.embedders.static.neighbors import neighbours_of
from retriever.embedders.static.options import StaticOptions
from retriever.embedders.static.vocabulary import TokenRows
from retriever.embedders.static.weighted_mean import Averages, fit_on
from retriever.embedders.tokenization.batch_split import chunks
from retriever.embedders.validation import check_texts
from retriever.embedders.vocabularies import load_vocabulary
from retriever.embedders.word_vectors.vectors import WordVectors

ENDINGS = {".gz", ".txt", ".vec", ".bin", ".model", ".kv", ".w2v", ".glove"}


class StaticEmbedder:
    """Embeds a text as the weighted mean of the vectors of its words, scaled to length 1.

    `model` is a path or a name (see `locate.py`): a file of word vectors, or the folder of a static
    sentence model, whose tokens are then the words. Unknown words count for nothing, except that a
    fastText model with subwords knows every word of a few letters; stop words count as any other. A
    text without a known word gets zeros. In this order:

    - `all_but_top` N: from the vector of every word, the mean over all words is taken away, and
      then the projections on their N principal components (Mu and Viswanath 2018; 0: neither).
      Fitted: over the words of the corpus.
    - `unit_words`: the vector of every word is scaled to length 1; else long ones count for more.
    - `weighting`: what a word weighs (see `weights.py`). `mean`: 1. `idf`: by how many texts of the
      corpus have it. `sif`, `usif`: by how often it occurs (Arora et al. 2017, Ethayarajh 2018).
    - `components`: so many common components of the corpus's texts are taken away from the vector
      of a text; by default as the weighting's paper does: 1 for `sif`, 5 for `usif`, else none.
    - `phrases`: whether neighbouring words are joined where the vocabulary has them as one word.

    Building an index fits all but the plain mean on the corpus first. An embedder that was not
    fitted takes the frequency of a word from its rank in the file; it takes away no components, and
    refuses to encode where they were asked for in so many words.

    Raises:
        InputError: an unknown weighting, a bad number, or a pickle without `trust_pickle`.
        FileFormatError: a file that holds no word vectors, or a damaged one.
        ModelNotAvailableError: no such path or name.
    """

    modalities: tuple[str, ...] = TEXT_ONLY

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        weighting: str = "mean",
        components: int | None = None,
        unit_words: bool = False,
        all_but_top: int = 0,
        phrases: bool | None = None,
        trust_pickle: bool = False,
    ) -> None:
        options = StaticOptions(weighting, components, unit_words, all_but_top)
        vocabulary = load_vocabulary(model, trust_pickle=trust_pickle, phrases=phrases)
        options.check_width(vocabulary.dim)
        self._model, self._phrases = model, phrases
        self._options, self._vocabulary = options, vocabulary
        self._averages = Averages(vocabulary, options)
        self._parameters: bytes | None = None

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
        return self._vocabulary.dim

    @property
    def words(self) -> WordVectors:
        """The vectors of single words: as they are in the source, not scaled.

        Raises:
            InputError: the model has tokens instead of words.
        """
        words = getattr(self._vocabulary, "words", None)
        if isinstance(words, WordVectors):
            return words
        raise InputError(
            f"{self.name} is a table of tokens and has no vectors of words. "
            "To embed a single word, encode it as a text: encode_documents([word])."
        )

    @property
    def lower(self) -> bool:
        """Whether texts are lower-cased: the vocabulary has no upper-case letter."""
        return bool(self._vocabulary.attributes.get("lower", False))

    @property
    def case(self) -> str:
        """How capital letters are treated, in a few words for people."""
        return self._vocabulary.case

    @property
    def teacher(self) -> str | None:
        """The fingerprint of the embedder that this one was distilled from, where it was."""
        return self._vocabulary.teacher

    @cached_property
    def fingerprint(self) -> str:
        """Names the source by its content, so that a file may move and be renamed.

        What was fitted is named by its SHA-256.
        """
        options = self._options
        more: dict[str, Any] = {}
        if options.all_but_top:
            more["all_but_top"] = options.all_but_top
        if options.unit_words:
            more["unit_words"] = True
        if options.removed and (self._parameters is not None or options.components):
            more["components"] = options.removed
        if self._parameters is not None:
            more["fitted"] = hashlib.sha256(self._parameters).hexdigest()
        elif options.weighting != "mean":
            more["frequencies"] = "rank"
        return fingerprint_of(
            kind="static",
            weighting=options.weighting,
            unit=True,
            **self._vocabulary.attributes,
            **more,
        )

    @property
    def spec(self) -> EmbedderSpec:
        """How to load this embedder again, but for what was fitted; a path is absolute.

        Trust in a pickle is not kept: a collection may come from somebody else. Its converted form
        in this user's cache needs none.
        """
        path = Path(self._model).expanduser()
        model = str(path.resolve()) if path.exists() else os.fspath(self._model)
        phrases = {} if self._phrases is None else {"phrases": self._phrases}
        return EmbedderSpec("static", model, {**self._options.chosen(), **phrases})

    # -- fitting --------------------------------------------------------------------------------

    @property
    def needs_fit(self) -> bool:
        """Whether something is to be learnt from a corpus, and has not been."""
        return self._options.needs_corpus and self._parameters is None

    @property
    def parameters(self) -> bytes | None:
        """What was fitted, to be kept; None where nothing was."""
        return self._parameters

    def fitted(self, texts: Iterable[str]) -> StaticEmbedder:
        """The same embedder fitted on the texts of a corpus, read once; this one stays as it is.

        The plain mean has nothing to learn, and is given back as it is.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        if not self._options.needs_corpus:
            return self
        return self._with(fit_on(texts, self._vocabulary, self._options))

    def with_parameters(self, parameters: bytes) -> StaticEmbedder:
        """The same embedder with what was fitted before.

        Raises:
            DamageError: the bytes are not such parameters, or those of other options.
        """
        fit = Fit.from_bytes(parameters)
        options = self._options
        asked = bool(options.all_but_top), bool(options.removed)
        if asked != (fit.top is not None, fit.common is not None):
            raise DamageError(
                f"What was fitted on the corpus was fitted for other options than those of "
                f"{self.name}: {options.chosen()}. Fit it again: build the index with --refit."
            )
        return self._with(fit, parameters)

    def _with(self, fit: Fit, parameters: bytes | None = None) -> StaticEmbedder:
        other = object.__new__(StaticEmbedder)
        other._model, other._phrases = self._model, self._phrases
        other._options, other._vocabulary = self._options, self._vocabulary
        other._averages = Averages(self._vocabulary, self._options, fit)
        other._parameters = parameters or fit.to_bytes()
        return other

    # -- encoding -------------------------------------------------------------------------------

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32; zeros where no word is known.

        Raises:
            InputError: something that is no text (see `check_texts`); or components are to be taken
                away, and nothing was fitted.
        """
        return self.encode_and_report(texts)[0]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """The same as `encode_documents`, to the last bit: words mean the same in a query."""
        check_texts(texts)
        if len(texts) == 1:
            rows = self._vocabulary.rows_of(texts[0])
            if rows is not None:
                return self._averages.of_rows(rows)
        return self.encode_and_report(texts)[0]

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """`encode_documents(texts)`, and how many words occurred and were known."""
        check_texts(texts)
        vectors, report = np.empty((len(texts), self.dim), np.float32), TextReport()
        for chunk in chunks(texts):
            bags = self._vocabulary.bags(chunk)
            done = slice(report.texts, report.texts + len(chunk))
            vectors[done] = self._averages.of_bags(bags)
            report += _report(bags)
        return vectors, report

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """How many words occur in some queries, and how many of them are known."""
        check_texts(texts)
        parts = (_report(self._vocabulary.bags(chunk)) for chunk in chunks(texts))
        return sum(parts, TextReport())

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """For each text, its words that have no vector, each once, in their order."""
        check_texts(texts)
        return self._vocabulary.unknown_words(texts)

    def neighbors(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """The `k` words, or tokens, whose vectors are nearest to a word's, with their cosines.

        The best first, without other spellings of the word itself; none where it is not known.
        Vectors are taken as they are in the source, whatever the options.

        Raises:
            InputError: `k` below 1.
        """
        check_texts([word])
        validate_k(k)
        return neighbours_of(self._vocabulary, word, k)

    def coverage(self, texts: Sequence[str]) -> float:
        """Share of word occurrences that are known; 0.0 where there is no word at all."""
        return self.report_queries(texts).coverage or 0.0


def _report(bags: TokenRows) -> TextReport:
    return TextReport(texts=len(bags), words=bags.occurring, known_words=len(bags.rows))
