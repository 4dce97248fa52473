"""Static embedders: by hand on a plane, against gensim in a loop, and on real vectors."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from indexes.text import words as pieces
from retriever.embedders import Embedder, ReportsCoverage, StaticEmbedder, TextReport, load_embedder
from retriever.embedders.base import HasNotes, unit
from retriever.embedders.registry import parse_spec
from retriever.embedders.static import pooling
from retriever.embedders.static.components import HALF
from retriever.embedders.static.loading import load_vocabulary
from retriever.embedders.word_vectors.mmap_format import WordWriter
from tests.support.fresh import printed_by
from tests.support.oracles.compound_reading import read_slowly
from tests.support.toy import refused

TOY = "east 2 0\nnorth 0 1\nwest -2 0\n"


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.txt"
    path.write_text(TOY)
    return path


@pytest.fixture(scope="module")
def glove():
    return StaticEmbedder("glove-6b-50d")


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


def are_unit_or_zero(vectors):
    lengths = np.linalg.norm(vectors, axis=1)
    return np.all((lengths == 0) | (np.abs(lengths - 1) < 1e-6))


def by_hand(*vector):
    return pytest.approx(np.array(vector) / (np.hypot(*vector) or 1), abs=1e-6)


# Eight words: east occurs 2 times in 1 text, north 2 in 2, west 1 in 1, and 3 are unknown.
CORPUS = ["east east north", "north of", "", "west by by"]

# SIF weights of words that occur once and twice among the eight.
ONCE, TWICE = 0.001 / (0.001 + 1 / 8), 0.001 / (0.001 + 2 / 8)

# uSIF of a word that occurs twice: V = 3, n = 2. No word is above the threshold 1 - (2/3)^2 = 5/9,
# and one counts as if it were: alpha = 1/3, Z = 3/2, a = 4/3.
USIF = (4 / 3) / (2 / 3 + 2 / 8)


@pytest.mark.parametrize(
    ("options", "text", "vector"),
    [
        # ln(5/1), ln(5/2) and ln(5/1); east is (2, 0).
        ({"weighting": "idf"}, "east north north", [2 * np.log(5), 2 * np.log(5 / 2)]),
        ({"weighting": "sif", "components": 0}, "west north", [-2 * ONCE, TWICE]),
        # x is 2, 2 and 0 in this text, of length sqrt(8); y is 0, 0 and 1.
        ({"weighting": "usif", "components": 0}, "east east north", [4 * USIF / 8**0.5, USIF]),
        ({"unit_words": True}, "east north", [1, 1]),
        ({"weighting": "idf", "unit_words": True}, "east north", [np.log(5), np.log(5 / 2)]),
    ],
)
def test_weightings_fitted_on_a_corpus_by_hand(toy, options, text, vector):
    fitted = StaticEmbedder(toy, **options).fitted(CORPUS)
    assert fitted.encode_queries([text])[0].tolist() == by_hand(*vector)


def test_sif_removes_the_first_common_component_by_hand(toy):
    # The means of the texts, in which unknown words do not count: the second is of north alone.
    means = np.array([[4 / 3 * TWICE, TWICE / 3], [0, TWICE], [-2 * ONCE, 0]])
    direction = np.linalg.svd(means)[2][0]
    fitted = StaticEmbedder(toy, weighting="sif").fitted(CORPUS)
    expected = by_hand(*([0, 1] - direction[1] * direction))
    assert fitted.encode_queries(["north"])[0].tolist() == expected


def test_all_but_the_top_by_hand(toy):
    # The mean of the three vectors is (0, 1/3), and they vary most along x: (0, -1/3), (0, 2/3)
    # and (0, -1/3) remain.
    vectors = StaticEmbedder(toy, all_but_top=1).encode_documents(["east", "north", "west north"])
    assert vectors.tolist() == [[0, -1], [0, 1], [0, 1]]
    vector = StaticEmbedder(toy, all_but_top=1, unit_words=True).encode_documents(["east north"])
    assert vector.tolist() == [[0, 0]]


def test_without_a_corpus_word_frequencies_follow_ranks(toy):
    p = np.array([1 / 3.7, 1 / 4.7, 1 / 5.7])
    p /= p.sum()
    for weighting, weights in (("idf", -np.log(p)), ("sif", 1 / (0.001 + p))):
        vectors = StaticEmbedder(toy, weighting=weighting).encode_documents(["west north"])
        assert vectors[0].tolist() == by_hand(-2 * weights[2], weights[1])


def test_components_set_explicitly_need_a_corpus(toy):
    embedder = StaticEmbedder(toy, weighting="sif", components=1)
    assert embedder.needs_fit
    for encode in (embedder.encode_documents, embedder.encode_queries):
        refused(InputError, r"Call embedder\.fitted\(texts\)", encode, ["east"])


def test_vectors_have_length_one_or_are_zero_but_never_nan(tmp_path):
    path = tmp_path / "nil.txt"
    path.write_text("nil 0 0 0\neast 2 0 0\nwest -2 0 0\nup 0 0 3\n")
    texts = ["nil", "east west", "east", "nil up", "", "unknown"]
    for options in OPTIONS:
        for corpus in (texts, ["east"], ["nil"]):
            embedder = StaticEmbedder(path, **options).fitted(corpus)
            vectors = embedder.encode_documents(texts)
            assert are_unit_or_zero(vectors), options
            assert not vectors[4:].any()


def test_a_text_along_the_removed_component_has_no_vector(tmp_path):
    path = tmp_path / "lean.txt"
    path.write_text("a 0.3 0.7 0.1\nb 0.31 0.9 -0.4\n")
    fitted = StaticEmbedder(path, components=1).fitted(["a"] * 9 + ["b"])
    common = fitted._averages._fit.common.directions[0]
    path.write_text("a 0.3 0.7 0.1\nb {} {} {}\n".format(*common))
    same = StaticEmbedder(path, components=1).with_parameters(fitted.parameters)
    assert same.encode_documents(["b b b"]).tolist() == [[0, 0, 0]]


def test_an_embedder_reports_known_words(toy):
    embedder, texts = StaticEmbedder(toy), ["north by north-west", "", "east"]
    assert isinstance(embedder, Embedder)
    assert isinstance(embedder, ReportsCoverage)
    assert (embedder.name, embedder.dim) == ("toy", 2)
    vectors, report = embedder.encode_and_report(texts)
    assert report == TextReport(texts=3, words=5, known_words=4)
    assert np.array_equal(vectors, embedder.encode_documents(texts))
    assert np.array_equal(vectors, embedder.encode_queries(texts))
    assert embedder.encode_documents([]).shape == (0, 2)
    assert embedder.report_queries(texts) == report
    assert (embedder.coverage(texts), embedder.coverage(["", "…"])) == (0.8, 0.0)
    assert embedder.words["north"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("vocabulary", "text", "known"),
    [("us 1 0\n", "US us", 2), ("us 1 0\nUS 0 1\n", "US us Us", 3), ("US 1 0\n", "us US", 2)],
)
def test_text_is_lower_cased_where_the_vocabulary_is(tmp_path, vocabulary, text, known):
    (tmp_path / "words.txt").write_text(vocabulary)
    assert StaticEmbedder(tmp_path / "words.txt").report_queries([text]).known_words == known


def test_the_fingerprint_depends_on_the_content_and_not_on_the_path(tmp_path, toy):
    (tmp_path / "moved.vec").write_text(TOY)
    (tmp_path / "other.vec").write_text(TOY.replace("2", "3"))
    here = StaticEmbedder(toy).fingerprint
    assert here == StaticEmbedder(tmp_path / "moved.vec").fingerprint
    assert here != StaticEmbedder(str(tmp_path / "other.vec")).fingerprint
    assert "toy" not in here
    assert json.loads(here)["lower"] is True


def test_words_left_out_are_noted_and_the_spec_leaves_them_out_again(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"east 2 0\n\xe9 1 1\nnorth 0 1\n")
    refused(InputError, r"-o skip_bad_words true", StaticEmbedder, path)
    spec = parse_spec(f"static:{path}", {"skip_bad_words": "true"})
    embedder = load_embedder(spec)
    assert isinstance(embedder, HasNotes)
    assert embedder.notes == ("1 word not in UTF-8 left out.",)
    assert (
        embedder.encode_documents(["east north"]).tolist() == unit(np.float32([[1, 0.5]])).tolist()
    )
    assert embedder.spec.options["skip_bad_words"] is True
    assert load_embedder(embedder.spec).fingerprint == embedder.fingerprint


def test_the_spec_has_an_absolute_path_and_the_options_that_are_not_default(toy, monkeypatch):
    monkeypatch.chdir(toy.parent)
    spec = StaticEmbedder("toy.txt").spec
    assert (spec.kind, spec.model, spec.options) == ("static", str(toy), {"weighting": "mean"})
    options = {"weighting": "sif", "components": 0, "unit_words": True, "all_but_top": 1}
    embedder = StaticEmbedder(toy, **options)
    assert embedder.spec.options == options
    assert load_embedder(embedder.spec).fingerprint == embedder.fingerprint


def test_the_fingerprint_has_new_parts_only_where_they_are_used(toy):
    # Those of collections that were built before there was a choice.
    old = {"kind", "source", "weighting", "words", "lower", "subwords", "unit"}
    for embedder, new in (
        (StaticEmbedder(toy), set()),
        (StaticEmbedder(toy, weighting="mean", components=0), set()),
        (StaticEmbedder(toy, weighting="idf"), {"frequencies"}),
        (StaticEmbedder(toy, unit_words=True, all_but_top=1), {"unit_words", "all_but_top"}),
        (StaticEmbedder(toy, conceptor=True), {"conceptor"}),
        (StaticEmbedder(toy, weighting="sif").fitted(CORPUS), {"components", "fitted"}),
    ):
        assert set(json.loads(embedder.fingerprint)) == old | new


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"weighting": "sift"},
            r"Unknown weighting 'sift'\. It can be: mean, idf, sif, usif, auto\.",
        ),
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
    refused(InputError, message, StaticEmbedder, toy, **options)


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
    modules = [{"path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    return tmp_path


def test_tokens_are_weighted_as_words_are(tokens):
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


def test_bad_texts_are_refused(toy):
    encode = StaticEmbedder(toy).encode_queries
    refused(InputError, "list of texts", encode, "east")
    refused(InputError, "Text 1 is NoneType", encode, ["east", None])
    refused(InputError, "Text 0 is not valid Unicode at character 0", encode, ["\ud800"])


def test_unknown_words_get_subword_vectors_from_fasttext(fasttext):
    from gensim.models.fasttext import load_facebook_vectors

    oracle = load_facebook_vectors(str(fasttext))
    embedder = StaticEmbedder(fasttext)
    text = "the unheardofword the nightly"
    mean = np.mean([oracle[word] for word in text.split()], axis=0)
    vector = embedder.encode_documents([text, "…"])
    np.testing.assert_allclose(vector[0], mean / np.linalg.norm(mean), rtol=1e-5)
    assert not vector[1].any()
    report = embedder.report_queries([text])
    assert (report.words, report.known_words, report.guessed_words) == (4, 2, 2)
    assert (embedder.coverage([text]), report.guessed, embedder.guesses) == (0.5, 0.5, True)


def test_pooling_equals_gensim_in_a_loop(gensim_data, lee_lines):
    from gensim.models import KeyedVectors

    path = gensim_data / "lee_fasttext.vec"
    oracle = KeyedVectors.load_word2vec_format(path)
    embedder = StaticEmbedder(path)
    assert not embedder.lower
    first = {word.lower(): word for word in reversed(oracle.index_to_key)}

    def spelled(word):
        some = (word, word.lower(), first.get(word.lower()))
        return next((word for word in some if word in oracle), None)

    def row(word):
        return -1 if spelled(word) is None else oracle.key_to_index[spelled(word)]

    means, names = [], oracle.index_to_key
    for line in lee_lines:
        known = [spelled(word) for word in read_slowly(line, row, names) if spelled(word)]
        means.append(oracle.get_mean_vector(known, pre_normalize=False))
    np.testing.assert_allclose(embedder.encode_documents(lee_lines), unit(means), atol=1e-5)


def words_of(lines, words):
    def row(word):
        return words.rows([word])[0]

    return [read_slowly(line.lower(), row, words.names) for line in lines]


def from_the_papers(lines, words, weighting):
    """Compute SIF or uSIF as in the papers, word by word: unit vectors of the lines."""
    texts = words_of(lines, words)
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
        weights = a / (a / 2 + p) if weighting == "usif" else a / (a + p)
        vectors.append(weights @ matrix / len(found))
    result = np.array(vectors)
    _, values, directions = np.linalg.svd(result, full_matrices=False)
    number = 5 if weighting == "usif" else 1
    shares = values[:number] ** 2 / np.sum(values[:number] ** 2)
    for share, direction in zip(shares, directions, strict=False):
        result = result - share * np.outer(result @ direction, direction)
    return unit(result)


@pytest.mark.parametrize("weighting", ["sif", "usif"])
def test_weightings_equal_the_papers_word_by_word(lee_lines, glove, weighting):
    fitted = StaticEmbedder("glove-6b-50d", weighting=weighting).fitted(lee_lines)
    expected = from_the_papers(lee_lines, glove.words, weighting)
    np.testing.assert_allclose(fitted.encode_documents(lee_lines), expected, atol=1e-5)


@pytest.mark.parametrize("options", [{"all_but_top": 3}, {"conceptor": True}])
def test_components_of_words_are_those_of_the_words_of_the_corpus(lee_lines, glove, options):
    texts = words_of(lee_lines, glove.words)
    found = sorted({word for text in texts for word in text if word in glove.words})
    table = np.array([glove.words[word] for word in found], np.float64)
    if "conceptor" in options:
        r = table.T @ table / len(table)
        table -= table @ r @ np.linalg.inv(r + HALF * np.trace(r) / len(r) * np.eye(len(r)))
    else:
        table -= table.mean(axis=0)
        directions = np.linalg.svd(table, full_matrices=False)[2][:3]
        table -= table @ directions.T @ directions
    embedder = StaticEmbedder("glove-6b-50d", **options).fitted(lee_lines)
    texts = ["bushfires", "the government of australia"]
    expected = [sum(table[found.index(word)] for word in text.split()) for text in texts]
    np.testing.assert_allclose(embedder.encode_queries(texts), unit(expected), atol=1e-4)


WORDS = ["east", "North", "west", "of", "–"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS)).map(" ".join), max_size=8)
OPTIONS = [
    {"weighting": weighting, "unit_words": unit_words, **removal}
    for weighting in ("mean", "idf", "sif", "usif")
    for unit_words in (False, True)
    for removal in ({}, {"all_but_top": 1}, {"conceptor": True})
]


@pytest.fixture(scope="module")
def variants(tmp_path_factory):
    """An embedder for each choice of options, seven wide, fitted on a few texts."""
    path = tmp_path_factory.mktemp("wide") / "wide.txt"
    values = np.random.default_rng(3).normal(size=(3, 7))
    rows = zip(("east", "north", "west"), values, strict=True)
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows))
    corpus = [*CORPUS, "north west east", "west of east"]
    made = [StaticEmbedder(path, **options, components=1).fitted(corpus) for options in OPTIONS]
    return [StaticEmbedder(path), StaticEmbedder(path, weighting="usif"), *made]


@settings(max_examples=20, deadline=None)
@given(TEXTS, st.randoms())
def test_neither_order_nor_chunks_nor_threads_change_a_vector(variants, texts, random):
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
        assert are_unit_or_zero(vectors)


@settings(max_examples=20, deadline=None)
@given(TEXTS)
def test_one_query_alone_is_the_same_to_the_last_bit(variants, texts):
    for embedder in variants:
        together = embedder.encode_documents(texts)
        assert np.array_equal(embedder.encode_queries(texts), together)
        for text, vector in zip(texts, together, strict=True):
            assert np.array_equal(embedder.encode_queries([text]), vector[None])


def test_real_queries_alone_are_the_same_to_the_last_bit(lee_lines):
    texts = [line[:80] for line in lee_lines[::10]] + lee_lines[:5]
    for options in OPTIONS[::5]:
        embedder = StaticEmbedder("glove-6b-50d", **options).fitted(lee_lines)
        together = embedder.encode_documents(texts)
        alone = [embedder.encode_queries([text]) for text in texts]
        assert np.array_equal(np.concatenate(alone), together), options


def test_real_glove_vectors(glove):
    assert (glove.name, glove.dim, len(glove.words)) == ("glove-6b-50d", 50, 400_000)
    assert glove.words["the"][:3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])
    cat, kitten, tax = glove.encode_documents(["The cat purrs.", "A kitten!", "Income tax"])
    assert cat @ kitten > cat @ tax


def test_a_large_file_opens_again_without_being_parsed(glove, monkeypatch):
    monkeypatch.setattr(WordWriter, "__init__", lambda *_: pytest.fail("converted again"))
    again = StaticEmbedder("glove-6b-50d")
    assert again.words.ids(["apple"]) == glove.words.ids(["apple"])
    assert again.fingerprint == glove.fingerprint


def test_real_documents_have_the_mean_of_their_words(glove, data):
    lines = (data / "adi" / "corpus.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    rows = [glove.words.ids(words) for words in words_of(texts, glove.words)]
    means = [glove.words.vectors[row[row >= 0]].mean(axis=0, dtype=np.float64) for row in rows]
    np.testing.assert_allclose(glove.encode_documents(texts), unit(means), atol=1e-5)


def test_a_query_copies_nothing_of_the_size_of_the_vocabulary():
    # Weights alone, words changed one by one, and uSIF, which reads them twice.
    for options in (OPTIONS[4], OPTIONS[3], OPTIONS[12]):
        embedder = StaticEmbedder("glove-6b-50d", **options)
        embedder.encode_queries(["the first query fills the caches"])
        tracemalloc.start()
        embedder.encode_queries(["a cat that purrs"])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000, options  # of 80 MB


def test_importing_the_embedders_loads_no_model_library():
    code = "import sys, retriever.embedders; print(*{name.split('.')[0] for name in sys.modules})"
    heavy = {"torch", "gensim", "sentence_transformers", "transformers", "pyarrow", "scipy"}
    assert not heavy & set(printed_by(code).split())
