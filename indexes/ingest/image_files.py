"""Images copied into a collection, under the checksums of their bytes."""

from __future__ import annotations

from pathlib import Path

from indexes.catalog.images import FOLDER
from indexes.images import Image, extension_of
from indexes.storage.files import new_file


def copy_image(image: Image, folder: Path) -> str:
    """Copy an image into a collection's folder; return its path there.

    The copy counts once a row names it. Equal images share one.

    Raises:
        InputError: the image's file is missing or has changed.
        CollectionError: the copy cannot be written.
    """
    data = image.read()
    path = f"{FOLDER}/{image.checksum}{extension_of(data)}"
    if not _is_intact(folder / path, data):
        with new_file(folder / path) as file:
            file.write(data)
    return path


def _is_intact(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False
