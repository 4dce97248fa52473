"""The fields of metadata that documents have: their names, kinds and frequent values."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.catalog.filters.field_names import Path, field_name, quote

NUMBER, BOOLEAN, DATE, TEXT = "number", "boolean", "date", "text"
Value = str | int | float | bool
# Deeper fields are not listed, nor are rare ones of documents that have hundreds.
DEEPEST, MOST_FIELDS = 8, 24
MOST_VALUES = 20
# Longer values are texts to read and not to choose from.
LONGEST_VALUE = 60
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ].*)?")


@dataclass(frozen=True)
class MetadataField:
    """A field, named as filters write it, and what `documents` documents have in it.

    `kind` is that of most values: `number`, `boolean`, `date` (a text such as `2020-12-31`) or
    `text`. `values` are the most frequent ones of this kind with their numbers of documents; none
    if no value is frequent. `complete` says that there are no others. `low` and `high` are the
    smallest and largest number or date.
    """

    name: str
    kind: str
    documents: int
    values: tuple[tuple[Value, int], ...] = ()
    complete: bool = False
    low: Value | None = None
    high: Value | None = None


def metadata_fields(documents: Iterable[Mapping[str, Any]]) -> tuple[MetadataField, ...]:
    """Return the fields of some documents' metadata, the most frequent ones, in order of name.

    A list counts as its elements, as in a filter; objects and null are no values.
    """
    values = defaultdict[Path, list[Value]](list)
    having = Counter[Path]()
    for metadata in documents:
        found = list(_values(metadata, ()))
        having.update({path for path, _ in found})
        for path, value in dict.fromkeys(found):
            values[path].append(value)
    frequent = [path for path, _ in having.most_common(MOST_FIELDS)]
    return tuple(_field(path, having[path], values[path]) for path in sorted(frequent))


def _values(value: Any, path: Path) -> Iterator[tuple[Path, Value]]:
    if isinstance(value, Mapping):
        if len(path) < DEEPEST:
            for label, inner in value.items():
                yield from _values(inner, (*path, label))
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, Value):
                yield path, inner
    elif isinstance(value, Value):
        yield path, value


def _field(path: Path, documents: int, values: Sequence[Value]) -> MetadataField:
    kinds = Counter(map(_kind, values))
    kind = TEXT if kinds[DATE] and kinds[TEXT] else kinds.most_common(1)[0][0]
    alike = [one for one in values if _kind(one) == kind or (kind == TEXT and _kind(one) == DATE)]
    counts = Counter(alike)
    common = [one for one in counts.most_common(MOST_VALUES) if len(str(one[0])) <= LONGEST_VALUE]
    if len(counts) == len(alike) > MOST_VALUES:
        common = []  # every value is another, as that of an id
    is_ordered = kind in (NUMBER, DATE)
    return MetadataField(
        name=field_name(path),
        kind=kind,
        documents=documents,
        values=tuple(sorted(common, key=lambda one: (-one[1], str(one[0])))),
        complete=len(common) == len(counts),
        low=min(alike) if is_ordered else None,
        high=max(alike) if is_ordered else None,
    )


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int | float):
        return NUMBER
    return DATE if _DATE.fullmatch(value) else TEXT


def condition_text(name: str, operator: str, value: Value) -> str:
    """Return a condition on a field as filters write it: `year >= 2020`, `source = "faq"`."""
    if isinstance(value, bool):
        return f"{name} {operator} {str(value).lower()}"
    return f"{name} {operator} {quote(value) if isinstance(value, str) else value}"
