"""Small copies of images, as `data:` URIs, for the report page and notebooks."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from indexes.errors import InputError
from indexes.images import Image
from retriever.images.check import opened
from retriever.images.decode import as_rgb

# Pixels of the longer side at most, and the quality of the JPEG: 2 to 4 kB for a photo.
SIDE, QUALITY = 96, 70


@dataclass(frozen=True)
class Thumbnail:
    """A JPEG as a `data:` URI, with its width and height in pixels."""

    uri: str
    width: int
    height: int


def thumbnail(image: Image) -> Thumbnail:
    """Return an image at `SIDE` pixels or less, upright, on white.

    Raises:
        InputError: see `check.check_image`.
    """
    with opened(image) as picture:
        # A JPEG is decoded at about the size that is needed.
        picture.draft(None, (2 * SIDE, 2 * SIDE))
        small = as_rgb(picture)
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, optimize=True)
    uri = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return Thumbnail(uri, *small.size)


def thumbnail_if_any(image: Image | None) -> Thumbnail | None:
    """Return the thumbnail of an image; None without one, or of one that cannot be shown."""
    if image is None:
        return None
    try:
        return thumbnail(image)
    except InputError:
        return None
