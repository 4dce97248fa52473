"""Suggestions for what new users type: words of other programs, and arguments in another form."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from indexes.errors import did_you_mean
from retriever.cli.output import TYPED
from retriever.cli.running.arguments import is_collection

# What commands are called elsewhere.
COMMANDS: Mapping[str, str] = {
    "search": "query ask find retrieve similar",
    "build": "index embed encode fuse rerank",
    "add": "create init new load import insert ingest",
    "info": "stats status describe indexes inspect",
    "embedders": "models options kinds",
    "evaluate": "eval score trec_eval",
    "compare": "bench benchmark diff",
    "update": "sync refresh",
    "copy": "backup cp",
    "list": "ls documents",
    "show": "get cat view",
    "rename": "mv",
    "verify": "check fsck",
    "compact": "vacuum optimize",
    "config": "settings",
    "delete": "remove rm del",
    "drop": "remove rm del",
}
# What options are called elsewhere; the option, for commands that have it; and what to write.
OPTIONS: Sequence[tuple[str, str, str]] = (
    ("k n top top-k topk limit num count size max hits", "-k", "-k N"),
    ("k n top max count", "--limit", "--limit N"),
    ("model encoder embedding embeddings dense", "--embedder", "--embedder KIND:MODEL"),
    ("bm25 keyword sparse", "--lexical", "--lexical"),
    ("weight weights", "--fuse", "--fuse NAME=WEIGHT"),
    ("hybrid fusion parts", "--fuse", "--fuse A --fuse B"),
    ("rerank reranker cross-encoder", "--rerank-by", "--rerank-by KIND:MODEL"),
    ("rerank-by reranker cross-encoder", "--rerank", "--cascade INDEX --rerank KIND:MODEL"),
    ("route routing adaptive selective", "--escalate", "--escalate CHEAP --to EXPENSIVE"),
    ("structure factory hnsw ivf", "--ann", "--ann HNSW32"),
    ("filter metadata", "--where", "--where FILTER"),
    ("indexes indices name", "--index", "--index NAME, once for each"),
    ("metric metrics measures", "--measure", "--measure nDCG@10, once for each"),
    ("judgments judgements relevance labels", "--qrels", "--qrels FILE"),
    ("query topics", "--queries", "--queries FILE"),
    ("out outfile file", "--output", "--output FILE"),
    ("diversity diverse", "--mmr", "--mmr"),
    ("similar more-like", "--like", "--like DOC_ID"),
    ("tex", "--latex", "--latex FILE"),
    ("md", "--markdown", "--markdown FILE"),
    ("page report", "--html", "--html FILE"),
)


def unknown_command(name: str, commands: Iterable[str], rest: Sequence[str]) -> str:
    """Return what to say about a command that does not exist."""
    if name == "help":
        known = [one for one in rest if one in set(commands)][:1]
        return f"No such command 'help'. Run: retriever {' '.join([*known, '--help'])}"
    meant = [repr(one) for one, others in COMMANDS.items() if name.casefold() in others.split()]
    similar = f" Did you mean {' or '.join(meant)}?" if meant else did_you_mean(name, commands)
    return f"No such command '{name}'.{similar}"


def improved(error: click.UsageError) -> click.UsageError:
    """Return an error of wrong usage that says what was meant, where that is known."""
    if isinstance(error, click.NoSuchOption):
        meant = _meant(error)
    elif isinstance(error, click.BadOptionUsage) and error.option_name in ("-o", "--option"):
        meant = "Write -o NAME VALUE, such as: -o batch_size 64"
    elif error.message.startswith("Got unexpected extra argument"):
        meant = _quoted(error)
    else:
        meant = ""
    if not meant:
        return error
    return click.UsageError(f"{error.message.rstrip('.')}. {meant}", error.ctx)


def _meant(error: click.NoSuchOption) -> str:
    """Return a question for an option of another name; or nothing, where click has one."""
    name = error.option_name.lstrip("-").casefold()
    options = error.ctx.command.params if error.ctx else []
    known = {one for option in options for one in (*option.opts, *option.secondary_opts)}
    for others, option, written in OPTIONS:
        if option in known and name.replace("_", "-") in others.split():
            return f"Did you mean {written}?"
    if {"-o", "--embedder"} <= known and _is_of_embedder(name.replace("-", "_")):
        return f"It is an option of the model: -o {name.replace('-', '_')} VALUE"
    return ""


def _is_of_embedder(name: str) -> bool:
    from retriever.embedders.registry import describe_embedders

    return any(name == one.name for kind in describe_embedders() for one in kind.options)


def _quoted(error: click.UsageError) -> str:
    """Return the command with a query of several words as one argument."""
    command = error.ctx.command if error.ctx else None
    arguments = (
        [one for one in command.params if isinstance(one, click.Argument)] if command else []
    )
    names = [one.name for one in arguments]
    if error.ctx is None or "query" not in names:
        return ""
    place = names.index("query")
    typed = list(error.ctx.meta.get(TYPED, ()))
    words = typed[place : _first_option(typed, place)]
    if len(words) < 2 or _first_option(typed, 0) < place:
        return "Put a query of several words in quotes."
    line = [*typed[:place], " ".join(words), *typed[place + len(words) :]]
    return (
        "Put a query of several words in quotes. Run: "
        f"{shlex.join(['retriever', str(error.ctx.info_name), *line])}"
    )


def _first_option(words: Sequence[str], start: int) -> int:
    later = (at for at, word in enumerate(words) if at >= start and word.startswith("-"))
    return next(later, len(words))


def query_without_library(library: Path) -> str:
    """Return what to say where the only argument is no collection, and may be the query."""
    if is_collection(library) or library.exists():
        return ""
    return (
        f" '{library}' is taken for LIBRARY, and there is no such folder; "
        f"to search for it: {shlex.join(['retriever', 'search', 'LIBRARY', str(library)])}"
    )


def files_without_options(places: Sequence[Path]) -> str:
    """Return what to say where files were given as if they were collections."""
    files = [str(one) for one in places if one.is_file()]
    if not files:
        return ""
    options = " ".join(
        f"{option} {shlex.quote(file)}"
        for option, file in zip(("--queries", "--qrels"), files, strict=False)
    )
    return f"'{files[0]}' is a file, and no collection. Give it as: {options}"
