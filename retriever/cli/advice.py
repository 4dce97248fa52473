"""The command that does what an error advises."""

from __future__ import annotations

import shlex

from indexes.errors import NextStep

COMMANDS = {
    "add": "retriever add {folder} FILE",
    "drop": "retriever drop {folder} {index}",
    "info": "retriever info {folder}",
    "refit": "retriever build {folder} {index} --refit",
    "repair": "retriever repair {folder}",
    "upgrade": "pip install --upgrade retriever-compare",
    "verify": "retriever verify {folder}",
}


def command_of(step: NextStep) -> str:
    """Return the command line of an operation, quoted for a shell."""
    folder, index = shlex.quote(str(step.folder)), shlex.quote(step.index)
    return COMMANDS[step.operation].format(folder=folder, index=index)
