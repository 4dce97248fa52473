"""Command lines that messages advise to run."""

from __future__ import annotations

import shlex
from pathlib import Path


def shell_command(command: str, folder: Path, *words: str) -> str:
    """Return a command line on a collection, every word quoted for a shell."""
    return shlex.join(["retriever", command, str(folder), *words])
