"""Fits on a corpus: counts by hand, deterministic bytes, reading them back."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.errors import DamageError, InputError
from retriever.embedders import StaticEmbedder
from retriever.embedders.base import FitsInParts, Fittable
from retriever.embedders.static import corpus_counts as counting
from retriever.embedders.static.corpus_counts import count_words
from retriever.embedders.static.fit import Fit, fit_of_counts, row_weights
from retriever.embedders.static.loading import load_vocabulary
from tests.support.toy import refused

TOY = "the 1 1\neast 2 0\nnorth 0 1\nwest -2 0\n"
CORPUS = ["East east north!", "north of the", "", "west"]
FITTABLE = [
    {"weighting": "idf"},
    {"weighting": "sif"},
    {"weighting": "usif"},
    {"components": 1},
    {"weighting": "idf", "all_but_top": 1},
    {"weighting": "idf", "conceptor": True},
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.txt"
    path.write_text(TOY)
    return path


@pytest.fixture(scope="module")
def vocabulary(path):
    return load_vocabulary(path)


def test_words_are_counted_by_hand(vocabulary):
    counts = count_words(iter(CORPUS), vocabulary)
    assert (counts.texts, counts.words) == (4, 7)  # `of` is a word too
    assert counts.occurrences.tolist() == [1, 2, 2, 1]
    assert counts.texts_with.tolist() == [1, 1, 2, 1]
    assert counts.others == {}
    assert counts.sample == CORPUS


def test_only_words_that_occur_more_than_once_are_kept(vocabulary):
    fit = fit_of_counts(count_words(CORPUS, vocabulary), None)
    assert fit.rows.tolist() == [1, 2]
    # The others weigh as if they occurred once, whether they do or not.
    once, twice = 0.001 / (0.001 + 1 / 7), 0.001 / (0.001 + 2 / 7)
    assert row_weights("sif", fit, 4) == pytest.approx([once, twice, twice, once])
    assert row_weights("idf", fit, 4) == pytest.approx(np.log([5, 5, 5 / 2, 5]))


def test_the_parameter_of_usif_is_fitted_by_hand(vocabulary):
    # V = 4 words, 7/4 to a text: no word is above the threshold 1 - (3/4)^1.75 = 0.40, and one
    # counts as if it were: alpha = 1/4, Z = 2, a = 3/2.
    fit = fit_of_counts(count_words(CORPUS, vocabulary), None)
    assert fit.usif_a == 1.5
    expected = [1.5 / (0.75 + 1 / 7), 1.5 / (0.75 + 2 / 7)]
    assert row_weights("usif", fit, 2) == pytest.approx(expected)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(CORPUS), max_size=9), st.integers(1, 40))
def test_batch_size_does_not_change_the_counts(vocabulary, texts, characters):
    expected = fit_of_counts(count_words(texts, vocabulary), None).to_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "BATCH_CHARACTERS", characters)
        assert fit_of_counts(count_words(iter(texts), vocabulary), None).to_bytes() == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(CORPUS), max_size=9), st.integers(1, 40))
def test_parts_that_are_counted_in_any_order_give_the_same_fit(path, texts, characters):
    for options in FITTABLE:
        embedder = StaticEmbedder(path, **options)
        assert isinstance(embedder, FitsInParts)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counting, "BATCH_CHARACTERS", characters)
            found = embedder.fitted_in_parts(
                texts, lambda lists, one=embedder: [*map(one.part_of_fit, lists)][::-1]
            )
        assert found.parameters == embedder.fitted(texts).parameters


def test_words_built_from_subwords_are_counted_in_parts(vocabulary):
    parts = [counting.counts_of(CORPUS[:2], vocabulary), counting.counts_of(CORPUS[2:], vocabulary)]
    others = [{"owl": (2, 1), "elk": (1, 1)}, {"owl": (3, 2)}]
    parts = [replace(part, others=some) for part, some in zip(parts, others, strict=True)]
    for order in (parts, parts[::-1]):
        counts = count_words(CORPUS, vocabulary, lambda lists, order=order: [*lists] and order)
        assert counts.others == {"owl": (5, 3), "elk": (1, 1)}
        assert counts.occurrences.tolist() == [1, 2, 2, 1]
        assert counts.sample == CORPUS


def test_a_long_corpus_is_sampled_evenly(vocabulary, monkeypatch):
    texts = [f"east {number}" for number in range(21)]
    monkeypatch.setattr(counting, "SAMPLED_TEXTS", 4)
    # 0 1 2 3, then 0 2 4 6, then 0 4 8 12, then every eighth.
    assert count_words(texts, vocabulary).sample == ["east 0", "east 8", "east 16"]
    monkeypatch.setattr(counting, "SAMPLED_TEXTS", 100)
    monkeypatch.setattr(counting, "SAMPLED_CHARACTERS", 20)
    assert count_words(texts, vocabulary).sample == ["east 0", "east 8", "east 16"]


@pytest.mark.parametrize("options", FITTABLE)
def test_fitting_is_deterministic_and_is_restored_from_bytes(path, options):
    embedder = StaticEmbedder(path, **options)
    assert isinstance(embedder, Fittable)
    assert (embedder.needs_fit, embedder.parameters) == (True, None)
    fitted = embedder.fitted(CORPUS)
    assert (embedder.needs_fit, fitted.needs_fit) == (True, False)
    assert fitted.parameters == embedder.fitted(iter(CORPUS)).parameters
    again = StaticEmbedder(path, **options).with_parameters(fitted.parameters)
    assert again.fingerprint == fitted.fingerprint != embedder.fingerprint
    assert again.parameters == fitted.parameters
    texts = [*CORPUS, "west north the", "the"]
    assert np.array_equal(again.encode_documents(texts), fitted.encode_documents(texts))
    assert embedder.fitted([*CORPUS, "the east the west"]).fingerprint != fitted.fingerprint


def test_the_plain_mean_needs_no_fit(path):
    embedder = StaticEmbedder(path, unit_words=True)
    assert not embedder.needs_fit
    assert embedder.fitted(CORPUS) is embedder


def test_all_values_are_read_back(path):
    embedder = StaticEmbedder(path, weighting="usif", components=1, all_but_top=1).fitted(CORPUS)
    kept = Fit.from_bytes(embedder.parameters)
    assert kept.to_bytes() == embedder.parameters
    assert (kept.texts, kept.words, kept.usif_a) == (4, 7, 1.5)
    # One of two dimensions is removed with the first, and the other is all that remains of a text.
    assert kept.top.directions.shape == (1, 2)
    assert kept.common.directions.shape == (0, 2)
    embedder = StaticEmbedder(path, weighting="usif", components=1).fitted(CORPUS)
    kept = Fit.from_bytes(embedder.parameters)
    assert kept.top is None
    assert kept.common.directions.shape == (1, 2)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_damaged_bytes_are_noticed(path, place, change):
    embedder = StaticEmbedder(path, weighting="sif")
    kept = embedder.fitted(CORPUS).parameters
    place %= len(kept)
    damaged = kept[:place] + bytes([kept[place] ^ change]) + kept[place + 1 :]
    for bad in (damaged, kept[:place], kept + b"\0"):
        refused(DamageError, "damaged", embedder.with_parameters, bad)


def test_parameters_of_other_options_and_bad_texts_are_refused(path):
    idf = StaticEmbedder(path, weighting="idf")
    kept, message = idf.fitted(CORPUS).parameters, "fitted for other options than those of toy"
    for options in ({"weighting": "sif"}, {"weighting": "idf", "all_but_top": 1}):
        refused(DamageError, message, StaticEmbedder(path, **options).with_parameters, kept)
    refused(InputError, "Text 1 is int", idf.fitted, ["east", 5])
    refused(InputError, "single one", idf.fitted, "east")


def test_a_fit_of_shares_is_not_one_of_whole_components(tmp_path):
    """uSIF removes a share of each component, SIF all of it."""
    (tmp_path / "three.txt").write_text("east 0 1 2\nnorth 3 0 1\nup 1 2 0\n")
    options = [{"weighting": weighting, "components": 2} for weighting in ("sif", "usif")]
    whole, shares = (StaticEmbedder(tmp_path / "three.txt", **one) for one in options)
    texts = ["east north", "north up", "up", "east"]
    for one, other in ((whole, shares), (shares, whole)):
        kept = one.fitted(texts).parameters
        assert one.with_parameters(kept).parameters == kept
        refused(DamageError, "fitted for other options", other.with_parameters, kept)


@pytest.mark.parametrize("options", FITTABLE)
@pytest.mark.parametrize("corpus", [[], [""], ["east"], ["…", "nowhere"]])
def test_a_tiny_corpus_still_gives_vectors(path, options, corpus):
    fitted = StaticEmbedder(path, **options).fitted(corpus)
    vectors = fitted.encode_documents(["east north north", "", "nowhere", "west"])
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1).tolist() == pytest.approx([1, 0, 0, 1])


@pytest.mark.parametrize("options", FITTABLE)
def test_a_fit_of_words_without_any_direction_is_read_again(tmp_path, options):
    """Vectors of zeros have no components to remove."""
    (tmp_path / "zeros.txt").write_text("east 0 0\nnorth 0 0\n")
    embedder = StaticEmbedder(tmp_path / "zeros.txt", **options)
    fitted = embedder.fitted(CORPUS)
    again = embedder.with_parameters(fitted.parameters)
    assert again.fingerprint == fitted.fingerprint
    assert not again.encode_documents(["east north"]).any()


def test_words_built_from_subwords_are_counted_and_weighted(fasttext):
    corpus = ["the unheardofword", "unheardofword of the unheardofword", "the otherunheardof"]
    embedder = StaticEmbedder(fasttext, weighting="idf")
    fitted = embedder.fitted(corpus)
    kept = Fit.from_bytes(fitted.parameters)
    assert (kept.others, kept.other_occurrences.tolist()) == (("unheardofword",), [3])
    words = ["the", "unheardofword", "otherunheardof", "neverseen"]
    table = np.array([embedder.words[word] for word in words], np.float64)
    expected = np.log([4 / 3, 4 / 2, 4 / 1, 4 / 1]) @ table
    vector = fitted.encode_queries([" ".join(words)])[0]
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-4)
    again = embedder.with_parameters(fitted.parameters)
    assert np.array_equal(again.encode_documents([" ".join(words)])[0], vector)
