"""The documents of a collection: added, looked up, removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from indexes.document import Document
from indexes.errors import InputError, unknown_name, unknown_names
from indexes.ingest.upsert import Added
from indexes.pipeline.embedding_job import Progress
from indexes.store import Store
from retriever.formats import DocumentSource, SourceFingerprint, read_records
from retriever.search.where import field_path, filter_of
from retriever.splitting import Splitter, splitter_of


class Documents:
    """What a collection has before anything is built over it; see `collection.Collection`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def path(self) -> Path:
        """The folder."""
        return self._store.folder

    @cached_property
    def split(self) -> Splitter | None:
        """How documents are cut into passages; None: not at all."""
        spec = self._store.split()
        return None if spec is None else splitter_of(spec)

    def __len__(self) -> int:
        """How many documents there are."""
        return self._store.count()

    def add(
        self,
        *sources: DocumentSource,
        format: str | None = None,  # noqa: A002 - the field's word, and --format on the command line
        skip_bad: bool = False,
        progress: Progress | None = None,
    ) -> Added:
        """Insert or update documents by `doc_id`.

        A source is a file (JSON lines, CSV, TSV, Parquet, text; each also gzipped), a folder of
        `.txt` and `.md`, `-` for standard input, or any iterable of documents or mappings. Sources
        are streamed, and committed every few seconds: an interrupted call goes on by content when
        it is made again. An unchanged document costs nothing; a changed one is embedded anew by the
        next `build`. An id may come once in a call.

        Raises:
            BadRecordsError: records that cannot be used, ids that come twice; nothing was kept but
                what was committed before the first of them, which the error counts. With `skip_bad`
                they are left out and listed in the result.
            FileFormatError: a file is not what its ending says.
            LockedError: another process is writing.
        """
        if not sources:
            raise InputError("Nothing to add: give a file, a folder or an iterable of documents.")
        # Every path is checked here, before the first document of any is read.
        records = chain.from_iterable([read_records(one, format=format) for one in sources])
        split = self.split
        reading = f"1 {format} {skip_bad} {split}"
        return self._store.add(
            records,
            spans=split.spans if split else None,
            source=SourceFingerprint(sources, reading),
            skip_bad=skip_bad,
            progress=progress or silent,
        )

    def delete(
        self, doc_ids: Sequence[str] | None = None, *, where: Mapping[str, Any] | None = None
    ) -> int:
        """Remove documents from the corpus, and so from every index at once; how many there were.

        Either those of some ids, or those that a filter lets through (see `where.filter_of`).

        Raises:
            InputError: neither or both were given, or one text instead of a list.
            UnknownNameError: ids that are not there; nothing was removed.
        """
        if (doc_ids is None) == (where is None):
            raise InputError("Say what to delete: either document ids, or a filter (where).")
        if where is not None:
            return self._store.delete_where(filter_of(where))
        return self._delete(doc_ids or [])

    def _delete(self, doc_ids: Sequence[str]) -> int:
        if isinstance(doc_ids, str):
            raise InputError("delete was given one text; expected a list of document ids.")
        doc_ids = list(doc_ids)
        strange = [doc_id for doc_id in doc_ids if not isinstance(doc_id, str)]
        if strange:
            self.document(strange[0])  # raises, and says what was expected
        unknown = list(dict.fromkeys(self.unknown_ids(doc_ids)))
        if unknown:
            some, more = self._some_ids()
            raise unknown_names("document", unknown, f"{self.path}/", some, more=more)
        return self._store.delete(doc_ids)

    def index_fields(self, *names: str) -> None:
        """Index metadata fields, so that a filter on them need not look at every document.

        Dots lead into nested objects. A field that is indexed already stays so.

        Raises:
            InputError: no field has such a name.
            LockedError: another process is writing.
        """
        self._store.index_fields([field_path(name) for name in names])

    def document(self, doc_id: str) -> Document:
        """The document of that id.

        Raises:
            UnknownNameError: there is none.
        """
        if not isinstance(doc_id, str):
            raise InputError(f"A document id is {type(doc_id).__name__}; expected text.")
        found = self._store.corpus.document(doc_id)
        if found is None:
            some, more = self._some_ids()
            raise unknown_name("document", doc_id, f"{self.path}/", some, more=more)
        return found

    def documents(self) -> Iterator[Document]:
        """Every document, in the order in which they came."""
        return self._store.corpus.documents()

    def documents_of(self, doc_ids: Sequence[str]) -> list[Document]:
        """The documents of some ids, in no order; ids that no document has are left out."""
        return self._store.documents_of(doc_ids)

    def content_checksum(self) -> str:
        """16 digits over all ids, titles and texts, whatever the order in which they came."""
        return self._store.content_checksum()

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Those of some ids that no document has, in the order given."""
        return self._store.corpus.unknown_ids(doc_ids)

    def _some_ids(self) -> tuple[list[str], bool]:
        """A few ids, to show what there is, and whether there are more."""
        some = [document.doc_id for document in islice(self.documents(), 5)]
        return some, len(self) > len(some)


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
