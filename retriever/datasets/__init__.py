"""Test collections: the Lee news corpus, the demo on it, and ir_datasets by name."""
