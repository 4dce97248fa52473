"""ViLBERT's network in torch: a stream of text and one of an image's regions, with bridges.

Lu et al. 2019, "ViLBERT: Pretraining Task-Agnostic Visiolinguistic Representations for
Vision-and-Language Tasks" (https://arxiv.org/abs/1908.02265), and Lu et al. 2020, "12-in-1:
Multi-Task Vision and Language Representation Learning" (https://arxiv.org/abs/1912.02315).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retriever.embedders.devices import survive_forks
from retriever.rerankers.vilbert.checkpoint import FINE_TUNED, TASK_EMBEDDINGS, Checkpoint

EPSILON = 1e-12
MASKED = -10_000.0


@dataclass(frozen=True)
class VilbertInput:
    """Tensors of `b` pairs of a text and an image; padding is 0 in the masks.

    `ids` and `text_mask` are (b, tokens), or (1, tokens) for one text with all images; `features`
    (b, regions, v_feature_size), `boxes` (b, regions, 5) and `image_mask` (b, regions).
    """

    ids: Any
    text_mask: Any
    features: Any
    boxes: Any
    image_mask: Any


@dataclass(frozen=True)
class VilbertStates:
    """Last states (b, tokens, width) and (b, regions, width), pooled states, and scores (b,)."""

    text: Any
    image: Any
    pooled_text: Any
    pooled_image: Any
    score: Any


class VilbertNet:
    """The network on a device; computes in float32, without gradients.

    A checkpoint with task tokens gets the one of `task` after the first token of every text.
    """

    def __init__(self, checkpoint: Checkpoint, device: str, task: int) -> None:
        survive_forks()
        self.config, self.device, self._task = checkpoint.config, device, task
        self._head, self._has_tasks = checkpoint.head, bool(checkpoint.tasks)
        self._tensors = {name: of.to(device) for name, of in checkpoint.tensors.items()}

    def read(self, given: VilbertInput) -> VilbertStates:
        """Return the states and scores of some pairs; higher scores mean that they fit better."""
        import torch

        with torch.inference_mode():
            text, text_mask = self._text(given.ids, given.text_mask)
            image = self._image(given.features, given.boxes)
            masks = text_mask, _additive(given.image_mask)
            text, image = self._encoded(text, image, masks)
            pooled_text = torch.relu(self._linear("bert.t_pooler.dense", text[:, 0]))
            pooled_image = torch.relu(self._linear("bert.v_pooler.dense", image[:, 0]))
            found = self._linear(self._head, pooled_text * pooled_image)
            score = found[:, 0] if self._head == FINE_TUNED else found.softmax(1)[:, 0]
            return VilbertStates(text, image, pooled_text, pooled_image, score)

    def _text(self, ids: Any, mask: Any) -> tuple[Any, Any]:
        """Return the embedded tokens, the task token included, and their additive mask."""
        import torch

        name, tensors = "bert.embeddings", self._tensors
        words = tensors[f"{name}.word_embeddings.weight"][ids]
        places = tensors[f"{name}.position_embeddings.weight"][: ids.shape[1]]
        found = words + places + tensors[f"{name}.token_type_embeddings.weight"][0]
        if self._has_tasks:
            task = tensors[TASK_EMBEDDINGS][self._task].expand(len(ids), 1, -1)
            found = torch.cat([found[:, :1], task, found[:, 1:]], 1)
            mask = torch.cat([mask.new_ones(len(mask), 1), mask], 1)
        return self._norm(f"{name}.LayerNorm", found), _additive(mask)

    def _image(self, features: Any, boxes: Any) -> Any:
        name = "bert.v_embeddings"
        looks = self._linear(f"{name}.image_embeddings", features)
        places = self._linear(f"{name}.image_location_embeddings", boxes)
        return self._norm(f"{name}.LayerNorm", looks + places)

    def _encoded(self, text: Any, image: Any, masks: tuple[Any, Any]) -> tuple[Any, Any]:
        """Run the layers of both streams, with the bridges in between."""
        config, encoder = self.config, "bert.encoder"
        heads, v_heads = config.num_attention_heads, config.v_num_attention_heads
        t_ends = *config.t_biattention_id, config.num_hidden_layers
        v_ends = *config.v_biattention_id, config.v_num_hidden_layers
        t_start = v_start = 0
        for bridge, (t_end, v_end) in enumerate(zip(t_ends, v_ends, strict=True)):
            for number in range(t_start, t_end):
                text = self._layer(f"{encoder}.layer.{number}", text, masks[0], heads)
            for number in range(v_start, v_end):
                image = self._layer(f"{encoder}.v_layer.{number}", image, masks[1], v_heads)
            if bridge < len(config.t_biattention_id):
                # Until here one text needs to be computed only once, whatever the images.
                text = text.expand(len(image), -1, -1)
                text, image = self._bridge(f"{encoder}.c_layer.{bridge}", text, image, masks)
            t_start, v_start = t_end, v_end
        return text, image

    def _layer(self, name: str, states: Any, mask: Any, heads: int) -> Any:
        """Run a layer of one stream: self-attention, then two linear maps."""
        own = f"{name}.attention.self"
        parts = [self._linear(f"{own}.{part}", states) for part in ("query", "key", "value")]
        found = self._linear(f"{name}.attention.output.dense", _attend(parts, mask, heads))
        states = self._norm(f"{name}.attention.output.LayerNorm", found + states)
        return self._feed_forward(f"{name}.", states)

    def _bridge(self, name: str, text: Any, image: Any, masks: tuple[Any, Any]) -> tuple[Any, Any]:
        """Run a co-attention: the text attends to the image, and the image to the text.

        In the names of the tensors, 1 is the image's stream and 2 the text's.
        """
        own, out, heads = (
            f"{name}.biattention",
            f"{name}.biOutput",
            self.config.bi_num_attention_heads,
        )
        queries, keys, values = (
            [self._linear(f"{own}.{part}{n}", states) for n, states in ((1, image), (2, text))]
            for part in ("query", "key", "value")
        )
        seen = _attend([queries[1], keys[0], values[0]], masks[1], heads)
        read = _attend([queries[0], keys[1], values[1]], masks[0], heads)
        image = self._norm(f"{out}.LayerNorm1", self._linear(f"{out}.dense1", read) + image)
        text = self._norm(f"{out}.LayerNorm2", self._linear(f"{out}.dense2", seen) + text)
        return self._feed_forward(f"{name}.t_", text), self._feed_forward(f"{name}.v_", image)

    def _feed_forward(self, name: str, states: Any) -> Any:
        from torch.nn.functional import gelu

        inner = gelu(self._linear(f"{name}intermediate.dense", states))
        return self._norm(
            f"{name}output.LayerNorm", self._linear(f"{name}output.dense", inner) + states
        )

    def _linear(self, name: str, states: Any) -> Any:
        from torch.nn.functional import linear

        return linear(states, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, name: str, states: Any) -> Any:
        from torch.nn.functional import layer_norm

        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return layer_norm(states, weight.shape, weight, bias, EPSILON)


def _additive(mask: Any) -> Any:
    """Return a mask (b, length) as what is added to attention scores: (b, 1, 1, length)."""
    return (1 - mask[:, None, None, :].float()) * MASKED


def _attend(parts: Sequence[Any], mask: Any, heads: int) -> Any:
    """Return what queries (b, n, width) gather from keys and values (b, m, width)."""
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]) + mask
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
