"""Metadata as flat fields of a row on a server, on which our filters have exact equivalents.

Servers differ from us, and from each other, in what a missing value is, a number next to a text, a
list, or a whole number beyond 2**53. So a row there has no metadata as they are, but for each field
and each kind of its values (numbers, texts, booleans, null, others) one number or text: the lowest.
A field with several different values (a list) has also the highest, and a list of all. Booleans
and null are numbers, too, under names of their own. Any field can be filtered on, whether it was
there when the collection was created or not.

`{"year": 2020, "tags": ["b", "a"]}` is
`{"n.year": 2020.0, "t.tags": "a", "t>.tags": "b", "t*.tags": ["a", "b"]}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from indexes.catalog.filtering import DEEPEST_NAMED, fields_in
from indexes.catalog.filters.field_names import Path
from indexes.catalog.filters.sql import BOOLEAN, NULL, NUMBER, OTHER, SEVERAL, TEXT, values_of

Value = float | str
Row = Mapping[str, Value | list[Value]]
# Of each field that some row has, by its name: the prefixes of its names in rows.
Known = dict[str, Sequence[str]]
LETTERS = {NULL: "z", BOOLEAN: "b", NUMBER: "n", TEXT: "t", OTHER: "o"}
# After the letter: the highest of several values, and all of them.
HIGHEST, ALL = ">", "*"
# In place of a letter: some row has values that are in none of its fields.
LACKING = "?"
# A double has all whole numbers up to here, and compares them exactly.
LARGEST = 2**53
# Longer texts are left out, and the longest values of a row that has more bytes: thousands of rows
# are one message to a server, which takes 64 MB.
MOST_CHARACTERS, MOST_BYTES = 512, 8_000


def row_of(metadata: Mapping[str, Any], known: Known) -> Row:
    """Return the fields of one document; enter into `known` what it has, and what is left out."""
    fields = {name_of(path): _fields(values_of(metadata, path)) for path in fields_in(metadata)}
    sizes = {name: len(json.dumps(_joined({name: one}))) for name, one in fields.items()}
    size = sum(sizes.values())
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if size <= MOST_BYTES:
            break
        fields[name], size = {LACKING: ""}, size - sizes[name]
    for name, one in fields.items():
        if not set(one) <= set(known.get(name, ())):
            known[name] = sorted({*known.get(name, ()), *one})
    return _joined(fields)


def _joined(fields: Mapping[str, Row]) -> Row:
    return {
        f"{kind}.{name}": value
        for name, of_one in fields.items()
        for kind, value in of_one.items()
        if kind != LACKING
    }


def name_of(path: Path) -> str:
    """Return a name of letters, digits, dots and underscores; different paths have different ones.

    All other characters are written as `_HEX_`.
    """
    return ".".join(re.sub("[^A-Za-z0-9]", lambda one: f"_{ord(one[0]):x}_", p) for p in path)


def readable(name: str) -> str:
    """Return what `name_of` made a name of, for people: with dots between its labels."""
    return re.sub("_([0-9a-f]+)_", lambda one: chr(int(one[1], 16)), name)


def is_nameable(path: Path) -> bool:
    """Return whether rows may have a field: none that is nested too deep, nor one with a NUL."""
    return len(path) <= DEEPEST_NAMED and not any("\0" in label for label in path)


def _fields(values: Sequence[tuple[int, Any]]) -> Row:
    """Return the fields of one field of a document, by the prefixes of their names."""
    kinds: dict[int, list[Any]] = {}
    for kind, value in values:
        if not _fits(value):
            return {LACKING: ""}
        if kind != SEVERAL:
            kinds.setdefault(kind, []).append(value if kind == TEXT else float(value))
    out: dict[str, Value | list[Value]] = {}
    for kind, some in kinds.items():
        # Numbers, or texts, which are compared by code point, as UTF-8 is.
        letter, some = LETTERS[kind], sorted(some)
        out[letter] = some[0]
        if len(some) > 1:
            out[letter + HIGHEST], out[letter + ALL] = some[-1], some
    return out


def _fits(value: Value) -> bool:
    return len(value) <= MOST_CHARACTERS if isinstance(value, str) else abs(value) <= LARGEST
