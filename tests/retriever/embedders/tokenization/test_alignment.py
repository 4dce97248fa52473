"""Token vectors to word vectors: by eye, and as laws over any split of any text."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from indexes.text.words import word_spans, words_of
from retriever.embedders.tokenization.alignment import pool_words
from tests.support.toy import refused

A, B, C = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
# The mean of two axes, scaled to length 1.
AB = [0.707, 0.707, 0.0]


def pooled(spans, pieces, way="mean"):
    """Spans and vectors, to three decimals, of pieces given as (begin, end, vector)."""
    offsets = np.array([piece[:2] for piece in pieces], np.int64).reshape(-1, 2)
    vectors = np.array([piece[2] for piece in pieces], np.float32).reshape(-1, 3)
    found = pool_words(spans, offsets, vectors, way)
    assert found.vectors.dtype == np.float32
    return found.spans, [[round(x, 3) for x in row] for row in found.vectors.tolist()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The bank, the Bank's COVID-19", "The bank the Bank s COVID 19"),
        ("snake_case\tdon't\n\n3.14", "snake case don t 3 14"),
        ("e\u0301t\u00e9 हिन्दी 東京都 🙂x", "e\u0301t\u00e9 हिन्दी 東京都 x"),
        ("\0a\u2028b\u00a0c", "a b c"),
        ("İstanbul ẞ", "İstanbul ẞ"),
        ("\ufefffi\u00adnance\u200b ﬁx \u200d", "fi\u00adnance ﬁx"),
        ("ไทย\u200bภาษา ශ්\u200dරී", "ไทย ภาษา ශ්\u200dරී"),
        (" \n🙂--", ""),
    ],
)
def test_word_spans_by_eye(text, words):
    assert [text[begin:end] for begin, end in word_spans(text)] == words.split()


@settings(deadline=None)
@given(st.text())
def test_words_are_those_of_static_embedders(text):
    spans = word_spans(text)
    read = [word for begin, end in spans for word in words_of(text[begin:end], lower=False)]
    assert read == words_of(text, lower=False)
    # In order: between two words is a separator.
    assert all(end < begin for (_, end), (begin, _) in pairwise(spans))


UNABLE_CAT = [(0, 0, C), (0, 2, A), (2, 6, B), (7, 10, B), (0, 0, C)]


@pytest.mark.parametrize(
    ("spans", "pieces", "way", "words"),
    [
        # "un|able cat", between two special tokens.
        (((0, 6), (7, 10)), UNABLE_CAT, "mean", [AB, B]),
        (((0, 6), (7, 10)), UNABLE_CAT, "first", [A, B]),
        (((0, 6), (7, 10)), UNABLE_CAT, "last", [B, B]),
        # A piece may begin with the space before its word.
        (((0, 3), (4, 8)), [(0, 3, A), (3, 8, B)], "mean", [A, B]),
        # All bytes of one character have its offsets: (2/3, 1/3), scaled to length 1.
        (((0, 1),), [(0, 1, A), (0, 1, A), (0, 1, B)], "mean", [[0.894, 0.447, 0.0]]),
        # "don't now": a piece over two words counts for both.
        (((0, 3), (4, 5), (6, 9)), [(0, 5, A), (6, 9, B)], "mean", [A, A, B]),
        (((0, 3), (4, 5), (6, 9)), [(0, 2, B), (2, 5, A), (6, 9, B)], "last", [A, A, B]),
    ],
)
def test_pieces_are_pooled_by_word(spans, pieces, way, words):
    assert pooled(spans, pieces, way) == (spans, words)


def test_words_without_a_piece_are_left_out():
    spans = ((0, 1), (2, 3), (4, 5))
    assert pooled(spans, [(2, 3, A)]) == (((2, 3),), [A])
    # A full stop, an empty piece inside a word, and no piece at all.
    for pieces in ([(1, 2, A)], [(4, 4, A)], []):
        for way in ("mean", "first", "last"):
            assert pooled(spans, pieces, way) == ((), [])
    assert pooled((), [(0, 3, A)]) == ((), [])


def test_an_unknown_pooling_is_refused():
    message = "pieces is 'max'; expected mean, first or last"
    refused(InputError, message, pooled, [(0, 1)], [(0, 1, A)], "max")


TEXTS = st.text(st.sampled_from("ab1é東 .-'\U0001f642"), max_size=25)


@st.composite
def cut_texts(draw):
    """A text, and pieces that may overlap, be empty, and leave gaps."""
    text = draw(TEXTS)
    places = st.integers(0, len(text))
    pieces = sorted(draw(st.lists(st.tuples(places, places).map(sorted).map(tuple), max_size=9)))
    return text, pieces


@settings(deadline=None)
@given(cut_texts())
def test_every_word_gets_what_overlaps_it(cut):
    text, pieces = cut
    spans = word_spans(text)
    vectors = np.random.default_rng(len(text)).normal(size=(len(pieces), 4)).astype(np.float32)
    offsets = np.array(pieces, np.int64).reshape(-1, 2)
    overlapping = {
        (begin, end): [n for n, (b, e) in enumerate(pieces) if b < e and b < end and e > begin]
        for begin, end in spans
    }
    expected = {span: mine for span, mine in overlapping.items() if mine}
    pool = {"mean": lambda rows: rows.mean(axis=0), "first": lambda rows: rows[0]}
    pool["last"] = lambda rows: rows[-1]
    for way, pool_rows in pool.items():
        found = pool_words(spans, offsets, vectors, way)
        assert found.spans == tuple(expected)
        rows = [pool_rows(vectors[mine]) for mine in expected.values()]
        wanted = np.array(rows).reshape(-1, 4)
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(found.vectors, wanted, atol=1e-5)


@settings(deadline=None)
@given(TEXTS)
def test_words_as_pieces_are_themselves(text):
    spans = word_spans(text)
    vectors = np.eye(30, dtype=np.float32)[: len(spans)]
    found = pool_words(spans, np.array(spans, np.int64).reshape(-1, 2), vectors)
    assert found.spans == spans
    assert (found.vectors == vectors).all()
