"""Images a second, against plain sentence-transformers: `python -m benchmarks.images`.

A CLIP of the size of ViT-B/32 with random weights, and the photos of scikit-image as JPEGs of about
1000 x 800. Both sides start from the files and take turns. Writes `results/images.json`.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image as Pillow

from benchmarks.certificate import certificate, save
from indexes.images import Image
from retriever import ContextualEmbedder
from retriever.embedders.contextual.images.processing import preprocess
from retriever.images.decode import decode
from tests.support import clip

COMMAND = "python -m benchmarks.images"
IMAGES, ROUNDS, SIZE = 32, 5, (1000, 800)
PHOTOS = ("astronaut", "rocket", "coffee", "chelsea", "camera", "moon", "coins")


def photos() -> list[Image]:
    """Return JPEGs of real photos, each enlarged to one size and turned to be distinct."""
    from skimage import data

    found = []
    for number in range(IMAGES):
        shown = Pillow.fromarray(getattr(data, PHOTOS[number % len(PHOTOS)])())
        file = io.BytesIO()
        shown.convert("RGB").rotate(number).resize(SIZE).save(file, "JPEG", quality=90)
        found.append(Image.of_bytes(file.getvalue(), f"photo {number}"))
    return found


def model(folder: Path) -> Path:
    """Save a CLIP of the default configuration of transformers, which is ViT-B/32, untrained."""
    support: Any = clip
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    tokenizer = support.processor_of_digits().tokenizer
    support.save(CLIPModel(CLIPConfig()), CLIPProcessor(CLIPImageProcessorPil(), tokenizer), folder)
    return folder


def measured(folder: Path) -> dict[str, Any]:
    """Return seconds of both sides by round, their ratios and the largest difference."""
    from sentence_transformers import SentenceTransformer

    plain: Any = SentenceTransformer(str(folder), device="cpu")
    ours = ContextualEmbedder(folder, runtime="torch", device="cpu")
    images = photos()

    def by_plain() -> Any:
        pictures = [Pillow.open(io.BytesIO(image.read())) for image in images]
        return plain.encode(pictures, normalize_embeddings=True)

    network: Any = ours._opened.model()
    features = preprocess(plain, list(map(decode, images)))
    sides: dict[str, Callable[[], Any]] = {
        "plain": by_plain,
        "ours": lambda: ours.encode_images(images),
        "model_alone": lambda: network.embed_features(features),
    }
    difference = float(np.abs(by_plain() - ours.encode_images(images)).max())
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            started = perf_counter()
            side()
            taken[name].append(perf_counter() - started)
    ratios = np.array(taken["plain"]) / np.array(taken["ours"])
    return {
        "images": IMAGES,
        "images_per_second": {name: IMAGES / float(np.median(t)) for name, t in taken.items()},
        "ratio_median": float(np.median(ratios)),
        "ratio_range": [float(ratios.min()), float(ratios.max())],
        "largest_difference": difference,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measured(model(Path(folder)))
    print(found)
    save("images", certificate(command=COMMAND, results=found))


if __name__ == "__main__":
    main()
