"""Document ids from a text file, one per line."""

from __future__ import annotations

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.lines import read_lines
from retriever.formats.sources import STDIN, Source, open_source, require_path


def read_ids(name: str) -> list[str]:
    """Return the ids of a file in its order; `-` is standard input, gzip is detected.

    Each line is one id, unchanged; blank lines are skipped.

    Raises:
        InputError: the file cannot be read.
        FileFormatError: it is not text.
    """
    if name != STDIN:
        require_path(name)
    ids = []
    with open_source(Source(name, "text", None)) as stream:
        for _, line in read_lines(stream, name):
            if isinstance(line, BadRecord):
                raise FileFormatError(f"{line}. Give a UTF-8 text file with one id per line.")
            ids.append(line)
    return ids
