"""The documents of a collection: adding, reading, deleting."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import islice
from pathlib import Path

from indexes.catalog.corpus import Corpus
from indexes.catalog.filters.conditions import AllOf, Exists, Filter
from indexes.catalog.filters.field_names import check_readings, field_path
from indexes.catalog.origins import NO_SOURCE
from indexes.document import Document
from indexes.errors import (
    InputError,
    UnknownNameError,
    pluralize,
    unknown_name,
    unknown_names,
)
from indexes.ingest.sources import Source
from indexes.ingest.upsert import Added
from indexes.progress import Progress
from indexes.store import Store
from indexes.values import as_list
from retriever.asynchronous import awaitable
from retriever.formats import DocumentSource, is_missing, source_name
from retriever.notebooks import progress_shown
from retriever.search.filter_notes import check_deletion, field_notes, filter_notes
from retriever.search.metadata_fields import MetadataField, metadata_fields
from retriever.search.where import Where
from retriever.search.where_parser import filter_of
from retriever.source_readings import CallReading, SourceReading
from retriever.splitting import Splitter, splitter_of

_LOG = logging.getLogger(__name__)
# Most documents that are read for the fields of their metadata.
SAMPLED = 5_000


class Documents:
    """The corpus of a collection, without its indexes; see `collection.Collection`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def path(self) -> Path:
        """The folder of the collection."""
        return self._store.folder

    @cached_property
    def split(self) -> Splitter | None:
        """The splitter of documents into passages; None if they are not split."""
        spec = self._store.split()
        return None if spec is None else splitter_of(spec)

    @property
    def generation(self) -> int:
        """The number of the present state, which each commit that a search can see increases."""
        return self._store.catalog.generation()

    @property
    def has_several_passages(self) -> bool:
        """Whether documents may have several passages: they are split, or have text and image."""
        with self._store.snapshot() as now:
            return now.corpus.is_split or now.corpus.has_several()

    def __len__(self) -> int:
        """Return the number of documents."""
        return self._store.count()

    def __contains__(self, document: object) -> bool:
        """Return whether there is a document of an id, or an equal document."""
        if isinstance(document, Document):
            return self._store.corpus.document(document.doc_id) == document
        return isinstance(document, str) and self._store.corpus.document(document) is not None

    def __getitem__(self, doc_id: str) -> Document:
        """Return the document with an id; errors as in `document`."""
        return self.document(doc_id)

    def __iter__(self) -> Iterator[Document]:
        """Iterate over all documents, in the order in which they were added."""
        return self.documents()

    def add(
        self,
        *sources: DocumentSource,
        format: str | None = None,  # noqa: A002 - the field's word, and --format on the command line
        id: str | None = None,  # noqa: A002 - the field's words, as on the command line
        title: str | None = None,
        text: str | Sequence[str] | None = None,
        types: str | None = None,
        sheet: str | None = None,
        table: str | None = None,
        sql: str | None = None,
        skip_bad: bool = False,
        image: str | None = None,
        copy_images: bool = False,
        sync: bool = False,
        source: str | None = None,
        allow_empty: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Insert or update documents by `doc_id`.

        A source is a table (JSON lines or an array, CSV, TSV, Parquet, `.xlsx`, SQLite), a text
        (plain, Markdown, HTML, PDF, Word), an image, a folder of texts and images, `-` for standard
        input, a data frame or another table of Arrow, or any iterable of documents or mappings: see
        `formats.read_documents`. A file that is no document is left out, and listed in the result.
        Sources are streamed and committed every few seconds: an interrupted call, when repeated,
        resumes by content. An unchanged document costs nothing; a changed one is embedded again by
        the next `build`. An id may occur once in a call.

        `id`, `title` and `text` name the columns of tables and the fields of mappings; the texts of
        several columns are joined by blank lines, in their order. What has no such id (`_id`,
        `doc_id`, `id`) and `text` and is not named is guessed, and a `FileNote` says how; ids are
        made from the content where no column has them, and records of the same content are one
        document. `types="auto"` reads the columns of CSV and TSV as numbers, booleans and dates
        where all of their cells are (see `ColumnTypes`). `sheet` names that of an `.xlsx`, `table`
        or a query in `sql` what is read of an SQLite database. A call with none of these, nor
        `format` and `image`, reads a source that came before, by its path or name, as it was read
        then, which a `FileNote` says.

        `image` names the field with the path of a document's image, relative to the file's folder;
        in mappings also bytes or an image of Pillow. An image stays in its file, which must not
        change, unless `copy_images` copies it into the collection; without a file it always is.

        With `sync`, the sources have all of their documents: those that came from them before and
        do not now are deleted, unless another source has them, or they were also added without a
        source. A source is known by its absolute path, or by the name `source`, which an iterable
        needs. Nothing is deleted for records that cannot be used, nor if any is left out whose id
        cannot be read. A source that is missing, or has no document any more, is an error unless
        `allow_empty`. The same document may come from several sources; where its contents differ,
        those count of the source that the collection has known for longest (of new ones, of the
        first in the call), and those of the others are bad records, until it lacks the document.
        Without `sync`, the contents that came last count.

        Raises:
            BadRecordsError: unusable records or images, or repeated ids; only what was committed
                before the first of them is kept, and the error counts it. With `skip_bad` they are
                left out and listed in the result.
            FileFormatError: a file does not have the format of its extension.
            EmptySourceError: a folder has no file to read; with `sync`, a source had documents
                before, and has none. Nothing was deleted.
            LockedError: another process is writing.
        """
        if not sources:
            raise InputError("Nothing to add: give a file, a folder or an iterable of documents.")
        reading = SourceReading.of(
            {
                **{"format": format, "image": image, "id": id, "title": title, "text": text},
                **{"types": types, "sheet": sheet, "table": table, "sql": sql},
            }
        )
        call = "" if copy_images else f"4 {skip_bad} {self.split} {sync}"
        # Every path is checked here, before the first document of any is read.
        names = [source_name(one, source) for one in sources]
        earlier = {} if reading.options or not any(names) else self._readings(names)
        read = CallReading(reading, earlier, self._store.corpus.images.has, call)
        spans = self.split.spans if self.split else None
        with progress_shown(progress, "adding") as shown:
            if sync:
                added = self._store.sync(
                    self._grouped(sources, source, allow_empty, read),
                    spans=spans,
                    skip_bad=skip_bad,
                    copy_images=copy_images,
                    allow_empty=allow_empty,
                    progress=shown,
                )
            else:
                added = self._store.add(
                    [read.source(name, [one]) for name, one in zip(names, sources, strict=True)],
                    spans=spans,
                    fingerprint=read.fingerprint(sources, *names),
                    skip_bad=skip_bad,
                    copy_images=copy_images,
                    progress=shown,
                )
        _LOG.info(
            "%s: added %s, %d changed, %d unchanged, %d skipped",
            *(self.path, pluralize(added.new, "new document"), added.changed),
            *(added.unchanged, added.skipped_total),
        )
        return added

    aadd = awaitable(add)

    def _grouped(
        self,
        sources: Sequence[DocumentSource],
        given: str | None,
        allow_empty: bool,
        read: CallReading,
    ) -> list[Source]:
        """Return what comes from each source, by name; a path that is given twice counts once."""
        groups: dict[str, dict[object, DocumentSource]] = {}
        for one in sources:
            name = source_name(one, given)
            if not name:
                raise InputError(
                    "Documents that come without a path need a name to be known by next time: "
                    "give one with --source NAME (source='NAME')."
                )
            groups.setdefault(name, {}).setdefault(source_name(one, None) or id(one), one)
        with self._store.snapshot() as now:
            known = now.corpus.origins.names()
        grouped = []
        for name, group in groups.items():
            some = list(group.values())
            # Every path is checked here, before the first document of any is read.
            there = [one for one in some if not (allow_empty and name in known and is_missing(one))]
            # What became empty is reported with what it had.
            grouped.append(read.source(name, there, may_be_empty=name in known))
        return grouped

    def _readings(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return how sources were read before, by name."""
        with self._store.snapshot() as now:
            return now.corpus.origins.readings(names)

    def sources(self) -> dict[str, int]:
        """Return the number of documents of each source that some came from, by its name."""
        with self._store.snapshot() as now:
            origins = now.corpus.origins
            names = [name for name in origins.names() if name != NO_SOURCE]
            return {name: len(origins.members(name)) for name in names}

    def delete(self, doc_ids: Sequence[str] | None = None, *, where: Where | None = None) -> int:
        """Delete documents from the corpus, and so from every index; return their number.

        Give either ids, or a filter, as in `Collection.search`.

        Raises:
            InputError: neither or both were given, or one text instead of a list; or the filter
                negates a condition that no document can meet, such as one on an unknown field.
            UnknownNameError: an id does not exist; nothing was deleted.
        """
        if (doc_ids is None) == (where is None):
            raise InputError("Say what to delete: either document ids, or a filter (where).")
        if where is not None:
            wanted = filter_of(where)
            count = self._store.delete_where(wanted, lambda now: _check_deletion(now, wanted))
            return self._deleted(count)
        doc_ids = _ids("delete", doc_ids)
        if unknown := list(dict.fromkeys(self.unknown_ids(doc_ids))):
            spelled = self._spelled(unknown)
            if unknown := [doc_id for doc_id in unknown if doc_id not in spelled]:
                raise self._unknown(unknown_names, unknown)
            doc_ids = [spelled.get(doc_id, doc_id) for doc_id in doc_ids]
        return self._deleted(self._store.delete(doc_ids))

    def _deleted(self, count: int) -> int:
        _LOG.info("%s: deleted %s", self.path, pluralize(count, "document"))
        return count

    def waiting(self, seconds: float) -> AbstractContextManager[None]:
        """Wait up to some seconds for another process that writes, in each call inside the block.

        The block is of one thread: calls of others that write meanwhile wait as long.
        """
        return self._store.waiting(seconds)

    def index_fields(self, *names: str) -> None:
        """Index metadata fields, so that a filter on them need not read every document.

        Dots lead into nested objects; a name with dots is quoted: see `filters.field_names`.
        Indexing a field twice has no effect.

        Raises:
            InputError: a name is not valid for a field, or may mean two.
            LockedError: another process is writing.
        """
        paths = [field_path(name) for name in names]
        with self._store.snapshot() as now:
            check_readings(AllOf(tuple(map(Exists, paths))), now.corpus.any_match)
        self._store.index_fields(paths)

    def filter_notes(self, where: Where) -> tuple[str, ...]:
        """Return what makes a filter match nothing, or a condition of it have no effect, if so."""
        wanted = filter_of(where)
        with self._store.snapshot() as now:
            return filter_notes(now.corpus.any_match, wanted, now.corpus.some_fields)

    def field_notes(self, *names: str) -> tuple[str, ...]:
        """Return a note for each metadata field that no document has."""
        paths = [field_path(name) for name in names]
        with self._store.snapshot() as now:
            return field_notes(now.corpus.any_match, paths, now.corpus.some_fields)

    def metadata_fields(self) -> tuple[MetadataField, ...]:
        """Return the metadata fields of the documents, of a few thousand if there are more."""
        with self._store.snapshot() as now:
            return metadata_fields(now.corpus.metadata_with(now.corpus.spread(SAMPLED)))

    def document(self, doc_id: str) -> Document:
        """Return the document with an id, or with the id in another Unicode normal form.

        `delete` knows ids so, too; elsewhere, ids are as they were added.

        Raises:
            UnknownNameError: there is none.
        """
        _check_id(doc_id)
        found = self._store.corpus.document(doc_id)
        if found is None and (spelled := self._spelled([doc_id])):
            found = self._store.corpus.document(spelled[doc_id])
        if found is None:
            raise self._unknown(unknown_name, doc_id)
        return found

    def _spelled(self, unknown: Sequence[str]) -> dict[str, str]:
        """Return unknown ids as documents have them in another Unicode normal form, if they do.

        Names of files come in either, and look the same.
        """
        forms = {
            doc_id: [unicodedata.normalize(form, doc_id) for form in ("NFC", "NFD")]
            for doc_id in unknown
            if not doc_id.isascii()
        }
        lacking = {*self.unknown_ids([one for several in forms.values() for one in several])}
        return {
            doc_id: form
            for doc_id, several in forms.items()
            for form in several
            if form not in lacking
        }

    def documents(
        self, *, where: Where | None = None, after: str | None = None
    ) -> Iterator[Document]:
        """Iterate over all documents, in the order in which they were added.

        With a filter (see `where_parser.filter_of`), over those that match it. With `after`, over
        those after the document of that id: so a page of documents follows another one.

        Raises:
            UnknownNameError: no document has the id `after`.
        """
        corpus, start = self._store.corpus, 0
        if after is not None:
            _check_id(after)
            start = next(iter(corpus.numbers_of([after]).values()), 0)
            if not start:
                raise self._unknown(unknown_name, after)
        return corpus.documents(None if where is None else filter_of(where), after=start)

    def documents_of(self, doc_ids: Sequence[str]) -> list[Document]:
        """Return the documents with the given ids, in any order; unknown ids are left out."""
        return self._store.documents_of(_ids("documents_of", doc_ids))

    def content_checksum(self) -> str:
        """Return 16 hex digits over all ids, titles and texts, whatever their order."""
        return self._store.content_checksum()

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Return those of the given ids that no document has, in the order given."""
        return self._store.corpus.unknown_ids(_ids("unknown_ids", doc_ids))

    def _unknown(self, error: Callable[..., UnknownNameError], name: object) -> UnknownNameError:
        """Return the error for an unknown id, or several, with some known ids as examples."""
        known = [document.doc_id for document in islice(self.documents(), 5)]
        return error("document", name, f"{self.path}/", known, more=len(self) > len(known))


def _check_deletion(corpus: Corpus, where: Filter) -> None:
    check_deletion(corpus.any_match, where, corpus.some_fields)


def _ids(method: str, doc_ids: Iterable[str] | None) -> list[str]:
    """Return ids as a list; raise an InputError that names the method if they are no such list."""
    found = as_list(doc_ids)
    if found is None:
        kind = "one text" if isinstance(doc_ids, str) else type(doc_ids).__name__
        raise InputError(f"{method} was given {kind}; expected a list of document ids.")
    for doc_id in found:
        _check_id(doc_id)
    return found


def _check_id(doc_id: object) -> None:
    if not isinstance(doc_id, str):
        raise InputError(f"A document id is {type(doc_id).__name__}; expected text.")
