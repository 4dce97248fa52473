"""The static embedder: a text is the weighted mean of its word vectors."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.document import Document
from indexes.errors import DamageError, InputError
from indexes.neighbors import validate_k
from indexes.text.compounds import Compounds
from indexes.text.words import text_chunks
from retriever.embedders.base import (
    TEXT_ONLY,
    EmbedderSpec,
    Matrix,
    TextReport,
    check_texts,
    fingerprint_of,
)
from retriever.embedders.static.corpus_counts import CountAll, TextCounts, counts_of
from retriever.embedders.static.fit import Fit
from retriever.embedders.static.loading import load_vocabulary
from retriever.embedders.static.neighbors import neighbors_of
from retriever.embedders.static.options import AUTO, OPTION_HELP, StaticOptions
from retriever.embedders.static.vocabulary import TokenRows
from retriever.embedders.static.weighted_mean import WeightedMeans, fit_on
from retriever.embedders.static.word_vocabulary import WordVocabulary
from retriever.embedders.validation import place_of
from retriever.embedders.word_vectors.vectors import WordVectors

if TYPE_CHECKING:
    from retriever.embedders.static.choosing import Choice

ENDINGS = {".gz", ".txt", ".vec", ".bin", ".model", ".kv", ".w2v", ".glove"}


class StaticEmbedder:
    """Weighted mean of the word vectors of a text, scaled to length 1.

    `model` is a path or a name (see `hub.py`): a file of word vectors, or the folder of a static
    sentence model, where tokens take the place of words. Unknown words are ignored, unless a
    fastText model builds them from subwords; stop words count as any other. A text without a known
    word gets zeros. Steps, in this order:

    - `all_but_top` N: subtract the mean of all words from each word vector, then its projections
      on their N principal components (Mu and Viswanath 2018; 0: neither). Fitted: over the words
      of the corpus.
    - `conceptor`: instead, shrink every direction by how much the words share it (Liu et al. 2019;
      of the corpus, if fitted).
    - `unit_words`: scale each word vector to length 1; otherwise long ones count for more.
    - `weighting` (see `weighting.py`): `mean`: 1. `idf`: by document frequency. `sif`, `usif`: by
      word frequency (Arora et al. 2017, Ethayarajh 2018). `auto`: this and the other options here
      are chosen on the corpus, without judgments: see `choosing.py`.
    - `rank_floor`: take no word for rarer than its rank in the vocabulary says.
    - `components`: number of common components of the corpus's texts to remove from each text
      vector; by default as in the weighting's paper: 1 for `sif`, 5 for `usif`, else none.
    - `phrases`: whether adjacent words are joined if the vocabulary has them as one entry.

    `skip_bad_words` leaves out words of the file that are not UTF-8, instead of refusing the file;
    `notes` say how many.

    Building an index fits all but the plain mean on the corpus first. An unfitted embedder derives
    word frequencies from ranks in the file and the components of words from all of its words,
    removes none of texts, and refuses to encode if `components` was set explicitly.

    Raises:
        InputError: an unknown weighting, a bad number, or a pickle without `trust_pickle`.
        FileFormatError: the file is damaged or holds no word vectors.
        ModelNotAvailableError: no such path or name.
    """

    modalities: tuple[str, ...] = TEXT_ONLY
    brief = True
    option_help = OPTION_HELP

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        weighting: str = "mean",
        components: int | None = None,
        unit_words: bool = False,
        all_but_top: int = 0,
        conceptor: bool = False,
        rank_floor: bool = False,
        phrases: bool | None = None,
        trust_pickle: bool = False,
        skip_bad_words: bool = False,
    ) -> None:
        options = StaticOptions(
            weighting, components, unit_words, all_but_top, conceptor, rank_floor
        )
        vocabulary = load_vocabulary(
            model, trust_pickle=trust_pickle, phrases=phrases, skip_bad_words=skip_bad_words
        )
        options.check_width(vocabulary.dim)
        self._model = place_of(model)
        self._phrases, self._skip_bad_words = phrases, skip_bad_words
        self._asked = self._options = options
        self._vocabulary = vocabulary
        self._choice: Choice | None = None
        words = getattr(vocabulary, "words", None)
        # Whether unknown words get a vector from their subwords, as by fastText.
        self.guesses = isinstance(words, WordVectors) and words.subwords is not None
        self._averages = WeightedMeans(vocabulary, options)
        self._parameters: bytes | None = None
        self._fit_digest = ""

    @property
    def name(self) -> str:
        """Name of the model, or of its file without suffixes."""
        path = Path(self._model)
        while path.suffix.lower() in ENDINGS:
            path = path.with_suffix("")
        return path.name

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return self._vocabulary.dim

    @property
    def words(self) -> WordVectors:
        """Vectors of single words, unscaled as in the source.

        Raises:
            InputError: the model has tokens instead of words.
        """
        words = getattr(self._vocabulary, "words", None)
        if isinstance(words, WordVectors):
            return words
        raise InputError(
            f"{self.name} is a table of tokens and has no vectors of words. "
            "To embed one word, encode it as a text: encode_documents([word])."
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the file of word vectors and on chosen options, one sentence each."""
        words = getattr(self._vocabulary, "words", None)
        notes = tuple(words.notes) if isinstance(words, WordVectors) else ()
        return notes if self._choice is None else (*notes, str(self._choice))

    @property
    def chosen(self) -> StaticOptions | None:
        """The options that `weighting="auto"` has chosen on a corpus; None if it has not."""
        return None if self._choice is None else self._choice.options

    @property
    def lower(self) -> bool:
        """Whether texts are lower-cased: the vocabulary has no upper-case letter."""
        return bool(self._vocabulary.attributes.get("lower", False))

    @property
    def case(self) -> str:
        """Readable description of how capital letters are treated."""
        return self._vocabulary.case

    @property
    def unreachable(self) -> float | None:
        """Share of the vocabulary's words that no text can have as one word; None for tokens."""
        return getattr(self._vocabulary, "unreachable", None)

    @property
    def teacher(self) -> str | None:
        """Fingerprint of the embedder that this one was distilled from, if any."""
        return self._vocabulary.teacher

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the source's content (not its path), the options and the fit's SHA-256."""
        options, fitted = self._options, self._parameters
        if not options.needs_corpus:  # chosen, and nothing of it is fitted
            fitted = None
        parts: dict[str, Any] = {"weighting": options.weighting, **self._vocabulary.attributes}
        if options.all_but_top:
            parts["all_but_top"] = options.all_but_top
        for name in ("unit_words", "conceptor", "rank_floor"):
            if getattr(options, name):
                parts[name] = True
        if options.removed and (fitted is not None or options.components):
            parts["components"] = options.removed
        if fitted is not None:
            parts["fitted"] = self._fit_digest
        elif options.weighting not in ("mean", AUTO):
            parts["frequencies"] = "rank"
        return fingerprint_of(kind="static", unit=True, **parts)

    @property
    def spec(self) -> EmbedderSpec:
        """How to load this embedder again, without its fit; paths are absolute.

        `trust_pickle` is not stored, since a collection may come from another person. The converted
        form in this user's cache does not need it.
        """
        path = Path(self._model).expanduser()
        model = str(path.resolve()) if path.exists() else os.fspath(self._model)
        phrases = {} if self._phrases is None else {"phrases": self._phrases}
        skip = {"skip_bad_words": True} if self._skip_bad_words else {}
        return EmbedderSpec("static", model, {**self._asked.chosen(), **phrases, **skip})

    @property
    def needs_fit(self) -> bool:
        """Whether the options require a fit and there is none yet."""
        return self._asked.needs_corpus and self._parameters is None

    @property
    def needs_choice(self) -> bool:
        """Whether `weighting="auto"` has chosen nothing yet."""
        return self._options.is_auto

    def chosen_for(self, documents: Iterable[Document]) -> StaticEmbedder:
        """Return a copy with the options that suit a corpus, read once: for `weighting="auto"`.

        It is still to be fitted.
        """
        if not self.needs_choice:
            return self
        from retriever.embedders.static.choosing import choose  # for `auto` alone

        return self._copy(choose(documents, self._vocabulary))

    @property
    def parameters(self) -> bytes | None:
        """The fit as bytes; None if there is none."""
        return self._parameters

    def fitted(self, texts: Iterable[str]) -> StaticEmbedder:
        """Return a copy fitted on the texts of a corpus, read once; the plain mean returns itself.

        Raises:
            InputError: an item is not a text; see `check_texts`.
        """
        return self.fitted_in_parts(texts, lambda lists: map(self.part_of_fit, lists))

    def part_of_fit(self, texts: Sequence[str]) -> TextCounts:
        """Return the word counts of some texts: all that a fit needs, but for a sample of texts."""
        return counts_of(texts, self._vocabulary)

    def fitted_in_parts(self, texts: Iterable[str], parts: CountAll) -> StaticEmbedder:
        """Return as `fitted`, to the last bit; see `FitsInParts`."""
        if not self._asked.needs_corpus:
            return self
        if self.needs_choice:
            if not isinstance(texts, str | bytes):
                texts = list(texts)
            check_texts(texts)
            numbered = (Document(str(number), text) for number, text in enumerate(texts))
            return self.chosen_for(numbered).fitted_in_parts(texts, parts)
        fit = fit_on(texts, self._vocabulary, self._options, parts)
        if self._choice is not None:
            fit = replace(fit, chosen=self._choice.as_json())
        return self._copy(self._choice, fit, fit.to_bytes())

    def with_parameters(self, parameters: bytes) -> StaticEmbedder:
        """Return a copy with an earlier fit.

        Raises:
            DamageError: the bytes are damaged, or were fitted for other options.
        """
        fit, options, choice = Fit.from_bytes(parameters), self._options, None
        if self._asked.is_auto and fit.chosen is not None:
            from retriever.embedders.static.choosing import Choice

            choice = Choice.of_json(dict(fit.chosen))
            options = choice.options
        if options.is_auto or not fit.suits(options):
            raise DamageError(
                f"The stored fit was fitted for other options than those of {self.name}: "
                f"{options.chosen()}. Build the index with --refit (refit=True)."
            )
        return self._copy(choice, fit, parameters)

    def _copy(
        self, choice: Choice | None, fit: Fit | None = None, parameters: bytes | None = None
    ) -> StaticEmbedder:
        other = object.__new__(StaticEmbedder)
        other._model, other._phrases = self._model, self._phrases
        other._skip_bad_words = self._skip_bad_words
        other._asked, other._choice = self._asked, choice
        other._options = self._options if choice is None else choice.options
        other._vocabulary, other.guesses = self._vocabulary, self.guesses
        other._averages = WeightedMeans(self._vocabulary, other._options, fit)
        other._parameters, other._fit_digest = parameters, ""
        if fit is not None and parameters is not None:
            # That of the same options given by name.
            own = parameters if fit.chosen is None else replace(fit, chosen=None).to_bytes()
            other._fit_digest = hashlib.sha256(own).hexdigest()
        return other

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors (len(texts), dim) float32; zeros where no word is known.

        Raises:
            InputError: an item is not a text (see `check_texts`), or `components` is set, but
                nothing was fitted.
        """
        return self.encode_and_report(texts)[0]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the same vectors as `encode_documents`, to the last bit."""
        check_texts(texts)
        if len(texts) == 1:
            rows = self._vocabulary.rows_of(texts[0])
            if rows is not None:
                return self._averages.of_text(rows)
        return self.encode_and_report(texts)[0]

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """Return `encode_documents(texts)`, and the numbers of words and known words."""
        check_texts(texts)
        vectors, report = np.empty((len(texts), self.dim), np.float32), TextReport()
        for chunk in text_chunks(texts):
            bags = self._vocabulary.bags(chunk)
            done = slice(report.texts, report.texts + len(chunk))
            vectors[done] = self._averages.of_batch(bags)
            report += _report(bags)
        return vectors, report

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """Count the words of queries, and those that are known."""
        check_texts(texts)
        parts = (_report(self._vocabulary.bags(chunk)) for chunk in text_chunks(texts))
        return sum(parts, TextReport())

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """Return, for each text, its distinct words without a vector, in order."""
        check_texts(texts)
        return self._vocabulary.unknown_words(texts)

    @property
    def compounds(self) -> Compounds | None:
        """Entries such as `c++`, by which texts are read; None for a vocabulary without any."""
        return self._vocabulary.compounds if isinstance(self._vocabulary, WordVocabulary) else None

    def neighbors(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """Return the `k` nearest words (or tokens) of a word and their cosines, best first.

        Other spellings of the word by case are left out; an unknown word has none. Vectors are
        those of the source, whatever the options.

        Raises:
            InputError: `k` below 1.
        """
        check_texts([word])
        validate_k(k)
        return neighbors_of(self._vocabulary, word, k)

    def coverage(self, texts: Sequence[str]) -> float:
        """Return the share of word occurrences that are known; 0.0 without any word.

        Words that fastText builds from their subwords are not known: see `TextReport.guessed`.
        """
        return self.report_queries(texts).coverage or 0.0


def _report(bags: TokenRows) -> TextReport:
    made = bags.ids < 0
    guessed = int(made[bags.rows].sum()) if made.any() else 0
    return TextReport(
        texts=len(bags),
        words=bags.occurring,
        known_words=len(bags.rows) - guessed,
        guessed_words=guessed,
    )
