"""What a sentence model of two modalities makes of an image before its network reads it.

This module only calls the model's own objects, so that it does not import torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from indexes.errors import InputError
from retriever.embedders.base import IMAGE
from retriever.embedders.contextual.images.pixels import Pixels, has_one_size
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
# The methods of processors whose result is known, see `pixels_of`.
STEPS = ("resize", "center_crop", "rescale", "normalize", "process_image", "_preprocess")
# The feature that holds the pixels of images.
PIXELS = "pixel_values"

# Networks that read the padding of texts, and were trained with all of them padded to one length.
PADDED = ("siglip", "siglip2")
# Of values of unit vectors; rounding in half precision makes some thousandths.
BATCH_TOLERANCE = 0.02


def takes_images(model: Any) -> bool:
    """Return whether a `SentenceTransformer` encodes images."""
    return IMAGE in getattr(model, "modalities", ())


def pad_as_trained(model: Any, length: int | None, chosen: int | None) -> int | None:
    """Make a model of two modalities pad all texts to `length`, if it was trained with such texts.

    Return the length, or None for any other model.

    SigLIP takes a text's vector from its last position, whether it is padding or not, and
    sentence-transformers pads to the longest text of a batch.

    Raises:
        InputError: another length was chosen.
    """
    config = getattr(model.transformers_model, "config", None)
    kind = getattr(config, "model_type", "")
    if not takes_images(model) or kind not in PADDED:
        return None
    if chosen is not None and chosen != length:
        raise InputError(
            f"max_length is {chosen}; this {kind} model was trained with texts padded to {length} "
            "tokens and needs that length. Leave max_length out."
        )
    given = model[0].processing_kwargs
    text = {"padding": "max_length", "max_length": length, **given.get("text", {})}
    model[0].processing_kwargs = {**given, "text": text}
    return length


def check_batches(model: Any) -> None:
    """Check that the vector of a text does not depend on the texts that are encoded with it.

    Raises:
        InputError: it does.
    """
    texts = [{"text": text} for text in ("a", "a b c d e f g h")]
    options = {"normalize_embeddings": True, "show_progress_bar": False}
    alone, together = (
        np.asarray(model.encode(some, convert_to_tensor=True, **options)[0].float().cpu())
        for some in (texts[:1], texts)
    )
    if np.abs(alone - together).max() > BATCH_TOLERANCE:
        raise InputError(
            f"{type(model.transformers_model).__name__} gives a text another vector next to longer "
            "ones: it reads the padding. Choose a CLIP, or state the padding that it was trained "
            "with in the processing_kwargs of its sentence_bert_config.json."
        )


def preprocess(model: Any, pictures: Iterable[Any]) -> dict[str, Any]:
    """Return the features of images (of Pillow, or arrays) as the model's own processor does."""
    stated = pixels_of(model)
    if stated is not None:
        return {PIXELS: Pixels(stated).of(pictures), "modality": IMAGE}
    given = [{IMAGE: picture} for picture in pictures]
    features: dict[str, Any] = model.preprocess(given, task="document")
    return features


def pixels_of(model: Any) -> Mapping[str, Any] | None:
    """Return the settings of a processor whose result `Pixels` computes; None for any other.

    It must be one that uses Pillow with no step of its own, and make all images of one size. The
    network must read nothing else.
    """
    reads = (getattr(model[0], "modality_config", None) or {}).get(IMAGE, {})
    if reads.get("method") != "get_image_features":
        return None
    kind, stated = type(_image_processor(model)), settings_of(model)
    steps = (getattr(kind, name, None) for name in STEPS)
    names = {getattr(step, "__qualname__", "") for step in steps}
    usual = names == {f"PilBackend.{name}" for name in STEPS}
    return stated if usual and has_one_size(stated) else None


def probe(model: Any) -> dict[str, Any]:
    """Return the features of an image of all grays, to run the part that reads images."""
    grays = np.arange(256, dtype=np.uint8).reshape(16, 16)
    features: dict[str, Any] = model.preprocess(
        [{IMAGE: np.repeat(grays[:, :, None], 3, axis=2)}], task="document"
    )
    return features


def settings_of(model: Any) -> dict[str, Any]:
    """Return what decides the features of an image: size, crop, mean, deviation, interpolation."""
    stated = _image_processor(model).to_dict()
    own = getattr(model[0], "processing_kwargs", None) or {}
    settings = {**stated, **own.get("common", {}), **own.get(IMAGE, {})}
    kept = {
        name: int(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in settings.items()
        if value is not None and name not in UNREAD and not name.startswith("_")
    }
    return {**kept, "decoding": DECODING}


def _image_processor(model: Any) -> Any:
    processor = model[0].processor
    return getattr(processor, "image_processor", processor)
