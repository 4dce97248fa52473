"""Document ids, one a line of a text file."""

from __future__ import annotations

from indexes.errors import BadRecord, FileFormatError
from retriever.formats.lines import read_lines
from retriever.formats.sources import STDIN, Source, open_source, require_path


def read_ids(name: str) -> list[str]:
    """The ids in a file, in its order; `-` is standard input, gzip is unpacked.

    A line is an id as it stands; blank lines do not count.

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
                raise FileFormatError(f"{line}. Give a UTF-8 text file with one id a line.")
            ids.append(line)
    return ids
