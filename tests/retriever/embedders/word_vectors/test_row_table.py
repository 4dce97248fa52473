"""The rows of many words at once are those of a dictionary."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedders.word_vectors.row_table import SHORT, RowTable

# Few letters, so that words are equal, beginnings of one another, and as long as fits.
WORDS = st.text(st.sampled_from("ab\0é語\U0001f600"), max_size=SHORT + 2) | st.text(
    st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=2 * SHORT
)


@given(st.lists(WORDS, unique=True, max_size=40), st.lists(WORDS, max_size=40))
def test_rows_are_those_of_a_dictionary(known, others):
    rows = {word: row for row, word in enumerate(known)}
    asked = [*others, *reversed(known)]
    table = RowTable(RowTable.arrays_of(known), rows.get)
    assert table.rows(asked).tolist() == [rows.get(word, -1) for word in asked]


def test_words_of_one_bucket_are_told_apart(monkeypatch):
    monkeypatch.setattr(
        "retriever.embedders.word_vectors.row_table._buckets",
        lambda low, high, bits: np.zeros(len(low), np.int64),
    )
    words = [f"word{number}" for number in range(100)]
    table = RowTable(RowTable.arrays_of(words[::2]), lambda word: None)
    expected = [number // 2 if number % 2 == 0 else -1 for number in range(100)]
    assert table.rows(words).tolist() == expected
