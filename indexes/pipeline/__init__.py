"""Building: passages become shards, shards become ANN indexes, texts become BM25 indexes.

What is left to embed is the keys that no shard answers for (`registry.gaps`); so an interrupted
build resumes where it stopped. `embedding_job` reads, encodes and commits; `encoder` finds the
texts at fault where a batch fails: it halves the batch until they are alone. They stay without an
answer from any shard, so that the next build retries just them, and are named at the end. When
nothing works any more, what is done is committed, and the first error is raised.

Shards that an ANN index has not seen are searched exactly next to it, until `build` makes a new
one. An index that would miss vectors before the key at which it ends is marked stale in the same
commit, and rebuilt at the end or by the next build.

Small shards that interrupted or incremental builds left are merged at the end of the next one, but
never across a key up to which some ANN index has seen everything.

`refit` fits an embedder again: it makes a new embedding that *replaces* the old one. No index
searches it until one commit switches all of them.
"""
