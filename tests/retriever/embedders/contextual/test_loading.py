"""Folders that cannot be loaded as they are: refused at loading, with the cause and what to do."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from indexes.errors import ModelNotAvailableError
from retriever.embedders import ContextualEmbedder
from tests.support.models.families import TEXTS, save, sentence_model
from tests.support.sources.records import POINTER
from tests.support.toy import refused

# Families with a tokenizer of each kind: word pieces, unigrams, and bytes with merges.
NAMES = ("bert", "albert", "xlm-roberta", "mpnet", "t5", "roberta", "gpt2", "qwen2")


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    root = tmp_path_factory.mktemp("intact")
    return {name: save(name, root / name) for name in NAMES}


@pytest.fixture(scope="module")
def sentences(intact, tmp_path_factory):
    """A sentence model of a transformer, pooling and a Dense layer."""
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    folder = tmp_path_factory.mktemp("sentences") / "model"
    parts = [Transformer(str(intact["bert"])), Pooling(16, pooling_mode="mean"), Dense(16, 8)]
    return sentence_model(folder, parts)


def in_torch(folder):
    return ContextualEmbedder(folder, runtime="torch", device="cpu")


def not_loaded(message, folder):
    refused(ModelNotAvailableError, f"(?s)folder {folder}: {message}", in_torch, folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_tokenizer_files_is_refused(intact, tmp_path, name):
    folder = shutil.copytree(intact[name], tmp_path / name)
    (folder / "tokenizer.json").unlink()
    not_loaded("its tokenizer ", folder)
    (folder / "tokenizer_config.json").unlink()
    not_loaded("its tokenizer ", folder)
    refused(ModelNotAvailableError, "its tokenizer ", ContextualEmbedder, folder, runtime="onnx")


def test_a_vocabulary_that_no_text_meets_is_refused(tmp_path):
    from transformers import BertTokenizer

    folder = save("bert", tmp_path / "bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = {name: number for number, name in enumerate([*special, "##only", "##parts"])}
    BertTokenizer(vocab=vocab).save_pretrained(folder)
    not_loaded("its tokenizer has 2 tokens for text and knows none in any: its files", folder)
    # One that knows only what the probe lacks is one for other texts: proteins, another script.
    vocab = {name: number for number, name in enumerate([*special, "ไทย", "##ไทย"])}
    BertTokenizer(vocab=vocab).save_pretrained(folder)
    assert in_torch(folder).report_queries(["ไทย"]).tokens == 3


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_tokens_without_a_vector_are_refused(intact, tmp_path, name):
    from transformers import AutoTokenizer

    folder = shutil.copytree(intact[name], tmp_path / name)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    tokenizer.add_tokens(["quasar", "pulsar"])
    tokenizer.save_pretrained(folder)
    message = f"its tokenizer has {rows + 2} tokens, but the model has vectors for {rows}: none for"
    not_loaded(f"{message} 'quasar', number {rows}", folder)


def test_padding_needs_no_vector(intact, tmp_path):
    from transformers import AutoTokenizer

    folder = shutil.copytree(intact["gpt2"], tmp_path / "gpt2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    plain, padded = in_torch(intact["gpt2"]), in_torch(folder)
    assert (plain.encode_documents(TEXTS) == padded.encode_documents(TEXTS)).all()


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="it is installed here")
@pytest.mark.parametrize("name", ["xlm-roberta", "t5"])
def test_a_sentencepiece_file_names_the_package_that_it_needs(intact, tmp_path, name):
    folder = shutil.copytree(intact[name], tmp_path / name)
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    not_loaded(
        "its tokenizer is spiece.model, which needs packages that are not installed. "
        "Run: pip install sentencepiece\n",
        folder,
    )


def test_the_error_of_a_tokenizer_is_shown_in_full(intact, tmp_path):
    folder = shutil.copytree(intact["gpt2"], tmp_path / "gpt2")
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(tokens))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    not_loaded("its tokenizer cannot be loaded: `vocab` and `merges` must be both", folder)


@pytest.mark.parametrize(
    "file",
    [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
    ],
)
def test_a_git_lfs_pointer_says_what_to_run(sentences, tmp_path, file):
    folder = shutil.copytree(sentences, tmp_path / "model")
    (folder / file).write_bytes(POINTER)
    not_loaded(f"{file} is a Git LFS pointer, not the file itself. Run .*: git lfs pull", folder)


@pytest.mark.parametrize("file", ["vocab.txt", "pytorch_model.bin"])
def test_a_pointer_in_place_of_an_older_file_is_found_too(intact, tmp_path, file):
    folder = shutil.copytree(intact["bert"], tmp_path / "bert")
    (folder / {"vocab.txt": "tokenizer.json"}.get(file, "model.safetensors")).unlink()
    (folder / file).write_bytes(POINTER)
    not_loaded(f"{file} is a Git LFS pointer", folder)


@pytest.mark.parametrize("kind", ["Pooling", "Dense"])
def test_a_module_without_settings_is_named(sentences, tmp_path, kind):
    folder = shutil.copytree(sentences, tmp_path / "model")
    (there,) = folder.glob(f"?_{kind}")
    shutil.rmtree(there)
    not_loaded(f"modules.json lists a {kind} in {there.name}, but it has no config.json", folder)


@pytest.mark.parametrize("split", [True, False])
def test_special_tokens_in_a_text_are_read_as_the_folder_says(intact, tmp_path, split, monkeypatch):
    from sentence_transformers import SentenceTransformer

    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(intact["bert"], tmp_path / "bert")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**settings, "split_special_tokens": split})
    )
    texts = ["the [SEP] river", "[MASK]", "a river"]
    right = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    for runtime in ("torch", "onnx", "onnx") if split else ("torch",):
        embedder = ContextualEmbedder(folder, runtime=runtime, device="cpu")
        np.testing.assert_allclose(embedder.encode_documents(texts), right, atol=1e-5)
        assert ("split_special_tokens" in embedder.fingerprint) == split
        # "the", a special token or five pieces, "river"; between two special tokens.
        assert embedder.report_queries(texts[:1]).tokens == (9 if split else 5)


@pytest.mark.parametrize(
    ("name", "runtime"), [("bert", "onnx"), ("bert", "torch"), ("roberta", "torch")]
)
def test_a_length_beyond_the_positions_is_cut_to_them(intact, tmp_path, name, runtime, monkeypatch):
    from sentence_transformers.sentence_transformer.modules import CNN, Pooling, Transformer

    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    # A CNN reads the padding, so such a model does its own preprocessing.
    parts = [Transformer(str(intact[name])), Pooling(16, pooling_mode="mean")]
    if runtime == "torch":
        parts = [parts[0], CNN(16, out_channels=8), Pooling(24, pooling_mode="mean")]
    folder = sentence_model(tmp_path / "model", parts)
    config = folder / "sentence_bert_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_seq_length": 1000}))
    embedder = ContextualEmbedder(folder, runtime=runtime, device="cpu")
    assert embedder.max_length == (38 if name == "roberta" else 40)
    vectors, report = embedder.encode_and_report(["river " * 999, "river"])
    assert np.isfinite(vectors).all()
    assert (report.truncated, report.tokens > embedder.max_length) == (1, True)
