"""The runtime of a model is chosen once for a machine, shown, and measured again on request."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from indexes.errors import InputError
from retriever import Collection, ContextualEmbedder, hardware
from retriever.embedders.contextual import autoselect
from retriever.hardware import processor_features
from tests.support.commands import fail, objects, succeed
from tests.support.models.families import save
from tests.support.toy import ANIMALS, refused

COMMAND = Path(sys.executable).parent / "retriever"
FAST = {name: {"runtime": name, "precision": "float32"} for name in ("torch", "onnx")}


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return save("bert", tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def choices(tmp_path, monkeypatch):
    """The folder of choices, in an empty cache."""
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    return tmp_path / "cache" / "onnx" / "choices"


@pytest.fixture
def built(bert, choices, tmp_path):
    """A collection with an index of the model, whose runtimes were measured."""
    with Collection.create(tmp_path / "library") as collection:
        collection.add(ANIMALS)
        collection.build("bert", ContextualEmbedder(bert))
        collection.build("plain", ContextualEmbedder(bert, runtime="torch"))
        collection.build("bm25", lexical=True)
        yield collection


def choose(choices, **chosen):
    """Set the stored choices, as if it had been measured that way."""
    for path in choices.iterdir():
        path.write_text(json.dumps(json.loads(path.read_text()) | chosen))


def imported_by(*arguments):
    """Return the modules that the installed command imports in a process of its own."""
    command = [sys.executable, "-X", "importtime", COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cat" in done.stdout
    return set(re.findall(r"^import time:.*\| *([\w.]+)$", done.stderr, re.MULTILINE))


@pytest.mark.parametrize("queries", ["onnx", "torch"])
def test_the_first_search_after_a_build_in_torch_does_not_load_torch(built, choices, queries):
    choose(choices, documents=FAST["torch"], queries=FAST[queries])
    imported = imported_by("search", built.path, "kitten", "-i", "bert")
    assert "onnxruntime" in imported
    assert "torch" not in imported


def test_a_search_in_another_number_of_threads_measures_nothing(built, choices, monkeypatch):
    before = sorted(choices.iterdir())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "torch" not in imported_by("search", built.path, "kitten", "-i", "bert")
    assert sorted(choices.iterdir()) == before
    assert built.index_info("bert").runtime is None
    # Documents are worth it.
    built.add([{"id": "new", "text": "a kitten sleeps"}])
    with Collection.open(built.path) as again:
        again.search("kitten", index="bert")
        (note,) = [note for note in again.build("bert").notes if "computes in" in note]
    assert "texts/s of CPU time here" in note
    assert len(list(choices.iterdir())) == len(before) + 1


def test_a_precision_that_was_chosen_is_opened_without_measuring_again(bert, choices, monkeypatch):
    chosen = ContextualEmbedder(bert, precision="auto")
    monkeypatch.setattr(autoselect, "choose", None)
    kept = ContextualEmbedder(bert, **chosen.spec.options)
    assert (kept.runtime, kept.precision) == (chosen.runtime, chosen.precision)


def test_other_libraries_processors_or_threads_have_choices_of_their_own(
    bert, choices, monkeypatch
):
    ContextualEmbedder(bert)
    where = "retriever.embedders.contextual"
    for name, other in (
        (f"{where}.onnx_engine.export_cache._version", lambda library: f"{library} 99"),
        (f"{where}.onnx_engine.export_cache.processor_name", lambda: "another"),
        (f"{where}.onnx_engine.export_cache.processor_features", lambda: ("avx512_vnni",)),
        (f"{where}.autoselect.threads", lambda: 64),
        (f"{where}.autoselect.accelerators", lambda: ("Linux", "/dev/nvidia0")),
    ):
        before = set(choices.iterdir())
        with monkeypatch.context() as patch:
            patch.setattr(name, other)
            assert "texts/s of CPU time here" in ContextualEmbedder(bert).notes[0]
        assert len(set(choices.iterdir()) - before) == 1


def test_features_are_those_that_models_compute_with():
    assert all(re.match(r"[a-z][a-z0-9_]+$", feature) for feature in processor_features())
    assert not {"fpu", "vme", "hypervisor", "fp"} & set(processor_features())


def test_a_processor_is_described_by_its_fastest_instructions(monkeypatch):
    monkeypatch.setattr(hardware, "processor_name", lambda: "AMD EPYC")
    for features, described in (
        (("avx2", "avx512_vnni", "avx512f"), "AMD EPYC, AVX-512 VNNI"),
        (("avx", "avx2", "fma"), "AMD EPYC, AVX2"),
        ((), "AMD EPYC"),
    ):
        monkeypatch.setattr(hardware, "processor_features", lambda found=features: found)
        assert hardware.processor() == described


def test_info_shows_the_runtimes_in_text_json_and_python(built, choices):
    choose(choices, documents=FAST["onnx"], queries=FAST["torch"])
    bert = built.index_info("bert").runtime
    assert (str(bert.documents), str(bert.queries)) == ("onnxruntime, float32", "torch, float32")
    assert set(bert.texts_per_second) == {"onnxruntime, float32", "torch, float32"}
    plain = built.index_info("plain").runtime
    assert str(plain.documents) == str(plain.queries) == "torch, float32"
    assert built.index_info("bm25").runtime is None
    lines = {line[:21]: line for line in succeed("info", str(built.path)).splitlines()}
    shown = re.split(r"  +", lines["documents computed in"].strip())
    assert shown == ["documents computed in", "onnxruntime, float32", "torch, float32", "-"]
    (facts,) = objects(succeed("info", str(built.path), "--json"))
    assert facts["indexes"][0]["runtime"]["queries"] == FAST["torch"]
    for path in choices.iterdir():
        path.unlink()
    assert "not measured here" in succeed("info", str(built.path))


def test_runtimes_are_measured_again_on_request(built, choices):
    wrong = {"documents": FAST["torch"], "queries": FAST["torch"], "texts_per_second": {}}
    choose(choices, **wrong)
    assert not built.index_info("bert").runtime.texts_per_second
    (record,) = objects(succeed("runtime", str(built.path), "bert", "--json"))
    assert record["index"] == "bert"
    assert record["texts_per_second"]
    choose(choices, **wrong)
    assert built.measure_runtime("bert").texts_per_second
    assert built.index_info("bert").runtime.texts_per_second
    assert succeed("runtime", str(built.path), "bert").startswith("bert computes in ")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("plain", "computed in torch, float32, as its options say: there is no other to choose"),
        ("bm25", "Index 'bm25' has no model of its own that a runtime computes"),
    ],
)
def test_where_there_is_nothing_to_choose_nothing_is_measured(built, index, message):
    refused(InputError, message, built.measure_runtime, index)
    assert message in fail("runtime", str(built.path), index)
