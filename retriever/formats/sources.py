"""Files and standard input, opened as streams of bytes whose format has been checked."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from indexes.errors import FileFormatError, InputError

STDIN = "-"
SHOWN_CHARACTERS = 80
HEAD_BYTES = 16


@dataclass(frozen=True)
class Signature:
    """The leading bytes of a kind of file, and advice for a user who passes one."""

    start: bytes
    name: str
    advice: str


GZIP = Signature(b"\x1f\x8b", "gzip data", "Rename it to end in .gz")
PARQUET = Signature(b"PAR1", "a Parquet file", "Read it as parquet: by its extension or --format")
ZIP = Signature(b"PK\3\4", "a zip archive or an office document", "Unpack it or export it as CSV")
PDF = Signature(b"%PDF-", "a PDF", "Rename it to end in .pdf")
SQLITE = Signature(
    b"SQLite format 3\0",
    "an SQLite database",
    "Read it as sqlite: by its extension or --format",
)
# Of the kinds of tables that are not text.
_STARTS = {"parquet": PARQUET, "xlsx": ZIP, "sqlite": SQLITE}
ENCODINGS = (
    Signature(b"\xff\xfe\0\0", "UTF-32 text", "Save it as UTF-8"),
    Signature(b"\0\0\xfe\xff", "UTF-32 text", "Save it as UTF-8"),
    Signature(b"\xff\xfe", "UTF-16 text", "Save it as UTF-8"),
    Signature(b"\xfe\xff", "UTF-16 text", "Save it as UTF-8"),
)
_OTHERS = (
    ZIP,
    SQLITE,
    PDF,
    *ENCODINGS,
)
UNMARKED = Signature(b"", "UTF-16 text without a byte-order mark", "Save it as UTF-8")


@dataclass(frozen=True)
class Source:
    """A file to read: `name` as the user gave it, `kind` the expected format.

    `gzipped` follows from the name; for None the first bytes decide. `asked` says where the format
    of standard input can be given if it was not, and `kind` is its default.
    """

    name: str
    kind: str
    gzipped: bool | None
    asked: str = ""

    @property
    def folder(self) -> Path:
        """The folder that paths in it are relative to."""
        return Path() if self.name == STDIN else Path(self.name).parent


def locate(
    name: str, kind: str | None, endings: Mapping[str, str], default: str, *, asked: str = ""
) -> Source:
    """Return the source called `name`, of format `kind` or else that of its extension.

    `endings` maps known extensions to kinds; without `kind`, standard input is `default`. The file
    must exist, and is not opened. `asked` says where a format can be given, for the error about an
    unknown extension; empty if nowhere.
    """
    known = tuple(dict.fromkeys(endings.values()))
    if kind is not None and kind not in known:
        raise InputError(f"No format '{kind}'. Known formats: {', '.join(known)}.")
    if name == STDIN:
        return Source(name, kind or default, None, "" if kind else asked)
    _refuse_folder(require_path(name))
    gzipped = name.lower().endswith(".gz")
    if kind is not None:
        return Source(name, kind, gzipped or None)
    ending = Path(without_gz(name)).suffix.lower()
    if ending not in endings:
        says = f"has the unknown extension '{ending}'" if ending else "has no extension"
        other = f", or pass the format with {asked} ({', '.join(known)})" if asked else ""
        raise FileFormatError(
            f"{name} {says}. Known extensions: {', '.join(endings)}; but for databases, images and "
            f".xlsx, also with .gz. Rename the file{other}."
        )
    return Source(name, endings[ending], gzipped)


def require_path(name: str) -> Path:
    """Return `name` as the path of an existing file or folder, or raise `InputError`."""
    path = Path(name)
    try:
        # An empty name would mean the current folder.
        if not name:
            raise FileNotFoundError
        path.stat()
    # ValueError: a NUL character, as in a text passed as a path.
    except (FileNotFoundError, NotADirectoryError, ValueError):
        shown = name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}..."
        message = f"No file or folder '{shown}'. Pass an existing path, or '-' for standard input."
        raise InputError(message) from None
    except OSError as error:
        raise _unreadable(name[:SHOWN_CHARACTERS], error) from None
    return path


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a file.")


def without_gz(name: str) -> str:
    """Return `name` without a final `.gz` of any case."""
    return name[:-3] if name.lower().endswith(".gz") else name


@contextmanager
def open_source(source: Source, starts: Sequence[Signature] = ()) -> Iterator[io.BufferedReader]:
    """Open the bytes of `source` from the start, decompressed if gzipped.

    They may start with one of the signatures `starts`. Bytes that do not match the name or the
    kind, or are truncated, are a `FileFormatError`, also while reading inside the `with` block.
    Standard input stays open.
    """
    try:
        with ExitStack() as stack:
            raw = _open_raw(source.name, stack)
            yield _unpacked(raw, source, stack, starts)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"{source.name} is damaged or truncated: {error}. Download or create it again."
        raise FileFormatError(message) from None
    except OSError as error:
        raise _unreadable(source.name, error) from None


def _unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{name} cannot be read: {error.strerror or error}.")


def _open_raw(name: str, stack: ExitStack) -> io.BufferedReader:
    if name != STDIN:
        _refuse_folder(Path(name))
        return stack.enter_context(Path(name).open("rb"))
    stdin = sys.stdin.buffer
    if isinstance(stdin, io.BufferedReader):
        return stdin
    # A substitute for standard input, as in tests: add the `peek` of the real one.
    reader: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, stdin))
    stack.callback(reader.detach)
    return reader


def _unpacked(
    raw: io.BufferedReader, source: Source, stack: ExitStack, starts: Sequence[Signature]
) -> io.BufferedReader:
    head = _head(raw)
    zipped = head.startswith(GZIP.start)
    if source.gzipped and not zipped:
        raise FileFormatError(_not_gzip(source.name, head))
    if source.gzipped is False and zipped:
        raise FileFormatError(_looks_wrong(source, head))
    stream = raw
    if zipped:
        # Reading lines through a buffer takes a third of the time of reading each from GzipFile.
        unzipped = cast(io.RawIOBase, gzip.GzipFile(fileobj=raw))
        buffered: io.BufferedReader = io.BufferedReader(unzipped, 1 << 16)
        stream = stack.enter_context(buffered)
    head = _head(stream)
    if _recognize(head) not in starts:
        _check_head(source, head)
    return stream


def _head(stream: io.BufferedReader) -> bytes:
    return stream.peek(HEAD_BYTES)[:HEAD_BYTES]


def _not_gzip(name: str, head: bytes) -> str:
    looks = _recognize(head)
    seen = f"it looks like {looks.name}" if looks else "it is not gzip data"
    advice = "Download it again." if not head else "Remove .gz from its name, or download it again."
    return f"{name} ends in .gz, but {seen if head else 'it is empty'}. {advice}"


def _check_head(source: Source, head: bytes) -> None:
    if _recognize(head) is not _STARTS.get(source.kind):
        raise FileFormatError(_looks_wrong(source, head))


def _looks_wrong(source: Source, head: bytes) -> str:
    looks = _recognize(head)
    if looks is not None:
        seen, advice = f"looks like {looks.name}", f"{looks.advice}."
    else:
        seen = "does not start like one" if head else "is empty"
        advice = "Pass another file, or its format with --format."
    return f"{source.name} should be {source.kind}, but {seen}. {advice}"


def _recognize(head: bytes) -> Signature | None:
    """Return the kind of file that starts with `head`; None for text, no bytes or unknown."""
    known = (GZIP, PARQUET, *_OTHERS)
    found = next((one for one in known if head.startswith(one.start)), None)
    return found or (UNMARKED if _alternates(head) else None)


def _alternates(head: bytes) -> bool:
    """Return whether every other byte is 0, as in UTF-16 of Latin letters."""
    zeros = [not any(head[start::2]) for start in (0, 1)]
    return len(head) >= 4 and zeros[0] != zeros[1]
