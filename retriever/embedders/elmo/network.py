"""ELMo's network in torch: characters to words, and words to vectors in context.

Peters et al. 2018, "Deep contextualized word representations" (https://arxiv.org/abs/1802.05365).
Operations and their order follow the authors' code, https://github.com/allenai/bilm-tf
(`bilm/model.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retriever.embedders.devices import survive_forks
from retriever.embedders.elmo.checkpoint import ElmoOptions, ElmoWeights, Floats, cell_name
from retriever.embedders.elmo.packing import Ids, PackedSteps, blocks, pack

# Character ids beyond the 256 bytes.
BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PADDING = range(256, 261)
# The first rows of a table of words are the two marks around every text.
BEGIN_ROW, END_ROW, FIRST_WORD = range(3)
# Batch sizes of words in the character convolutions and of rows in the LSTM's input product: with
# the published model, either takes less than 100 MB.
WORDS_TOGETHER = 256
ROWS_TOGETHER = 512


@dataclass(frozen=True)
class LstmState:
    """State of the LSTM layers after some texts, to be carried over to the next ones.

    `cells` and `outputs` have one tensor per layer, (2 directions, texts, width).
    """

    cells: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class Reading:
    """Outputs of the layers: one tensor per layer, (words of all texts, 2 x projection).

    The first one is the context-free words, twice. Rows are in the order of the texts and words.
    """

    layers: tuple[Any, ...]
    state: LstmState


class ElmoNet:
    """The network on a device; computes in float32, without gradients."""

    def __init__(self, options: ElmoOptions, weights: ElmoWeights, device: str) -> None:
        import torch

        survive_forks()
        self.options, self.device = options, device
        tensors = {name: _tensor(array, device) for name, array in weights.arrays.items()}
        self._characters = tensors["char_embed"]
        self._filters = [
            # A window of characters is one row, with their embeddings concatenated.
            (tensors[f"CNN/W_cnn_{n}"].reshape(-1, number), tensors[f"CNN/b_cnn_{n}"])
            for n, (_, number) in enumerate(options.filters)
        ]
        parts = ("W_carry", "b_carry", "W_transform", "b_transform")
        self._highways = [
            tuple(tensors[f"CNN_high_{n}/{part}"] for part in parts)
            for n in range(options.highways)
        ]
        # Absent where the filters are as wide as the projection.
        self._projection = [tensors.get(f"CNN_proj/{part}_proj") for part in ("W", "b")]
        self._lstm = [_lstm_layer(torch, tensors, n, options) for n in range(options.layers)]

    def table(self, words: Sequence[str]) -> Any:
        """Return the vectors of words without context, (2 + words, projection).

        The first two rows are the marks for the begin and end of a text.
        """
        import torch

        ids, lengths = _character_ids(words, self.options.word_length)
        table = torch.empty((len(ids), self.options.projection), device=self.device)
        order = np.argsort(lengths, kind="stable")
        widest = max(width for width, _ in self.options.filters)
        with torch.inference_mode():
            for start in range(0, len(order), WORDS_TOGETHER):
                some = order[start : start + WORDS_TOGETHER]
                # Windows of padding only are all equal: one for each filter is enough.
                wide = min(self.options.word_length, int(lengths[some[-1]]) + widest)
                table[self._to_device(some)] = self._words(self._to_device(ids[some, :wide]))
        return table

    def _words(self, ids: Any) -> Any:
        """Map character ids (words, characters) to vectors (words, projection)."""
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
        weight, bias = self._projection
        return found if weight is None else torch.addmm(bias, found, weight)

    def read(self, table: Any, texts: Sequence[Ids], state: LstmState | None = None) -> Reading:
        """Return the outputs of all layers.

        A text is given as the rows of its words in `table`; begin and end marks are added around it
        and left out of the result. Without a `state`, every text starts from zero. A state has the
        texts in the order given.
        """
        return self._read(table, texts, self.options.layers, state, lambda layer: layer)

    def means(self, table: Any, texts: Sequence[Ids], mixing: Sequence[float]) -> Floats:
        """Return the mean over each text's words, mixed over the layers: (texts, 2 x projection).

        `mixing` has one share per layer of a `Reading`; layers beyond the last non-zero share are
        not computed. Every text must have a word.
        """
        import torch

        depth = max(layer for layer, share in enumerate(mixing) if share)
        lengths = self._to_device(np.array([len(text) for text in texts], np.int64))

        def mean(layer: Any) -> Any:
            return torch.segment_reduce(layer, "mean", lengths=lengths)

        # Averaging before mixing keeps one layer's words in memory at a time.
        layers = self._read(table, texts, depth, None, mean).layers
        mixed: Floats = sum(
            layer.cpu().numpy() * np.float32(share)
            for layer, share in zip(layers, mixing, strict=False)
        )
        return mixed

    def layer(self, table: Any, texts: Sequence[Ids], layer: int) -> Floats:
        """Return the output of one layer for the words of all texts: (words, 2 x projection).

        Layer 0 has no context. Every text starts from zero; layers above are not computed.
        """
        # Keeps one layer's words in memory at a time.
        kept = deque[Any](maxlen=1)
        self._read(table, texts, layer, None, kept.append)
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
        """Apply `taken` to the words and the first `depth` LSTM layers, each (all words, width)."""
        import torch

        lengths = np.array([len(text) + 2 for text in texts], np.int64)
        steps = pack(lengths)
        rows = np.concatenate([part for text in texts for part in ([BEGIN_ROW], text, [END_ROW])])
        ends = np.cumsum(lengths)
        inner = self._to_device(np.delete(np.arange(len(rows)), [*(ends - lengths), *(ends - 1)]))
        forward, backward = self._to_device(np.argsort(steps.rows, axis=1))[:, inner]
        with torch.inference_mode():
            words = table[self._to_device(rows)]
            read, cells, outputs = [taken(words[inner].repeat(1, 2))], [], []
            sequence = words[self._to_device(steps.rows)]
            for layer in range(depth):
                before = self._initial_state(layer, state, steps)
                result, cell, output = self._run(layer, sequence, steps, *before)
                sequence = result.add_(sequence) if layer and self.options.skip else result
                read.append(taken(torch.cat([sequence[0, forward], sequence[1, backward]], 1)))
                cells.append(cell)
                outputs.append(output)
        return Reading(tuple(read), LstmState(tuple(cells), tuple(outputs)))

    def _initial_state(
        self, layer: int, state: LstmState | None, steps: PackedSteps
    ) -> tuple[Any, Any]:
        """Return the initial cells and outputs of a layer, longest text first."""
        import torch

        if state is None:
            shape = (2, len(steps.order))
            cells = torch.zeros((*shape, self.options.cells), device=self.device)
            return cells, torch.zeros((*shape, self.options.projection), device=self.device)
        order = self._to_device(steps.order)
        return state.cells[layer][:, order], state.outputs[layer][:, order]

    def _run(self, layer: int, sequence: Any, steps: PackedSteps, cells: Any, output: Any) -> Any:
        """Run one layer over all steps; return outputs (2, total, projection) and final state.

        `cells` and `output` are the initial state; `cells` is overwritten.
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
        place = self._to_device(np.argsort(steps.order))
        return results, cells[:, place], results[:, self._to_device(steps.last)][:, place]

    def _step(self, gates: Any, cells: Any, projection: Any) -> Any:
        """Return the outputs of one step; `gates` and `cells` are overwritten.

        The gates are input, forget, output, new value; the forget gate's bias includes its 1.
        """
        import torch

        width = self.options.cells
        opened = gates[..., : 3 * width].sigmoid_()
        kept, forget, out = opened.split(width, dim=-1)
        cells.mul_(forget).addcmul_(kept, gates[..., 3 * width :].tanh_())
        _clip(cells, self.options.cell_clip)
        return _clip(torch.bmm(out * cells.tanh(), projection), self.options.projection_clip)

    def _to_device(self, array: NDArray[Any]) -> Any:
        return _tensor(array, self.device)


def _tensor(array: NDArray[Any], device: str) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _clip(values: Any, limit: float | None) -> Any:
    return values if limit is None else values.clamp_(-limit, limit)


def _lstm_layer(torch: Any, tensors: Any, layer: int, options: ElmoOptions) -> tuple[Any, ...]:
    """Stack both directions of a layer: weights of inputs and outputs, bias, projection.

    The gates come as input, new value, forget, output; the new value is moved to the end, so that
    the three others are contiguous.
    """
    width, parts = options.cells, []
    for direction in range(2):
        cell = cell_name(direction, layer)
        weight, bias, projection = (tensors[f"{cell}/{name}"] for name in ("W_0", "B", "W_P_0"))
        gates = [slice(n * width, (n + 1) * width) for n in (0, 2, 3, 1)]
        weight = torch.cat([weight[:, gate] for gate in gates], 1)
        bias = torch.cat([bias[gate] for gate in gates])[None]
        # TensorFlow adds 1 to the forget gate while it runs.
        bias[:, width : 2 * width] += 1
        parts.append((*weight.split(options.projection), bias, projection))
    return tuple(torch.stack(pair) for pair in zip(*parts, strict=True))


def _character_ids(words: Sequence[str], length: int) -> tuple[Ids, Ids]:
    """Return ids (2 + words, length) of the two marks and the words, and their lengths.

    A word is its first `length` - 2 bytes in UTF-8, between the marks for its begin and end.
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
