"""Drawn vectors are like those they were fitted to, and each belongs to its number."""

import numpy as np
import pytest

from benchmarks.scale import GROWING, exponents, structure_of
from benchmarks.synthetic import BLOCK, Mixture, Synthetic
from retriever.embedders.base import unit


@pytest.fixture(scope="module")
def fitted():
    """Vectors around a few centers, of unequal variance, and the mixture fitted to them."""
    random = np.random.default_rng(0)
    centers = random.standard_normal((5, 16), np.float32)
    spread = np.linspace(1, 0.1, 16, dtype=np.float32)
    rows = centers[random.integers(5, size=4000)] + spread * random.standard_normal((4000, 16))
    vectors = unit(rows.astype(np.float32))
    queries = unit(vectors[:500] + np.float32(0.1))
    return vectors, Mixture.fitted(vectors, queries, vectors[:500])


def test_drawn_vectors_have_the_length_and_the_spectrum_of_the_given_ones(fitted):
    vectors, mixture = fitted
    drawn = np.concatenate([mixture.block(0), mixture.block(1)])
    assert np.allclose(np.linalg.norm(drawn, axis=1), 1, atol=1e-5)
    spectra = [np.linalg.eigvalsh(np.cov(rows.T)) for rows in (drawn, vectors)]
    assert spectra[0] == pytest.approx(spectra[1], rel=0.15)


def test_a_document_has_the_same_vector_in_every_batch(fitted):
    embedder = Synthetic(fitted[1])
    numbers = [0, BLOCK - 1, BLOCK, 3 * BLOCK + 5]
    whole = embedder.encode_documents([f"{number} owl" for number in numbers])
    for row, number in reversed(list(enumerate(numbers))):
        assert (
            embedder.encode_documents([f"{number} elk"]).tolist() == whole[row : row + 1].tolist()
        )


def test_a_query_lies_as_near_its_document_as_the_given_ones(fitted):
    vectors, mixture = fitted
    embedder, numbers = Synthetic(mixture), range(500)
    asked = embedder.encode_queries([f"query{number}" for number in numbers])
    documents = embedder.encode_documents([str(number) for number in numbers])
    given = unit(vectors[:500] + np.float32(0.1))
    cosines = [
        np.einsum("ij,ij->i", *pair).mean() for pair in ((asked, documents), (given, vectors[:500]))
    ]
    assert cosines[0] == pytest.approx(cosines[1], abs=0.02)


def test_an_exponent_is_the_slope_of_the_logarithms():
    figures = {step: dict.fromkeys(names, 1.0) for step, names in GROWING.items()}
    by_rows = {
        rows: {**figures, "add": {"cpu_s": rows**0.5, "peak_mb": 3.0, "catalog_mb": rows}}
        for rows in (10, 100, 1000)
    }
    found = exponents(by_rows)
    assert (found["add cpu_s"], found["add peak_mb"], found["add catalog_mb"]) == (0.5, 0, 1)


def test_cells_grow_as_the_square_root_of_the_rows():
    assert [structure_of(rows) for rows in (100_000, 1_000_000, 10_000_000)] == [
        "IVF256,PQ128x4fs",
        "IVF1024,PQ128x4fs",
        "IVF4096,PQ128x4fs",
    ]
