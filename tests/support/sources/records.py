"""Files of records for the tests of formats, and the errors of their bad lines."""

import gzip
import io
import sys

import pytest
from hypothesis import strategies as st

from indexes.errors import BadRecordsError

# An id that fits into a column of TREC's formats.
TREC_IDS = st.text(min_size=1).filter(
    lambda text: text.split() == [text] and not text.startswith("\ufeff")
)
# What a repository with large files holds in place of one.
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def write(path, content):
    """Write text or bytes, compressed if the name ends in .gz; return the path."""
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def set_stdin(monkeypatch, raw):
    """Let standard input be these bytes."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def reasons_by_place(read, path):
    """Return why each bad line of a file is refused, by its place in the file."""
    with pytest.raises(BadRecordsError) as caught:
        read(path)
    return {bad.place.removeprefix(str(path)): bad.reason for bad in caught.value.records}
