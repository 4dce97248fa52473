"""Tiny images, and an embedder of texts and images whose vectors can be worked out by eye."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image as Pillow

from retriever.embedders.base import fingerprint_of, unit
from tests.support.toy import Axes

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(color=RED, size=(4, 3), kind="PNG", **options):
    """Return the bytes of an image of one color."""
    buffer = io.BytesIO()
    Pillow.new("RGB", size, color).save(buffer, kind, **options)
    return buffer.getvalue()


def illustrated(made, documents, queries):
    """Return a comparison whose documents and queries have images, by id."""
    found, asked = dict(made.documents), dict(made.queries)
    for doc_id, image in documents.items():
        found[doc_id] = replace(found[doc_id], image=image)
    for query_id, image in queries.items():
        asked[query_id] = replace(asked[query_id], text=image.source, image=image)
    return replace(made, documents=found, queries=asked)


class Colors(Axes):
    """A text is the sum of its words red, green and blue; an image is its mean color."""

    modalities = ("text", "image")

    def __init__(self, name="colors"):
        super().__init__(name, words=("red", "green", "blue"))
        self.fingerprint = fingerprint_of(kind="colors")
        self.images = []

    def encode_images(self, images):
        self.images += images
        return unit(np.array([_mean_color(image.read()) for image in images], np.float32))


class Eyes(Colors):
    """The images of `Colors` alone; it must not be given a text."""

    modalities = ("image",)

    def __init__(self):
        super().__init__("eyes")
        self.fingerprint = fingerprint_of(kind="eyes")

    def encode_documents(self, texts):
        raise AssertionError(f"asked to encode texts: {texts}")

    encode_queries = encode_documents


def _mean_color(data):
    with Pillow.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), np.float64).mean((0, 1))
