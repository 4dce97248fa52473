from itertools import chain, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, NewerFormatError
from indexes.text.unspaced import units
from retriever.splitting import (
    Sentences,
    Words,
    _pieces,
    _sentence_ends,
    count_words,
    parse_split,
    splitter_of,
)
from tests.support.fresh import printed_by
from tests.support.laws import examples
from tests.support.toy import exactly, refused

TEN = "a b c d e f g h i j"
# Four sentences of 3, 2, 4 and 1 words.
FOUR = "The cat sat. Dogs ran. A bird sang loudly. Stop."
SPANISH = "Eso dijo la Sra. Pilar ayer."


def passages(splitter, text):
    return [text[start:end] for start, end in splitter.spans(text)]


LONG = "Now it goes on and on and on until the end."
ODD_SPACES = "  e\u0301a\u00a0😀😀\r\n\tb\0c\u2003d  "
ODD_SENTENCES = "😀 wörld e\u0301.\r\nYes\0 no\u00a0now. Vitamin B\u00a0. Is\u3000good."
QUOTES = 'Dr. Smith met J. K. Rowling. He said: "Go home. Now." Then 3.14 came.'
CASES = {
    "no overlap": (Words(4), TEN, "a b c d|e f g h|i j"),
    "overlap": (Words(4, overlap=1), TEN, "a b c d|d e f g|g h i j"),
    # A third one would start at the ninth word and repeat "i j".
    "every passage adds a word": (Words(6, overlap=2), TEN, "a b c d e f|e f g h i j"),
    "every passage adds one word": (Words(9, overlap=8), TEN, f"{TEN[:-2]}|{TEN[2:]}"),
    "words with odd spaces": (Words(2), ODD_SPACES, "e\u0301a\u00a0😀😀|b\0c\u2003d"),
    "one word more than fits": (Words(3), " one two three four ", "one two three|four"),
    "sentences up to the size": (
        *(Sentences(5), FOUR),
        "The cat sat. Dogs ran.|A bird sang loudly. Stop.",
    ),
    "one sentence each": (Sentences(4), FOUR, "The cat sat.|Dogs ran.|A bird sang loudly.|Stop."),
    # The four words of the third sentence do not fit into an overlap of two.
    "as many sentences overlap as fit": (
        *(Sentences(6, overlap=2), FOUR),
        "The cat sat. Dogs ran.|Dogs ran. A bird sang loudly.|Stop.",
    ),
    "a sentence longer than the overlap is not repeated": (
        *(Sentences(6, overlap=1), FOUR),
        "The cat sat. Dogs ran.|A bird sang loudly. Stop.",
    ),
    # "Dogs ran." would fit into the overlap, but not together with the four words that follow.
    "an overlap leaves space for the next sentence": (
        *(Sentences(5, overlap=4), FOUR),
        "The cat sat. Dogs ran.|A bird sang loudly. Stop.",
    ),
    "a long sentence is split by words": (
        *(Sentences(5, overlap=2), f"Dogs ran. {LONG} Stop here."),
        "|".join(["Dogs ran.", *passages(Words(5, overlap=2), LONG), "Stop here."]),
    ),
    "abbreviations and quotes end no sentence": (
        *(Sentences(6), QUOTES),
        'Dr. Smith met J. K. Rowling.|He said: "Go home. Now."|Then 3.14 came.',
    ),
    "a sentence ends after a mark without a space": (
        Sentences(3),
        "a 文。文 b c",
        "a 文。|文 b c",
    ),
    "empty lines": (Sentences(5), f"\n\n{TEN}\n\n\n\n", "a b c d e|f g h i j"),
    "sentences with odd spaces": (
        *(Sentences(4), ODD_SENTENCES),
        "😀 wörld e\u0301.|Yes\0 no\u00a0now.|Vitamin B\u00a0.|Is\u3000good.",
    ),
    "Spanish": (Sentences(5, language="es"), SPANISH, "Eso dijo la Sra. Pilar|ayer."),
    "Spanish as English": (Sentences(5), SPANISH, "Eso dijo la Sra.|Pilar ayer."),
}


@pytest.mark.parametrize("case", CASES)
def test_texts_are_split_into_passages(case):
    splitter, text, expected = CASES[case]
    assert passages(splitter, text) == expected.split("|")


def test_spans_count_characters_also_of_a_million_words():
    assert Words(2).spans(ODD_SPACES) == [(2, 8), (11, 16)]
    spans = Words(200, overlap=50).spans("word " * 1_000_000)
    # Each passage starts 150 words of 5 characters after the one before.
    assert spans[:2] == [(0, 999), (750, 1749)]
    assert (len(spans), spans[-1][1]) == (6667, 4_999_999)


@pytest.mark.parametrize("splitter", [Words(3), Sentences(3)])
@pytest.mark.parametrize("text", ["", " ", "one", " one two three \n", "\n" * 1000])
def test_a_short_text_is_one_passage(splitter, text):
    assert splitter.spans(text) == [(0, len(text))]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_no_sentence_runs_across_an_empty_line(newline):
    text = newline.join(["The title", " ", "One line", "and more.", "", "", "The end"])
    assert passages(Sentences(4), text) == ["The title", f"One line{newline}and more.", "The end"]


def test_a_sentence_end_does_not_depend_on_where_a_window_ends():
    sentence = 'Dr. Fox said: "Go home. Now." '
    for shift in range(40):
        ends = list(_sentence_ends("x" * shift + " " + sentence * 200, "en"))
        assert ends[:-1] == [shift + 1 + 30 * count for count in range(1, 200)]
    # A sentence longer than the widest window is one.
    text = f"First one. {'word ' * 9000}end. Last one."
    ends = [end for end in _sentence_ends(text, "en") if end < len(text)]
    assert ends == [len("First one. "), len(text) - len("Last one.")]


def test_texts_that_sentencex_splits_wrongly_are_one_sentence():
    # It panics on the first, which `spans` avoids, and loses a character of the second.
    initial = "Vitamin B\u00a0. Go on."
    lines = "A line here.\r\n\r\n" * 1300
    assert _pieces(initial, "en") == [initial]
    assert _pieces(lines, "en") == [lines]
    assert len(Sentences(3).spans(lines)) == 1300


@pytest.mark.parametrize(
    "text",
    ["日本語の文。" * 20_000 + " a b c", "`` x '' . " * 100_000, "x" * 1_000_000 + " a b c"],
    ids=["japanese", "backticks", "no space"],
)
def test_texts_on_which_sentencex_takes_quadratic_time(text):
    # 100 s for a megabyte of the first, if given in one piece; it is not split between spaces.
    spans = Sentences(3).spans(text)
    assert (spans[0][0], spans[-1][1]) == (0, len(text.rstrip()))


def test_sentencex_is_imported_only_to_split_a_long_text():
    printed_by(
        "import sys; from retriever.splitting import *\n"
        "Sentences(3).spans('a b c'); assert 'sentencex' not in sys.modules\n"
        "Sentences(3).spans('a b c d'); assert 'sentencex' in sys.modules"
    )


PIECES = ["a", "B", "word", "Dr.", "U.S.", "3.14", "it's", "(see", "[1]", "end.", "Yes!", "Why?"]
ODD_PIECES = ["...", "\0", "😀", "e\u0301", "文。", "“Go.", "”", "``", "''"]
SPACES = [" ", " ", " ", "\n", "\r\n", "\n\n", "\u00a0", "\u2028", "\x1c", "\u3000", "\x85"]
pieces = st.sampled_from(PIECES + ODD_PIECES) | st.text(st.characters(exclude_categories=["Cs"]))
pairs = st.lists(st.tuples(pieces, st.sampled_from(SPACES)), min_size=5, max_size=60)
texts = pairs.map(lambda pairs: "".join(chain.from_iterable(pairs))) | st.text()
sizes = st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))
words_splitters = sizes.map(lambda pair: Words(pair[0], overlap=pair[1]))
languages = st.sampled_from(["en", "de", "ja", "my", "xx"])
sentence_splitters = st.builds(
    lambda pair, language: Sentences(pair[0], overlap=pair[1], language=language), sizes, languages
)
splitters = words_splitters | sentence_splitters


def word_ranges(splitter, text):
    """The passages as ranges of words; fails where a passage cuts a word."""
    bounds = [match.span() for match in units(text).finditer(text)]
    starts = {start: i for i, (start, _) in enumerate(bounds)}
    ends = {end: i for i, (_, end) in enumerate(bounds, start=1)}
    return [(starts[start], ends[end]) for start, end in splitter.spans(text)]


@settings(max_examples=examples(250))
@given(splitters, texts)
def test_law_of_passages(splitter, text):
    again = splitter_of(splitter.spec)
    assert (again, again.spans(text)) == (splitter, splitter.spans(text))
    total = count_words(text)
    short = total <= splitter.size
    assert (splitter.spans(text) == [(0, len(text))]) or not short
    assert (len(splitter.spans(text)) == 1) == short
    if short:
        return
    ranges = word_ranges(splitter, text)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == total
    assert all(0 < last - first <= splitter.size for first, last in ranges)
    for (first, last), (next_first, next_last) in pairwise(ranges):
        assert first < next_first
        assert last < next_last
        # No word between the two is left out.
        assert 0 <= last - next_first <= splitter.overlap
        if isinstance(splitter, Words):
            # Also for the last passage: it is shorter at its end only.
            assert (last - first, last - next_first) == (splitter.size, splitter.overlap)


@given(sentence_splitters, texts)
def test_law_of_sentences(splitter, text):
    if count_words(text) <= splitter.size:
        return
    edges = [0] + [count_words(text[:end]) for end in _sentence_ends(text, splitter.language)]
    assert edges[-1] == count_words(text)
    for first, last in word_ranges(splitter, text):
        inside = [(begin, end) for begin, end in pairwise(edges) if begin < last and end > first]
        if len(inside) == 1:
            [(begin, end)] = inside
            # All of it, unless it is longer than a passage.
            assert (first, last) == (begin, end) or end - begin > splitter.size
        else:
            assert (first, last) == (inside[0][0], inside[-1][1])


@given(words_splitters)
def test_splits_are_parsed(splitter):
    for kind, cls in (("", Words), ("words:", Words), ("sentences:", Sentences)):
        parsed = parse_split(f"{kind}{splitter.size}/{splitter.overlap}")
        assert parsed == cls(splitter.size, overlap=splitter.overlap)
    assert parse_split("200") == Words(200)
    assert parse_split("200/50") == parse_split(" words:200/50 ") == Words(200, overlap=50)
    assert parse_split("sentences:150") == Sentences(150)


INVALID_SPLITS = ("", "200/", "/50", "200/50/3", "-1", "0", "50/50", "2.5", "chars:9", "9" * 5000)
INVALID_SPLITS += ("words:", "٣")
INVALID_SIZES = [
    *((5, overlap) for overlap in (5, 6, -1, False, None)),
    *((size, 0) for size in (0, -1, True)),
    *((size, 1) for size in (5.0, "5")),
]


@pytest.mark.parametrize("text", INVALID_SPLITS)
def test_invalid_splits_are_refused(text):
    says = (
        f"Cannot split by '{text}'; expected SIZE or SIZE/OVERLAP in words, the size from 1 to "
        "999,999,999 and the overlap below it. Write 200, 200/50, words:200/50 or sentences:200/50."
    )
    refused(InputError, exactly(says), parse_split, text)


@pytest.mark.parametrize("cls", [Words, Sentences])
@pytest.mark.parametrize(("size", "overlap"), INVALID_SIZES)
def test_invalid_sizes_are_refused(cls, size, overlap):
    says = (
        f"Passages of {size!r} words that overlap by {overlap!r} are not possible; expected whole "
        "numbers, a size of at least 1 and an overlap from 0 to below the size. "
        f"For example: {cls.__name__}(200, overlap=50)."
    )
    refused(InputError, exactly(says), cls, size, overlap=overlap)


@pytest.mark.parametrize("language", ["", "English", "DE", "e", None, 5, "en\n"])
def test_invalid_language_codes_are_refused(language):
    says = f"The language is {language!r}; expected a code in small letters, such as 'en' or 'de'."
    refused(InputError, exactly(says), Sentences, language=language)


@pytest.mark.parametrize(
    ("spec", "found", "known"),
    [
        ({"kind": "tokens", "size": 5}, "Passages were split by 'tokens'", "words, sentences"),
        (
            {"kind": "words", "unit": "s"},
            "Splitting by 'words' has the option 'unit'",
            "size, overlap",
        ),
        ({}, "Passages were split by None", "words, sentences"),
    ],
)
def test_specs_of_a_newer_version_are_refused(spec, found, known):
    advice = "A newer Retriever wrote that: upgrade to continue."
    says = f"{found}; this version knows {known}. {advice}"
    refused(NewerFormatError, exactly(says), splitter_of, spec)


def test_splitters_describe_themselves():
    assert Words(200, overlap=50).spec == {"kind": "words", "size": 200, "overlap": 50}
    german = {"kind": "sentences", "size": 200, "overlap": 0, "language": "de"}
    assert Sentences(language="de").spec == german
    for splitter, description in (
        (Words(200, overlap=50), "200 words, overlapping by 50"),
        (Words(1), "1 word"),
        (Words(2000), "2,000 words"),
        (Sentences(200, overlap=50), "whole sentences up to 200 words, overlapping by 50"),
        (Sentences(9, language="de"), "whole sentences (de) up to 9 words"),
    ):
        assert str(splitter) == description
