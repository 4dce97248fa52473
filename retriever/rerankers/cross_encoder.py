"""Cross-encoders of sentence-transformers as rerankers of texts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from indexes.errors import InputError, pluralize
from indexes.text.normalize import normalize
from retriever.embedders.base import EmbedderSpec, fingerprint_of, fingerprint_parts
from retriever.embedders.contextual.fingerprint import fingerprint_of_model
from retriever.embedders.contextual.loading import load_cross_encoder
from retriever.embedders.contextual.weights import Purpose, settle_weights
from retriever.embedders.devices import survive_forks, validate_device
from retriever.embedders.validation import check_count, place_of
from retriever.rerankers.base import Candidate, Scores

BATCH_SIZE = 32
# Inputs of models that open a text as a file or an address.
MEDIA = {"image", "audio", "video"}
PAIR = ("What is it about?", "A text of a few words.")


class CrossEncoderReranker:
    """Rank documents with a cross-encoder, which reads the query and a text together.

    `model` is a path, a model from an installed package, or a name on the Hugging Face hub. Of a
    document it reads the title and the passage that the first search found, in one text, truncated
    at `max_length` tokens with the query; the default is the model's own limit. `batch_size` is the
    number of pairs computed at once, 32 by default, longest first; `device` a torch device.

    Raises:
        ModelNotAvailableError: the model cannot be loaded, or its files lack weights that its
            scores depend on: a model without a trained head for one score.
        InputError: an invalid option, or a model that gives several scores or takes images.
    """

    option_help: ClassVar[dict[str, str]] = {
        "max_length": "Tokens of a query and a text that are read; none: the model's own limit.",
        "batch_size": f"Pairs computed at once; none: {BATCH_SIZE}.",
        "device": "Torch device, such as cpu or cuda:0; none: the best one.",
    }

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        max_length: int | None = None,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        check_count("max_length", max_length)
        check_count("batch_size", batch_size)
        survive_forks()
        place = place_of(model)
        self.name = Path(place).name
        self._batch_size = batch_size or BATCH_SIZE
        self._model, reports = load_cross_encoder(place, validate_device(device), max_length)
        settle_weights(self._model, reports, Purpose("Cross-encoder", "scores depend", _outputs))
        if (labels := int(self._model.num_labels)) != 1:
            raise InputError(
                f"{self.name} gives {labels} scores for a pair of texts; expected 1. "
                "Choose a cross-encoder that was trained to rank."
            )
        if MEDIA & set(self._model.modalities):
            raise InputError(
                f"{self.name} takes {', '.join(self._model.modalities)}; expected text."
            )
        options = {"max_length": max_length, "batch_size": batch_size, "device": device}
        given = {name: value for name, value in options.items() if value is not None}
        self.spec = EmbedderSpec("cross-encoder", str(place), given)
        self.notes: Sequence[str] = ()
        self.readable = None

    @cached_property
    def fingerprint(self) -> str:
        """One line of JSON over weights, modules, vocabulary and length of the model."""
        parts = fingerprint_parts(fingerprint_of_model(self._model, self._model.max_seq_length))
        activation = type(self._model.activation_fn).__name__
        return fingerprint_of(**parts | {"kind": "cross-encoder", "activation": activation})

    def lacking(self, doc_ids: Sequence[str]) -> str:
        """Return no note."""
        return ""

    def work(self, count: int) -> str:
        """Return how many texts are read for a query."""
        return pluralize(count, "text")

    def scores(self, query: str, documents: Sequence[Candidate]) -> Scores:
        """Return the model's scores (n,) of the texts for the query."""
        if not documents:
            return np.zeros(0, np.float32)
        wanted = normalize(query)
        pairs = [(wanted, normalize(one.text)) for one in documents]
        options = {"batch_size": self._batch_size, "show_progress_bar": False}
        return np.asarray(self._model.predict(pairs, **options), np.float32)


def _outputs(model: Any) -> Iterator[Any]:
    """Yield the score of a pair of texts, as a tensor."""
    features = model.preprocess([PAIR])
    moved = {
        name: value.to(model.device) if hasattr(value, "to") else value
        for name, value in features.items()
    }
    yield model(moved)["scores"]
