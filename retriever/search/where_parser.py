"""A parser of filters on metadata, from the text of `--where` to the mapping of `parse_filter`.

    --where 'source = faq and year >= 2020'

The grammar, from the weakest binding to the strongest:

    any        all { "or" all }
    all        one { "and" one }
    one        "not" one | "(" any ")" | condition
    condition  field OP value | field ["not"] "exists"
               | field ["not"] "in" "(" [value {"," value}] ")"
    OP         = == != <> < <= > >=

A field is a bare word (letters, digits and _ - . / :), in which dots lead into nested objects, or
quoted, which is one name with its dots; `author."first name"` is both (see `field_names`).
A value is a number, true, false, null, quoted text, or a bare word, which is text. In quoted text a
backslash escapes a quotation mark or a backslash. Keywords are case-insensitive.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from indexes.catalog.filters.conditions import MOST_LEVELS, Filter, Scalar, too_deep
from indexes.catalog.filters.field_names import (
    BARE,
    KEYWORDS,
    QUOTED,
    as_name,
    field_path,
    quote,
    unquoted,
)
from indexes.errors import InputError
from retriever.search.where import OPERATORS, Where, parse_filter

TEXT_EXAMPLE = "year >= 2020 and source in (faq, 'press release')"
LONGEST_SHOWN = 80

_ALIASES = {"==": "=", "<>": "!="}
_CONSTANTS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
# A number is a separate token: 2020-01-01, 1.2.3 and 007 are words, as dates and codes are text.
_NUMBER = r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w\-./:])"
_MORE = rf"(?:\.(?:{BARE}|{QUOTED}))"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<path>(?:{BARE}\.)+(?:{QUOTED}){_MORE}*|(?:{QUOTED}){_MORE}+)
      | (?P<word>{_NUMBER}|[\w\-./:]+)
      | (?P<quoted>{QUOTED})
      | (?P<operator>==|=|!=|<>|<=|<|>=|>)
      | (?P<mark>[(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
# What is one name or text where quotation marks are missing.
_KEYWORD = rf"\b(?:{'|'.join(KEYWORDS)})\b"
_UNQUOTED = re.compile(rf"""{_KEYWORD}|(?:(?!{_KEYWORD})[^=!<>(),"'])+""", re.IGNORECASE)


def filter_of(where: Where) -> Filter:
    """Return the filter that a mapping or a text describes; see `parse_filter` and this module."""
    return parse_filter(parse_where(where) if isinstance(where, str) else where)


def number_of(text: str) -> int | float | None:
    """Return the number that a filter reads in a word, of any size if whole; None for another."""
    if not re.fullmatch(_NUMBER, text) or not math.isfinite(float(text)):
        return None
    return float(text) if re.search("[.eE]", text) else int(text)


def parse_where(text: str) -> dict[str, Any]:
    """Parse a filter written as text into a mapping for `where.parse_filter`."""
    parser = _Parser(text)
    where = parser.any_of(1)
    parser.expect("end", "", "'and', 'or' or the end")
    return where


@dataclass(frozen=True)
class _Token:
    """A token as written; `start` is its position in characters, from 0."""

    kind: str
    text: str
    start: int

    def is_keyword(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def name(self) -> str:
        """Return its value, without quotation marks."""
        return unquoted(self.text) if self.kind == "quoted" else self.text


class _Parser:
    """A recursive descent parser; every method consumes the tokens that it has read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._token = _Token("start", "", 0)
        self._last_value = 0
        self._advance()

    def any_of(self, level: int) -> dict[str, Any]:
        return self._chain("or", lambda: self._chain("and", lambda: self._one(level)))

    def expect(self, kind: str, text: str, expected: str) -> None:
        if (self._token.kind, self._token.text) != (kind, text):
            raise self._error(expected, self._to_quote(self._last_value))
        if kind != "end":
            self._advance()

    def _chain(self, word: str, part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Parse parts with `word` between them."""
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else {word: parts}

    def _one(self, level: int) -> dict[str, Any]:
        if level > MOST_LEVELS:
            raise too_deep()
        if self._take("not"):
            part = self._one(level + 1)
            # `parse_filter` would read {"not": {"in": ...}} as an operation on a field "not".
            return {"not": {"and": [part]} if set(part) <= set(OPERATORS) else part}
        if self._token.text != "(":
            return self._condition()
        self._advance()
        inside = self.any_of(level + 1)
        self.expect("mark", ")", "'and', 'or' or ')'")
        return inside

    def _condition(self) -> dict[str, Any]:
        start, name = self._token.start, self._field()
        negated = self._take("not")
        if self._take("exists"):
            return {name: {"exists": not negated}}
        if self._take("in"):
            return {name: {"not in" if negated else "in": self._values()}}
        if negated:
            raise self._error("'in' or 'exists' after 'not'")
        return {name: self._comparison(name, start)}

    def _field(self) -> str:
        """Consume a field; return it as a mapping has it."""
        token = self._token
        if token.kind == "path":
            self._advance()
            return ".".join(map(quote, field_path(token.text)))
        name = self._name("a field")
        return as_name(name) if token.kind == "quoted" else name

    def _comparison(self, name: str, start: int) -> Any:
        written = self._token.text
        if self._token.kind != "operator":
            expected = f"=, !=, <, <=, >, >=, 'in' or 'exists' after '{_shown(name)}'"
            raise self._error(expected, self._to_quote(start))
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
        self._last_value = token.start
        if token.kind == "word" and token.text.lower() in _CONSTANTS:
            self._advance()
            return _CONSTANTS[token.text.lower()]
        if token.kind == "word" and re.fullmatch(_NUMBER, token.text):
            number = number_of(token.text)
            if number is None:
                raise self._error("a number below 1.8e308")
            self._advance()
            return number
        return self._name(expected)

    def _name(self, expected: str) -> str:
        token = self._token
        if token.is_keyword(*KEYWORDS) or token.kind not in ("word", "quoted"):
            raise self._error(expected)
        self._advance()
        return token.name()

    def _take(self, keyword: str) -> bool:
        """Consume the keyword if it comes next; return whether it did."""
        found = self._token.is_keyword(keyword)
        if found:
            self._advance()
        return found

    def _advance(self) -> None:
        start = self._token.start + len(self._token.text)
        found = _TOKEN.match(self._text, start)
        if found is None:
            rest = self._text[start:].lstrip()
            start = len(self._text) - len(rest)
            self._token = _Token("unknown", rest[0], start)
            if rest[0] in "\"'":
                raise self._error(f"a closing {rest[0]}")
            raise self._error("a field, value or operator", self._to_quote(start))
        kind = str(found.lastgroup)
        self._token = _Token(kind, found[kind], found.start(kind))

    def _to_quote(self, start: int) -> str:
        """Return the words from there to the next token of another kind, if they need quotes."""
        runs = (run for run in _UNQUOTED.finditer(self._text) if run.end() > start)
        words = next(runs)[0].strip() if self._token.kind in ("word", "unknown") else ""
        return "" if re.match(rf"[\w\-./:]*\Z|{_NUMBER}", words) else words

    def _error(self, expected: str, to_quote: str = "") -> InputError:
        token = self._token
        found = "the end"
        if token.kind != "end":
            found = _shown(token.text) if token.kind == "quoted" else f"'{_shown(token.text)}'"
        if token.is_keyword(*KEYWORDS):
            found += f" (a keyword; as a name or text, write {json.dumps(token.text)})"
        elif to_quote:
            found += f" (a name or text of other characters is quoted: {_shown(quote(to_quote))})"
        return InputError(
            f"The filter '{_shown(self._text)}': expected {expected} at character"
            f" {token.start + 1}, found {found}. Example: {TEXT_EXAMPLE}"
        )


def _shown(text: str) -> str:
    # What the shell could not decode cannot be printed either.
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 4]} ..."
