"""Texts to words: the policy by eye, and one batch against one text at a time."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedders import tokens
from retriever.embedders.tokens import split


def words_of(texts, *, lower=True):
    words = split(texts, lower=lower)
    return [words.of(text) for text in range(len(words))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("don't", ["don", "t"]),
        ("COVID-19", ["covid", "19"]),
        ("snake_case", ["snake", "case"]),
        ("naïve–art, ÉCOLE!", ["naïve", "art", "école"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("3.14 ٣ Ⅷ", ["3", "14", "٣", "ⅷ"]),
        ("日本語、中文", ["日本語", "中文"]),
        ("a\0b\tc\nd\u00a0e\u2028f", ["a", "b", "c", "d", "e", "f"]),
        ("🙂 … --", []),
        ("", []),
    ],
)
def test_a_word_is_a_run_of_letters_marks_and_digits(text, expected):
    assert words_of([text]) == [expected]


def test_case_is_kept_on_request():
    assert words_of(["New_York NEW"], lower=False) == [["New", "York", "NEW"]]


def test_empty_texts_have_empty_stretches():
    words = split(["", "b a", "", "a"], lower=True)
    assert words.offsets.tolist() == [0, 0, 2, 2, 3]
    assert words.codes.tolist() == [words.distinct.index(word) for word in ["b", "a", "a"]]
    assert (words.codes.dtype, words.offsets.dtype) == (np.int32, np.int64)


def test_no_texts_have_no_words():
    words = split([], lower=True)
    assert (len(words), words.codes.tolist(), words.distinct) == (0, [], [])
    assert words.offsets.tolist() == [0]


def test_chunks_share_one_list_of_words(monkeypatch):
    texts = ["red apple", "green – apple", "", "red"] * 5
    whole = words_of(texts)
    monkeypatch.setattr(tokens, "CHUNK_CHARACTERS", 12)
    words = split(texts, lower=True)
    assert [words.of(text) for text in range(len(words))] == whole
    assert sorted(words.distinct) == ["apple", "green", "red"]


def test_a_very_long_text():
    words = split(["word " * 1_000_000 + "x" * 1_000_000], lower=True)
    assert len(words.codes) == 1_000_001
    assert [len(word) for word in words.distinct] == [4, 1_000_000]


def test_a_lone_surrogate_is_refused():
    with pytest.raises(UnicodeEncodeError):
        split(["\ud800"], lower=True)


def kept(character):
    return unicodedata.category(character)[0] in "LMN"


# Characters that are as old as every Unicode table in use.
CHARACTERS = st.one_of(
    st.characters(codec="utf-8", max_codepoint=0x24F),
    st.sampled_from("αΩяЖ日本\u0301\u0327٣½–—…“🙂\u00a0\u2028\0"),
)


@given(st.lists(st.text(CHARACTERS, max_size=30), max_size=6))
def test_batches_split_like_a_plain_reference(texts):
    reference = [re.findall(r"\S+", "".join(c if kept(c) else " " for c in text)) for text in texts]
    assert words_of(texts, lower=False) == reference
