"""Positional arguments: the default library where LIBRARY is left out, and swapped ones."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

# The file that makes a folder a collection, as in `indexes.reader`, whose import takes long.
CATALOG = "catalog.db"
LIBRARY = "library"
# Arguments that are never a folder, unlike the target of `copy`. For sources, both may be.
WORDS = {"query", "name", "names", "index", "fusion", "old", "new", "doc_ids", "word", "kind"}
SOURCES = {"sources", "folders"}


def with_library(command: click.Command, args: Sequence[str], default: Path | None) -> list[str]:
    """Return the arguments of a command with LIBRARY, which may be left out if there is a default.

    The word in its place is the library if it is an existing collection, or if there would be one
    word too many without it. The arguments are returned as they are if the command takes no
    library, or if an option is incomplete or unknown, which click reports.

    Raises:
        click.UsageError: the library and another argument are swapped.
    """
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    names = [one.name for one in arguments]
    words = _words(command, args)
    if LIBRARY not in names or words is None:
        return list(args)
    place = names.index(LIBRARY)
    given = words[place] if place < len(words) else None
    if given is not None:
        if is_collection(given):
            return list(args)
        _refuse_swapped(command, args, words, place)
    if default is None:
        return list(args)
    others = [one.nargs for one in arguments if one.name != LIBRARY]
    most = len(words) if -1 in others else sum(others)
    # `build lib name` with a wrong `lib` is an error, not the index `lib` and a word too many.
    if len(words) > most:
        return list(args)
    return _inserted(command, list(args), words, place, _as_word(default))


def library_of(command: click.Command, args: Sequence[str]) -> str | None:
    """Return the word in the place of LIBRARY; None without one."""
    names = [one.name for one in command.params if isinstance(one, click.Argument)]
    words = _words(command, args) if LIBRARY in names else None
    return next(iter(words[names.index(LIBRARY) :]), None) if words else None


def is_collection(path: str | Path) -> bool:
    """Return whether a path is the folder of a collection."""
    try:
        return (Path(path).expanduser() / CATALOG).is_file()
    except (OSError, RuntimeError, ValueError):  # a query can be too long for a path
        return False


def _words(command: click.Command, args: Sequence[str]) -> list[str] | None:
    """Return the arguments that are no options; None if the options are wrong."""
    options = [one for one in command.params if isinstance(one, click.Option)]
    every = click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)
    probe = click.Command(command.name, params=[*options, every])
    context = click.Context(probe, help_option_names=["-h", "--help"])
    try:
        found = probe.make_parser(context).parse_args(list(args))[0].get("words")
    except click.UsageError:
        return None
    return list(found) if isinstance(found, tuple | list) else []


def _inserted(
    command: click.Command, args: list[str], words: list[str], place: int, library: str
) -> list[str]:
    """Return arguments with the library in its place among those that are no options."""
    wanted = [*words[:place], library, *words[place:]]
    for position in range(len(args) + 1):
        tried = [*args[:position], library, *args[position:]]
        if _words(command, tried) == wanted:
            return tried
    return args


def _as_word(path: Path) -> str:
    return f"./{path}" if str(path).startswith("-") else str(path)


def _refuse_swapped(
    command: click.Command, args: Sequence[str], words: Sequence[str], place: int
) -> None:
    """Raise UsageError if an argument that is no folder is an existing collection."""
    names = [one.name for one in command.params if isinstance(one, click.Argument)]
    for position, word in enumerate(words):
        name = names[min(position, len(names) - 1)]
        # `add notes.jsonl library`: without the first path, the folder is to be made.
        is_swapped = name in WORDS or (name in SOURCES and Path(words[place]).exists())
        if position == place or not is_swapped or not is_collection(word):
            continue
        swapped = {words[place]: word, word: words[place]}
        line = shlex.join(["retriever", command.name or "", *(swapped.get(w, w) for w in args)])
        raise click.UsageError(
            f"'{words[place]}' is no collection, but '{word}' is: the arguments are swapped. "
            f"Run: {line}"
        )
