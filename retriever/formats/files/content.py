"""What a file says, whatever its format; and the limits of what is read."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from indexes.errors import InputError

# One document of more is a mistake, or made to exhaust the memory.
MOST_BYTES = 256 << 20
# Of markup, which takes ten times its size in memory.
MOST_MARKUP = 64 << 20


@dataclass(frozen=True)
class Content:
    """The text, title and metadata of a file.

    `note` says what in it could not be read, `lack` why it has no text: then it is no document.
    """

    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    lack: str = ""


def require(package: str, what: str) -> None:
    """Raise an `InputError` if a package of the extra `files` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"{what} needs the extra 'files', which is not installed. "
            "Run: pip install 'retriever-compare[files]'"
        )


def check_size(size: int, most: int) -> None:
    """Refuse a document that is too large."""
    if size > most:
        raise InputError(f"has more than {most >> 20} MiB as one document. Split it.")
