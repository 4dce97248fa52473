"""Command line: parse, one library call, print."""

from __future__ import annotations

import os

import click

from retriever import __version__
from retriever.cli.build import build
from retriever.cli.compare import compare
from retriever.cli.completion import completion
from retriever.cli.config import config, embedders
from retriever.cli.demo import demo
from retriever.cli.distill import distill
from retriever.cli.documents import add, delete, show
from retriever.cli.evaluate import evaluate
from retriever.cli.exchange import copy, export, list_documents, rename
from retriever.cli.fusion_weights import tune_fusion
from retriever.cli.indexes import drop, info, runtime, tune
from retriever.cli.made.command import queries
from retriever.cli.maintenance import compact, repair, verify
from retriever.cli.running.group import Group
from retriever.cli.search import search
from retriever.cli.services.frameworks import datasette, mcp
from retriever.cli.services.serve import serve
from retriever.cli.train import train
from retriever.cli.update import update, watch
from retriever.cli.word import word

__all__ = ["cli", "main"]


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

    With a default library (see `retriever config`), it may be left out: retriever search "cats".
    """  # noqa: D301 - to click, a line of one backspace keeps the next lines as they are


USE = (
    demo,
    add,
    build,
    embedders,
    update,
    watch,
    train,
    distill,
    search,
    word,
    queries,
    compare,
    evaluate,
    tune_fusion,
    serve,
    mcp,
    datasette,
)
CONTENTS = (info, tune, runtime, list_documents, show, delete, export, rename, drop)
MAINTENANCE = (copy, verify, repair, compact, config, completion)
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
