"""What a training is asked for: its kind and numbers, with defaults that suit each kind."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from indexes.errors import InputError, UnknownNameError

WORD2VEC, FASTTEXT, GLOVE = KINDS = ("word2vec", "fasttext", "glove")

GLOVE_EPOCHS = 15
# A small corpus needs more passes: on SciFact, 1.2 million words, 15 epochs of word2vec found far
# more than 5 did.
FEWEST_EPOCHS, MOST_EPOCHS, WORDS_TO_MEET = 5, 40, 50_000_000
WINDOWS = {WORD2VEC: 5, FASTTEXT: 5, GLOVE: 10}
# fastText's own default, 2,000,000, takes 800 MB of 100 dimensions however small the corpus is.
BUCKETS = 200_000


@dataclass(frozen=True)
class Settings:
    """Everything that decides what vectors come out of a corpus.

    `window` is how many words to each side are a word's context; words that occur less than
    `min_count` times are left out, and all but the `max_vocab` most frequent. `cbow` learns a word
    from the mean of its context (word2vec and fastText) instead of each word of it from the word
    (skip-gram). `epochs` None: see `epochs_of`. `x_max` is the count from which GloVe weighs all
    pairs alike; None: see `glove.py`.
    `buckets` is how many vectors fastText's n-grams share. `workers` are threads.
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

    @property
    def repeatable(self) -> bool:
        """Whether the same corpus and settings give the same vectors, to the bit.

        gensim's threads write over each other's steps; GloVe's do not.
        """
        return self.kind == GLOVE or self.workers == 1

    def facts(self) -> dict[str, Any]:
        """The settings as JSON holds them; only those that this kind goes by."""
        others = {GLOVE: ("cbow", "buckets", "workers"), WORD2VEC: ("x_max", "buckets")}
        left_out = others.get(self.kind, ("x_max",))
        return {name: value for name, value in asdict(self).items() if name not in left_out}


def settings_of(
    kind: str,
    *,
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
) -> Settings:
    """The settings with this kind's defaults where none were given.

    Raises:
        UnknownNameError: a kind that there is not.
        InputError: a number out of its range, or a setting that this kind does not have.
    """
    if kind not in KINDS:
        raise UnknownNameError(f"No kind of training '{kind}'. There are: {', '.join(KINDS)}.")
    if kind == GLOVE and cbow:
        raise InputError("glove has no cbow: it goes by counts. Leave cbow out.")
    if kind != GLOVE and x_max is not None:
        raise InputError(f"x_max is GloVe's; {kind} has none. Leave it out.")
    if kind != FASTTEXT and buckets is not None:
        raise InputError(f"buckets are fastText's; {kind} has none. Leave them out.")
    if x_max is not None and not 0 < x_max < float("inf"):
        raise InputError(f"x_max is {x_max}; expected a number above 0.")
    return Settings(
        kind=kind,
        dim=_whole("dim", dim, 1),
        epochs=None if epochs is None else _whole("epochs", epochs, 1),
        window=_whole("window", WINDOWS[kind] if window is None else window, 1),
        min_count=_whole("min_count", min_count, 1),
        max_vocab=None if max_vocab is None else _whole("max_vocab", max_vocab, 2),
        seed=_whole("seed", seed, 0),
        workers=_whole("workers", _cores() if workers is None else workers, 1),
        cbow=cbow,
        x_max=x_max,
        buckets=_whole("buckets", BUCKETS if buckets is None else buckets, 1),
    )


def epochs_of(settings: Settings, words: int) -> int:
    """Times through a corpus of so many word occurrences, where none were asked for.

    15 for GloVe. For the others 5, and more for a corpus of less than 10 million words: as many as
    let it meet 50 million, 40 at most.
    """
    if settings.epochs is not None:
        return settings.epochs
    if settings.kind == GLOVE:
        return GLOVE_EPOCHS
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, -(-WORDS_TO_MEET // max(words, 1))))


# What the engines take for a whole number.
LARGEST = 2**31 - 1


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise InputError(f"{name} is {value!r}; expected a whole number of at least {least}.")
    return value


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
