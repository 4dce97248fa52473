"""Fingerprints that denote the same vectors, and others."""

from retriever.embedders.base import fingerprint_of, vector_fingerprint

TORCH = fingerprint_of(kind="contextual", weights="a")
ONNX = fingerprint_of(kind="contextual", weights="a", runtime="onnx")


def test_only_the_runtime_in_single_precision_makes_no_difference():
    assert vector_fingerprint(ONNX) == vector_fingerprint(TORCH) == TORCH
    for other in (
        fingerprint_of(kind="contextual", weights="b", runtime="onnx"),
        fingerprint_of(kind="contextual", weights="a", runtime="onnx", precision="int8"),
        fingerprint_of(kind="contextual", weights="a", precision="int8"),
        "a custom fingerprint",
    ):
        assert vector_fingerprint(other) != vector_fingerprint(TORCH)
