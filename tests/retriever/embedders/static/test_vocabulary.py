"""How texts become rows of word vectors: case, numbers, phrases, subwords; one text and many."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retriever.embedders.static.loading import load_vocabulary
from tests.support.sources.records import write


def made_of(folder, words, **options):
    """Return a vocabulary of these words, read from a file."""
    rows = (f"{word} {row} 1\n" for row, word in enumerate(words.split()))
    return load_vocabulary(write(folder / "words.txt", "".join(rows)), **options)


@pytest.fixture(scope="module")
def news(tmp_path_factory):
    """Written as GoogleNews is: mixed case, `#` for digits, phrases."""
    words = "the The New York City US us ## 5 New_York New_York_City new_york_city York_City_Hall"
    rest = "City_Hall Windows_## Windows café Hall"
    return made_of(tmp_path_factory.mktemp("news"), f"{words} {rest}")


def rows_of(vocabulary, texts):
    """Return the rows of the known words of each text of a batch."""
    bags = vocabulary.bags(texts)
    assert len(bags) == len(texts)
    assert (bags.rows.dtype, bags.offsets.dtype, bags.ids.dtype) == (np.int32, np.int64, np.int64)
    assert len(set(bags.ids.tolist())) == len(bags.ids) == len(bags.table) == len(bags.words)
    np.testing.assert_array_equal(bags.table, vocabulary.vectors[bags.ids])
    rows = bags.ids[bags.rows].tolist()
    return [rows[begin:end] for begin, end in pairwise(bags.offsets.tolist())]


def names_of(vocabulary, text):
    rows = rows_of(vocabulary, [text])[0]
    assert vocabulary.rows_of(text) == rows
    return [vocabulary.words.names[row] for row in rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The US", "The US"),  # as written
        ("THE Us", "the us"),  # and in lower case where that is unknown
        ("CAFÉ", "café"),
        ("10 5 99", "## 5 ##"),
        ("1990", ""),
        ("New York", "New_York"),
        ("New-York City!", "New_York_City"),
        ("new york city hall", "new_york_city Hall"),
        ("NEW YORK CITY", "new_york_city"),
        ("York City Hall", "York_City_Hall"),
        ("New York City Hall", "New_York_City Hall"),
        ("Windows 95 or 5", "Windows_## 5"),
        ("", ""),
    ],
)
def test_words_numbers_and_phrases_by_eye(news, text, expected):
    assert names_of(news, text) == expected.split()


def test_phrases_count_as_one_word_and_unknown_words_are_listed(news):
    bags = news.bags(["New York is in the US", "", "Us us"])
    assert bags.occurring == 5 + 2  # a phrase is one
    assert sorted(bags.words) == ["New_York", "US", "the", "us"]
    assert bags.offsets.tolist() == [0, 3, 3, 5]
    assert news.unknown_words(["Is York is 2000 IS", "the"]) == [["Is", "is", "2000", "IS"], []]


def test_attributes_name_case_digits_and_phrases_only_where_they_matter(news, tmp_path):
    assert news.case == "as written, else lower"
    named = [news.attributes[name] for name in ("case", "digits", "phrases")]
    assert named == [news.case, "#", True]
    plain = made_of(tmp_path, "the us ## 10")
    assert plain.case == "lower"
    words = {"words": "unicode L, M, N, normalized", "lower": True, "subwords": False}
    assert plain.attributes == {"source": plain.checksum, **words}
    assert names_of(plain, "US 95 10") == ["us", "10"]


@pytest.mark.parametrize(
    ("more", "phrases", "joined"),
    # Phrases need one entry in a hundred; `__` is none.
    [("", None, False), ("a_b", None, False), ("a_b b_a", None, True), ("", True, True)],
)
def test_phrases_are_joined_if_frequent_or_requested(tmp_path, more, phrases, joined):
    words = " ".join(f"word{n}" for n in range(198)) + f" word1_word2 __ {more}"
    expected = ["word1_word2"] if joined else ["word1", "word2"]
    assert names_of(made_of(tmp_path, words, phrases=phrases), "word1 word2") == expected


def test_phrases_can_be_switched_off(tmp_path):
    off = made_of(tmp_path, "new york new_york", phrases=False)
    assert names_of(off, "new york") == ["new", "york"]
    assert "phrases" not in off.attributes


WORDS = "New York City new NEW city CITY Hall hall US Us 10 5 1990 Windows the x café CAFÉ – ß"
TEXTS = st.lists(st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join), max_size=6)


@settings(deadline=None)
@given(TEXTS)
def test_one_text_has_the_rows_it_has_in_a_batch(news, texts):
    assert [news.rows_of(text) for text in texts] == rows_of(news, texts)


def test_real_documents_one_by_one_and_together(data):
    vocabulary = load_vocabulary("glove-6b-50d")
    texts = (data / "adi" / "corpus.jsonl").read_text().splitlines()
    assert [vocabulary.rows_of(text) for text in texts] == rows_of(vocabulary, texts)


def test_subwords_need_the_batch(fasttext):
    from gensim.models.fasttext import load_facebook_vectors

    vocabulary = load_vocabulary(fasttext)
    assert vocabulary.rows_of("the unheardofword") is None
    known = vocabulary.rows_of("the")
    bags = vocabulary.bags(["the unheardofword the nightly", "…"])
    assert bags.ids[bags.rows[:1]].tolist() == known
    assert bags.ids[bags.rows].tolist() == [*known, -1, *known, -1]
    assert [bags.words[row] for row in bags.rows] == ["the", "unheardofword", "the", "nightly"]
    assert (bags.occurring, bags.offsets.tolist()) == (4, [0, 4, 4])
    oracle = load_facebook_vectors(str(fasttext))
    np.testing.assert_allclose(bags.table, [oracle[word] for word in bags.words], rtol=1e-5)
    assert vocabulary.unknown_words(["the unheardofword"]) == [[]]
