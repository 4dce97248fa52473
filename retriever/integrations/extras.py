"""What is said where the package of an integration is not installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from indexes.errors import InputError


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Import inside this context what the extra `name` installs.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"This needs the extra '{name}', which is not installed ({error.name} is missing). "
            f"Run: pip install 'retriever-compare[{name}]'"
        ) from error
