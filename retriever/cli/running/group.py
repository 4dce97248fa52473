"""The group of commands: settings and default library, suggestions, failures in one line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from indexes.errors import RetrieverError, shown
from retriever.advice import command_for
from retriever.cli.output import (
    SETTINGS,
    TAKEN,
    TYPED,
    file_notes,
    left_out,
    note,
    replace_unprintable,
)
from retriever.cli.running.arguments import library_of, with_library
from retriever.cli.running.settings import Settings, read_settings
from retriever.cli.running.suggestions import improved, unknown_command


class Group(click.Group):
    """Command group that reports every failure as one line on stderr.

    Exit codes: 0 done, 1 a failure, 2 wrong usage, 3 single documents failed (`update`), 130
    interrupted.
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
            (improved(error) if isinstance(error, click.UsageError) else error).show()
            sys.exit(error.exit_code)
        except (RetrieverError, OSError) as error:
            command = command_for(error)
            _fail(f"Error: {_said(error)}" + (f"\nRun: {command}" if command else ""), 1)
        except MemoryError as error:
            # The error of NumPy has the requested size, that of Python is empty.
            detail = f" ({' '.join(str(error).split()).rstrip('.')})" if str(error) else ""
            advice = "Close other programs or use a machine with more memory."
            _fail(f"Error: There is not enough memory{detail}. {advice}", 1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; where it fails without LIBRARY, say which one was taken."""
        try:
            return super().invoke(ctx)
        except (RetrieverError, OSError, click.UsageError):
            for text in left_out(ctx):
                note(text)
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of their use."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return a command, and its arguments with LIBRARY if that was left out."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            ctx.fail(unknown_command(args[0], self.commands, args[1:]))
        name, command, words = super().resolve_command(ctx, args)
        if command is None:
            return name, command, words
        settings = _settings(ctx, words)
        ctx.meta.update({SETTINGS: settings, TYPED: words})
        words_with = _with_library(ctx, command, words, settings)
        if words_with != words:
            place = settings.values["library"].source
            ctx.meta[TAKEN] = f"{settings.library}/, the default of {shown(place)}"
        ctx.default_map = {"search": _defaults(settings, library_of(command, words_with))}
        return name, command, words_with


def _settings(ctx: click.Context, words: Sequence[str]) -> Settings:
    """Read the settings; a wrong file hinders neither help nor completion."""
    try:
        return read_settings()
    except (RetrieverError, OSError):
        if ctx.resilient_parsing or {"-h", "--help"} & set(words):
            return Settings({})
        raise


def _with_library(
    ctx: click.Context, command: click.Command, words: list[str], settings: Settings
) -> list[str]:
    try:
        return with_library(command, words, settings.library)
    except click.UsageError as error:
        if ctx.resilient_parsing:
            return words
        error.ctx = click.Context(command, info_name=command.name, parent=ctx)
        raise


def _defaults(settings: Settings, library: str | None) -> dict[str, Any]:
    """Return the defaults of `search`; the default index is one of the default library."""
    chosen: dict[str, Any] = {}
    if (k := settings.get("output.k")) is not None:
        chosen["k"] = k
    if fields := settings.get("output.fields"):
        chosen["fields"] = ",".join(fields)
    index, default = settings.get("index"), settings.library
    if index and (default is None or (library is not None and _is_same(default, Path(library)))):
        chosen["indexes"] = index
    return chosen


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.expanduser().resolve() == other.expanduser().resolve()
    except (OSError, RuntimeError, ValueError):
        return False


def _said(error: Exception) -> str:
    # Of the calls of the system, only that for the working folder names none.
    if isinstance(error, FileNotFoundError) and error.filename is None:
        return "The working folder does not exist any more. Change to another one."
    return str(error)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)
