"""Models of two modalities in onnxruntime: a graph for texts and one for images."""

import io
import json
import os
import shutil
import signal

import numpy as np
import pytest
from PIL import Image as Pillow

from indexes.errors import InputError
from indexes.images import Image
from retriever.embedders.contextual.embedder import ContextualEmbedder
from retriever.embedders.contextual.loading import load
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.onnx_engine import export, export_cache
from retriever.embedders.contextual.onnx_engine.first_position import first_position_only
from retriever.embedders.contextual.probes import probes_of
from retriever.embedders.contextual.torch_model import SentenceModel
from tests.support.fresh import fork, printed_by
from tests.support.models import clip
from tests.support.toy import refused

DEFAULTS = EncodingOptions()
TEXTS = ["seven", "", "a photo of the digit seven", "the number nine " * 9]
FILLED = [0, 2, 3]


@pytest.fixture(scope="module")
def folder():
    return clip.digits_clip()


@pytest.fixture(scope="module")
def model(folder):
    return ContextualEmbedder(folder, runtime="onnx")


@pytest.fixture(scope="module")
def rough(folder):
    return ContextualEmbedder(folder, precision="int8")


@pytest.fixture(scope="module")
def plain(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def images():
    return [Image.of(data) for data in clip.unseen()[0]]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("RETRIEVER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onnx"


def exports(cache):
    return [path for path in cache.glob("*") if path.name != "choices"]


def found_by_texts(embedder, images):
    """Share of the first 10 images for each digit that show it."""
    shown = np.array(clip.unseen()[1])
    texts = embedder.encode_queries([clip.caption(digit) for digit in range(10)])
    found = np.argsort(-texts @ embedder.encode_images(images).T, axis=1)[:, :10]
    return (shown[found] == np.arange(10)[:, None]).mean()


@pytest.mark.parametrize("batch_size", [None, 3, 500])
def test_images_and_texts_are_encoded_as_by_sentence_transformers(model, plain, images, batch_size):
    pictures = [Pillow.open(io.BytesIO(image.read())) for image in images[:30]]
    wanted = plain.encode(pictures, normalize_embeddings=True)
    ours = model if batch_size is None else model.in_batches(batch_size)
    np.testing.assert_allclose(ours.encode_images(images[:30]), wanted, atol=1e-5)
    np.testing.assert_allclose(ours.encode_images(images[:1]), wanted[:1], atol=1e-5)
    given = [{"text": TEXTS[place]} for place in FILLED]
    wanted = plain.encode(given, normalize_embeddings=True)
    for encode in (ours.encode_documents, ours.encode_queries):
        np.testing.assert_allclose(encode(TEXTS)[FILLED], wanted, atol=1e-5)
    assert not ours.encode_documents(TEXTS)[1].any()


def test_photos_of_any_size_are_encoded_as_by_sentence_transformers(model, plain):
    pytest.importorskip("skimage")
    from skimage import data

    photos = [Pillow.fromarray(each) for each in (data.astronaut(), data.rocket(), data.camera())]
    wanted = plain.encode(photos, normalize_embeddings=True)
    ours = model.encode_images([Image.of(photo) for photo in photos])
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


ENCODE = """
import sys, json
from indexes.images import Image
from retriever.embedders import ContextualEmbedder
embedder = ContextualEmbedder(sys.argv[1])
image = embedder.encode_images([Image.of(sys.argv[2])])[0].tolist()
text = embedder.encode_queries(["seven"])[0].tolist()
loaded = sorted({"torch", "transformers", "sentence_transformers"} & set(sys.modules))
print(json.dumps([image, text, loaded]))
"""


def test_an_exported_model_runs_without_torch(folder, images, tmp_path):
    embedder = ContextualEmbedder(folder)
    assert embedder.runtime == "onnx"
    path = tmp_path / "image.png"
    path.write_bytes(images[0].read())
    image, text, loaded = json.loads(printed_by(ENCODE, folder, path))
    np.testing.assert_allclose(image, embedder.encode_images(images[:1])[0], atol=1e-6)
    np.testing.assert_allclose(text, embedder.encode_queries(["seven"])[0], atol=1e-6)
    assert loaded == []


def test_the_fingerprint_names_runtime_and_precision(folder, model, rough):
    torch = json.loads(ContextualEmbedder(folder, runtime="torch", device="cpu").fingerprint)
    assert json.loads(model.fingerprint) == torch | {"runtime": "onnx"}
    assert json.loads(rough.fingerprint) == torch | {"runtime": "onnx", "precision": "int8"}


def test_int8_finds_the_same_images_whatever_the_batch(model, rough, images):
    assert found_by_texts(model, images) == found_by_texts(rough, images) == 1.0
    some = rough.encode_images(images[:20])
    alone = np.concatenate([rough.encode_images([image]) for image in images[:20]])
    np.testing.assert_array_equal(some, alone)
    cosines = (some * model.encode_images(images[:20])).sum(axis=1)
    assert 0.99 < cosines.min() < 0.99999
    assert "int8 against float32" in rough.notes[0]


def test_the_runtime_is_chosen_by_images_too(folder, cache):
    card = load(folder, "cpu", DEFAULTS).card
    probes = probes_of(card)
    assert (len(probes.images), len(probes)) == (4, len(probes.tokens) + 4)
    (note,) = ContextualEmbedder(folder).notes
    assert "texts and images/s of CPU time here" in note


@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_graph_for_images_is_rebuilt(folder, images, cache, damage):
    vectors = ContextualEmbedder(folder, runtime="onnx").encode_images(images[:9])
    (made,) = exports(cache)
    graph = made / "images.onnx"
    whole = graph.read_bytes()
    graph.unlink() if damage == "removed" else graph.write_bytes(whole[:-9])
    again = ContextualEmbedder(folder, runtime="onnx").encode_images(images[:9])
    np.testing.assert_array_equal(again, vectors)
    assert (exports(cache), graph.read_bytes()) == ([made], whole)


def stop_before_images(monkeypatch, stop):
    """Call `stop` where the second graph of an export, that for images, is to be written."""

    def written(model, path, modality, *more):
        if modality == "image":
            stop()
        whole(model, path, modality, *more)

    whole = export._write
    monkeypatch.setattr(export, "_write", written)


def test_torch_is_used_where_the_disk_is_too_small_for_the_second_graph(folder, cache, monkeypatch):
    def stop():
        raise OSError(28, "No space left on device", str(cache))

    stop_before_images(monkeypatch, stop)
    embedder = ContextualEmbedder(folder)
    assert embedder.runtime == "torch"
    assert "No space left on device" in embedder.notes[0]
    assert exports(cache) == []


def test_a_kill_between_the_graphs_leaves_no_export(folder, images, cache, monkeypatch):
    with monkeypatch.context() as patch:
        stop_before_images(patch, lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert fork(lambda: ContextualEmbedder(folder, runtime="onnx"), 300) == -signal.SIGKILL
    (leftover,) = exports(cache)
    assert leftover.name.startswith(".making-")
    source = export_cache.source_of(folder, DEFAULTS)
    assert export_cache.cached_export(source, "float32") is None
    assert ContextualEmbedder(folder, runtime="onnx").encode_images(images[:1]).any()


def test_a_graph_with_other_vectors_of_images_has_an_error_with_figures(folder, cache):
    class Altered(SentenceModel):
        def embed_images(self, pictures, *, alone):
            return -super().embed_images(pictures, alone=alone)

    altered = Altered(load(folder, "cpu", DEFAULTS).parts, DEFAULTS)
    source = export_cache.source_of(folder, DEFAULTS)
    message = r"-1\.000000 at the least over 18 texts and 4 images; expected"
    refused(InputError, message, export_cache.export, source, "float32", altered)
    assert exports(cache) == []


def test_unknown_preprocessing_is_left_to_torch(folder, images, plain, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    path = other / "processor_config.json"
    stated = json.loads(path.read_text())
    stated["image_processor"]["do_center_crop"] = False
    path.write_text(json.dumps(stated))
    embedder = ContextualEmbedder(other)
    reason = "its images are not preprocessed in a way that is known here"
    assert (embedder.runtime, reason in embedder.notes[0]) == ("torch", True)
    refused(
        InputError, f"{reason}. Choose runtime torch", ContextualEmbedder, other, runtime="onnx"
    )
    pictures = [Pillow.open(io.BytesIO(image.read())) for image in images[:3]]
    wanted = plain.encode(pictures, normalize_embeddings=True)  # they need no crop
    np.testing.assert_allclose(embedder.encode_images(images[:3]), wanted, atol=1e-5)


def test_the_last_layer_at_one_position_gives_the_same_vectors(plain):
    import torch

    pixels = torch.randn(3, 3, clip.SIDE, clip.SIDE, generator=torch.Generator().manual_seed(7))
    network = plain.transformers_model
    with torch.inference_mode():
        whole = network.get_image_features(pixels)
        with first_position_only(network):
            first = network.get_image_features(pixels)
        again = network.get_image_features(pixels)
    assert (whole.last_hidden_state.shape[1], first.last_hidden_state.shape[1]) == (17, 1)
    np.testing.assert_allclose(first.pooler_output, whole.pooler_output, atol=1e-6)
    np.testing.assert_array_equal(again.pooler_output, whole.pooler_output)
