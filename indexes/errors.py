"""Every error that Retriever raises on purpose.

    RetrieverError                 one clear line for the user; the command line exits with 1
    ├── InputError                 what was given cannot be used: a query, an option, a width
    │   ├── BadRecordsError        records of a source, all of them together, with file and line
    │   ├── FailedTextsError       documents that an embedder failed for; the others were embedded
    │   └── FileFormatError        a file that is not what its ending says, or is cut off
    ├── UnknownNameError           no index, embedder, document or measure of that name
    ├── ModelNotAvailableError     a model that could not be found: what was tried, how to get it
    ├── MismatchError              vectors of one embedder met an index of another
    └── CollectionError            the folder itself
        ├── NotACollectionError    no collection there
        ├── NewerFormatError       written by a newer Retriever
        ├── LockedError            another process is writing
        └── DamageError            a file is missing or its checksum is wrong

The message names the thing, the expectation and the next step, and is the same in Python and on the
command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SHOWN_RECORDS = 10
NAMED = 3


class RetrieverError(Exception):
    """The root of the tree: catch it to catch everything that Retriever raises on purpose."""


class InputError(RetrieverError):
    """What was given cannot be used."""


@dataclass(frozen=True)
class BadRecord:
    """One record of a source that cannot be used.

    `place` is `file:line` (or `record 3` of an iterable), `reason` a clause without a full stop.
    """

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class BadRecordsError(InputError):
    """Records that cannot be used: up to ten in the message, all that were kept in `records`.

    `total` counts every bad record; `records` holds the first of them. `kept` counts the records
    that were committed before the first bad one was met.
    """

    def __init__(
        self, records: Sequence[BadRecord], total: int, *, advice: str, kept: int = 0
    ) -> None:
        self.records = tuple(records)
        self.total = total
        self.kept = kept
        shown = [f"  {record}" for record in self.records[:SHOWN_RECORDS]]
        if total > len(shown):
            shown.append(f"  ... and {total - len(shown):,} more")
        noun = "record" if total == 1 else "records"
        done = f"the {kept:,} before them were kept" if kept else "nothing was kept"
        super().__init__("\n".join([f"{total:,} bad {noun}; {done}:", *shown, advice]))


@dataclass(frozen=True)
class FailedText:
    """A document that an embedder failed for; `reason` is the first line of what it raised."""

    doc_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.doc_id!r}: {self.reason}"


class FailedTextsError(InputError):
    """Documents that could not be embedded, raised when all else was done and committed.

    Up to ten are in the message, all in `failed`. `report` is what the call would have given
    without them.
    """

    def __init__(
        self, failed: Sequence[FailedText], done: str, *, advice: str, report: Any = None
    ) -> None:
        self.failed = tuple(failed)
        self.report = report
        shown = [f"  {text}" for text in self.failed[:SHOWN_RECORDS]]
        if len(self.failed) > len(shown):
            shown.append(f"  ... and {len(self.failed) - len(shown):,} more")
        what = f"{counted(len(self.failed), 'document')} could not be embedded, {done}:"
        super().__init__("\n".join([what, *shown, advice]))


class FileFormatError(InputError):
    """A file that is not what its ending says, or that ends too early."""


class UnknownNameError(RetrieverError):
    """No index, embedder, document or measure of that name."""


class ModelNotAvailableError(RetrieverError):
    """A model that could not be found or loaded."""


class MismatchError(RetrieverError):
    """Vectors of one embedder met an index that holds another's."""


class CollectionError(RetrieverError):
    """Something is wrong with the folder that holds a collection."""


class NotACollectionError(CollectionError):
    """The folder does not hold a collection."""


class NewerFormatError(CollectionError):
    """The collection was written by a newer version of Retriever."""


class LockedError(CollectionError):
    """Another process is writing to the collection."""


class DamageError(CollectionError):
    """A file of the collection is missing, cut off or changed."""


def counted(number: int, noun: str) -> str:
    """A count with its noun: `1 passage`, `2,000 passages`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def unknown_name(
    kind: str, name: str, place: str, known: Sequence[str], *, more: bool = False
) -> UnknownNameError:
    """The error for a name that `place` does not have: says which names it has.

    `more` says that `known` are only some of them.
    """
    return UnknownNameError(f"No {kind} '{name}' in {place}. {_has(known, more)}")


def unknown_names(
    kind: str, names: Sequence[str], place: str, known: Sequence[str], *, more: bool = False
) -> UnknownNameError:
    """The error for names that `place` does not have: says how many, and the first of them."""
    if len(names) == 1:
        return unknown_name(kind, names[0], place, known, more=more)
    # Their repr shows a space at the end, or what cannot be printed.
    shown = ", ".join(map(repr, names[:NAMED]))
    left = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return UnknownNameError(f"No {kind}s {shown}{left} in {place}. {_has(known, more)}")


def _has(known: Sequence[str], more: bool) -> str:
    names = ", ".join(sorted(known))
    return f"It has: {names}, ..." if more else f"It has: {names or 'none'}."
