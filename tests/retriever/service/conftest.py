"""Small collections, and clients of services over them."""

import pytest

from tests.support.services.clients import TOKEN, asked, make_library


@pytest.fixture(scope="session")
def docs(tmp_path_factory):
    """The folder of a collection that no test changes."""
    return make_library(tmp_path_factory.mktemp("service") / "docs")


@pytest.fixture(scope="module")
def client(docs):
    """A client of a service that only reads."""
    with asked(docs) as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    """The folder of a collection that a test may change."""
    return make_library(tmp_path / "notes")


@pytest.fixture
def writer(folder):
    """A client that may write."""
    with asked(folder, token=TOKEN, write=True) as client:
        yield client
