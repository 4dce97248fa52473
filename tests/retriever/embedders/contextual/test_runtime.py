"""What computes a model: torch or onnxruntime give the same, and nothing is trusted unseen."""

import gc
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, ModelNotAvailableError
from retriever.embedders import ContextualEmbedder
from retriever.embedders.cache import mark_used, remove_unused
from retriever.embedders.contextual.autoselect import RuntimeChoice, RuntimeConfig, fastest, ways
from retriever.embedders.contextual.batching import batches
from retriever.embedders.contextual.loading import load
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.onnx_engine.export_cache import (
    cached_export,
    export,
    source_of,
)
from retriever.embedders.contextual.onnx_engine.model import OnnxModel, map_parallel
from retriever.embedders.contextual.probes import Similarity, likeness, probes_of, vectors_of
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.hardware import threads
from tests.support.families import save, sentence_model, tiny_bert

ROOT = Path(__file__).resolve().parents[4]
TEXTS = [
    "A kitten purrs when it is content.",
    "",
    "The engine idles with a soft rumble, and the driver waits for the light to change. " * 4,
    "Taxes",
    "naïve café 東京都 🙂",
    "The filing deadline is the end of April. " * 30,
]
FILLED = [place for place, text in enumerate(TEXTS) if text]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
WORDS = [*(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), "the", "of", "in"]


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    """Two threads for onnxruntime; torch, once imported, keeps those that the tests began with."""
    import torch

    assert torch.get_num_threads() >= 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        yield


@pytest.fixture(scope="module")
def minilm():
    return ContextualEmbedder("all-MiniLM-L6-v2", runtime="onnx")


def build(folder, *, seed=0, **pooling):
    """A folder with a small BERT of random weights."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 48}
    raw = folder.with_name(f"{folder.name}-raw")
    tiny_bert(raw, [*VOCABULARY, *WORDS], seed, num_hidden_layers=2, **sizes)
    parts = [Transformer(str(raw), max_seq_length=40), Pooling(16, pooling_mode="mean", **pooling)]
    return sentence_model(folder, parts)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def exports(cache):
    """The folders of exported models; without other entries of the cache."""
    return sorted(path for path in (cache / "onnx").glob("*") if path.name != "choices")


def python(code, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- the same vectors ---------------------------------------------------------------------------


def test_an_exported_model_equals_plain_sentence_transformers(minilm, plain_minilm):
    assert (minilm.runtime, minilm.precision, minilm.dim) == ("onnx", "float32", 384)
    vectors = minilm.encode_documents(TEXTS)
    expected = plain_minilm.encode([TEXTS[place] for place in FILLED], normalize_embeddings=True)
    np.testing.assert_allclose(vectors[FILLED], expected, atol=1e-5)
    assert not vectors[1].any()
    for place in FILLED:
        alone = minilm.encode_queries([TEXTS[place]])
        np.testing.assert_allclose(alone[0], vectors[place], atol=1e-5)


def test_int8_vectors_are_close_and_do_not_depend_on_the_batch(plain_minilm):
    rough = ContextualEmbedder("all-MiniLM-L6-v2", precision="int8")
    assert (rough.runtime, rough.precision) == ("onnx", "int8")
    vectors = rough.encode_documents(TEXTS)
    expected = plain_minilm.encode([TEXTS[place] for place in FILLED], normalize_embeddings=True)
    cosines = np.einsum("ij,ij->i", vectors[FILLED], expected)
    assert cosines.min() > 0.98
    assert cosines.max() < 0.9999
    for place in FILLED:
        # A text alone goes through the session with all threads, many through that with one.
        np.testing.assert_allclose(
            rough.encode_documents([TEXTS[place]])[0], vectors[place], atol=1e-5
        )
    (note,) = [note for note in rough.notes if "int8 against float32" in note]
    assert "cosine 0.99" in note


def test_the_fingerprint_names_runtime_and_precision(tiny):
    torch = json.loads(ContextualEmbedder(tiny, runtime="torch").fingerprint)
    onnx = json.loads(ContextualEmbedder(tiny, runtime="onnx").fingerprint)
    rough = json.loads(ContextualEmbedder(tiny, runtime="onnx", precision="int8").fingerprint)
    assert onnx == torch | {"runtime": "onnx"}
    assert rough == torch | {"runtime": "onnx", "precision": "int8"}


@pytest.fixture(scope="module")
def engines(tiny):
    return [ContextualEmbedder(tiny, runtime=runtime) for runtime in ("torch", "onnx")]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text("abz the of", max_size=120), min_size=1, max_size=40),
    st.integers(0, 999),
)
def test_runtimes_and_orders_change_nothing(engines, texts, seed):
    torch, onnx = engines
    expected = torch.encode_documents(texts)
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    found = onnx.encode_documents([texts[place] for place in order])
    np.testing.assert_allclose(found, expected[order], atol=2e-5)


def test_a_choice_of_layers_and_pooling_is_exported_with_the_model(tiny):
    options = {"layer": "1,2", "pooling": "cls", "dim": 8}
    torch = ContextualEmbedder(tiny, runtime="torch", **options)
    onnx = ContextualEmbedder(tiny, runtime="onnx", **options)
    assert onnx.dim == 8
    np.testing.assert_allclose(
        onnx.encode_documents(TEXTS), torch.encode_documents(TEXTS), atol=2e-5
    )


# -- without torch ------------------------------------------------------------------------------


def test_what_is_exported_opens_without_torch(tiny):
    expected = ContextualEmbedder(tiny, runtime="onnx").encode_queries(["the cat"])
    code = f"""
import sys, json
from retriever.embedders import ContextualEmbedder
embedder = ContextualEmbedder({str(tiny)!r}, runtime="onnx")
vector = embedder.encode_queries(["the cat"])[0].tolist()
loaded = sorted({{"torch", "transformers", "sentence_transformers"}} & set(sys.modules))
print(json.dumps([vector, loaded]))
"""
    vector, loaded = json.loads(python(code))
    np.testing.assert_allclose(vector, expected[0], atol=1e-6)
    assert loaded == []


def test_words_are_asked_of_torch(tiny):
    words = [
        ContextualEmbedder(tiny, runtime=runtime).encode_words(["the cat"])[0]
        for runtime in ("torch", "onnx")
    ]
    assert [each.spans for each in words] == [((0, 3), (4, 7))] * 2
    np.testing.assert_array_equal(words[0].vectors, words[1].vectors)


def test_an_exchanged_model_is_noticed(tmp_path, cache):
    folder = build(tmp_path / "model")
    before = ContextualEmbedder(folder, runtime="onnx")
    build(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "model.safetensors", folder / "model.safetensors")
    after = ContextualEmbedder(folder, runtime="onnx")
    assert after.fingerprint != before.fingerprint
    right = ContextualEmbedder(tmp_path / "other", runtime="torch").encode_queries(["the cat"])
    np.testing.assert_allclose(after.encode_queries(["the cat"]), right, atol=1e-5)
    assert not np.allclose(before.encode_queries(["the cat"]), right, atol=1e-2)


# -- the cache ----------------------------------------------------------------------------------


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.onnx", "retriever.json"])
@pytest.mark.parametrize("damage", [halve, flip, Path.unlink])
def test_a_damaged_export_is_rebuilt(tiny, cache, name, damage):
    whole = ContextualEmbedder(tiny, runtime="onnx").encode_documents(TEXTS)
    (folder,) = exports(cache)
    damage(folder / name)
    assert cached_export(source_of(tiny, EncodingOptions()), "float32") is None
    again = ContextualEmbedder(tiny, runtime="onnx").encode_documents(TEXTS)
    np.testing.assert_array_equal(again, whole)
    assert exports(cache) == [folder]
    assert cached_export(source_of(tiny, EncodingOptions()), "float32") is not None


def test_two_processes_may_export_at_once(tiny, cache):
    code = f"""
from retriever.embedders import ContextualEmbedder
embedder = ContextualEmbedder({str(tiny)!r}, runtime="onnx", precision="int8")
print(embedder.encode_queries(["the cat"])[0].tolist())
"""
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=alone
        )
        for _ in range(2)
    ]
    first, second = (process.communicate()[0] for process in running)
    assert first == second != ""
    # One in float32, one in int8, and nothing half made.
    assert len(exports(cache)) == 2
    assert {path.name for folder in exports(cache) for path in folder.iterdir()} == {
        "model.onnx",
        "retriever.json",
        "cards",
    }


def test_torch_does_not_touch_the_cache(tiny, cache):
    ContextualEmbedder(tiny, runtime="torch").encode_documents(TEXTS)
    ContextualEmbedder(tiny, runtime="torch", precision="auto")
    ContextualEmbedder(tiny, precision="bfloat16")
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_leaves_torch(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "file"))
    embedder = ContextualEmbedder(tiny)
    assert embedder.runtime == "torch"
    (note,) = embedder.notes
    assert note.startswith("tiny computes in torch, float32; not onnxruntime, float32: ")
    assert "cannot be written" in note
    assert "RETRIEVER_CACHE" in note
    with pytest.raises(InputError, match=r"tiny cannot run in onnxruntime.*RETRIEVER_CAC"):
        ContextualEmbedder(tiny, runtime="onnx")


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_full_disk_leaves_torch_until_there_is_room(tiny, cache, precision):
    if precision == "int8":
        # The graph in float32 is there, that in bytes does not fit.
        export(source_of(tiny, EncodingOptions()), "float32", load(tiny, "cpu", EncodingOptions()))
    before = exports(cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        with pytest.raises(
            InputError, match=r"cannot be written \(File too large\); set RETRIEVER"
        ):
            ContextualEmbedder(tiny, runtime="onnx", precision=precision)
        full = ContextualEmbedder(tiny, precision="float32" if before == [] else "auto")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written (File too large)" in full.notes[0]
    assert exports(cache) == before
    # It is nothing to remember, and nothing half written is left.
    assert not (cache / "onnx" / "choices").exists()
    assert not list(cache.rglob("tmp*")) + list(cache.rglob(".making*"))
    assert "cannot be written" not in ContextualEmbedder(tiny, precision="auto").notes[0]


# -- nothing is trusted unseen ------------------------------------------------------------------


class Turned(SentenceModel):
    """Computes its parts' vectors, and then gives each number to the next place."""

    def embed(self, batch, skipped=0):
        return np.roll(super().embed(batch, skipped), 1, axis=1)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_graph_that_computes_something_else_is_refused_with_the_figures(tiny, cache, precision):
    source = source_of(tiny, EncodingOptions())
    if precision == "int8":
        export(source, "float32", load(tiny, "cpu", EncodingOptions()))
    before = exports(cache)
    turned = Turned(load(tiny, "cpu", EncodingOptions()).parts, EncodingOptions())
    with pytest.raises(InputError, match=rf"{precision}, are not torch's: cosine .*18 texts; exp"):
        export(source, precision, turned)
    assert exports(cache) == before


def test_how_near_is_near_enough():
    assert Similarity(0.999999, 0.999995).is_enough("float32")
    assert not Similarity(0.999999, 0.9999).is_enough("float32")
    assert Similarity(0.99, 0.951).is_enough("int8")
    assert not Similarity(0.99, 0.94).is_enough("int8")
    assert not Similarity(0.979, 0.97).is_enough("int8")


class Scaled(SentenceModel):
    """Its vectors times a number, which changes no direction; or no number at all."""

    factor = 1.0

    def embed(self, batch, skipped=0):
        return super().embed(batch, skipped) * np.float32(self.factor)


def test_likeness_is_of_directions(tiny):
    model = Scaled(load(tiny, "cpu", EncodingOptions()).parts, EncodingOptions())
    probes = probes_of(model.card)
    right = vectors_of(model, probes)
    for factor, cosine in ((3.0, 1.0), (-1.0, -1.0), (float("nan"), -1.0), (0.0, -1.0)):
        model.factor = factor
        found = likeness(model, probes, right)
        assert (round(found.mean, 6), round(found.least, 6)) == (cosine, cosine)


def test_a_model_that_cannot_be_exported_says_why(tmp_path):
    folder = build(tmp_path / "prompted", include_prompt=False)
    embedder = ContextualEmbedder(folder)
    assert (embedder.runtime, embedder.precision) == ("torch", "float32")
    reason = "it leaves its prompt out of pooling"
    assert reason in embedder.notes[0]
    with pytest.raises(
        InputError, match=f"^prompted cannot run .*: {reason}.*Choose runtime torch"
    ):
        ContextualEmbedder(folder, runtime="onnx")
    with pytest.raises(InputError, match=f"{reason}.*another precision than int8"):
        ContextualEmbedder(folder, precision="int8")


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_a_library_that_is_not_there_is_named(tiny, cache, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    embedder = ContextualEmbedder(tiny)
    start = f"tiny computes in torch, float32; not onnxruntime, float32: {package} cannot be imp"
    assert (embedder.runtime, embedder.notes[0][: len(start)]) == ("torch", start)
    with pytest.raises(ModelNotAvailableError, match=rf"^{package} cannot.*pip install {package};"):
        ContextualEmbedder(tiny, runtime="onnx")
    assert not exports(cache)
    # It may be installed any time, so that nothing is remembered.
    monkeypatch.undo()
    monkeypatch.setenv("RETRIEVER_CACHE", str(cache))
    assert "texts/s here" in ContextualEmbedder(tiny).notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"runtime": "onnx", "precision": "bfloat16"},
            "bfloat16, which only torch supports.*int8, auto",
        ),
        ({"runtime": "onnx", "precision": "float16"}, "float16, which only torch"),
        ({"runtime": "torch", "precision": "int8"}, "int8, which only onnxruntime supp.*bfloat16"),
        ({"device": "cuda:0", "runtime": "onnx"}, "device is 'cuda:0', but onnxruntime"),
        ({"device": "cuda:0", "precision": "int8"}, "device is 'cuda:0', but onnxruntime"),
        ({"precision": "float16"}, "float16, which is for GPUs"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny, options, message):
    with pytest.raises(InputError, match=message):
        ContextualEmbedder(tiny, **options)


# -- picked -------------------------------------------------------------------------------------


def test_what_was_picked_is_remembered(tiny, cache):
    first = ContextualEmbedder(tiny, precision="auto")
    (kept,) = (cache / "onnx" / "choices").iterdir()
    before = kept.read_text()
    second = ContextualEmbedder(tiny, precision="auto")
    assert second.notes == first.notes
    assert (second.runtime, second.precision) == (first.runtime, first.precision)
    assert second.fingerprint == first.fingerprint
    # It is what was kept that speaks: nothing was measured.
    other = json.loads(before) | {"rates": {}, "way": {"runtime": "torch", "precision": "float32"}}
    kept.write_text(json.dumps(other))
    third = ContextualEmbedder(tiny, precision="auto")
    assert (third.runtime, third.notes[0][:35]) == ("torch", "tiny computes in torch, float32.")
    # A choice outlives its export.
    other = json.loads(before) | {"way": {"runtime": "onnx", "precision": "int8"}}
    kept.write_text(json.dumps(other))
    for folder in exports(cache):
        shutil.rmtree(folder)
    fourth = ContextualEmbedder(tiny, precision="auto")
    assert (fourth.runtime, fourth.precision) == ("onnx", "int8")
    assert json.loads(kept.read_text()) == other
    kept.write_text(before[:20])
    again = ContextualEmbedder(tiny, precision="auto")
    assert "texts/s here" in again.notes[0]
    assert json.loads(kept.read_text())["rates"]


def test_the_note_says_what_was_picked_and_why():
    rates = {"onnxruntime, float32": 29.4, "torch, float32": 22.1}
    picked = RuntimeChoice(RuntimeConfig("onnx", "float32"), rates)
    assert picked.note("m") == (
        "m computes in onnxruntime, float32: 29 texts/s here (torch, float32: 22)."
    )
    alone = RuntimeChoice(
        RuntimeConfig("torch", "float32"), {}, {"onnxruntime, float32": "it is too large"}
    )
    assert alone.note("m") == (
        "m computes in torch, float32; not onnxruntime, float32: it is too large."
    )


def test_the_more_exact_way_wins_unless_another_is_a_quarter_faster():
    exact, torch, half, rough = ways("auto", "auto")
    assert fastest({exact: 20, torch: 24.9}) == exact
    assert fastest({exact: 20, torch: 25.1}) == torch
    assert fastest({exact: 20, torch: 10, half: 40, rough: 49}) == half
    assert fastest({exact: 20, torch: 10, half: 40, rough: 51}) == rough


def test_the_ways_that_are_open():
    def found(runtime, precision):
        return [str(way) for way in ways(runtime, precision)]

    assert found("auto", "float32") == ["onnxruntime, float32", "torch, float32"]
    assert found("auto", "bfloat16") == ["torch, bfloat16"]
    assert found("auto", "int8") == ["onnxruntime, int8"]
    assert found("onnx", "auto") == ["onnxruntime, float32", "onnxruntime, int8"]
    assert found("torch", "auto") == ["torch, float32", "torch, bfloat16"]


# -- threads ------------------------------------------------------------------------------------


def test_items_are_made_side_by_side_in_their_order():
    meeting = threading.Barrier(2, timeout=10)

    def make(item):
        if item < 2:
            meeting.wait()
        return item * item

    assert list(map_parallel(make, range(9), 2)) == [(n, n * n) for n in range(9)]


def test_few_items_are_taken_ahead_and_no_thread_is_left():
    taken = []
    working = threading.active_count()
    found = map_parallel(str, (taken.append(n) or n for n in range(100)), 2)
    assert next(found) == (0, "0")
    assert len(taken) == 4
    found.close()
    assert threading.active_count() == working


def test_an_error_in_a_thread_is_raised_where_its_turn_is():
    working = threading.active_count()
    found = map_parallel(lambda n: 6 // n, [3, 2, 0, 1], 2)
    assert [next(found), next(found)] == [(3, 2), (2, 3)]
    with pytest.raises(ZeroDivisionError):
        next(found)
    gc.collect()
    assert threading.active_count() == working


class Watched(OnnxModel):
    """Notes how many batches were computed at once, by whether their texts are long."""

    def __init__(self, *given):
        super().__init__(*given)
        self.lock, self.now, self.most = threading.Lock(), 0, {True: 0, False: 0}

    def _run(self, session, batch):
        with self.lock:
            self.now += 1
            wide = batch.ids.shape[1] > 1024
            self.most[wide] = max(self.most[wide], self.now)
        time.sleep(0.02)
        found = super()._run(session, batch)
        with self.lock:
            self.now -= 1
        return found


def test_long_texts_are_computed_one_after_another(tmp_path):
    # Each layer holds a number for every two tokens of a text, in every head.
    folder = save("t5", tmp_path / "t5")
    embedder = ContextualEmbedder(folder, runtime="onnx")
    tokens = [[5 + place % 7] * length for place, length in enumerate([*[30] * 40, *[1100] * 3])]
    watched = Watched(embedder._opened.engine._graph, "float32")
    parts = list(batches(tokens, range(len(tokens)), pad=0, budget=watched.budget))
    found = list(watched.embed_all(parts))
    assert watched.most[True] == 1
    assert [batch for batch, _ in found] == parts
    for batch, vectors in found[:4]:
        right = embedder._opened.model().embed(batch)
        np.testing.assert_allclose(vectors, right, atol=1e-4)


def test_no_more_threads_than_allowed(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    for wished, given_ in (("1", 1), ("1,4", 1), ("9999", cores), ("0", cores), ("many", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", wished)
        assert threads() == given_
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() == cores


# -- what is kept ---------------------------------------------------------------------------------


def graphs(cache):
    return sorted((cache / "onnx").glob("*/model.onnx"))


def test_lengths_and_prompts_share_a_graph(tiny, cache):
    first = ContextualEmbedder(tiny, runtime="onnx", max_length=8)
    (graph,) = graphs(cache)
    written = graph.stat()
    for options in ({}, {"query_prompt": "in "}, {"document_prompt": "the ", "max_length": 47}):
        other = ContextualEmbedder(tiny, runtime="onnx", **options)
        torch = ContextualEmbedder(tiny, runtime="torch", **options)
        for found, right in (
            (other.encode_queries(TEXTS), torch.encode_queries(TEXTS)),
            (other.encode_documents(TEXTS), torch.encode_documents(TEXTS)),
        ):
            np.testing.assert_allclose(found, right, atol=1e-5)
        assert json.loads(other.fingerprint) == json.loads(torch.fingerprint) | {"runtime": "onnx"}
        assert (other.max_length, other.fingerprint == first.fingerprint) == (
            options.get("max_length", 40),
            False,
        )
    assert (graphs(cache), graph.stat()) == ([graph], written)
    # Pooling and layers are in the graph.
    ContextualEmbedder(tiny, runtime="onnx", pooling="cls")
    assert len(graphs(cache)) == 2


def test_damaged_model_info_is_rewritten(tiny, cache):
    ContextualEmbedder(tiny, runtime="onnx")
    (card,) = (cache / "onnx").glob("*/cards/*.json")
    whole = card.read_text()
    for damage in (halve, flip, Path.unlink):
        damage(card)
        assert cached_export(source_of(tiny, EncodingOptions()), "float32") is None
        ContextualEmbedder(tiny, runtime="onnx")
        assert card.read_text() == whole
    assert len(graphs(cache)) == 1


def test_a_graph_that_is_there_is_of_use_where_nothing_can_be_written(tiny, cache):
    ContextualEmbedder(tiny, runtime="onnx")
    (folder,) = exports(cache)
    shutil.rmtree(folder / "cards")
    (folder / "cards").touch()
    embedder = ContextualEmbedder(tiny, runtime="onnx", query_prompt="in ")
    right = ContextualEmbedder(tiny, runtime="torch", query_prompt="in ").encode_queries(["the"])
    np.testing.assert_allclose(embedder.encode_queries(["the"]), right, atol=1e-5)


def aged(folder, days):
    """Set the last use of a folder to some days ago."""
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))


def test_exports_that_nobody_opens_go_when_another_is_made(tiny, cache):
    options = [{"pooling": pooling} for pooling in ("cls", "max", "last")]
    opened = [ContextualEmbedder(tiny, runtime="onnx", **option) for option in options[:2]]
    folders = [one._opened.engine._graph.parent for one in opened]
    idle = ContextualEmbedder(tiny, runtime="onnx", **options[0])
    assert sorted(folders) == exports(cache)
    for folder in folders:
        aged(folder, 61)
    (cache / "onnx" / "notes").mkdir()
    aged(cache / "onnx" / "notes", 99)
    # The second is opened again, and so stays.
    ContextualEmbedder(tiny, runtime="onnx", **options[1])
    right = opened[0].encode_queries(["the cat"])
    ContextualEmbedder(tiny, runtime="onnx", **options[2])
    assert [folder.exists() for folder in folders] == [False, True]
    assert (cache / "onnx" / "notes").exists()
    # An open session continues; a new one gets an error that says what to do.
    np.testing.assert_array_equal(opened[0].encode_queries(["the cat"]), right)
    with pytest.raises(ModelNotAvailableError, match="removed from the cache.*Open the model ag"):
        idle.encode_queries(["the cat"])
    assert not list((cache / "onnx").glob(".making*"))


def test_only_what_was_made_long_ago_and_named_by_us_is_removed(tmp_path):
    names = [f"{digit * 64}{ending}" for digit, ending in (("a", ""), ("b", ".npy"), ("c", ".npy"))]
    names += ["d" * 63, "seen", ".making-x"]
    for name in names:
        (tmp_path / name).touch()
        aged(tmp_path / name, 61)
    aged(tmp_path / names[2], 59)
    kept = tmp_path / names[0]
    remove_unused(tmp_path, kept)
    assert {path.name for path in tmp_path.iterdir()} == {*names} - {names[1]}
    mark_used(kept)
    remove_unused(tmp_path, tmp_path / "another")
    assert kept.exists()
    remove_unused(tmp_path / "nowhere", kept)


def test_exports_of_what_a_folder_held_before_go_after_a_day(tmp_path, cache):
    folder = build(tmp_path / "model")
    ContextualEmbedder(folder, runtime="onnx")
    (old,) = exports(cache)
    for seed, days, left in ((1, 0.9, True), (2, 1.1, False)):
        build(tmp_path / f"other-{seed}", seed=seed)
        shutil.copy(tmp_path / f"other-{seed}" / "model.safetensors", folder)
        # That of another model stays.
        aged(old, days)
        ContextualEmbedder(folder, runtime="onnx")
        assert old.exists() == left
    assert len(exports(cache)) == 2


def test_a_model_that_changes_while_it_is_loaded_is_not_exported_under_its_old_name(
    tmp_path, cache, monkeypatch
):
    folder, other = build(tmp_path / "model"), build(tmp_path / "other", seed=1)

    def exchanged(*given):
        loaded = load(*given)
        shutil.copy(other / "model.safetensors", folder)
        return loaded

    monkeypatch.setattr("retriever.embedders.contextual.embedder.loading.load", exchanged)
    found = ContextualEmbedder(folder, runtime="onnx").encode_queries(["the cat"])
    right = ContextualEmbedder(other, runtime="torch").encode_queries(["the cat"])
    np.testing.assert_allclose(found, right, atol=1e-5)
