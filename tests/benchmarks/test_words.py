"""The word benchmark: thresholds, areas, WiC's files, vectors of all layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import wordpairs
from benchmarks.wordlayers import adjusted, of_all_layers, pieces_of
from benchmarks.wordpairs import SPLITS, Pair
from tests.support.toy import refused


@pytest.mark.parametrize(
    ("cosines", "same", "threshold"),
    [
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1], 0.25),
        ([0.4, 0.1, 0.3, 0.2], [1, 0, 1, 0], 0.25),
        # Equal above 0.1 and above 0.6, with one error: of two, the higher.
        ([0.1, 0.5, 0.6, 0.7], [0, 1, 0, 1], 0.65),
        # All are the same, or none: below all, or above.
        ([0.2, 0.6], [1, 1], -0.3),
        ([0.2, 0.6], [0, 0], 1.1),
        # Equal cosines cannot be separated.
        ([0.5, 0.5, 0.5, 0.9], [1, 0, 0, 1], 0.7),
        # Equal below 0.1, between 0.3 and 0.5, and between 0.7 and 0.9: the middle one.
        ([0.1, 0.3, 0.5, 0.7, 0.9], [1, 0, 1, 0, 1], 0.4),
    ],
)
def test_the_best_threshold(cosines, same, threshold):
    found = wordpairs.best_threshold(np.array(cosines), np.array(same, bool))
    assert found == pytest.approx(threshold)


JUDGED = st.lists(st.tuples(st.integers(-9, 9), st.booleans()), min_size=1, max_size=30).map(
    lambda judged: [np.array(column) for column in zip(*judged, strict=True)]
)


@given(JUDGED)
def test_no_threshold_is_right_more_often(judged):
    cosines, same = judged[0] / 10, judged[1]

    def right(threshold):
        return ((cosines >= threshold) == same).sum()

    most = max(map(right, np.arange(-11, 12) / 10 + 0.05))
    assert right(wordpairs.best_threshold(cosines, same)) == most


def test_the_area_by_eye():
    # Of 0.9 and 0.5 against 0.5 and 0.1: three in order, one tie.
    found = wordpairs.area(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0], bool))
    assert found == 3.5 / 4


@given(JUDGED.filter(lambda judged: judged[1].any() and not judged[1].all()))
def test_the_area_is_that_of_counting_pairs(judged):
    cosines, same = judged
    higher = cosines[same][:, None] - cosines[~same][None]
    assert wordpairs.area(cosines, same) == pytest.approx((np.sign(higher) / 2 + 0.5).mean())


def test_the_threshold_of_train_is_used_on_the_other_splits():
    pair = [Pair("a", ("a", "a"), ((0, 1), (0, 1)), same) for same in (True, False)]
    pairs = dict.fromkeys(SPLITS, pair)
    cosines = dict(zip(SPLITS, np.array([[0.843, 0.8], [0.9, 0.823], [0.7, 0.9]]), strict=True))
    found = wordpairs.judge(cosines, pairs)
    assert found["threshold"] == pytest.approx(0.8215)
    assert found["accuracy"] == {"train": 1.0, "dev": 0.5, "test": 0.0}
    assert found["area"] == {"train": 1.0, "dev": 1.0, "test": 0.0}
    # 0.81 to 0.84 are equal on train; 0.81 is the lowest.
    assert wordpairs.at_two_digits(cosines, pairs)["threshold"] == 0.81


def test_answers_are_counted():
    found = wordpairs.answers(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 0, 0], bool), 0.75)
    assert found == {"accuracy": 0.75, "said_same": 0.5, "are_same": 0.25, "area": 1.0}


def test_a_token_is_found_between_white_space():
    text = "He said : do n't  bank\u00a0on it ."
    begin, end = wordpairs.token_span(text, 5)
    assert text[begin:end] == "bank"
    assert wordpairs.token_span(text, 6) == (end + 1, end + 3)


# Forms with another first letter than their lemma; "call round" is an error in the data.
OTHERS = {("be", form) for form in ("am", "is", "was", "were")}
OTHERS |= {("go", "went"), ("have", "'ve"), ("call", "round")}
LINES = "bank\tN\t1-0\tThe bank failed .\tBanks of rivers .\nrun\tV\t0-1\tRun it .\tHe ran .\n"


def test_pairs_are_read_and_other_files_are_refused(tmp_path):
    def read(lines, gold):
        (tmp_path / "dev.data.txt").write_text(lines)
        (tmp_path / "dev.gold.txt").write_text(gold)
        return wordpairs.read_pairs(tmp_path, "dev")

    bank, run = read(LINES, "F\nT\n")
    assert bank == Pair("bank", ("The bank failed .", "Banks of rivers ."), ((4, 8), (0, 5)), False)
    assert (bank.forms, bank.lemmas) == (("bank", "banks"), ("bank", "bank"))
    assert (run.forms, run.same) == (("run", "ran"), True)
    for lines, gold in ((LINES, "F\n"), (LINES, "F\nX\n"), ("a\tb\n", "T\n")):
        refused(ValueError, None, read, lines, gold)


def test_all_real_pairs_are_read_with_their_word(data):
    pairs = {split: wordpairs.read_pairs(data / "wic", split) for split in SPLITS}
    sizes = {split: len(some) for split, some in pairs.items()}
    assert sizes == {"train": 5428, "dev": 638, "test": 1400}
    # Half of the pairs have the same sense, so a static vector is right half of the time.
    assert {split: sum(p.same for p in some) * 2 for split, some in pairs.items()} == sizes
    every = (pair for some in pairs.values() for pair in some)
    forms = {(pair.lemma, form) for pair in every for form in pair.forms}
    assert {(lemma, form) for lemma, form in forms if form[0] != lemma[0].lower()} == OTHERS


def test_each_side_has_its_row_and_unknown_words_have_cosine_0():
    spans = ((0, 1), (0, 1))
    one, other = Pair("bank", ("x", "y"), spans, True), Pair("run", ("y", "z"), spans, True)
    pairs = {"train": [one, other], "dev": [other], "test": []}
    names, rows = wordpairs.sides(pairs, lambda pair: pair.texts)
    assert names == ["x", "y", "z"]
    assert rows["train"].tolist() == [[0, 1], [1, 2]]
    vectors = np.array([[3, 0], [1, 1], [0, 0]])
    found = wordpairs.cosines_of(vectors, {split: rows[split] for split in ("train", "dev")})
    np.testing.assert_allclose(found["train"], [np.sqrt(0.5), 0], rtol=1e-6)
    assert found["dev"].tolist() == [0]


def test_common_components_are_removed():
    random = np.random.default_rng(0)
    known = random.normal(size=(500, 6)) * [9, 5, 3, 1, 1, 0] + 2
    found = adjusted(known, known)
    assert found["as they are"] is known
    np.testing.assert_allclose(found["centered"].mean(axis=0), 0, atol=1e-9)
    # Of six dimensions, one is constant: two are left without the first three.
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


def test_all_layers_at_once_are_those_of_single_calls(minilm):
    found = of_all_layers(minilm, OCCURRENCES)
    texts, spans = zip(*OCCURRENCES, strict=True)
    for pieces, layer in (("mean", 3), ("first", 0), ("last", 6)):
        *encoded, last = minilm.encode_words(list(texts), layer=layer, pieces=pieces)
        pairs = zip(encoded, spans[:4], strict=True)
        rows = [words.vectors[words.spans.index(span)] for words, span in pairs]
        both = last.vectors[1] + last.vectors[2]  # `well` and `known`, as one.
        expected = [*rows, both / np.linalg.norm(both)]
        np.testing.assert_allclose(found[pieces][:, layer], expected, atol=1e-5)


def test_pieces_are_counted_without_marks(minilm):
    # `lend`, `s`; `un`, `bid`, `dable`; a hyphen is a piece, too.
    assert pieces_of(minilm, OCCURRENCES).tolist() == [1, 1, 2, 3, 3]
