"""Embedders and corpora with answers to work out by hand, and short checks."""

import math
import re

import numpy as np
import pytest

from retriever import Document
from retriever.embedders.base import fingerprint_of, unit

ANIMALS = [
    Document("cat", "A kitten purrs when it is content."),
    Document("car", "The engine idles with a soft rumble."),
    Document("tax", "The filing deadline is the end of April.", metadata={"source": "faq"}),
]


class Axes:
    """An embedder with one axis for each of its words; it does not know other words."""

    def __init__(self, name="axes", fail_after=None, words=("north", "east", "up")):
        self.name = name
        self.words = tuple(words)
        self.dim = len(self.words)
        self.fingerprint = fingerprint_of(kind="axes", words=self.words)
        self.seen = []
        self.fail_after = fail_after

    def encode_documents(self, texts):
        self.seen += texts
        if self.fail_after is not None and len(self.seen) > self.fail_after:
            raise KeyboardInterrupt
        return self.encode_queries(texts)

    def encode_queries(self, texts):
        rows = [[text.split().count(word) for word in self.words] for text in texts]
        return unit(np.array(rows, np.float32).reshape(len(texts), self.dim))


class Terms:
    """A sparse embedder: a text's weights are how often it has each of some words."""

    sparse, similarity = True, "dot"

    def __init__(self, words=("north", "east", "up"), name="terms"):
        self.name, self.words, self.dim = name, tuple(words), len(words)
        self.fingerprint = fingerprint_of(kind="terms", words=self.words)

    def encode_documents(self, texts):
        from scipy.sparse import csr_array

        return csr_array(self.encode_queries(texts))

    def encode_queries(self, texts):
        found = [re.findall(r"\w+", text.lower()) for text in texts]
        rows = [[words.count(word) for word in self.words] for words in found]
        return np.array(rows, np.float32).reshape(len(texts), self.dim)


def build_axes(collection, **texts):
    """Add documents by id, and build the index `axes` over them."""
    collection.add(Document(doc_id, text) for doc_id, text in texts.items())
    collection.build("axes", Axes())


def refused(error, message, call, *arguments, **options):
    """Check that a call raises an error with a message that matches."""
    with pytest.raises(error, match=message):
        call(*arguments, **options)


def exactly(message):
    """A pattern that matches a message and nothing else."""
    return rf"\A{re.escape(message)}\Z"


def lacks(collection, index, new=0, stale=0):
    """The note that documents are not in an index yet, and edited ones only by an earlier text."""
    place = collection.path
    what = "document in {}/ is" if new == 1 else "documents in {}/ are"
    parts = [f"{new} {what.format(place)} not in index '{index}' yet"] * bool(new)
    by = "answers by its earlier text" if stale == 1 else "answer by their earlier text"
    if stale and new:
        parts.append(f"{stale} edited one{'s' * (stale != 1)} {by}")
    elif stale:
        what = f"edited document{'s' * (stale != 1)} in {place}/"
        parts.append(f"{stale} {what} {by} in index '{index}'")
    return f"{'; '.join(parts)}. Run: retriever build {place} {index}"


def ids(hits):
    return [hit.doc_id for hit in hits]


def pairs(hits):
    return [(hit.doc_id, hit.score) for hit in hits]


def rounded(hits):
    return [(hit.doc_id, round(hit.score, 6)) for hit in hits]


# Seen by `Axes()`:                            and by `Axes(words=("east", "up"))`:
COMPASS = [
    Document("n", "north"),  #                 (1, 0, 0)             nothing
    Document("e", "east"),  #                  (0, 1, 0)             (1, 0)
    Document("all", "north east up"),  #       (1, 1, 1) / sqrt(3)   (1, 1) / sqrt(2)
    Document("u", "up"),  #                    (0, 0, 1)             (0, 1)
    Document("fog", "fog"),  #                 nothing               nothing
]
HALF = ("east", "up")

QUERIES = {"q1": "north", "q2": "east east up"}
QRELS = {"q1": {"all": 1}, "q2": {"all": 1}}
# `Axes()` answers q1 with n, all, e, u and q2 with e, all, u, n: `all` is second in both.
# The other one answers q1 with nothing (it does not know north) and q2 with all, e, u.
SECOND = 1 / math.log2(3)  # nDCG of one relevant document in second place
