"""Comparison of systems: the same queries on all of them; their quality, latency and cost.

Every system runs all queries as one batch. A vector index also runs exact search over the same
vectors, which separates the loss of the index from that of the embedding.
"""
