"""Folders of sentence-transformers of every make: equal to the library itself, or refused."""

import contextlib
import json
import os
import shutil
import signal
import time
import warnings

import numpy as np
import pytest

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders import ContextualEmbedder
from retriever.embedders.hub import files_of_sentence_model
from tests.support.families import TEXTS, save, sentence_model


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return save("bert", tmp_path_factory.mktemp("raw") / "bert")


def embedding(raw, width=16):
    """A table of random vectors of tokens, with the checkpoint's Rust tokenizer."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    return StaticEmbedding(Tokenizer.from_file(str(raw / "tokenizer.json")), embedding_dim=width)


def reader(raw):
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    return [Transformer(str(raw)), Pooling(16, pooling_mode="mean")]


def check_equal(folder, **options):
    """Vectors of queries and of documents are the library's own, which it says by task."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(folder), device="cpu")
    embedder = ContextualEmbedder(folder, device="cpu", **options)
    for found, encode in (
        (embedder.encode_queries(TEXTS), plain.encode_query),
        (embedder.encode_documents(TEXTS), plain.encode_document),
    ):
        expected = encode(TEXTS, normalize_embeddings=True)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    return embedder


# -- parts of other kinds ------------------------------------------------------------------------


def test_a_table_of_tokens_is_asked_with_its_prompts(raw, tmp_path):
    prompts = {"query": "keep ", "document": "boats "}
    folder = sentence_model(tmp_path / "table", [embedding(raw, 8)], prompts=prompts)
    embedder = check_equal(folder)
    assert (embedder.dim, embedder.max_length, embedder.runtime) == (8, None, "torch")
    report = embedder.report_queries(["river", "", "bank boats"])
    # `keep` and a word; `keep` and two.
    assert (report.texts, report.tokens, report.truncated) == (3, 5, 0)
    with pytest.raises(InputError, match="max_length cannot be set for this model: its Static"):
        ContextualEmbedder(folder, max_length=9)


def test_queries_and_documents_go_through_their_own_parts(raw, tmp_path):
    from sentence_transformers.sentence_transformer.modules import Dense, Router

    split = Router.for_query_document
    routes = split(query_modules=[embedding(raw)], document_modules=reader(raw))
    first = check_equal(sentence_model(tmp_path / "first", [routes]))
    # A query is words alone, a document is between two special tokens.
    assert first.report_queries(["river"]).tokens == 1
    assert first.encode_and_report(["river"])[1].tokens == 3
    assert first.report_queries(TEXTS).truncated == 0
    assert first.encode_and_report(TEXTS)[1].truncated == 2
    with pytest.raises(InputError, match="StaticEmbedding does not truncate texts. Leave max_len"):
        ContextualEmbedder(tmp_path / "first", max_length=9)
    after = [*reader(raw), split(query_modules=[Dense(16, 8)], document_modules=[Dense(16, 8)])]
    last = check_equal(sentence_model(tmp_path / "last", after))
    assert last.runtime == "torch"
    vectors = last.encode_queries(TEXTS), last.encode_documents(TEXTS)
    assert not np.allclose(*vectors, atol=0.1)


def test_words_that_are_looked_up_are_a_model_too(tmp_path):
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

    words = WhitespaceTokenizer(["", "river", "bank", "money"], stop_words=[], do_lower_case=True)
    table = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    parts = [WordEmbeddings(words, table, max_seq_length=3), Pooling(6, pooling_mode="mean")]
    embedder = check_equal(sentence_model(tmp_path / "words", parts))
    vectors, report = embedder.encode_and_report(["The river bank", "none", "bank " * 4])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)
    assert (report.tokens, report.truncated) == (2 + 0 + 3, 1)


def test_a_part_that_reads_the_padding_too_gets_that_of_the_library(raw, tmp_path):
    from sentence_transformers.sentence_transformer.modules import CNN, Pooling, Transformer

    parts = [Transformer(str(raw)), CNN(16, out_channels=8), Pooling(24, pooling_mode="mean")]
    embedder = check_equal(sentence_model(tmp_path / "cnn", parts))
    assert embedder.runtime == "torch"


# -- numbers that are short ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_weights_in_half_precision_are_computed_in_the_precision_that_is_asked_for(
    raw, tmp_path, kind
):
    import torch
    from transformers import AutoModel

    shutil.copytree(raw, tmp_path / kind)
    AutoModel.from_pretrained(raw).to(getattr(torch, kind)).save_pretrained(tmp_path / kind)
    assert json.loads((tmp_path / kind / "config.json").read_text())["dtype"] == kind
    exact = ContextualEmbedder(tmp_path / kind, runtime="torch", device="cpu")
    assert {w.dtype for w in exact._opened.model().parts.parameters()} == {torch.float32}
    whole = AutoModel.from_pretrained(tmp_path / kind, dtype="float32").save_pretrained
    shutil.copytree(raw, tmp_path / "whole")
    whole(tmp_path / "whole")
    again = ContextualEmbedder(tmp_path / "whole", runtime="torch", device="cpu")
    np.testing.assert_array_equal(exact.encode_documents(TEXTS), again.encode_documents(TEXTS))
    assert exact.fingerprint == again.fingerprint
    exported = ContextualEmbedder(tmp_path / kind, runtime="onnx")
    np.testing.assert_allclose(
        exported.encode_documents(TEXTS), exact.encode_documents(TEXTS), atol=1e-5
    )


@pytest.mark.parametrize("name", ["llama", "modernbert"])
def test_half_precision_leaves_positions_exact(tmp_path, name):
    import torch

    folder = save(name, tmp_path / name)
    exact, half = (
        ContextualEmbedder(folder, runtime="torch", device="cpu", precision=precision)
        for precision in ("float32", "bfloat16")
    )
    angles, found = (
        {key: one for key, one in parts.named_buffers() if key.endswith("inv_freq")}
        for parts in (exact._opened.model().parts, half._opened.model().parts)
    )
    assert angles
    assert found.keys() == angles.keys()
    assert all(torch.equal(found[key], angles[key]) for key in angles)
    cosines = (half.encode_documents(TEXTS) * exact.encode_documents(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.99


# -- the hub's cache -----------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache of the hub of Hugging Face; call it to put a model there."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(name, folder):
        whole = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (whole / "refs").mkdir(parents=True)
        (whole / "refs" / "main").write_text("abc")
        shutil.copytree(folder, whole / "snapshots" / "abc")
        return whole

    return put


def test_a_model_of_the_library_itself_needs_no_organisation(raw, tmp_path, hub):
    hub("sentence-transformers/tiny", sentence_model(tmp_path / "tiny", reader(raw)))
    embedder = ContextualEmbedder("tiny", runtime="torch")
    assert (embedder.name, embedder.notes) == ("tiny", ())
    hub("org/raw", raw)
    (note,) = ContextualEmbedder("org/raw", runtime="torch").notes
    assert note.startswith("A raw BertModel")


def test_of_a_transformer_alone_the_hub_is_asked_for_its_parts(raw, hub, monkeypatch):
    whole = hub("org/raw", raw)
    assert "model.safetensors" in files_of_sentence_model("org/raw")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    # Another program may have fetched it, which does not care how it is pooled.
    assert files_of_sentence_model("org/raw") == {}
    (known := whole / ".no_exist" / "abc" / "modules.json").parent.mkdir(parents=True)
    known.touch()
    assert "model.safetensors" in files_of_sentence_model("org/raw")


# -- what would run code -------------------------------------------------------------------------


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_that_comes_with_a_model_is_never_run(raw, tmp_path):
    for name in ("of-its-own", "pickled", "module"):
        shutil.copytree(raw, tmp_path / name)
    ran = tmp_path / "ran"
    config = tmp_path / "of-its-own" / "config.json"
    facts = {"auto_map": {"AutoConfig": "own.C", "AutoModel": "own.M"}, "model_type": "own"}
    config.write_text(json.dumps({**json.loads(config.read_text()), **facts}))
    (tmp_path / "of-its-own" / "own.py").write_text(f"import os; os.mkdir({str(ran)!r})")
    import torch

    (tmp_path / "pickled" / "model.safetensors").unlink()
    torch.save({"weights": Touch(ran)}, tmp_path / "pickled" / "pytorch_model.bin")
    sentence_model(tmp_path / "module", reader(raw))
    modules = tmp_path / "module" / "modules.json"
    own = {"idx": 2, "name": "2", "path": "2_Own", "type": "own.Part"}
    modules.write_text(json.dumps([*json.loads(modules.read_text()), own]))
    shutil.copy(tmp_path / "of-its-own" / "own.py", tmp_path / "module")
    for name, reason in (
        ("of-its-own", "it contains custom code, which Retriever never runs"),
        ("module", "it contains custom code, which Retriever never runs"),
        ("pickled", "its weights are a pickle that would run code, which Retriever never loads"),
    ):
        with pytest.raises(ModelNotAvailableError) as error:
            ContextualEmbedder(tmp_path / name)
        assert f"folder {tmp_path / name}: {reason}" in str(error.value)
    assert not ran.exists()


def test_weights_that_are_no_code_are_read_from_a_pickle(raw, tmp_path):
    import torch
    from safetensors.torch import load_file

    shutil.copytree(raw, tmp_path / "bin")
    torch.save(load_file(raw / "model.safetensors"), tmp_path / "bin" / "pytorch_model.bin")
    (tmp_path / "bin" / "model.safetensors").unlink()
    found, right = (ContextualEmbedder(one, runtime="torch") for one in (tmp_path / "bin", raw))
    assert found.fingerprint == right.fingerprint


# -- processes ------------------------------------------------------------------------------------


def test_a_process_that_was_forked_embeds_like_its_parent(raw):
    import torch

    # torch waits for ever for the threads that a fork leaves behind.
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        embedder = ContextualEmbedder(raw, runtime="torch", device="cpu")
        texts = ["the river bank keep money"] * 99
        right = embedder.encode_documents(texts)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            same = False
            with contextlib.suppress(BaseException):
                same = np.allclose(embedder.encode_documents(texts), right, atol=1e-5)
            os._exit(0 if same else 1)
        assert ended(child) == 0
    finally:
        torch.set_num_threads(before)


def ended(child, patience=30):
    """The exit code of a process; one that does not end is killed."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
