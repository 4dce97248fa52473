"""Static embedders: by hand on a plane, against gensim in a loop, and on real vectors."""

import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever.embedders import Embedder, ReportsCoverage, StaticEmbedder, TextReport, load_embedder
from retriever.embedders.static import pooling
from retriever.embedders.static.loading import load_vocabulary
from retriever.embedders.tokenization import batch_split as pieces
from retriever.embedders.tokenization.words import split

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
    bags = load_vocabulary(toy).bags([text])
    sums = pooling.sums(bags.rows, bags.offsets, None, bags.table)
    np.testing.assert_allclose(sums, [np.multiply(mean, max(len(bags.rows), 1))], rtol=1e-6)
    length = np.hypot(*mean) or 1.0
    vector = StaticEmbedder(toy).encode_documents([text])
    np.testing.assert_allclose(vector, np.array([mean]) / length, rtol=1e-6)


def test_sums_equal_scipys_sparse_product(monkeypatch):
    from scipy.sparse import csr_array

    random = np.random.default_rng(1)
    table = random.normal(size=(50, 7)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(random.integers(0, 30, 200))])
    rows = random.integers(0, 50, offsets[-1]).astype(np.int32)
    weights = random.random(len(rows)).astype(np.float32)
    oracle = csr_array((weights, rows, offsets), shape=(200, 50)) @ table
    assert np.array_equal(pooling.sums(rows, offsets, weights, table), oracle)
    monkeypatch.setattr(pooling, "WORK_OF_A_THREAD", 1000)
    assert np.array_equal(pooling.sums(rows, offsets, weights, table), oracle)
    totals = np.add.reduceat(np.append(weights, 0), offsets[:-1]) * (np.diff(offsets) > 0)
    np.testing.assert_allclose(pooling.weight_totals(offsets, weights), totals, rtol=1e-5)


def by_hand(*vector):
    return pytest.approx(np.array(vector) / (np.hypot(*vector) or 1), abs=1e-6)


# Eight words: east occurs 2 times in 1 text, north 2 in 2, west 1 in 1, and 3 are unknown.
CORPUS = ["east east north", "north of", "", "west by by"]


def weighted(path, text, **options):
    return StaticEmbedder(path, **options).fitted(CORPUS).encode_queries([text])[0].tolist()


def test_idf_of_the_corpus_by_hand(toy):
    # ln(5/1), ln(5/2) and ln(5/1); east is (2, 0).
    vector = weighted(toy, "east north north", weighting="idf")
    assert vector == by_hand(2 * np.log(5), 2 * np.log(5 / 2))


def test_sif_of_the_corpus_by_hand(toy):
    often, once = 0.001 / (0.001 + 2 / 8), 0.001 / (0.001 + 1 / 8)
    vector = weighted(toy, "west north", weighting="sif", components=0)
    assert vector == by_hand(-2 * once, often)


def test_sif_takes_the_first_common_component_away_by_hand(toy):
    # The texts' means are (4, 1)/3 and (0, 1)/2 times `often`, and (-2, 0) times `once`, of which
    # unknown words are no part.
    often, once = 0.001 / (0.001 + 2 / 8), 0.001 / (0.001 + 1 / 8)
    means = np.array([[4 / 3 * often, often / 3], [0, often], [-2 * once, 0]])
    direction = np.linalg.svd(means)[2][0]
    left = np.array([0, 1]) - direction[1] * direction
    assert weighted(toy, "north", weighting="sif") == by_hand(*left)


def test_usif_by_hand(toy):
    # V = 3, n = 2: the threshold is 1 - (2/3)^2 = 5/9, and no word is so likely; one counts as
    # likely: alpha = 1/3, Z = 3/2, a = 4/3. In the text, x is 2 and 2, y is 1: their lengths are
    # sqrt(8) and 1.
    often = (4 / 3) / (2 / 3 + 2 / 8)
    vector = weighted(toy, "east east north", weighting="usif", components=0)
    assert vector == by_hand(2 * often * 2 / np.sqrt(8), often)


def test_words_of_one_length_by_hand(toy):
    assert weighted(toy, "east north", unit_words=True) == by_hand(1, 1)
    vector = weighted(toy, "east north", weighting="idf", unit_words=True)
    assert vector == by_hand(np.log(5), np.log(5 / 2))


def test_all_but_the_top_by_hand(toy):
    # The mean of the three vectors is (0, 1/3), and they vary most along x: what is left is
    # (0, -1/3), (0, 2/3) and (0, -1/3).
    vectors = StaticEmbedder(toy, all_but_top=1).encode_documents(["east", "north", "west north"])
    assert vectors.tolist() == [[0, -1], [0, 1], [0, 1]]
    vector = StaticEmbedder(toy, all_but_top=1, unit_words=True).encode_documents(["east north"])
    assert vector.tolist() == [[0, 0]]


def test_without_a_corpus_the_rank_says_how_often_a_word_occurs(toy):
    p = np.array([1 / 3.7, 1 / 4.7, 1 / 5.7])
    p /= p.sum()
    vector = StaticEmbedder(toy, weighting="idf").encode_documents(["west north"])[0].tolist()
    assert vector == by_hand(2 * np.log(p[2]), -np.log(p[1]))
    vector = StaticEmbedder(toy, weighting="sif").encode_documents(["west north"])[0].tolist()
    assert vector == by_hand(-2 / (0.001 + p[2]), 1 / (0.001 + p[1]))


def test_components_that_were_asked_for_need_a_corpus(toy):
    embedder = StaticEmbedder(toy, weighting="sif", components=1)
    assert embedder.needs_fit
    for encode in (embedder.encode_documents, embedder.encode_queries):
        with pytest.raises(InputError, match=r"Call embedder\.fitted\(texts\)"):
            encode(["east"])


def test_nothing_is_ever_nan(tmp_path):
    path = tmp_path / "nil.txt"
    path.write_text("nil 0 0 0\neast 2 0 0\nwest -2 0 0\nup 0 0 3\n")
    texts = ["nil", "east west", "east", "nil up", "", "unknown"]
    for options in OPTIONS:
        for corpus in (texts, ["east"], ["nil"]):
            embedder = StaticEmbedder(path, **options).fitted(corpus)
            vectors = embedder.encode_documents(texts)
            lengths = np.linalg.norm(vectors, axis=1)
            assert np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-6)), options
            assert not vectors[4:].any()


def test_a_text_that_is_nothing_but_common_has_no_vector(tmp_path):
    path = tmp_path / "lean.txt"
    path.write_text("a 0.3 0.7 0.1\nb 0.31 0.9 -0.4\n")
    fitted = StaticEmbedder(path, components=1).fitted(["a"] * 9 + ["b"])
    common = fitted._averages._fit.common.directions[0]
    path.write_text("a 0.3 0.7 0.1\nb {} {} {}\n".format(*common))
    same = StaticEmbedder(path, components=1).with_parameters(fitted.parameters)
    assert same.encode_documents(["b b b"]).tolist() == [[0, 0, 0]]


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
    assert isinstance(embedder, ReportsCoverage)
    assert (embedder.name, embedder.dim) == ("toy", 2)
    assert embedder.encode_documents([]).shape == (0, 2)
    assert embedder.words["north"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("vocabulary", "text", "known"),
    [("us 1 0\n", "US us", 2), ("us 1 0\nUS 0 1\n", "US us Us", 3), ("US 1 0\n", "us US", 1)],
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


def test_the_spec_keeps_what_is_not_as_by_default(toy):
    options = {"weighting": "sif", "components": 0, "unit_words": True, "all_but_top": 1}
    embedder = StaticEmbedder(toy, **options)
    assert embedder.spec.options == options
    assert load_embedder(embedder.spec).fingerprint == embedder.fingerprint


def test_the_fingerprint_has_new_parts_only_where_they_are_used(toy):
    def parts(**options):
        return set(json.loads(StaticEmbedder(toy, **options).fingerprint))

    # Those of collections that were built before there was a choice.
    old = {"kind", "source", "weighting", "words", "lower", "subwords", "unit"}
    assert parts() == parts(weighting="mean", components=0) == old
    assert parts(weighting="idf") == old | {"frequencies"}
    assert parts(unit_words=True, all_but_top=1) == old | {"unit_words", "all_but_top"}
    fitted = StaticEmbedder(toy, weighting="sif").fitted(CORPUS)
    assert set(json.loads(fitted.fingerprint)) == old | {"components", "fitted"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weighting": "sift"}, r"Unknown weighting 'sift'\. It can be: mean, idf, sif, usif\."),
        ({"components": -1}, r"components is -1; expected a whole number from 0\."),
        ({"components": True}, "components is True; expected a whole number"),
        ({"components": 1.5}, r"components is 1\.5; expected a whole number"),
        ({"components": 2}, "components is 2, but the vectors have 2 dim.*Expected 0 to 1"),
        ({"all_but_top": 7}, "all_but_top is 7, but the vectors have 2 dim"),
        ({"all_but_top": None}, "all_but_top is None; expected a whole number"),
        ({"unit_words": "yes"}, "unit_words is 'yes'; expected True or False"),
    ],
)
def test_bad_options_are_refused(toy, options, message):
    with pytest.raises(InputError, match=message):
        StaticEmbedder(toy, **options)


@pytest.fixture
def tokens(tmp_path):
    """A folder of sentence-transformers with the toy's words as tokens."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    numbers = {"[UNK]": 0, "east": 1, "north": 2, "west": 3}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    table = np.array([[0, 0], [2, 0], [0, 1], [-2, 0]], np.float32)
    save_file({"embedding.weight": table}, tmp_path / "model.safetensors")
    kind = "sentence_transformers.models.StaticEmbedding"
    modules = [{"idx": 0, "name": "0", "path": "", "type": kind}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    return tmp_path


def test_tokens_are_weighed_as_words_are(tokens):
    plain = StaticEmbedder(tokens)
    assert plain.encode_documents(["east north"]).tolist() == [by_hand(2, 1)]
    embedder = StaticEmbedder(tokens, weighting="idf")
    fitted = embedder.fitted(["east east north", "north", "", "west"])
    again = embedder.with_parameters(fitted.parameters)
    text = "east north north"
    for vectors in (fitted.encode_documents([text]), again.encode_queries([text])):
        assert vectors.tolist() == [by_hand(2 * np.log(5), 2 * np.log(5 / 2))]
    assert plain.teacher is None
    with pytest.raises(InputError, match=r"is a table of tokens.*encode_documents\(\[word\]\)"):
        _ = plain.words


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
    spelt = [
        [word if word in oracle else word.lower() for word in text]
        for text in map(words.of, range(len(lines)))
    ]
    known = [[word for word in text if word in oracle] for text in spelt]
    means = np.array([oracle.get_mean_vector(text, pre_normalize=False) for text in known])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(embedder.encode_documents(lines), expected, atol=1e-5)


def words_of(lines):
    return [re.findall(r"[^\W_]+", line.lower()) for line in lines]


def papers(lines, words, weighting):
    """SIF or uSIF as the papers write them, word by word: the unit vectors of the lines."""
    texts = words_of(lines)
    counts = Counter(word for text in texts for word in text)
    total = sum(counts.values())
    known = [word for word in counts if word in words]
    threshold = 1 - (1 - 1 / len(known)) ** (total / len(texts))
    alpha = sum(counts[word] / total > threshold for word in known) / len(known)
    a = (1 - alpha) / (alpha * len(known) / 2) if weighting == "usif" else 0.001
    vectors = []
    for text in texts:
        found = [word for word in text if word in words]
        matrix = np.array([words[word] for word in found], np.float64)
        p = np.array([counts[word] / total for word in found])
        if weighting == "usif":
            matrix /= np.linalg.norm(matrix, axis=0)
            vectors.append((a / (a / 2 + p)) @ matrix / len(found))
        else:
            vectors.append((a / (a + p)) @ matrix / len(found))
    result = np.array(vectors)
    _, values, directions = np.linalg.svd(result, full_matrices=False)
    number = 5 if weighting == "usif" else 1
    shares = values[:number] ** 2 / np.sum(values[:number] ** 2) if number > 1 else [1.0]
    for share, direction in zip(shares, directions, strict=False):
        result = result - share * np.outer(result @ direction, direction)
    return result / np.linalg.norm(result, axis=1, keepdims=True)


@pytest.mark.parametrize("weighting", ["sif", "usif"])
def test_weightings_equal_the_papers_word_by_word(fasttext, glove, weighting):
    lines = fasttext.with_name("lee_background.cor").read_text().splitlines()
    fitted = StaticEmbedder("glove-6b-50d", weighting=weighting).fitted(lines)
    expected = papers(lines, glove.words, weighting)
    np.testing.assert_allclose(fitted.encode_documents(lines), expected, atol=1e-5)


def test_all_but_the_top_is_of_the_words_that_the_corpus_has(fasttext, glove):
    lines = fasttext.with_name("lee_background.cor").read_text().splitlines()
    found = sorted({word for text in words_of(lines) for word in text if word in glove.words})
    table = np.array([glove.words[word] for word in found], np.float64)
    directions = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)[2][:3]
    left = table - table.mean(axis=0)
    left -= left @ directions.T @ directions
    embedder = StaticEmbedder("glove-6b-50d", all_but_top=3).fitted(lines)
    for text in ("bushfires", "the government of australia"):
        expected = sum(left[found.index(word)] for word in text.split())
        vector = embedder.encode_queries([text])[0]
        np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), atol=1e-4)


WORDS = ["east", "North", "west", "of", "–"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS)), max_size=8)
OPTIONS = [
    {"weighting": weighting, "unit_words": unit_words, "all_but_top": all_but_top}
    for weighting in ("mean", "idf", "sif", "usif")
    for unit_words in (False, True)
    for all_but_top in (0, 1)
]


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    """An embedder for each choice of options, seven wide, fitted on a few texts."""
    path = tmp_path_factory.mktemp("wide") / "wide.txt"
    values = np.random.default_rng(3).normal(size=(3, 7))
    rows = zip(("east", "north", "west"), values, strict=True)
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows))
    corpus = [*CORPUS, "north west east", "west of east"]
    embedders = [
        StaticEmbedder(path, **options, components=1).fitted(corpus) for options in OPTIONS
    ]
    return [StaticEmbedder(path), StaticEmbedder(path, weighting="usif"), *embedders]


@settings(max_examples=20, deadline=None)
@given(TEXTS, st.randoms())
def test_neither_order_nor_chunks_nor_threads_change_a_vector(variants, parts, random):
    texts = [" ".join(words) for words in parts]
    order = list(range(len(texts)))
    random.shuffle(order)
    for embedder in variants:
        vectors = embedder.encode_documents(texts)
        shuffled = embedder.encode_documents([texts[position] for position in order])
        assert np.array_equal(shuffled, vectors[order])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pieces, "CHUNK_CHARACTERS", 8)
            patch.setattr(pooling, "WORK_OF_A_THREAD", 1)
            assert np.array_equal(embedder.encode_documents(texts), vectors)
        lengths = np.linalg.norm(vectors, axis=1)
        assert np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-6))


@settings(max_examples=20, deadline=None)
@given(TEXTS)
def test_one_query_alone_is_the_same_to_the_last_bit(variants, parts):
    texts = [" ".join(words) for words in parts]
    for embedder in variants:
        together = embedder.encode_documents(texts)
        assert np.array_equal(embedder.encode_queries(texts), together)
        for text, vector in zip(texts, together, strict=True):
            assert np.array_equal(embedder.encode_queries([text]), vector[None])


def test_real_queries_alone_are_the_same_to_the_last_bit(fasttext):
    lines = fasttext.with_name("lee_background.cor").read_text().splitlines()
    texts = [line[:80] for line in lines[::10]] + lines[:5]
    for options in OPTIONS[::5]:
        embedder = StaticEmbedder("glove-6b-50d", **options).fitted(lines)
        together = embedder.encode_documents(texts)
        alone = [embedder.encode_queries([text]) for text in texts]
        assert np.array_equal(np.concatenate(alone), together), options


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


def test_a_query_copies_nothing_of_the_size_of_the_vocabulary():
    # Weights alone, words changed one by one, and uSIF, which looks at them twice.
    for options in (OPTIONS[4], OPTIONS[3], OPTIONS[12]):
        embedder = StaticEmbedder("glove-6b-50d", **options)
        embedder.encode_queries(["a first one makes what is kept"])
        tracemalloc.start()
        embedder.encode_queries(["a cat that purrs"])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000, options  # of 80 MB


def test_importing_the_embedders_loads_no_model_library():
    code = "import sys, retriever.embedders; print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "gensim", "sentence_transformers", "transformers", "pyarrow", "scipy"}
    assert not heavy & set(run.stdout.split())
