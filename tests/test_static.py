"""Averaged word vectors: by hand on a plane, against gensim in a loop, and on real vectors."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever.embedders import Embedder, Reporting, StaticEmbedder, TextReport, pooling, tokens
from retriever.embedders.tokens import split
from retriever.embedders.words import load_words

TOY = "east 2 0\nnorth 0 1\nwest -2 0\n"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIEVER_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.txt"
    path.write_text(TOY)
    return path


@pytest.fixture(scope="module")
def glove():
    return StaticEmbedder("glove-6b-50d")


@pytest.fixture(scope="module")
def fasttext():
    import gensim.test

    return Path(gensim.test.__file__).parent / "test_data" / "crime-and-punishment.bin"


@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("east", [2, 0]),
        ("North, EAST!", [1, 0.5]),  # long vectors count for more
        ("east east north", [4 / 3, 1 / 3]),  # and repeats each time
        ("east of north", [1, 0.5]),  # unknown words not at all
        ("east west", [0, 0]),
        ("nowhere", [0, 0]),
        ("", [0, 0]),
    ],
)
def test_the_mean_of_raw_vectors_by_hand(toy, text, mean):
    words = split([text], lower=True)
    rows, table = load_words(toy).table(words.distinct)
    np.testing.assert_allclose(pooling.mean(words, rows, table), [mean], rtol=1e-6)
    length = np.hypot(*mean) or 1.0
    vector = StaticEmbedder(toy).encode_documents([text])
    np.testing.assert_allclose(vector, np.array([mean]) / length, rtol=1e-6)


def test_queries_are_embedded_as_documents_are(toy):
    embedder = StaticEmbedder(toy)
    texts = ["north by east", "west"]
    assert np.array_equal(embedder.encode_queries(texts), embedder.encode_documents(texts))


def test_words_are_counted_and_reported(toy):
    embedder = StaticEmbedder(toy)
    texts = ["north by north-west", "", "east"]
    vectors, report = embedder.encode_and_report(texts)
    assert report == TextReport(texts=3, words=5, known_words=4)
    assert np.array_equal(vectors, embedder.encode_documents(texts))
    assert embedder.report_queries(texts) == report
    assert embedder.coverage(texts) == 0.8
    assert embedder.coverage(["", "…"]) == 0.0


def test_it_is_an_embedder_that_reports(toy):
    embedder = StaticEmbedder(toy)
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, Reporting)
    assert (embedder.name, embedder.dim) == ("toy", 2)
    assert embedder.encode_documents([]).shape == (0, 2)
    assert embedder.words["north"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("vocabulary", "text", "known"),
    [("us 1 0\n", "US us", 2), ("us 1 0\nUS 0 1\n", "US us Us", 2), ("US 1 0\n", "us US", 1)],
)
def test_text_is_lower_cased_where_the_vocabulary_is(tmp_path, vocabulary, text, known):
    path = tmp_path / "words.txt"
    path.write_text(vocabulary)
    assert StaticEmbedder(path).report_queries([text]).known_words == known


def test_the_fingerprint_follows_the_content_and_not_the_place(tmp_path, toy):
    (tmp_path / "moved.vec").write_text(TOY)
    (tmp_path / "other.vec").write_text(TOY.replace("2", "3"))
    here, moved, other = (
        StaticEmbedder(path) for path in (toy, tmp_path / "moved.vec", str(tmp_path / "other.vec"))
    )
    assert here.fingerprint == moved.fingerprint != other.fingerprint
    assert "toy" not in here.fingerprint
    assert json.loads(here.fingerprint)["lower"] is True


def test_the_spec_has_an_absolute_path(toy, monkeypatch):
    monkeypatch.chdir(toy.parent)
    spec = StaticEmbedder("toy.txt").spec
    assert (spec.kind, spec.model, spec.options) == ("static", str(toy), {"weighting": "mean"})


def test_an_unknown_weighting_is_refused(toy):
    with pytest.raises(InputError, match=r"Unknown weighting 'sift'\. It can be: mean\."):
        StaticEmbedder(toy, weighting="sift")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("east", "list of texts"),
        (["east", None], "Text 1 is NoneType"),
        (["\ud800"], "Text 0 is not valid Unicode at character 0"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(toy, texts, message):
    with pytest.raises(InputError, match=message):
        StaticEmbedder(toy).encode_queries(texts)


def test_unknown_words_get_subword_vectors_from_fasttext(fasttext):
    from gensim.models.fasttext import load_facebook_vectors

    oracle = load_facebook_vectors(str(fasttext))
    embedder = StaticEmbedder(fasttext)
    text = "the unheardofword the nightly"
    mean = np.mean([oracle[word] for word in text.split()], axis=0)
    vector = embedder.encode_documents([text, "…"])
    np.testing.assert_allclose(vector[0], mean / np.linalg.norm(mean), rtol=1e-5)
    assert not vector[1].any()
    assert embedder.coverage([text]) == 1.0


def test_pooling_equals_gensim_in_a_loop(fasttext):
    from gensim.models import KeyedVectors

    path = fasttext.with_name("lee_fasttext.vec")
    oracle = KeyedVectors.load_word2vec_format(path)
    lines = fasttext.with_name("lee_background.cor").read_text().splitlines()
    embedder = StaticEmbedder(path)
    assert not embedder.lower
    words = split(lines, lower=False)
    known = [[word for word in words.of(text) if word in oracle] for text in range(len(lines))]
    means = np.array([oracle.get_mean_vector(text, pre_normalize=False) for text in known])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.encode_documents(lines), expected, atol=1e-5)


TEXTS = st.lists(st.lists(st.sampled_from(["east", "North", "west", "of", "–"])), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.randoms())
def test_neither_order_nor_chunks_change_a_vector(toy, parts, random):
    texts = [" ".join(words) for words in parts]
    embedder = StaticEmbedder(toy)
    vectors = embedder.encode_documents(texts)
    order = list(range(len(texts)))
    random.shuffle(order)
    shuffled = embedder.encode_documents([texts[position] for position in order])
    assert np.array_equal(shuffled, vectors[order])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "CHUNK_CHARACTERS", 8)
        assert np.array_equal(embedder.encode_documents(texts), vectors)
    lengths = np.linalg.norm(vectors, axis=1)
    assert np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-6))


def test_real_glove_vectors(glove):
    assert (glove.name, glove.dim, len(glove.words)) == ("glove-6b-50d", 50, 400_000)
    assert glove.words["the"][:3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])
    cat, kitten, tax = glove.encode_documents(["The cat purrs.", "A kitten!", "Income tax"])
    assert cat @ kitten > cat @ tax
    assert glove.words["bank"].tolist() == glove.words["bank"].tolist()


def test_a_large_file_opens_again_at_once(glove):
    started = time.perf_counter()
    again = StaticEmbedder("glove-6b-50d")
    again.words.ids(["apple"])
    assert time.perf_counter() - started < 0.5
    assert again.fingerprint == glove.fingerprint


def test_real_documents_against_gensim_in_a_loop(glove):
    if "RETRIEVER_DATA" not in os.environ:
        pytest.skip("RETRIEVER_DATA is not set")
    path = Path(os.environ["RETRIEVER_DATA"]) / "adi" / "corpus.jsonl"
    texts = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    words = split(texts, lower=True)
    vectors = glove.encode_documents(texts)
    for text in range(len(texts)):
        rows = glove.words.ids(words.of(text))
        mean = glove.words.vectors[rows[rows >= 0]].mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(vectors[text], mean / np.linalg.norm(mean), atol=1e-5)


def test_importing_the_embedders_loads_no_model_library():
    code = "import sys, retriever.embedders; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "gensim", "sentence_transformers", "transformers", "pyarrow", "scipy"}
    assert not heavy & set(run.stdout.split())
