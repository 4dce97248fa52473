"""Learned sparse embedders: a weight for each token of a vocabulary, in documents and queries."""
