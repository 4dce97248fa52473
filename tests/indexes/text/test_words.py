"""Texts to words: the policy by eye, and one batch against one text at a time."""

import re
import unicodedata
from threading import get_ident

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.text import words as pieces
from indexes.text.characters import lower_case
from indexes.text.normalize import normalize
from indexes.text.words import split, words_of
from tests.support.toy import refused


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
        ("e\u0301te\u0301", ["été"]),
        ("3.14 ٣ Ⅷ", ["3", "14", "٣", "viii"]),
        ("fi\u00adnance ﬁnance ｆｉｎａｎｃｅ", ["finance", "finance", "finance"]),
        ("10⁵ 1½ H₂O Windows™", ["10", "5", "1", "1", "2", "h2o", "windows"]),
        ("ΟΔΟΣ ΣΑΣ", ["οδος", "σας"]),
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


def test_offsets_and_codes_by_hand():
    words = split(["", "b a", "", "a"], lower=True)
    assert words.offsets.tolist() == [0, 0, 2, 2, 3]
    assert words.codes.tolist() == [words.distinct.index(word) for word in ["b", "a", "a"]]
    assert (words.codes.dtype, words.offsets.dtype) == (np.int32, np.int64)
    none = split([], lower=True)
    assert (len(none), none.codes.tolist(), none.distinct) == (0, [], [])
    assert none.offsets.tolist() == [0]


def test_chunks_share_one_list_of_words(monkeypatch):
    texts = ["red apple", "green – apple", "", "red"] * 5
    expected = split_words(texts)
    monkeypatch.setattr(pieces, "CHUNK_CHARACTERS", 12)
    assert split_words(texts) == expected
    assert sorted(split(texts, lower=True).distinct) == ["apple", "green", "red"]


def test_a_very_long_text():
    words = split(["word " * 1_000_000 + "x" * 1_000_000], lower=True)
    assert len(words.codes) == 1_000_001
    assert [len(word) for word in words.distinct] == [4, 1_000_000]


def test_a_lone_surrogate_is_refused():
    refused(UnicodeEncodeError, "surrogates not allowed", split, ["\ud800"], lower=True)
    refused(UnicodeEncodeError, "surrogates not allowed", words_of, "\ud800", lower=True)


def test_two_threads_split_as_one_does_and_no_more_are_used_than_allowed(monkeypatch):
    texts = ["Red apple–pie", "", "naïve ÉCOLE", "pie", "– …"] * 7
    expected, threads = split_words(texts), set()
    of_block = pieces._of_block
    monkeypatch.setattr(pieces, "BLOCK_CHARACTERS", 4)
    monkeypatch.setattr(
        pieces, "_of_block", lambda *given: threads.add(get_ident()) or of_block(*given)
    )
    monkeypatch.setattr("indexes.threads.cores", lambda: 2)
    for allowed in (1, 2):
        monkeypatch.setenv("OMP_NUM_THREADS", str(allowed))
        threads.clear()
        assert split_words(texts) == expected
        assert len(threads) == allowed


def test_no_word_spans_two_texts():
    assert split_words(["new", "york", "é", "a –", "b"]) == [["new"], ["york"], ["é"], ["a"], ["b"]]


def test_lower_case_is_that_of_single_characters():
    # But for a sigma that ends a word. Python's own takes a dot above into account.
    assert split_words(["ΣΑΣ İ K"]) == [["σας", "i", "k"]]
    assert [lower_case(word) for word in ("ΣΑΣ", "İ", "K", "US")] == ["σας", "i", "k", "us"]


# Characters that are in every Unicode table in use.
CHARACTERS = st.one_of(
    st.characters(codec="utf-8", max_codepoint=0x24F),
    st.sampled_from("αΩяЖ日本\u0301\u0327٣½–—…“🙂\u00a0\u2028\0"),
)


def only_words(text):
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)


@given(st.lists(st.text(CHARACTERS, max_size=30), max_size=6))
def test_a_batch_is_split_as_by_a_plain_reference(texts):
    reference = [re.findall(r"\S+", only_words(normalize(text))) for text in texts]
    assert split_words(texts, lower=False) == reference


@pytest.mark.parametrize("characters", [CHARACTERS, st.characters(codec="utf-8")])
@given(st.data(), st.booleans())
def test_one_text_is_split_as_in_a_batch(characters, data, lower):
    texts = data.draw(st.lists(st.text(characters, max_size=30), max_size=6))
    assert [words_of(text, lower=lower) for text in texts] == split_words(texts, lower=lower)
