"""Thumbnails: small JPEGs that show what a person sees."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from indexes.errors import InputError
from indexes.images import Image
from retriever.images.thumbnails import thumbnail
from tests.support.laws import examples
from tests.support.models.pictures import BLUE, RED, picture


def shown(given):
    """Return the pixels of a thumbnail (height, width, 3), after a check of its attributes."""
    small = thumbnail(Image.of(given))
    kind, _, data = small.uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    image = Pillow.open(io.BytesIO(base64.b64decode(data)))
    assert (image.format, image.size) == ("JPEG", (small.width, small.height))
    return np.asarray(image).astype(int)


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from(["PNG", "JPEG", "WEBP"]))
@settings(max_examples=examples(25), deadline=None)
def test_the_longer_side_is_at_most_96_pixels_and_the_shape_is_kept(width, height, kind):
    found = shown(picture(RED, (width, height), kind))
    scale = min(1, 96 / max(width, height))
    expected = (max(1, height * scale), max(1, width * scale), 3)
    assert np.abs(np.subtract(found.shape, expected)).max() < 1
    assert np.abs(found - RED).max() <= 12


def test_a_photo_is_turned_upright():
    lying = Pillow.new("RGB", (800, 400), RED)
    lying.paste(BLUE, (0, 0, 400, 400))
    exif = lying.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    file = io.BytesIO()
    lying.save(file, "JPEG", exif=exif)
    found = shown(file.getvalue())
    assert found.shape == (96, 48, 3)
    assert np.abs(found[20, 24] - BLUE).max() <= 12
    assert np.abs(found[75, 24] - RED).max() <= 12


def test_what_is_transparent_is_white():
    assert shown(Pillow.new("RGBA", (200, 200), (*RED, 0))).min() >= 250


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"text", "not an image"),
        (picture(RED, (99, 99))[:-40], "cannot be decoded"),
    ],
)
def test_a_broken_image_has_none(data, reason):
    with pytest.raises(InputError, match=reason):
        thumbnail(Image.of(data))
