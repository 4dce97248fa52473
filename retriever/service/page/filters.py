"""The filter of a search form: a control for each metadata field, and the text that they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indexes.catalog.filters.field_names import field_name, field_path
from indexes.errors import InputError
from retriever.search.metadata_fields import (
    BOOLEAN,
    DATE,
    NUMBER,
    MetadataField,
    Value,
    condition_text,
)
from retriever.search.where_parser import number_of, parse_where

# What the name of a control begins with, and the operator that it stands for.
OPERATORS = {"is.": "=", "from.": ">=", "to.": "<="}
LONGEST_VALUE = 500


@dataclass(frozen=True)
class Control:
    """A field of metadata with what is chosen for it; `open_ended` takes any text, too."""

    field: MetadataField
    chosen: str = ""
    low: str = ""
    high: str = ""

    @property
    def is_range(self) -> bool:
        """Whether it has two ends instead of a value."""
        return self.field.kind in (NUMBER, DATE)

    @property
    def options(self) -> list[tuple[str, str]]:
        """The values to choose from, each with how many documents have it; none for any text."""
        if self.is_range or not (self.field.complete or self.field.kind == BOOLEAN):
            return []
        return [(_written(value), f"{count:,}") for value, count in self.field.values]

    @property
    def hints(self) -> list[str]:
        """The frequent values where any other can be given, too."""
        return [] if self.is_range or self.options else [str(v) for v, _ in self.field.values]

    @property
    def is_chosen(self) -> bool:
        """Whether it restricts the search."""
        return bool(self.chosen or self.low or self.high)


def controls(fields: Sequence[MetadataField], given: Mapping[str, str]) -> list[Control]:
    """Return the controls of some fields, filled with the parameters of a form."""
    return [
        Control(field, *(given.get(f"{start}{field.name}", "") for start in OPERATORS))
        for field in fields
    ]


def filter_text(fields: Sequence[MetadataField], given: Mapping[str, str], typed: str) -> str:
    """Return the filter that the parameters of a form and a typed one say together; "" for none.

    Raises:
        InputError: a field has no such name, a number is none, or the typed filter is malformed.
    """
    kinds = {field.name: field for field in fields}
    parts = []
    for parameter, text in given.items():
        start = next((one for one in OPERATORS if parameter.startswith(one)), None)
        if start is None or not text.strip():
            continue
        # Written as its path: no name can say more than a field.
        name = field_name(field_path(parameter.removeprefix(start)))
        value = _value(name, text, kinds.get(name))
        parts.append(condition_text(name, OPERATORS[start], value))
    if typed.strip():
        parse_where(typed)  # alone: a bracket that it closes may be none of ours
        parts.append(f"({typed.strip()})" if parts else typed.strip())
    return " and ".join(parts)


def _value(name: str, text: str, field: MetadataField | None) -> Value:
    if len(text) > LONGEST_VALUE:
        raise InputError(f"The value of '{name}' has more than {LONGEST_VALUE} characters.")
    if field is None or field.kind not in (NUMBER, BOOLEAN):
        return text
    if field.kind == BOOLEAN and text in ("true", "false"):
        return text == "true"
    number = number_of(text.strip())
    if field.kind == BOOLEAN or number is None:
        kind = "true or false" if field.kind == BOOLEAN else "a number"
        raise InputError(f"'{name}' is '{text}'; expected {kind}.")
    return number


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
