"""Sentence models: equal to plain sentence-transformers, on a real model and on a tiny one."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders import (
    ContextualEmbedder,
    Embedder,
    ReportsCoverage,
    TextReport,
    load_embedder,
)
from retriever.embedders.hub import locate_sentence_model
from tests.support.families import sentence_model, tiny_bert

TEXTS = [
    "A kitten purrs when it is content.",
    "",
    "The engine idles with a soft rumble, and the driver waits for the light to change. " * 4,
    " \n\t",
    "Taxes",
    "naïve café 東京都 🙂",
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", "query", "passage", ":"]


@pytest.fixture(scope="module", autouse=True)
def offline():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="module")
def minilm():
    return ContextualEmbedder("all-MiniLM-L6-v2", device="cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny BERT of random weights that has prompts and reads 12 tokens."""
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


def filled(texts):
    return [position for position, text in enumerate(texts) if text.strip()]


def test_it_equals_plain_sentence_transformers(minilm, plain_minilm):
    vectors = minilm.encode_documents(TEXTS)
    kept = filled(TEXTS)
    expected = plain_minilm.encode(
        [TEXTS[position] for position in kept], normalize_embeddings=True
    )
    np.testing.assert_allclose(vectors[kept], expected, atol=1e-6)
    np.testing.assert_allclose(minilm.encode_queries(TEXTS)[kept], expected, atol=1e-6)
    assert (vectors.dtype, vectors.shape) == (np.float32, (6, 384))


def test_blank_texts_give_zeros_and_the_rest_length_one(minilm):
    lengths = np.linalg.norm(minilm.encode_documents(TEXTS), axis=1)
    np.testing.assert_allclose(lengths, [1, 0, 1, 0, 1, 1], atol=1e-6)
    assert minilm.encode_documents([]).shape == (0, 384)
    assert not minilm.encode_queries(["", " "]).any()


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_neither_order_nor_batch_size_changes_a_vector(minilm, batch_size):
    place = locate_sentence_model("all-MiniLM-L6-v2")[0]
    other = ContextualEmbedder(place, device="cpu", batch_size=batch_size)
    expected = minilm.encode_documents(TEXTS)
    order = [3, 0, 5, 2, 1, 4]
    vectors = other.encode_documents([TEXTS[position] for position in order])
    np.testing.assert_allclose(vectors, expected[order], atol=1e-6)


@pytest.mark.parametrize("together", [1, 2, 3, 6])
def test_portions_read_ahead_are_put_back_in_their_places(two_batch_sizes, monkeypatch, together):
    embedder = two_batch_sizes[1]
    expected, whole = embedder.encode_and_report(TEXTS)
    queries = embedder.report_queries(TEXTS)
    monkeypatch.setattr("retriever.embedders.contextual.tokenizer.TOGETHER", together)
    vectors, report = embedder.encode_and_report(TEXTS)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    # The other texts of a batch only change the number of computed positions.
    assert replace(report, padded=whole.padded) == whole
    assert embedder.report_queries(TEXTS) == queries


def test_it_is_an_embedder_that_reports(minilm):
    assert isinstance(minilm, Embedder)
    assert isinstance(minilm, ReportsCoverage)
    assert (minilm.name, minilm.dim, minilm.max_length) == ("all-MiniLM-L6-v2", 384, 256)


def test_truncated_texts_are_counted(minilm, caplog):
    # 254 words and two marks are 256 tokens.
    texts = ["word " * 254, "word " * 255, "word " * 3000, "", "🙂"]
    with caplog.at_level(logging.WARNING):
        vectors, report = minilm.encode_and_report(texts)
    # An empty text is not read, an emoji is one piece between the two marks.
    read = TextReport(texts=5, truncated=2, tokens=3 * 256 + 3)
    assert report == replace(read, padded=3 * 256 + 3)
    assert minilm.report_queries(texts) == read
    assert not caplog.records
    np.testing.assert_allclose(vectors[1], vectors[2], atol=1e-6)


def test_the_model_is_the_same_by_path_and_by_package(minilm, tmp_path):
    moved = tmp_path / "renamed"
    shutil.copytree(locate_sentence_model("all-MiniLM-L6-v2")[0], moved)
    again = ContextualEmbedder(moved, batch_size=3)
    assert again.name == "renamed"
    assert again.fingerprint == minilm.fingerprint
    assert str(tmp_path) not in again.fingerprint
    assert again.spec.model == str(moved)
    assert load_embedder(again.spec).fingerprint == minilm.fingerprint
    assert ContextualEmbedder(moved, max_length=64).fingerprint != minilm.fingerprint


def test_prompts_stand_before_queries_and_documents(tiny):
    embedder = ContextualEmbedder(tiny)
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(tiny), device="cpu")
    texts = ["a b", "c"]
    for vectors, prompt in (
        (embedder.encode_queries(texts), "query: "),
        (embedder.encode_documents(texts), "passage: "),
    ):
        prompted = [prompt + text for text in texts]
        expected = plain.encode(prompted, prompt="", normalize_embeddings=True)
        np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert not np.allclose(embedder.encode_queries(texts), embedder.encode_documents(texts))


def test_a_prompt_counts_towards_the_length(tiny):
    embedder = ContextualEmbedder(tiny)
    # 12 tokens: two marks, `query`, `:` and eight letters.
    assert embedder.report_queries(["a " * 8, "a " * 9]).truncated == 1
    assert ContextualEmbedder(tiny, max_length=5).report_queries(["a", "a b"]).truncated == 1


def test_what_a_model_computes_is_in_its_fingerprint(tiny, tmp_path):
    before = ContextualEmbedder(tiny).fingerprint
    shutil.copytree(tiny, tmp_path / "other")
    config = tmp_path / "other" / "config_sentence_transformers.json"
    config.write_text(config.read_text().replace("query: ", "question: "))
    assert ContextualEmbedder(tmp_path / "other").fingerprint != before
    for name in ("pooling", "prompts", "weights", "vocabulary", "probe", "max_length"):
        assert f'"{name}"' in before


def test_the_fingerprint_of_collections_that_are_there_stays_as_it_was():
    parts = json.loads(ContextualEmbedder("all-MiniLM-L6-v2", runtime="torch").fingerprint)
    probe = parts.pop("probe")
    assert (probe[:6], probe[-3:]) == ([101, 1996, 7668, 1005, 1055, 15743], [2078, 1012, 102])
    assert parts == {
        "config": {
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
            "model_type": "bert",
            "num_attention_heads": 12,
        },
        "default_prompt": None,
        "kind": "contextual",
        "max_length": 256,
        "modules": [
            {"class": "Transformer"},
            {"class": "Pooling", "include_prompt": True, "pooling": ["mean"]},
            {"class": "Normalize"},
        ],
        "prompts": {},
        "unit": True,
        "vocabulary": "a240c9abbd82e5b969f5681fb7c3f633609db3e4383964ade85bd16f03fbda9b",
        "weights": "92f9c83165d406f9c075f832686e6b161e7d0e7dadfa396e009d131d0200c1d1",
    }


def test_a_raw_checkpoint_is_averaged(tiny):
    embedder = ContextualEmbedder(tiny.with_name("raw"))
    assert embedder.dim == 8
    np.testing.assert_allclose(np.linalg.norm(embedder.encode_queries(["a"])), 1, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(st.text("ab :\0é🙂", max_size=30), max_size=6), seed=st.randoms())
def test_laws_on_any_texts(two_batch_sizes, texts, seed):
    one, many = two_batch_sizes
    vectors = one.encode_documents(texts)
    order = list(range(len(texts)))
    seed.shuffle(order)
    shuffled = many.encode_documents([texts[position] for position in order])
    np.testing.assert_allclose(shuffled, vectors[order], atol=1e-6)
    lengths = np.linalg.norm(vectors, axis=1)
    expected = [1.0 if text.strip() else 0.0 for text in texts]
    np.testing.assert_allclose(lengths, expected, atol=1e-6)


def test_loading_is_quiet_and_leaves_logging_as_it_was(tiny, capfd):
    from transformers.utils import logging as chatter

    before = (chatter.get_verbosity(), chatter.is_progress_bar_enabled())
    ContextualEmbedder(tiny).encode_documents(["a"])
    assert capfd.readouterr() == ("", "")
    assert (chatter.get_verbosity(), chatter.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("device", ["banana", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused(tiny, device):
    with pytest.raises(InputError, match=f"Device '{device}' cannot be used here"):
        ContextualEmbedder(tiny, device=device)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected a whole number"),
        ({"max_length": -1}, "max_length is -1; expected a whole number"),
        ({"max_length": 17}, "max_length is 17; this model reads at most 16 tokens"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tiny, options, message):
    with pytest.raises(InputError, match=message):
        ContextualEmbedder(tiny, **options)


def test_a_model_that_cannot_be_had_says_what_was_tried(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotAvailableError) as error:
        ContextualEmbedder("no-such/model")
    tried = str(error.value)
    for part in (
        "No sentence model 'no-such/model'. Tried:",
        "path no-such/model: does not exist",
        "package no-such/model: not installed",
        "Hugging Face cache no-such/model:",
        "HF_HUB_OFFLINE is set",
        "give the path of a model",
    ):
        assert part in tried


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(ModelNotAvailableError, match=f"folder {tmp_path}: "):
        ContextualEmbedder(tmp_path)


def test_what_is_no_list_of_texts_is_refused(tiny):
    with pytest.raises(InputError, match="Text 1 is bytes"):
        ContextualEmbedder(tiny).encode_documents(["a", b"b"])


def test_a_path_object_and_its_text_mean_the_same(tiny):
    assert ContextualEmbedder(Path(tiny)).fingerprint == ContextualEmbedder(str(tiny)).fingerprint


def test_half_precision_is_another_embedder_that_says_nearly_the_same(minilm):
    half = ContextualEmbedder("all-MiniLM-L6-v2", precision="bfloat16")
    texts = [text for text in TEXTS if text.strip()]
    cosines = (half.encode_documents(texts) * minilm.encode_documents(texts)).sum(axis=1)
    assert cosines.min() > 0.999
    assert half.fingerprint != minilm.fingerprint
    assert half.spec.options["precision"] == "bfloat16"
    assert "precision" not in minilm.spec.options
    with pytest.raises(InputError, match="precision is 'int7'; expected one of: float32, bfloat16"):
        ContextualEmbedder("all-MiniLM-L6-v2", precision="int7")
