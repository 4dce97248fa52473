"""BM25 by its definition, in double precision: the oracle for BM25 indexes."""

import re
from collections import Counter

import numpy as np

K1, B = 1.2, 0.75


def words_of(text):
    return re.findall(r"\w+", text)


def kept(length):
    """Return a length as one byte stores it: exact up to 40, then 24 plus four binary digits."""
    beyond = length - 24
    dropped = max(0, beyond.bit_length() - 4) if beyond > 0 else 0
    return (beyond >> dropped << dropped) + 24


class Oracle:
    """Scores texts by key; words are compared as written."""

    def __init__(self, texts):
        self.counts = {key: Counter(words_of(text)) for key, text in texts.items()}
        lengths = {key: counts.total() for key, counts in self.counts.items()}
        mean = np.mean(list(lengths.values())) if lengths else 0.0
        self.lengths = {key: kept(n) / mean if n else 0.0 for key, n in lengths.items()}
        self.frequencies = Counter(word for counts in self.counts.values() for word in counts)

    def score(self, query, key):
        """Return the score of a text; a word that occurs twice in the query counts twice."""
        total = 0.0
        for word, times in Counter(words_of(query)).items():
            count, number = self.counts[key][word], self.frequencies[word]
            if count:
                idf = np.log(1 + (len(self.counts) - number + 0.5) / (number + 0.5))
                length = K1 * (1 - B + B * self.lengths[key])
                total += times * idf * (K1 + 1) * count / (count + length)
        return total
