"""GloVe: the logarithm of how often two words meet, factorised into vectors by AdaGrad.

Minimised is the sum over all entries x of the co-occurrence matrix of
f(x) * (w_i . c_j + b_i + d_j - log x)**2 / 2 with f(x) = min(1, (x / x_max)**0.75); a word's vector
is w + c at the end. Source: Pennington, Socher and Manning 2014, "GloVe: Global Vectors for Word
Representation", https://nlp.stanford.edu/pubs/glove.pdf.

Some thousand entries are taken in one step, as products of sparse matrices. Every coordinate moves
by rate * (sum of its gradients) / mean of the root of its accumulator before and after: so much as
single steps of AdaGrad would add up to, were the gradients of the step alike.
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
from retriever.training.word_vectors.settings import Settings, epochs_of

RATE, POWER = 0.05, 0.75
PAIRS_AT_ONCE, STEPS_AT_LEAST = 32_768, 200
LARGE_CORPUS = 100_000_000


def x_max_of(settings: Settings, words: int) -> float:
    """From which count on all pairs weigh alike: 10, and 100 from 100 million words on.

    100 is the paper's, for billions of words; 10 is that of the authors' own demo, for 17 million.
    """
    if settings.x_max is not None:
        return settings.x_max
    return 100.0 if words >= LARGE_CORPUS else 10.0


@dataclass(frozen=True)
class Factors:
    """What is learnt, and AdaGrad's accumulators beside it; all float32, changed in place.

    `vectors` (2, words, dim) are those of words and of contexts, `biases` (2, words); `vector_sums`
    and `bias_sums` add up the squares of the gradients, from 1.
    """

    vectors: Matrix
    biases: Matrix
    vector_sums: Matrix
    bias_sums: Matrix

    @classmethod
    def start(cls, words: int, dim: int, random: np.random.Generator) -> Factors:
        """Small random numbers, as in the authors' tool: within half of 1/dim around 0."""
        half, width = np.float32(0.5), np.float32(dim)
        vectors = (random.random((2, words, dim), np.float32) - half) / width
        biases = (random.random((2, words), np.float32) - half) / width
        return cls(vectors, biases, np.ones_like(vectors), np.ones_like(biases))

    def step(self, pairs: NDArray[Any], x_max: float, rate: float = RATE) -> float:
        """Learn some pairs (of `PAIR`), each in both directions; their loss before that."""
        # Only words of these pairs are touched: they get numbers of their own.
        ends = np.concatenate([pairs["first"], pairs["second"]])
        touched, local = np.unique(ends, return_inverse=True)
        first, second = np.split(local, 2)
        apart = first != second  # The entry of a word beside itself is its own mirror.
        rows = np.concatenate([first, second[apart]])
        columns = np.concatenate([second, first[apart]])
        counts = np.concatenate([pairs["count"], pairs["count"][apart]])
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
        # All gradients are taken before any vector moves.
        to_words = (gradients @ contexts, squares @ contexts**2)
        to_contexts = (gradients.T @ words, squares.T @ words**2)
        tables, tables_of_sums = self.vectors, self.vector_sums
        _move(tables[0], tables_of_sums[0], touched, words, *to_words, rate)
        _move(tables[1], tables_of_sums[1], touched, contexts, *to_contexts, rate)
        for side, axis in ((0, 1), (1, 0)):
            values = self.biases[side, touched]
            sums = (_along(gradients, axis), _along(squares, axis))
            _move(self.biases[side], self.bias_sums[side], touched, values, *sums, rate)
        return float(np.dot(weighted, errors)) / 2


def _along(matrix: Any, axis: int) -> Any:
    return np.asarray(matrix.sum(axis=axis)).ravel()


def _move(
    table: Matrix,
    table_of_sums: Matrix,
    touched: NDArray[Any],
    values: Matrix,
    gradients: Matrix,
    squares: Matrix,
    rate: float,
) -> None:
    """Move rows of a table; `values`, `gradients` and `squares` are used up."""
    roots = table_of_sums[touched]
    squares += roots
    table_of_sums[touched] = squares
    # In place: at this size, memory is what takes the time.
    np.sqrt(roots, out=roots)
    roots += np.sqrt(squares, out=squares)
    gradients *= np.float32(2 * rate)
    gradients /= roots
    values -= gradients
    table[touched] = values


def factorise(
    pairs: Pairs,
    words: int,
    settings: Settings,
    x_max: float,
    work: Checkpoint,
    progress: Progress,
) -> tuple[Matrix, list[float], int]:
    """The vectors (words, dim), the mean loss of a pair in each epoch, and epochs done before.

    An interrupted training goes on after its last whole epoch.
    """
    factors = Factors.start(words, settings.dim, np.random.default_rng(settings.seed))
    losses: list[float] = []
    state = work.state({name: getattr(factors, name) for name in _NAMES})
    if state is not None and len(state.arrays.get("losses", ())) == state.epochs:
        factors = Factors(*(state.arrays[name] for name in _NAMES))
        losses = state.arrays["losses"].tolist()
    done, epochs = len(losses), epochs_of(settings, words)
    for epoch in range(done, epochs):
        seed = (settings.seed, epoch)
        losses.append(_epoch(factors, pairs, x_max, seed, epochs * pairs.total, progress))
        arrays = {name: getattr(factors, name) for name in _NAMES}
        work.keep(State(epoch + 1, {**arrays, "losses": np.array(losses)}))
    return factors.vectors[0] + factors.vectors[1], losses, done


_NAMES = ("vectors", "biases", "vector_sums", "bias_sums")


def _epoch(
    factors: Factors,
    pairs: Pairs,
    x_max: float,
    seed: tuple[int, int],
    total: int,
    progress: Progress,
) -> float:
    """Every pair once, the files and the stretches of each in an order of this epoch's own."""
    random = np.random.default_rng(seed)
    size = min(PAIRS_AT_ONCE, max(1, pairs.total // STEPS_AT_LEAST))
    loss, done = 0.0, 0
    for number in random.permutation(len(pairs.files)):
        some = np.fromfile(pairs.files[number], PAIR)
        starts = np.arange(0, len(some), size)
        for start in random.permutation(starts):
            stretch = some[start : start + size]
            loss += factors.step(stretch, x_max)
            done += len(stretch)
            progress(seed[1] * pairs.total + done, total)
    return loss / pairs.total
