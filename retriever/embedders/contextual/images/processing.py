"""What a sentence model of two modalities makes of an image before its network reads it.

This module only calls the model's own objects, so that it does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retriever.embedders.base import IMAGE
from retriever.images.decode import DECODING

# Settings of a processor that say how it is run or stored, not what it returns.
UNREAD = {
    "data_format",
    "device",
    "disable_grouping",
    "feature_extractor_type",
    "image_processor_type",
    "input_data_format",
    "processor_class",
    "return_tensors",
}


def takes_images(model: Any) -> bool:
    """Return whether a `SentenceTransformer` encodes images."""
    return IMAGE in getattr(model, "modalities", ())


def preprocess(model: Any, pictures: Sequence[Any]) -> dict[str, Any]:
    """Return the features of images (of Pillow, or arrays), with the model's own processor."""
    features: dict[str, Any] = model.preprocess([{IMAGE: one} for one in pictures], task="document")
    return features


def probe(model: Any) -> dict[str, Any]:
    """Return the features of an image of all grays, to run the part that reads images."""
    grays = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return preprocess(model, [np.repeat(grays[:, :, None], 3, axis=2)])


def settings_of(model: Any) -> dict[str, Any]:
    """Return what decides the features of an image: size, crop, mean, deviation, interpolation."""
    processor: Any = model[0].processor
    stated = getattr(processor, "image_processor", processor).to_dict()
    own = getattr(model[0], "processing_kwargs", None) or {}
    settings = {**stated, **own.get("common", {}), **own.get(IMAGE, {})}
    kept = {
        name: int(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in settings.items()
        if value is not None and name not in UNREAD and not name.startswith("_")
    }
    return {**kept, "decoding": DECODING}
