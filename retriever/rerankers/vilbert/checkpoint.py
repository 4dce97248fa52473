"""Checkpoints of ViLBERT: their configuration, and the tensors that a score depends on.

Names and shapes are those of https://github.com/facebookresearch/vilbert-multi-task.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from indexes.errors import InputError, ModelNotAvailableError, first_of
from retriever.embedders.static.safetensors_file import as_float32, read_tensors
from retriever.embedders.validation import check_not_pointer, first_line

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Options of the authors' code that this network does not compute: the values that it does.
SUPPORTED = {
    "hidden_act": "gelu",
    "v_hidden_act": "gelu",
    "fusion_method": "mul",
    "pooling_method": "mul",
    "model": "bert",
    "dynamic_attention": False,
    "with_coattention": True,
}
TASK_EMBEDDINGS = "bert.embeddings.task_embeddings.weight"
# Heads of a score, the first that a checkpoint has: of fine-tuning, and of pre-training.
FINE_TUNED, PRE_TRAINED = "vil_logit", "cls.bi_seq_relationship"
# Names in a message.
NAMED = 4


@dataclass(frozen=True)
class VilbertConfig:
    """Sizes of both streams and of the bridges; `v_` is the image's, `bi_` the bridges'.

    Before bridge `n`, the text stream has computed the layers below `t_biattention_id[n]`, the
    image stream those below `v_biattention_id[n]`.
    """

    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    v_feature_size: int
    v_hidden_size: int
    v_intermediate_size: int
    v_num_hidden_layers: int
    v_num_attention_heads: int
    bi_hidden_size: int
    bi_num_attention_heads: int
    t_biattention_id: tuple[int, ...]
    v_biattention_id: tuple[int, ...]

    @classmethod
    def of(cls, path: Path, values: Mapping[str, Any]) -> VilbertConfig:
        """Check the values of a `config.json` and return them.

        Raises:
            InputError: one is missing, invalid, or of a variant that is not computed here.
        """
        for name, expected in SUPPORTED.items():
            if values.get(name, expected) != expected:
                raise InputError(
                    f"{path}: {name} is {values[name]!r}; only {expected!r} is supported."
                )
        read: dict[str, Any] = {}
        for field in fields(cls):
            value = values.get(field.name)
            several = field.name.endswith("biattention_id")
            each = value if isinstance(value, list) else [value]
            if isinstance(value, list) is not several or not all(map(_is_count, each)):
                what = "a list of whole numbers" if several else "a whole number"
                raise InputError(f"{path}: {field.name} is {value!r}; expected {what}.")
            read[field.name] = tuple(each) if several else value
        config = cls(**read)
        config._check(path)
        return config

    def _check(self, path: Path) -> None:
        for prefix, width in (("", self.hidden_size), ("v_", self.v_hidden_size)):
            self._check_heads(path, f"{prefix}num_attention_heads", width)
        self._check_heads(path, "bi_num_attention_heads", self.bi_hidden_size)
        bridges = self.t_biattention_id, self.v_biattention_id
        deepest = self.num_hidden_layers, self.v_num_hidden_layers
        ordered = all(list(ids) == sorted(set(ids)) for ids in bridges)
        within = all(not ids or ids[-1] <= most for ids, most in zip(bridges, deepest, strict=True))
        if not ordered or not within or len({len(ids) for ids in bridges}) > 1 or not bridges[0]:
            raise InputError(
                f"{path}: t_biattention_id is {list(bridges[0])}, v_biattention_id "
                f"{list(bridges[1])}; expected ascending layers, as many in both streams."
            )

    def _check_heads(self, path: Path, name: str, width: int) -> None:
        heads = getattr(self, name)
        if not heads or width % heads:
            raise InputError(f"{path}: {name} is {heads}, which does not divide {width}.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True)
class Checkpoint:
    """A configuration, the tensors (float32) that a score depends on, and the score's head.

    `tasks` is the number of task tokens; 0 if the checkpoint was trained without.
    """

    config: VilbertConfig
    tensors: Mapping[str, Any]
    head: str
    tasks: int


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a folder with `config.json` and `model.safetensors` or `pytorch_model.bin`.

    A single `.bin` of another name is taken, too. Pickles are read as tensors only.

    Raises:
        ModelNotAvailableError: the folder or a file is missing, is no file of tensors, or lacks a
            tensor that the score depends on, or has it in another shape; the message names it.
        InputError: the configuration is invalid or not supported.
    """
    path = folder / CONFIG
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelNotAvailableError(
            f"No ViLBERT model in {folder}: {CONFIG} cannot be read ({first_line(error)}). "
            f"Expected a folder with {CONFIG}, {' or '.join(WEIGHTS)}, and a vocabulary."
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a JSON object.")
    config = VilbertConfig.of(path, values)
    file = _weights_file(folder)
    tensors = {name.removeprefix("module."): of for name, of in _read(file).items()}
    # The authors' code chose task tokens on the command line: most files do not say.
    tasks = _rows(tensors.get(TASK_EMBEDDINGS))
    if not values.get("task_specific_tokens", bool(tasks)):
        tasks = 0
    elif not tasks:
        raise _unusable(file, [TASK_EMBEDDINGS])
    head = FINE_TUNED if f"{FINE_TUNED}.weight" in tensors else PRE_TRAINED
    wanted = dict(shapes_of(config, head, tasks))
    if lacking := [name for name in wanted if name not in tensors]:
        raise _unusable(file, lacking)
    for name, shape in wanted.items():
        if (found := tuple(tensors[name].shape)) != shape:
            raise ModelNotAvailableError(
                f"{file} has {name} in the shape {found}; {CONFIG} expects {shape}. "
                "Put the configuration of this checkpoint beside it."
            )
    needed = {name: tensors[name].float().contiguous() for name in wanted}
    return Checkpoint(config, needed, head, tasks)


def _rows(tensor: Any) -> int:
    return 0 if tensor is None or not tensor.ndim else int(tensor.shape[0])


def _unusable(file: Path, lacking: Sequence[str]) -> ModelNotAvailableError:
    return ModelNotAvailableError(
        f"{file} lacks tensors that the score depends on: {first_of(lacking, NAMED)}. "
        "Get a ViLBERT checkpoint for retrieval or of pre-training, with its configuration."
    )


def _weights_file(folder: Path) -> Path:
    named = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    found = named or sorted(folder.glob("*.bin"))
    if not named and len(found) != 1:
        raise ModelNotAvailableError(
            f"{folder} has {len(found)} files of weights (*.bin); expected {' or '.join(WEIGHTS)}."
        )
    check_not_pointer(found[0])
    return found[0]


def _read(file: Path) -> Mapping[str, Any]:
    import torch

    if file.suffix == ".safetensors":
        arrays = {name: as_float32(*of) for name, of in read_tensors(file).items()}
        # Copied, as torch refuses arrays that are only to be read.
        return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch raise their own kinds
        raise ModelNotAvailableError(
            f"{file} is not a file of tensors alone, and nothing else is ever loaded "
            f"({first_line(error)}). Save the model's state_dict, as safetensors for example."
        ) from None
    if not isinstance(found, Mapping) or not all(map(torch.is_tensor, found.values())):
        raise ModelNotAvailableError(f"{file} is not a state_dict: expected tensors by name.")
    return found


def shapes_of(
    config: VilbertConfig, head: str, tasks: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of the tensors that a score depends on."""
    wide, v_wide, both = config.hidden_size, config.v_hidden_size, config.bi_hidden_size
    embeddings = "bert.embeddings"
    yield f"{embeddings}.word_embeddings.weight", (config.vocab_size, wide)
    yield f"{embeddings}.position_embeddings.weight", (config.max_position_embeddings, wide)
    yield f"{embeddings}.token_type_embeddings.weight", (config.type_vocab_size, wide)
    if tasks:
        yield TASK_EMBEDDINGS, (tasks, wide)
    yield from _norm(f"{embeddings}.LayerNorm", wide)
    yield from _linear("bert.v_embeddings.image_embeddings", config.v_feature_size, v_wide)
    yield from _linear("bert.v_embeddings.image_location_embeddings", 5, v_wide)
    yield from _norm("bert.v_embeddings.LayerNorm", v_wide)
    for number in range(config.num_hidden_layers):
        yield from _layer(f"bert.encoder.layer.{number}", wide, config.intermediate_size)
    for number in range(config.v_num_hidden_layers):
        yield from _layer(f"bert.encoder.v_layer.{number}", v_wide, config.v_intermediate_size)
    for number in range(len(config.t_biattention_id)):
        name = f"bert.encoder.c_layer.{number}"
        for stream, width in (("1", v_wide), ("2", wide)):
            for part in ("query", "key", "value"):
                yield from _linear(f"{name}.biattention.{part}{stream}", width, both)
            yield from _linear(f"{name}.biOutput.dense{stream}", both, width)
            yield from _norm(f"{name}.biOutput.LayerNorm{stream}", width)
        yield from _feed_forward(f"{name}.v_", v_wide, config.v_intermediate_size)
        yield from _feed_forward(f"{name}.t_", wide, config.intermediate_size)
    yield from _linear("bert.t_pooler.dense", wide, both)
    yield from _linear("bert.v_pooler.dense", v_wide, both)
    yield from _linear(head, both, 1 if head == FINE_TUNED else 2)


def _layer(name: str, width: int, inner: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("query", "key", "value"):
        yield from _linear(f"{name}.attention.self.{part}", width, width)
    yield from _linear(f"{name}.attention.output.dense", width, width)
    yield from _norm(f"{name}.attention.output.LayerNorm", width)
    yield from _feed_forward(f"{name}.", width, inner)


def _feed_forward(name: str, width: int, inner: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _linear(f"{name}intermediate.dense", width, inner)
    yield from _linear(f"{name}output.dense", inner, width)
    yield from _norm(f"{name}output.LayerNorm", width)


def _linear(name: str, width: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, width)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
