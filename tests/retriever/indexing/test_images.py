"""Texts and images in one batch, and an embedder that takes only texts."""

import numpy as np
import pytest

from indexes.errors import MismatchError
from indexes.images import Image
from retriever.indexing.embedder_pool import encode
from tests.support.models.pictures import BLUE, Colors, picture
from tests.support.toy import Axes

MIXED = [Image.of_bytes(picture()), "red", "", Image.of_bytes(picture(BLUE))]


def test_texts_and_images_keep_their_places_in_a_batch():
    embedder = Colors()
    vectors, _ = encode(embedder, MIXED)
    assert vectors.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert embedder.seen == ["red", ""]


def test_an_embedder_of_texts_has_nothing_to_embed_in_an_image():
    vectors, _ = encode(Axes(words=("red",)), MIXED)
    assert vectors.tolist() == [[0], [1], [0], [0]]


def test_a_wrong_number_of_vectors_for_images_is_refused():
    embedder = Colors()
    embedder.encode_images = lambda images: np.ones((1, 3), np.float32)
    with pytest.raises(MismatchError, match="for 2 texts"):
        encode(embedder, MIXED)
