"""Images: a file or bytes, with a checksum over the bytes. Nothing here decodes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from indexes.errors import InputError


@dataclass(frozen=True)
class Image:
    """An image of a document, or one to search by.

    `checksum` is the SHA-256 of its bytes, in hex. The bytes are `data`, or else those of the file
    at `path`. `source` names it in messages: the path as it was given, or what else it came from.
    """

    source: str
    checksum: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_bytes(cls, data: bytes, source: str = "image") -> Image:
        """Return an image that is held in memory."""
        return cls(source, hashlib.sha256(data).hexdigest(), data=data)

    @classmethod
    def of_file(cls, path: Path) -> Image:
        """Return an image that stays in its file.

        Raises:
            InputError: the file cannot be read.
        """
        return cls(str(path), hashlib.sha256(_bytes_of(path)).hexdigest(), path.absolute())

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            InputError: the file is missing, cannot be read, or has changed since.
        """
        if self.data is not None:
            return self.data
        if self.path is None:
            raise InputError(f"{self.source}: the image has neither bytes nor a file.")
        data = _bytes_of(self.path)
        if hashlib.sha256(data).hexdigest() != self.checksum:
            raise InputError(f"{self.source}: the image has changed. Add its document again.")
        return data


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: the image cannot be read ({reason}).") from error
