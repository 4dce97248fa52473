"""Documents written to the catalog: new ones inserted, changed ones given new keys."""

from __future__ import annotations

import json
import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import cast

import numpy as np

from indexes.catalog.corpus import Corpus
from indexes.catalog.filtering import indexed_fields
from indexes.catalog.filters.sql import values_of
from indexes.catalog.images import NO_TEXT, ImageRow
from indexes.catalog.sqlite.database import CHOSEN, Catalog
from indexes.checksums import document_row_checksum, passage_row_checksum
from indexes.document import Document
from indexes.errors import BadRecord, InputError
from indexes.images import Image
from indexes.ingest.image_files import copy_image
from indexes.ingest.sources import Owners
from indexes.neighbors import Keys

INDEXED_AT_ONCE = 1_000
# Returns the passages of a text, as (start, end) in characters.
Spans = Callable[[str], Sequence[tuple[int, int]]]
# id, number, checksum of title and text, metadata; source, path, checksum of the image, and whether
# it is copied
Known = tuple[str, int, bytes, str, str | None, str | None, str | None, int | None]
Numbered = list[tuple[int, Document]]


@dataclass(frozen=True)
class Added:
    """Result of an `add`, in documents; `skipped` are the records and files left out.

    Of these, `no_documents` are files of another kind or without text: nothing is wrong with them.

    `removed` are gone from their sources; `kept` might be, but records were left out whose ids
    could not be read.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: tuple[BadRecord, ...] = ()
    skipped_total: int = 0
    removed: int = 0
    kept: int = 0
    no_documents: int = 0


class Upsert:
    """One call of `add`, in batches of documents with unique ids.

    What differs from a document of one of the `owners` is a bad record.

    A document is identified by its id and its content, never by its position. To detect repeated
    ids, memory grows by some bytes for each document, whatever its length.
    """

    def __init__(
        self,
        catalog: Catalog,
        spans: Spans | None,
        *,
        copy_images: bool,
        owners: Owners | None = None,
    ) -> None:
        self._catalog = catalog
        self._corpus = Corpus(catalog)
        self._spans = spans
        self._copy_images = copy_images
        self._owners = owners
        self._fields = indexed_fields(catalog)
        self._seen = _Seen(int(catalog.value("SELECT next_document FROM state")))
        self._skipped: dict[str, str] = {}
        self.new = self.changed = self.unchanged = 0

    def diff(self, batch: Sequence[tuple[str, Document]]) -> PendingChanges:
        """Return what some (place, document) would change, and which of them are bad."""
        known = self._known([document.doc_id for _, document in batch])
        fresh, places, repeated = self._first_time(batch, known)
        number = int(self._catalog.value("SELECT next_document FROM state"))
        changes = _Changes(number)
        bad = dict[str, BadRecord]()
        for place, (doc_id, document) in zip(places, fresh.items(), strict=True):
            row = known.get(doc_id)
            try:
                self._compare(row, document, changes)
            except InputError as error:  # its image has changed since it was read
                bad[doc_id] = BadRecord(place, str(error), doc_id)
        if bad:
            places = [
                place for place, doc_id in zip(places, fresh, strict=True) if doc_id not in bad
            ]
        doc_ids = [doc_id for doc_id in fresh if doc_id not in bad]
        numbers = [known[doc_id][1] if doc_id in known else None for doc_id in doc_ids]
        held = [known[doc_id][1] for doc_id in bad if doc_id in known]
        return PendingChanges(changes, doc_ids, places, numbers, [*repeated, *bad.values()], held)

    def _compare(self, row: Known | None, document: Document, changes: _Changes) -> None:
        """Add a document to the changes if it is new or changed; copy its image if that is to be.

        Raises:
            InputError: its image cannot be read any more, or is another; or it is one of an owner.
        """
        checksum, image = document.content_checksum(), document.image
        same = row is not None and (row[2], row[3]) == (checksum, document.metadata_json())
        moved = self._has_moved(row, image)
        if same and not moved:
            return
        if row is not None and self._owners is not None:
            objection = self._owners.objection(document.doc_id, row[1])
            if objection and same and row[6] == (image and image.checksum):
                return
            if objection:
                raise InputError(objection)
        if image is not None and moved:
            copied = copy_image(image, self._catalog.path.parent) if self._copies(image) else None
            number = changes.next_document if row is None else row[1]
            changes.images.append(ImageRow.of(number, image, copied))
        changes.add(row, document, checksum)

    def _copies(self, image: Image) -> bool:
        return self._copy_images or image.path is None

    def _has_moved(self, known: Known | None, image: Image | None) -> bool:
        """Return whether a document's image is another, or in another place than before."""
        if image is None or known is None or known[6] != image.checksum:
            return image is not None or (known is not None and known[6] is not None)
        if known[7]:  # a copy stays, wherever the same bytes come from
            return False
        return self._copy_images or (image.source, str(image.path)) != known[4:6]

    def apply(self, pending: PendingChanges) -> None:
        """Write the latest pending changes; inside `catalog.writing()` if there are any."""
        changes = pending.changes
        if changes.count:
            self._write(changes)
        for source, numbers in pending.joins.items():
            self._corpus.origins.add(source, numbers)
        self._corpus.origins.set_readings(pending.readings)
        self._seen.add(pending.places, pending.numbers)
        self.new += len(changes.new)
        self.changed += len(changes.moved) + len(changes.edited)
        self.unchanged += len(pending.doc_ids) - changes.count

    def skip(self, pending: PendingChanges) -> None:
        """Keep only the ids of pending changes, to detect repeated ones."""
        self._skipped |= zip(pending.doc_ids, pending.places, strict=True)

    def _known(self, doc_ids: Sequence[str]) -> dict[str, Known]:
        image, join = "NULL, NULL, NULL, NULL", ""
        if self._corpus.images.exist():
            image = "source, images.path, images.checksum, copied"
            join = "LEFT JOIN images USING (document)"
        sql = f"""
            SELECT doc_id, document, documents.checksum, metadata, {image}
            FROM json_each(?) JOIN documents ON doc_id = value {join}
        """
        rows = cast(list[Known], self._catalog.rows(sql, [json.dumps(doc_ids)]))
        return {row[0]: row for row in rows}

    def _first_time(
        self, batch: Sequence[tuple[str, Document]], known: dict[str, Known]
    ) -> tuple[dict[str, Document], list[str], list[BadRecord]]:
        fresh = {document.doc_id: document for _, document in batch}
        again = self._seen.any_of([row[1] for row in known.values()])
        if len(fresh) < len(batch) or again or self._skipped:
            return self._without_repeated(batch, known)
        return fresh, [place for place, _ in batch], []

    def _without_repeated(
        self, batch: Sequence[tuple[str, Document]], known: dict[str, Known]
    ) -> tuple[dict[str, Document], list[str], list[BadRecord]]:
        fresh: dict[str, Document] = {}
        places: dict[str, str] = {}
        repeated = []
        for place, document in batch:
            doc_id = document.doc_id
            row = known.get(doc_id)
            first = places.get(doc_id) or self._skipped.get(doc_id)
            first = first or (self._seen.place(row[1]) if row else "")
            if first:
                reason = f"id '{doc_id}' came before, at {first}"
                repeated.append(BadRecord(place, reason, doc_id))
            else:
                fresh[doc_id], places[doc_id] = document, place
        return fresh, list(places.values()), repeated

    def _write(self, changes: _Changes) -> None:
        self._insert(changes.new)
        self._update(changes.moved + changes.edited)
        self._put_images(changes)
        removed = self._replace_texts(changes.moved)
        key = int(self._catalog.value("SELECT next_key FROM state"))
        # A key's text never changes: a changed document gets new keys.
        passages = self._insert_passages(changes.with_new_text, key)
        if self._fields:
            index_values(self._catalog, self._fields, changes.with_new_text + changes.edited)
        self._catalog.execute(
            "UPDATE state SET documents = documents + ?, passages = passages + ?,"
            " next_document = ?, next_key = ?, content = generation + 1",
            [len(changes.new), passages - removed, changes.next_document, key + passages],
        )

    def _insert(self, documents: Numbered) -> None:
        rows = [(number, _row(document)) for number, document in documents]
        self._catalog.execute_many(
            "INSERT INTO documents VALUES (?, ?, ?, ?, ?)",
            [(number, *row, document_row_checksum(number, *row)) for number, row in rows],
        )
        texts = [(number, document.title, document.text) for number, document in documents]
        self._catalog.execute_many("INSERT INTO texts VALUES (?, ?, ?)", texts)

    def _update(self, documents: Numbered) -> None:
        rows = [(number, _row(document)) for number, document in documents]
        self._catalog.execute_many(
            "UPDATE documents SET checksum = ?, metadata = ?, seal = ? WHERE document = ?",
            [(*row[1:], document_row_checksum(number, *row), number) for number, row in rows],
        )

    def _replace_texts(self, documents: Numbered) -> int:
        self._catalog.execute_many(
            "UPDATE texts SET title = ?, text = ? WHERE document = ?",
            [(document.title, document.text, number) for number, document in documents],
        )
        numbers = [number for number, _ in documents]
        return self._corpus.tombstone_passages(numbers, edited=True)

    def _put_images(self, changes: _Changes) -> None:
        without = [number for number, document in changes.moved if document.image is None]
        if without and self._corpus.images.exist():
            self._corpus.images.remove(without)
        if changes.images:
            self._corpus.images.put(changes.images)

    def _insert_passages(self, documents: Numbered, first_key: int) -> int:
        split = self._spans or (lambda text: ((0, len(text)),))
        spans = (
            (number, *span) for number, document in documents for span in _spans_of(document, split)
        )
        rows = [
            (key, number, start, stop, passage_row_checksum(key, number, start, stop))
            for key, (number, start, stop) in enumerate(spans, start=first_key)
        ]
        self._catalog.execute_many("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", rows)
        return len(rows)


def _spans_of(document: Document, split: Spans) -> Sequence[tuple[int, int]]:
    """Return where the passages of a document start and end; that of an image is the last.

    A document of an image alone has no passage of its text.
    """
    if document.image is None:
        return split(document.text)
    texts = split(document.text) if document.text or document.title else ()
    return *texts, (NO_TEXT, NO_TEXT)


@dataclass(frozen=True)
class PendingChanges:
    """What a batch of documents would change.

    `doc_ids` are the ids that came for the first time, with their places and numbers (None: new
    documents); `bad` are the records with an id that came before, or whose image cannot be read,
    of which `held` are the numbers of documents that stay as they are. `joins` are the numbers of
    documents that become members of a source, by its name; `readings` is how sources are read,
    where that is new.
    """

    changes: _Changes = field(default_factory=lambda: _Changes(0))
    doc_ids: Sequence[str] = ()
    places: Sequence[str] = ()
    numbers: Sequence[int | None] = ()
    bad: Sequence[BadRecord] = ()
    held: Sequence[int] = ()
    joins: Mapping[str, Keys] = field(default_factory=dict)
    readings: Mapping[str, str] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return self.changes.count > 0 or bool(self.joins) or bool(self.readings)

    def present(self) -> Keys:
        """Return the numbers of the documents of `doc_ids`, in their order."""
        new = (number for number, _ in self.changes.new)
        return np.array([next(new) if n is None else n for n in self.numbers], np.int64)

    def written(self) -> list[int]:
        """Return the numbers of the documents that are new or change."""
        return [number for number, _ in self.changes.with_new_text + self.changes.edited]


@dataclass
class _Changes:
    """Documents of a batch by number: new, with another content (moved), other metadata (edited).

    `with_new_text` are the first two, in the order in which they came. `images` are the images that
    are new or in another place.
    """

    next_document: int
    new: Numbered = field(default_factory=list)
    moved: Numbered = field(default_factory=list)
    edited: Numbered = field(default_factory=list)
    with_new_text: Numbered = field(default_factory=list)
    images: list[ImageRow] = field(default_factory=list)

    def add(self, known: Known | None, document: Document, checksum: bytes) -> None:
        """Add a document that is new or changed."""
        if known is None:
            self.new.append((self.next_document, document))
            self.with_new_text.append((self.next_document, document))
            self.next_document += 1
        elif (known[2], known[6]) != (checksum, document.image and document.image.checksum):
            self.moved.append((known[1], document))
            self.with_new_text.append((known[1], document))
        else:
            self.edited.append((known[1], document))

    @property
    def count(self) -> int:
        """Number of documents that change."""
        return len(self.with_new_text) + len(self.edited)


def index_values(catalog: Catalog, fields: dict[tuple[str, ...], int], documents: Numbered) -> None:
    """Replace the indexed field values of some documents."""
    numbers = json.dumps([number for number, _ in documents])
    catalog.execute(f"DELETE FROM field_values WHERE document IN {CHOSEN}", [numbers])
    rows = [
        (field_number, kind, value, number)
        for number, document in documents
        for path, field_number in fields.items()
        for kind, value in values_of(document.metadata, path)
    ]
    catalog.execute_many("INSERT INTO field_values VALUES (?, ?, ?, ?)", rows)


def index_all_values(catalog: Catalog, corpus: Corpus) -> None:
    """Rebuild the indexed field values of all documents; inside `catalog.writing()`."""
    catalog.execute("DELETE FROM field_values")
    fields, numbered = indexed_fields(catalog), corpus.numbered()
    while some := list(islice(numbered, INDEXED_AT_ONCE)):
        index_values(catalog, fields, some)


def _row(document: Document) -> tuple[str, bytes, str]:
    return document.doc_id, document.content_checksum(), document.metadata_json()


class _Seen:
    """The place of each document of a call: four bytes a document, and its place, compressed."""

    def __init__(self, next_document: int) -> None:
        # By number: 1 + its position in this call, 0 for those that have not come yet. Documents
        # that are new in this call follow in `_new`.
        self._positions = np.zeros(next_document, np.uint32)
        self._new = bytearray()
        self._count = 0
        self._starts: list[int] = []
        self._blocks: list[bytes] = []

    def add(self, places: Sequence[str], numbers: Sequence[int | None]) -> None:
        """Add the places of a batch; None for a document that gets the next number."""
        self._starts.append(self._count)
        # No place holds a NUL: file names cannot.
        self._blocks.append(zlib.compress("\0".join(places).encode("utf-8", "surrogatepass"), 1))
        positions = np.arange(self._count + 1, self._count + 1 + len(places), dtype=np.uint32)
        new = np.array([number is None for number in numbers], np.bool_)
        old = [number for number in numbers if number is not None]
        self._positions[old] = positions[~new]
        self._new.extend(positions[new].tobytes())
        self._count += len(places)

    def any_of(self, numbers: Sequence[int]) -> bool:
        """Return whether any of some documents has come."""
        return bool(numbers) and (
            max(numbers) >= len(self._positions) or bool(self._positions[list(numbers)].any())
        )

    def place(self, number: int) -> str:
        """Return the place of a document in this call; empty if it has not come."""
        old = len(self._positions)
        new = np.frombuffer(self._new, np.uint32)
        position = int(self._positions[number] if number < old else new[number - old]) - 1
        if position < 0:
            return ""
        block = bisect_right(self._starts, position) - 1
        places = zlib.decompress(self._blocks[block]).decode("utf-8", "surrogatepass").split("\0")
        return places[position - self._starts[block]]
