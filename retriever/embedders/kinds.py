"""Things chosen by name, such as `static:glove-6b-50d`, with options.

The options of a kind are the keyword arguments of its constructor, so they are defined only once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, get_args, get_type_hints

from indexes.errors import InputError, UnknownNameError, check_text, did_you_mean, short_repr
from retriever.embedders.base import EmbedderSpec

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class OptionHelp:
    """An option of a kind: the types of its values in words, its default as text, and one line."""

    name: str
    type: str
    default: str
    help: str


@dataclass(frozen=True)
class KindHelp:
    """A kind, what its class does in one line, and its options in the order of its constructor.

    `usage` is how it is written on a command line, such as `static:MODEL`.
    """

    kind: str
    usage: str
    help: str
    options: tuple[OptionHelp, ...]


@dataclass(frozen=True)
class Kinds:
    """Classes by the name of their kind; `noun` is what they are called in messages."""

    noun: str
    classes: Mapping[str, type[Any]]

    def parse(self, text: str, options: Mapping[str, Any]) -> EmbedderSpec:
        """Parse a spec from `kind:model` and options, which may be text from a command line.

        An existing path is made absolute.

        Raises:
            UnknownNameError: an unknown kind.
            InputError: a model is missing or not allowed, or an option is unknown or of the wrong
                type.
        """
        check_text(f"The {self.noun}", text)
        kind, colon, model = text.partition(":")
        if not colon and kind not in self.classes and not did_you_mean(kind, self.classes):
            known = ", ".join(self.classes)
            raise UnknownNameError(
                f"'{text}' names no kind of {self.noun}. Write KIND:MODEL, such as "
                f"{self._example(text)}; the kinds are {known}."
            )
        takes_model = "model" in self.parameters(kind)
        if takes_model and not model:
            raise InputError(f"'{text}' names no model. Write {kind}:NAME or {kind}:PATH.")
        if model and not takes_model:
            raise InputError(f"'{kind}' takes no model, but got '{model}'. Write only: {kind}.")
        path = Path(model).expanduser()
        absolute = str(path.resolve()) if model and path.exists() else model
        return EmbedderSpec(kind, absolute, self.checked(kind, options))

    def _example(self, model: str) -> str:
        """Return how a model without its kind would be written."""
        kinds = (one for one in self.classes if "model" in self.parameters(one))
        return " or ".join(f"{one}:{model}" for one in islice(kinds, 2))

    def make(self, spec: EmbedderSpec) -> Any:
        """Return an object of the class that a spec names, made with its model and options.

        Raises:
            UnknownNameError: an unknown kind.
            InputError: an option is unknown or of the wrong type.
        """
        arguments = [spec.model] if "model" in self.parameters(spec.kind) else []
        return self.classes[spec.kind](*arguments, **self.checked(spec.kind, spec.options))

    def parameters(self, kind: str) -> dict[str, Any]:
        """Return the parameters of a kind's constructor and their types."""
        if kind not in self.classes:
            known = ", ".join(self.classes)
            similar = did_you_mean(kind, self.classes)
            raise UnknownNameError(f"No kind of {self.noun} '{kind}'. There are: {known}.{similar}")
        constructor = self.classes[kind].__init__
        types = get_type_hints(constructor)
        names = list(inspect.signature(constructor).parameters)[1:]
        return {name: types[name] for name in names}

    def help(self, kind: str) -> KindHelp:
        """Describe a kind from its class: docstring, constructor, and the lines of `option_help`.

        Raises:
            UnknownNameError: an unknown kind.
        """
        types = self.parameters(kind)
        class_ = self.classes[kind]
        lines = getattr(class_, "option_help", {})
        declared = inspect.signature(class_).parameters
        options = tuple(
            OptionHelp(name, _expected(type_), _text(declared[name].default), lines.get(name, ""))
            for name, type_ in types.items()
            if name != "model"
        )
        summary = (inspect.getdoc(class_) or "").splitlines()[0]
        return KindHelp(kind, f"{kind}:MODEL" if "model" in types else kind, summary, options)

    def checked(self, kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return options in the types that the constructor of a kind declares."""
        types = {name: type_ for name, type_ in self.parameters(kind).items() if name != "model"}
        if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
            raise InputError(f"options are {short_repr(options)}; expected a dict of names.")
        for name in options:
            if name not in types:
                has = f"It has: {', '.join(types)}.{did_you_mean(name, types)}"
                name_, is_pair, value = name.partition("=")
                if is_pair and name_ in types:
                    raise InputError(
                        f"Option '{name}' of {kind} is one word; write -o {name_} {value}."
                    )
                raise InputError(f"No option '{name}' for {kind}. {has}")
        return {name: _value(kind, name, value, types[name]) for name, value in options.items()}


def _value(kind: str, name: str, value: Any, declared: Any) -> Any:
    """Return the value in one of the declared types, parsing text for other types."""
    allowed = get_args(declared) or (declared,)
    if type(value) in allowed:
        return value
    for type_ in allowed:
        if (read := _read(value, type_)) is not None:
            return read
    if isinstance(value, str) and value.lower() == "none" and type(None) in allowed:
        return None
    raise InputError(f"Option '{name}' of {kind} is {value!r}; expected {_expected(declared)}.")


def _expected(declared: Any) -> str:
    """Return the types of an option in words."""
    allowed = get_args(declared) or (declared,)
    return " or ".join(EXPECTED[type_] for type_ in allowed if type_ in EXPECTED)


def _text(default: Any) -> str:
    """Return a default as it is written on a command line."""
    return str(default).lower() if default is None or isinstance(default, bool) else str(default)


def _read(value: Any, type_: type) -> Any:
    """Parse text as a type; None if it is invalid."""
    if type_ is float and type(value) is int:
        return float(value)
    if not isinstance(value, str):
        return None
    if type_ is bool:
        return BOOLEANS.get(value.lower())
    try:
        return type_(value) if type_ in (int, float) else None
    except ValueError:
        return None
