"""The fit of a static embedder on a corpus: its stored form, and the word weights from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.base import Matrix
from retriever.embedders.sealed import seal, unseal
from retriever.embedders.static import weighting as weights
from retriever.embedders.static.components import CommonComponents, conceptor, top_components
from retriever.embedders.static.corpus_counts import WordCounts
from retriever.embedders.static.options import StaticOptions
from retriever.embedders.static.vocabulary import Vocabulary

# The first bytes: a name and a version; see `seal`.
HEAD = b"retriever fit 1\n"
# A word that occurs once weighs as much as an unseen one: no need to keep it.
KEPT = 2
# With fewer distinct words than this times the dimension, common directions are unreliable.
WORDS_PER_DIMENSION = 10
# The order decides the bytes, and so the fingerprint.
ARRAYS = ("rows", "occurrences", "texts_with", "others", "other_occurrences", "other_texts_with")
PARTS = ("mean", "directions", "shares")
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fit:
    """Statistics of a corpus of `texts` with `words` word occurrences, known or not.

    `rows` (kept,) int64 are the vocabulary's rows that occur at least twice, ascending, with their
    `occurrences` and `texts_with`. `others` are words built from subwords, with
    `other_occurrences` and `other_texts_with`. `usif_a` is uSIF's parameter. `top` are the common
    components of words, `common` those of texts; None if not requested. `chosen` is how the options
    were chosen, if they were: see `choosing.Choice`.
    """

    texts: int
    words: int
    usif_a: float
    rows: Integers
    occurrences: Integers
    texts_with: Integers
    others: tuple[str, ...]
    other_occurrences: Integers
    other_texts_with: Integers
    top: CommonComponents | None = None
    common: CommonComponents | None = None
    chosen: Mapping[str, Any] | None = None

    def suits(self, options: StaticOptions) -> bool:
        """Whether components are there where the options remove some, of their kind, no more.

        There are fewer where the table or the texts have no more directions, even none.
        """
        top, common = self.top, self.common
        if (top is not None, common is not None) != (options.changes_words, options.removed > 0):
            return False
        if common is not None and len(common.shares) > options.removed:
            return False
        # Of one component, the share is the whole by either method.
        if common is not None and len(common.shares) > 1:
            weighted = bool((common.shares < 1).any())
            if weighted != (options.weighting == "usif"):
                return False
        if top is None or options.conceptor:
            return top is None or bool((top.shares < 1).all())
        return len(top.shares) <= options.all_but_top and bool((top.shares == 1).all())

    def weigh(self, weighting: str, occurrences: Any, texts_with: Any) -> NDArray[np.float64]:
        """Return weights for these term and document frequencies."""
        if weighting == "idf":
            return weights.idf(np.asarray(texts_with), self.texts)
        often = np.maximum(np.asarray(occurrences, np.float64), 1.0)
        return _of_probabilities(weighting, often / max(self.words, 1), self.usif_a)

    def weights_of_others(self, weighting: str) -> dict[str, float]:
        """Return the weight of each of `others`."""
        found = self.weigh(weighting, self.other_occurrences, self.other_texts_with)
        return dict(zip(self.others, found.astype(np.float32).tolist(), strict=True))

    def to_bytes(self) -> bytes:
        """Serialize deterministically, without pickle."""
        arrays = {
            "counts": np.array([self.texts, self.words], np.int64),
            "usif_a": np.array([self.usif_a]),
            **{name: getattr(self, name) for name in ARRAYS},
            # No word has a line break.
            "others": np.frombuffer("\n".join(self.others).encode(), np.uint8),
            **_arrays_of("top", self.top),
            **_arrays_of("common", self.common),
        }
        if self.chosen is not None:
            kept = json.dumps(self.chosen, sort_keys=True)
            arrays["chosen"] = np.frombuffer(kept.encode(), np.uint8)
        file = BytesIO()
        np.savez(file, allow_pickle=False, **arrays)
        return seal(HEAD, file.getvalue())

    @staticmethod
    def from_bytes(kept: bytes) -> Fit:
        """Read what `to_bytes` wrote, or raise `DamageError`."""
        with np.load(BytesIO(unseal(HEAD, kept)), allow_pickle=False) as arrays:
            joined = arrays["others"].tobytes().decode()
            parts: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
            parts["texts"], parts["words"] = arrays["counts"].tolist()
            parts["usif_a"] = float(arrays["usif_a"][0])
            parts["others"] = tuple(joined.split("\n")) if joined else ()
            parts |= {name: _common_of(name, arrays) for name in ("top", "common")}
            if "chosen" in arrays:
                parts["chosen"] = json.loads(arrays["chosen"].tobytes())
            return Fit(**parts)


def fit_of_counts(counts: WordCounts, top: CommonComponents | None) -> Fit:
    """Build a fit from counts, without common components of texts."""
    rows = np.flatnonzero(counts.occurrences >= KEPT)
    others = sorted(word for word, (often, _) in counts.others.items() if often >= KEPT)
    pairs = np.array([counts.others[word] for word in others], np.int64).reshape(-1, 2)
    own = counts.occurrences[counts.occurrences > 0]
    every = np.concatenate([own, [often for often, _ in counts.others.values()]])
    probabilities = every / max(counts.words, 1)
    return Fit(
        texts=counts.texts,
        words=counts.words,
        usif_a=weights.usif_a(probabilities, counts.words / max(counts.texts, 1)),
        rows=rows.astype(np.int64),
        occurrences=counts.occurrences[rows],
        texts_with=counts.texts_with[rows],
        others=tuple(others),
        other_occurrences=np.ascontiguousarray(pairs[:, 0]),
        other_texts_with=np.ascontiguousarray(pairs[:, 1]),
        top=top,
    )


def top_of_corpus(
    counts: WordCounts, vocabulary: Vocabulary, options: StaticOptions
) -> CommonComponents | None:
    """Return the components that the options remove from words; None if they remove none.

    The papers use all words of the file; the distinct words of the corpus retrieve better
    (benchmarks/README.md). With few words in the corpus, the entire file is used.
    """
    rows = np.flatnonzero(counts.occurrences)
    few = len(rows) < WORDS_PER_DIMENSION * vocabulary.dim
    return word_components(vocabulary.vectors, options, None if few else rows)


def word_components(
    table: Matrix, options: StaticOptions, rows_of_words: NDArray[np.int64] | None = None
) -> CommonComponents | None:
    """Return the components that the options remove from the words of a table, or some rows."""
    if options.conceptor:
        return conceptor(table, rows_of_words=rows_of_words)
    if options.all_but_top:
        return top_components(table, options.all_but_top, rows_of_words=rows_of_words)
    return None


def row_weights(
    weighting: str, fit: Fit | None, number: int, *, rank_floor: bool = False
) -> Matrix:
    """Return the weight of each of a vocabulary's `number` rows, float32; not for `mean`.

    With `rank_floor`, a word is at least as frequent as by rank: "what" and "how" are rare in
    abstracts, and a weighting by the corpus alone takes them for the rarest words of a question.

    Without a fit, word probabilities come from ranks (`weighting.zipf`): SIF and uSIF use them,
    uSIF for texts of 11 words, and `idf` is -ln p.
    """
    if fit is None:
        p = weights.zipf(number)
        a = weights.usif_a(p, weights.WORDS_OF_A_SENTENCE)
        return _of_probabilities(weighting, p, a).astype(np.float32)
    # Another file may have fewer rows; the fingerprint detects that.
    here = fit.rows < number
    if not rank_floor:
        result = np.full(number, fit.weigh(weighting, 1, 1), np.float32)
        result[fit.rows[here]] = fit.weigh(weighting, fit.occurrences[here], fit.texts_with[here])
        return result
    p, length = weights.zipf(number), fit.words / max(fit.texts, 1)
    occurrences, texts_with = p * fit.words, fit.texts * -np.expm1(length * np.log1p(-p))
    rows = fit.rows[here]
    occurrences[rows] = np.maximum(occurrences[rows], fit.occurrences[here])
    texts_with[rows] = np.maximum(texts_with[rows], fit.texts_with[here])
    return fit.weigh(weighting, occurrences, texts_with).astype(np.float32)


def _of_probabilities(
    weighting: str, probabilities: NDArray[np.float64], usif_a: float
) -> NDArray[np.float64]:
    if weighting == "sif":
        return weights.sif(probabilities)
    if weighting == "usif":
        return weights.usif(probabilities, usif_a)
    return np.asarray(-np.log(probabilities), np.float64)


def _arrays_of(name: str, common: CommonComponents | None) -> dict[str, NDArray[Any]]:
    return {} if common is None else {f"{name}_{part}": getattr(common, part) for part in PARTS}


def _common_of(name: str, arrays: Any) -> CommonComponents | None:
    if f"{name}_mean" not in arrays:
        return None
    return CommonComponents(*(arrays[f"{name}_{part}"] for part in PARTS))
