"""Batches of texts: worked out by hand, and as laws."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedders.contextual.batching import SLACK, batches


def lengths(tokens, **options):
    made = batches(tokens, range(len(tokens)), pad=9, **options)
    return [[int(row.sum()) for row in batch.mask] for batch in made]


def test_the_longest_text_comes_first_and_the_rest_is_padded():
    tokens = [[1, 2], [], [3, 4, 5]]
    (batch,) = batches(tokens, [0, 2], pad=9, budget=100)
    assert batch.places == [2, 0]
    assert batch.ids.tolist() == [[3, 4, 5], [1, 2, 9]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0]]


def test_the_budget_counts_padding():
    tokens = [[1] * length for length in (10, 8, 6, 4)]
    assert lengths(tokens, budget=20) == [[10, 8], [6, 4]]
    assert lengths(tokens, budget=29) == [[10, 8], [6, 4]]
    assert lengths(tokens, budget=30) == [[10, 8, 6], [4]]
    assert lengths(tokens, budget=100, most=3) == [[10, 8, 6], [4]]
    # A text longer than the budget is alone.
    assert lengths([[1] * 50, [1] * 49], budget=20) == [[50], [49]]


def test_a_text_that_needs_much_padding_begins_another_batch():
    tokens = [[1] * length for length in (100, 75, 74, 74 - SLACK - 3)]
    assert lengths(tokens, budget=10_000) == [[100, 75], [74], [55]]
    assert lengths([[1] * length for length in (20, 4, 3)], budget=10_000) == [[20, 4], [3]]


@given(
    texts=st.lists(st.lists(st.integers(1, 99), max_size=60), max_size=30),
    budget=st.integers(1, 300),
    most=st.none() | st.integers(1, 5),
)
def test_every_text_comes_once_with_its_own_tokens(texts, budget, most):
    seen = []
    for batch in batches(texts, range(len(texts)), pad=0, budget=budget, most=most):
        assert batch.ids.shape == batch.mask.shape
        assert len(batch.places) == 1 or batch.ids.size <= budget
        assert len(batch.places) <= (most or 30)
        for place, ids, mask in zip(batch.places, batch.ids, batch.mask, strict=True):
            assert ids[mask == 1].tolist() == texts[place]
            assert not ids[mask == 0].any()
            assert np.all(np.diff(mask) <= 0)
        seen += batch.places
    assert sorted(seen) == list(range(len(texts)))
