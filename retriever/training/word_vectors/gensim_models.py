"""Word2vec and fastText by gensim; one of the modules that may import it.

gensim trains on one file of a million words at a time, with that file's range of the learning rate,
so that a training reports progress within an epoch, can be stopped, and resumes after its last
complete epoch with the same learning rate and random numbers.

Sources: Mikolov et al. 2013, "Distributed Representations of Words and Phrases and their
Compositionality" (skip-gram with negative sampling and subsampling of frequent words); Bojanowski
et al. 2017, "Enriching Word Vectors with Subword Information".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.progress import Progress
from retriever.embedders.base import Matrix
from retriever.training.checkpoint import Checkpoint, State
from retriever.training.word_vectors.corpus_files import WordFiles
from retriever.training.word_vectors.settings import FASTTEXT, TrainingSettings, epochs_of

# The learning rate falls linearly.
FIRST_RATE, LAST_RATE = 0.025, 0.0001
NEGATIVE, SAMPLE = 5, 1e-3
SHORTEST_NGRAM, LONGEST_NGRAM = 3, 6


class NeuralModel:
    """A gensim model over a vocabulary (most frequent words first)."""

    def __init__(
        self, settings: TrainingSettings, vocabulary: Mapping[str, int], texts: int
    ) -> None:
        from gensim.models import FastText, Word2Vec

        self._settings, self._vocabulary = settings, vocabulary
        common = {
            "vector_size": settings.dim,
            "window": settings.window,
            "min_count": 1,  # The vocabulary is filtered already.
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
            # gensim would recompute all word vectors after every file; see `vectors`.
            self._model._clear_post_train = lambda: None
        else:
            self._model = Word2Vec(**common)
        self._model.build_vocab_from_freq(dict(vocabulary), corpus_count=texts)

    def train(self, words: WordFiles, work: Checkpoint, progress: Progress) -> int:
        """Train all epochs, or those left of an interrupted training; return how many were done."""
        epochs = epochs_of(self._settings, words.words)
        total = epochs * words.words
        state = work.load(self._arrays())
        if state is not None:
            self._set(state)
        first = state.epochs if state else 0
        for epoch in range(first, epochs):
            done = epoch * words.words
            for file, count in zip(words.files, words.words_of, strict=True):
                self._model.train(
                    corpus_file=str(file),
                    total_words=count,
                    epochs=1,
                    start_alpha=_rate(done / total),
                    end_alpha=_rate((done + count) / total),
                )
                done += count
                progress(done, total)
            work.save(State(epoch + 1, self._arrays()))
        return first

    def vectors(self) -> Matrix:
        """Return the word vectors (words, dim) in the vocabulary's order."""
        if self._settings.kind == FASTTEXT:
            self._model.wv.adjust_vectors()
        keyed = self._model.wv
        # gensim orders words of equal frequency differently.
        rows = [keyed.key_to_index[word] for word in self._vocabulary]
        return np.asarray(keyed.vectors[rows], np.float32)

    def save_subwords(self, path: Path) -> None:
        """Write a fastText model with its n-grams in the binary format of Facebook's tool."""
        from gensim.models.fasttext import save_facebook_model

        # The format stores training settings, too: gensim needs the number of words it read.
        self._model.corpus_total_words = sum(
            self._model.wv.get_vecattr(word, "count") for word in self._model.wv.index_to_key
        )
        save_facebook_model(self._model, str(path))

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


def _rate(progress: float) -> float:
    return FIRST_RATE - (FIRST_RATE - LAST_RATE) * progress
