"""The sparse embedder: a `SparseEncoder` of sentence-transformers, such as SPLADE."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from indexes.errors import InputError
from indexes.neighbors import COSINE, DOT
from indexes.text.normalize import normalize
from retriever.embedders.base import (
    TEXT_ONLY,
    EmbedderSpec,
    Matrix,
    TextReport,
    check_texts,
    fingerprint_of,
    fingerprint_parts,
)
from retriever.embedders.contextual.fingerprint import PROBE, fingerprint_of_model
from retriever.embedders.contextual.inspection import (
    count_tokens,
    keep_positions,
    limit_length,
    limit_of,
    part_for,
)
from retriever.embedders.contextual.loading import load_sparse
from retriever.embedders.contextual.weights import Purpose, embeddings, settle_weights
from retriever.embedders.devices import survive_forks, validate_device
from retriever.embedders.hub import SPARSE_PACKAGES, files_of_sentence_model
from retriever.embedders.sparse.idf import TextsWith, TokenIdf
from retriever.embedders.validation import check_count, check_one_of, place_of

# From lists of texts to the counts of each.
CountAll = Callable[[Iterator[Sequence[str]]], Iterable[TextsWith]]
# Texts of which tokens are counted at once, for a fit.
COUNTED = 1000
MODEL, IDF = QUERIES = ("model", "idf")
BATCH_SIZE = 32
# Numbers that a model computes at once, one for each token read and token of the vocabulary: it
# holds a few copies of these 256 MiB, and would hold gigabytes of 32 texts of 512 tokens.
AT_ONCE = 64 << 20
# What a model's own files say if its weights were trained: others get a random last module.
SETTINGS, CONFIG, TYPE, MASKED = (
    "config_sentence_transformers.json",
    "config.json",
    "SparseEncoder",
    "ForMaskedLM",
)


class SparseEmbedder:
    """Weights of a vocabulary's tokens for each text, by a trained model such as SPLADE.

    `model` is a path, a model from an installed package, or a name on the Hugging Face hub: a
    `SparseEncoder` of sentence-transformers, or a SPLADE checkpoint with a head for masked tokens.
    Few weights of a text are not zero, so its index is an inverted file: a query reads the postings
    of its own tokens only. A model with another module for queries (`Router`) uses it.

    - `queries`: `model`, or `idf`: a query is read without the model, each of its tokens counts by
      its idf in the corpus. The documents' weights stay the model's.
    - `max_length`: tokens at which documents are truncated; none: the model's own limit.
    - `batch_size` is the most texts computed at once, 32 by default; `device` a torch device.

    Raises:
        ModelNotAvailableError: the model cannot be loaded, or its files lack weights that its
            vectors depend on.
        InputError: an invalid option, or a model that gives no sparse vectors that were trained.
    """

    modalities: tuple[str, ...] = TEXT_ONLY
    sparse = True
    option_help: ClassVar[dict[str, str]] = {
        "queries": "Weights of a query: model, or idf: of its own tokens, without the model.",
        "max_length": "Tokens at which texts are truncated; none: the model's own limit.",
        "batch_size": f"Texts computed at once; none: {BATCH_SIZE}.",
        "device": "Device of torch, such as cpu or cuda:0; none: the best one.",
    }

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        queries: str = MODEL,
        max_length: int | None = None,
        batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        check_one_of("queries", queries, QUERIES)
        check_count("max_length", max_length)
        check_count("batch_size", batch_size)
        survive_forks()
        place = place_of(model)
        self.name = Path(place).name
        self._model, reports = load_sparse(place, validate_device(device))
        files = files_of_sentence_model(place, SPARSE_PACKAGES)
        if not _is_trained(files):
            raise InputError(
                f"{self.name} gives no sparse vectors: its last module would be random. Choose a "
                f"SparseEncoder or SPLADE model, or use contextual:{place}."
            )
        settle_weights(self._model, reports, Purpose("Sparse model", "vectors depend", embeddings))
        keep_positions(self._model)
        if max_length is not None:
            limit_length(self._model, max_length)
        if (similarity := str(self._model.similarity_fn_name)) not in (DOT, COSINE):
            raise InputError(
                f"{self.name} compares vectors by {similarity}; expected dot or cosine for sparse "
                "ones."
            )
        self.similarity = similarity
        self._queries, self._batch_size = queries, batch_size or BATCH_SIZE
        # What the model says of its width is that of its hidden layers for some models.
        self.dim = self._encoded(self._model.encode_document, [PROBE]).shape[1]
        self._idf: TokenIdf | None = None
        if queries == IDF:
            self._check_tokens()
        given = {"max_length": max_length, "batch_size": batch_size, "device": device}
        options = {name: value for name, value in given.items() if value is not None}
        if queries != MODEL:
            options["queries"] = queries
        self.spec = EmbedderSpec("sparse", os.fspath(place), options)

    def _check_tokens(self) -> None:
        """Refuse queries by tokens where a vector has no number for each of them."""
        kinds = {type(module).__name__ for module in self._model.modules()}
        if "SpladePooling" not in kinds or len(self._tokenizer.get_vocab()) > self.dim:
            raise InputError(
                f"queries is '{IDF}', but the numbers of a vector of {self.name} are not its "
                "tokens, as those of SPLADE are. Leave queries out."
            )

    @property
    def _tokenizer(self) -> Any:
        return part_for(self._model, "document").tokenizer

    @cached_property
    def fingerprint(self) -> str:
        """One line of JSON over weights, modules, prompts, vocabulary, length and the fit."""
        length = limit_of(self._model)
        model = fingerprint_of_model(self._model, length, similarity=self.similarity)
        own: dict[str, Any] = {"kind": "sparse", "queries": self._queries}
        if most := getattr(self._model, "max_active_dims", None):
            own["max_active_dims"] = most
        if (fitted := self.parameters) is not None:
            own["fitted"] = hashlib.sha256(fitted).hexdigest()
        return fingerprint_of(**fingerprint_parts(model) | own)

    @property
    def needs_fit(self) -> bool:
        """Whether queries are weighted by idf, and no corpus has been read yet."""
        return self._queries == IDF and self._idf is None

    @property
    def parameters(self) -> bytes | None:
        """The idf of the tokens as bytes; None if there are none."""
        return None if self._idf is None else self._idf.to_bytes()

    def fitted(self, texts: Iterable[str]) -> SparseEmbedder:
        """Return a copy with the idf of the tokens in a corpus; itself if the model reads queries.

        Raises:
            InputError: an item is not a text; see `check_texts`.
        """
        return self.fitted_in_parts(texts, lambda lists: map(self.part_of_fit, lists))

    def part_of_fit(self, texts: Sequence[str]) -> TextsWith:
        """Return how many of some texts have each token."""
        return TextsWith.of(self._tokenizer, self.dim, list(_normal(texts)))

    def fitted_in_parts(self, texts: Iterable[str], parts: CountAll) -> SparseEmbedder:
        """Return as `fitted`, to the last bit; see `FitsInParts`."""
        if self._queries != IDF:
            return self
        return self._with(TokenIdf.of(self._tokenizer, self.dim, parts(_lists(texts))))

    def with_parameters(self, parameters: bytes) -> SparseEmbedder:
        """Return a copy with an earlier fit; a DamageError if it is damaged."""
        return self._with(TokenIdf.of_bytes(self._tokenizer, self.dim, parameters))

    def _with(self, idf: TokenIdf) -> SparseEmbedder:
        other = copy.copy(self)
        other.__dict__.pop("fingerprint", None)
        other._idf = idf
        return other

    def encode_documents(self, texts: Sequence[str]) -> Any:
        """Return sparse vectors as a `csr_array` of scipy (len(texts), dim) float32.

        Raises:
            InputError: see `check_texts`.
        """
        return self.encode_and_report(texts)[0]

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Any, TextReport]:
        """Return `encode_documents(texts)`, and how many texts were truncated."""
        from scipy.sparse import csr_array, vstack

        check_texts(texts)
        read = list(_normal(texts))
        counts = count_tokens(self._tokenizer, read)
        limit = limit_of(self._model) or math.inf
        order = np.argsort(counts, kind="stable")[::-1]
        parts = [csr_array((0, self.dim), dtype=np.float32)]
        start = 0
        while start < len(read):
            longest = max(1, min(counts[order[start]], limit))
            fitting = max(1, int(AT_ONCE // (self.dim * longest)))
            stop = start + min(fitting, self._batch_size)
            some = [read[place] for place in order[start:stop]]
            parts.append(csr_array(self._encoded(self._model.encode_document, some)))
            start = stop
        rows = vstack(parts, format="csr")[np.argsort(order)]
        return rows.multiply(self._has_text(read)[:, None]).tocsr(), self._report(counts)

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return the vectors of queries (len(texts), dim) float32, dense.

        Raises:
            InputError: see `check_texts`; or queries are by idf, and nothing was fitted.
        """
        check_texts(texts)
        read = list(_normal(texts))
        if self._queries == IDF:
            if self._idf is None:
                raise InputError(
                    f"{self.name} weights queries by the idf of a corpus, and has read none. "
                    "Build an index with it, or fit it: embedder.fitted(texts)."
                )
            return self._idf.encode(read)
        vectors = np.zeros((len(read), self.dim), np.float32)
        if (some := np.flatnonzero(self._has_text(read))).size:
            wanted = [read[place] for place in some]
            vectors[some] = self._encoded(self._model.encode_query, wanted)
        return vectors

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """Report on queries as on documents."""
        return self._report(count_tokens(self._tokenizer, list(_normal(texts))))

    def _encoded(self, encode: Any, texts: Sequence[str]) -> Matrix:
        options = {"batch_size": self._batch_size, "show_progress_bar": False}
        found = encode(list(texts), convert_to_sparse_tensor=False, **options)
        return np.asarray(found.float().cpu().numpy(), np.float32)

    def _has_text(self, texts: Sequence[str]) -> Any:
        """Return which texts have more than white space: special tokens alone say nothing."""
        return np.array([bool(text.strip()) for text in texts], np.bool_)

    def _report(self, counts: Sequence[int]) -> TextReport:
        """Return the report on texts of so many tokens."""
        limit = limit_of(self._model) or math.inf
        return TextReport(
            texts=len(counts),
            truncated=sum(count > limit for count in counts),
            tokens=int(sum(min(count, limit) for count in counts)),
        )


def _lists(texts: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(texts)
    while some := list(islice(waiting, COUNTED)):
        yield some


def _normal(texts: Iterable[str]) -> Iterator[str]:
    """Yield texts in the normal form in which everything is read."""
    for text in texts:
        check_texts([text])
        yield normalize(text)


def _is_trained(files: Mapping[str, Path]) -> bool:
    """Return whether the files of a model say that its sparse vectors were trained."""
    settings, config = (
        json.loads(files[name].read_bytes()) if name in files else {} for name in (SETTINGS, CONFIG)
    )
    if settings.get("model_type") == TYPE:
        return True
    masked = any(str(kind).endswith(MASKED) for kind in config.get("architectures") or ())
    return masked and "modules.json" not in files
