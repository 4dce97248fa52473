"""GloVe: factorization of the logarithm of co-occurrence counts into vectors, by AdaGrad.

The loss is the sum over all entries x of the co-occurrence matrix of
f(x) * (w_i . c_j + b_i + d_j - log x)**2 / 2 with f(x) = min(1, (x / x_max)**0.75); the final
vector of a word is w + c. Source: Pennington, Socher and Manning 2014, "GloVe: Global Vectors for
Word Representation", https://nlp.stanford.edu/pubs/glove.pdf.

One step takes thousands of entries as products of sparse matrices. Every coordinate moves by
rate * (sum of its gradients) / (mean of the root of its accumulator before and after), which is
what single AdaGrad steps would add up to if the gradients of the step were equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from indexes.progress import Progress
from retriever.embedders.base import Matrix
from retriever.training.checkpoint import Checkpoint, State
from retriever.training.word_vectors.cooccurrence import PAIR, Pairs
from retriever.training.word_vectors.settings import TrainingSettings, epochs_of

RATE, POWER = 0.05, 0.75
PAIRS_AT_ONCE, STEPS_AT_LEAST = 32_768, 200
LARGE_CORPUS = 100_000_000


def x_max_of(settings: TrainingSettings, words: int) -> float:
    """Return the count above which all pairs weigh the same: 10, or 100 from 100 million words on.

    100 is the paper's value for billions of words, 10 that of the authors' demo for 17 million.
    """
    if settings.x_max is not None:
        return settings.x_max
    return 100.0 if words >= LARGE_CORPUS else 10.0


@dataclass(frozen=True)
class Factors:
    """The learned parameters and their AdaGrad accumulators; all float32, changed in place.

    `vectors` (2, words, dim) and `biases` (2, words) hold words first, then contexts; `vector_sums`
    and `bias_sums` accumulate squared gradients, starting at 1.
    """

    vectors: Matrix
    biases: Matrix
    vector_sums: Matrix
    bias_sums: Matrix

    @classmethod
    def start(cls, words: int, dim: int, random: np.random.Generator) -> Factors:
        """Return uniform random numbers within +-0.5 / dim, as in the authors' tool."""
        half, width = np.float32(0.5), np.float32(dim)
        vectors = (random.random((2, words, dim), np.float32) - half) / width
        biases = (random.random((2, words), np.float32) - half) / width
        return cls(vectors, biases, np.ones_like(vectors), np.ones_like(biases))

    def epoch(
        self, pairs: Pairs, x_max: float, seed: tuple[int, int], total: int, progress: Progress
    ) -> float:
        """Run one epoch, files and their batches in random order, and return the mean pair loss."""
        random = np.random.default_rng(seed)
        size = min(PAIRS_AT_ONCE, max(1, pairs.total // STEPS_AT_LEAST))
        loss, done = 0.0, 0
        for number in random.permutation(len(pairs.files)):
            records = np.fromfile(pairs.files[number], PAIR)
            for start in random.permutation(np.arange(0, len(records), size)):
                batch = records[start : start + size]
                loss += self.step(batch, x_max)
                done += len(batch)
                progress(seed[1] * pairs.total + done, total)
        return loss / pairs.total

    def step(self, pairs: NDArray[Any], x_max: float, rate: float = RATE) -> float:
        """Fit some pairs (of `PAIR`) in both directions and return their loss before the step."""
        # Only the words of these pairs change: they are renumbered from 0.
        ends = np.concatenate([pairs["first"], pairs["second"]])
        touched, local = np.unique(ends, return_inverse=True)
        first, second = np.split(local, 2)
        mirrored = first != second  # The entry of a word with itself is its own mirror.
        rows = np.concatenate([first, second[mirrored]])
        columns = np.concatenate([second, first[mirrored]])
        counts = np.concatenate([pairs["count"], pairs["count"][mirrored]])
        words, contexts = self.vectors[0, touched], self.vectors[1, touched]
        errors = (
            np.einsum("ij,ij->i", words[rows], contexts[columns])
            + self.biases[0, touched][rows]
            + self.biases[1, touched][columns]
            - np.log(counts)
        )
        weighted = np.minimum(1.0, (counts / np.float32(x_max)) ** np.float32(POWER)) * errors
        shape = (len(touched), len(touched))
        gradients = csr_matrix((weighted, (rows, columns)), shape)
        squares = csr_matrix((weighted**2, (rows, columns)), shape)
        # All gradients are computed before any vector moves.
        to_words = (gradients @ contexts, squares @ contexts**2)
        to_contexts = (gradients.T @ words, squares.T @ words**2)
        _move(self.vectors[0], self.vector_sums[0], touched, words, *to_words, rate)
        _move(self.vectors[1], self.vector_sums[1], touched, contexts, *to_contexts, rate)
        for side, axis in ((0, 1), (1, 0)):
            values = self.biases[side, touched]
            sums, of_squares = (np.asarray(one.sum(axis)).ravel() for one in (gradients, squares))
            _move(self.biases[side], self.bias_sums[side], touched, values, sums, of_squares, rate)
        return float(np.dot(weighted, errors)) / 2


def _move(
    table: Matrix,
    accumulators: Matrix,
    touched: NDArray[Any],
    values: Matrix,
    gradients: Matrix,
    squares: Matrix,
    rate: float,
) -> None:
    """Update rows of a table; `values`, `gradients` and `squares` are overwritten."""
    roots = accumulators[touched]
    squares += roots
    accumulators[touched] = squares
    # In place: at this size, memory allocation dominates the time.
    np.sqrt(roots, out=roots)
    roots += np.sqrt(squares, out=squares)
    gradients *= np.float32(2 * rate)
    gradients /= roots
    values -= gradients
    table[touched] = values


def factorize(
    pairs: Pairs,
    words: int,
    settings: TrainingSettings,
    x_max: float,
    work: Checkpoint,
    progress: Progress,
) -> tuple[Matrix, list[float], int]:
    """Return the vectors (words, dim), each epoch's mean pair loss and the resumed epochs."""
    factors = Factors.start(words, settings.dim, np.random.default_rng(settings.seed))
    losses: list[float] = []
    state = work.load(vars(factors))
    if state is not None and len(state.arrays.get("losses", ())) == state.epochs:
        factors = Factors(**{name: state.arrays[name] for name in vars(factors)})
        losses = state.arrays["losses"].tolist()
    done, epochs = len(losses), epochs_of(settings, words)
    for epoch in range(done, epochs):
        seed = (settings.seed, epoch)
        losses.append(factors.epoch(pairs, x_max, seed, epochs * pairs.total, progress))
        work.save(State(epoch + 1, {**vars(factors), "losses": np.array(losses)}))
    return factors.vectors[0] + factors.vectors[1], losses, done
