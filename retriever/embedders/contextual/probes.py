"""Tests of an engine before use: its accuracy, and its speed on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import process_time

import numpy as np

from indexes.images import Image
from indexes.neighbors import COSINE
from retriever.embedders.base import IMAGE, Matrix
from retriever.embedders.contextual.batching import batches
from retriever.embedders.contextual.engine import Engine
from retriever.embedders.contextual.model_info import ModelInfo
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.images.decode import decode

# Various subjects, lengths and scripts, to cover most code paths of a model.
SENTENCES = (
    "Rain.",
    "how deep is the lake",
    "A kitten purrs when it is content, and so does its mother.",
    "The filing deadline is the end of April; late forms cost 5 % of what is owed.",
    "Statins lower LDL cholesterol by blocking HMG-CoA reductase in the liver.",
    "Der Zug nach Köln fährt heute von Gleis 9 ab, zwölf Minuten später als sonst.",
    "She sold the bank's shares, walked down to the bank of the river, and read all afternoon.",
    "def add(a, b): return a + b  # TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "La bibliothèque ferme à dix-huit heures, sauf le jeudi.",
    "東京都は日本の首都です。 Москва — столица России. 🙂",
    "In 1969 two people walked on the Moon while a third went on circling it alone, 110 km above.",
    "Boil the lentils for twenty minutes with a bay leaf, then add salt, lemon and a little oil.",
)
# Maximum length of the long texts: that of a typical passage.
LONG = 256
# Tokens of a usual query.
TYPICAL = 12
# Width and height of the images, in pixels.
SIZES = ((320, 240), (224, 224), (60, 100), (240, 320))
# Thresholds of the mean and the minimum cosine. Exact copies differ in the sixth digit by rounding,
# int8 loses some thousandths; a larger loss means that a layer is broken.
ENOUGH = {"float32": (0.99999, 0.99999), "bfloat16": (0.98, 0.95), "int8": (0.98, 0.95)}


@dataclass(frozen=True)
class Probes:
    """Tokens of short and long texts, the padding token, and how vectors are compared.

    `padded` is as in `ModelInfo`. `images` are those for a model that takes some.
    """

    tokens: list[list[int]]
    pad: int
    similarity: str = COSINE
    padded: int | None = None
    images: tuple[Image, ...] = ()

    def __str__(self) -> str:
        images = f" and {len(self.images)} images" if self.images else ""
        return f"{len(self.tokens)} texts{images}"

    def __len__(self) -> int:
        return len(self.tokens) + len(self.images)


@dataclass(frozen=True)
class Similarity:
    """Mean and minimum cosine between an engine's vectors and the reference."""

    mean: float
    least: float

    def is_enough(self, precision: str) -> bool:
        """Return whether the vectors are as close as the precision allows."""
        mean, least = ENOUGH[precision]
        return self.mean >= mean and self.least >= least

    @staticmethod
    def expected(precision: str) -> str:
        """Return the thresholds of `is_enough` as text."""
        mean, least = ENOUGH[precision]
        return f"{mean} on average, {least} at the least"

    def __str__(self) -> str:
        return f"cosine {self.mean:.6f} on average, {self.least:.6f} at the least"


def probes_of(card: ModelInfo) -> Probes:
    """Return the tokens of each sentence, and of six long texts made of several sentences.

    For a model that takes images, also images of several sizes.
    """
    if card.tokenizer is None:
        raise ValueError("probes need a model with a tokenizer")
    count = len(SENTENCES)
    turned = [SENTENCES[start:] + SENTENCES[:start] for start in range(0, count, 2)]
    long = [" ".join(some[: 3 + 2 * place]) for place, some in enumerate(turned)]
    limit = min(card.max_length or LONG, LONG)
    read = ModelTokenizer(card.tokenizer, limit, card.side).read([*SENTENCES, *long])
    tokens = [tokens for tokens in read.tokens if tokens]
    images = probe_images() if IMAGE in card.modalities else ()
    return Probes(tokens, card.pad, card.similarity, card.padded, images)


def probe_images() -> tuple[Image, ...]:
    """Return images of waves and noise, as files in the PPM format."""
    draw, made = np.random.default_rng(7), []
    for width, height in SIZES:
        x, y = np.arange(width), np.arange(height)[:, None]
        waves = [np.sin(x / a + y / b) for a, b in draw.uniform(2, 40, (3, 2))]
        noise = draw.normal(size=(height, width, 3))
        pixels = np.clip(128 + 80 * np.stack(waves, axis=-1) + 20 * noise, 0, 255)
        file = b"P6 %d %d 255\n" % (width, height) + pixels.astype(np.uint8).tobytes()
        made.append(Image.of_bytes(file, f"{width} x {height}"))
    return tuple(made)


def vectors_of(engine: Engine, probes: Probes, budget: int | None = None) -> Matrix:
    """Return the vectors of all probes, (n, dim); `budget` is by default the engine's own."""
    everything = range(len(probes.tokens))
    parts = batches(
        probes.tokens,
        everything,
        pad=probes.pad,
        padded=probes.padded,
        budget=budget or engine.budget,
    )
    found = {
        place: vector
        for batch, vectors in engine.embed_all(parts)
        for place, vector in zip(batch.places, vectors, strict=True)
    }
    size = min(budget or engine.images_at_once, engine.images_at_once)
    groups = (probes.images[at : at + size] for at in range(0, len(probes.images), size))
    pictures = [engine.embed_images(map(decode, some), alone=True) for some in groups]
    return np.concatenate([np.stack([found[place] for place in everything]), *pictures])


def likeness(engine: Engine, probes: Probes, right: Matrix) -> Similarity:
    """Compare an engine's vectors with the reference, for single texts and for batches.

    A vector that is not finite, or zero where the reference is not, counts as a cosine of -1. Where
    vectors are not compared by the cosine, other lengths lower it.
    """
    ways = [vectors_of(engine, probes)]
    if engine.budget > 1:
        ways.append(vectors_of(engine, probes, budget=1))
    cosines = np.concatenate([_cosines(vectors, right, probes) for vectors in ways])
    return Similarity(float(cosines.mean()), float(cosines.min()))


def _cosines(a: Matrix, b: Matrix, probes: Probes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        products = np.einsum("ij,ij->i", a64, b64)
        lengths = np.linalg.norm(a64, axis=1), np.linalg.norm(b64, axis=1)
        if probes.similarity == COSINE:
            cosines = products / (lengths[0] * lengths[1])
        else:  # the same for equal lengths
            cosines = 2 * products / (lengths[0] ** 2 + lengths[1] ** 2)
    same = (a64 == b64).all(axis=1)
    return np.where(same, 1.0, np.where(np.isfinite(cosines), cosines, -1.0))


def cpu_seconds(engines: Sequence[Engine], probes: Probes, rounds: int) -> list[float]:
    """Return the least CPU seconds of this process, per engine, to compute all probes.

    Unlike the time on the clock, they hardly depend on what other processes do meanwhile. Engines
    take turns, after a round of warm-up.
    """
    taken: list[list[float]] = []
    for _ in range(rounds + 1):
        row = []
        for engine in engines:
            started = process_time()
            vectors_of(engine, probes)
            row.append(process_time() - started)
        taken.append(row)
    return [float(value) for value in np.min(taken[1:], axis=0)]


def query_of(probes: Probes) -> Probes:
    """Return the one probe that is about as long as a usual query."""
    typical = min(probes.tokens, key=lambda some: abs(len(some) - TYPICAL))
    return replace(probes, tokens=[typical], images=())
