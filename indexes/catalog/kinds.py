"""Kinds of indexes: what differs between them, looked up by the string in the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from indexes.errors import DamageError


class IndexKind:
    """What one kind of index is; a subclass each, with one instance."""

    name: ClassVar[str]
    has_vectors: ClassVar[bool] = False
    has_structure: ClassVar[bool] = False
    is_lexical: ClassVar[bool] = False
    is_combined: ClassVar[bool] = False


class Flat(IndexKind):
    """Brute force over an embedding's shards."""

    name = "flat"
    has_vectors = True


class Ann(IndexKind):
    """Approximate search through an engine's file over an embedding's shards."""

    name = "ann"
    has_vectors = True
    has_structure = True


class Lexical(IndexKind):
    """BM25 over the words of all texts, in a folder."""

    name = "lexical"
    is_lexical = True


class Combined(IndexKind):
    """A combination of other indexes, without files."""

    name = "combined"
    is_combined = True


FLAT, ANN, LEXICAL, COMBINED = Flat(), Ann(), Lexical(), Combined()
_KINDS: Mapping[str, IndexKind] = {kind.name: kind for kind in (FLAT, ANN, LEXICAL, COMBINED)}


def kind_of(stored: str) -> IndexKind:
    """Return the kind that a string of the catalog names.

    Raises:
        DamageError: no kind has this name.
    """
    try:
        return _KINDS[stored]
    except KeyError:
        known = ", ".join(_KINDS)
        raise DamageError(f"The catalog names an index kind '{stored}'; known: {known}.") from None


def vector_kind(definition: Mapping[str, Any]) -> IndexKind:
    """Return the kind of an index over vectors: `ANN` if its definition has a `factory`."""
    return ANN if "factory" in definition else FLAT
