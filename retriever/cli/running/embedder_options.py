"""Options of embedders from settings, checked against the classes."""

from __future__ import annotations

from typing import Any

from indexes.errors import InputError
from retriever.cli.running.settings import Setting, Settings

# An option of the index that `build` takes in the same way.
OF_INDEX = "dtype"


def checked_options(settings: Settings, spec: str) -> dict[str, Setting]:
    """Return the options that settings have for an embedder, by name.

    Raises:
        InputError: one is unknown or of the wrong type; the message names its place.
    """
    found = settings.embedder_options(spec)
    for one in found.values():
        _check(spec.partition(":")[0], one)
    return found


def check_options(settings: Settings) -> None:
    """Check the options of all embedders; errors as of `checked_options`."""
    for whose, one in settings.options:
        _check(whose.partition(":")[0], one)


def _check(kind: str, option: Setting) -> None:
    from retriever.embedders.registry import check_embedder_options

    if option.name == OF_INDEX:
        return
    value: Any = option.value
    try:
        check_embedder_options(kind, {option.name: value})
    except InputError as error:
        raise InputError(f"{option.source}: {error}") from None
