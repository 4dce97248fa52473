"""Text files that appear whole or not at all."""

from __future__ import annotations

import gzip
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from indexes.errors import InputError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A UTF-8 text file that takes the place of `path` when the block ends without an error.

    Gzipped if `path` ends in `.gz`. After an error there is no new file, and an old one is as it
    was.

    Raises:
        InputError: the folder does not exist or cannot be written to.
    """
    target = Path(path)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        try:
            with _create(temporary, target.suffix.lower() == ".gz") as file:
                yield file
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from None


def _create(path: Path, zipped: bool) -> TextIO:
    if zipped:
        return cast(TextIO, gzip.open(path, "xt", encoding="utf-8", newline="\n"))
    return path.open("x", encoding="utf-8", newline="\n")
