"""Output: data to stdout, progress and notes to stderr."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import click


def note(text: str) -> None:
    """Print a note to stderr."""
    click.echo(f"note: {text}", err=True)


def print_json(value: Any) -> None:
    """Print one line of JSON to stdout."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def printer() -> Callable[[Any], None]:
    """Return a function that prints to stdout, at most 100 columns wide.

    A line of text is cut on a narrower terminal.
    """
    from rich.console import Console
    from rich.text import Text

    from retriever.formatting import WIDTH

    # No markup: texts with "[/b]" or ":cat:" are shown as they are.
    console = Console(highlight=False, markup=False, emoji=False)
    wide = Console(highlight=False, markup=False, emoji=False, width=WIDTH, soft_wrap=True)

    def narrow(part: Any) -> None:
        if isinstance(part, Text):
            console.print(part, no_wrap=True, overflow="ellipsis")
        else:
            console.print(part)

    return narrow if console.is_terminal and console.width < WIDTH else wide.print


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
