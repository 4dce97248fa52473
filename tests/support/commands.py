"""The command line, called inside this process, and the one of ir_measures."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from retriever.advice import command_of
from retriever.cli import cli


def invoke(*arguments, stdin=None):
    """Run `retriever ARGUMENTS` in this process; fail on a traceback."""
    result = CliRunner().invoke(cli, list(arguments), input=stdin, prog_name="retriever")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert "Traceback" not in result.output
    return result


def succeed(*arguments, stdin=None):
    """Run a command that must succeed; return its standard output."""
    result = invoke(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def succeed_silently(*arguments, stdin=None):
    """Run a command that must succeed without a note; return its standard output."""
    result = invoke(*arguments, stdin=stdin)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def fail(*arguments, stdin=None):
    """Run a command that must fail with exit code 1 and no output; return the message."""
    result = invoke(*arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    return result.stderr.removeprefix("Error: ").removesuffix("\n")


def printed_error(error):
    """Return what `fail` returns for an error of the library: its message, then the command."""
    step = error.next_step
    return f"{error}\nRun: {command_of(step)}" if step else str(error)


def misuse(*arguments):
    """Run a command with wrong usage, exit code 2 and no output; return the message."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Usage: retriever ")
    return result.stderr.split("Error: ")[1].removesuffix("\n")


def objects(stdout):
    """Return the JSON objects of the lines."""
    return [json.loads(line) for line in stdout.splitlines()]


def ir_measures(qrels, run, measures):
    """Return what the `ir_measures` command prints for a run, by measure."""
    command = [Path(sys.executable).parent / "ir_measures", qrels, run, *measures]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(line.split("\t") for line in done.stdout.splitlines())
