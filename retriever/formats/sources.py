"""A file or standard input, opened as a stream of bytes that was found to be what it claims."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from indexes.errors import FileFormatError, InputError
from retriever.formats.signatures import GZIP, HEAD_BYTES, PARQUET, recognise

STDIN = "-"
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Source:
    """A file to read: `name` as the user gave it, `kind` what it should hold.

    `gzipped` is what the name promises; None promises nothing, and the first bytes decide.
    """

    name: str
    kind: str
    gzipped: bool | None


def locate(name: str, kind: str | None, endings: Mapping[str, str], default: str) -> Source:
    """The source that `name` stands for; its kind is `kind`, or else what its ending says.

    `endings` maps the endings that are known to kinds; standard input is `default` unless `kind`
    says otherwise. The file is not opened yet.

    Raises:
        InputError: no such file, or `kind` is not one of the known kinds.
        FileFormatError: the ending is not known and no `kind` was given.
    """
    if kind is not None:
        known = tuple(dict.fromkeys(endings.values()))
        if kind not in known:
            raise InputError(f"No format '{kind}'. Known formats: {', '.join(known)}.")
    if name == STDIN:
        return Source(name, kind or default, None)
    require_path(name)
    gzipped = name.lower().endswith(".gz")
    if kind is not None:
        return Source(name, kind, gzipped or None)
    ending = Path(without_gz(name)).suffix.lower()
    if ending not in endings:
        raise FileFormatError(_unknown_ending(name, ending, endings))
    return Source(name, endings[ending], gzipped)


def require_path(name: str) -> Path:
    """`name` as a path to something that exists.

    Raises:
        InputError: nothing of that name exists or can be looked at.
    """
    path = Path(name)
    try:
        # An empty name would be this folder.
        if not name:
            raise FileNotFoundError
        path.stat()
    # ValueError: a NUL character, as in a text that was given for a path.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        shown = name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}..."
        message = f"No file or folder '{shown}'. Give the path of one, or '-' for standard input."
        raise InputError(message) from None
    except OSError as error:
        raise _unreadable(name[:SHOWN_CHARACTERS], error) from None
    return path


def without_gz(name: str) -> str:
    """`name` less a final `.gz`, in capitals or not."""
    return name[:-3] if name.lower().endswith(".gz") else name


@contextmanager
def open_source(source: Source) -> Iterator[io.BufferedReader]:
    """The bytes of `source`, unpacked if it is gzipped, from the start.

    What goes wrong while the stream is read inside the `with` block is translated too. Standard
    input is left open.

    Raises:
        FileFormatError: the bytes are not what the name or the kind says, or end too early.
        InputError: the file cannot be read.
    """
    try:
        with ExitStack() as stack:
            raw = _open_raw(source.name, stack)
            yield _unpacked(raw, source, stack)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"{source.name} is damaged or cut off: {error}. Fetch or make it again."
        raise FileFormatError(message) from None
    except OSError as error:
        raise _unreadable(source.name, error) from None


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror or error}.")


def _unknown_ending(name: str, ending: str, endings: Mapping[str, str]) -> str:
    says = f"ends in '{ending}', which is not known" if ending else "has no ending"
    kinds = ", ".join(dict.fromkeys(endings.values()))
    return (
        f"{name} {says}. Known endings: {', '.join(endings)}, each also with .gz. "
        f"Otherwise say what it is with --format ({kinds})."
    )


def _open_raw(name: str, stack: ExitStack) -> io.BufferedReader:
    if name != STDIN:
        return stack.enter_context(Path(name).open("rb"))
    stdin = sys.stdin.buffer
    if isinstance(stdin, io.BufferedReader):
        return stdin
    # A stand-in for standard input, such as a test's: give it the `peek` that a real one has.
    reader: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, stdin))
    stack.callback(reader.detach)
    return reader


def _unpacked(raw: io.BufferedReader, source: Source, stack: ExitStack) -> io.BufferedReader:
    head = _head(raw)
    zipped = head.startswith(GZIP.start)
    if source.gzipped and not zipped:
        raise FileFormatError(_not_gzip(source.name, head))
    if source.gzipped is False and zipped:
        raise FileFormatError(_looks_wrong(source, head))
    stream = stack.enter_context(_gunzip(raw)) if zipped else raw
    _check_head(source, _head(stream))
    return stream


def _head(stream: io.BufferedReader) -> bytes:
    return stream.peek(HEAD_BYTES)[:HEAD_BYTES]


def _gunzip(raw: BinaryIO | io.BufferedReader) -> io.BufferedReader:
    # Reading lines through a buffer costs a third of asking GzipFile for each.
    return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 1 << 16)


def _not_gzip(name: str, head: bytes) -> str:
    looks = recognise(head)
    seen = f"it looks like {looks.name}" if looks else "it does not start as gzip data does"
    advice = "Fetch it again." if not head else "Take .gz from its name, or fetch it again."
    return f"{name} ends in .gz, but {seen if head else 'it is empty'}. {advice}"


def _check_head(source: Source, head: bytes) -> None:
    looks = recognise(head)
    if source.kind == "parquet":
        if looks is not PARQUET:
            raise FileFormatError(_looks_wrong(source, head))
    elif looks is not None:
        raise FileFormatError(_looks_wrong(source, head))
    elif source.kind == "jsonl" and _holds_array(source.name, head):
        message = f"{source.name} looks like one JSON array; expected one object a line."
        raise FileFormatError(f"{message} Convert it, for example with: jq -c '.[]'")


def _holds_array(name: str, head: bytes) -> bool:
    # In .jsonl a line that is an array is one bad record; .json is what whole arrays are called.
    return without_gz(name).lower().endswith(".json") and head.lstrip().startswith(b"[")


def _looks_wrong(source: Source, head: bytes) -> str:
    looks = recognise(head)
    if looks is not None:
        seen, advice = f"looks like {looks.name}", f"{looks.advice}."
    else:
        seen = "does not start as one" if head else "is empty"
        advice = "Give the file that was meant, or say what it is with --format."
    return f"{source.name} is to be read as {source.kind}, but {seen}. {advice}"
