"""Entries with separators in them, such as `c++`: by eye, and against a slow reading."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from indexes.text.contexts import Contexts
from retriever.embedders.static.loading import load_vocabulary
from retriever.embedders.static.word_vocabulary import WordVocabulary
from retriever.embedders.word_vectors import vectors
from tests.support.laws import examples
from tests.support.oracles.compound_reading import read_slowly
from tests.support.sources.records import write

WORDS = "c c++ c# п'ять п ять u.s. u.s .net net don't don t e-mail e mail at&t at covid-19 19"
MORE = "mass mass. etc. etc the of art state-of-the-art state-of l’été ½ ... - (800) a_b"


def vocabulary_of(folder: Path, entries, **options) -> WordVocabulary:
    rows = (f"{entry} {row} 1\n" for row, entry in enumerate(entries))
    found = load_vocabulary(write(folder / "words.txt", "".join(rows)), **options)
    assert isinstance(found, WordVocabulary)
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return vocabulary_of(tmp_path_factory.mktemp("own"), f"{WORDS} {MORE}".split())


def names_of(vocabulary, text):
    """Return the entries of a text, read alone and in a batch."""
    bags = vocabulary.bags([text])
    assert bags.ids[bags.rows].tolist() == vocabulary.rows_of(text)
    return [vocabulary.name(row) for row in vocabulary.rows_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C# or (C++), not C.", "c# c++ c"),
        ("п'ять П'ЯТЬ", "п'ять п'ять"),
        ("The u.s.", "the u.s."),
        ("(.NET) asp.net", ".net net"),
        ("Don't e-mail AT&T!", "don't e mail at&t"),
        # Between hyphens, parts that the file has are words of their own.
        ("COVID-19, covid 19", "covid-19 19"),
        ("state-of-the-art, state-of-art", "state-of-the-art state-of art"),
        ("c++/c#.net", "c++ c# .net"),
        ("c++.net", "c++ .net"),
        # A full stop belongs to a word only if the file has it so more often.
        ("the mass. etc.", "the mass etc."),
        ("L’ÉTÉ ½ 800 (800)", "l’été ½"),
        ("the ... - art a_b", "the art a_b"),
        ("xc++ c++x c+++", "c c++"),
    ],
)
def test_the_longest_entry_wins(own, text, expected):
    assert names_of(own, text) == expected.split()


def test_a_file_without_such_entries_reads_words(tmp_path):
    plain = vocabulary_of(tmp_path, ["do", "n't", "don", "t", "c"])
    assert names_of(plain, "don't c++ n't") == ["don", "t", "c", "n't"]
    none = vocabulary_of(tmp_path, ["don", "t", "c", "..."])
    assert none.compounds is None
    assert "separators" not in none.attributes
    assert names_of(none, "don't c++ ...") == ["don", "t", "c"]


def test_the_share_out_of_reach_and_the_fingerprint(own):
    assert own.attributes["separators"] == "as in entries"
    out = {"...", "-", "(800)", "mass."}
    assert own.unreachable == len(out) / len(own.words)
    reached = {name for name in own.words.names if own.rows_of(name) == [own.words.row(name)]}
    assert set(own.words.names) - reached == out | {"e-mail"}


def test_what_is_kept_of_all_entries_reads_alike_and_is_made_again_if_damaged(
    tmp_path, monkeypatch, own
):
    monkeypatch.setattr(vectors, "MANY", 0)
    text = "C++ c# U.S. п'ять ½ COVID-19 fi\u00adnance a_b Etc."

    def found():
        vocabulary = vocabulary_of(tmp_path, f"{WORDS} {MORE}".split())
        bags = vocabulary.bags([text, text.upper()])
        return bags.ids[bags.rows].tolist(), vocabulary.unreachable, vocabulary.words._folder

    expected = [*own.rows_of(text), *own.rows_of(text.upper())]
    assert found()[:2] == (expected, own.unreachable)
    kept = sorted(found()[2].glob("*.kept"))
    assert {file.name.split("-")[0] for file in kept} >= {"separators", "compounds", "contexts"}
    # Read, not made again.
    monkeypatch.setattr(Contexts, "tables_of", None)
    assert found()[:2] == (expected, own.unreachable)
    monkeypatch.undo()
    monkeypatch.setattr(vectors, "MANY", 0)
    whole = [file.read_bytes() for file in kept]
    for damage in (b"", b"\0" * 4, whole[0][:-1], whole[0][:90] + b"?" + whole[0][91:]):
        kept[0].write_bytes(damage)
        assert found()[:2] == (expected, own.unreachable)
    assert [file.read_bytes() for file in kept] == whole


def test_capitals_digits_and_phrases_of_entries(tmp_path):
    news = ["U.S.", "AT&T", "##:##", "##", "New_York", "U.S._Army", "Army", "New", "York", "x"]
    vocabulary = vocabulary_of(tmp_path, news, phrases=True)
    assert names_of(vocabulary, "u.s. At&t 10:15") == ["U.S.", "AT&T", "##:##"]
    assert names_of(vocabulary, "the U.S. Army (New_York)") == ["U.S._Army", "New_York"]


SIGNS = "..--++'#,(&_’\u00e9\u043f"
PIECES = st.text(f"abCé1{SIGNS}", min_size=1, max_size=5)
TEXTS = st.lists(PIECES, max_size=8).map(" ".join)


@settings(deadline=None, max_examples=examples(150))
@given(st.lists(PIECES.map(str.lower), min_size=1, max_size=12, unique=True), st.data())
def test_one_text_and_a_batch_read_as_the_oracle(entries, data):
    # A vocabulary with `##` writes digits so, which the oracle does not.
    assume("##" not in entries)
    mixed = st.lists(st.sampled_from([*entries, *SIGNS, " ", "a", "C"]), max_size=12).map("".join)
    texts = data.draw(st.lists(TEXTS | mixed, max_size=4))
    with TemporaryDirectory() as folder:
        vocabulary = vocabulary_of(Path(folder), ["zz", *entries], phrases=False)
        bags = vocabulary.bags(texts)
        rows = bags.ids[bags.rows].tolist()
        alone = [vocabulary.rows_of(text) for text in texts]
        names = vocabulary.words.names
        rows_by_name = {name: number for number, name in enumerate(names)}
        read = [
            read_slowly(t.lower(), lambda word: rows_by_name.get(word, -1), names) for t in texts
        ]
        slow = [[word for word in some if word in names] for some in read]
        assert [[names[row] for row in some] for some in alone] == slow
        assert [rows[b:e] for b, e in zip(bags.offsets, bags.offsets[1:], strict=False)] == alone
