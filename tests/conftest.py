"""Shared fixtures: an offline world, a cache of its own, small collections, and the real data."""

import os

# Threads of FAISS and torch that wait for work sleep: tests share the cores. Read at their import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from retriever import Collection, HashingEmbedder
from retriever.embedders.hub import locate_sentence_model
from tests.support.laws import FAST
from tests.support.parsing import parse_undisturbed
from tests.support.toy import ANIMALS, COMPASS, HALF, Axes

parse_undisturbed()
os.environ["HF_HUB_OFFLINE"] = "1"
# The settings of whoever runs the tests have no effect on them.
os.environ["XDG_CONFIG_HOME"] = os.devnull
for variable in ("LIBRARY", "INDEX", "K", "PROGRESS", "COLOR"):
    os.environ.pop(f"RETRIEVER_{variable}", None)

# What `make test-fast` leaves out: by path, or by a fixture that loads a model.
MARKED = {
    "model": (
        "tests/docs/",
        "tests/benchmarks/test_words.py",
        "tests/retriever/rerankers/",
        "tests/retriever/test_processes.py",
        "tests/retriever/test_real_data.py",
        "tests/retriever/comparison/test_images.py",
        "tests/retriever/embedders/contextual/",
        "tests/retriever/embedders/elmo/",
        "tests/retriever/embedders/static/test_embedder.py",
        "tests/retriever/evaluation/test_against_trec_tools.py",
        "tests/retriever/training/",
        "tests/retriever/word_senses/",
    ),
    "exhaustive": (
        "tests/indexes/test_concurrency.py",
        "tests/indexes/test_faults.py",
        "tests/indexes/test_state_machine.py",
        "tests/indexes/maintenance/test_damage.py",
        "tests/indexes/pipeline/test_failing_texts.py",
        "tests/retriever/cli/test_cli.py",
        "tests/retriever/comparison/test_cost.py",
        "tests/retriever/evaluation/test_significance.py",
        "tests/retriever/report/html/test_browser.py",
        "tests/retriever/service/page/test_browser.py",
    ),
}
# These take longest and come first, so that no worker has one of them left when the others end.
FIRST = (
    "tests/indexes/test_faults.py",
    "tests/indexes/maintenance/test_damage.py",
    "tests/docs/",
    "tests/retriever/evaluation/test_against_trec_tools.py",
    "tests/retriever/test_one_reading.py",
    "tests/retriever/test_processes.py",
    "tests/retriever/embedders/contextual/",
)
MODELS = {"glove", "plain_minilm", "real"}
# Laws hold on a busy machine, too, as in hypothesis' own profile for CI. `make test-fast` tries
# fewer examples of each.
TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(FAST, TIMELESS, max_examples=15)
if settings.get_current_profile_name() == "default":
    settings.register_profile("default", TIMELESS)
    settings.load_profile("default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a model, and those that try many cases; order them."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))
    for item in items:
        for mark, places in MARKED.items():
            if item.nodeid.startswith(places):
                item.add_marker(mark)
        if MODELS & set(getattr(item, "fixturenames", ())):
            item.add_marker("model")


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Converted word vectors go to a folder of this session, not to the user's cache."""
    before = os.environ.get("RETRIEVER_CACHE")
    os.environ["RETRIEVER_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["RETRIEVER_CACHE"]
    else:
        os.environ["RETRIEVER_CACHE"] = before


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    """An empty collection."""
    with Collection.create(tmp_path / "c") as made:
        yield made


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Collection]:
    """Three documents, and a hashing index called `floor` over them."""
    with Collection.create(tmp_path / "library") as collection:
        collection.add(ANIMALS)
        collection.build("floor", HashingEmbedder())
        yield collection


@pytest.fixture
def compass(tmp_path: Path) -> Iterator[Collection]:
    """The compass, under the indexes `axes` and `half` that it was made for."""
    with Collection.create(tmp_path / "compass") as collection:
        collection.add(COMPASS)
        collection.build("axes", Axes())
        collection.build("half", Axes("half", words=HALF))
        yield collection


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real test collections."""
    folder = os.environ.get("RETRIEVER_DATA")
    if not folder:
        pytest.skip("RETRIEVER_DATA is not set: no real test collections")
    return Path(folder)


@pytest.fixture(scope="session")
def plain_minilm() -> Any:
    """all-MiniLM-L6-v2 as sentence-transformers itself has it: what ours must equal."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(locate_sentence_model("all-MiniLM-L6-v2")[0]), device="cpu")
