"""Fingerprints that denote the same vectors, and others."""

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
        "a custom fingerprint",
    ],
)
def test_any_other_difference_counts(other):
    assert vector_fingerprint(other) != vector_fingerprint(TORCH)
