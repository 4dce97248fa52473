"""ELMo's network in torch: characters to words, and words to their meanings in context.

Peters et al. 2018, "Deep contextualized word representations" (https://arxiv.org/abs/1802.05365).
What is computed, and in which order, is that of the authors' own code,
https://github.com/allenai/bilm-tf (`bilm/model.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.elmo.checkpoint import ElmoOptions, ElmoWeights, Floats, cell_name
from retriever.embedders.elmo.packing import Ids, Steps, blocks, side_by_side

# Character ids beyond the 256 bytes.
BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PADDING = range(256, 261)
# The first rows of a table of words are the two marks around every text.
BEGIN_ROW, END_ROW, FIRST_WORD = range(3)
# Words that go through the character convolutions together, and steps through the LSTM's inputs:
# with the published model either takes less than 100 MB.
WORDS_TOGETHER = 256
ROWS_TOGETHER = 512


@dataclass(frozen=True)
class LstmState:
    """What the LSTM layers hold after some texts, to be carried on to the next ones.

    `cells` and `outputs` have a tensor a layer, (2 directions, texts, width).
    """

    cells: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class Reading:
    """What the layers make of texts: a tensor a layer, (words of all texts, 2 x projection).

    The first is the words themselves, twice. Rows are in the order of the texts and words.
    """

    layers: tuple[Any, ...]
    state: LstmState


class ElmoNet:
    """The network on a device; computes without gradients in float32."""

    def __init__(self, options: ElmoOptions, weights: ElmoWeights, device: str) -> None:
        import torch

        self.options, self.device = options, device
        tensors = {name: _tensor(array, device) for name, array in weights.arrays.items()}
        self._characters = tensors["char_embed"]
        self._filters = [
            # A window of characters is one row: their numbers one after the other.
            (tensors[f"CNN/W_cnn_{n}"].reshape(-1, number), tensors[f"CNN/b_cnn_{n}"])
            for n, (_, number) in enumerate(options.filters)
        ]
        self._highways = [
            tuple(
                tensors[f"CNN_high_{n}/{part}_{gate}"]
                for gate in ("carry", "transform")
                for part in ("W", "b")
            )
            for n in range(options.highways)
        ]
        self._projection = (
            (tensors["CNN_proj/W_proj"], tensors["CNN_proj/b_proj"])
            if "CNN_proj/W_proj" in tensors
            else None
        )
        self._lstm = [_lstm_layer(torch, tensors, n, options) for n in range(options.layers)]

    # -- words ----------------------------------------------------------------------------------

    def table(self, words: Sequence[str]) -> Any:
        """The vectors of words without context, (2 + words, projection).

        The first two rows are the marks at the begin and at the end of a text.
        """
        import torch

        ids, lengths = _character_ids(words, self.options.word_length)
        table = torch.empty((len(ids), self.options.projection), device=self.device)
        order = np.argsort(lengths, kind="stable")
        widest = max(width for width, _ in self.options.filters)
        with torch.inference_mode():
            for start in range(0, len(order), WORDS_TOGETHER):
                some = order[start : start + WORDS_TOGETHER]
                # All windows of nothing but padding are alike: one for each filter is enough.
                wide = min(self.options.word_length, int(lengths[some[-1]]) + widest)
                table[self._moved(some)] = self._words(self._moved(ids[some, :wide]))
        return table

    def _words(self, ids: Any) -> Any:
        """Character ids (words, characters) to vectors (words, projection)."""
        import torch

        activation = torch.relu if self.options.activation == "relu" else torch.tanh
        numbers = self._characters[ids].flatten(1)
        step = self.options.characters
        parts = []
        for (width, _), (weight, bias) in zip(self.options.filters, self._filters, strict=True):
            windows = numbers.unfold(1, width * step, step)
            parts.append(activation((windows @ weight).amax(1) + bias))
        found = torch.cat(parts, 1)
        for carry, carry_bias, transform, transform_bias in self._highways:
            kept = torch.sigmoid(torch.addmm(carry_bias, found, carry))
            new = torch.relu(torch.addmm(transform_bias, found, transform))
            found = kept * new + (1 - kept) * found
        if self._projection is None:
            return found
        weight, bias = self._projection
        return torch.addmm(bias, found, weight)

    # -- texts ----------------------------------------------------------------------------------

    def read(self, table: Any, texts: Sequence[Ids], state: LstmState | None = None) -> Reading:
        """What the layers make of texts.

        A text is the rows of `table` that are its words, without the marks, which are put around
        it and left out of what comes back. Without a `state` every text begins from zero. A state
        has the texts in the order in which they are given.
        """
        return self._read(table, texts, self.options.layers, state, lambda layer: layer)

    def means(self, table: Any, texts: Sequence[Ids], mixing: Sequence[float]) -> Floats:
        """The mean of each text's words, mixed from the layers: (texts, 2 x projection).

        `mixing` has a share for every layer of a `Reading`; layers beyond the last share are not
        computed. Every text has a word.
        """
        import torch

        depth = max(layer for layer, share in enumerate(mixing) if share)
        lengths = self._moved(np.array([len(text) for text in texts], np.int64))

        def mean(layer: Any) -> Any:
            return torch.segment_reduce(layer, "mean", lengths=lengths)

        # Averaged before they are mixed: one layer's words in memory at a time.
        layers = self._read(table, texts, depth, None, mean).layers
        mixed: Floats = sum(
            layer.cpu().numpy() * np.float32(share)
            for layer, share in zip(layers, mixing, strict=False)
        )
        return mixed

    def layer(self, table: Any, texts: Sequence[Ids], layer: int) -> Floats:
        """What one layer makes of the words of all texts: (words, 2 x projection); 0: no context.

        Every text begins from zero; layers above are not computed.
        """
        kept = list[Any]()

        def last(layer: Any) -> None:
            # One layer's words in memory at a time.
            kept[:] = [layer]

        self._read(table, texts, layer, None, last)
        found: Floats = kept[0].cpu().numpy()
        return found

    def _read(
        self,
        table: Any,
        texts: Sequence[Ids],
        depth: int,
        state: LstmState | None,
        taken: Callable[[Any], Any],
    ) -> Reading:
        """The words and the first `depth` LSTM layers, each as `taken` from (all words, width)."""
        import torch

        lengths = np.array([len(text) + 2 for text in texts], np.int64)
        steps = side_by_side(lengths)
        rows = np.concatenate([part for text in texts for part in ([BEGIN_ROW], text, [END_ROW])])
        ends = np.cumsum(lengths)
        inner = self._moved(np.delete(np.arange(len(rows)), [*(ends - lengths), *(ends - 1)]))
        forward, backward = self._moved(np.argsort(steps.rows, axis=1))[:, inner]
        with torch.inference_mode():
            words = table[self._moved(rows)]
            read, cells, outputs = [taken(words[inner].repeat(1, 2))], [], []
            sequence = words[self._moved(steps.rows)]
            for layer in range(depth):
                before = self._before(layer, state, steps)
                result, cell, output = self._run(layer, sequence, steps, *before)
                sequence = result.add_(sequence) if layer and self.options.skip else result
                read.append(taken(torch.cat([sequence[0, forward], sequence[1, backward]], 1)))
                cells.append(cell)
                outputs.append(output)
        return Reading(tuple(read), LstmState(tuple(cells), tuple(outputs)))

    def _before(self, layer: int, state: LstmState | None, steps: Steps) -> tuple[Any, Any]:
        """The cells and outputs that a layer begins with, the longest text first."""
        import torch

        if state is None:
            shape = (2, len(steps.order))
            cells = torch.zeros((*shape, self.options.cells), device=self.device)
            return cells, torch.zeros((*shape, self.options.projection), device=self.device)
        order = self._moved(steps.order)
        return state.cells[layer][:, order], state.outputs[layer][:, order]

    def _run(self, layer: int, sequence: Any, steps: Steps, cells: Any, output: Any) -> Any:
        """One layer over all steps: outputs (2, total, projection), and its state after them.

        `cells` and `output` are what it begins with; `cells` is written over.
        """
        import torch

        inputs, recurrent, bias, projection = self._lstm[layer]
        results = torch.empty_like(sequence)
        for begin, sizes in blocks(steps.sizes, ROWS_TOGETHER):
            block = sequence[:, begin : begin + sum(sizes)]
            entering = torch.baddbmm(bias, block, inputs)
            for start, stop in pairwise(accumulate(sizes, initial=0)):
                running = stop - start
                gates = torch.baddbmm(entering[:, start:stop], output[:, :running], recurrent)
                output = self._step(gates, cells[:, :running], projection)
                results[:, begin + start : begin + stop] = output
        place = self._moved(np.argsort(steps.order))
        return results, cells[:, place], results[:, self._moved(steps.last)][:, place]

    def _step(self, gates: Any, cells: Any, projection: Any) -> Any:
        """The outputs of one step; `gates` and `cells` are written over.

        The gates are input, forget, output, new value; the forget gate's bias has its 1 already.
        """
        import torch

        width = self.options.cells
        opened = gates[..., : 3 * width].sigmoid_()
        kept, forget, out = opened.split(width, dim=-1)
        cells.mul_(forget).addcmul_(kept, gates[..., 3 * width :].tanh_())
        _clip(cells, self.options.cell_clip)
        return _clip(torch.bmm(out * cells.tanh(), projection), self.options.projection_clip)

    def _moved(self, array: NDArray[Any]) -> Any:
        return _tensor(array, self.device)


def _tensor(array: NDArray[Any], device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _clip(values: Any, limit: float | None) -> Any:
    return values if limit is None else values.clamp_(-limit, limit)


def _lstm_layer(torch: Any, tensors: Any, layer: int, options: ElmoOptions) -> tuple[Any, ...]:
    """Both directions of a layer together: weights of inputs and outputs, bias, projection.

    The gates come as input, new value, forget, output; here the new value is last, so that the
    three others are one stretch.
    """
    width, parts = options.cells, []
    for direction in range(2):
        cell = cell_name(direction, layer)
        named = (tensors[f"{cell}/{name}"] for name in ("W_0", "B", "W_P_0"))
        weight, bias, projection = named
        gates = [slice(n * width, (n + 1) * width) for n in (0, 2, 3, 1)]
        weight = torch.cat([weight[:, gate] for gate in gates], 1)
        bias = torch.cat([bias[gate] for gate in gates])[None]
        # TensorFlow adds 1 to the forget gate while it runs.
        bias[:, width : 2 * width] += 1
        parts.append((*weight.split(options.projection), bias, projection))
    return tuple(torch.stack(pair) for pair in zip(*parts, strict=True))


def _character_ids(words: Sequence[str], length: int) -> tuple[Ids, Ids]:
    """Ids (2 + words, length) of the two marks and the words, and how many are no padding.

    A word is its bytes in UTF-8, the first `length` - 2, between the marks of its begin and end.
    """
    encoded = [word.encode()[: length - 2] for word in words]
    lengths = np.array([1, 1, *map(len, encoded)], np.int64)
    ids = np.full((len(lengths), length), PADDING, np.int64)
    ids[:, 0] = BEGIN_WORD
    ids[:2, 1] = BEGIN_SENTENCE, END_SENTENCE
    within = np.arange(length - 2) < lengths[2:, None]
    ids[2:, 1:-1][within] = np.frombuffer(b"".join(encoded), np.uint8)
    ids[np.arange(len(ids)), 1 + lengths] = END_WORD
    return ids, lengths + 2
