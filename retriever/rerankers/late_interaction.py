"""Late-interaction models of sentence-transformers (ColBERT, PyLate) as rerankers of texts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from indexes.errors import InputError, first_of, pluralize
from indexes.text.normalize import normalize
from retriever.embedders.base import EmbedderSpec, fingerprint_of, fingerprint_parts
from retriever.embedders.contextual.fingerprint import fingerprint_of_model
from retriever.embedders.contextual.loading import load_late_interaction
from retriever.embedders.contextual.weights import Purpose, embeddings, settle_weights
from retriever.embedders.devices import survive_forks, validate_device
from retriever.embedders.hub import files_of_sentence_model
from retriever.embedders.validation import check_count, place_of
from retriever.rerankers.base import Candidate, Scores

BATCH_SIZE = 32
NAMED = 3
# What a model's own files say if its projection of tokens was trained: sentence-transformers and
# PyLate by `model_type` (before that, prefixes), ColBERT and transformers by `architectures`.
SETTINGS, CONFIG = "config_sentence_transformers.json", "config.json"
TYPES, PREFIX = {"MultiVectorEncoder", "ColBERT"}, "query_prefix"
STANFORD, RETRIEVAL = "HF_ColBERT", "ForRetrieval"
# Settings of the module that reads texts, and of the one that says which tokens count.
READING = ("query_length", "document_length", "query_expansion")
COUNTING = ("skiplist_words", "skiplist_tasks", "keep_only_token_ids")


class LateInteractionReranker:
    """Rank documents by a model with a vector for each token, compared by MaxSim.

    Each token of the query is compared with the most similar token of the document, and these
    similarities are added up (Khattab and Zaharia 2020, ColBERT). `model` is a path, a model from
    an installed package, or a name on the Hugging Face hub: saved by sentence-transformers or
    PyLate, or a checkpoint of ColBERT. Of a document it reads the title and the passage that the
    first search found, in one text. Vectors are computed for each query and not stored.
    `batch_size` is the number of documents computed at once, 32 by default; `device` a torch
    device.

    Raises:
        ModelNotAvailableError: the model cannot be loaded, or its files lack weights that its
            scores depend on.
        InputError: an invalid option, or a model that was not trained for late interaction:
            sentence-transformers would give it a random projection of tokens.
    """

    option_help: ClassVar[dict[str, str]] = {
        "batch_size": f"Documents computed at once; none: {BATCH_SIZE}.",
        "device": "Torch device, such as cpu or cuda:0; none: the best one.",
    }

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        check_count("batch_size", batch_size)
        survive_forks()
        place = place_of(model)
        self.name = Path(place).name
        self._batch_size = batch_size or BATCH_SIZE
        self._model, reports = load_late_interaction(place, validate_device(device))
        if not _is_trained(files_of_sentence_model(place)):
            raise InputError(
                f"{self.name} was not trained for late interaction, so its projection of tokens "
                "would be random. Choose a ColBERT or PyLate model, or rerank with a cross-encoder."
            )
        settle_weights(
            self._model, reports, Purpose("Late-interaction model", "scores depend", embeddings)
        )
        options = {"batch_size": batch_size, "device": device}
        given = {name: value for name, value in options.items() if value is not None}
        self.spec = EmbedderSpec("late-interaction", str(place), given)
        self.notes: Sequence[str] = ()
        self.readable = None

    @cached_property
    def fingerprint(self) -> str:
        """One line of JSON over weights, modules, prompts, lengths and tokens that count."""
        parts = fingerprint_parts(fingerprint_of_model(self._model, self._model.max_seq_length))
        settings = {
            name: value
            for module in self._model
            for name in READING + COUNTING
            if (value := getattr(module, name, None)) is not None
        }
        own = {"kind": "late-interaction", "score": self._model.similarity_fn_name}
        return fingerprint_of(**parts | own | {"tokens": settings})

    def lacking(self, doc_ids: Sequence[str]) -> str:
        """Return a note on documents without a token that counts."""
        have = pluralize(len(doc_ids), "candidate has", "candidates have")
        return (
            f"{have} no token that {self.name} compares, and is left out: "
            f"{first_of(doc_ids, NAMED)}."
        )

    def work(self, count: int) -> str:
        """Return how many texts are read for a query."""
        return pluralize(count, "text")

    def scores(self, query: str, documents: Sequence[Candidate]) -> Scores:
        """Return the MaxSim (n,) of the texts for the query; -inf for one without a token."""
        found = np.full(len(documents), -np.inf, np.float32)
        if not documents:
            return found
        wanted = self._model.encode_query([normalize(query)], show_progress_bar=False)
        texts = [normalize(one.text) for one in documents]
        options = {"batch_size": self._batch_size, "show_progress_bar": False}
        tokens = self._model.encode_document(texts, **options)
        has = [place for place, one in enumerate(tokens) if len(one)]
        if has:
            some = [tokens[place] for place in has]
            found[has] = self._model.similarity(wanted, some).float().cpu().numpy()[0]
        return found


def _is_trained(files: Mapping[str, Path]) -> bool:
    """Return whether the files of a model say that its projection of tokens was trained."""
    settings, config = (
        json.loads(files[name].read_bytes()) if name in files else {} for name in (SETTINGS, CONFIG)
    )
    kinds: Sequence[Any] = config.get("architectures") or ()
    native = any(kind == STANFORD or str(kind).endswith(RETRIEVAL) for kind in kinds)
    return native or settings.get("model_type") in TYPES or PREFIX in settings
