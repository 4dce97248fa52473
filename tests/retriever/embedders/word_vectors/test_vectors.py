"""Files of word vectors: every format against gensim, damage by path and line, the cache."""

import gzip
import hashlib
import os
import re
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import FileFormatError, InputError
from retriever.embedders.word_vectors import formats as wordfiles
from retriever.embedders.word_vectors.vectors import load_words
from tests.support.laws import examples
from tests.support.sources import records as format_files
from tests.support.toy import refused

TOY = "apple 1 2\npear 3 4\nthe plum 5 6\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "words"


@pytest.fixture
def write(tmp_path):
    return lambda content, name="toy.txt": format_files.write(tmp_path / name, content)


def binary(rows, *, promised=None, after=b"\n"):
    header = f"{len(rows) if promised is None else promised} 2\n".encode()
    body = [word + b" " + np.array(values, "<f4").tobytes() + after for word, values in rows]
    return header + b"".join(body)


def swapped(rows):
    return binary([(word, np.array(values, "<f4").byteswap()) for word, values in rows])


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(write):
    path = write("apple 1 2\n")
    assert load_words(path)["apple"].tolist() == [1, 2]
    before, new = path.stat(), write("apple 3 4\n", "new.txt")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)
    assert load_words(path)["apple"].tolist() == [3, 4]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("header", ["", "3 2\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_with_and_without_a_byte_order_mark_a_header_and_gzip(write, bom, header, packed):
    content = bom + (header + TOY).encode()
    words = load_words(write(gzip.compress(content) if packed else content, "misnamed.bin"))
    assert (list(words), len(words), words.dim) == (["apple", "pear", "the plum"], 3, 2)
    assert words.ids(["the plum", "fig", "apple"]).tolist() == [2, -1, 0]
    assert words["pear"].tolist() == [3, 4]
    assert ("pear" in words, "fig" in words) == (True, False)
    assert not words.has_upper_case


def assert_same_words(words, oracle):
    assert words.ids(oracle.index_to_key).tolist() == list(range(len(oracle)))
    np.testing.assert_array_equal(words.vectors, oracle.vectors)


TEXT = ("lee_fasttext.vec", "crime-and-punishment.vec", "high_precision.kv.txt", "toy-model.vec")
BINARY = ("euclidean_vectors.bin", "high_precision.kv.bin", "poincare_vectors.bin")
FASTTEXT = ("crime-and-punishment.bin", "lee_fasttext.bin", "lee_fasttext_new.bin")


@pytest.mark.parametrize("name", [*TEXT, *BINARY])
def test_word2vec_files_are_read_as_by_gensim(gensim_data, name):
    from gensim.models import KeyedVectors

    path = gensim_data / name
    words = load_words(path)
    assert_same_words(words, KeyedVectors.load_word2vec_format(path, binary=name in BINARY))
    assert words.subwords is None


def test_a_glove_file_is_read_as_by_gensim_with_a_header(gensim_data, write):
    from gensim.models import KeyedVectors

    # gensim leaves a file without a header open.
    path = gensim_data / "test_glove.txt"
    oracle = KeyedVectors.load_word2vec_format(write(f"76 50\n{path.read_text()}", "headed.txt"))
    assert_same_words(load_words(path), oracle)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FASTTEXT)
def test_fasttext_models_are_read_as_by_gensim(gensim_data, write, name, packed):
    from gensim.models.fasttext import load_facebook_vectors

    path = gensim_data / name
    oracle = load_facebook_vectors(str(path))
    words = load_words(write(gzip.compress(path.read_bytes(), 1)) if packed else path)
    assert_same_words(words, oracle)
    unknown = ["nighttimes", "преступный", "日本語", "naïveté", "x", "<", "electro-magnetic"]
    vectors, found = words.subwords.vectors_of(unknown)
    expected = [oracle.get_vector(word) for word in unknown]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(words["nighttimes"], expected[0], rtol=1e-5, atol=1e-7)
    assert found.all()


def test_a_word_too_short_for_subwords_is_unknown(gensim_data):
    words = load_words(gensim_data / "lee_fasttext.bin")
    vectors, found = words.subwords.vectors_of(["", "unheard"])
    assert (found.tolist(), vectors[0].tolist()) == ([False, True], [0.0] * 10)
    assert words.subwords.vectors_of([])[0].shape == (0, 10)


def test_the_first_row_of_a_repeated_word_counts(write):
    words = load_words(write("4 2\na 1 2\nb 3 4\na 5 6\na 7 8\n"))
    assert (len(words), words.duplicates) == (2, 2)
    assert words.vectors.tolist() == [[1, 2], [3, 4]]


def test_vectors_are_read_only_and_unknown_words_are_refused(write):
    words = load_words(write(TOY))
    with pytest.raises(ValueError, match="read-only"):
        words.vectors[0, 0] = 9
    words["apple"][0] = 9  # a copy
    assert words["apple"].tolist() == [1, 2]
    why = r"No word 'Apple' among these 3 .* It has 'apple'"
    refused(KeyError, why, words.__getitem__, "Apple")


def test_upper_case_is_detected(write):
    assert load_words(write("New_York 1 2\nthe 3 4\n")).has_upper_case


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a file of word vectors"),
        ("just some words\nand more of them\n", "not a file of word vectors"),
        ('{"apple": [1, 2]}\n', "not a file of word vectors"),
        ("3 2\na 1 2\nb 3 4\n", "promises 3 words, but it holds 2"),
        ("1 2\na 1 2\nb 3 4\n", "promises 1 words, but it holds 2"),
        ("a 1 2\nb 3\nc 5 6\n", "line 2: expected a word and 2 numbers; found a word and 1"),
        ("a 1 2\nb 3 4 5\nc 6 7\n", "line 2: expected a word and 2 numbers; found a word and 3"),
        ("2 2\na 1 2\nb 3 x4\n", "line 3: expected a number; found 'x4'"),
        ("2 2\na 1 2\nb 3 nan\n", "line 3: a value is not a finite number"),
        ("2 2\na 1 2\nb 3 1e99\n", "line 3: a value is not a finite number"),
        (b"2 2\na 1 2\n\xe9 3 4\n", r"line 3: b'\\xe9' is not valid UTF-8"),
        (gzip.compress(TOY.encode() * 999, mtime=0)[:-20], "truncated gzip file"),
        (binary([(b"a", [1, 2])], promised=2), "ends in word 2; .* promises 2 words"),
        (binary([(b"a", [1, 2]), (b"b", [3, 4])])[:-3], "ends in word 2"),
        (binary([(b"a", [1, 2]), (b"b", [3, 4])], promised=1), "there is more after them"),
        (binary([(b"a", [1, 2]), (b"\xe9", [3, 4])]), "word 2 is not valid UTF-8"),
        (binary([(b"a", [1, 2]), (b"b", [3, np.nan])]), "word 2 'b' has a value that is not fin"),
        (binary([]), "holds no words"),
        # Rows that are too long, separated by tabs.
        ("the\t1\t2\ncat\t4\t5\t6\ndog\t7\t8\n", "line 2: .* 2 numbers; found a word and 3"),
        ("2 2\ncat\t4\t5\ndog\t7\t8 9\n", "line 3: .* 2 numbers; found a word and 3"),
        # Rows that a missing line break joins, to the word or with a space.
        ("the 1 2 3\ncat 0 1 0dog 0 0 1\na 1 2 3\n", "line 2: .*'cat 0 1 0dog' holds numbers"),
        ("the 1 2 3\ncat 0 1 0 dog 0 0 1\na 1 2 3\n", "line 2: .* Is a line break missing"),
        ("3 3\nthe 1 2 3\ncat\t0\t1\t0dog\t0\t0\t1\n", "line 3: .* Is a line break missing"),
        ("a .125 .5 .5\nb .1259c .5 .5 .5\nd 1 1 1\n", "line 2: .* Is a line break missing"),
        ("a 1 2\rb 3 4\nc 5 6\nd 7 8\n", "line 1: .* Is a line break missing"),
        # A last row that ends inside its last number.
        ("a 0.123 0.456 0.789\nb 0.123 0.456 0.7", "line 2: the file ends inside the last number"),
        ("2 3\na 0.12 0.45 0.78\nb 0.12 0.45 0", "line 3: the file ends inside the last number"),
        ("a 0.123 0.456\nb 0.123 -", "line 2: expected a number; found '-'"),
        # Carriage returns alone as line ends.
        ("a 1 2\rb 3 4\r", "carriage returns alone as line ends"),
        ("2 2\ra 1 2\rb 3 4", "carriage returns alone as line ends"),
        (swapped([(b"a", [1, 2]), (b"b", [0.5, -0.25])]), "has big-endian numbers"),
        (swapped([(b"a", [1e-3, 0]), (b"b", [3, 4])]), "has big-endian numbers"),
        (b"\x80", "not a file of word vectors"),
    ],
)
def test_a_damaged_file_is_refused_by_path_and_line(write, cache, content, message):
    path = write(content)
    refused(FileFormatError, rf"(?s){path}.*{message}", load_words, path)
    assert not list(cache.glob(".making-*"))


def test_words_with_spaces_are_read_with_their_numbers(write):
    entries = [". . .", "at name@domain.com", "catch 22 movie", "a b"]
    rows = [f"{word} {number} 0.125 0.25 0.5" for number, word in enumerate(entries, 1)]
    plain = [f"plain{number} 5 0 0 0" for number in range(9)]
    words = load_words(write("\n".join([*rows, *plain, ""])))
    assert list(words)[:5] == [*entries, "plain0"]
    assert words[". . ."].tolist() == [1, 0.125, 0.25, 0.5]
    assert words.notes == ()


NUMBERS = st.floats(-9, 9, width=32).map(lambda value: f"{value:.4f}")
WORDS = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=4)


@given(
    st.lists(st.tuples(WORDS, st.tuples(*[NUMBERS] * 3)), min_size=4, max_size=8),
    st.sampled_from(" \t"),
    st.data(),
)
@settings(max_examples=examples(60), deadline=None)
def test_a_text_file_with_one_line_break_or_number_lost_is_refused(
    tmp_path_factory, rows, space, data
):
    lines = [space.join([word, *numbers]) + "\n" for word, numbers in rows]
    lost = data.draw(st.integers(0, len(rows) - 2))
    damaged = data.draw(
        st.sampled_from([lines[lost][:-1], lines[lost][:-1] + space, lines[lost][:-8] + "\n"])
    )
    cut = data.draw(st.integers(2, 5))
    path = tmp_path_factory.mktemp("law") / "words.txt"
    path.write_text("".join(lines))
    assert load_words(path).duplicates == len(rows) - len({word for word, _ in rows})
    path.write_text("".join([*lines[:lost], damaged, *lines[lost + 1 :]]))
    refused(FileFormatError, rf"line {lost + 1}: ", load_words, path)
    path.write_text("".join(lines)[:-cut])
    refused(FileFormatError, rf"line {len(rows)}: ", load_words, path)


@given(
    st.lists(st.tuples(WORDS, st.tuples(*[NUMBERS] * 3)), min_size=2, max_size=4),
    st.sampled_from(" \t"),
    st.booleans(),
    st.data(),
)
@settings(max_examples=examples(60), deadline=None)
def test_a_first_or_last_row_that_is_cut_within_its_numbers_is_refused(
    tmp_path_factory, rows, space, at_the_end, data
):
    *lines, last = [space.join([word, *numbers]) for word, numbers in rows]
    if at_the_end:  # Some numbers are left, in a line that an editor may have ended.
        kept = last[: data.draw(st.integers(len(rows[-1][0]) + 1, last.rindex(space)))]
        content = "\n".join([*lines, kept]) + data.draw(st.sampled_from(["", "\n"]))
    else:  # No word is left, and the first number is not all there.
        kept = lines[0][lines[0].index(space) + data.draw(st.integers(0, 9)) :]
        content = "\n".join([kept, *lines[1:], last])
    path = tmp_path_factory.mktemp("law") / "words.txt"
    path.write_text(content)
    place = len(rows) if at_the_end else 1
    refused(FileFormatError, rf"line {place}: expected a word and 3", load_words, path)


def test_a_last_number_that_is_cut_is_shorter_than_those_of_many_rows(write):
    rows = [f"w{number} 0.{number + 100} -1.{number + 200}" for number in range(60)]
    message = "line 60: the file ends inside the last number: the others have 3 decimals"
    for end in ("", "\n", "\n\n"):
        refused(FileFormatError, message, load_words, write("\n".join(rows)[:-1] + end))
    # Numbers without their last zeros have any length.
    rows[30] = "w30 0.5 1"
    assert load_words(write("\n".join(rows)[:-1] + "\n")).vectors[59, 1] == np.float32(-1.25)


def test_a_last_row_without_a_line_break_is_noted(write):
    note = "The file of word vectors ends without a line break; if it was cut off, the last number "
    note += "is wrong."
    for _ in range(2):  # the second from the cache
        assert load_words(write("a 1 2\nb 3 4")).notes == (note,)
    assert load_words(write("2 2\na 1 2\nb 3 4", "headed.txt")).notes == (note,)
    assert load_words(write("a 1 2\nb 3 4\n\n", "ended.txt")).notes == ()


def noted(ending):
    return (
        f"The file of word vectors ends {ending}; if it was cut off, the last number is wrong.",
    )


def test_a_last_number_that_is_shorter_than_a_few_others_is_noted(write):
    few, shorter = "a 0.123 1.456\nb 2.789 ", noted("with a number that is shorter than all others")
    for number in ("3.01", "3.0", "3.", "3"):
        assert load_words(write(f"{few}{number}\n")).notes == shorter
    headed = write("2 2\na 1.5e-05 1.4e-06\nb 2.7e-08 3.0e-0\n")
    assert load_words(headed).notes == shorter
    # As long as another one, or of a file without decimals.
    for content in (f"{few}3.012\n", "a 0.12 1.4\nb 2.7 3\n", "a 1 2\nb 3.5 4\n", TOY):
        assert load_words(write(content)).notes == ()


def test_a_last_row_without_the_space_of_all_others_is_noted(write):
    some = "a 0.5 1.25 \nb 0.75 1.5 \n"
    missing = noted("without the space of all other lines")
    assert load_words(write(f"{some}c 2.5 1.2\n")).notes == missing
    assert load_words(write(f"3 2\r\n{some}c 2.5 1.2\r\n")).notes == missing
    assert load_words(write(f"{some}c 2.5 1.2 \n")).notes == ()
    assert load_words(write("c 2.5 1.2\n")).notes == ()


def test_underscores_are_no_part_of_a_number(write):
    message = "line 2: expected a number; found '4_0'"
    refused(FileFormatError, message, load_words, write("a 1 2\nb 3 4_0\nc 5 6\n"))
    assert load_words(write("a_b 1 2\nb_ 3 4\n"))["b_"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"a 1 2\n\xe9 3 4\nb 5 6\n", ", line 2: "),
        (b"3 2\na 1 2\ncaf\xe9 3 4\nb 5 6\n", ", line 3: "),
        (binary([(b"a", [1, 2]), (b"\xe9", [3, 4]), (b"b", [5, 6])]), ": word 2 "),
    ],
)
def test_words_that_are_not_utf8_are_left_out_and_counted_if_asked(write, cache, content, place):
    path = write(content)
    message = f"{re.escape(str(path) + place)}.*is not valid UTF-8. To leave such words out, set "
    message += r"skip_bad_words=True \(-o skip_bad_words true\)\."
    refused(FileFormatError, message, load_words, path)
    words = load_words(path, skip_bad_words=True)
    assert (list(words), words.vectors.tolist()) == (["a", "b"], [[1, 2], [5, 6]])
    assert words.notes == ("1 word not in UTF-8 left out.",)
    # What was converted so is not what is asked for without the option.
    refused(FileFormatError, message, load_words, path)
    assert load_words(path, skip_bad_words=True).notes == words.notes


def test_damage_far_into_a_file_is_found_at_its_line(write):
    rows = [f"w{number} 1 2" for number in range(10_000)]
    rows[9_000] = "w9000 1"
    refused(FileFormatError, "line 9001", load_words, write("\n".join(rows)))


def test_binary_rows_may_span_reads(write, monkeypatch):
    monkeypatch.setattr(wordfiles, "READ_BYTES", 16)
    monkeypatch.setattr(wordfiles, "ROWS", 3)
    rows = [(f"word{number}".encode(), [number, -number]) for number in range(20)]
    words = load_words(write(binary(rows, after=b"")))
    assert words.vectors.tolist() == [values for _, values in rows]
    assert words.ids(["word0", "word19"]).tolist() == [0, 19]


@pytest.mark.parametrize("kept", [60, 100, 2000, 60_000])
def test_a_truncated_fasttext_model_is_refused(gensim_data, write, kept):
    content = (gensim_data / "lee_fasttext_new.bin").read_bytes()
    refused(FileFormatError, "ends too early", load_words, write(content[:kept]))


# Where the parts of `crime-and-punishment.bin` begin: arguments, vocabulary, words.
BUCKET, MIN_N, VOCABULARY, FIRST_WORD = 16 + 24, 16 + 28, 16 + 48, 16 + 48 + 20 + 8


@pytest.fixture(scope="module")
def crime(gensim_data):
    """Return a fastText model as bytes; its first word is checked."""
    content = (gensim_data / "crime-and-punishment.bin").read_bytes()
    first = content[FIRST_WORD : content.index(b"\0", FIRST_WORD)]
    return content, first


def packed_at(content, position, layout, *values):
    changed = bytearray(content)
    struct.pack_into(layout, changed, position, *values)
    return bytes(changed)


@pytest.mark.parametrize("count", [0, -5])
def test_a_fasttext_word_without_a_count_is_refused(crime, write, count):
    content, first = crime
    path = write(packed_at(content, FIRST_WORD + len(first) + 1, "<q", count))
    message = rf"damaged: word 1, '.*', has the count {count}\. Download or create it again"
    refused(FileFormatError, message, load_words, path)


def test_a_fasttext_word_that_is_there_twice_is_refused(crime, write):
    content, _ = crime
    end = content.index(b"\0", FIRST_WORD) + 10
    second = content[end : content.index(b"\0", end)]
    twice = content.index(b"\0", end) + 10
    # The third word becomes the second one.
    after = content[content.index(b"\0", twice) :]
    path = write(content[:twice] + second + after)
    refused(FileFormatError, r"damaged: word 3, '.+', is there twice", load_words, path)


@pytest.mark.parametrize(
    ("position", "layout", "value", "message"),
    [
        (8, "<i", 6, "promises 391 of 6"),
        (8, "<i", -1, "promises 391 of -1"),
        (BUCKET, "<i", -1, "and -1 buckets"),
        (BUCKET, "<i", 2**31 - 1, "it has 391 vectors"),
        (MIN_N, "<i", -3, "n-grams have -3 to 6 letters"),
        (MIN_N + 4, "<i", 2**31 - 1, "n-grams have 3 to 2147483647 letters"),
        (VOCABULARY, "<i", -1, "it has -1 entries"),
        (VOCABULARY, "<i", 2**31 - 1, "it has 2147483647 entries"),
        (VOCABULARY, "<2i", (2**31 - 1, 2**31 - 1), "ends too early|has the count"),
        (VOCABULARY, "<2i", (0, 0), "it has 0 entries"),
    ],
)
def test_a_fasttext_header_that_contradicts_its_file_is_refused(
    crime, write, position, layout, value, message
):
    values = value if isinstance(value, tuple) else (value,)
    path = write(packed_at(crime[0], position, layout, *values))
    refused(FileFormatError, message, load_words, path)


MUTATED = st.sampled_from([b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff" * 4, b"\0" * 8])


# Most of the file is numbers, whatever they are; what may break a reader is before them.
PLACES = st.integers(0, 600) | st.integers(0, 1 << 30)


@given(PLACES, MUTATED, st.none() | PLACES)
@settings(max_examples=examples(50), deadline=None)
def test_a_fasttext_model_changed_anywhere_is_read_or_refused(
    crime, tmp_path_factory, place, change, end
):
    content = bytearray(crime[0])
    place %= len(content) - 8
    content[place : place + len(change)] = change
    path = tmp_path_factory.mktemp("law") / "model.bin"
    path.write_bytes(content if end is None else content[: end % len(content)])
    try:
        words = load_words(path)
    except (FileFormatError, InputError):
        return
    assert np.isfinite(words.vectors).all()
    assert len(words["преступный"]) == words.dim


def test_pickles_are_opened_only_on_trust(tmp_path):
    from gensim.models import KeyedVectors

    keyed = KeyedVectors(2)
    keyed.add_vectors(["apple", "pear"], [[1, 2], [3, 4]])
    path = tmp_path / "saved.kv"
    keyed.save(str(path))
    refused(InputError, "pickle can run arbitrary code.* trust_pickle", load_words, path)
    assert load_words(path, trust_pickle=True)["pear"].tolist() == [3, 4]
    # From now on the converted arrays are opened, and nothing is unpickled.
    assert load_words(path)["pear"].tolist() == [3, 4]
    keyed.add_vectors(["fig"], [[5, 6]])
    keyed.save(str(path))
    refused(InputError, "trust_pickle", load_words, path)


def test_a_saved_fasttext_model_keeps_its_subwords(tmp_path):
    from gensim.models import FastText

    model = FastText([["apple", "pear"]] * 5, vector_size=4, min_count=1, bucket=50, workers=1)
    model.save(str(tmp_path / "fast.model"))
    words = load_words(tmp_path / "fast.model", trust_pickle=True)
    np.testing.assert_array_equal(words["pear"], model.wv["pear"])
    np.testing.assert_allclose(words["unheard"], model.wv["unheard"], rtol=1e-5)


def test_an_old_save_without_all_buckets_has_words_only(gensim_data):
    words = load_words(gensim_data / "compatible-hash-true.model", trust_pickle=True)
    assert (len(words), words.subwords) == (22, None)


def test_other_models_are_refused(gensim_data):
    tfidf = gensim_data / "tfidf_model.tst"
    refused(FileFormatError, "holds a TfidfModel", load_words, tfidf, trust_pickle=True)
    classifier = gensim_data / "pang_lee_polarity_fasttext.bin"
    refused(FileFormatError, "classifier", load_words, classifier)


def test_arrays_beside_a_save_are_part_of_the_source(tmp_path):
    from gensim.models import KeyedVectors

    checksums = set()
    for value in (1, 2):
        keyed = KeyedVectors(2)
        keyed.add_vectors(["a", "b"], np.full((2, 2), value, np.float32))
        keyed.save(str(tmp_path / "big[1].kv"), sep_limit=1)
        assert list(tmp_path.glob("big*.npy"))
        words = load_words(tmp_path / "big[1].kv", trust_pickle=True)
        assert words["b"].tolist() == [value, value]
        checksums.add(words.checksum)
    assert len(checksums) == 2


def test_a_folder_with_arrays_and_an_index_is_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    np.save(tmp_path / "x_emb.npy", np.array([[1, 2], [3, 4]], np.float32))
    pq.write_table(pa.table({"index": ["a", "b"]}), tmp_path / "x_index.parquet")
    assert load_words(tmp_path)["b"].tolist() == [3, 4]
    pq.write_table(pa.table({"index": ["a", "b", "c"]}), tmp_path / "x_index.parquet")
    refused(FileFormatError, "a row for each of the 3 words", load_words, tmp_path)


def test_other_folders_and_missing_files_are_refused(tmp_path):
    refused(FileFormatError, "is a folder; expected a file", load_words, tmp_path)
    refused(InputError, r"gone\.txt: No such file", load_words, tmp_path / "gone.txt")


def names_in(folder):
    return sorted(item.name for item in folder.iterdir())


def test_a_second_opening_reads_only_the_cache(write, cache, monkeypatch):
    path = write(TOY)
    first = load_words(path)
    entry = cache / first.checksum
    assert names_in(entry) == ["meta.json", "vectors.npy", "words.txt"]
    made = (entry / "meta.json").stat().st_mtime_ns
    # The source is read completely only for its SHA-256.
    monkeypatch.delattr(hashlib, "file_digest")
    assert load_words(path)["apple"].tolist() == [1, 2]
    assert (entry / "meta.json").stat().st_mtime_ns == made


def test_entries_are_shared_by_content(write, cache):
    before, same = load_words(write(TOY)), load_words(write(TOY, "b.vec"))
    assert names_in(cache) == sorted([before.checksum, "seen"])
    after = load_words(write(TOY.replace("1 2", "9 9 ")))
    assert [words["apple"].tolist() for words in (before, same, after)] == [[1, 2], [1, 2], [9, 9]]
    assert before.checksum == same.checksum != after.checksum


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "meta.json").unlink(),
        lambda entry: (entry / "meta.json").write_text("{"),
        lambda entry: (entry / "words.txt").write_text("other\nwords\nhere\n"),
        lambda entry: (entry / "vectors.npy").write_bytes(b""),
        lambda entry: os.truncate(entry / "vectors.npy", 140),
        lambda entry: (entry / "vectors.npy").unlink(),
    ],
)
def test_a_damaged_entry_is_written_again(write, cache, damage):
    path = write(TOY)
    damage(entry := cache / load_words(path).checksum)
    assert load_words(path)["the plum"].tolist() == [5, 6]
    assert names_in(cache) == sorted([entry.name, "seen"])


def test_concurrent_openings_write_one_complete_entry(write, cache):
    path = write("".join(f"word{number} {number} 1\n" for number in range(5000)))
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(load_words, [path] * 16))
    assert {words["word4999"].tolist()[0] for words in opened} == {4999}
    assert names_in(cache) == sorted([opened[0].checksum, "seen"])


def test_old_leftovers_of_a_crash_are_removed(write, cache):
    old, young = cache / ".making-old", cache / ".making-young"
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (0, 0))
    load_words(write(TOY))
    assert (old.exists(), young.exists()) == (False, True)


def test_mapped_vectors_outlive_their_files(write):
    path = write(TOY)
    words = load_words(path)
    path.unlink()
    shutil.rmtree(path.parent / "cache")
    assert words.vectors[0].tolist() == [1, 2]
