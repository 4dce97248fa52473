"""Images of documents checked, and damaged copies made again from the files that they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from indexes.catalog.images import NO_TEXT, Images
from indexes.catalog.sqlite.database import Catalog
from indexes.errors import DamageError, InputError
from indexes.images import Image
from indexes.ingest.image_files import copy_image

# The cure of a damaged copy.
COPY = "image"


def image_faults(catalog: Catalog, images: Images) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong, its cure, and the document's number, for every image that is damaged."""
    sql = f"""
        SELECT document FROM images WHERE document NOT IN
            (SELECT document FROM passages WHERE start = {NO_TEXT})
        UNION ALL SELECT document FROM passages WHERE start = {NO_TEXT} AND document NOT IN
            (SELECT document FROM images)
    """
    for (document,) in catalog.rows(sql):
        yield f"The image of document {document} is lost.", "", ""
    try:
        for row in images.rows():
            try:
                images.image(row).read()
            except InputError as error:
                sql = "SELECT doc_id FROM documents WHERE document = ?"
                owner = f"Document {catalog.value(sql, [row.document])!r}"
                if row.copied:
                    what = (
                        f"{owner}: the copy of its image {row.source} is missing or damaged. "
                        "Repair copies it again if it is still there; "
                        "else delete the document and add it again."
                    )
                    yield what, COPY, str(row.document)
                else:
                    yield f"{owner}: {error}", "", ""
    except DamageError as error:
        yield str(error), "", ""


def copy_again(images: Images, documents: Iterable[int], folder: Path) -> Iterator[str]:
    """Copy the images of documents again, where their sources still are the same; yield which."""
    for row in images.rows_of(documents):
        try:
            image = Image.of_file(Path(row.source))
        except InputError:
            continue
        if image.checksum == row.checksum:
            yield f"copied the image {row.source} to {copy_image(image, folder)} again"
