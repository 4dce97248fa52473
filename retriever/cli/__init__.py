"""Command line: parse, one library call, print."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import click

from indexes.errors import RetrieverError
from retriever import __version__
from retriever.advice import command_of
from retriever.cli.build import build
from retriever.cli.compare import compare
from retriever.cli.completion import completion
from retriever.cli.demo import demo
from retriever.cli.distill import distill
from retriever.cli.documents import add, delete, show
from retriever.cli.evaluate import evaluate
from retriever.cli.exchange import copy, export, list_documents, rename
from retriever.cli.indexes import drop, info, runtime, tune
from retriever.cli.maintenance import compact, repair, verify
from retriever.cli.output import file_notes, replace_unprintable
from retriever.cli.search import search
from retriever.cli.train import train
from retriever.cli.word import word

__all__ = ["cli", "main"]


class Group(click.Group):
    """Command group that reports every failure as one line on stderr.

    Exit codes: 0 done, 1 a failure, 2 wrong usage, 130 interrupted.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line and exit."""
        extra["standalone_mode"] = False
        replace_unprintable()
        try:
            with file_notes():
                sys.exit(super().main(*args, **extra) or 0)
        except click.Abort:
            _fail("Interrupted. Committed work is kept; run the same command again to resume.", 130)
        except click.exceptions.Exit as request:
            sys.exit(request.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (RetrieverError, OSError) as error:
            step = getattr(error, "next_step", None)
            _fail(f"Error: {error}" + (f"\nRun: {command_of(step)}" if step else ""), 1)
        except MemoryError as error:
            # The error of NumPy has the requested size, that of Python is empty.
            detail = f" ({' '.join(str(error).split()).rstrip('.')})" if str(error) else ""
            advice = "Close other programs or use a machine with more memory."
            _fail(f"Error: There is not enough memory{detail}. {advice}", 1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of their use."""
        return list(self.commands)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


HELP = {"help_option_names": ["-h", "--help"]}


@click.group(cls=Group, context_settings=HELP)
@click.version_option(__version__, prog_name="retriever")
def cli() -> None:
    """Index one corpus with static and contextual embeddings, and compare their results and costs.

    A collection is a folder with documents and the indexes built over them.

    \b
      retriever demo
      retriever add     library corpus.jsonl notes/
      retriever build   library glove  --embedder static:glove-6b-50d
      retriever build   library minilm --embedder contextual:all-MiniLM-L6-v2
      retriever search  library "why does my cat hum?" -i glove -i minilm
      retriever compare library --queries queries.jsonl --qrels qrels.tsv
    """  # noqa: D301 - to click, a line of one backspace keeps the next lines as they are


USE = (demo, add, build, train, distill, search, word, compare, evaluate)
CONTENTS = (info, tune, runtime, list_documents, show, delete, export, rename, drop)
MAINTENANCE = (copy, verify, repair, compact, completion)
for command in (*USE, *CONTENTS, *MAINTENANCE):
    # A command that is first used alone would keep the help option that it has there.
    command.context_settings = {**HELP, **command.context_settings}
    cli.add_command(command)


def main() -> None:
    """Run the `retriever` command, in a process of its own."""
    # Read by OpenMP when FAISS or torch is loaded: on a busy machine, threads that wait for each
    # other without sleeping take some ten times as long. A library leaves this to its host.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    cli(prog_name="retriever")
