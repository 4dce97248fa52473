"""Kinds of indexes: what differs between them, looked up by the string in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from indexes.errors import DamageError


@dataclass(frozen=True)
class IndexKind:
    """What one kind of index is: `name` is the string in the catalog."""

    name: str
    has_vectors: bool = False
    has_structure: bool = False
    is_lexical: bool = False


# Brute force over an embedding's shards.
FLAT = IndexKind("flat", has_vectors=True)
# Approximate search through an engine's file over an embedding's shards.
ANN = IndexKind("ann", has_vectors=True, has_structure=True)
# BM25 over the words of all texts, in a folder.
LEXICAL = IndexKind("lexical", is_lexical=True)
# A combination of other indexes (`IndexRow.parts`), without files.
COMBINED = IndexKind("combined")
_KINDS: Mapping[str, IndexKind] = {kind.name: kind for kind in (FLAT, ANN, LEXICAL, COMBINED)}


def kind_of(stored: str) -> IndexKind:
    """Return the kind that a string of the catalog names; raise a DamageError if none has it."""
    if stored not in _KINDS:
        known = ", ".join(_KINDS)
        raise DamageError(f"The catalog names an index kind '{stored}'; known: {known}.")
    return _KINDS[stored]
