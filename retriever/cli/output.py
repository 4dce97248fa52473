"""Output: data to stdout, progress and notes to stderr."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import click

from indexes.errors import FileNote


def note(*texts: str) -> None:
    """Print notes to stderr."""
    for text in texts:
        click.echo(f"note: {text}", err=True)


@contextlib.contextmanager
def file_notes() -> Iterator[None]:
    """Print what readers of files warn about as notes."""
    show = warnings.showwarning

    def show_note(message: Any, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, FileNote):
            note(str(message))
        else:
            show(message, category, *where, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("always", FileNote)
        warnings.showwarning = show_note
        yield


def print_json(*values: Any) -> None:
    """Print values to stdout, each as one line of JSON."""
    for value in values:
        click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_parts(*parts: Any) -> None:
    """Print texts and tables to stdout, at most 100 columns wide.

    A line of text is cut on a narrower terminal.
    """
    from rich.console import Console
    from rich.text import Text

    from retriever.formatting import WIDTH

    # No markup: texts with "[/b]" or ":cat:" are shown as they are.
    console = Console(highlight=False, markup=False, emoji=False)
    narrow = console.is_terminal and console.width < WIDTH
    if not narrow:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDTH, soft_wrap=True)
    for part in parts:
        if narrow and isinstance(part, Text):
            console.print(part, no_wrap=True, overflow="ellipsis")
        else:
            console.print(part)


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that draws on stderr if that is a terminal.

    A total of 0 is unknown.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
