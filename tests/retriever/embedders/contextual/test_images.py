"""A model of two modalities: images as sentence-transformers encodes them, texts never opened."""

import io
import json
import shutil
import socket

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from indexes.errors import InputError, ModelNotAvailableError
from indexes.images import Image
from retriever.embedders import modalities_of
from retriever.embedders.contextual.embedder import ContextualEmbedder
from retriever.embedders.contextual.images.encode import even_parts
from retriever.embedders.contextual.images.processing import preprocess
from tests.support.laws import examples
from tests.support.models import clip

NAMES = ("size", "crop_size", "do_resize", "do_normalize")


@pytest.fixture(scope="module")
def folder():
    return clip.digits_clip()


@pytest.fixture(scope="module")
def model(folder):
    return ContextualEmbedder(folder, runtime="torch", device="cpu")


@pytest.fixture(scope="module")
def plain(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def images():
    return [Image.of(data) for data in clip.unseen()[0]]


def test_texts_find_the_images_that_they_describe(model, images):
    assert modalities_of(model) == ("text", "image")
    shown = np.array(clip.unseen()[1])
    texts = model.encode_queries([clip.caption(digit) for digit in range(10)])
    found = np.argsort(-texts @ model.encode_images(images).T, axis=1)[:, :10]
    assert (shown[found] == np.arange(10)[:, None]).mean() == 1.0


@pytest.mark.parametrize("batch_size", [None, 3, 500])
def test_images_are_encoded_as_by_sentence_transformers(model, plain, images, batch_size):
    pictures = [Pillow.open(io.BytesIO(image.read())) for image in images[:30]]
    wanted = plain.encode(pictures, normalize_embeddings=True)
    ours = model if batch_size is None else model.in_batches(batch_size)
    np.testing.assert_allclose(ours.encode_images(images[:30]), wanted, atol=1e-5)
    assert ours.encode_images([]).shape == (0, model.dim)


def test_photos_of_any_size_are_encoded_as_by_sentence_transformers(model, plain):
    pytest.importorskip("skimage")
    from skimage import data

    photos = [Pillow.fromarray(each) for each in (data.astronaut(), data.rocket(), data.camera())]
    wanted = plain.encode(photos, normalize_embeddings=True)
    ours = model.encode_images([Image.of(photo) for photo in photos])
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from(["edge", "both", "kept", "raw"]))
def test_photos_are_preprocessed_as_by_the_processor_alone(plain, width, height, sizing):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    processor = plain[0].processor.image_processor
    chosen = {
        "edge": {},
        "both": {"size": {"height": 9, "width": 14}},
        "kept": {"do_resize": False},
        "raw": {"do_normalize": False, "crop_size": {"height": 11, "width": 6}},
    }
    before = {name: getattr(processor, name) for name in NAMES}
    vars(processor).update(type(processor)(**{**processor.to_dict(), **chosen[sizing]}).__dict__)
    try:
        picture = Pillow.fromarray(pixels)
        wanted = plain.preprocess([{"image": picture}], task="document")["pixel_values"]
        found = preprocess(plain, [picture])["pixel_values"]
        np.testing.assert_array_equal(found, wanted)
        assert isinstance(found, np.ndarray)  # not the processor's own
    finally:
        vars(processor).update(before)


@given(count=st.integers(1, 200), most=st.integers(1, 16), threads=st.integers(1, 8))
def test_threads_share_images_evenly(count, most, threads):
    """Law: parts differ by one image at most, and each thread has as many of them."""
    images = list(range(count))
    parts = even_parts(images, most, threads)
    assert [one for part in parts for one in part] == images
    sizes = [len(part) for part in parts]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) % threads == 0 or sizes == [1] * count


def test_threads_of_torch_are_as_before_after_images(model, images):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        alone = model.encode_images(images[:1])
        some = model.encode_images(images[:40])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(some[:1], alone, atol=1e-6)


def test_a_text_is_never_opened_as_a_file_or_fetched(model, plain, tmp_path, monkeypatch):
    path = tmp_path / "seven.png"
    path.write_bytes(clip.unseen()[0][0])
    calls = []
    monkeypatch.setattr(socket.socket, "connect", lambda *given: calls.append(given))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **more: calls.append(given))
    texts = [str(path), "https://example.org/seven.png", "data:image/png;base64,AAAA"]
    wanted = plain.encode([{"text": text} for text in texts], normalize_embeddings=True)
    for encode in (model.encode_documents, model.encode_queries):
        np.testing.assert_allclose(encode(texts), wanted, atol=1e-5)
        np.testing.assert_allclose(encode(texts[:1]), wanted[:1], atol=1e-5)
    assert calls == []
    # What the test is about: without the wrapping, the path is an image.
    opened = plain.encode([str(path)], normalize_embeddings=True)
    assert np.abs(opened - wanted[:1]).max() > 0.1


def test_texts_are_truncated_and_counted(model):
    report = model.encode_and_report(["the digit seven " * 10, "seven"])[1]
    assert (report.truncated, report.tokens, model.max_length) == (1, 16 + 3, 16)


def test_blank_texts_get_zeros(model):
    vectors, report = model.encode_and_report(["", "  "])
    assert (vectors.any(), report.texts, report.tokens) == (False, 2, 0)


def test_a_missing_tensor_of_the_image_part_is_named(folder, tmp_path):
    from safetensors.numpy import load_file, save_file

    other = shutil.copytree(folder, tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    del weights["vision_model.embeddings.patch_embedding.weight"]
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelNotAvailableError, match=r"vision_model.*patch_embedding\.weight"):
        ContextualEmbedder(other, runtime="torch", device="cpu")


def test_preprocessing_is_part_of_the_fingerprint(folder, model, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    path = other / "processor_config.json"
    stated = json.loads(path.read_text())
    stated["image_processor"]["image_mean"] = [0.4, 0.5, 0.5]
    path.write_text(json.dumps(stated))
    again, changed = (
        ContextualEmbedder(where, runtime="torch", device="cpu") for where in (folder, other)
    )
    assert again.fingerprint == model.fingerprint != changed.fingerprint


def test_the_wrong_kind_of_content_is_refused(model, images):
    with pytest.raises(InputError, match="Image 0 is str; expected an Image"):
        model.encode_images(["a photo"])
    with pytest.raises(InputError, match="got a single one"):
        model.encode_images(images[0])
    with pytest.raises(InputError, match="Text 1 is Image; expected text"):
        model.encode_documents(["a photo", images[0]])
    with pytest.raises(InputError, match=r"photo\.png: the image is empty"):
        model.encode_images([*images[:20], Image.of_bytes(b"", "photo.png"), *images[20:90]])


def test_a_model_of_texts_refuses_images(images, tmp_path):
    from tests.support.models.families import save

    words = ContextualEmbedder(save("bert", tmp_path / "bert"), runtime="torch", device="cpu")
    assert modalities_of(words) == ("text",)
    with pytest.raises(InputError, match="bert encodes only text, no images"):
        words.encode_images(images[:1])


def test_a_clip_has_no_vectors_of_words(model):
    message = "digits-clip-2 has no vectors of words: it only gives one vector to an entire text"
    for options in ({}, {"layer": 1}):
        with pytest.raises(InputError, match=message):
            model.encode_words(["a seven"], **options)
