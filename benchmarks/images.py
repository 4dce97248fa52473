"""Images a second and CPU time, against plain sentence-transformers: `python -m benchmarks.images`.

A CLIP of the size of ViT-B/32 with random weights, and the photos of scikit-image as JPEGs of about
1000 x 800. Both sides start from the files and take turns. Writes `results/images.json`.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
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
IMAGES, ROUNDS, SIZE = 32, 7, (1000, 800)
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
    """Return images a second and CPU time of all sides, ratios of plain to ours, the difference."""
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
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            started = perf_counter(), process_time()
            side()
            taken[name].append((perf_counter() - started[0], process_time() - started[1]))
    # (sides, rounds, clock and CPU), in seconds
    seconds = np.array(list(taken.values()))
    ratios = seconds[0] / seconds[1]
    middle = dict(zip(sides, np.median(seconds, axis=1).tolist(), strict=True))
    return {
        "images": IMAGES,
        "images_per_second": {name: IMAGES / clock for name, (clock, _) in middle.items()},
        "cpu_ms_per_image": {name: 1000 * cpu / IMAGES for name, (_, cpu) in middle.items()},
        "ratio_median": float(np.median(ratios[:, 0])),
        "ratio_range": [float(ratios[:, 0].min()), float(ratios[:, 0].max())],
        "cpu_ratio_median": float(np.median(ratios[:, 1])),
        "cpu_ratio_range": [float(ratios[:, 1].min()), float(ratios[:, 1].max())],
        "load": list(os.getloadavg()),
        "largest_difference": difference,
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measured(model(Path(folder)))
    print(found)
    save("images", certificate(command=COMMAND, results=found))


if __name__ == "__main__":
    main()
