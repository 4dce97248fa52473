"""The pixels of images as a network reads them, equal to those of a processor that uses Pillow.

A processor of transformers copies each photo several times on its way to the network, and its
import takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from retriever.images.decode import Picture


@dataclass(frozen=True)
class Pixels:
    """Resizes, crops, scales and normalizes RGB images as the settings of a processor say.

    `settings` are those of `processing.settings_of`, with `has_one_size`.
    """

    settings: Mapping[str, Any]

    def of(self, pictures: Iterable[Picture]) -> NDArray[np.float32]:
        """Return the pixels (n, 3, height, width) of images of any size.

        Each is reduced before the next one is read, since decoded photos take megabytes.
        """
        return np.stack([self._scaled(self._reduced(picture)) for picture in pictures])

    def _reduced(self, picture: Picture) -> NDArray[np.uint8]:
        stated = self.settings
        if stated.get("do_resize"):
            picture = picture.resize(_target(stated["size"], picture.size), stated["resample"])
        pixels = np.asarray(picture)
        return _center(pixels, stated["crop_size"]) if stated.get("do_center_crop") else pixels

    def _scaled(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width, channels = pixels.shape
        scaled = np.empty((channels, height, width), np.float32)
        for channel, table in enumerate(self._tables):
            np.take(table, pixels[:, :, channel], out=scaled[channel], mode="clip")
        return scaled

    @cached_property
    def _tables(self) -> NDArray[np.float32]:
        """For each channel (3, 256), what becomes of each value of a pixel.

        Rounded at the same steps as in `rescale` and `normalize` of transformers.
        """
        stated = self.settings
        values = np.arange(256, dtype=np.float64)
        if stated.get("do_rescale"):
            values *= stated["rescale_factor"]
        single = np.broadcast_to(values.astype(np.float32), (3, 256))
        if not stated.get("do_normalize"):
            return single
        mean, deviation = (
            np.broadcast_to(np.asarray(stated[name], np.float32), 3)[:, None]
            for name in ("image_mean", "image_std")
        )
        normalized: NDArray[np.float32] = (single - mean) / deviation
        return normalized


def has_one_size(settings: Mapping[str, Any]) -> bool:
    """Return whether settings are known, and make all images as large as each other."""
    if settings.get("do_pad") or (settings.get("do_resize") and "resample" not in settings):
        return False
    size, exact = set(settings.get("size") or {}), {"height", "width"}
    if settings.get("do_center_crop"):
        known = not settings.get("do_resize") or size in (exact, {"shortest_edge"})
        return known and set(settings.get("crop_size") or {}) == exact
    return bool(settings.get("do_resize")) and size == exact


def _target(stated: Mapping[str, int], given: tuple[int, int]) -> tuple[int, int]:
    """Return the width and height in pixels that a processor makes of `given`."""
    if "shortest_edge" not in stated:
        return stated["width"], stated["height"]
    edge, (width, height) = stated["shortest_edge"], given
    longest = int(edge * max(given) / min(given))
    return (edge, longest) if width <= height else (longest, edge)


def _center(pixels: NDArray[np.uint8], stated: Mapping[str, int]) -> NDArray[np.uint8]:
    """Return the middle of an image; where the image is too small, with zeros around it."""
    size = np.array([stated["height"], stated["width"]])
    given = np.array(pixels.shape[:2])
    padded = np.maximum(size, given)
    before = -((given - padded) // 2)
    if before.any() or (padded > given).any():
        larger = np.zeros((*padded, 3), np.uint8)
        larger[before[0] : before[0] + given[0], before[1] : before[1] + given[1]] = pixels
        pixels = larger
    top, left = (given - size) // 2 + before
    return pixels[top : top + size[0], left : left + size[1]]
