"""Which fingerprints stand for the same vectors, worked out by eye."""

import pytest

from retriever.embedders.base import fingerprint_of
from retriever.indexing.fingerprints import vector_fingerprint

TORCH = fingerprint_of(kind="contextual", weights="a")
ONNX = fingerprint_of(kind="contextual", weights="a", runtime="onnx")


def test_runtimes_are_interchangeable_in_single_precision():
    assert vector_fingerprint(ONNX) == vector_fingerprint(TORCH) == TORCH


@pytest.mark.parametrize(
    "other",
    [
        fingerprint_of(kind="contextual", weights="b", runtime="onnx"),
        fingerprint_of(kind="contextual", weights="a", runtime="onnx", precision="int8"),
        fingerprint_of(kind="contextual", weights="a", precision="int8"),
        "some words of a user's own",
    ],
)
def test_any_other_difference_counts(other):
    assert vector_fingerprint(other) != vector_fingerprint(TORCH)
