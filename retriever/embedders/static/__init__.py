"""Averaged static vectors: of words, or of the tokens of a ready sentence model.

    text -> words or tokens -> rows of a table -> weighted sum -> minus components -> length 1
            vocabulary         (memory-mapped)    weighted_mean   components

A batch is split at once: the bytes of all texts are classified by a table of 256 entries, and only
distinct tokens are looked up in a dictionary or meet a tokenizer. One text goes through plain
Python. The two paths are twins: a law in the tests holds them equal to the last bit, which is why
every sum goes through one kernel in one order.

The mean, the top components of the vocabulary and the common components of texts are all linear, so
they are subtracted from the sum of a text, never from the table: of a file of gigabytes only the
rows of words that occur are read.

Fitting takes one pass over the corpus: word counts, and at most 20,000 evenly spread texts, from
whose vectors the common components are computed. All-but-the-top is computed over the corpus's own
words, which finds far more than over the whole file (benchmarks/README.md).
"""
