"""Command lines that messages advise to run."""

from __future__ import annotations

import shlex
from pathlib import Path

from indexes.errors import NextStep, shown

# Operations that are not just the command of their name: the command, and the words at its end.
COMMANDS = {"add": ("add", "FILE"), "refit": ("build", "--refit")}


def shell_command(command: str, folder: Path, *words: str) -> str:
    """Return a command line on a collection, every word quoted for a shell."""
    return shlex.join(["retriever", command, shown(folder), *words])


def command_of(step: NextStep) -> str:
    """Return the command line of an operation that an error advises."""
    if step.operation == "upgrade":
        return "pip install --upgrade retriever-compare"
    command, *words = COMMANDS.get(step.operation, (step.operation,))
    return shell_command(command, step.folder, *filter(None, [step.index]), *words)


def command_for(error: BaseException) -> str:
    """Return the command line that an error advises; "" if it advises none."""
    step = getattr(error, "next_step", None)
    return command_of(step) if step else ""
