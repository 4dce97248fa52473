"""Folders of sentence-transformers with any modules: equal to the library itself, or refused."""

import json
import os
import shutil
import signal
import warnings

import numpy as np
import pytest

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders import ContextualEmbedder
from retriever.embedders.hub import files_of_sentence_model
from tests.support.fresh import check_forked
from tests.support.models.families import TEXTS, save, sentence_model
from tests.support.toy import refused


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return save("bert", tmp_path_factory.mktemp("raw") / "bert")


def embedding(raw, width=16):
    """Random token vectors, with the checkpoint's Rust tokenizer."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    return StaticEmbedding(Tokenizer.from_file(str(raw / "tokenizer.json")), embedding_dim=width)


def reader(raw):
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    return [Transformer(str(raw)), Pooling(16, pooling_mode="mean")]


def in_torch(folder, **options):
    return ContextualEmbedder(folder, runtime="torch", device="cpu", **options)


def close(vectors, expected):
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def check_equal(folder):
    """Check that vectors of queries and documents are the library's own; return the embedder."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(folder), device="cpu")
    embedder = ContextualEmbedder(folder, device="cpu")
    unit = {"normalize_embeddings": True}
    close(embedder.encode_queries(TEXTS), plain.encode_query(TEXTS, **unit))
    close(embedder.encode_documents(TEXTS), plain.encode_document(TEXTS, **unit))
    return embedder


def test_a_static_embedding_is_used_with_its_prompts(raw, tmp_path):
    prompts = {"query": "keep ", "document": "boats "}
    folder = sentence_model(tmp_path / "table", [embedding(raw, 8)], prompts=prompts)
    embedder = check_equal(folder)
    assert (embedder.dim, embedder.max_length, embedder.runtime) == (8, None, "torch")
    report = embedder.report_queries(["river", "", "bank boats"])
    # `keep` and a word; `keep` and two.
    assert (report.texts, report.tokens, report.truncated) == (3, 5, 0)
    message = "max_length cannot be set for this model: its Static"
    refused(InputError, message, ContextualEmbedder, folder, max_length=9)


def test_queries_and_documents_have_their_own_modules(raw, tmp_path):
    from sentence_transformers.sentence_transformer.modules import Dense, Router

    split = Router.for_query_document
    routes = split(query_modules=[embedding(raw)], document_modules=reader(raw))
    folder = sentence_model(tmp_path / "first", [routes])
    first = check_equal(folder)
    # A query is words alone, a document is between two special tokens.
    assert first.report_queries(["river"]).tokens == 1
    assert first.encode_and_report(["river"])[1].tokens == 3
    assert first.report_queries(TEXTS).truncated == 0
    assert first.encode_and_report(TEXTS)[1].truncated == 2
    message = "StaticEmbedding does not truncate texts. Leave max_len"
    refused(InputError, message, ContextualEmbedder, folder, max_length=9)
    after = [*reader(raw), split(query_modules=[Dense(16, 8)], document_modules=[Dense(16, 8)])]
    last = check_equal(sentence_model(tmp_path / "last", after))
    assert last.runtime == "torch"
    assert not np.allclose(last.encode_queries(TEXTS), last.encode_documents(TEXTS), atol=0.1)


def test_word_vectors_with_pooling_are_supported(tmp_path):
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

    words = WhitespaceTokenizer(["", "river", "bank", "money"], stop_words=[], do_lower_case=True)
    table = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    parts = [WordEmbeddings(words, table, max_seq_length=3), Pooling(6, pooling_mode="mean")]
    embedder = check_equal(sentence_model(tmp_path / "words", parts))
    vectors, report = embedder.encode_and_report(["The river bank", "none", "bank " * 4])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)
    assert (report.tokens, report.truncated) == (2 + 0 + 3, 1)


def test_a_module_that_reads_padding_gets_the_padding_of_the_library(raw, tmp_path):
    from sentence_transformers.sentence_transformer.modules import CNN, Pooling, Transformer

    parts = [Transformer(str(raw)), CNN(16, out_channels=8), Pooling(24, pooling_mode="mean")]
    assert check_equal(sentence_model(tmp_path / "cnn", parts)).runtime == "torch"


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_weights_in_half_precision_are_computed_in_float32(raw, tmp_path, kind):
    import torch
    from transformers import AutoModel

    half = shutil.copytree(raw, tmp_path / kind)
    AutoModel.from_pretrained(raw).to(getattr(torch, kind)).save_pretrained(half)
    assert json.loads((half / "config.json").read_text())["dtype"] == kind
    exact = in_torch(half)
    assert {w.dtype for w in exact._opened.model().parts.parameters()} == {torch.float32}
    whole = shutil.copytree(raw, tmp_path / "whole")
    AutoModel.from_pretrained(half, dtype="float32").save_pretrained(whole)
    vectors, again = exact.encode_documents(TEXTS), in_torch(whole)
    np.testing.assert_array_equal(vectors, again.encode_documents(TEXTS))
    assert exact.fingerprint == again.fingerprint
    close(ContextualEmbedder(half, runtime="onnx").encode_documents(TEXTS), vectors)


@pytest.mark.parametrize("name", ["llama", "modernbert"])
def test_half_precision_leaves_positions_exact(tmp_path, name):
    import torch

    folder = save(name, tmp_path / name)
    exact, half = in_torch(folder), in_torch(folder, precision="bfloat16")
    angles, found = (
        {key: one for key, one in parts.named_buffers() if key.endswith("inv_freq")}
        for parts in (exact._opened.model().parts, half._opened.model().parts)
    )
    assert found.keys() == angles.keys() != set()
    assert all(torch.equal(found[key], angles[key]) for key in angles)
    cosines = (half.encode_documents(TEXTS) * exact.encode_documents(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty Hugging Face cache; call it to put a model there."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(name, folder):
        whole = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (whole / "refs").mkdir(parents=True)
        (whole / "refs" / "main").write_text("abc")
        shutil.copytree(folder, whole / "snapshots" / "abc")
        return whole

    return put


def test_a_model_of_sentence_transformers_needs_no_organization(raw, tmp_path, hub):
    hub("sentence-transformers/tiny", sentence_model(tmp_path / "tiny", reader(raw)))
    embedder = ContextualEmbedder("tiny", runtime="torch")
    assert (embedder.name, embedder.notes) == ("tiny", ())
    hub("org/raw", raw)
    (note,) = ContextualEmbedder("org/raw", runtime="torch").notes
    assert note.startswith("A raw BertModel")


def test_the_modules_of_a_cached_transformer_are_fetched(raw, hub, monkeypatch):
    whole = hub("org/raw", raw)
    assert "model.safetensors" in files_of_sentence_model("org/raw")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    # Another program may have fetched it without the files about pooling.
    assert files_of_sentence_model("org/raw") == {}
    (known := whole / ".no_exist" / "abc" / "modules.json").parent.mkdir(parents=True)
    known.touch()
    assert "model.safetensors" in files_of_sentence_model("org/raw")


class Touch:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_that_comes_with_a_model_is_never_run(raw, tmp_path):
    import torch

    own, pickled, module = (tmp_path / name for name in ("own", "pickled", "module"))
    shutil.copytree(raw, own)
    shutil.copytree(raw, pickled)
    ran = tmp_path / "ran"
    config = own / "config.json"
    facts = {"auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}, "model_type": "own"}
    config.write_text(json.dumps({**json.loads(config.read_text()), **facts}))
    (own / "own.py").write_text(f"import os; os.mkdir({str(ran)!r})")
    (pickled / "model.safetensors").unlink()
    torch.save({"weights": Touch(ran)}, pickled / "pytorch_model.bin")
    modules = sentence_model(module, reader(raw)) / "modules.json"
    part = {"idx": 2, "name": "2", "path": "2_Own", "type": "own.Part"}
    modules.write_text(json.dumps([*json.loads(modules.read_text()), part]))
    shutil.copy(own / "own.py", module)
    for folder, reason in (
        (own, "it contains custom code, which Retriever never runs"),
        (module, "it contains custom code, which Retriever never runs"),
        (pickled, "its weights are a pickle that would run code, which Retriever never loads"),
    ):
        refused(ModelNotAvailableError, f"folder {folder}: {reason}", ContextualEmbedder, folder)
    assert not ran.exists()


def test_a_pickle_of_weights_alone_is_loaded(raw, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(raw, tmp_path / "bin")
    torch.save(load_file(raw / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert in_torch(folder).fingerprint == in_torch(raw).fingerprint


def test_a_forked_process_embeds_like_its_parent(raw):
    import torch

    def embed():
        # Without handlers, an alarm ends a child that waits forever.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        close(embedder.encode_documents(texts), right)

    # torch would wait forever for the threads that a fork does not copy.
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        embedder = in_torch(raw)
        texts = ["the river bank keep money"] * 99
        right = embedder.encode_documents(texts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            check_forked(embed)
    finally:
        torch.set_num_threads(before)
