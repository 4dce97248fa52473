"""The drawing of the packages in docs/architecture.md, from the imports in the code."""

from __future__ import annotations

import graphlib
from collections import defaultdict
from collections.abc import Mapping

import grimp

Graph = dict[str, set[str]]
# Packages that are one box each; so is every module next to them.
PACKAGES = ("indexes", "retriever")


def imports() -> Graph:
    """Return the boxes, each with the boxes that it imports, imports inside functions included.

    A box is a folder or a module directly inside `indexes/` or `retriever/`. Imports that only type
    checkers see do not count.
    """
    modules = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True)
    boxes: Graph = defaultdict(set)
    for importer in sorted(modules.modules):
        box = _box(importer)
        if box in PACKAGES or importer.endswith("__main__"):
            continue
        boxes[box] |= {
            _box(imported)
            for imported in modules.find_modules_directly_imported_by(importer)
            if _box(imported) not in (box, *PACKAGES)
        }
    return dict(boxes)


def _box(module: str) -> str:
    return ".".join(module.split(".")[:2])


def reduced(graph: Mapping[str, set[str]]) -> Graph:
    """Return a graph without the arrows that a longer path implies (its transitive reduction).

    Raises:
        graphlib.CycleError: it has a cycle.
    """
    below: Graph = {}
    arrows: Graph = {}
    for box in graphlib.TopologicalSorter(graph).static_order():
        direct = graph.get(box, set())
        implied = set().union(*(below[other] for other in direct))
        arrows[box] = direct - implied
        below[box] = direct | implied
    return arrows


def drawing() -> str:
    """Return the packages as a mermaid flowchart, arrows from the importer down to the imported."""
    arrows = reduced(imports())
    lines = ["```mermaid", "flowchart TD"]
    for package in reversed(PACKAGES):
        lines.append(f'  subgraph {package}["{package}/"]')
        lines += [
            f'    {_node(box)}["{box.split(".")[1]}"]'
            for box in sorted(arrows)
            if box.startswith(f"{package}.")
        ]
        lines.append("  end")
    lines += [
        f"  {_node(box)} --> {_node(other)}"
        for box in sorted(arrows)
        for other in sorted(arrows[box])
    ]
    return "\n".join([*lines, "```"])


def _node(box: str) -> str:
    return box.replace(".", "_")
