"""Finding and reading `retriever.toml`: that of the working folder and that of the user."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.errors import FileFormatError

NAME = "retriever.toml"
EXAMPLE = 'library = "library"'
# How tomllib ends its messages; it has no attributes for the place.
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class ConfigFile:
    """A file of settings. With `is_users`, it is the user's own; otherwise it may be anyone's."""

    path: Path
    text: str
    values: Mapping[str, Any]
    is_users: bool

    def place(self, *keys: str) -> str:
        """Return the file, and the line of a key if it stands on a line of its own."""
        line = line_of(self.text, keys)
        return str(self.path) if line is None else f"{self.path}:{line}"


def users_path() -> Path:
    """Return the path of the user's file, whether it exists or not."""
    from platformdirs import user_config_path

    return user_config_path("retriever", appauthor=False) / NAME


def working_path() -> Path | None:
    """Return the file of the working folder, or of the nearest of the folders above it.

    A folder above counts if it and the file belong to the user who runs the command, so that a file
    that someone else has left in a shared folder such as /tmp has no effect. The home folder is the
    last one looked into.
    """
    try:
        here, home = Path.cwd(), Path.home()
    except (OSError, RuntimeError):  # it was removed, or the user has none
        return None
    for folder in (here, *here.parents):
        if folder != here and not _is_own(folder):
            return None
        path = folder / NAME
        if path.is_file() and (folder == here or _is_own(path)):
            return path
        if folder == home:
            return None
    return None


def _is_own(path: Path) -> bool:
    try:
        return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()
    except OSError:
        return False


def read_config(path: Path, *, is_users: bool) -> ConfigFile:
    """Read a file of settings.

    Raises:
        FileFormatError: it is not TOML; the message names the line.
        OSError: it cannot be read.
    """
    import tomllib

    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{path} is not UTF-8 at byte {error.start}; expected TOML."
        ) from None
    try:
        return ConfigFile(path, text, tomllib.loads(text), is_users)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        number = place[1] if place and place[1] else str(len(text.splitlines()))
        at = f", column {place[2]}" if place and place[2] else ""
        what = _PLACE.sub("", message)
        raise FileFormatError(
            f"{path}:{number}{at}: {what}. Expected TOML, such as: {EXAMPLE}"
        ) from None


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Return the number of the line, from 1, that sets a key or the table that it is in.

    None if no single line does, as in a value over several lines that looks like TOML itself.
    """
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            table = _path_of(line) or table
            found = table
        else:
            found = (*table, *_path_of(f"{line.partition('=')[0]} = 0")) if "=" in line else ()
        # A table inside a line (`output = {k = 5}`) stands for its keys.
        is_inline = "=" in line and keys[: len(found)] == found
        if found and (found == keys or (is_inline and found != table)):
            return number
    return None


def _path_of(line: str) -> tuple[str, ...]:
    """Return the keys, from the outermost, of the only key or table in a line of TOML."""
    import tomllib

    try:
        value: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path = []
    while isinstance(value, dict) and len(value) == 1:
        ((key, value),) = value.items()
        path.append(key)
    return tuple(path)
