"""SigLIP, which reads the padding of a text: all texts are padded to one length, as trained."""

import io
import json

import numpy as np
import pytest
from PIL import Image as Pillow

from indexes.errors import InputError
from indexes.images import Image
from retriever import ContextualEmbedder
from retriever.embedders.contextual.images import processing
from tests.support.models import clip
from tests.support.toy import refused

TEXTS = ["seven", "a photo of the digit seven", "the number nine", "nine"]
LENGTH = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny one with random weights, whose tokenizer gives no mask, as those of Google do."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessorPil, SiglipModel, SiglipProcessor

    torch.manual_seed(7)
    tower = {name: size for name, size in clip.TOWER.items() if name != "projection_dim"}
    text = {**tower, "vocab_size": len(clip.SPECIAL) + len(clip.WORDS), "projection_size": 48}
    text |= {"max_position_embeddings": LENGTH, "pad_token_id": 0}
    text |= {"bos_token_id": 1, "eos_token_id": 2}
    vision = {**tower, "image_size": clip.SIDE, "patch_size": clip.PATCH}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    images = SiglipImageProcessorPil(size={"height": clip.SIDE, "width": clip.SIDE})
    processor = SiglipProcessor(images, clip.processor_of_digits().tokenizer)
    made = clip.save(model, processor, tmp_path_factory.mktemp("siglip") / "tiny")
    path = made / "tokenizer_config.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "model_input_names": ["input_ids"]})
    )
    return made


@pytest.fixture(scope="module")
def model(folder):
    return ContextualEmbedder(folder, runtime="torch", device="cpu")


def test_texts_are_encoded_as_transformers_documents_it(folder, model):
    import torch
    from transformers import SiglipModel, SiglipProcessor

    network, processor = (
        SiglipModel.from_pretrained(folder),
        SiglipProcessor.from_pretrained(folder),
    )
    read = processor(text=TEXTS, padding="max_length", max_length=LENGTH, return_tensors="pt")
    with torch.inference_mode():
        found = network.get_text_features(read["input_ids"]).pooler_output.numpy()
    wanted = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(model.encode_documents(TEXTS), wanted, atol=1e-5)
    for text, row in zip(TEXTS, wanted, strict=True):  # alone, too
        np.testing.assert_allclose(model.encode_queries([text])[0], row, atol=1e-5)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_both_are_encoded_as_by_sentence_transformers_with_that_padding(folder, runtime):
    from sentence_transformers import SentenceTransformer

    padding = {"text": {"padding": "max_length", "max_length": LENGTH}}
    plain = SentenceTransformer(str(folder), device="cpu")
    plain[0].processing_kwargs = padding
    model = ContextualEmbedder(folder, runtime=runtime, device="cpu")
    wanted = plain.encode([{"text": text} for text in TEXTS], normalize_embeddings=True)
    np.testing.assert_allclose(model.encode_documents(TEXTS), wanted, atol=1e-5)
    files = clip.unseen(5)[0]
    pictures = [Pillow.open(io.BytesIO(data)) for data in files]
    wanted = plain.encode(pictures, normalize_embeddings=True)
    found = model.encode_images([Image.of(data) for data in files])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_another_length_than_that_of_the_training_is_refused(folder):
    message = "trained with texts padded to 16 tokens .* Leave max_length out"
    refused(InputError, message, ContextualEmbedder, folder, runtime="torch", max_length=8)


def test_a_network_whose_padding_is_not_known_is_refused(folder, monkeypatch):
    monkeypatch.setattr(processing, "PADDED", ())
    message = "SiglipModel gives a text another vector next to longer ones"
    refused(InputError, message, ContextualEmbedder, folder, runtime="torch")
