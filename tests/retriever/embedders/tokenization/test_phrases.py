"""Phrases: the longest from the left, by eye, and batches against a loop over words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedders.tokenization.phrases import Phrases, unit_starts

WORDS = ["a", "b", "c", "d", "a_b", "a_b_c", "b_c_d", "d_a", "c_d_a_b", "__", "_a", "a__b", "x_y"]


def joined(words, text):
    """Join the phrases of a text by a plain loop from left to right."""
    found, at = [], 0
    while at < len(text):
        sizes = range(len(text) - at, 1, -1)
        size = next((s for s in sizes if "_".join(text[at : at + s]) in words), 1)
        found.append("_".join(text[at : at + size]))
        at += size
    return found


def batch(words, texts):
    phrases = Phrases(words)
    flat = [word for text in texts for word in text]
    offsets = np.cumsum([0, *map(len, texts)])
    ends = np.repeat(offsets[1:], np.diff(offsets))
    lengths, rows = phrases.longest_at(phrases.numbers(flat), ends)
    begins = unit_starts(lengths)
    units = ["_".join(flat[at : at + length]) for at, length in enumerate(lengths.tolist())]
    names = [unit for unit, begin in zip(units, begins, strict=True) if begin]
    for unit, row, length in zip(units, rows.tolist(), lengths, strict=True):
        assert row == (words.index(unit) if length > 1 else -1)
    counts = np.add.reduceat([*begins, 0], offsets[:-1]) * (np.diff(offsets) > 0) if texts else []
    ends = np.cumsum([0, *counts])
    return [names[ends[i] : ends[i + 1]] for i in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a_b"),
        ("a b c d", "a_b_c d"),  # the longest at `a`, though `b_c_d` is as long
        ("d a b", "d_a b"),  # the first from the left
        ("c d a b c", "c_d_a_b c"),
        ("b c d a", "b_c_d a"),
        ("a z b", "a z b"),
        ("x x y y", "x x_y y"),
        ("", ""),
    ],
)
def test_the_longest_phrase_from_the_left_is_joined(text, expected):
    assert batch(WORDS, [text.split()]) == [expected.split()]
    assert joined(WORDS, text.split()) == expected.split()


def test_no_phrase_spans_two_texts():
    assert batch(WORDS, [["a"], ["b", "c"], [], ["d"]]) == [["a"], ["b", "c"], [], ["d"]]


TEXTS = st.lists(st.lists(st.sampled_from("abcdxyz"), max_size=12), max_size=5)
PHRASES = st.lists(
    st.lists(st.sampled_from("abcdxy"), min_size=2, max_size=5).map("_".join), max_size=8
)


@given(PHRASES, TEXTS)
def test_a_batch_joins_what_a_loop_joins(phrases, texts):
    words = [*"abcdxy", *dict.fromkeys(phrases)]
    assert batch(words, texts) == [joined(words, text) for text in texts]


@given(st.lists(st.integers(1, 6), max_size=60))
def test_units_start_where_jumps_by_length_land(lengths):
    lengths = [min(length, len(lengths) - at) for at, length in enumerate(lengths)]
    reached, at = [False] * len(lengths), 0
    while at < len(lengths):
        reached[at] = True
        at += lengths[at]
    assert unit_starts(np.array(lengths, np.int64)).tolist() == reached


def test_a_phrase_has_no_empty_part():
    vocabularies = (WORDS, ["a", "__", "_a", "a_", "a__b"], [])
    assert [len(Phrases(words)) for words in vocabularies] == [6, 0, 0]
