import re
import sys
from itertools import chain, pairwise
from subprocess import run

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import InputError, NewerFormatError
from retriever.splitting import Sentences, Words, _pieces, _sentence_ends, parse_split, splitter_of

TEN = "one two three four five six seven eight nine ten"
# Four sentences of 3, 2, 4 and 1 words.
FOUR = "The cat sat. Dogs ran. A bird sang loudly. Stop."


def passages(splitter, text):
    return [text[start:end] for start, end in splitter.spans(text)]


# Words


def test_stretches_follow_one_another():
    assert passages(Words(4), TEN) == ["one two three four", "five six seven eight", "nine ten"]


def test_stretches_overlap():
    assert passages(Words(4, overlap=1), TEN) == [
        "one two three four",
        "four five six seven",
        "seven eight nine ten",
    ]


def test_no_stretch_adds_no_word():
    # A third one would start at the ninth word and hold "nine ten" once more.
    assert passages(Words(6, overlap=2), TEN) == [
        "one two three four five six",
        "five six seven eight nine ten",
    ]
    assert passages(Words(9, overlap=8), TEN) == [TEN[:-4], TEN[4:]]


def test_spans_count_characters_of_the_text():
    text = "  e\u0301a\u00a0😀😀\r\n\tb\0c\u2003d  "
    assert Words(2).spans(text) == [(2, 8), (11, 16)]
    assert passages(Words(2), text) == ["e\u0301a\u00a0😀😀", "b\0c\u2003d"]


@pytest.mark.parametrize("splitter", [Words(3), Sentences(3)])
@pytest.mark.parametrize("text", ["", " ", "one", " one two three \n", "\n" * 1000])
def test_a_short_text_is_one_passage_whole(splitter, text):
    assert splitter.spans(text) == [(0, len(text))]


def test_one_word_more_than_fits_is_two_passages():
    assert passages(Words(3), " one two three four ") == ["one two three", "four"]


def test_a_text_of_a_million_words():
    spans = Words(200, overlap=50).spans("word " * 1_000_000)
    # Each passage starts 150 words of 5 characters after the one before.
    assert spans[:2] == [(0, 999), (750, 1749)]
    assert spans[-1][1] == 4_999_999
    assert len(spans) == 6667


# Sentences


def test_whole_sentences_up_to_the_size():
    assert passages(Sentences(5), FOUR) == [
        "The cat sat. Dogs ran.",
        "A bird sang loudly. Stop.",
    ]
    assert passages(Sentences(4), FOUR) == [
        "The cat sat.",
        "Dogs ran.",
        "A bird sang loudly.",
        "Stop.",
    ]


def test_sentences_overlap_by_as_many_as_fit():
    assert passages(Sentences(6, overlap=2), FOUR) == [
        "The cat sat. Dogs ran.",
        "Dogs ran. A bird sang loudly.",
        # Four words do not fit into an overlap of two.
        "Stop.",
    ]


def test_a_sentence_longer_than_the_overlap_is_not_repeated():
    assert passages(Sentences(6, overlap=1), FOUR) == [
        "The cat sat. Dogs ran.",
        "A bird sang loudly. Stop.",
    ]


def test_an_overlap_leaves_room_for_the_next_sentence():
    # "Dogs ran." would fit into the overlap, but not together with the four words that follow.
    assert passages(Sentences(5, overlap=4), FOUR) == [
        "The cat sat. Dogs ran.",
        "A bird sang loudly. Stop.",
    ]


def test_a_long_sentence_is_cut_as_words_would_cut_it():
    text = f"Dogs ran. Now {TEN}. Stop here."
    assert passages(Sentences(5, overlap=2), text) == [
        "Dogs ran.",
        *passages(Words(5, overlap=2), f"Now {TEN}."),
        "Stop here.",
    ]


def test_abbreviations_and_quotes_end_no_sentence():
    text = 'Dr. Smith met J. K. Rowling. He said: "Go home. Now." Then 3.14 came.'
    assert passages(Sentences(6), text) == [
        "Dr. Smith met J. K. Rowling.",
        'He said: "Go home. Now."',
        "Then 3.14 came.",
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_no_sentence_runs_across_an_empty_line(newline):
    text = newline.join(["The title", " ", "One line", "and more.", "", "", "The end"])
    assert passages(Sentences(4), text) == [
        "The title",
        f"One line{newline}and more.",
        "The end",
    ]


def test_no_sentence_ends_inside_a_word():
    assert passages(Sentences(3), "a 文。文 b c") == ["a 文。文 b", "c"]


def test_empty_lines_around_a_long_sentence():
    text = f"\n\n{TEN}\n\n\n\n"
    assert passages(Sentences(5), text) == passages(Words(5), text)


def test_sentences_count_characters_of_the_text():
    text = "😀 wörld e\u0301.\r\nYes\0 no\u00a0now. Vitamin B\u00a0. Is\u3000good."
    assert passages(Sentences(4), text) == [
        "😀 wörld e\u0301.",
        "Yes\0 no\u00a0now.",
        "Vitamin B\u00a0.",
        "Is\u3000good.",
    ]


def test_the_language_decides():
    text = "Eso dijo la Sra. Pilar ayer."
    spanish, english = Sentences(5, language="es"), Sentences(5)
    assert passages(spanish, text) == ["Eso dijo la Sra. Pilar", "ayer."]
    assert passages(english, text) == ["Eso dijo la Sra.", "Pilar ayer."]


def test_a_sentence_end_does_not_depend_on_where_a_window_ends():
    sentence = 'Dr. Fox said: "Go home. Now." '
    assert len(sentence) == 30
    for shift in range(40):
        text = "x" * shift + " " + sentence * 200
        assert list(_sentence_ends(text, "en"))[:-1] == [
            shift + 1 + len(sentence) * count for count in range(1, 200)
        ]


def test_a_sentence_longer_than_the_widest_window_is_one():
    text = f"First one. {'word ' * 9000}end. Last one."
    assert [end for end in _sentence_ends(text, "en") if end < len(text)] == [
        len("First one. "),
        len(text) - len("Last one."),
    ]


def test_what_the_library_gets_wrong_is_one_sentence():
    # It panics here, which `spans` avoids; and of the second it loses a character.
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
def test_texts_for_which_the_library_takes_quadratic_time(text):
    # 100 s for a megabyte of the first, were it given whole; and it stays whole between spaces.
    spans = Sentences(3).spans(text)
    assert (spans[0][0], spans[-1][1]) == (0, len(text.rstrip()))


def test_the_library_is_imported_when_a_long_text_is_split():
    code = (
        "import sys; from retriever.splitting import *\n"
        "Sentences(3).spans('a b c'); assert 'sentencex' not in sys.modules\n"
        "Sentences(3).spans('a b c d'); assert 'sentencex' in sys.modules"
    )
    run([sys.executable, "-c", code], check=True)


# Laws

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
    bounds = [match.span() for match in re.finditer(r"\S+", text)]
    starts = {start: i for i, (start, _) in enumerate(bounds)}
    ends = {end: i for i, (_, end) in enumerate(bounds, start=1)}
    return [(starts[start], ends[end]) for start, end in splitter.spans(text)]


@given(splitters, texts)
def test_law_of_short_texts(splitter, text):
    short = len(text.split()) <= splitter.size
    assert (splitter.spans(text) == [(0, len(text))]) or not short
    assert (len(splitter.spans(text)) == 1) == short


@given(splitters, texts)
def test_law_of_passages(splitter, text):
    total = len(text.split())
    if total <= splitter.size:
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


@given(words_splitters, texts)
def test_law_of_words(splitter, text):
    total = len(text.split())
    if total <= splitter.size:
        return
    ranges = word_ranges(splitter, text)
    assert all(last - first == splitter.size for first, last in ranges[:-1])
    for (_, last), (next_first, _) in pairwise(ranges):
        # Also for the last passage: it is shorter at its end only.
        assert last - next_first == splitter.overlap


@given(sentence_splitters, texts)
def test_law_of_sentences(splitter, text):
    if len(text.split()) <= splitter.size:
        return
    edges = [0] + [len(text[:end].split()) for end in _sentence_ends(text, splitter.language)]
    assert edges[-1] == len(text.split())
    for first, last in word_ranges(splitter, text):
        inside = [(begin, end) for begin, end in pairwise(edges) if begin < last and end > first]
        if len(inside) == 1:
            [(begin, end)] = inside
            # All of it, unless it is longer than a passage.
            assert (first, last) == (begin, end) or end - begin > splitter.size
        else:
            assert (first, last) == (inside[0][0], inside[-1][1])


@given(splitters, texts)
def test_law_of_round_trips(splitter, text):
    again = splitter_of(splitter.spec)
    assert again == splitter
    assert again.spans(text) == splitter.spans(text)


@given(words_splitters)
def test_law_of_the_command_line(splitter):
    for kind, cls in (("", Words), ("words:", Words), ("sentences:", Sentences)):
        parsed = parse_split(f"{kind}{splitter.size}/{splitter.overlap}")
        assert parsed == cls(splitter.size, overlap=splitter.overlap)


# Names and errors


def test_the_command_lines_forms():
    assert parse_split("200") == Words(200)
    assert parse_split("200/50") == Words(200, overlap=50)
    assert parse_split(" words:200/50 ") == Words(200, overlap=50)
    assert parse_split("sentences:150") == Sentences(150)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "200/",
        "/50",
        "200/50/3",
        "-1",
        "0",
        "50/50",
        "2.5",
        "chars:9",
        "9" * 5000,
        "words:",
        "٣",
    ],
)
def test_what_the_command_line_refuses(text):
    with pytest.raises(InputError) as caught:
        parse_split(text)
    assert str(caught.value) == (
        f"Cannot split by '{text}'; expected SIZE or SIZE/OVERLAP in words, the size at least 1 "
        "and the overlap below it. Write 200, 200/50, words:200/50 or sentences:200/50."
    )


@pytest.mark.parametrize("cls", [Words, Sentences])
@pytest.mark.parametrize(
    ("size", "overlap"),
    [
        (0, 0),
        (-1, 0),
        (5, 5),
        (5, 6),
        (5, -1),
        (True, 0),
        (5, False),
        (5.0, 1),
        ("5", 1),
        (5, None),
    ],
)
def test_sizes_that_cannot_be(cls, size, overlap):
    with pytest.raises(InputError) as caught:
        cls(size, overlap=overlap)
    assert str(caught.value) == (
        f"Passages of {size!r} words that overlap by {overlap!r} cannot be; expected whole "
        "numbers, a size of at least 1 and an overlap from 0 to below the size. "
        f"For example: {cls.__name__}(200, overlap=50)."
    )


@pytest.mark.parametrize("language", ["", "English", "DE", "e", None, 5, "en\n"])
def test_languages_that_are_no_code(language):
    with pytest.raises(InputError) as caught:
        Sentences(language=language)
    assert str(caught.value) == (
        f"The language is {language!r}; expected a code in small letters, such as 'en' or 'de'."
    )


def test_specs():
    assert Words(200, overlap=50).spec == {"kind": "words", "size": 200, "overlap": 50}
    assert Sentences(language="de").spec == {
        "kind": "sentences",
        "size": 200,
        "overlap": 0,
        "language": "de",
    }


def test_specs_of_a_newer_version():
    with pytest.raises(NewerFormatError) as caught:
        splitter_of({"kind": "tokens", "size": 5})
    assert str(caught.value) == (
        "Passages were split by 'tokens'; this version knows words, sentences. "
        "A newer Retriever wrote that: install it to go on."
    )
    with pytest.raises(NewerFormatError) as caught:
        splitter_of({"kind": "words", "size": 5, "unit": "syllables"})
    assert str(caught.value) == (
        "Splitting by 'words' has the option 'unit'; this version knows size, overlap. "
        "A newer Retriever wrote that: install it to go on."
    )
    with pytest.raises(NewerFormatError, match="Passages were split by None"):
        splitter_of({})


@pytest.mark.parametrize(
    ("splitter", "said"),
    [
        (Words(200, overlap=50), "200 words, overlapping by 50"),
        (Words(1), "1 word"),
        (Words(2000), "2,000 words"),
        (Sentences(200, overlap=50), "whole sentences up to 200 words, overlapping by 50"),
        (Sentences(9, language="de"), "whole sentences (de) up to 9 words"),
    ],
)
def test_in_words(splitter, said):
    assert str(splitter) == said
