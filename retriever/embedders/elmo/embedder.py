"""Embedder for ELMo: each word in its context, and a text as the mean over its words."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from indexes.errors import InputError
from indexes.text.normalize import normalize, normalize_with_origins
from indexes.text.words import word_spans
from retriever.embedders.base import (
    TEXT_ONLY,
    EmbedderSpec,
    Matrix,
    Spans,
    TextReport,
    WordVectors,
    check_texts,
    fingerprint_of,
    unit,
)
from retriever.embedders.devices import best_device
from retriever.embedders.elmo.checkpoint import read_elmo
from retriever.embedders.elmo.network import FIRST_WORD, ElmoNet
from retriever.embedders.elmo.packing import Ids
from retriever.embedders.elmo.tokenizer import spans_of, tokenized
from retriever.embedders.layers import resolve_layer
from retriever.embedders.tokenization.alignment import pool_words, validate_pooling
from retriever.embedders.validation import check_count

# Distinct words among this many go through the character convolutions once.
WORDS_TOGETHER = 1 << 16


class ElmoEmbedder:
    """Embed texts with an ELMo in the authors' format, which reads each word in its context.

    `model` is a folder with `options.json` and `lm_weights.hdf5` (see `checkpoint.find_files`).
    Texts are tokenized by `tokenized` and truncated at `max_length` words. `layers` sets the mix of
    the network's layers: `mean`, `top`, or one weight per layer, starting with the context-free
    word layer, such as `0.5,1,0`; only the ratio of the weights matters. The mixed vectors of a
    text's words are averaged and scaled to length 1; a text without words gets zeros. A vector
    depends neither on the other texts of a call nor on `batch_size`, the number of texts read at
    once. `device` is a torch device such as `cpu` or `cuda:0`, by default the best one.

    The attribute `layers` is the number of LSTM layers; layer 0 is the context-free word layer.
    `spec` has an absolute path.

    Raises:
        ModelNotAvailableError: the folder does not exist, or h5py is not installed.
        FileFormatError: a file is missing or damaged, or the weights do not fit the options.
        InputError: invalid layers or device, or `batch_size` or `max_length` is not a positive
            integer.
    """

    task_passages = 256  # see ContextualEmbedder

    modalities: tuple[str, ...] = TEXT_ONLY
    option_help: ClassVar[dict[str, str]] = {
        "layers": "Mix of the layers: mean, top, or one weight per layer, such as 0.5,1,0.",
        "batch_size": "Texts read at once.",
        "max_length": "Words at which texts are truncated.",
        "device": "Device of torch, such as cpu or cuda:0; none: the best one.",
    }

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        layers: str = "mean",
        batch_size: int = 64,
        max_length: int = 512,
        device: str | None = None,
    ) -> None:
        check_count("batch_size", batch_size)
        check_count("max_length", max_length)
        self._path = Path(model).expanduser().resolve()
        self._batch_size, self.max_length = batch_size, max_length
        options, weights = read_elmo(self._path)
        self.name, self.layers, self.word_layer = self._path.name, options.layers, options.layers
        # Both directions are concatenated.
        self.dim = 2 * options.projection
        self._mixing = _layer_weights(layers, options.layers + 1)
        self._net = ElmoNet(options, weights, best_device(device))
        self.fingerprint = fingerprint_of(
            kind="elmo",
            weights=weights.checksum,
            options=asdict(options),
            words="tokenized, normalized",
            layers=self._mixing,
            pooling="mean",
            max_length=max_length,
            unit=True,
        )
        settings = {"layers": layers, "batch_size": batch_size, "max_length": max_length}
        chosen = {} if device is None else {"device": device}
        self.spec = EmbedderSpec("elmo", str(self._path), {**settings, **chosen})

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors (len(texts), dim) float32; zeros for texts without words.

        Raises:
            InputError: see `check_texts`.
        """
        return self.encode_and_report(texts)[0]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return `encode_documents(texts)`."""
        return self.encode_documents(texts)

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """Return `encode_documents(texts)`, and counts of truncated texts and of words."""
        check_texts(texts)
        vectors, report = np.zeros((len(texts), self.dim), np.float32), TextReport()
        start = 0
        for some, reported in self._chunks(texts):
            vectors[start : start + len(some)] = self._encode(some)
            start, report = start + len(some), report + reported
        return vectors, report

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """Count the queries that are truncated at `max_length` words, and the words read."""
        check_texts(texts)
        return sum((reported for _, reported in self._chunks(texts)), TextReport())

    def encode_words(
        self,
        texts: Sequence[str],
        *,
        layer: int | None = None,
        pieces: str = "mean",
        spans: Sequence[Spans] | None = None,
    ) -> list[WordVectors]:
        """Return the words of each text that are read, with their vectors in this context.

        `layer` counts from 0 (words without context) or from the end if negative; the default is
        the top layer, which separates word senses best (Peters et al. 2018, table 5). One word of
        ELMo's tokenizer may be several here, such as `well-known`, or the reverse; `pieces`
        combines several into one vector: `mean`, `first` or `last`. `spans` take the place of
        each text's words.

        Raises:
            InputError: no such layer or value of `pieces`, or see `check_texts`.
        """
        check_texts(texts)
        validate_pooling(pieces)
        taken = self.word_layer if layer is None else layer
        taken, found = resolve_layer(taken, self.layers, self.name), list[WordVectors]()
        for some, _ in self._chunks(texts):
            stretch = texts[len(found) : len(found) + len(some)]
            for text, read in zip(stretch, self._read(some, taken), strict=True):
                normal, origins = normalize_with_origins(text)
                offsets = np.array(spans_of(normal)[: len(read)], np.int64).reshape(-1, 2)
                wanted = word_spans(text) if spans is None else spans[len(found)]
                found.append(pool_words(wanted, np.array(origins)[offsets], read, pieces))
        return found

    def _chunks(self, texts: Sequence[str]) -> Iterator[tuple[list[list[str]], TextReport]]:
        """Yield the truncated words of a few thousand texts at a time, with their report."""
        some, words, truncated = list[list[str]](), 0, 0
        for text in texts:
            found = tokenized(normalize(text))
            truncated += len(found) > self.max_length
            some.append(found[: self.max_length])
            words += len(some[-1])
            if words >= WORDS_TOGETHER:
                yield some, TextReport(texts=len(some), truncated=truncated, tokens=words)
                some, words, truncated = [], 0, 0
        if some:
            yield some, TextReport(texts=len(some), truncated=truncated, tokens=words)

    def _encode(self, texts: list[list[str]]) -> Matrix:
        """Return unit vectors of tokenized texts."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for table, places, together in self._batches(texts):
            vectors[places] = self._net.means(table, together, self._mixing)
        return unit(vectors)

    def _read(self, texts: list[list[str]], layer: int) -> list[Matrix]:
        """Return the output of one layer for each text's words: (words, dim)."""
        read = [np.zeros((0, self.dim), np.float32)] * len(texts)
        for table, places, together in self._batches(texts):
            words = self._net.layer(table, together, layer)
            ends = np.cumsum([len(text) for text in together])
            for place, part in zip(places, np.split(words, ends[:-1]), strict=True):
                read[place] = part
        return read

    def _batches(self, texts: list[list[str]]) -> Iterator[tuple[Any, list[int], list[Ids]]]:
        """Yield a table of words, the positions of a batch's texts, and their rows in the table.

        Texts without words are left out.
        """
        rows: dict[str, int] = {}
        numbered = [
            np.array([rows.setdefault(word, FIRST_WORD + len(rows)) for word in text], np.int64)
            for text in texts
        ]
        if not rows:
            return
        table = self._net.table(list(rows))
        # Texts of similar length share a batch, so that few continue alone.
        order = sorted(range(len(texts)), key=lambda place: -len(numbered[place]))
        filled = [place for place in order if len(numbered[place])]
        for start in range(0, len(filled), self._batch_size):
            batch = filled[start : start + self._batch_size]
            yield table, batch, [numbered[place] for place in batch]


def _layer_weights(layers: str, count: int) -> list[float]:
    """Return the shares of `count` layers, which add up to 1.

    Raises:
        InputError: neither `mean` nor `top` nor a non-negative weight per layer, not all of them 0.
    """
    if layers == "mean":
        return [1 / count] * count
    if layers == "top":
        return [0.0] * (count - 1) + [1.0]
    try:
        weights = [float(weight) for weight in layers.split(",")]
    except (ValueError, AttributeError):
        weights = []
    total = sum(weights)
    if len(weights) != count or min(weights) < 0 or not 0 < total < math.inf:
        raise InputError(
            f"layers is {layers!r}; expected mean, top, or {count} weights from 0 up, "
            "comma-separated and not all of them 0."
        )
    return [weight / total for weight in weights]
