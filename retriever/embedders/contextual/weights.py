"""Weights that a model's files do not fill: refused where vectors depend on them, else zero.

transformers fills them with random numbers or constants, and only logs that it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from indexes.errors import ModelNotAvailableError, first_of
from retriever.embedders.contextual.images.processing import probe, takes_images
from retriever.embedders.contextual.inspection import TASKS
from retriever.embedders.contextual.probes import SENTENCES

# Names in a message; a wrong prefix leaves out all weights.
NAMED = 4
# The types of safetensors for whole numbers.
WHOLE = {"I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64"}
# What sentences and words are embedded from.
OUTPUTS = ("sentence_embedding", "token_embeddings")


@dataclass(frozen=True)
class LoadReport:
    """What transformers reports on a `network` that it loaded.

    `missing` are the names of weights that no file has, `mismatched` map a name to its shape in the
    file and in the network, and `extra` are the names in the files that the network does not have.
    """

    network: Any
    missing: Sequence[str]
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    extra: Sequence[str]

    def unfilled(self) -> dict[str, Any]:
        """Return the weights that the files do not fill, by name."""
        network = self.network
        known = dict(network.named_buffers(remove_duplicate=False))
        known |= dict(network.named_parameters(remove_duplicate=False))
        return {name: known[name] for name in sorted({*self.missing, *self.mismatched})}


@dataclass(frozen=True)
class Purpose:
    """What a model is for: its `noun` and what it `gives`, in messages.

    `outputs` yields, for a model, tensors that it computes for some texts.
    """

    noun: str
    gives: str
    outputs: Callable[[Any], Iterator[Any]]


def settle_weights(
    model: Any, reports: Sequence[LoadReport], purpose: Purpose | None = None
) -> None:
    """Check that the files of a model fill all weights that what it computes depends on.

    Others are set to zero, so that they are equal at every load. By default, the model is a
    `SentenceTransformer` and computes vectors.

    Raises:
        ModelNotAvailableError: the message names weights that are not filled.
    """
    unfilled = [weight for report in reports for weight in report.unfilled().values()]
    if not unfilled:
        return
    purpose = purpose or Purpose("Sentence model", "vectors depend", embeddings)
    reached = _reached(partial(purpose.outputs, model), unfilled)
    for report in reports:
        if reasons := list(_reasons(report, reached, purpose.gives)):
            raise ModelNotAvailableError(
                f"{purpose.noun} {report.network.name_or_path} has no usable weights: "
                f"{'; '.join(reasons)}. Get its files again, or choose another model."
            )
    for weight in unfilled:
        weight.detach().zero_()


def check_types(reports: Sequence[LoadReport], files: Iterable[Path]) -> None:
    """Check that no weight is a whole number in the files where the network computes with others.

    transformers converts such weights: without their scale, most become 0.

    Raises:
        ModelNotAvailableError: the message names a weight and its type.
    """
    integers = [found for path in files if path.suffix == ".safetensors" for found in _whole(path)]
    for report in reports:
        if getattr(report.network.config, "quantization_config", None) is not None:
            continue
        computed = {n for n, w in report.network.state_dict().items() if w.is_floating_point()}
        # A file may have the network under a prefix.
        for name, kind in integers:
            if not computed.isdisjoint((name, name.partition(".")[2])):
                raise ModelNotAvailableError(
                    f"Sentence model {report.network.name_or_path} has whole numbers ({kind}) as "
                    f"weights, such as {name}, and no quantization_config in its config.json that "
                    "says their scale. Get its weights in float32, float16 or bfloat16."
                )


def _whole(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and type of the tensors of whole numbers in a safetensors file."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            if (kind := file.get_slice(name).get_dtype()) in WHOLE:
                yield name, kind


def _reached(outputs: Callable[[], Iterator[Any]], weights: Sequence[Any]) -> set[int]:
    """Return the identities of those weights that some outputs depend on.

    They are the leaves of the graph that torch records for derivatives, so a weight counts whatever
    its value is. Weights without derivatives (integers) always count.
    """
    import torch

    traced = [weight for weight in weights if weight.is_floating_point()]
    before = [weight.requires_grad for weight in traced]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            for weight in traced:
                weight.requires_grad_(True)
            leaves = {id(leaf) for leaf in _leaves(list(outputs()))}
    finally:
        for weight, needed in zip(traced, before, strict=True):
            weight.requires_grad_(needed)
    return leaves | {id(weight) for weight in weights if not weight.is_floating_point()}


def embeddings(model: Any) -> Iterator[Any]:
    """Yield what a model computes for some sentences, and for an image if it takes any.

    Sentences are read as queries and as documents. All are tensors.
    """
    inputs = [(task, model.preprocess(list(SENTENCES), task=task)) for task in TASKS]
    if takes_images(model):
        inputs.append(("document", probe(model)))
    for task, features in inputs:
        moved = {
            name: value.to(model.device) if hasattr(value, "to") else value
            for name, value in features.items()
        }
        found = model(moved, task=task)
        yield from (found[name] for name in OUTPUTS if hasattr(found.get(name), "grad_fn"))


def _leaves(outputs: Iterable[Any]) -> Iterator[Any]:
    """Yield the tensors that outputs were computed from, of those with derivatives."""
    waiting = [output.grad_fn for output in outputs]
    seen = {None}
    while waiting:
        if (node := waiting.pop()) in seen:
            continue
        seen.add(node)
        waiting += [before for before, _ in node.next_functions]
        if hasattr(node, "variable"):
            yield node.variable


def _reasons(report: LoadReport, reached: set[int], gives: str) -> Iterator[str]:
    """Yield why a network is refused, as clauses; none if it is not."""
    needed = {name for name, weight in report.unfilled().items() if id(weight) in reached}
    if absent := sorted(needed - report.mismatched.keys()):
        yield (
            f"they lack {_count(absent)} that its {gives} on: {first_of(absent, NAMED)}"
            f"{_prefix_hint(absent, report.extra)}"
        )
    if other := sorted(needed & report.mismatched.keys()):
        shapes = [
            f"{name} (it is {shape}, config.json expects {expected})"
            for name in other
            for shape, expected in [report.mismatched[name]]
        ]
        yield f"{_count(other)} that its {gives} on has another shape: {first_of(shapes, NAMED)}"


def _count(names: Sequence[str]) -> str:
    return "1 tensor" if len(names) == 1 else f"{len(names)} tensors"


def _prefix_hint(missing: Sequence[str], extra: Sequence[str]) -> str:
    """Return under which prefix the files have the missing weights; empty if they have not."""
    for name in extra:
        for end in missing:
            if name.endswith(end) and (prefix := name.removesuffix(end)):
                return (
                    f" (they have {name}: save the model again without the wrapper that wrote the "
                    f"prefix '{prefix}')"
                )
    return ""
