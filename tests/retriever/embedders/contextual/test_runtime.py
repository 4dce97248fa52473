"""Runtimes: torch and onnxruntime compute the same, and every export is verified."""

import gc
import json
import math
import os
import resource
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, ModelNotAvailableError
from indexes.threads import threads
from retriever.embedders import ContextualEmbedder
from retriever.embedders.cache import mark_used, remove_unused
from retriever.embedders.contextual import autoselect
from retriever.embedders.contextual.autoselect import RuntimeChoice, RuntimeConfig
from retriever.embedders.contextual.batching import batches
from retriever.embedders.contextual.loading import load
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.onnx_engine import export_cache
from retriever.embedders.contextual.onnx_engine.model import OnnxModel, map_parallel
from retriever.embedders.contextual.probes import (
    Similarity,
    cpu_seconds,
    likeness,
    probes_of,
    vectors_of,
)
from retriever.embedders.contextual.torch_model import SentenceModel
from retriever.hardware import processor
from tests.support.fresh import printed_by
from tests.support.models.families import save, sentence_model, tiny_bert
from tests.support.toy import refused

TEXTS = [
    "A kitten purrs when it is content.",
    "",
    "The engine idles with a soft rumble, and the driver waits for the light to change. " * 4,
    "Taxes",
    "naïve café 東京都 🙂",
    "The filing deadline is the end of April. " * 30,
]
FILLED = [0, 2, 3, 4, 5]
DEFAULTS = EncodingOptions()
PIECES = [*ascii_lowercase, *(f"##{letter}" for letter in ascii_lowercase), "the", "of", "in"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *PIECES]


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    """Two threads for onnxruntime; torch, once imported, keeps its own number."""
    import torch  # noqa: F401

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "2")
        yield


def build(folder, *, seed=0, **pooling):
    """Save a small BERT of random weights as a sentence model."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    sizes = {"hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 48}
    raw = folder.with_name(f"{folder.name}-raw")
    tiny_bert(raw, VOCABULARY, seed, num_hidden_layers=2, **sizes)
    parts = [Transformer(str(raw), max_seq_length=40), Pooling(16, pooling_mode="mean", **pooling)]
    return sentence_model(folder, parts)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def tiny_in_both(tiny):
    return in_torch(tiny), in_onnx(tiny)


@pytest.fixture
def source(tiny):
    return export_cache.source_of(tiny, DEFAULTS)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def exports(cache):
    """The folders of exported models, without other entries of the cache."""
    return sorted(path for path in (cache / "onnx").glob("*") if path.name != "choices")


def in_onnx(folder, **options):
    return ContextualEmbedder(folder, runtime="onnx", **options)


def in_torch(folder, **options):
    return ContextualEmbedder(folder, runtime="torch", **options)


def close(vectors, expected, atol=1e-5):
    np.testing.assert_allclose(vectors, expected, atol=atol)


def auto(folder):
    return ContextualEmbedder(folder, precision="auto")


def test_an_exported_model_equals_plain_sentence_transformers(plain_minilm):
    minilm = in_onnx("all-MiniLM-L6-v2")
    assert (minilm.runtime, minilm.precision, minilm.dim) == ("onnx", "float32", 384)
    vectors = minilm.encode_documents(TEXTS)
    expected = plain_minilm.encode([TEXTS[place] for place in FILLED], normalize_embeddings=True)
    close(vectors[FILLED], expected)
    assert not vectors[1].any()
    close(np.vstack([minilm.encode_queries([text]) for text in TEXTS]), vectors)


def test_int8_vectors_are_close_and_do_not_depend_on_the_batch(plain_minilm):
    rough = ContextualEmbedder("all-MiniLM-L6-v2", precision="int8")
    assert (rough.runtime, rough.precision) == ("onnx", "int8")
    vectors = rough.encode_documents(TEXTS)
    expected = plain_minilm.encode([TEXTS[place] for place in FILLED], normalize_embeddings=True)
    cosines = np.einsum("ij,ij->i", vectors[FILLED], expected)
    assert 0.98 < cosines.min() <= cosines.max() < 0.9999
    # A single text goes through the session with all threads, many through that with one.
    close(np.vstack([rough.encode_documents([text]) for text in TEXTS]), vectors)
    (note,) = [note for note in rough.notes if "int8 against float32" in note]
    assert "cosine 0.99" in note


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        ([4.0, 2.0], ", 2.0 times as fast here."),
        ([4.0, 3.9], f", and not faster on this processor (1.03 times as fast; {processor()}): "),
    ],
)
def test_int8_says_how_fast_it_is_here(tiny, tmp_path, monkeypatch, seconds, says):
    # It pays only where the processor multiplies integers of 8 bits faster: AVX2 alone does not.
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path))
    measured = []

    def cpu_seconds(engines, probes, rounds):
        measured.append([engine.precision for engine in engines])
        return seconds

    monkeypatch.setattr(export_cache, "cpu_seconds", cpu_seconds)
    for _ in range(2):  # measured when it is exported, and kept
        (note,) = [one for one in in_onnx(tiny, precision="int8").notes if "against float32" in one]
        assert says in note
    assert measured == [["float32", "int8"]]
    # A graph of an earlier version has no such figure.
    for path in tmp_path.glob("onnx/*/retriever.json"):
        facts = json.loads(path.read_text())["export"]
        del facts["speed"]
        path.write_text(export_cache._with_checksum(facts))
    (note,) = [one for one in in_onnx(tiny, precision="int8").notes if "against float32" in one]
    assert note.endswith("at the least.")
    assert len(measured) == 1


def test_the_fingerprint_names_runtime_and_precision(tiny):
    models = in_torch(tiny), in_onnx(tiny), in_onnx(tiny, precision="int8")
    torch, onnx, rough = (json.loads(model.fingerprint) for model in models)
    assert onnx == torch | {"runtime": "onnx"}
    assert rough == torch | {"runtime": "onnx", "precision": "int8"}


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_runtimes_and_orders_change_nothing(tiny_in_both, data):
    torch, onnx = tiny_in_both
    texts = data.draw(st.lists(st.text("abz the of", max_size=120), min_size=1, max_size=40))
    order = data.draw(st.permutations(range(len(texts))))
    found = onnx.encode_documents([texts[place] for place in order])
    close(found, torch.encode_documents(texts)[order], 2e-5)


def test_layers_pooling_and_dim_are_exported_with_the_model(tiny):
    onnx, torch = (at(tiny, layer="1,2", pooling="cls", dim=8) for at in (in_onnx, in_torch))
    assert onnx.dim == 8
    close(onnx.encode_documents(TEXTS), torch.encode_documents(TEXTS), 2e-5)


ENCODE = """
import sys, json
from retriever.embedders import ContextualEmbedder
embedder = ContextualEmbedder(sys.argv[1], runtime="onnx", precision=sys.argv[2])
vector = embedder.encode_queries(["the cat"])[0].tolist()
loaded = sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules))
print(json.dumps([vector, loaded]))
"""


def test_an_exported_model_runs_without_torch(tiny):
    expected = in_onnx(tiny).encode_queries(["the cat"])
    vector, loaded = json.loads(printed_by(ENCODE, tiny, "float32"))
    close(vector, expected[0], 1e-6)
    assert loaded == []


def test_words_are_always_encoded_in_torch(tiny_in_both):
    torch, onnx = (embedder.encode_words(["the cat"])[0] for embedder in tiny_in_both)
    assert torch.spans == onnx.spans == ((0, 3), (4, 7))
    np.testing.assert_array_equal(torch.vectors, onnx.vectors)


def test_changed_weights_are_detected(tmp_path, cache):
    folder = build(tmp_path / "model")
    before = in_onnx(folder)
    build(tmp_path / "other", seed=1)
    shutil.copy(tmp_path / "other" / "model.safetensors", folder / "model.safetensors")
    after = in_onnx(folder)
    assert after.fingerprint != before.fingerprint
    right = in_torch(tmp_path / "other").encode_queries(["the cat"])
    close(after.encode_queries(["the cat"]), right)
    assert not np.allclose(before.encode_queries(["the cat"]), right, atol=1e-2)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.onnx", "retriever.json", "cards/*.json"])
@pytest.mark.parametrize("damage", [halve, flip, Path.unlink])
def test_a_damaged_export_is_rebuilt(tiny, source, cache, name, damage):
    vectors = in_onnx(tiny).encode_documents(TEXTS)
    (folder,) = exports(cache)
    (path,) = folder.glob(name)
    whole = path.read_bytes()
    damage(path)
    assert export_cache.cached_export(source, "float32") is None
    np.testing.assert_array_equal(in_onnx(tiny).encode_documents(TEXTS), vectors)
    assert exports(cache) == [folder]
    assert path.read_bytes() == whole
    assert export_cache.cached_export(source, "float32") is not None


def test_two_processes_may_export_at_once(tiny, cache):
    given = printed_by, ENCODE, tiny, "int8"
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(*given, OMP_NUM_THREADS="1") for _ in range(2)]
        first, second = (future.result() for future in running)
    assert first == second != ""
    # One in float32, one in int8, and nothing incomplete.
    assert len(exports(cache)) == 2
    names = {path.name for folder in exports(cache) for path in folder.iterdir()}
    assert names == {"model.onnx", "retriever.json", "cards"}


def test_torch_does_not_touch_the_cache(tiny, cache):
    in_torch(tiny).encode_documents(TEXTS)
    in_torch(tiny, precision="auto")
    ContextualEmbedder(tiny, precision="bfloat16")
    assert not cache.exists()


def test_torch_is_used_where_the_cache_cannot_be_written(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "file"))
    embedder = ContextualEmbedder(tiny)
    assert embedder.runtime == "torch"
    (note,) = embedder.notes
    assert note.startswith("tiny computes in torch, float32; not onnxruntime, float32: ")
    assert "cannot be written" in note
    assert "RETRIEVER_CACHE" in note
    refused(InputError, "tiny cannot run in onnxruntime.*RETRIEVER_CAC", in_onnx, tiny)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_torch_is_used_while_the_disk_is_full(tiny, source, cache, precision):
    if precision == "int8":
        # The float32 graph exists, the int8 graph does not fit.
        export_cache.export(source, "float32", load(tiny, "cpu", DEFAULTS))
    before = exports(cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, hard))
    try:
        message = r"cannot be written \(File too large\); set RETRIEVER"
        refused(InputError, message, in_onnx, tiny, precision=precision)
        full = ContextualEmbedder(tiny, precision="float32" if before == [] else "auto")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written (File too large)" in full.notes[0]
    assert exports(cache) == before
    # This is not remembered, and no incomplete file is left.
    assert not (cache / "onnx" / "choices").exists()
    assert not list(cache.rglob("tmp*")) + list(cache.rglob(".making*"))
    assert "cannot be written" not in auto(tiny).notes[0]


class Altered(SentenceModel):
    """Applies the function `change` to its vectors."""

    def embed(self, batch, skipped=0):
        return self.change(super().embed(batch, skipped))


def altered(folder, change):
    model = Altered(load(folder, "cpu", DEFAULTS).parts, DEFAULTS)
    model.change = change
    return model


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_graph_with_other_vectors_has_an_error_with_figures(tiny, source, cache, precision):
    if precision == "int8":
        export_cache.export(source, "float32", load(tiny, "cpu", DEFAULTS))
    before = exports(cache)
    shifted = altered(tiny, lambda vectors: np.roll(vectors, 1, axis=1))
    message = f"{precision}, are not torch's: cosine .*18 texts; exp"
    refused(InputError, message, export_cache.export, source, precision, shifted)
    assert exports(cache) == before


def test_the_similarity_that_each_precision_requires():
    assert Similarity(0.999999, 0.999995).is_enough("float32")
    assert not Similarity(0.999999, 0.9999).is_enough("float32")
    assert Similarity(0.99, 0.951).is_enough("int8")
    assert not Similarity(0.99, 0.94).is_enough("int8")
    assert not Similarity(0.979, 0.97).is_enough("int8")


@pytest.mark.parametrize(("factor", "cosine"), [(3, 1), (-1, -1), (math.nan, -1), (0, -1)])
def test_likeness_compares_directions(tiny, factor, cosine):
    right = load(tiny, "cpu", DEFAULTS)
    probes = probes_of(right.card)
    scaled = altered(tiny, lambda vectors: vectors * np.float32(factor))
    found = likeness(scaled, probes, vectors_of(right, probes))
    assert (round(found.mean, 6), round(found.least, 6)) == (cosine, cosine)


def test_a_model_that_cannot_be_exported_says_why(tmp_path):
    folder = build(tmp_path / "prompted", include_prompt=False)
    embedder = ContextualEmbedder(folder)
    assert (embedder.runtime, embedder.precision) == ("torch", "float32")
    reason = "it leaves its prompt out of pooling"
    assert reason in embedder.notes[0]
    refused(InputError, f"^prompted cannot run .*: {reason}.*Choose runtime torch", in_onnx, folder)
    message = f"{reason}.*another precision than int8"
    refused(InputError, message, ContextualEmbedder, folder, precision="int8")


@pytest.mark.parametrize("package", ["onnxruntime", "onnx"])
def test_a_missing_library_is_named(tiny, cache, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    embedder = ContextualEmbedder(tiny)
    start = f"tiny computes in torch, float32; not onnxruntime, float32: {package} cannot be imp"
    assert (embedder.runtime, embedder.notes[0][: len(start)]) == ("torch", start)
    message = f"^{package} cannot.*pip install {package};"
    refused(ModelNotAvailableError, message, in_onnx, tiny)
    assert not exports(cache)
    # It may be installed at any time, so this is not remembered.
    monkeypatch.undo()
    monkeypatch.setenv("RETRIEVER_CACHE", str(cache))
    assert "texts/s of CPU time here" in ContextualEmbedder(tiny).notes[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "onnx", "precision": "bfloat16"}, "bfloat16, which only torch.*int8, auto"),
        ({"runtime": "onnx", "precision": "float16"}, "float16, which only torch"),
        ({"runtime": "torch", "precision": "int8"}, "int8, which only onnxruntime supp.*bfloat16"),
        ({"device": "cuda:0", "runtime": "onnx"}, "device is 'cuda:0', but onnxruntime"),
        ({"device": "cuda:0", "precision": "int8"}, "device is 'cuda:0', but onnxruntime"),
        ({"precision": "float16"}, "precision is float16, which is for GPUs"),
        ({"precision": "float16", "device": "cpu"}, "precision is float16, which is for GPUs"),
    ],
)
def test_incompatible_options_are_refused(tiny, options, message):
    refused(InputError, message, ContextualEmbedder, tiny, **options)


def choice_among_all(source):
    return autoselect._choice_file(source, autoselect.candidates("auto", "auto"))


def test_the_choice_of_runtime_is_remembered(tiny, source, cache):
    first = auto(tiny)
    kept = choice_among_all(source)
    before = kept.read_text()
    second = auto(tiny)
    # The fingerprint has runtime and precision.
    assert (second.notes, second.fingerprint) == (first.notes, first.fingerprint)
    # The stored choice is used, and nothing is measured.
    other = json.loads(before) | {
        "texts_per_second": {},
        "documents": {"runtime": "torch", "precision": "float32"},
    }
    kept.write_text(json.dumps(other))
    third = auto(tiny)
    # On a processor without bfloat16, the note says so after that.
    assert (third.runtime, third.notes[0][:31]) == ("torch", "tiny computes in torch, float32")
    # A choice outlives its export.
    way = {"runtime": "onnx", "precision": "int8"}
    other = json.loads(before) | {"documents": way, "queries": way}
    kept.write_text(json.dumps(other))
    for folder in exports(cache):
        shutil.rmtree(folder)
    fourth = auto(tiny)
    assert (fourth.runtime, fourth.precision) == ("onnx", "int8")
    assert json.loads(kept.read_text()) == other
    kept.write_text(before[:20])
    assert "texts/s of CPU time here" in auto(tiny).notes[0]
    assert json.loads(kept.read_text())["texts_per_second"]


def test_the_note_names_the_choice_and_its_reason():
    rates = {"onnxruntime, float32": 29.4, "torch, float32": 22.1}
    onnx, torch = (RuntimeConfig(runtime, "float32") for runtime in ("onnx", "torch"))
    faster = "m computes in onnxruntime, float32: 29 texts/s of CPU time here (torch, float32: 22)"
    assert RuntimeChoice(onnx, onnx, rates).note("m") == f"{faster}."
    query = {"onnxruntime, float32": 6.2, "torch, float32": 4.1}
    note = RuntimeChoice(onnx, torch, rates, query).note("m")
    queries = "queries in torch, float32: 4 ms of CPU time here (onnxruntime, float32: 6)"
    assert note == f"{faster}, and {queries}."
    failed = {"onnxruntime, float32": "it is too large"}
    note = RuntimeChoice(torch, torch, ruled_out=failed).note("m")
    assert note == "m computes in torch, float32; not onnxruntime, float32: it is too large."


DEFERRED = """
import sys
import numpy as np
from retriever import ContextualEmbedder
embedder = ContextualEmbedder(sys.argv[1], precision="auto")
queries = embedder.encode_queries(["wind tunnel"])
assert "torch" not in sys.modules
documents = embedder.encode_documents(["wind tunnel"])
assert "torch" in sys.modules
np.testing.assert_allclose(queries, documents, atol=1e-5)
print(embedder.runtime, embedder.fingerprint)
"""


def test_documents_in_torch_leave_queries_in_onnxruntime_without_loading_torch(tiny, source, cache):
    auto(tiny)
    kept = choice_among_all(source)
    ways = {name: {"runtime": name, "precision": "float32"} for name in ("torch", "onnx")}
    chosen = {"documents": ways["torch"], "queries": ways["onnx"]}
    kept.write_text(json.dumps(json.loads(kept.read_text()) | chosen))
    assert printed_by(DEFERRED, tiny).strip() == f"torch {in_torch(tiny).fingerprint}"


def test_another_process_cannot_spoil_the_trial(tiny):
    """Its time passes on the clock, and not in the CPU time of this process."""

    class Waiting(OnnxModel):
        def embed_all(self, batches, skipped=0):
            time.sleep(0.05)
            return super().embed_all(batches, skipped)

    plain = in_onnx(tiny)._opened.engine
    waiting = Waiting(plain._graph, "float32")
    probes = probes_of(load(tiny, "cpu", DEFAULTS).card)
    idle, delayed = cpu_seconds([plain, waiting], probes, rounds=3)
    assert delayed < 0.05 + idle


def test_the_more_exact_runtime_wins_unless_another_is_a_quarter_faster():
    exact, torch, half, rough = autoselect.candidates("auto", "auto")
    assert autoselect.fastest({exact: 20, torch: 24.9}) == exact
    assert autoselect.fastest({exact: 20, torch: 25.1}) == torch
    assert autoselect.fastest({exact: 20, torch: 10, half: 40, rough: 49}) == half
    assert autoselect.fastest({exact: 20, torch: 10, half: 40, rough: 51}) == rough


def test_the_runtimes_that_are_compared():
    for runtime, precision, expected in (
        ("auto", "float32", "onnxruntime, float32; torch, float32"),
        ("auto", "bfloat16", "torch, bfloat16"),
        ("auto", "int8", "onnxruntime, int8"),
        ("onnx", "auto", "onnxruntime, float32; onnxruntime, int8"),
        ("torch", "auto", "torch, float32; torch, bfloat16"),
    ):
        assert "; ".join(map(str, autoselect.candidates(runtime, precision))) == expected


def test_parallel_results_keep_their_order():
    meeting = threading.Barrier(2, timeout=300)

    def make(item):
        if item < 2:
            meeting.wait()
        return item * item

    assert list(map_parallel(make, range(9), 2)) == [(n, n * n) for n in range(9)]


def test_few_items_are_read_ahead_and_no_thread_is_left():
    items, working = iter(range(100)), threading.active_count()
    found = map_parallel(str, items, 2)
    assert next(found) == (0, "0")
    assert next(items) == 4
    found.close()
    assert threading.active_count() == working
    # An error is raised at the turn of its item.
    found = map_parallel(lambda n: 6 // n, [3, 2, 0, 1], 2)
    assert [next(found), next(found)] == [(3, 2), (2, 3)]
    refused(ZeroDivisionError, "by zero", next, found)
    gc.collect()
    assert threading.active_count() == working


class Watched(OnnxModel):
    """Counts how many batches are computed at once, long and short texts apart."""

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
    embedder = in_onnx(save("t5", tmp_path / "t5"))
    tokens = [[5 + place % 7] * length for place, length in enumerate([*[30] * 40, *[1100] * 3])]
    watched = Watched(embedder._opened.engine._graph, "float32")
    parts = list(batches(tokens, range(len(tokens)), pad=0, budget=watched.budget))
    found = list(watched.embed_all(parts))
    assert watched.most[True] == 1
    assert [batch for batch, _ in found] == parts
    for batch, vectors in found[:4]:
        close(vectors, embedder._opened.model().embed(batch), 1e-4)


def test_no_more_threads_than_allowed(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    for wanted, used in (("1", 1), ("1,4", 1), ("9999", cores), ("0", cores), ("many", cores)):
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
        assert threads() == used
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() == cores


def test_lengths_and_prompts_share_a_graph(tiny, cache):
    first = in_onnx(tiny, max_length=8)
    (folder,) = exports(cache)
    written = (folder / "model.onnx").stat()
    for options in ({}, {"query_prompt": "in "}, {"document_prompt": "the ", "max_length": 47}):
        other, torch = in_onnx(tiny, **options), in_torch(tiny, **options)
        close(other.encode_queries(TEXTS), torch.encode_queries(TEXTS))
        close(other.encode_documents(TEXTS), torch.encode_documents(TEXTS))
        assert json.loads(other.fingerprint) == json.loads(torch.fingerprint) | {"runtime": "onnx"}
        assert other.max_length == options.get("max_length", 40)
        assert other.fingerprint != first.fingerprint
    assert (exports(cache), (folder / "model.onnx").stat()) == ([folder], written)
    # Pooling and layers are in the graph.
    in_onnx(tiny, pooling="cls")
    assert len(exports(cache)) == 2


def test_an_existing_graph_is_used_where_nothing_can_be_written(tiny, cache):
    in_onnx(tiny)
    (folder,) = exports(cache)
    shutil.rmtree(folder / "cards")
    (folder / "cards").touch()
    embedder = in_onnx(tiny, query_prompt="in ")
    right = in_torch(tiny, query_prompt="in ").encode_queries(["the"])
    close(embedder.encode_queries(["the"]), right)


def set_age(folder, days):
    then = time.time() - days * 24 * 3600
    os.utime(folder, (then, then))


def test_unused_exports_are_removed_by_the_next_export(tiny, cache):
    options = [{"pooling": pooling} for pooling in ("cls", "max", "last")]
    opened = [in_onnx(tiny, **option) for option in options[:2]]
    folders = [one._opened.engine._graph.parent for one in opened]
    idle = in_onnx(tiny, **options[0])
    assert sorted(folders) == exports(cache)
    for folder in folders:
        set_age(folder, 61)
    (cache / "onnx" / "notes").mkdir()
    set_age(cache / "onnx" / "notes", 99)
    # The second is opened again, so it is kept.
    in_onnx(tiny, **options[1])
    right = opened[0].encode_queries(["the cat"])
    in_onnx(tiny, **options[2])
    assert [folder.exists() for folder in folders] == [False, True]
    assert (cache / "onnx" / "notes").exists()
    # An open session continues; a new one gets an error that says what to do.
    np.testing.assert_array_equal(opened[0].encode_queries(["the cat"]), right)
    message = "removed from the cache.*Open the model ag"
    refused(ModelNotAvailableError, message, idle.encode_queries, ["the cat"])
    assert not list((cache / "onnx").glob(".making*"))


def test_only_old_files_with_names_of_the_cache_are_removed(tmp_path):
    names = [f"{digit * 64}{ending}" for digit, ending in (("a", ""), ("b", ".npy"), ("c", ".npy"))]
    names += ["d" * 63, "seen", ".making-x"]
    for name in names:
        (tmp_path / name).touch()
        set_age(tmp_path / name, 61)
    set_age(tmp_path / names[2], 59)
    kept = tmp_path / names[0]
    remove_unused(tmp_path, kept)
    assert {path.name for path in tmp_path.iterdir()} == {*names} - {names[1]}
    mark_used(kept)
    remove_unused(tmp_path, tmp_path / "another")
    assert kept.exists()
    remove_unused(tmp_path / "nowhere", kept)


def test_exports_of_the_former_weights_of_a_folder_are_removed_after_a_day(tmp_path, cache):
    folder = build(tmp_path / "model")
    in_onnx(folder)
    (old,) = exports(cache)
    for seed, days, left in ((1, 0.9, True), (2, 1.1, False)):
        build(tmp_path / f"other-{seed}", seed=seed)
        shutil.copy(tmp_path / f"other-{seed}" / "model.safetensors", folder)
        set_age(old, days)
        in_onnx(folder)
        assert old.exists() == left
    assert len(exports(cache)) == 2


def test_weights_that_change_while_loading_are_exported(tmp_path, cache, monkeypatch):
    folder, other = build(tmp_path / "model"), build(tmp_path / "other", seed=1)

    def exchanged(*given):
        loaded = load(*given)
        shutil.copy(other / "model.safetensors", folder)
        return loaded

    monkeypatch.setattr("retriever.embedders.contextual.runtime.load", exchanged)
    close(in_onnx(folder).encode_queries(["the cat"]), in_torch(other).encode_queries(["the cat"]))
