"""Training settings, with defaults per kind."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from indexes.errors import InputError, UnknownNameError
from indexes.threads import threads

WORD2VEC, FASTTEXT, GLOVE = KINDS = ("word2vec", "fasttext", "glove")

GLOVE_EPOCHS = 15
# A small corpus needs more passes: on SciFact (1.2 million words), 15 epochs of word2vec retrieved
# far better than 5.
FEWEST_EPOCHS, MOST_EPOCHS, WORDS_TO_MEET = 5, 40, 50_000_000
WINDOWS = {WORD2VEC: 5, FASTTEXT: 5, GLOVE: 10}
# fastText's default of 2,000,000 takes 800 MB at 100 dimensions, however small the corpus is.
BUCKETS = 200_000


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that determines the vectors trained on a corpus.

    `window` is the number of context words on each side. Words that occur fewer than `min_count`
    times are left out, and all but the `max_vocab` most frequent. `cbow` (word2vec and fastText)
    predicts a word from the mean of its context; skip-gram predicts the context from the word.
    `epochs` None: see `epochs_of`. `x_max` is the count above which GloVe weighs all pairs equally;
    None: see `glove.x_max_of`. `buckets` is the number of vectors that fastText's n-grams share.
    `workers` is the number of threads.
    """

    kind: str
    dim: int
    epochs: int | None
    window: int
    min_count: int
    max_vocab: int | None
    seed: int
    workers: int
    cbow: bool
    x_max: float | None
    buckets: int

    @classmethod
    def of(
        cls,
        kind: str,
        dim: int,
        epochs: int | None,
        window: int | None,
        min_count: int,
        max_vocab: int | None,
        seed: int,
        workers: int | None,
        cbow: bool,
        x_max: float | None,
        buckets: int | None,
    ) -> TrainingSettings:
        """Return the settings, validated, with this kind's defaults for those that are None."""
        if kind not in KINDS:
            raise UnknownNameError(
                f"Unknown kind of training '{kind}'; expected one of: {', '.join(KINDS)}."
            )
        if kind == GLOVE and cbow:
            raise InputError(
                "cbow is not a setting of glove, which trains on counts. Leave it out."
            )
        if kind != GLOVE and x_max is not None:
            raise InputError(f"x_max is a setting of glove, not of {kind}. Leave it out.")
        if kind != FASTTEXT and buckets is not None:
            raise InputError(f"buckets is a setting of fasttext, not of {kind}. Leave it out.")
        if x_max is not None and not 0 < x_max < float("inf"):
            raise InputError(f"x_max is {x_max}; expected a number above 0.")
        return cls(
            kind=kind,
            dim=_whole("dim", dim, 1),
            epochs=None if epochs is None else _whole("epochs", epochs, 1),
            window=_whole("window", WINDOWS[kind] if window is None else window, 1),
            min_count=_whole("min_count", min_count, 1),
            max_vocab=None if max_vocab is None else _whole("max_vocab", max_vocab, 2),
            seed=_whole("seed", seed, 0),
            workers=_whole("workers", threads() if workers is None else workers, 1),
            cbow=cbow,
            x_max=x_max,
            buckets=_whole("buckets", BUCKETS if buckets is None else buckets, 1),
        )

    @property
    def repeatable(self) -> bool:
        """Whether the same corpus and settings give the same vectors, to the bit.

        gensim's threads overwrite each other's updates; GloVe's do not.
        """
        return self.kind == GLOVE or self.workers == 1

    def facts(self) -> dict[str, Any]:
        """Return the settings that this kind uses, for JSON."""
        others = {GLOVE: ("cbow", "buckets", "workers"), WORD2VEC: ("x_max", "buckets")}
        left_out = others.get(self.kind, ("x_max",))
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def epochs_of(settings: TrainingSettings, words: int) -> int:
    """Return the number of epochs over a corpus of `words` word occurrences.

    Without a setting, 15 for GloVe. For the other kinds 5, or as many as it takes to process 50
    million words, 40 at most.
    """
    if settings.epochs is not None:
        return settings.epochs
    if settings.kind == GLOVE:
        return GLOVE_EPOCHS
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, -(-WORDS_TO_MEET // max(words, 1))))


LARGEST = 2**31 - 1  # The engines use 32-bit integers.


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise InputError(f"{name} is {value!r}; expected a whole number of at least {least}.")
    return value
