"""Sentence models: equal to plain sentence-transformers, for a real model and a tiny one."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders import ContextualEmbedder, Embedder, ReportsCoverage, load_embedder
from retriever.embedders.base import TextReport
from retriever.embedders.hub import locate_sentence_model
from tests.support.models.families import sentence_model, tiny_bert
from tests.support.toy import refused

TEXTS = [
    "A kitten purrs when it is content.",
    "",
    "The engine idles with a soft rumble, and the driver waits for the light to change. " * 4,
    " \n\t",
    "Taxes",
    "naïve café 東京都 🙂",
]
FILLED = [0, 2, 4, 5]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", "query", "passage", ":"]


@pytest.fixture(scope="module")
def minilm():
    return ContextualEmbedder("all-MiniLM-L6-v2", device="cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny BERT of random weights that has prompts and reads 12 tokens."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = tmp_path_factory.mktemp("models") / "tiny"
    sizes = {"hidden_size": 8, "intermediate_size": 16, "max_position_embeddings": 16}
    raw = tiny_bert(folder.with_name("raw"), VOCABULARY, num_hidden_layers=1, **sizes)
    parts = [Transformer(str(raw), max_seq_length=12), Pooling(8, pooling_mode="mean")]
    prompts = {"query": "query: ", "passage": "passage: "}
    sentence_model(folder, parts, prompts=prompts)
    assert json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"]
    return folder


@pytest.fixture(scope="module")
def two_batch_sizes(tiny):
    return [ContextualEmbedder(tiny, device="cpu", batch_size=size) for size in (1, 4)]


def close(vectors, expected):
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_it_equals_plain_sentence_transformers(minilm, plain_minilm):
    vectors = minilm.encode_documents(TEXTS)
    expected = plain_minilm.encode([TEXTS[n] for n in FILLED], normalize_embeddings=True)
    close(vectors[FILLED], expected)
    close(minilm.encode_queries(TEXTS)[FILLED], expected)
    assert (vectors.dtype, vectors.shape) == (np.float32, (6, 384))


def test_blank_texts_give_zeros_and_the_rest_length_one(minilm):
    close(np.linalg.norm(minilm.encode_documents(TEXTS), axis=1), [1, 0, 1, 0, 1, 1])
    assert minilm.encode_documents([]).shape == (0, 384)
    assert not minilm.encode_queries(["", " "]).any()


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_neither_order_nor_batch_size_changes_a_vector(minilm, batch_size):
    other = ContextualEmbedder("all-MiniLM-L6-v2", device="cpu", batch_size=batch_size)
    order = [3, 0, 5, 2, 1, 4]
    vectors = other.encode_documents([TEXTS[position] for position in order])
    close(vectors, minilm.encode_documents(TEXTS)[order])


@pytest.mark.parametrize("together", [1, 2, 3, 6])
def test_texts_tokenized_ahead_keep_their_order(two_batch_sizes, monkeypatch, together):
    embedder = two_batch_sizes[1]
    expected, whole = embedder.encode_and_report(TEXTS)
    queries = embedder.report_queries(TEXTS)
    monkeypatch.setattr("retriever.embedders.contextual.tokenizer.TOGETHER", together)
    vectors, report = embedder.encode_and_report(TEXTS)
    close(vectors, expected)
    # The other texts of a batch only change the number of computed positions.
    assert replace(report, padded=whole.padded) == whole
    assert embedder.report_queries(TEXTS) == queries


def test_it_is_an_embedder_of_texts_that_reports(minilm):
    assert isinstance(minilm, Embedder)
    assert isinstance(minilm, ReportsCoverage)
    assert (minilm.name, minilm.dim, minilm.max_length) == ("all-MiniLM-L6-v2", 384, 256)
    refused(InputError, "Text 1 is bytes", minilm.encode_documents, ["a", b"b"])


def test_truncated_texts_are_counted(minilm, caplog):
    # 254 words and two special tokens are 256 tokens.
    texts = ["word " * 254, "word " * 255, "word " * 3000, "", "🙂"]
    with caplog.at_level(logging.WARNING):
        vectors, report = minilm.encode_and_report(texts)
    # An empty text has no tokens, an emoji is one piece between the two special tokens.
    read = TextReport(texts=5, truncated=2, tokens=3 * 256 + 3)
    assert report == replace(read, padded=3 * 256 + 3)
    assert minilm.report_queries(texts) == read
    assert not caplog.records
    close(vectors[1], vectors[2])


def test_the_model_is_the_same_by_path_and_by_package(minilm, tmp_path):
    moved = shutil.copytree(locate_sentence_model("all-MiniLM-L6-v2")[0], tmp_path / "renamed")
    again = ContextualEmbedder(moved, batch_size=3)
    assert again.name == "renamed"
    assert again.fingerprint == minilm.fingerprint
    assert str(tmp_path) not in again.fingerprint
    assert again.spec.model == str(moved)
    assert load_embedder(again.spec).fingerprint == minilm.fingerprint
    assert ContextualEmbedder(moved, max_length=64).fingerprint != minilm.fingerprint


def test_prompts_precede_queries_and_documents(tiny):
    from sentence_transformers import SentenceTransformer

    embedder, texts = ContextualEmbedder(tiny), ["a b", "c"]
    plain = SentenceTransformer(str(tiny), device="cpu")
    queries, documents = embedder.encode_queries(texts), embedder.encode_documents(texts)
    prompted = ["query: a b", "query: c", "passage: a b", "passage: c"]
    expected = plain.encode(prompted, prompt="", normalize_embeddings=True)
    close(np.vstack([queries, documents]), expected)
    assert not np.allclose(queries, documents)
    # 12 tokens: two special tokens, `query`, `:` and eight letters.
    assert embedder.report_queries(["a " * 8, "a " * 9]).truncated == 1
    assert ContextualEmbedder(tiny, max_length=5).report_queries(["a", "a b"]).truncated == 1


def test_a_path_as_text_has_the_same_fingerprint_and_other_prompts_another(tiny, tmp_path):
    before = ContextualEmbedder(tiny).fingerprint
    assert ContextualEmbedder(str(tiny)).fingerprint == before
    other = shutil.copytree(tiny, tmp_path / "other")
    config = other / "config_sentence_transformers.json"
    config.write_text(config.read_text().replace("query: ", "question: "))
    assert ContextualEmbedder(other).fingerprint != before
    for name in ("pooling", "prompts", "weights", "vocabulary", "probe", "max_length"):
        assert f'"{name}"' in before


def test_the_fingerprint_that_collections_store_is_known():
    parts = json.loads(ContextualEmbedder("all-MiniLM-L6-v2", runtime="torch").fingerprint)
    probe = parts.pop("probe")
    assert (probe[:6], probe[-3:]) == ([101, 1996, 7668, 1005, 1055, 15743], [2078, 1012, 102])
    config = parts.pop("config")
    assert (config.pop("layer_norm_eps"), config.pop("num_attention_heads")) == (1e-12, 12)
    assert config == {"hidden_act": "gelu", "model_type": "bert"}
    assert parts == {
        "default_prompt": None,
        "kind": "contextual",
        "max_length": 256,
        "modules": [
            {"class": "Transformer"},
            {"class": "Pooling", "include_prompt": True, "pooling": ["mean"]},
            {"class": "Normalize"},
        ],
        "prompts": {},
        "text": "normalized",
        "unit": True,
        "vocabulary": "a240c9abbd82e5b969f5681fb7c3f633609db3e4383964ade85bd16f03fbda9b",
        "weights": "73f57e43afd6d3cd77ef90a16154c5df71a6a2bb2df1e6cd711e945a1e783d51",
    }


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_vectors_are_units_and_independent_of_order_and_batches(two_batch_sizes, data):
    one, many = two_batch_sizes
    texts = data.draw(st.lists(st.text("ab :\0é🙂", max_size=30), max_size=6))
    order = data.draw(st.permutations(range(len(texts))))
    vectors = one.encode_documents(texts)
    close(many.encode_documents([texts[position] for position in order]), vectors[order])
    expected = [1.0 if text.strip() else 0.0 for text in texts]
    close(np.linalg.norm(vectors, axis=1), expected)


def test_loading_is_quiet_and_leaves_logging_as_it_was(tiny, capfd):
    from transformers.utils import logging as chatter

    before = (chatter.get_verbosity(), chatter.is_progress_bar_enabled())
    ContextualEmbedder(tiny).encode_documents(["a"])
    assert capfd.readouterr() == ("", "")
    assert (chatter.get_verbosity(), chatter.is_progress_bar_enabled()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected a whole number"),
        ({"max_length": -1}, "max_length is -1; expected a whole number"),
        ({"max_length": 17}, "max_length is 17; this model reads at most 16 tokens"),
        ({"device": "banana"}, "Device 'banana' cannot be used here"),
        ({"device": "cuda:99"}, "Device 'cuda:99' cannot be used here"),
        ({"device": ""}, "Device '' cannot be used here"),
        ({"precision": "int7"}, "precision is 'int7'; expected one of: float32, bfloat16"),
    ],
)
def test_invalid_options_are_refused(tiny, options, message):
    refused(InputError, message, ContextualEmbedder, tiny, **options)


def test_a_model_that_is_not_found_lists_what_was_tried(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    message = (
        r"(?s)No sentence model 'no-such/model'\. Tried:.*path no-such/model: does not exist"
        r".*package no-such/model: not installed.*Hugging Face cache no-such/model:"
        r".*HF_HUB_OFFLINE is set.*give the path of a model"
    )
    refused(ModelNotAvailableError, message, ContextualEmbedder, "no-such/model")
    refused(ModelNotAvailableError, f"folder {tmp_path}: ", ContextualEmbedder, tmp_path)


def test_half_precision_has_similar_vectors_and_another_fingerprint(minilm):
    half = ContextualEmbedder("all-MiniLM-L6-v2", precision="bfloat16")
    cosines = (half.encode_documents(TEXTS) * minilm.encode_documents(TEXTS)).sum(axis=1)
    assert cosines[FILLED].min() > 0.999
    assert half.fingerprint != minilm.fingerprint
    assert half.spec.options["precision"] == "bfloat16"
    assert "precision" not in minilm.spec.options
