"""Texts and images in one index, with and without `center`: `python -m benchmarks.modality_gap`.

The CLIP of the tests, trained on scikit-learn's digits, and a copy of it whose texts and images are
moved apart as far as those of OpenAI's CLIP (0.82, Liang et al. 2022). Of 500 images that it has
not been trained on, a half that is drawn again for each seed is documents by image, and the other
documents by caption; the ten names of digits are queries. Writes `results/modality_gap.json`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from benchmarks.certificate import certificate, save
from indexes.images import Image
from retriever import ContextualEmbedder, Document
from retriever.evaluation.measures import evaluate, means
from tests.support.models import clip

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


def measured(model: Path, seed: int) -> dict[str, dict[str, float]]:
    """Return the gap and the quality without centers, with, and with centers of documents only."""
    rows, qrels = documents(seed)
    texts = [one.text for one in rows if one.image is None]
    images: list[Image] = [one.image for one in rows if one.image is not None]
    doc_ids = [one.doc_id for one in rows if one.image is None]
    doc_ids += [one.doc_id for one in rows if one.image is not None]
    plain = ContextualEmbedder(model, runtime="torch")
    centered = ContextualEmbedder(model, runtime="torch", center=True).fitted([*texts, *images])
    found = {}
    for name, of_documents, of_queries in (
        ("plain", plain, plain),
        ("centered", centered, centered),
        ("documents centered", centered, plain),
    ):
        sides = of_documents.encode_documents(texts), of_documents.encode_images(images)
        scores = of_queries.encode_queries(support.NAMES) @ np.concatenate(sides).T
        run = {
            query: dict(zip(doc_ids, row.tolist(), strict=True))
            for query, row in zip(support.NAMES, scores, strict=True)
        }
        gap = float(np.linalg.norm(sides[0].mean(axis=0) - sides[1].mean(axis=0)))
        found[name] = {"gap": gap, **quality(run, qrels)}
    return found


def quality(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> dict[str, float]:
    """Return the recall of images, and nDCG over images and texts."""
    of_images = {
        name: {one: 1 for one in ones if one.startswith("image")} for name, ones in qrels.items()
    }
    return {
        f"R@{K} of images": means(evaluate(run, of_images, [f"R@{K}"]))[f"R@{K}"],
        f"nDCG@{K}": means(evaluate(run, qrels, [f"nDCG@{K}"]))[f"nDCG@{K}"],
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        apart = support.digits_clip_apart(Path(made) / "apart", APART)
        models = {"digits": support.digits_clip(), "digits, moved apart": apart}
        results = {
            name: [measured(model, seed) for seed in SEEDS] for name, model in models.items()
        }
    for name, seeds in results.items():
        for kind, row in seeds[0].items():
            values = {key: round(fmean(one[kind][key] for one in seeds), 3) for key in row}
            print(f"{name}, {kind}: {values}")
    save("modality_gap", certificate(command=COMMAND, seeds=list(SEEDS), results=results))


if __name__ == "__main__":
    main()
