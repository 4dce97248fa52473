"""Sentence embeddings from transformers, which read every word in its context."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.errors import InputError
from retriever.embedders.base import EmbedderSpec, Matrix, TextReport, WordVectors
from retriever.embedders.contextual.encode_texts import ModelTexts
from retriever.embedders.contextual.encode_words import words_in_context
from retriever.embedders.contextual.model_info import RUNTIMES
from retriever.embedders.contextual.options import check_room, checked_choices, options_of
from retriever.embedders.contextual.runtime import opened
from retriever.embedders.contextual.tokenizer import ModelTokenizer
from retriever.embedders.devices import computes_bfloat16
from retriever.embedders.layers import resolved_layer
from retriever.embedders.texts import check_texts
from retriever.embedders.tokenization.alignment import check_pieces
from retriever.embedders.validation import check_count, check_one_of


class ContextualEmbedder:
    """Embeds a text by a sentence-transformers model, which reads every word in its context.

    `model` is a path, a model carried by an installed package, or a name on Hugging Face (see
    `locate.py`). A text of more than `max_length` tokens is cut off there; the default is the
    model's own limit, or 4,096 where it states none.

    The parts that a sentence model's own folder names decide how tokens become a vector. A raw
    checkpoint, which has none (see `notes`), is averaged; but of a decoder that was saved to write
    text (`...ForCausalLM`) the last token is taken, as sentence-transformers does. These choices
    go before both:

    `pooling`: `mean`; `cls`, the first token; `last`, the last token; `weighted_mean`, where later
    tokens weigh more; or `max`. `layer`: whose vectors of tokens are pooled: one such as `-2` (0
    is what goes into the first layer, -1 the last), or several to be averaged, `-4,-3,-2,-1` or
    `-4..-1`. `query_prompt` and `document_prompt`: put before every text in the place of the
    model's own prompts; an empty one leaves the prompt out. `dim`: only so many numbers of a
    vector are kept, its first, which models trained for that (Matryoshka) allow. `normalize`:
    scores are cosines, so vectors always come out as long as 1, and only true is taken.

    `runtime` is what computes: `torch`, `onnx` (onnxruntime over a copy that is exported once,
    into the user's cache, and compared with torch before it is trusted), or `auto`, which is the
    faster one on this machine (see `notes`). `device` is a torch device such as `cpu` or `cuda:0`;
    without it torch's best one is taken. `precision` is that of the weights and of the computing:
    `float32`; `bfloat16` (torch), or `int8` (onnx), faster on processors that have it, with
    vectors that hardly differ; `float16` on GPUs; or `auto`, the fastest of them here. `batch_size`
    is the most texts that are computed at once; without it, as many as are fastest.

    Vectors come out as float32 of length 1; a text of nothing but white space gets zeros.

    Raises:
        ModelNotAvailableError: the model cannot be had: what was tried, and how to get it.
        InputError: no such device, runtime or precision, or they do not go together; `batch_size`,
            `max_length` or `dim` is not a whole number from 1 up; or a choice that there is not, or
            that this model cannot have.
    """

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
        normalize: bool = True,
    ) -> None:
        check_count("batch_size", batch_size)
        check_one_of("runtime", runtime, RUNTIMES)
        self._name, self._device, self._runtime = model, device, runtime
        self._choices = checked_choices(
            max_length=max_length,
            precision=precision,
            pooling=pooling,
            layer=layer,
            dim=dim,
            query_prompt=query_prompt,
            document_prompt=document_prompt,
            normalize=normalize,
        )
        self._opened = opened(model, device=device, runtime=runtime, choices=self._choices)
        card = self._opened.card
        tokenizer = None
        if card.tokenizer is not None:
            tokenizer = ModelTokenizer(card.tokenizer, card.max_length, card.side)
            prompts = [card.prompt(task) for task in ("query", "document")]
            check_room(tokenizer, prompts, card.max_length)
        # A model that is told more than tokens reads texts itself.
        self._texts = ModelTexts(self._opened, tokenizer if card.plain else None, batch_size)

    @property
    def name(self) -> str:
        """The model's name without the organisation, or its folder's."""
        return Path(self._name).resolve().name if Path(self._name).exists() else _last(self._name)

    @property
    def dim(self) -> int:
        """The width of every vector."""
        return self._opened.card.dim

    @property
    def max_length(self) -> int | None:
        """Tokens of a text that the model reads, its marks included; None where there is no end."""
        return self._opened.card.max_length

    @property
    def layers(self) -> int:
        """Hidden layers of the transformer."""
        return self._opened.card.layers

    @property
    def runtime(self) -> str:
        """What computes: `torch` or `onnx`."""
        return self._opened.engine.runtime

    @property
    def precision(self) -> str:
        """In which numbers it computes: `float32`, `bfloat16`, `float16` or `int8`."""
        return self._opened.engine.precision

    @property
    def notes(self) -> tuple[str, ...]:
        """What computes on this machine, where that was picked, and why; what else is to be known.

        A sentence each.
        """
        return self._opened.notes

    def in_precision(self, precision: str | None = None) -> ContextualEmbedder:
        """The same model at another precision, by the runtime that is faster with it here.

        Without one, at that which this machine is best at in torch: bfloat16 where the processor
        computes with it.
        """
        best = "bfloat16" if computes_bfloat16(self._device) else self.precision
        wanted = precision or best
        if wanted == self.precision:
            return self
        options = {**self.spec.options, "precision": wanted, "runtime": "auto"}
        return ContextualEmbedder(self.spec.model, **options)

    def in_batches(self, batch_size: int) -> ContextualEmbedder:
        """The same loaded model, reading at most so many texts at once.

        Raises:
            InputError: `batch_size` is not a whole number from 1 up.
        """
        check_count("batch_size", batch_size)
        other = copy.copy(self)
        other._texts = replace(self._texts, batch_size=batch_size)
        return other

    @property
    def tokenizer_json(self) -> str | None:
        """The model's tokenizer as the text of a `tokenizer.json`; None where it has none."""
        return self._opened.card.tokenizer

    @property
    def fingerprint(self) -> str:
        """Names the model by what it computes: weights, modules, prompts, vocabulary, length.

        And by runtime and precision, where they are others than torch and float32.
        """
        return self._opened.card.fingerprint

    @property
    def spec(self) -> EmbedderSpec:
        """How to load this embedder again; a path is absolute.

        Device and runtime are chosen anew where they were not given; a precision that was picked
        stays, since it decides the vectors.
        """
        path = Path(self._name).expanduser()
        model = str(path.resolve()) if path.exists() else os.fspath(self._name)
        options: dict[str, Any] = {
            "device": self._device,
            "batch_size": self._texts.batch_size,
            "runtime": None if self._runtime == "auto" else self._runtime,
            "precision": None if self.precision == "float32" else self.precision,
            **options_of(self._choices),
        }
        given = {name: value for name, value in options.items() if value is not None}
        return EmbedderSpec("contextual", model, given)

    def encode_documents(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32, with the model's prompt for documents.

        Raises:
            InputError: something that is no text; see `check_texts`.
        """
        return self._texts.encode(texts, "document")[0]

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Unit vectors (len(texts), dim) float32, with the model's prompt for queries."""
        return self._texts.encode(texts, "query")[0]

    def encode_and_report(self, texts: Sequence[str]) -> tuple[Matrix, TextReport]:
        """`encode_documents(texts)`, and how many texts were cut off at `max_length`.

        Also the tokens that were read, and the places that were computed for them.
        """
        return self._texts.encode(texts, "document")

    def report_queries(self, texts: Sequence[str]) -> TextReport:
        """How many of some queries are cut off at `max_length`, their prompt included."""
        return self._texts.report(texts, "query")

    def encode_words(
        self, texts: Sequence[str], *, layer: int | None = None, pieces: str = "mean"
    ) -> list[WordVectors]:
        """The words of each text that are read, with their vectors in this context.

        `layer` counts from 0 (what goes into the first) or from the end if negative; without it,
        the middle one is taken, which told meanings apart best in MiniLM, by little
        (benchmarks/README.md).
        `pieces` says how the pieces of a word become one vector: `mean`, `first` or `last`.

        Raises:
            InputError: no such layer, no such way with pieces, or the model's tokenizer does not
                say where its tokens stand in a text.
        """
        check_texts(texts)
        check_pieces(pieces)
        taken = self.word_layer if layer is None else layer
        taken, tokenizer = resolved_layer(taken, self.layers, self.name), self._texts.tokenizer
        if tokenizer is None:
            raise InputError(
                f"{self.name} has no vectors of words: it does not say where its tokens stand."
            )
        most = self._texts.batch_size
        return words_in_context(
            self._opened, tokenizer, texts, layer=taken, pieces=pieces, batch_size=most
        )

    @property
    def word_layer(self) -> int:
        """The layer that `encode_words` takes unasked."""
        return (self.layers + 1) // 2


def _last(name: str | os.PathLike[str]) -> str:
    return os.fspath(name).rstrip("/").rsplit("/", 1)[-1]
