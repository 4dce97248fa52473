"""Files of word vectors that come with gensim."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def gensim_data():
    import gensim.test

    return Path(gensim.test.__file__).parent / "test_data"


@pytest.fixture(scope="session")
def fasttext(gensim_data):
    """A fastText model with subwords."""
    return gensim_data / "crime-and-punishment.bin"


@pytest.fixture(scope="session")
def lee_lines(gensim_data):
    """The texts of the Lee news corpus."""
    return (gensim_data / "lee_background.cor").read_text().splitlines()
