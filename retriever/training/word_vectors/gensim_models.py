"""Word2vec and fastText by gensim: a door to it.

gensim is given one file of a million words at a time, with the stretch of the learning rate that is
this file's, so that a training reports within an epoch, can be stopped, and goes on after its last
whole epoch with the rate and the random numbers that it would have had.

Sources: Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their
Compositionality" (skip-gram with negative sampling, frequent words left out at random); Bojanowski
et al. 2017, "Enriching Word Vectors with Subword Information".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.progress import Progress
from retriever.embedders.base import Matrix
from retriever.training.checkpoint import Checkpoint, State
from retriever.training.word_vectors.corpus_files import WordFiles
from retriever.training.word_vectors.settings import FASTTEXT, Settings, epochs_of

# The learning rate falls in a straight line, and never to nothing.
FIRST_RATE, LAST_RATE = 0.025, 0.0001
NEGATIVE, SAMPLE = 5, 1e-3
SHORTEST_NGRAM, LONGEST_NGRAM = 3, 6


class NeuralModel:
    """A gensim model over a vocabulary (most frequent words first), trained or to be trained."""

    def __init__(self, settings: Settings, vocabulary: Mapping[str, int], texts: int) -> None:
        from gensim.models import FastText, Word2Vec

        self._settings, self._vocabulary = settings, vocabulary
        common = {
            "vector_size": settings.dim,
            "window": settings.window,
            "min_count": 1,  # The vocabulary has been chosen.
            "seed": settings.seed,
            "workers": settings.workers,
            "sg": 0 if settings.cbow else 1,
            "hs": 0,
            "negative": NEGATIVE,
            "sample": SAMPLE,
        }
        if settings.kind == FASTTEXT:
            ngrams = {"min_n": SHORTEST_NGRAM, "max_n": LONGEST_NGRAM, "bucket": settings.buckets}
            self._model: Any = FastText(**common, **ngrams)
            # It would put the words' vectors together again after every file; see `vectors`.
            self._model._clear_post_train = _nothing
        else:
            self._model = Word2Vec(**common)
        self._model.build_vocab_from_freq(dict(vocabulary), corpus_count=texts)

    def train(self, words: WordFiles, work: Checkpoint, progress: Progress) -> int:
        """Train all epochs, or those that are left of an interrupted training.

        Gives how many were done before.
        """
        epochs = epochs_of(self._settings, words.words)
        total = epochs * words.words
        state = work.state(self._arrays())
        if state is not None:
            self._set(state)
        first = state.epochs if state else 0
        for epoch in range(first, epochs):
            for file, start, count in _stretches(words):
                done = epoch * words.words + start
                self._train_file(file, count, done / total, (done + count) / total)
                progress(done + count, total)
            work.keep(State(epoch + 1, self._arrays()))
        return first

    def vectors(self) -> Matrix:
        """The vectors of the words, (words, dim), in the vocabulary's order."""
        if self._settings.kind == FASTTEXT:
            self._model.wv.adjust_vectors()
        keyed = self._model.wv
        # gensim puts words that occur equally often into an order of its own.
        vectors: Matrix = keyed.vectors[[keyed.key_to_index[word] for word in self._vocabulary]]
        return vectors

    def save_subwords(self, path: Path) -> None:
        """Write a fastText model in the binary format of Facebook's tool, n-grams and all."""
        from gensim.models.fasttext import save_facebook_model

        # The format holds the tool's own settings, too: gensim must know how many words it saw.
        self._model.corpus_total_words = sum(
            self._model.wv.get_vecattr(word, "count") for word in self._model.wv.index_to_key
        )
        save_facebook_model(self._model, str(path))

    def _train_file(self, file: Path, count: int, start: float, end: float) -> None:
        self._model.train(
            corpus_file=str(file),
            total_words=count,
            epochs=1,
            start_alpha=_rate(start),
            end_alpha=_rate(end),
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        model = self._model
        _, keys, position, *_ = model.random.get_state()
        arrays = {"out": model.syn1neg, "keys": keys, "position": np.array(position)}
        return arrays | {name: getattr(model.wv, name) for name in self._tables}

    def _set(self, state: State) -> None:
        model, arrays = self._model, state.arrays
        model.syn1neg = arrays["out"]
        model.random.set_state(("MT19937", arrays["keys"], int(arrays["position"])))
        for name in self._tables:
            setattr(model.wv, name, arrays[name])

    @property
    def _tables(self) -> tuple[str, ...]:
        fasttext = self._settings.kind == FASTTEXT
        return ("vectors_vocab", "vectors_ngrams") if fasttext else ("vectors",)


def _stretches(words: WordFiles) -> Iterator[tuple[Path, int, int]]:
    """Each file, the words before it, and the words in it."""
    before = 0
    for file, count in zip(words.files, words.words_of, strict=True):
        yield file, before, count
        before += count


def _rate(progress: float) -> float:
    return FIRST_RATE - (FIRST_RATE - LAST_RATE) * progress


def _nothing() -> None:
    """What is not done after a file."""
