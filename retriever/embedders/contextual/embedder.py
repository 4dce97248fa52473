"""Embedder for sentence-transformers models."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.errors import DamageError, InputError
from indexes.images import Image
from retriever.embedders.base import (
    IMAGE,
    TEXT,
    EmbedderSpec,
    Matrix,
    Spans,
    TextReport,
    WordVectors,
    check_texts,
    fingerprint_of,
    fingerprint_parts,
)
from retriever.embedders.contextual.encode_texts import ModelTexts
from retriever.embedders.contextual.encode_words import encode_words_in_context
from retriever.embedders.contextual.images.centering import Centers, check_center
from retriever.embedders.contextual.images.encode import ModelImages
from retriever.embedders.contextual.model_info import RUNTIMES, EncodingOptions, ModelInfo
from retriever.embedders.contextual.options import (
    OPTION_HELP,
    check_prompt_length,
    options_of,
    validate_options,
)
from retriever.embedders.contextual.runtime import opened
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.devices import computes_bfloat16
from retriever.embedders.layers import parse_layers, resolve_layer
from retriever.embedders.tokenization.alignment import validate_pooling
from retriever.embedders.validation import check_count, check_one_of, place_of


class ContextualEmbedder:
    """Embed texts with a sentence-transformers model, which reads each word in its context.

    `model` is a path, a model from an installed package, or a name on the Hugging Face hub (see
    `hub.py`). Texts are truncated at `max_length` tokens; the default is the model's own limit, or
    4,096 if it states none.

    The modules of a sentence model determine how tokens become a vector. A raw checkpoint, which
    has none (see `notes`), is mean-pooled; for a decoder saved for text generation
    (`...ForCausalLM`), the last token is used, as in sentence-transformers. These options override
    both:

    `pooling`: `mean`; `cls`, the first token; `last`, the last token; `weighted_mean`, with higher
    weights for later tokens; or `max`. `layer`: the layer to pool, such as `-2` (0 is the input of
    the first layer, -1 the last), or several to be averaged, `-4,-3,-2,-1` or `-4..-1`.
    `query_prompt` and `document_prompt` replace the model's own prompts; an empty one means no
    prompt. `dim`: keep only the first `dim` values of a vector, for models trained for that
    (Matryoshka). `similarity`: `cosine`, `dot` (the inner product) or `euclidean` (the distance);
    by default, what the model declares. Vectors that the model itself normalizes are compared by
    the cosine, which ranks them as the others do. `normalize`: only true is supported. `center`,
    for models of two modalities: texts and images are centered, each around the mean of a corpus,
    so that texts do not outrank images for being texts; see `images/centering.py`.

    `runtime` is `torch`, `onnx` (onnxruntime with a graph that is exported once into the user's
    cache, and compared with torch before use), or `auto`, the faster one on this machine (see
    `notes`). `device` is a torch device such as `cpu` or `cuda:0`, by default the best one.
    `precision` of weights and computation: `float32`; `bfloat16` (torch) or `int8` (onnx), faster
    on processors that support it, with nearly equal vectors; `float16` on GPUs; or `auto`, the
    fastest here. `batch_size` is the maximum number of texts computed at once; by default, the
    fastest.

    Vectors are float32, of length 1 for the cosine, else as the model returns them; blank texts get
    zeros.

    Attributes: `max_length` counts special tokens, and is None if unlimited; `layers` is the number
    of hidden layers; `similarity` says how vectors are compared. `runtime` and `precision` are
    those in use; `notes` say why, and warn about the model, one sentence each. `tokenizer_json` is
    the text of the model's `tokenizer.json`, if any. `fingerprint` has weights, modules, prompts,
    vocabulary and length of the model, and runtime and precision if they are not torch and float32.

    Raises:
        ModelNotAvailableError: the model cannot be loaded; the message lists what was tried and how
            to get it.
        InputError: an unknown value of an option, one that this model or machine does not support,
            or an invalid combination.
    """

    option_help = OPTION_HELP
    # A worker of a build hands over after so many: half a minute of one core.
    task_passages = 256

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        device: str | None = None,
        batch_size: int | None = None,
        max_length: int | None = None,
        runtime: str = "auto",
        precision: str = "float32",
        pooling: str | None = None,
        layer: str | int | None = None,
        dim: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        similarity: str | None = None,
        normalize: bool = True,
        center: bool = False,
    ) -> None:
        check_count("batch_size", batch_size)
        check_one_of("runtime", runtime, RUNTIMES)
        layers = None if layer is None else parse_layers(layer)
        own = query_prompt, document_prompt, similarity
        self._choices = EncodingOptions(max_length, precision, pooling, layers, dim, *own)
        validate_options(self._choices, normalize)
        model = place_of(model)
        self._name, self._device, self._runtime = model, device, runtime
        self._opened = opened(model, device=device, runtime=runtime, choices=self._choices)
        card, engine = self._opened.card, self._opened.engine
        self.name = Path(model).resolve().name if Path(model).exists() else _last(model)
        self.dim, self.max_length, self.layers = card.dim, card.max_length, card.layers
        self.similarity = card.similarity
        self.runtime, self.precision = engine.runtime, engine.precision
        self.notes = self._opened.notes
        self.tokenizer_json, self.fingerprint = card.tokenizer, card.fingerprint
        self.word_layer = (card.layers + 1) // 2
        tokenizer = None
        if card.tokenizer is not None:
            settings = card.tokenizer, card.max_length, card.side
            tokenizer = ModelTokenizer(*settings, literal=card.literal)
            used = [card.prompt(task) for task in ("query", "document")]
            check_prompt_length(tokenizer, used, card.max_length)
        # A model that takes more than tokens does its own preprocessing.
        self._texts = ModelTexts(self._opened, tokenizer if card.plain else None, batch_size)
        self.modalities = tuple(card.modalities)
        self._images = ModelImages(card, engine, batch_size)
        self._center = center
        self._centers: Centers | None = None
        if center:
            check_center(self.name, card)
            self.fingerprint = _fingerprint(card, None)

    def in_precision(self, precision: str | None = None) -> ContextualEmbedder:
        """Return the same model in another precision, with the runtime that is faster for it.

        None is the best precision of torch on this machine: bfloat16 if the processor supports it.
        """
        wanted = precision or ("bfloat16" if computes_bfloat16(self._device) else self.precision)
        if wanted == self.precision:
            return self
        options = {**self.spec.options, "precision": wanted, "runtime": "auto"}
        other = ContextualEmbedder(self.spec.model, **options)
        return other if self._centers is None else other._with(self._centers)

    def for_documents(self) -> ContextualEmbedder:
        """Return the same model in the fastest runtime for documents, measured if need be."""
        if self._opened.is_measured:
            return self
        other = ContextualEmbedder(self.spec.model, **self.spec.options)
        return other if self._centers is None else other._with(self._centers)

    def in_batches(self, batch_size: int) -> ContextualEmbedder:
        """Return a copy that shares the loaded model and reads at most `batch_size` texts at once.

        Raises:
            InputError: `batch_size` is not a positive integer.
        """
        check_count("batch_size", batch_size)
        other = copy.copy(self)
        other._texts = replace(self._texts, batch_size=batch_size)
        other._images = replace(self._images, batch_size=batch_size)
        return other

    @property
    def spec(self) -> EmbedderSpec:
        """Spec that loads this embedder again; a path is absolute.

        Device and runtime are selected again if they were not given; a selected precision is kept,
        since it changes the vectors.
        """
        path = Path(self._name).expanduser()
        model = str(path.resolve()) if path.exists() else os.fspath(self._name)
        options: dict[str, Any] = {
            "device": self._device,
            "batch_size": self._texts.batch_size,
            "runtime": None if self._runtime == "auto" else self._runtime,
            "precision": None if self.precision == "float32" else self.precision,
            **options_of(self._choices),
            "center": self._center or None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return EmbedderSpec("contextual", model, given)

    @property
    def needs_fit(self) -> bool:
        """Whether `center` was chosen and there are no centers yet."""
        return self._center and self._centers is None

    @property
    def parameters(self) -> bytes | None:
        """The centers as bytes; None if there are none."""
        return None if self._centers is None else self._centers.to_bytes()

    def fitted(self, contents: Iterable[str | Image]) -> ContextualEmbedder:
        """Return a copy with the centers of a corpus, read once; without `center`, itself."""
        if not self._center:
            return self
        encode = self._texts.encode
        return self._with(
            Centers.of(
                contents, self.dim, lambda texts: encode(texts, "document")[0], self._images.encode
            )
        )

    def with_parameters(self, parameters: bytes) -> ContextualEmbedder:
        """Return a copy with earlier centers.

        Raises:
            DamageError: the bytes are damaged, or were fitted for another model or other options.
        """
        centers = Centers.from_bytes(parameters)
        if not self._center or len(centers.text) != self.dim:
            raise DamageError(
                f"The stored fit was fitted for other options than those of {self.name}. "
                "Build the index with --refit (refit=True)."
            )
        return self._with(centers)

    def _with(self, centers: Centers) -> ContextualEmbedder:
        other = copy.copy(self)
        other._centers = centers
        digest = hashlib.sha256(centers.to_bytes()).hexdigest()
        other.fingerprint = _fingerprint(self._opened.card, digest)
        return other

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Return vectors (len(texts), dim) float32, with the model's document prompt.

        Raises:
            InputError: see `check_texts`.
        """
        return self.encode_and_report(texts)[0]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Return vectors (len(texts), dim) float32, with the model's query prompt."""
        return self._centered(self._texts.encode(texts, "query")[0], TEXT)

    def encode_images(self, images: Sequence[Image]) -> Matrix:
        """Return vectors (len(images), dim) float32, comparable with those of texts.

        Raises:
            InputError: the model encodes only text, or an image cannot be read or decoded.
        """
        if IMAGE not in self.modalities:
            raise InputError(f"{self.name} encodes only text, no images. Choose a CLIP model.")
        return self._centered(self._images.encode(images), IMAGE)

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """Return `encode_documents(texts)`, and counts of truncated texts, tokens and positions."""
        vectors, report = self._texts.encode(texts, "document")
        return self._centered(vectors, TEXT), report

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """Count the queries that are truncated at `max_length`, prompt included."""
        return self._texts.report(texts, "query")

    def _centered(self, vectors: Matrix, modality: str) -> Matrix:
        if self._center and self._centers is None:
            raise InputError(
                f"{self.name} is to center vectors, but was not fitted on a corpus. Build an index "
                "with it, or call fitted with the texts and images first."
            )
        return vectors if self._centers is None else self._centers.centered(vectors, modality)

    def encode_words(
        self,
        texts: Sequence[str],
        *,
        layer: int | None = None,
        pieces: str = "mean",
        spans: Sequence[Spans] | None = None,
    ) -> list[WordVectors]:
        """Return the words of each text that are read, with their vectors in this context.

        `layer` counts from 0 (the input of the first layer) or from the end if negative; the
        default is the middle layer, which separated word senses best in MiniLM, by a small margin
        (benchmarks/README.md). `pieces` combines the pieces of a word into one vector: `mean`,
        `first` or `last`. `spans` take the place of each text's words.

        Raises:
            InputError: no such layer or value of `pieces`, the model's tokenizer does not report
                the positions of its tokens in a text, or the model preprocesses texts itself.
        """
        check_texts(texts)
        validate_pooling(pieces)
        tokenizer = self._texts.tokenizer
        if tokenizer is None or IMAGE in self.modalities:
            offsets = self.tokenizer_json is None
            why = (
                "its tokenizer reports no token offsets"
                if offsets
                else "it only gives one vector to an entire text"
            )
            raise InputError(f"{self.name} has no vectors of words: {why}.")
        taken = resolve_layer(self.word_layer if layer is None else layer, self.layers, self.name)
        most = self._texts.batch_size
        return encode_words_in_context(
            self._opened,
            tokenizer,
            texts,
            layer=taken,
            pieces=pieces,
            batch_size=most,
            spans=spans,
        )


def _fingerprint(card: ModelInfo, centers: str | None) -> str:
    """Return the fingerprint of a model whose vectors are centered; None: not fitted yet."""
    return fingerprint_of(**fingerprint_parts(card.fingerprint), center=True, fitted=centers)


def _last(name: str | os.PathLike[str]) -> str:
    return os.fspath(name).rstrip("/").rsplit("/", 1)[-1]
