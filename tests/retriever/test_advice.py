import pickle
from pathlib import Path

import pytest

from indexes.errors import DamageError, NextStep
from retriever.advice import command_of


@pytest.mark.parametrize(
    ("step", "command"),
    [
        (NextStep("add", Path("library")), "retriever add library FILE"),
        (NextStep("drop", Path("/a/b"), "minilm"), "retriever drop /a/b minilm"),
        (NextStep("info", Path("my notes")), "retriever info 'my notes'"),
        (NextStep("refit", Path("$HOME"), "idf"), "retriever build '$HOME' idf --refit"),
        (NextStep("repair", Path("it's")), """retriever repair 'it'"'"'s'"""),
        (NextStep("upgrade", Path("library")), "pip install --upgrade retriever-compare"),
        (NextStep("verify", Path("{index}")), "retriever verify '{index}'"),
    ],
)
def test_the_command_of_a_next_step_is_quoted_for_a_shell(step, command):
    assert command_of(step) == command


def test_an_error_keeps_its_next_step_between_processes():
    error = DamageError("lost", next_step=NextStep("repair", Path("library")))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.next_step) == ("lost", error.next_step)
    assert DamageError("lost").next_step is None
