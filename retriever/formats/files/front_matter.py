"""Front matter of notes, in YAML or TOML, as fields that JSON can hold; imports PyYAML."""

from __future__ import annotations

import datetime
import functools
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from indexes.errors import InputError
from indexes.values import plain

# Longer ones are not read: YAML takes 10 microseconds for each character.
MOST_CHARACTERS = 1 << 18

# The types of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), and the first characters of
# each: in 1.1, which PyYAML reads, "12:30" is the number 750, "no" is false, and "010" is 8.
_TYPES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+", [*"-+0123456789"]),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("timestamp", r"\d{4}-\d\d?-\d\d?(?:[Tt \t].*)?", [*"0123456789"]),
)
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(.*)")
_BEFORE_ZONE = re.compile(r"\s+(?=[-+Z])")
# Obsidian, Hugo and Jekyll also take tags as one text.
_TAGS = "tags"


def parse_front_matter(body: str, *, toml: bool) -> dict[str, Any]:
    """Return the fields of front matter; those without a value are left out.

    Dates and times are ISO text, which filters compare, in UTC if they have an offset. `tags` are a
    list, also where they are one text with commas. A name that is a number is text.

    Raises:
        InputError: it cannot be read, is no mapping, repeats parts by references, or is
            longer than `MOST_CHARACTERS`.
    """
    if len(body) > MOST_CHARACTERS:
        raise InputError(f"more than {MOST_CHARACTERS:,} characters")
    try:
        fields = tomllib.loads(body) if toml else _parse_yaml(body)
        if not isinstance(fields, Mapping | None):
            raise InputError("not a list of names and values")
        values = _plain(fields or {}, set())
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"TOML: {error}") from None
    # Also of numbers with too many digits, and of nesting that is too deep.
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(str(error)) from None
    given = {name: value for name, value in values.items() if value is not None}
    if isinstance(given.get(_TAGS), str):
        given[_TAGS] = [tag for one in given[_TAGS].split(",") if (tag := one.strip())]
    return given


def _parse_yaml(body: str) -> Any:
    import yaml

    try:
        return yaml.load(body, _loader())
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        # The line in the file: the fence is the first.
        raise InputError(f"line {mark.line + 2}: {problem}" if mark else problem) from None


@functools.cache
def _loader() -> Any:
    import yaml

    # In C where PyYAML has it.
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("Loader", (base,), {"yaml_implicit_resolvers": {}})
    for name, pattern, first in _TYPES:
        kind = f"tag:yaml.org,2002:{name}"
        loader.add_implicit_resolver(kind, re.compile(rf"(?:{pattern})\Z"), first)
    loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
    loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: _iso(node.value))
    return loader


def _iso(text: str) -> Any:
    """Return a date or time as ISO text that can be compared; as it is if it does not exist."""
    found = _DATE.fullmatch(text)
    if found is None:
        return text
    year, month, day, time = found.groups()
    date = f"{year}-{month:>02}-{day:>02}"
    try:
        if not time:
            return plain(datetime.date.fromisoformat(date))
        return plain(datetime.datetime.fromisoformat(_BEFORE_ZONE.sub("", date + time)))
    except ValueError:
        return text


def _plain(value: Any, seen: set[int]) -> Any:
    """Return a value with text as names and ISO text as dates.

    Raises:
        ValueError: a part occurs twice, by references, which could make it as large as one likes.
    """
    if isinstance(value, datetime.date | datetime.time):
        return plain(value)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if id(value) in seen:
        raise ValueError("it repeats a part by reference")
    seen.add(id(value))
    if isinstance(value, Mapping):
        return {_name(name): _plain(part, seen) for name, part in value.items()}
    return [_plain(part, seen) for part in value]


def _name(name: object) -> str:
    return name if isinstance(name, str) else "" if name is None else str(name)
