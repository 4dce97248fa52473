"""Images: a file or bytes, with a checksum over the bytes. Nothing here decodes them."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexes.errors import InputError

# What a user may give as an image; also an image of Pillow, which is not imported here.
ImageSource = str | os.PathLike[str] | bytes | Any

# The first bytes of common formats.
_SIGNATURES = (
    (b"\x89PNG", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"RIFF", ".webp"),
    (b"GIF8", ".gif"),
)
# Modes of Pillow that PNG has.
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


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
    def of(cls, given: ImageSource) -> Image:
        """Return a path, bytes or an image of Pillow (its present frame, as PNG) as an image.

        Raises:
            InputError: it is none of these, or a file that cannot be read.
        """
        if isinstance(given, Image):
            return given
        if isinstance(given, bytes | bytearray | memoryview):
            return cls.of_bytes(bytes(given))
        if isinstance(given, str | os.PathLike):
            return cls.of_file(Path(given))
        if any(kind.__module__.partition(".")[0] == "PIL" for kind in type(given).__mro__):
            return cls.of_bytes(_png(given))
        kind = type(given).__name__
        raise InputError(f"The image is {kind}; expected a path, bytes or an image of Pillow.")

    @classmethod
    def of_bytes(cls, data: bytes, source: str = "image") -> Image:
        """Return an image that is held in memory."""
        return cls(source, hashlib.sha256(data).hexdigest(), data=data)

    @classmethod
    def of_file(cls, path: Path) -> Image:
        """Return an image that stays in its file.

        Raises:
            InputError: the file cannot be read, or its name is not UTF-8.
        """
        try:
            str(path.absolute()).encode()
        except UnicodeEncodeError:
            # Names of files have bytes that are no UTF-8; other paths any lone surrogate.
            try:
                name = os.fsencode(path)
            except UnicodeEncodeError:
                name = str(path).encode(errors="surrogatepass")
            shown = name.decode(errors="backslashreplace")
            raise InputError(f"{shown}: the image's name is not UTF-8. Rename it.") from None
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


def extension_of(data: bytes) -> str:
    """Return the extension of an image's format, by its first bytes, or else `.image`."""
    return next((extension for sign, extension in _SIGNATURES if data.startswith(sign)), ".image")


def _png(image: Any) -> bytes:
    buffer = io.BytesIO()
    shown = image if image.mode in _PNG_MODES else image.convert("RGB")
    shown.save(buffer, "PNG", exif=image.getexif())  # with its rotation
    return buffer.getvalue()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in its name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InputError(f"{path}: the image cannot be read ({reason}).") from error
