"""Output: data to stdout, progress and notes to stderr."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

import click

from indexes.errors import FileNote

# Keys in the context of a command: its settings, and its arguments as they were typed.
SETTINGS, TYPED = "retriever.settings", "retriever.typed"
# Which collection was taken where LIBRARY was left out.
TAKEN = "retriever.library"
# How often long work says how far it is where stderr is no terminal.
LINE_SECONDS = 60.0


class _Ascii(io.TextIOWrapper):
    """A stream of ASCII that click leaves as it is: it takes the plain one for a mistake."""

    encoding = "ASCII with replacements"


def replace_unprintable() -> None:
    """Make stdout and stderr replace characters that their encoding does not have."""
    sys.stdout, sys.stderr = (
        _replacing(sys.stdout, "replace"),
        _replacing(sys.stderr, "backslashreplace"),
    )


def _replacing(stream: TextIO, errors: str) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, _Ascii):
        return stream
    # What the user, or Python for stderr, has chosen stays.
    errors = errors if stream.errors in ("strict", "surrogateescape") else str(stream.errors)
    if codecs.lookup(stream.encoding).name == "ascii":
        return _Ascii(stream.buffer, "ascii", errors, line_buffering=True)
    stream.reconfigure(errors=errors)
    return stream


def _is_utf8(stream: TextIO) -> bool:
    return stream.encoding.lower().replace("_", "-").startswith("utf")


def keep_inputs(
    option: str, path: Path, inputs: Sequence[str | Path | None], libraries: Sequence[Path]
) -> None:
    """Refuse to overwrite an input, or a file of a collection."""
    inside = path.exists() and any(one.resolve() in path.resolve().parents for one in libraries)
    if inside and path.suffix.lower() not in (".html", ".htm", ".tex", ".md"):
        raise click.UsageError(
            f"{option} {path} would overwrite a file of the collection. Give another file."
        )
    for given in inputs:
        if given not in (None, "-") and Path(given).resolve() == path.resolve():
            raise click.UsageError(f"{option} {path} would overwrite {given}. Give another file.")


def check_writable(*files: Path | None, folder: Path | None = None) -> None:
    """Raise an InputError for a file or folder that cannot be written, before long work.

    A folder is made where it is missing, with those above it; the folder of a file is not.
    """
    from indexes.errors import InputError

    places = [(path, path.parent) for path in files if path is not None]
    if folder is not None:
        places.append((folder, next(one for one in (folder, *folder.parents) if one.exists())))
    for path, parent in places:
        if not parent.is_dir():
            raise InputError(
                f"{path} cannot be written: there is no folder {parent}/. Make it, or give another."
            )
        try:
            if path.is_file() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            # Only a file that is made tells of media that are full or read-only, whoever asks.
            with tempfile.NamedTemporaryFile(dir=path if path.is_dir() else parent):
                pass
        except OSError as error:
            why = error.strerror or str(error)
            raise InputError(f"{path} cannot be written: {why}. Give another place.") from None


def note(*texts: str) -> None:
    """Print notes to stderr."""
    for text in texts:
        click.echo(f"note: {text}", err=True)


def left_out(ctx: click.Context) -> list[str]:
    """Return a note on which collection was taken, if LIBRARY was left out."""
    taken = ctx.meta.get(TAKEN)
    return [f"LIBRARY was left out, so it is {taken}"] if taken else []


@contextlib.contextmanager
def file_notes(tell: Callable[[str], None] = note) -> Iterator[None]:
    """Print what readers of files warn about as notes, by `tell`."""
    show = warnings.showwarning

    def show_note(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, FileNote):
            tell(str(message))
        else:
            show(message, category, *where, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", FileNote)
        warnings.showwarning = show_note
        yield


def print_json(*values: Any) -> None:
    """Print values to stdout, each as one line of JSON."""
    from retriever.formats.lines import is_unicode

    # JSON is UTF-8, or ASCII with escapes.
    for value in values:
        text = json.dumps(value, ensure_ascii=not _is_utf8(sys.stdout), default=str)
        click.echo(text if is_unicode(text) else json.dumps(value, default=str))


def setting(name: str, default: Any) -> Any:
    """Return a setting that the running command was started with; see `running/settings.py`."""
    context = click.get_current_context(silent=True)
    settings = context.meta.get(SETTINGS) if context else None
    return default if settings is None else settings.get(name, default)


def print_parts(*parts: Any) -> None:
    """Print texts and tables to stdout, at most as wide as `table_columns` says.

    A line of text is cut on a narrower terminal.
    """
    from rich.console import Console
    from rich.text import Text

    columns = table_columns()
    # No markup: texts with "[/b]" or ":cat:" are shown as they are.
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    if not setting("output.color", True):
        plain["no_color"] = True
    console = Console(**plain)
    narrow = console.is_terminal and console.width < columns
    if not narrow:
        console = Console(**plain, width=columns, soft_wrap=True)
    for part in parts:
        if narrow and isinstance(part, Text):
            console.print(part, no_wrap=True, overflow="ellipsis")
        else:
            console.print(part)


def table_columns() -> int:
    """Return how wide tables may be: the setting `output.width`, or else 100 columns."""
    from retriever.formatting import WIDTH

    return int(setting("output.width", WIDTH))


def terminal_columns() -> int | None:
    """Return how wide the terminal is, but at most `output.width`; None where stdout is none."""
    from rich.console import Console

    console = Console()
    return (
        min(console.width, setting("output.width", console.width)) if console.is_terminal else None
    )


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that draws on stderr; a line a minute if no terminal.

    A total of 0 is unknown.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        lines = _ProgressLines(label)
        yield lines if setting("output.progress", True) else lines.ignore
        return
    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not setting("output.progress", True),
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


class _ProgressLines:
    """Progress as lines on stderr, one a minute, for logs."""

    def __init__(self, label: str) -> None:
        self._label, self._last = label, monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            of = f" of {total:,}" if total else ""
            click.echo(f"{self._label}: {done:,}{of}", err=True)

    def ignore(self, done: int, total: int) -> None:
        """Print nothing."""
