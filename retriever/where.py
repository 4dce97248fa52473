"""What a user writes to filter by metadata, as a mapping or as text, made a filter.

    search("...", where={"source": "faq", "year": {">=": 2020}})
    --where 'source = faq and year >= 2020'

The text, from what binds least to what binds most:

    any        all { "or" all }
    all        one { "and" one }
    one        "not" one | "(" any ")" | condition
    condition  field OP value | field ["not"] "exists"
               | field ["not"] "in" "(" [value {"," value}] ")"
    OP         = == != <> < <= > >=

A field is a bare word (letters, digits and _ - . / :) or quoted; its dots lead into nested objects.
A value is a number, true, false, null, quoted text, or a bare word, which is text. In quoted text a
backslash stands before a quotation mark or a backslash. Keywords may be in any case.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError
from indexes.filters import (
    COMPARISONS,
    MOST_LEVELS,
    AllOf,
    AnyOf,
    Comparison,
    Exists,
    Filter,
    Not,
    OneOf,
    Scalar,
    refused,
    too_deep,
)

__all__ = ["Where", "field_path", "filter_of", "parse_where"]

Where = Mapping[str, Any]

OPERATORS = (*COMPARISONS, "in", "not in", "exists")
EXAMPLE = '{"source": "faq", "year": {">=": 2020}}'
TEXT_EXAMPLE = "year >= 2020 and source in (faq, 'press release')"
LONGEST_SHOWN = 80

_ALIASES = {"==": "=", "<>": "!="}
_KEYWORDS = ("and", "or", "not", "in", "exists")
_CONSTANTS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
# A number stands alone: 2020-01-01, 1.2.3 and 007 are words, so that dates and codes stay text.
_NUMBER = r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w\-./:])"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<word>{_NUMBER}|[\w\-./:]+)
      | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<operator>==|=|!=|<>|<=|<|>=|>)
      | (?P<mark>[(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)


def filter_of(where: Where) -> Filter:
    """The filter that a mapping says: all of its conditions hold.

    `{"field": value}` is equality; `{"field": {operator: operand, ...}}` takes =, !=, <, <=, >,
    >=, "in" and "not in" (with a list) and "exists" (with True or False), and all of them hold.
    `{"and": [mapping, ...]}`, `{"or": [mapping, ...]}` and `{"not": mapping}` combine; with other
    values these are names of fields. Dots in a name lead into nested objects.

    Raises:
        InputError: names the field, what was expected and an example.
    """
    return _all_of(where, 1)


def parse_where(text: str) -> dict[str, Any]:
    """The mapping, for `filter_of`, that a filter written as text stands for.

    Raises:
        InputError: says at which character, what was expected there and what was found.
    """
    parser = _Parser(text)
    where = parser.any_of(1)
    parser.expect("end", "", "'and', 'or' or the end")
    return where


def field_path(name: str) -> tuple[str, ...]:
    """The path that a field's name stands for: its dots lead into nested objects.

    Raises:
        InputError: it is empty, or has two dots side by side.
    """
    labels = tuple(name.split("."))
    if not all(labels):
        raise InputError(
            f"The filter has the field '{name}'; expected a name, or names with single dots"
            " between them, such as 'author.name'."
        )
    return labels


# -- mappings -----------------------------------------------------------------------------------


def _all_of(where: object, level: int) -> Filter:
    if level > MOST_LEVELS:
        raise too_deep()
    if not isinstance(where, Mapping):
        kind = type(where).__name__
        raise InputError(
            f"The filter is {kind}; expected a mapping of fields to values, such as {EXAMPLE}."
        )
    if not where:
        raise InputError(f"The filter is empty; give at least one condition, such as {EXAMPLE}.")
    return _together(AllOf, [_entry(name, value, level) for name, value in where.items()])


def _together(group: type[AllOf] | type[AnyOf], parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else group(tuple(parts))


def _entry(name: object, value: Any, level: int) -> Filter:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise InputError(
            f"The filter has the field {reprlib.repr(name)} ({kind});"
            f" expected text, as in {EXAMPLE}."
        )
    if name in ("and", "or") and isinstance(value, list | tuple):
        return _group(name, value, level)
    if name == "not" and isinstance(value, Mapping) and not set(value) <= set(OPERATORS):
        return Not(_all_of(value, level + 1))
    operations = value if isinstance(value, Mapping) else {"=": value}
    if not operations:
        raise _refused(name, f"an operator ({', '.join(OPERATORS)})", value)
    field = field_path(name)
    return _together(
        AllOf, [_operation(name, field, *operation) for operation in operations.items()]
    )


def _group(name: str, parts: Sequence[Any], level: int) -> Filter:
    if not parts or not all(isinstance(part, Mapping) for part in parts):
        example = f'{{"{name}": [{{"source": "faq"}}, {{"year": 2020}}]}}'
        found = refused(name, "a list of at least one mapping", parts)
        raise InputError(f"{found} For example: {example}.")
    group = AllOf if name == "and" else AnyOf
    return _together(group, [_all_of(part, level + 1) for part in parts])


def _operation(name: str, field: tuple[str, ...], operator: object, operand: Any) -> Filter:
    match operator:
        case "exists":
            if not isinstance(operand, bool):
                raise _refused(name, "True or False after 'exists'", operand)
            return Exists(field) if operand else Not(Exists(field))
        case "in":
            return _one_of(name, field, operand)
        case "not in":
            return AllOf((Exists(field), Not(_one_of(name, field, operand))))
        case str() if operator in COMPARISONS:
            if isinstance(operand, list | tuple | Mapping):
                raise _refused(name, f"one value after '{operator}'", operand)
            return _with_example(Comparison, field, operator, operand)
    raise InputError(
        f"The filter on '{name}': {operator!r} is no operator. There are: {', '.join(OPERATORS)};"
        f' for example {{"year": {{">=": 2020}}}}. A nested field is written "{name}.{operator}".'
    )


def _one_of(name: str, field: tuple[str, ...], operand: Any) -> Filter:
    if not isinstance(operand, list | tuple):
        raise _refused(name, "a list after 'in' or 'not in'", operand)
    return _with_example(OneOf, field, tuple(operand))


def _with_example(make: Any, *arguments: Any) -> Filter:
    """The filter; what it refuses by itself is refused with an example."""
    try:
        made: Filter = make(*arguments)
    except InputError as error:
        raise InputError(f"{error} For example: {EXAMPLE}.") from None
    return made


def _refused(name: str, expected: str, found: object) -> InputError:
    several = ' or {"source": {"in": ["faq", "blog"]}}' if isinstance(found, list | tuple) else ""
    return InputError(f"{refused(name, expected, found)} For example: {EXAMPLE}{several}.")


# -- text ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Token:
    """A piece of the text, as it is written; `start` counts its characters from 0."""

    kind: str
    text: str
    start: int

    def is_keyword(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def name(self) -> str:
        """The text that it stands for, without quotation marks."""
        if self.kind == "quoted":
            return re.sub(r"""\\(["'\\])""", r"\1", self.text[1:-1])
        return self.text


class _Parser:
    """Reads one token after the other; every method leaves behind it what it has read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._token = _Token("start", "", 0)
        self._advance()

    def any_of(self, level: int) -> dict[str, Any]:
        return self._chain("or", level)

    def expect(self, kind: str, text: str, expected: str) -> None:
        if (self._token.kind, self._token.text) != (kind, text):
            raise self._error(expected)
        if kind != "end":
            self._advance()

    def _chain(self, word: str, level: int) -> dict[str, Any]:
        """Parts with `word` between them."""
        parts = [self._part(word, level)]
        while self._take(word):
            parts.append(self._part(word, level))
        return parts[0] if len(parts) == 1 else {word: parts}

    def _part(self, word: str, level: int) -> dict[str, Any]:
        return self._chain("and", level) if word == "or" else self._one(level)

    def _one(self, level: int) -> dict[str, Any]:
        if level > MOST_LEVELS:
            raise too_deep()
        if self._take("not"):
            part = self._one(level + 1)
            # `filter_of` would take {"not": {"in": ...}} for an operation on a field called "not".
            return {"not": {"and": [part]} if set(part) <= set(OPERATORS) else part}
        if self._token.text == "(":
            self._advance()
            inside = self.any_of(level + 1)
            self.expect("mark", ")", "'and', 'or' or ')'")
            return inside
        return self._condition()

    def _condition(self) -> dict[str, Any]:
        name = self._name("a field")
        if self._take("not"):
            if self._take("exists"):
                return {name: {"exists": False}}
            if self._take("in"):
                return {name: {"not in": self._values()}}
            raise self._error("'in' or 'exists' after 'not'")
        if self._take("exists"):
            return {name: {"exists": True}}
        if self._take("in"):
            return {name: {"in": self._values()}}
        return {name: self._comparison(name)}

    def _comparison(self, name: str) -> Any:
        written = self._token.text
        if self._token.kind != "operator":
            raise self._error(f"=, !=, <, <=, >, >=, 'in' or 'exists' after '{_shown(name)}'")
        self._advance()
        value = self._value(f"a value after '{written}'")
        operator = _ALIASES.get(written, written)
        return value if operator == "=" else {operator: value}

    def _values(self) -> list[Scalar]:
        self.expect("mark", "(", "'(' after 'in'")
        values: list[Scalar] = []
        while not (self._token.text == ")" and not values):
            values.append(self._value("a value"))
            if self._token.text != ",":
                break
            self._advance()
        self.expect("mark", ")", "',' or ')'")
        return values

    def _value(self, expected: str) -> Scalar:
        token = self._token
        if token.kind == "word" and token.text.lower() in _CONSTANTS:
            self._advance()
            return _CONSTANTS[token.text.lower()]
        if token.kind == "word" and re.fullmatch(_NUMBER, token.text):
            if not math.isfinite(float(token.text)):
                raise self._error("a number below 1.8e308")
            self._advance()
            return float(token.text) if re.search("[.eE]", token.text) else int(token.text)
        return self._name(expected)

    def _name(self, expected: str) -> str:
        token = self._token
        if token.is_keyword(*_KEYWORDS) or token.kind not in ("word", "quoted"):
            raise self._error(expected)
        self._advance()
        return token.name()

    def _take(self, keyword: str) -> bool:
        """Whether that keyword comes next; if so, it is read."""
        if not self._token.is_keyword(keyword):
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        start = self._token.start + len(self._token.text)
        found = _TOKEN.match(self._text, start)
        if found is None:
            rest = self._text[start:].lstrip()
            start = len(self._text) - len(rest)
            self._token = _Token("unknown", rest[0], start)
            closing = f"a closing {rest[0]}" if rest[0] in "\"'" else "a field, value or operator"
            raise self._error(closing)
        kind = str(found.lastgroup)
        self._token = _Token(kind, found[kind], found.start(kind))

    def _error(self, expected: str) -> InputError:
        token = self._token
        found = "the end"
        if token.kind != "end":
            found = _shown(token.text) if token.kind == "quoted" else f"'{_shown(token.text)}'"
        if token.is_keyword(*_KEYWORDS):
            found += f" (a keyword; as a name or text, write {json.dumps(token.text)})"
        return InputError(
            f"The filter '{_shown(self._text)}': expected {expected} at character"
            f" {token.start + 1}, found {found}. Example: {TEXT_EXAMPLE}"
        )


def _shown(text: str) -> str:
    # What the shell could not decode cannot be printed either.
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 4]} ..."
