"""Images a second and CPU time, against plain sentence-transformers: `python -m benchmarks.images`.

A CLIP of the size of ViT-B/32 with random weights, and the photos of scikit-image as JPEGs of the
size of a web page's and of a phone's. Both sides start from the files and take turns. Writes
`results/images.json`.
"""

from __future__ import annotations

import copy
import io
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from PIL import Image as Pillow

from benchmarks.certificate import certificate, save
from indexes.images import Image
from retriever import ContextualEmbedder
from retriever.embedders.contextual.images.pixels import Pixels
from retriever.images.decode import decode
from tests.support.models import clip

COMMAND = "python -m benchmarks.images"
IMAGES, ROUNDS = 24, 7
SIZES = (1000, 800), (4000, 3000)
PHOTOS = ("astronaut", "rocket", "coffee", "chelsea", "camera", "moon", "coins")


def photos(size: tuple[int, int]) -> list[Image]:
    """Return JPEGs of real photos, each enlarged to a size and turned to be distinct."""
    from skimage import data

    found = []
    for number in range(IMAGES):
        shown = Pillow.fromarray(getattr(data, PHOTOS[number % len(PHOTOS)])())
        file = io.BytesIO()
        shown.convert("RGB").rotate(number).resize(size).save(file, "JPEG", quality=90)
        found.append(Image.of_bytes(file.getvalue(), f"photo {number}"))
    return found


def model(folder: Path) -> Path:
    """Save a CLIP of the default configuration of transformers, which is ViT-B/32, untrained."""
    support: Any = clip
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    tokenizer = support.processor_of_digits().tokenizer
    support.save(CLIPModel(CLIPConfig()), CLIPProcessor(CLIPImageProcessorPil(), tokenizer), folder)
    return folder


def opened(folder: Path) -> tuple[Any, dict[str, ContextualEmbedder]]:
    """Return plain sentence-transformers, and ours; `ours` is what is chosen here by default."""
    from sentence_transformers import SentenceTransformer

    plain: Any = SentenceTransformer(str(folder), device="cpu")
    # The exports take a gigabyte each: not into the user's cache.
    os.environ["RETRIEVER_CACHE"] = str(folder.parent / "cache")
    models = {
        "ours": ContextualEmbedder(folder),
        "torch": ContextualEmbedder(folder, runtime="torch", device="cpu"),
        "bfloat16": ContextualEmbedder(folder, precision="bfloat16", device="cpu"),
        "int8": ContextualEmbedder(folder, precision="int8"),
    }
    return plain, models


def measured(
    plain: Any, models: dict[str, ContextualEmbedder], size: tuple[int, int]
) -> dict[str, Any]:
    """Return images a second and CPU time of all sides, ratios of plain to each, differences.

    `decoding`, `pixels` and `network` are the parts of `ours`.
    """
    images = photos(size)

    def by_plain() -> Any:
        pictures = [Pillow.open(io.BytesIO(image.read())) for image in images]
        return plain.encode(pictures, normalize_embeddings=True)

    sides: dict[str, Callable[[], Any]] = {"plain": by_plain}
    sides |= {name: partial(model.encode_images, images) for name, model in models.items()}
    vectors = {name: side() for name, side in sides.items()}
    sides |= _parts(models["ours"], images)
    # (sides, rounds, clock and CPU), in seconds
    seconds = np.array(list(_taken(sides).values()))
    middle = dict(zip(sides, np.median(seconds, axis=1).tolist(), strict=True))
    return {
        "images": IMAGES,
        "rounds": ROUNDS,
        "runtime": models["ours"].runtime,
        "images_per_second": {name: IMAGES / middle[name][0] for name in vectors},
        "cpu_ms_per_image": {name: 1000 * cpu / IMAGES for name, (_, cpu) in middle.items()},
        "ratios": {
            name: {
                "clock": _ratio(seconds[0, :, 0], seconds[place, :, 0]),
                "cpu": _ratio(seconds[0, :, 1], seconds[place, :, 1]),
            }
            for place, name in enumerate(vectors)
            if name != "plain"
        },
        "load": list(os.getloadavg()),
        "largest_difference": {
            name: float(np.abs(found - vectors["plain"]).max())
            for name, found in vectors.items()
            if name != "plain"
        },
        "least_cosine": {
            name: float((found * vectors["plain"]).sum(axis=1).min())
            for name, found in vectors.items()
            if name != "plain"
        },
    }


def _parts(ours: ContextualEmbedder, images: list[Image]) -> dict[str, Callable[[], Any]]:
    """Return the parts of what `ours` does for one thread: each takes the result of the former."""
    card: Any = ours._opened.card
    engine: Any = ours._opened.engine
    pictures, pixels = list(map(decode, images)), Pixels(card.pixels)
    made = pixels.of(pictures)

    class Made(Pixels):
        """Pixels that have been computed before."""

        def of(self, pictures: Any) -> Any:
            return made[list(pictures)]

    network = copy.copy(engine)
    network._pixels = Made(card.pixels)
    size = engine.images_at_once

    def by_network() -> None:
        for start in range(0, IMAGES, size):
            network.embed_images(range(start, start + size), alone=True)

    return {
        "decoding": lambda: list(map(decode, images)),
        "pixels": lambda: pixels.of(pictures),
        "network": by_network,
    }


def _taken(sides: dict[str, Callable[[], Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds by the clock and of CPU that each side took in each round."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            started = perf_counter(), process_time()
            side()
            taken[name].append((perf_counter() - started[0], process_time() - started[1]))
    return taken


def _ratio(plain: Any, other: Any) -> dict[str, Any]:
    """Return how many times as long the plain side took: median and range of the rounds."""
    ratios = plain / other
    ends = [float(ratios.min()), float(ratios.max())]
    return {"median": float(np.median(ratios)), "range": ends}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, models = opened(model(Path(folder) / "clip"))
        found = {}
        for size in SIZES:
            name = "{} x {}".format(*size)
            found[name] = measured(plain, models, size)
            print(name, found[name], flush=True)
    save("images", certificate(command=COMMAND, results=found))


if __name__ == "__main__":
    main()
