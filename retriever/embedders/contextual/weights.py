"""Weights that a model's files do not fill: refused where vectors depend on them, else zero.

transformers fills them with random numbers or constants, and only logs that it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import ModelNotAvailableError
from retriever.embedders.contextual.images.processing import probe, takes_images
from retriever.embedders.contextual.inspection import TASKS
from retriever.embedders.contextual.probes import SENTENCES

# Names in a message; a wrong prefix leaves out all weights.
NAMED = 4
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


def settle_weights(model: Any, reports: Sequence[LoadReport]) -> None:
    """Check that the files of a `SentenceTransformer` fill all weights that its vectors depend on.

    Others are set to zero, so that they are equal at every load.

    Raises:
        ModelNotAvailableError: the message names weights that are not filled.
    """
    unfilled = [weight for report in reports for weight in report.unfilled().values()]
    if not unfilled:
        return
    reached = _reached(model, unfilled)
    for report in reports:
        if reasons := list(_reasons(report, reached)):
            raise ModelNotAvailableError(
                f"Sentence model {report.network.name_or_path} has no usable weights: "
                f"{'; '.join(reasons)}. Get its files again, or choose another model."
            )
    for weight in unfilled:
        weight.detach().zero_()


def _reached(model: Any, weights: Sequence[Any]) -> set[int]:
    """Return the identities of those weights that the vectors of some sentences depend on.

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
            leaves = {id(leaf) for leaf in _leaves(list(_outputs(model)))}
    finally:
        for weight, needed in zip(traced, before, strict=True):
            weight.requires_grad_(needed)
    return leaves | {id(weight) for weight in weights if not weight.is_floating_point()}


def _outputs(model: Any) -> Iterator[Any]:
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


def _reasons(report: LoadReport, reached: set[int]) -> Iterator[str]:
    """Yield why a network is refused, as clauses; none if it is not."""
    needed = {name for name, weight in report.unfilled().items() if id(weight) in reached}
    if absent := sorted(needed - report.mismatched.keys()):
        yield (
            f"they lack {_count(absent)} that its vectors depend on: {_listed(absent)}"
            f"{_prefix_hint(absent, report.extra)}"
        )
    if other := sorted(needed & report.mismatched.keys()):
        shapes = [
            f"{name} (it is {shape}, config.json expects {expected})"
            for name in other
            for shape, expected in [report.mismatched[name]]
        ]
        yield f"{_count(other)} that its vectors depend on has another shape: {_listed(shapes)}"


def _count(names: Sequence[str]) -> str:
    return "1 tensor" if len(names) == 1 else f"{len(names)} tensors"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


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
