"""Normal forms: by eye, and as laws over all of Unicode."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexes.text.normalize import is_affected, normalize, normalize_with_origins
from indexes.text.words import words_of
from tests.support.laws import examples

# Characters that change with their neighbors, among any others.
TRICKY = (
    "a1é² ½ﬁｆＡ！\u00ad\u200b\u200d\u200c\ufeff\u0301\u0e4d\u0e32\u0e49\u0e19\u0e33"
    "가\u1100\u1161\u11a8ｶﾞ銀Σς™①⁵㎏"
)
TEXTS = st.lists(st.one_of(st.sampled_from(TRICKY), st.characters()), max_size=12).map("".join)
INVISIBLE = "\u00ad\u2060\ufeff\u200b\u200e\u200f\u202a\u2066\u034f\ufe0f\u180e"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("plain", "plain"),
        ("\ufefffi\u00adnan\u2060ce", "finance"),
        ("cafe\u0301", "café"),
        ("ﬁnance ｆｉｎａｎｃｅ１２", "finance finance12"),
        ("10⁵ 1½ m² H₂O", "10 5 1 1⁄2 m2 H2O"),
        ("Windows™ ℃", "Windows™ ℃"),
        ("ｶﾞ", "ガ"),
        ("fi\u200bnance", "finance"),
        ("ไทย\u200bภาษา", "ไทย ภาษา"),
        ("ශ්\u200dරී", "ශ්\u200dරී"),
        ("👨\u200d👩", "👨👩"),
        ("น\u0e4d\u0e49\u0e32 น\u0e49\u0e33", "น\u0e49\u0e33 น\u0e49\u0e33"),
        ("ＡＢＣ！　x", "ABC! x"),
        ("ＡＢＣ！中", "ABC！中"),
    ],
)
def test_texts_that_look_equal_become_equal(text, normal):
    assert normalize(text) == normal


@settings(max_examples=examples(300), deadline=None)
@given(TEXTS)
@example("0\u200b⁵")
@example("1\u200d\u200c²\u200b³")
def test_the_normal_form_is_stable_and_every_character_has_a_place(text):
    normal = normalize(text)
    assert normalize(normal) == normal
    assert normalize_with_origins(text)[0] == normal
    places = normalize_with_origins(text)[1]
    assert (len(places), places[-1], places) == (len(normal) + 1, len(text), sorted(places))
    # What the batch reader does not send here is in normal form, but for full-width punctuation.
    if not any(map(is_affected, text)):
        assert words_of(normal, lower=False) == words_of(text, lower=False)


@settings(max_examples=examples(200), deadline=None)
@given(st.text("abcdéñü ß", min_size=1, max_size=20), st.data())
def test_invisible_characters_and_other_forms_change_no_word(text, data):
    words = words_of(text, lower=True)
    place = data.draw(st.integers(0, len(text)))
    hidden = text[:place] + data.draw(st.sampled_from(INVISIBLE)) + text[place:]
    wide = "".join(chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in text)
    for form in (hidden, wide, unicodedata.normalize("NFD", text)):
        assert words_of(form, lower=True) == words
