"""Texts and images in one index, with and without `center`: `python -m benchmarks.modality_gap`.

The CLIP of the tests, trained on scikit-learn's digits, and a copy of it whose texts and images are
moved apart as far as those of OpenAI's CLIP (0.82, Liang et al. 2022). Of 500 images that it has
not been trained on, a half that is drawn anew for each seed is documents by image, and the other
documents by caption; the ten names of digits are queries. Writes `results/modality_gap.json`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, save
from indexes.images import Image
from retriever import Collection, ContextualEmbedder, Document
from retriever.evaluation.measures import evaluate, means
from tests.support import clip

COMMAND = "python -m benchmarks.modality_gap"
SEEDS, K = (0, 1, 2), 50
# Of the untrained output, whose length is about 8.
APART = 5.0
support: Any = clip


def documents(seed: int) -> tuple[list[Document], dict[str, dict[str, int]]]:
    """Return images and captions mixed, and for each digit the documents that are of it."""
    files, shown = support.unseen(500)
    draw = np.random.default_rng(seed)
    found = []
    for place, number in enumerate(draw.permutation(len(files)).tolist()):
        name, template = support.NAMES[shown[number]], draw.choice(support.TEMPLATES)
        image = place % 2 == 0
        text, data = ("", files[number]) if image else (str(template).format(name), None)
        found.append(Document(f"{'image' if image else 'text'}-{number}", text, image=data))
    qrels: dict[str, dict[str, int]] = {name: {} for name in support.NAMES}
    for document in found:
        number = int(document.doc_id.partition("-")[2])
        qrels[support.NAMES[shown[number]]][document.doc_id] = 1
    return found, qrels


def measured(folder: Path, model: Path, seed: int) -> dict[str, dict[str, float]]:
    """Return the gap and the quality of both kinds of index."""
    rows, qrels = documents(seed)
    of_images = {
        name: {one: 1 for one in ones if one.startswith("image")} for name, ones in qrels.items()
    }
    found = {}
    with Collection.create(folder / f"{model.name}-{seed}") as collection:
        collection.add(rows)
        for name in ("plain", "centered"):
            embedder = ContextualEmbedder(model, runtime="torch", center=name == "centered")
            collection.build(name, embedder)
            hits = collection.search_many(support.NAMES, index=name, k=K)
            run = {
                query: {hit.doc_id: hit.score for hit in some}
                for query, some in zip(support.NAMES, hits, strict=True)
            }
            found[name] = {
                "gap": gap(collection.embedder(name), rows),
                f"R@{K} of images": means(evaluate(run, of_images, [f"R@{K}"]))[f"R@{K}"],
                f"nDCG@{K}": means(evaluate(run, qrels, [f"nDCG@{K}"]))[f"nDCG@{K}"],
            }
    return found


def gap(embedder: Any, rows: Iterable[Document]) -> float:
    """Return the distance between the mean vectors of texts and of images."""
    texts = embedder.encode_documents([one.text for one in rows if one.image is None])
    images: list[Image] = [one.image for one in rows if one.image is not None]
    return float(np.linalg.norm(texts.mean(axis=0) - embedder.encode_images(images).mean(axis=0)))


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        apart = support.digits_clip_apart(folder / "apart", APART)
        models = {"digits": support.digits_clip(), "digits, moved apart": apart}
        results = {
            name: [measured(folder, model, seed) for seed in SEEDS]
            for name, model in models.items()
        }
    for name, seeds in results.items():
        for kind in ("plain", "centered"):
            values = {key: [round(one[kind][key], 3) for one in seeds] for key in seeds[0][kind]}
            print(f"{name}, {kind}: {values}")
    save("modality_gap", certificate(command=COMMAND, seeds=list(SEEDS), results=results))


if __name__ == "__main__":
    main()
