"""How a source is read: by the options of a call, or by those of the call before."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from indexes.errors import FileNote, InputError, short_repr
from indexes.ingest.sources import Record, Source
from retriever.formats.documents import DocumentSource, IsKnown, read_records
from retriever.formats.files.kinds import is_image
from retriever.formats.fingerprints import SourceFingerprint, nothing_if_empty
from retriever.formats.row_documents import Reading
from retriever.formats.rows import is_database
from retriever.formats.sources import STDIN, without_gz


@dataclass(frozen=True)
class SourceReading:
    """How one source is read: the options of `Collection.add`, as far as they are given.

    `remembered` says that the call gave none, and these are those that the source was read by
    before.
    """

    options: Mapping[str, Any]
    reading: Reading
    remembered: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SourceReading:
        """Return how the given options, those that are not None, say that a source is read.

        Raises:
            InputError: an option cannot be met by any source.
        """
        text = options.get("text")
        if text is not None and not isinstance(text, str):
            if not isinstance(text, Iterable):
                raise InputError(f"text is {short_repr(text)}; expected names of columns.")
            # Empty on the command line if it is not given.
            options = {**options, "text": list(text) or None}
        given = {name: value for name, value in options.items() if value is not None}
        columns = {name: value for name, value in given.items() if name not in ("format", "image")}
        return cls(given, Reading.of(**columns))

    def or_earlier(self, earlier: str | None, kind: str) -> SourceReading:
        """Return the reading of an earlier call, as `record` has it, if this call gives nothing.

        Not if that was of another kind of source of the same name.
        """
        kept = json.loads(earlier) if earlier and not self.options else {}
        if kept.get("kind") != kind:
            return self
        found = SourceReading.of(kept["options"])
        reading = replace(found.reading, repeated=self.reading.repeated)
        return replace(found, reading=reading, remembered=True)

    def record(self, kind: str) -> str:
        """Return JSON of the options and the kind of the source, for later; "" without options."""
        return json.dumps({"options": self.options, "kind": kind}) if self.options else ""

    def fingerprint(self, source: DocumentSource) -> str:
        """Return what decides, with a source's bytes, which records it has; "" if more does.

        A file does not tell whether the images have changed that it names, nor that of a database
        what was committed to the log next to it.
        """
        kind = self.options.get("format")
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            if "image" in self.options or is_image(path) or is_database(path, kind):
                return ""
        return f"{kind} {self.reading}"

    def records(self, source: DocumentSource, is_known: IsKnown) -> Iterator[Record]:
        """Yield the records of a source; a `FileNote` says if options are those of before."""
        image, kind = self.options.get("image"), self.options.get("format")
        records = read_records(
            source, format=kind, image=image, reading=self.reading, is_known=is_known
        )
        if not self.remembered:
            return records
        name = f"The {type(source).__name__}"
        if isinstance(source, str | os.PathLike):
            name = os.fspath(source)
        given = self.options.items()
        shown = ", ".join(f"{option}={_shown(value)}" for option, value in given)
        return _noted(f"{name} is read as it was last time: {shown}", records)


@dataclass(frozen=True)
class CallReading:
    """How the sources of one call are read.

    `given` is what the call says of all of them, and `earlier` how each was read before, by name.
    `call` is what else decides what records bring; "" if that is not known in advance.
    """

    given: SourceReading
    earlier: Mapping[str, str]
    is_known: IsKnown
    call: str

    def source(
        self, name: str, parts: Sequence[DocumentSource], *, may_be_empty: bool = False
    ) -> Source:
        """Return the records of what is known by one name."""
        pairs = [(self._of(name, one), one) for one in parts]
        records = [reading.records(one, self.is_known) for reading, one in pairs]
        if may_be_empty:
            records = list(map(nothing_if_empty, records))
        kept = (reading.record(_kind(one)) for reading, one in pairs if name)
        return Source(
            name,
            chain.from_iterable(records),
            self.fingerprint(parts, *([name] * len(parts))),
            next(filter(None, kept), ""),
        )

    def fingerprint(
        self, sources: Sequence[DocumentSource], *names: str
    ) -> Callable[[], bytes | None]:
        """Return the fingerprint of sources with their names."""
        pairs = zip(names, sources, strict=True)
        readings = [self._of(name, one).fingerprint(one) for name, one in pairs]
        if not self.call or not all(readings):
            return lambda: None
        said = " ".join(dict.fromkeys(readings))
        return SourceFingerprint(sources, f"{self.call} {said} {list(dict.fromkeys(names))}")

    def _of(self, name: str, source: DocumentSource) -> SourceReading:
        return self.given.or_earlier(self.earlier.get(name), _kind(source))


def _kind(source: DocumentSource) -> str:
    """Return what decides which options a source can have: the ending of a file, or what it is."""
    if not isinstance(source, str | os.PathLike):
        return "records"
    path = os.fspath(source)
    if path == STDIN:
        return STDIN
    return "folder" if os.path.isdir(path) else Path(without_gz(path)).suffix.lower()  # noqa: PTH112


def _shown(value: object) -> str:
    return " + ".join(map(str, value)) if isinstance(value, list) else str(value)


def _noted(note: str, records: Iterator[Record]) -> Iterator[Record]:
    """Yield records after a note: none is made of a source that is not read."""
    warnings.warn(note, FileNote, stacklevel=1)
    yield from records
