"""Images decoded to upright RGB pixels, as a person sees them on a white page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexes.images import Image
from retriever.images.check import opened

if TYPE_CHECKING:
    import PIL.Image

    Picture: TypeAlias = PIL.Image.Image

# Stands for the rules below in fingerprints: other pixels need another number.
DECODING = 1
WHITE = (255, 255, 255, 255)


def decode(image: Image) -> Picture:
    """Return the first frame of an image as RGB, turned as its EXIF says.

    What is transparent is white; 16 bits are scaled to 8. A JPEG is decoded in full: the faster
    draft mode of its format gives other pixels.

    Raises:
        InputError: see `check.check_image`.
    """
    with opened(image) as picture:
        return as_rgb(picture)


def as_rgb(picture: Picture) -> Picture:
    """Return the present frame of an opened image by the rules of `decode`."""
    import PIL.Image
    import PIL.ImageOps

    upright = PIL.ImageOps.exif_transpose(picture)
    if upright.mode == "F" or upright.mode.startswith("I"):
        upright = PIL.Image.fromarray(_in_8_bits(np.asarray(upright)))
    if upright.has_transparency_data:
        seen = upright.convert("RGBA")
        upright = PIL.Image.alpha_composite(PIL.Image.new("RGBA", seen.size, WHITE), seen)
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _in_8_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale gray values to 0 to 255, where Pillow would clip them.

    Integers have 16 bits, whichever type holds them; floats are from 0 to 1, or else to 255.
    """
    values = np.nan_to_num(pixels.astype(np.float64))
    top = 65_535.0
    if pixels.dtype.kind == "f":
        top = 255.0 if values.max(initial=0.0) > 1 else 1.0
    return np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8)
