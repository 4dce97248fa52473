"""The judge of vectors of words: thresholds, areas, WiC's files, the layers that it is given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.wordlayers import adjusted, of_all_layers, pieces_of
from benchmarks.wordpairs import (
    SPLITS,
    Pair,
    answers,
    area,
    at_two_digits,
    best_threshold,
    cosines_of,
    judge,
    read_pairs,
    sides,
    token_span,
)

# -- thresholds and areas -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cosines", "same", "threshold"),
    [
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1], 0.25),
        ([0.4, 0.1, 0.3, 0.2], [1, 0, 1, 0], 0.25),
        # As good above 0.1 and above 0.6, with one mistake: of two, the higher.
        ([0.1, 0.5, 0.6, 0.7], [0, 1, 0, 1], 0.65),
        # All are the same, or none: below them all, or above.
        ([0.2, 0.6], [1, 1], -0.3),
        ([0.2, 0.6], [0, 0], 1.1),
        # Equal cosines cannot be told apart.
        ([0.5, 0.5, 0.5, 0.9], [1, 0, 0, 1], 0.7),
        # As good below 0.1, between 0.3 and 0.5, and between 0.7 and 0.9: the middle one.
        ([0.1, 0.3, 0.5, 0.7, 0.9], [1, 0, 1, 0, 1], 0.4),
    ],
)
def test_the_best_threshold(cosines, same, threshold):
    found = best_threshold(np.array(cosines), np.array(same, bool))
    assert found == pytest.approx(threshold)


JUDGED = st.lists(st.tuples(st.integers(-9, 9), st.booleans()), min_size=1, max_size=30)


@given(JUDGED)
def test_no_threshold_is_right_more_often(judged):
    cosines = np.array([value for value, _ in judged]) / 10
    same = np.array([truth for _, truth in judged])
    right = ((cosines >= best_threshold(cosines, same)) == same).sum()
    assert right == max(
        ((cosines >= step) == same).sum() for step in np.arange(-11, 12) / 10 + 0.05
    )


def test_the_area_counts_pairs_in_the_right_order():
    # Of 0.9 and 0.5 against 0.5 and 0.1: three in order, one tie.
    cosines, same = np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0], bool)
    assert area(cosines, same) == 3.5 / 4


@given(JUDGED)
def test_the_area_is_what_counting_one_by_one_gives(judged):
    cosines = np.array([value for value, _ in judged])
    same = np.array([truth for _, truth in judged])
    if same.all() or not same.any():
        return
    higher = cosines[same][:, None] - cosines[~same][None]
    assert area(cosines, same) == pytest.approx((np.sign(higher) / 2 + 0.5).mean())


def test_a_threshold_of_train_is_used_on_the_others():
    pair = {same: Pair("a", ("a", "a"), ((0, 1), (0, 1)), same) for same in (True, False)}
    pairs = {split: [pair[True], pair[False]] for split in SPLITS}
    cosines = {
        "train": np.array([0.843, 0.8]),
        "dev": np.array([0.9, 0.823]),
        "test": np.array([0.7, 0.9]),
    }
    found = judge(cosines, pairs)
    assert found["threshold"] == pytest.approx(0.8215)
    assert found["accuracy"] == {"train": 1.0, "dev": 0.5, "test": 0.0}
    assert found["area"] == {"train": 1.0, "dev": 1.0, "test": 0.0}
    # 0.81 to 0.84 are as good on train; 0.81 is the lowest.
    assert at_two_digits(cosines, pairs)["threshold"] == 0.81


def test_answers_are_counted():
    found = answers(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 0, 0], bool), 0.75)
    assert found == {"accuracy": 0.75, "said_same": 0.5, "are_same": 0.25, "area": 1.0}


# -- WiC ----------------------------------------------------------------------------------------


def test_a_token_is_found_between_white_space():
    text = "He said : do n't  bank\u00a0on it ."
    begin, end = token_span(text, 5)
    assert text[begin:end] == "bank"
    assert token_span(text, 6) == (end + 1, end + 3)


# The forms that begin otherwise; "call round" is a mistake of the data.
OTHERS = {("be", form) for form in ("am", "is", "was", "were")}
OTHERS |= {("go", "went"), ("have", "'ve"), ("call", "round")}
LINES = "bank\tN\t1-0\tThe bank failed .\tBanks of rivers .\nrun\tV\t0-1\tRun it .\tHe ran .\n"


def test_pairs_are_read(tmp_path):
    (tmp_path / "dev.data.txt").write_text(LINES)
    (tmp_path / "dev.gold.txt").write_text("F\nT\n")
    bank, run = read_pairs(tmp_path, "dev")
    assert bank == Pair("bank", ("The bank failed .", "Banks of rivers ."), ((4, 8), (0, 5)), False)
    assert (bank.forms, bank.lemmas) == (("bank", "banks"), ("bank", "bank"))
    assert (run.forms, run.same) == (("run", "ran"), True)


@pytest.mark.parametrize(("lines", "gold"), [(LINES, "F\n"), (LINES, "F\nX\n"), ("a\tb\n", "T\n")])
def test_other_files_are_refused(tmp_path, lines, gold):
    (tmp_path / "dev.data.txt").write_text(lines)
    (tmp_path / "dev.gold.txt").write_text(gold)
    with pytest.raises(ValueError):
        read_pairs(tmp_path, "dev")


def test_real_pairs_are_all_read_and_hold_their_word(data):
    pairs = {split: read_pairs(data / "wic", split) for split in SPLITS}
    assert {split: len(some) for split, some in pairs.items()} == {
        "train": 5428,
        "dev": 638,
        "test": 1400,
    }
    # As many of either answer: a word of one vector is right half of the time.
    assert {split: sum(p.same for p in some) * 2 for split, some in pairs.items()} == {
        split: len(some) for split, some in pairs.items()
    }
    others = {
        (pair.lemma, form)
        for some in pairs.values()
        for pair in some
        for form in pair.forms
        if form[0] != pair.lemma[0].lower()
    }
    assert others == OTHERS


# -- vectors ------------------------------------------------------------------------------------


def test_each_side_has_its_row_and_what_is_unknown_is_like_nothing():
    one = Pair("bank", ("x", "y"), ((0, 1), (0, 1)), True)
    other = Pair("run", ("y", "z"), ((0, 1), (0, 1)), True)
    names, rows = sides(
        {"train": [one, other], "dev": [other], "test": []}, lambda pair: pair.texts
    )
    assert names == ["x", "y", "z"]
    assert rows["train"].tolist() == [[0, 1], [1, 2]]
    vectors = np.array([[3, 0], [1, 1], [0, 0]])
    found = cosines_of(vectors, {split: rows[split] for split in ("train", "dev")})
    np.testing.assert_allclose(found["train"], [np.sqrt(0.5), 0], rtol=1e-6)
    assert found["dev"].tolist() == [0]


def test_what_is_common_is_taken_away():
    random = np.random.default_rng(0)
    known = random.normal(size=(500, 6)) * [9, 5, 3, 1, 1, 0] + 2
    found = adjusted(known, known)
    assert found["as they are"] is known
    np.testing.assert_allclose(found["centred"].mean(axis=0), 0, atol=1e-9)
    # Six wide, one of them constant: two directions are left without the first three.
    assert np.linalg.matrix_rank(found["all but the top 3"], tol=1e-6) == 2
    assert found["standardized"].shape == (500, 5)
    np.testing.assert_allclose(found["standardized"].std(axis=0), 1, rtol=1e-9)


@pytest.fixture(scope="module")
def minilm():
    from retriever import ContextualEmbedder

    return ContextualEmbedder("all-MiniLM-L6-v2", runtime="torch")


OCCURRENCES = [
    ("He sat on the bank of the river .", (14, 18)),
    ("The bank lends money .", (4, 8)),
    ("The bank lends money .", (9, 14)),
    ("Unbiddable words are many pieces .", (0, 10)),
    ("A well-known word", (2, 12)),
]


def test_all_layers_at_once_are_what_words_get_one_by_one(minilm):
    found = of_all_layers(minilm, OCCURRENCES)
    for pieces, layer in (("mean", 3), ("first", 0), ("last", 6)):
        encoded = minilm.encode_words([text for text, _ in OCCURRENCES], layer=layer, pieces=pieces)
        for row, ((_, span), words) in enumerate(zip(OCCURRENCES[:4], encoded, strict=False)):
            expected = words.vectors[words.spans.index(span)]
            np.testing.assert_allclose(found[pieces][row, layer], expected, atol=1e-5)
        # `well` and `known`, as one.
        both = encoded[4].vectors[1] + encoded[4].vectors[2]
        expected = both / np.linalg.norm(both)
        np.testing.assert_allclose(found[pieces][4, layer], expected, atol=1e-5)


def test_pieces_are_counted_without_marks(minilm):
    # `lend`, `s`; `un`, `bid`, `dable`; a hyphen is a piece too.
    assert pieces_of(minilm, OCCURRENCES).tolist() == [1, 1, 2, 3, 3]
