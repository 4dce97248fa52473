"""What a sentence model of two modalities makes of an image before its network reads it.

This module only calls the model's own objects, so that it does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from indexes.errors import InputError
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
# The methods of processors whose resizing is known, see `_resizing`.
USUAL_STEPS = {"PilBackend.resize", "PilBackend._preprocess"}

# Networks that read the padding of texts, and were trained with all of them padded to one length.
PADDED = ("siglip", "siglip2")
# Of values of unit vectors; rounding in half precision makes some thousandths.
BATCH_TOLERANCE = 0.02


def takes_images(model: Any) -> bool:
    """Return whether a `SentenceTransformer` encodes images."""
    return IMAGE in getattr(model, "modalities", ())


def pad_as_trained(model: Any, length: int | None, chosen: int | None) -> None:
    """Make a model of two modalities pad all texts to `length`, if it was trained with such texts.

    SigLIP takes a text's vector from its last position, whether it is padding or not, and
    sentence-transformers pads to the longest text of a batch.

    Raises:
        InputError: another length was chosen.
    """
    config = getattr(model.transformers_model, "config", None)
    kind = getattr(config, "model_type", "")
    if not takes_images(model) or kind not in PADDED:
        return
    if chosen is not None and chosen != length:
        raise InputError(
            f"max_length is {chosen}; this {kind} model was trained with texts padded to {length} "
            "tokens and needs that length. Leave max_length out."
        )
    given = model[0].processing_kwargs
    text = {"padding": "max_length", "max_length": length, **given.get("text", {})}
    model[0].processing_kwargs = {**given, "text": text}


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
    """Return the features of images (of Pillow, or arrays) as the model's own processor does.

    Each is resized before the next one is read, since decoded photos take megabytes.
    """
    resized = _resizing(model)
    given = [{IMAGE: resized(picture)} for picture in pictures]
    features: dict[str, Any] = model.preprocess(given, task="document")
    return features


def _resizing(model: Any) -> Callable[[Any], Any]:
    """Return a function that resizes an image of Pillow as the processor would, or leaves it so.

    A processor that resizes with Pillow copies the complete photo several times, which takes as
    long. It leaves an image of the right size as it is.
    """
    kind, stated = type(_image_processor(model)), settings_of(model)
    steps = (getattr(kind, name, None) for name in ("resize", "_preprocess"))
    usual = {getattr(step, "__qualname__", "") for step in steps} == USUAL_STEPS
    known = usual and stated.get("do_resize") is True and "resample" in stated

    def resized(picture: Any) -> Any:
        size = _target(stated.get("size") or {}, getattr(picture, "size", ())) if known else None
        return picture if size is None else picture.resize(size, stated["resample"])

    return resized


def _target(stated: Mapping[str, int], given: Any) -> tuple[int, int] | None:
    """Return the width and height in pixels that a processor makes of `given`; None if unknown."""
    if not isinstance(given, tuple) or len(given) != 2:  # an array has a number there
        return None
    if set(stated) == {"height", "width"}:
        return stated["width"], stated["height"]
    if set(stated) != {"shortest_edge"}:
        return None
    edge, (width, height) = stated["shortest_edge"], given
    longest = int(edge * max(given) / min(given))
    return (edge, longest) if width <= height else (longest, edge)


def probe(model: Any) -> dict[str, Any]:
    """Return the features of an image of all grays, to run the part that reads images."""
    grays = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return preprocess(model, [np.repeat(grays[:, :, None], 3, axis=2)])


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
