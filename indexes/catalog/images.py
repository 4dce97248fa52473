"""Images of documents in the catalog: by reference to a file, or copied into the collection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from indexes.catalog.sqlite.database import CHOSEN, Catalog, Row
from indexes.checksums import image_row_checksum
from indexes.images import Image

# The folder of copies in a collection.
FOLDER = "images"
# Where the passage of a document's image starts and stops.
NO_TEXT = -1
# Image files that are named at once.
PAGE = 10_000


class ImageRow(NamedTuple):
    """The image of a document; the `path` of a copy is below the collection's folder."""

    document: int
    source: str
    path: str
    checksum: str
    copied: int

    @classmethod
    def of(cls, document: int, image: Image, copy: str | None) -> ImageRow:
        """Return the row of an image that stays in its file, or has a copy at a path."""
        path = str(image.path) if copy is None else copy
        return cls(document, image.source, path, image.checksum, int(copy is not None))


class Images:
    """The images of one catalog. Methods that write must run inside `catalog.writing()`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known = (-1, False)

    def exist(self) -> bool:
        """Return whether any document has an image; read once for each generation."""
        if self._known[0] != self._catalog.generation():
            with self._catalog.reading():
                any_ = bool(self._catalog.value("SELECT EXISTS (SELECT 1 FROM images)"))
                self._known = self._catalog.generation(), any_
        return self._known[1]

    def has(self, doc_id: str, checksum: str) -> bool:
        """Return whether the document of an id has an image with this checksum."""
        sql = """
            SELECT EXISTS (SELECT 1 FROM documents JOIN images USING (document)
            WHERE doc_id = ? AND images.checksum = ?)
        """
        return self.exist() and bool(self._catalog.value(sql, [doc_id, checksum]))

    def of(self, documents: Iterable[int]) -> dict[int, Image]:
        """Return the images of some documents, by number; those without one are left out."""
        if not self.exist():
            return {}
        return {row.document: self.image(row) for row in self.rows_of(documents)}

    def image(self, row: ImageRow) -> Image:
        """Return a row as an image; its file is not read."""
        path = self._catalog.path.parent / row.path
        return Image(row.source, row.checksum, path)

    def rows_of(self, documents: Iterable[int]) -> list[ImageRow]:
        """Return the rows of some documents, each checked."""
        sql = f"SELECT * FROM images WHERE document IN {CHOSEN}"
        rows = self._catalog.rows(sql, [json.dumps(list(documents))])
        return [self._checked(row) for row in rows]

    def rows(self) -> Iterator[ImageRow]:
        """Yield all rows, by document, each checked."""
        sql = "SELECT * FROM images WHERE document > ? ORDER BY document LIMIT ?"
        for page in self._catalog.pages(sql, [], PAGE):
            yield from map(self._checked, page)

    def _checked(self, row: Row) -> ImageRow:
        *own, seal = row
        image = ImageRow(*own)
        if image_row_checksum(*image) != seal:
            raise self._catalog.damage(f"the image of document {row[0]} is not what was committed")
        return image

    def count(self) -> int:
        """Return how many documents have an image."""
        return int(self._catalog.value("SELECT count(*) FROM images"))

    def copies(self) -> set[str]:
        """Return the names of all copied files, below the collection's folder."""
        rows = self._catalog.rows("SELECT path FROM images WHERE copied")
        return {str(path) for (path,) in rows}

    def put(self, images: Iterable[ImageRow]) -> None:
        """Set the images of documents."""
        rows = [(*row, image_row_checksum(*row)) for row in images]
        self._catalog.execute_many("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?)", rows)

    def remove(self, documents: Iterable[int]) -> None:
        """Remove the images of documents; their copies stay until a writer sweeps."""
        sql = f"DELETE FROM images WHERE document IN {CHOSEN}"
        self._catalog.execute(sql, [json.dumps(list(documents))])
