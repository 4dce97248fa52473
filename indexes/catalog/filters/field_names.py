r"""Names of metadata fields, as filters, `--index-field` and messages write them.

    author.name            the field `name` inside the field `author`
    "author.name"          the one field of that name
    author."first name"    the field `first name` inside `author`

Dots lead into nested objects; a label in quotation marks, single or double, is taken as it is. In
it a backslash escapes a quotation mark or a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from indexes.catalog.filters.conditions import AnyOf, Exists, Filter, fields_of
from indexes.errors import InputError, check_text

Path = tuple[str, ...]
Fits = Callable[[Filter], bool]

QUOTED = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
BARE = r"[\w\-/:]+"
KEYWORDS = ("and", "or", "not", "in", "exists")
_LABEL = re.compile(rf"(?:{QUOTED})(?=\.|\Z)|[^.\"'][^.]*", re.DOTALL)


class DottedPath(Path):
    """A path that was written with dots and no quotes: its user may mean one field's name."""


def field_path(name: str) -> Path:
    """Return the path that a field's name denotes; a part between dots is quoted or not empty."""
    check_text("The name of a field", name)
    labels, at = list[str](), 0
    while found := _LABEL.match(name, at):
        labels.append(found[0])
        at = found.end() + 1
        if found.end() == len(name):
            break
    if at != len(name) + 1:
        raise InputError(
            f"The field '{_printable(name)}' is not a name; expected a name, or names with single"
            " dots between them, such as 'author.name'. A name that holds dots or begins with a"
            f" quotation mark is quoted: {_printable(quote(name))}."
        )
    path = tuple(unquoted(label) if label[0] in "\"'" else label for label in labels)
    bare = len(path) > 1 and not any(label[0] in "\"'" for label in labels)
    return DottedPath(path) if bare else path


def value_at(metadata: Mapping[str, Any], path: Path) -> Any:
    """Return the value of a document's metadata at a path; None if there is none."""
    value: Any = metadata
    for label in path:
        value = value.get(label) if isinstance(value, Mapping) else None
    return value


def as_name(label: str) -> str:
    """Return how the one field of that name is written in a mapping, quoted only if needed."""
    plain = label and "." not in label and label[0] not in "\"'"
    return label if plain else quote(label)


def field_name(path: Path) -> str:
    """Return how a field is written, in a filter as text and in a mapping."""
    return ".".join(map(_label, path))


def quote(label: str) -> str:
    """Return a label in double quotation marks."""
    return '"' + label.replace("\\", r"\\").replace('"', r"\"") + '"'


def unquoted(text: str) -> str:
    """Return the text inside quotation marks."""
    return re.sub(r"""\\(["'\\])""", r"\1", text[1:-1])


def dotted_fields(where: Filter) -> list[Path]:
    """Return the fields of a filter that are written with dots and no quotes."""
    return sorted({path for path in fields_of(where) if isinstance(path, DottedPath)})


def check_readings(where: Filter, fits: Fits) -> None:
    """Raise an InputError if `a.b`, without quotes, may mean a field of that very name.

    `fits` returns whether any document matches a filter.
    """
    for path in dotted_fields(where):
        if other := _other_reading(path, fits):
            name, as_path = _printable(".".join(path)), ".".join(map(quote, path))
            raise InputError(
                f"The field '{name}' has two meanings: the field {_printable(field_name(other))},"
                f" which documents here have, or '{_printable(path[-1])}' nested inside"
                f" '{_printable('.'.join(path[:-1]))}'. For the first, write"
                f" {_printable(field_name(other))}; for the second, write {_printable(as_path)}."
            )


def _other_reading(path: Path, fits: Fits) -> Path | None:
    """Return a path of labels with dots that reads the same and that some document has."""
    merged = [
        (*path[:start], ".".join(path[start:stop]))
        for start in range(len(path) - 1)
        for stop in range(start + 2, len(path) + 1)
    ]
    # Usually one question, and no document has any of them.
    if not fits(AnyOf(tuple(map(Exists, merged[:200])))):
        return None
    return next((one for one in _readings(path, (), fits) if one != path), None)


def _readings(rest: Path, before: Path, fits: Fits) -> Iterator[Path]:
    """Yield the readings that documents have, the longest labels first."""
    if not rest:
        yield before
    for stop in range(len(rest), 0, -1):
        path = (*before, ".".join(rest[:stop]))
        if fits(Exists(path)):
            yield from _readings(rest[stop:], path, fits)


def _label(label: str) -> str:
    bare = re.fullmatch(BARE, label) and label.lower() not in KEYWORDS
    return label if bare else quote(label)


def _printable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
