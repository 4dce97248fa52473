"""GloVe: counts and steps by hand, the same loss as a plain loop, topics recovered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.progress import ignore_progress
from retriever.training.checkpoint import Checkpoint
from retriever.training.word_vectors import cooccurrence
from retriever.training.word_vectors.cooccurrence import PAIR, count_file, count_pairs
from retriever.training.word_vectors.glove import Factors, factorize, x_max_of
from tests.support.sources.records import write
from tests.support.toy import refused
from tests.support.trainings import interrupting, settings_for


def pairs_of(folder, lines, vocabulary, window, files=1, seed=1):
    """Count the pairs {(first, second): count} of lines distributed over several files."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"text-{number}.txt" for number in range(files)]
    for number, path in enumerate(paths):
        path.write_text("".join(f"{line}\n" for line in lines[number::files]))
    counted = count_pairs(
        folder, paths, dict.fromkeys(vocabulary, 1), window, seed, ignore_progress
    )
    rows = np.concatenate([np.fromfile(path, PAIR) for path in counted.files]).tolist()
    found = {(vocabulary[first], vocabulary[second]): count for first, second, count in rows}
    assert len(found) == len(rows) == counted.total
    return found


def test_the_counts_of_a_small_text_by_hand(tmp_path):
    # a and b: adjacent twice (1 + 1), and a . . b at distance 3 (1/3); c next to itself is its own
    # mirror, so 2.
    found = pairs_of(tmp_path, ["a b c c a", "b a"], ["a", "b", "c"], 3)
    assert found == {
        ("a", "b"): pytest.approx(1 + 1 / 3 + 1),
        # a . c (1/2), a . . c (1/3), c a (1), c . a (1/2)
        ("a", "c"): pytest.approx(1 / 2 + 1 / 3 + 1 + 1 / 2),
        ("b", "c"): pytest.approx(1 + 1 / 2),
        ("c", "c"): pytest.approx(2),
    }


def test_a_pair_is_of_known_words_of_one_text(tmp_path):
    # Unknown words are removed before distances are counted.
    assert pairs_of(tmp_path / "1", ["a rare b", "rare", ""], ["a", "b"], 1) == {("a", "b"): 1}
    assert pairs_of(tmp_path / "2", ["a", "b", "a"], ["a", "b"], 5) == {}
    keys, counts = count_file(tmp_path / "2" / "text-0.txt", {"a": 0}, 10)
    assert len(keys) == len(counts) == 0


def by_loop(lines, vocabulary, window):
    """Count the same pairs word by word."""
    counts = {}
    for line in lines:
        words = [vocabulary.index(word) for word in line.split() if word in vocabulary]
        for at, word in enumerate(words):
            for distance in range(1, min(window, at) + 1):
                pair = tuple(sorted((word, words[at - distance])))
                mirror = 2 if pair[0] == pair[1] else 1
                counts[pair] = counts.get(pair, 0) + mirror / distance
    return {(vocabulary[a], vocabulary[b]): count for (a, b), count in counts.items()}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdex"), max_size=9).map(" ".join), max_size=6),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_any_texts_are_counted_as_by_a_plain_loop(tmp_path_factory, lines, window, files):
    folder = tmp_path_factory.mktemp("pairs")
    found = pairs_of(folder, lines, list("abcde"), window, files)
    assert found == pytest.approx(by_loop(lines, list("abcde"), window), rel=1e-6)


def test_counts_that_do_not_fit_in_one_piece_come_out_the_same(tmp_path, monkeypatch):
    words = list("abcdefghij")
    random = np.random.default_rng(5)
    lines = [" ".join(random.choice(words, 30)) for _ in range(40)]
    whole = pairs_of(tmp_path / "whole", lines, words, 10, files=4)
    monkeypatch.setattr(cooccurrence, "MERGED_AT_ONCE", 25)
    monkeypatch.setattr(cooccurrence, "PAIRS_IN_A_FILE", 10)
    assert pairs_of(tmp_path / "pieces", lines, words, 10, files=4) == whole
    assert len(list((tmp_path / "pieces").glob("pairs-*.bin"))) > 10
    assert len(whole) == 55  # every pair of ten words, and every word with itself
    assert whole == pytest.approx(by_loop(lines, words, 10), rel=1e-6)


def test_complete_counts_are_reused_and_truncated_ones_are_not(tmp_path):
    found = pairs_of(tmp_path, ["a b"], ["a", "b"], 2)
    assert pairs_of(tmp_path, ["b b b"], ["a", "b"], 2) == found == {("a", "b"): 1}
    (tmp_path / "pairs-00000.bin").write_bytes(b"cut")
    assert pairs_of(tmp_path, ["b b b"], ["a", "b"], 2) == {("b", "b"): pytest.approx(5)}


def factors_of(words, contexts, word_biases=0.0, context_biases=0.0):
    vectors = np.array([words, contexts], np.float32)
    biases = np.zeros(vectors.shape[:2], np.float32)
    biases[0], biases[1] = word_biases, context_biases
    return Factors(vectors, biases, np.ones_like(vectors), np.ones_like(biases))


def pair(*rows):
    return np.array(list(rows), PAIR)


def test_one_step_of_adagrad_by_hand():
    # One entry, of the word 0 with itself: x = e, x_max = 16 e, so f = (1/16)**0.75 = 1/8.
    # Prediction 2 * 3 + 0.5 + 0.5 = 7, error 7 - 1 = 6, weighted 0.75; loss 0.75 * 6 / 2 = 2.25.
    factors = factors_of([[2.0]], [[3.0]], 0.5, 0.5)
    loss = factors.step(pair((0, 0, np.e)), x_max=16 * np.e, rate=0.1)
    assert loss == pytest.approx(2.25, rel=1e-6)
    # Gradients: of w 0.75 * 3, of c 0.75 * 2 (of w before it moved), of both biases 0.75.
    gradients = np.array([2.25, 1.5, 0.75, 0.75])
    sums = 1 + gradients**2
    moved = np.array([2, 3, 0.5, 0.5]) - 0.1 * gradients / ((1 + np.sqrt(sums)) / 2)
    found = [one.ravel() for one in vars(factors).values()]
    assert np.concatenate(found[:2]) == pytest.approx(moved, rel=1e-6)
    assert np.concatenate(found[2:]) == pytest.approx(sums, rel=1e-6)


def test_a_pair_is_fitted_in_both_directions():
    # Rows 0 and 1 mirror each other, and so do their updates.
    factors = factors_of([[1.0], [1.0], [9.0]], [[1.0], [1.0], [9.0]])
    factors.step(pair((0, 1, 10.0)), x_max=10)
    assert factors.vectors[0, 0] == factors.vectors[0, 1] == factors.vectors[1, 0]
    assert factors.vectors[0, 0] > 1  # 1 is below log 10
    assert factors.vectors[:, 2].ravel().tolist() == [9, 9]  # untouched


def test_gradients_of_one_step_add_up_before_anything_moves():
    # Word 0 with words 1 and 2: log x = 0, f = 1; predictions 1 and 2.
    factors = factors_of([[1.0], [1.0], [2.0]], [[1.0], [1.0], [2.0]])
    factors.step(pair((0, 1, 1.0), (0, 2, 1.0)), x_max=1, rate=0.1)
    # Gradients of w0: 1 * 1 and 2 * 2.
    expected = 1 - 0.1 * 5 / ((1 + np.sqrt(1 + 1 + 16)) / 2)
    assert factors.vectors[0, 0, 0] == pytest.approx(expected, rel=1e-6)


def one_after_another(factors, pairs):
    """Run an epoch of AdaGrad entry by entry, as the authors' tool does."""
    losses, vectors, biases = 0.0, factors.vectors.astype(float), factors.biases.astype(float)
    sums, bias_sums = factors.vector_sums.astype(float), factors.bias_sums.astype(float)
    for first, second, count in pairs.tolist():
        for i, j in dict.fromkeys([(first, second), (second, first)]):
            error = vectors[0, i] @ vectors[1, j] + biases[0, i] + biases[1, j] - np.log(count)
            weighted = min(1, (count / 10.0) ** 0.75) * error
            losses += weighted * error / 2
            gradients = weighted * vectors[1, j], weighted * vectors[0, i]
            for side, row in ((0, i), (1, j)):
                vectors[side, row] -= 0.05 * gradients[side] / np.sqrt(sums[side, row])
                sums[side, row] += gradients[side] ** 2
                biases[side, row] -= 0.05 * weighted / np.sqrt(bias_sums[side, row])
                bias_sums[side, row] += weighted**2
    return losses / len(pairs), Factors(vectors, biases, sums, bias_sums)


def test_batched_steps_reach_the_loss_of_single_steps(tmp_path):
    random = np.random.default_rng(2)
    words = [f"w{number}" for number in range(60)]
    shares = 1 / np.arange(1, 61)
    lines = [" ".join(random.choice(words, 30, p=shares / shares.sum())) for _ in range(40)]
    counted = pairs_of(tmp_path, lines, words, 5)
    rows = {word: row for row, word in enumerate(words)}
    pairs = np.array([(rows[a], rows[b], n) for (a, b), n in counted.items()], PAIR)
    assert len(pairs) > 1000
    plain, ours = (Factors.start(len(words), 10, np.random.default_rng(3)) for _ in range(2))
    for _ in range(8):
        theirs, plain = one_after_another(plain, pairs)
        loss = sum(ours.step(pairs[i : i + 50], 10.0) for i in range(0, len(pairs), 50))
    assert loss / len(pairs) == pytest.approx(theirs, rel=0.03)


@pytest.fixture
def counted(tmp_path):
    """The pairs in 120 texts of 20 words of one of four topics each, and the number of words."""
    random = np.random.default_rng(4)
    topics = [[f"t{topic}w{number}" for number in range(8)] for topic in range(4)]
    lines = (" ".join(random.choice(topics[n % 4], 20)) for n in range(120))
    text = write(tmp_path / "text.txt", "".join(f"{line}\n" for line in lines))
    words = dict.fromkeys((word for topic in topics for word in topic), 1)
    return count_pairs(tmp_path, [text], words, 10, 1, ignore_progress), len(words)


def trained(folder, counted, progress=ignore_progress, **given):
    with Checkpoint.opened(folder, "glove", {"settings": "these"}) as work:
        chosen = settings_for("glove", **{"dim": 8, **given})
        return factorize(*counted, chosen, 10.0, work, progress)[:2]


def test_the_loss_falls_and_topics_are_recovered(tmp_path, counted):
    vectors, losses = trained(tmp_path, counted, epochs=12)
    words = counted[1]
    assert vectors.shape == (words, 8)
    assert losses[:4] == sorted(losses[:4], reverse=True)
    assert losses[-1] < losses[0] / 4
    # The nearest neighbor of every word is of its topic.
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = units @ units.T - 2 * np.eye(words)
    assert (cosines.argmax(axis=1) // 8).tolist() == [word // 8 for word in range(words)]


def test_the_same_seed_gives_the_same_vectors_and_another_does_not(tmp_path, counted):
    vectors = (trained(tmp_path, counted, epochs=2, seed=seed)[0] for seed in (1, 1, 2))
    first, again, other = (one.tobytes() for one in vectors)
    assert first == again != other


def test_an_interrupted_training_resumes_after_its_last_complete_epoch(tmp_path, counted):
    total = counted[0].total
    full, losses = trained(tmp_path, counted, epochs=4)
    interrupt = interrupting(2.5 * total, 4 * total)
    refused(KeyboardInterrupt, None, trained, tmp_path, counted, interrupt, epochs=4)
    rest = []
    again, all_losses = trained(tmp_path, counted, lambda done, _: rest.append(done), epochs=4)
    assert (again.tobytes(), all_losses) == (full.tobytes(), losses)
    assert 2 * total < rest[0] < rest[-1] == 4 * total  # Without the two complete epochs.


def test_x_max_is_ten_and_a_hundred_for_large_corpora():
    default = settings_for("glove")
    assert [x_max_of(default, words) for words in (17_000_000, 100_000_000)] == [10, 100]
    assert x_max_of(settings_for("glove", x_max=33.0), 5) == 33
