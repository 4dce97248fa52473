"""Every error that Retriever raises on purpose, and its one warning, `FileNote`.

    RetrieverError                 a message for the user; the command line exits with 1
    ├── InputError                 input that cannot be used: a query, an option, a width
    │   ├── BadRecordsError        all bad records of a source together, with file and line
    │   ├── FailedTextsError       documents that an embedder failed for; the others were embedded
    │   ├── FileFormatError        a file that does not match its extension, or is cut off
    │   └── EmptySourceError       a source without any document
    ├── UnknownNameError           no index, embedder, document or measure of that name
    ├── ModelNotAvailableError     a model that could not be found: what was tried, how to get it
    ├── MismatchError              vectors of one embedder used with an index of another
    ├── RefusedError               a request that a service does not answer now, or to this client
    ├── EngineError                a server that holds an index: no answer, a refusal, a failure
    │   └── FilterNotSeenError     it has other metadata: it is given keys instead of a filter
    ├── WorkerError                worker processes or machines that cannot start, or die again
    └── CollectionError            the collection's folder
        ├── NotACollectionError    the folder holds no collection
        ├── NewerFormatError       written by a newer Retriever
        ├── LockedError            another process is writing
        └── DamageError            a file is missing or its checksum is wrong

The message names the thing, the expectation and the next step, in words. Where one operation on a
collection is the next step, `next_step` says which; the command line adds the command for it.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

SHOWN_RECORDS = 10
NAMED = 3
# Names to choose from that an error lists.
MOST_NAMED = 24


@dataclass(frozen=True)
class NextStep:
    """The operation on a collection that helps after an error, and the index that it concerns.

    `refit` builds the index again and fits its embedder again; `upgrade` installs a newer version.
    """

    operation: Literal["add", "drop", "info", "refit", "repair", "upgrade", "verify"]
    folder: Path
    index: str = ""


def shown(text: object) -> str:
    """Return a text in which paths inside the working folder are relative to it.

    Collections keep absolute paths, so that they stay the same when the working folder changes.
    """
    try:
        here = os.getcwd()  # noqa: PTH109 - as text
    except OSError:  # it was removed
        return str(text)
    return re.sub(rf"(?<![\w/.~-]){re.escape(here)}/(?=\.?\w)", "", str(text))


class RetrieverError(Exception):
    """Base class of everything that Retriever raises on purpose."""

    next_step: NextStep | None

    def __init__(self, message: str = "", *, next_step: NextStep | None = None) -> None:
        super().__init__(shown(message))
        self.next_step = next_step


class InputError(RetrieverError):
    """Input that cannot be used."""


@dataclass(frozen=True)
class BadRecord:
    """One record of a source that cannot be used.

    `place` is `file:line` (or `record 3` of an iterable), `reason` a clause without a period,
    `doc_id` the id of the document; empty if that could not be read.
    """

    place: str
    reason: str
    doc_id: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class SkippedFile(BadRecord):
    """A file that is no document: it holds no text, or is of a kind that is not read.

    Unlike other bad records, it is no error.
    """


class BadRecordsError(InputError):
    """Records that cannot be used; up to ten are in the message.

    `total` counts all bad records; `records` holds the first of them. `kept` counts the records
    that were committed before the first bad one.
    """

    def __init__(
        self, records: Sequence[BadRecord], total: int, *, advice: str, kept: int = 0
    ) -> None:
        self.records = tuple(records)
        self.total = total
        self.kept = kept
        done = f"the {kept:,} before them were kept" if kept else "nothing was kept"
        what = f"{pluralize(total, 'bad record')}; {done}:"
        super().__init__("\n".join([what, *_shown(self.records, total), advice]))


@dataclass(frozen=True)
class FailedText:
    """A document that an embedder failed for; `reason` is the first line of its error."""

    doc_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.doc_id!r}: {self.reason}"


class FailedTextsError(InputError):
    """Documents that could not be embedded, raised after everything else was committed.

    Up to ten are in the message, all in `failed`. `report` is what the call would have returned.
    """

    def __init__(
        self, failed: Sequence[FailedText], done: str, *, advice: str, report: Any = None
    ) -> None:
        self.failed = tuple(failed)
        self.report = report
        total = len(self.failed)
        what = f"{pluralize(total, 'document')} could not be embedded, {done}:"
        super().__init__("\n".join([what, *_shown(self.failed, total), advice]))


class FileFormatError(InputError):
    """A file that does not match its extension, or that ends too early."""


class EmptySourceError(InputError):
    """A source without a document: a folder of other files, or one that had documents before."""


class FileNote(UserWarning):
    """How a file was read where its content does not settle it; the command line prints it."""


class UnknownNameError(RetrieverError):
    """No index, embedder, document or measure of that name."""


class ModelNotAvailableError(RetrieverError):
    """A model that could not be found or loaded."""


class MismatchError(RetrieverError):
    """Vectors of one embedder used with an index that holds another's."""


class RefusedError(RetrieverError):
    """A request that a service does not answer, with the HTTP status and headers that say why.

    `retry_after` is in seconds.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))


class EngineError(RetrieverError):
    """The server of an index does not answer in time, refuses, or fails."""


class FilterNotSeenError(EngineError):
    """A server cannot evaluate a filter now: a build is changing the metadata that it has."""


class WorkerError(RetrieverError):
    """Workers of a build that cannot start, or that die of the same passages again and again."""


class CollectionError(RetrieverError):
    """A problem of the folder that holds a collection."""


class NotACollectionError(CollectionError):
    """The folder does not hold a collection."""


class NewerFormatError(CollectionError):
    """The collection was written by a newer version of Retriever."""


class LockedError(CollectionError):
    """Another process is writing to the collection."""


class DamageError(CollectionError):
    """A file of the collection is missing, cut off or changed."""


def _shown(items: Sequence[object], total: int) -> list[str]:
    shown = [f"  {item}" for item in items[:SHOWN_RECORDS]]
    return [*shown, f"  ... and {total - len(shown):,} more"] if total > len(shown) else shown


def check_text(what: str, value: object) -> None:
    """Raise an InputError that names `what` unless a value is text."""
    if not isinstance(value, str):
        raise InputError(f"{what} is {short_repr(value)}; expected text.")


def check_flag(what: str, value: object) -> None:
    """Raise an InputError that names `what` unless a value is True or False."""
    if not isinstance(value, bool):
        raise InputError(f"{what} is {short_repr(value)}; expected True or False.")


def check_seed(value: object) -> None:
    """Raise an InputError unless a seed of random numbers is a whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"The seed is {short_repr(value)}; expected 0 or more.")


def pluralize(number: int, one: str, more: str = "") -> str:
    """Format a count with its noun: `1 query`, `2,000 queries`; by default the plural adds an s."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def first_of(names: Sequence[str], most: int, show: Callable[[str], str] = str) -> str:
    """Join the first names, and the number of others."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(show, names[:most])) + more


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question, after a space, that names what a mistyped name resembles; or nothing.

    Case does not count. At most two names are returned, the most similar one first.
    """
    names = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), list(names), n=2, cutoff=0.7)
    return f" Did you mean {' or '.join(repr(names[one]) for one in near)}?" if near else ""


def unknown_name(
    kind: str, name: str, place: str, known: Sequence[str], *, more: bool = False
) -> UnknownNameError:
    """Return the error for a name that `place` lacks; with `more`, `known` are only some names."""
    # Ids differ by a number more often than by a slip.
    similar = "" if kind == "document" else did_you_mean(name, known)
    return UnknownNameError(f"No {kind} '{name}' in {place}. {_has(known, more)}{similar}")


def unknown_names(
    kind: str, names: Sequence[str], place: str, known: Sequence[str], *, more: bool = False
) -> UnknownNameError:
    """Return the error for several names that `place` lacks, with the first of them."""
    if len(names) == 1:
        return unknown_name(kind, names[0], place, known, more=more)
    # Their repr shows a space at the end, or what cannot be printed.
    shown = first_of(names, NAMED, repr)
    return UnknownNameError(f"No {kind}s {shown} in {place}. {_has(known, more)}")


def _has(known: Sequence[str], more: bool) -> str:
    names = first_of(sorted(known), MOST_NAMED)
    return f"It has: {names}, ..." if more else f"It has: {names or 'none'}."


def described(value: object) -> str:
    """Return what a message calls a value: as JSON writes it, or its type if JSON lacks that."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return short_repr(value) if type(value) in (str, int, float) else type(value).__name__


def short_repr(value: object) -> str:
    """Return an abbreviated repr of a value, for a message."""
    try:
        return reprlib.repr(value)
    except ValueError:
        # Python does not print integers of more than 4,300 digits.
        return "a number of too many digits"
