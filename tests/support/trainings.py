"""What the tests of training share."""

from retriever.training.word_vectors.settings import TrainingSettings


def settings_for(kind, **given):
    """Return settings with small defaults."""
    names = ("epochs", "window", "max_vocab", "workers", "x_max", "buckets")
    chosen = {**dict.fromkeys(names), "dim": 12, "min_count": 1, "seed": 1, "cbow": False, **given}
    return TrainingSettings.of(kind, **chosen)


def interrupting(most, expected):
    """Return a progress callback that interrupts after `most` of the `expected` total."""

    def progress(done, total):
        assert total == expected
        if done > most:
            raise KeyboardInterrupt

    return progress
