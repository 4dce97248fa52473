"""The settings of the command line, where each may come from, and which one holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from indexes.errors import InputError, did_you_mean
from retriever.cli.running.config_files import ConfigFile, read_config, users_path, working_path

# The kinds of `retriever.embedders.registry`, whose import takes too long for every command.
EMBEDDERS = ("static", "contextual", "elmo", "sparse", "hashing")
# Reading a pickle can run code: it is asked for each time, with `-o trust_pickle true`.
NEVER = "trust_pickle"

Type = Literal["a path", "a name or a list of names", "a whole number", "true or false"]
# Names of settings as they are shown; the environment variable is the last part.
SETTINGS: dict[str, Type] = {
    "library": "a path",
    "index": "a name or a list of names",
    "output.k": "a whole number",
    "output.width": "a whole number",
    "output.fields": "a name or a list of names",
    "output.progress": "true or false",
    "output.color": "true or false",
}
LEAST = {"output.k": 1, "output.width": 40}
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
PREFIX = "RETRIEVER_"
# Variables of the same prefix that are read elsewhere.
OTHERS = tuple(f"{PREFIX}{name}" for name in ("CACHE", "COMPLETE", "DATA", "SOAK", "TOKEN"))


@dataclass(frozen=True)
class Setting:
    """A value, and where it is from: a file with the line, or an environment variable."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True)
class Settings:
    """Settings by name; `options` are those of embedders, the strongest last."""

    values: Mapping[str, Setting]
    options: tuple[tuple[str, Setting], ...] = ()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a setting, or a default."""
        found = self.values.get(name)
        return default if found is None or found.value is None else found.value

    @property
    def library(self) -> Path | None:
        """Path of the default library, relative if it is inside the working folder."""
        place = self.get("library")
        return None if place is None else _from_here(Path(place))

    def embedder_options(self, spec: str) -> dict[str, Setting]:
        """Return the options for an embedder such as `static:glove-6b-50d`, by name.

        A table of its kind and one of this model both count; within a source, the latter is
        stronger.
        """
        kind = spec.partition(":")[0]
        return {one.name: one for whose, one in self.options if whose in (kind, spec)}

    def __iter__(self) -> Iterator[Setting]:
        """Yield all settings, with the full name of each option of an embedder."""
        yield from (one for one in self.values.values() if one.value is not None)
        held = {(whose, one.name): one for whose, one in self.options}
        for (whose, option), one in held.items():
            shown = whose if whose in EMBEDDERS else f'"{whose}"'
            yield Setting(f"embedders.{shown}.{option}", one.value, one.source)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings that hold: of the environment, the working folder, and the user.

    Raises:
        FileFormatError: a file is not TOML.
        InputError: a setting is unknown or of the wrong type, or may not be set where it is; or a
            file cannot be read.
    """
    values: dict[str, Setting] = {}
    options: list[tuple[str, Setting]] = []
    for file in config_files():
        for one in _settings_of(file):
            values[one.name] = one
        options += _options_of(file)
    for name in SETTINGS:
        variable = PREFIX + name.rpartition(".")[2].upper()
        if (text := environment.get(variable)) is not None:
            values[name] = Setting(name, _of_text(variable, name, text), variable)
    options += _options_of_environment(environment)
    return Settings({name: values[name] for name in SETTINGS if name in values}, tuple(options))


def config_files() -> list[ConfigFile]:
    """Read the files that exist, the weakest first."""
    users, working = users_path(), working_path()
    files = [_read(users, is_users=True)]
    if working is not None and working != users:
        files.append(_read(working, is_users=False))
    return [file for file in files if file is not None]


def _read(path: Path, *, is_users: bool) -> ConfigFile | None:
    try:
        return read_config(path, is_users=is_users) if path.is_file() else None
    except OSError as error:
        own = "set XDG_CONFIG_HOME to a folder of your own"
        advice = f", or {own}" if is_users else ""
        raise InputError(
            f"The settings file {path} cannot be read: {error.strerror}. Let this user read it"
            f"{advice}."
        ) from None


def _settings_of(file: ConfigFile) -> Iterator[Setting]:
    for key, value in file.values.items():
        if key == "embedders":
            continue
        if key == "output" and isinstance(value, dict):
            for own, inner in value.items():
                yield _checked(file, ("output", own), inner)
        else:
            yield _checked(file, (key,), value)


def _checked(file: ConfigFile, keys: tuple[str, ...], value: Any) -> Setting:
    name, place = ".".join(keys), file.place(*keys)
    if name not in SETTINGS:
        # `k` without its table is the commonest slip.
        known = [*SETTINGS, "embedders", "output"]
        inner = {one.rpartition(".")[2]: one for one in known}
        similar = f" Did you mean '{inner[name]}'?" if name in inner else did_you_mean(name, known)
        raise InputError(f"{place}: no setting '{name}'. There are: {', '.join(known)}.{similar}")
    expected = SETTINGS[name]
    if not _fits(name, value):
        least = f" from {LEAST[name]}" if name in LEAST else ""
        raise InputError(f"{place}: {name} is {value!r}; expected {expected}{least}.")
    if name == "library":
        value = _library(file, place, value)
    elif expected == "a name or a list of names":
        value = [value] if isinstance(value, str) else value
    return Setting(name, value, place)


def _fits(name: str, value: Any) -> bool:
    match SETTINGS[name]:
        case "a path":
            return isinstance(value, str) and bool(value)
        case "a name or a list of names":
            several = value if isinstance(value, list) else [value]
            return bool(several) and all(isinstance(one, str) and one for one in several)
        case "a whole number":
            return type(value) is int and value >= LEAST[name]
        case "true or false":
            return isinstance(value, bool)


def _library(file: ConfigFile, place: str, value: str) -> str:
    """Return the absolute path of a library.

    A file in a working folder may come with someone else's files: it names a folder below itself.
    """
    path = Path(value).expanduser()
    if file.is_users:
        if not path.is_absolute():
            raise InputError(f"{place}: library is {value!r}; expected a path from / or ~.")
        return str(path)
    folder = file.path.parent.resolve()
    if Path(value).is_absolute() or not (folder / value).resolve().is_relative_to(folder):
        raise InputError(
            f"{place}: library is {value!r}; expected a path inside {folder}. One elsewhere is set "
            f"in {users_path()} or by {PREFIX}LIBRARY."
        )
    return str(folder / value)


def _options_of(file: ConfigFile) -> list[tuple[str, Setting]]:
    """Return the options of embedders in a file; those of a single model last."""
    tables = file.values.get("embedders", {})
    example = '[embedders.static] with weighting = "sif"'
    if not isinstance(tables, dict):
        raise InputError(f"{file.place('embedders')}: embedders is no table; expected {example}.")
    found = []
    for spec in sorted(tables, key=lambda spec: ":" in spec):
        place = file.place("embedders", spec)
        _check_kind(place, spec)
        if not isinstance(tables[spec], dict):
            raise InputError(f"{place}: embedders.{spec} is no table; expected {example}.")
        for option, value in tables[spec].items():
            place = file.place("embedders", spec, option)
            _check_option(place, option)
            found.append((spec, Setting(option, value, place)))
    return found


def _check_kind(place: str, spec: str) -> None:
    kind = spec.partition(":")[0]
    if kind not in EMBEDDERS:
        similar = did_you_mean(kind, EMBEDDERS)
        known = ", ".join(EMBEDDERS)
        raise InputError(f"{place}: no kind of embedder '{kind}'. There are: {known}.{similar}")


def _check_option(place: str, option: str) -> None:
    if option == NEVER:
        raise InputError(
            f"{place}: {NEVER} cannot be set for all models, since reading a pickle can run code. "
            f"Give it for one that you trust: -o {NEVER} true."
        )


def _options_of_environment(environment: Mapping[str, str]) -> list[tuple[str, Setting]]:
    """Return options of variables such as `RETRIEVER_STATIC_WEIGHTING`."""
    found = []
    for variable, text in sorted(environment.items()):
        for kind in EMBEDDERS:
            start = f"{PREFIX}{kind.upper()}_"
            if variable.startswith(start):
                option = variable.removeprefix(start).lower()
                _check_option(variable, option)
                found.append((kind, Setting(option, text, variable)))
    return found


def _of_text(variable: str, name: str, text: str) -> Any:
    """Return the value of a variable; None, which unsets the setting, if it is empty."""
    if not text:
        return None
    value: Any = text
    match SETTINGS[name]:
        case "a path":
            # Like a path on the command line, from the working folder.
            value = str(Path(text).expanduser().absolute())
        case "a name or a list of names":
            value = [one.strip() for one in text.split(",")]
        case "a whole number":
            value = int(text) if text.isascii() and text.isdigit() else text
        case "true or false":
            value = BOOLEANS.get(text.lower(), text)
    if not _fits(name, value):
        least = f" from {LEAST[name]}" if name in LEAST else ""
        raise InputError(f"{variable} is {text!r}; expected {SETTINGS[name]}{least}.")
    return value


def unknown_variables(environment: Mapping[str, str] = os.environ) -> Sequence[str]:
    """Return a sentence for each variable of our prefix that nothing reads."""
    known = [name.rpartition(".")[2].upper() for name in SETTINGS]
    starts = tuple(f"{PREFIX}{kind.upper()}_" for kind in EMBEDDERS)
    read = {*OTHERS, *(PREFIX + name for name in known)}
    # Without the prefix, which makes all names alike.
    return [
        f"{name} has no effect.{did_you_mean(name.removeprefix(PREFIX), known)}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in read and not name.startswith(starts)
    ]


def _from_here(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return path
