"""Vectors in immutable shards, exact search over them, and the protocol of an index engine.

A shard stores no keys: its catalog row has the interval of keys that it answers for, and a bitmap
of those with a vector where some have none (a text without a known word, for example). Nothing is
ever paired by position. The 128 largest shards of an embedding are memory-mapped, the others read,
and small neighbors are searched as one block.

Candidates of every engine are rescored in double precision against the stored vectors, one row at
a time: a score means the same in every index and does not depend on the batch, equal texts tie
exactly, and ties are ordered by key, which is the order of insertion.
"""
