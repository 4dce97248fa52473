"""Texts to words: the policy by eye, and one batch against one text at a time."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.embedders.tokenization import batch_split as pieces
from retriever.embedders.tokenization.characters import lowered
from retriever.embedders.tokenization.words import split, words_of


def split_words(texts, *, lower=True):
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
    assert split_words([text]) == [expected]
    assert words_of(text, lower=True) == expected


def test_case_is_kept_on_request():
    assert split_words(["New_York NEW"], lower=False) == [["New", "York", "NEW"]]


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
    expected = split_words(texts)
    monkeypatch.setattr(pieces, "CHUNK_CHARACTERS", 12)
    words = split(texts, lower=True)
    assert [words.of(text) for text in range(len(words))] == expected
    assert sorted(words.distinct) == ["apple", "green", "red"]


def test_a_very_long_text():
    words = split(["word " * 1_000_000 + "x" * 1_000_000], lower=True)
    assert len(words.codes) == 1_000_001
    assert [len(word) for word in words.distinct] == [4, 1_000_000]


def test_a_lone_surrogate_is_refused():
    with pytest.raises(UnicodeEncodeError):
        split(["\ud800"], lower=True)
    with pytest.raises(UnicodeEncodeError):
        words_of("\ud800", lower=True)


def test_two_threads_split_like_one(monkeypatch):
    texts = ["Red apple–pie", "", "naïve ÉCOLE", "pie", "– …"] * 7
    expected = split_words(texts)
    monkeypatch.setattr(pieces, "BLOCK_CHARACTERS", 4)
    assert split_words(texts) == expected


def test_words_do_not_run_from_one_text_into_the_next():
    assert split_words(["new", "york", "é", "a –", "b"]) == [["new"], ["york"], ["é"], ["a"], ["b"]]


def test_lower_case_is_that_of_single_characters():
    # Python's own takes the end of a word and a dot above into account.
    assert split_words(["ΣΑΣ İ K"]) == [["σασ", "i", "k"]]
    assert [lowered(word) for word in ("ΣΑΣ", "İ", "K", "US")] == ["σασ", "i", "k", "us"]


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
    assert split_words(texts, lower=False) == reference


@given(st.lists(st.text(CHARACTERS, max_size=30), max_size=6), st.booleans())
def test_one_text_is_split_as_in_a_batch(texts, lower):
    assert [words_of(text, lower=lower) for text in texts] == split_words(texts, lower=lower)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=6), st.booleans())
def test_every_character_is_read_alike_in_both(texts, lower):
    assert [words_of(text, lower=lower) for text in texts] == split_words(texts, lower=lower)
