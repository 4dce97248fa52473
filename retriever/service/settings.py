"""What a service serves, where, to whom, and within which limits."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from indexes.errors import InputError
from indexes.threads import cores

SHORTEST_TOKEN = 16
MAKE_TOKEN = "python -c 'import secrets; print(secrets.token_urlsafe())'"
# Where a token is read from if no file is named.
VARIABLE = "RETRIEVER_TOKEN"


@dataclass(frozen=True)
class Limits:
    """What one request may cost, and how many may wait.

    `body` is in bytes; `batch` counts the queries, texts, documents or ids of a request; `text` the
    characters of a query. A request takes at most `seconds`, of which its body at most
    `body_seconds`, and waits at most `lock_seconds` for another writer. `threads` compute at once,
    0 for a few more than there are cores; `queue` requests wait for them, and further ones are
    refused.

    Raises:
        InputError: a limit is too low.
    """

    body: int = 8 * 2**20
    batch: int = 256
    k: int = 1_000
    text: int = 20_000
    seconds: float = 30.0
    body_seconds: float = 10.0
    lock_seconds: float = 5.0
    threads: int = 0
    queue: int = 256

    def __post_init__(self) -> None:
        least = {"threads": 0, "lock_seconds": 0}
        for name, value in vars(self).items():
            if value < least.get(name, 1 if isinstance(value, int) else 0.001):
                raise InputError(f"The limit '{name}' is {value}; expected a higher one.")

    def check_text(self, text: str) -> None:
        """Raise an InputError for a query that is too long."""
        if len(text) > self.text:
            raise InputError(
                f"The query has {len(text):,} characters; this service takes at most {self.text:,}."
            )

    @property
    def workers(self) -> int:
        """The number of threads that compute at once."""
        return self.threads or cores() + 2


@dataclass(frozen=True)
class ServiceSettings:
    """What is served: `libraries` are folders of collections, known by their last names.

    `token` is what clients have to send as a bearer token; None for none. With `write`, documents
    can be changed. `cors_origins` are the origins whose pages may call the service from a browser.
    `any_host_without_token` allows a host that is not loopback without a token. `processes` answer
    requests. `access_log` has one line logged for each request. The page writes what is judged into
    the folder `judgments`, a label file for each library; None for no judging.

    Raises:
        InputError: a setting cannot be used, or is unsafe.
    """

    libraries: tuple[Path, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    write: bool = False
    cors_origins: tuple[str, ...] = ()
    any_host_without_token: bool = False
    processes: int = 1
    access_log: bool = False
    judgments: Path | None = None
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.libraries:
            raise InputError("There is nothing to serve: name at least one collection.")
        if self.token is not None:
            check_token(self.token)
        if self.write and self.token is None:
            raise InputError(
                "--write lets clients change documents, and needs a token: put one into a file and "
                f"name it with --token-file, or set {VARIABLE}. Make one: {MAKE_TOKEN}"
            )
        if not self.is_loopback and self.token is None and not self.any_host_without_token:
            raise InputError(
                f"{self.host} can be reached from other machines, and there is no token: name a "
                f"file with one by --token-file, or set {VARIABLE}; or serve to everyone with "
                f"--no-token. Make a token: {MAKE_TOKEN}"
            )
        _ = self.by_name

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the host."""
        return is_loopback(self.host)

    @cached_property
    def by_name(self) -> Mapping[str, Path]:
        """The folders by name."""
        folders: dict[str, Path] = {}
        for path in self.libraries:
            folder = Path(path).absolute()
            name = folder.resolve().name
            if name in folders:
                raise InputError(
                    f"Two collections are called '{name}': {folders[name]}/ and {folder}/. Rename "
                    "the folder of one, as clients select a collection by that name."
                )
            folders[name] = folder
        return folders


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> None:
    """Raise an InputError for a token that is easy to guess, or that no header can hold."""
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise InputError(
            f"The token has {len(token)} characters; expected at least {SHORTEST_TOKEN} letters, "
            f"digits or signs of ASCII, without spaces. Make one: {MAKE_TOKEN}"
        )


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Return the token of a file, or else of the environment; None if there is none.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    if file is None:
        return environment.get(VARIABLE) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise InputError(f"The token cannot be read from {file}: {why}.") from None
    if not token:
        raise InputError(f"{file} is empty; expected a token. Make one: {MAKE_TOKEN} > {file}")
    return token
