"""Verify, repair and compact a collection.

`repair` rebuilds ANN indexes from shards, shards by embedding, and SQLite's own indexes, in an
order in which nothing is dropped before its replacement can be made. `compact` first rebuilds what
holds removed rows, then rewrites the shards, and only then forgets the tombstones: at every moment
between, all searches are right. Rows of an earlier text stay as long as it answers.
"""
