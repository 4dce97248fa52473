"""A folder that holds one corpus and everything built over it: the library's front door."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

from indexes.builder import Progress
from indexes.documents import Document
from indexes.errors import (
    CollectionError,
    InputError,
    MismatchError,
    unknown_name,
    unknown_names,
)
from indexes.intake import Added
from indexes.store import Checked, Compacted, Repaired, Store, is_free
from retriever.building import Building, Wanted, refuse_text
from retriever.combined import combined_finder
from retriever.embedders import Embedder
from retriever.finders import DenseFinder, Finder, LexicalFinder
from retriever.formats import DocumentSource, SourceFingerprint, read_records
from retriever.fusion import DEPTH, RRF, RRF_K, cascade_recipe, fusion_recipe
from retriever.info import (
    BuildReport,
    CollectionInfo,
    IndexInfo,
    collection_info,
    index_info,
)
from retriever.models import Models
from retriever.search import Hits, Retriever
from retriever.splitting import Sentences, Splitter, Words, splitter_of
from retriever.where import field_path, filter_of

__all__ = ["Added", "Checked", "Collection", "Compacted", "Repaired"]


class Collection:
    """One corpus, many ways to embed it, the same queries through all of them.

    Use `create`, `open` or `open_or_create`; close it, or use it in a `with` block. Threads may
    share a collection; one process at a time writes, any number read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models = Models(store)
        self._building = Building(store, self._models)

    @classmethod
    def create(cls, path: str | os.PathLike[str], *, split: Splitter | None = None) -> Collection:
        """A new collection in a folder that is absent or empty.

        With `split`, such as `Words(200, overlap=50)`, long documents are embedded in stretches and
        ranked by their best one, in all indexes alike.

        Raises:
            CollectionError: the folder holds something, or cannot be written to.
            InputError: `split` is no splitter.
        """
        if split is not None and not isinstance(split, Words | Sentences):
            raise InputError(
                f"split is {split!r}; expected Words(200, overlap=50) or Sentences(200)."
            )
        return cls(Store.create(Path(path), None if split is None else dict(split.spec)))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Collection:
        """The collection in a folder.

        Raises:
            NotACollectionError: there is none.
            NewerFormatError: a newer version has written it.
            DamageError: its catalog cannot be read.
        """
        return cls(Store.open(Path(path)))

    @classmethod
    def open_or_create(
        cls, path: str | os.PathLike[str], *, split: Splitter | None = None
    ) -> Collection:
        """The collection in a folder, made there when the folder is absent or empty.

        Raises:
            MismatchError: it is there, and its documents are split in another way.
        """
        folder = Path(path)
        if is_free(folder):
            try:
                return cls.create(folder, split=split)
            except CollectionError:
                # Another process may have been faster: then there is one to open.
                if is_free(folder):
                    raise
        collection = cls.open(folder)
        if split is not None and split != collection.split:
            has = f"splits documents into {collection.split}" if collection.split else "splits none"
            collection.close()
            raise MismatchError(
                f"{folder}/ {has}, and not into {split}: that is set when a collection is made. "
                "Leave it out, or make another collection."
            )
        return collection

    @property
    def path(self) -> Path:
        """The folder."""
        return self._store.folder

    @cached_property
    def split(self) -> Splitter | None:
        """How documents are cut into passages; None: not at all."""
        spec = self._store.split()
        return None if spec is None else splitter_of(spec)

    def close(self) -> None:
        """Close the catalog; a closed collection answers nothing."""
        self._store.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many documents there are."""
        return self._store.count()

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r})"

    # -- documents ------------------------------------------------------------------------------

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
            progress=progress or _silent,
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
        found = self._store.document(doc_id)
        if found is None:
            some, more = self._some_ids()
            raise unknown_name("document", doc_id, f"{self.path}/", some, more=more)
        return found

    def documents(self) -> Iterator[Document]:
        """Every document, in the order in which they came."""
        return self._store.documents()

    def documents_of(self, doc_ids: Sequence[str]) -> list[Document]:
        """The documents of some ids, in no order; ids that no document has are left out."""
        return self._store.documents_of(doc_ids)

    def content_checksum(self) -> str:
        """16 digits over all ids, titles and texts, whatever the order in which they came."""
        return self._store.content_checksum()

    def unknown_ids(self, doc_ids: Sequence[str]) -> list[str]:
        """Those of some ids that no document has, in the order given."""
        return self._store.unknown_ids(doc_ids)

    # -- indexes --------------------------------------------------------------------------------

    def build(
        self,
        name: str,
        embedder: Embedder | None = None,
        *,
        vectors: str | None = None,
        lexical: bool = False,
        ann: str | None = None,
        dtype: str | None = None,
        language: str | None = None,
        progress: Progress | None = None,
    ) -> BuildReport:
        """Build an index, or bring one up to date: only documents that it lacks are embedded.

        A new index needs an `embedder`, or `vectors`: the name of an index whose vectors it shares,
        so that nothing is embedded again; or `lexical`: BM25 over the texts, words stemmed by
        `language` (`english` without it, `none` for no stemming). `ann` is a FAISS factory string
        (`HNSW32`, `IVF256,SQ8`); without it, or with `Flat`, search is exact. `dtype` says how
        vectors are stored: `float32`, or `float16` in half the room. An interrupted build goes on
        when called again; BM25, which embeds nothing, starts again. For a combination, its parts
        are brought up to date.

        Raises:
            InputError: none or several of them were given, the corpus is empty, FAISS refuses the
                factory string, or there is no stemmer for the language.
            MismatchError: the index exists, made by another embedder or with another structure.
            UnknownNameError: no index called `vectors`.
            LockedError: another process is writing.
        """
        wanted = Wanted(embedder, vectors, ann, dtype, lexical, language)
        return self._building.build(name, wanted, progress or _silent)

    def fuse(
        self,
        name: str,
        parts: Sequence[str],
        *,
        method: str = RRF,
        weights: Sequence[float] | None = None,
        rrf_k: float = RRF_K,
        depth: int = DEPTH,
    ) -> BuildReport:
        """Name a fusion of several indexes, usable wherever an index is; see `combined.Fusion`.

        Each part is asked for `depth` documents, whatever k is.

        Raises:
            InputError: fewer than two parts, no such method, weights or a depth that do not fit.
            UnknownNameError: a part is not there.
            MismatchError: an index of that name is there, and another.
        """
        refuse_text("parts", parts)
        recipe = fusion_recipe(len(parts), method=method, weights=weights, rrf_k=rrf_k, depth=depth)
        return self._building.combine(name, parts, recipe)

    def cascade(self, name: str, first: str, second: str, *, depth: int = DEPTH) -> BuildReport:
        """Name a cascade: `first` finds `depth` candidates, `second` ranks exactly those.

        The second scores them from its stored vectors, or by BM25; see `combined.CascadedFinder`.

        Raises:
            InputError: a depth that does not fit.
            UnknownNameError: a part is not there.
            MismatchError: an index of that name is there, and another.
        """
        return self._building.combine(name, [first, second], cascade_recipe(depth=depth))

    def index_info(self, name: str) -> IndexInfo:
        """What is known of one index.

        Raises:
            UnknownNameError: no such index.
        """
        return index_info(self._store, self._store.index(name), self._store.indexes())

    def drop(self, name: str) -> int:
        """Forget an index, and its vectors when no other index uses them; the bytes set free.

        Raises:
            UnknownNameError: no such index.
            LockedError: another process is writing.
        """
        return self._store.drop(name)

    def index_names(self) -> list[str]:
        """The names of all indexes, oldest first."""
        return [index.name for index in self._store.indexes()]

    # -- questions ------------------------------------------------------------------------------

    def compact(self, *, progress: Progress | None = None) -> Compacted:
        """Give back the room that removed and changed documents still take.

        Their vectors go from the files, search structures that hold them are built anew, and the
        catalog is written without what was deleted. Nothing is embedded.

        Raises:
            LockedError: another process is writing.
            DamageError: a file is not what the catalog says; `repair` first.
        """
        return self._store.compact(progress or _silent)

    def verify(self, *, progress: Progress | None = None) -> Checked:
        """Check every checksum, every key on both sides and every count; changes nothing."""
        return self._store.verify(progress or _silent)

    def repair(self, *, progress: Progress | None = None) -> Repaired:
        """Make again what can be derived: search structures from vectors, vectors by embedding.

        Files that nothing names are removed. A document that is damaged is left as it is, and
        named: delete it and add it again, or restore the catalog from a backup.

        Raises:
            LockedError: another process is writing.
            ModelNotAvailableError: the model of damaged vectors cannot be had; nothing was changed.
            InputError: it was an embedder of your own; give it first, with `use`.
        """
        return self._store.repair(self._models.encoder, progress or _silent)

    def search(
        self,
        text: str,
        *,
        index: str | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
    ) -> Hits:
        """The `k` documents nearest to a query; `index` may be left out where there is only one.

        `where` is a filter on metadata, such as `{"source": "faq", "year": {">=": 2020}}`: the `k`
        nearest of the documents that it lets through.

        Raises:
            InputError: an empty query, a `k` below 1, a filter that cannot be read, or several
                indexes and none named.
            UnknownNameError: no such index.
            MismatchError: the model is no longer the one that made the vectors.
        """
        return self.retriever(index).search(text, k, where=where)

    def search_many(
        self,
        texts: Sequence[str],
        *,
        index: str | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
    ) -> list[Hits]:
        """The `k` documents nearest to each query; errors as in `search`."""
        return self.retriever(index).search_many(texts, k, where=where)

    def retriever(self, index: str | None = None) -> Retriever:
        """An index with its embedder loaded, ready for many questions; errors as in `search`.

        A combination comes with the embedders of all its parts.
        """
        name = index if index is not None else self._only_index()
        return Retriever(self._finder(name), self._store)

    def _finder(self, name: str) -> Finder:
        row = self._store.index(name)
        if row.kind == "lexical":
            return LexicalFinder(name, str(row.recipe["language"]))
        if row.kind == "combined":
            return combined_finder(name, row.recipe, [self._finder(part) for part in row.parts])
        return DenseFinder(name, self._models.of(name))

    def use(self, index: str, embedder: Embedder) -> None:
        """Answer an index's queries with this embedder: needed for one of your own after `open`.

        Raises:
            UnknownNameError: no such index.
            MismatchError: it is not the embedder that made the index's vectors.
        """
        self._models.use(index, embedder)

    def info(self) -> CollectionInfo:
        """Documents, indexes, sizes and times."""
        return collection_info(self._store)

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _quoted(self) -> str:
        """The folder as a shell takes it, for advice."""
        return shlex.quote(str(self.path))

    def _some_ids(self) -> tuple[list[str], bool]:
        """A few ids, to show what there is, and whether there are more."""
        some = [document.doc_id for document in islice(self.documents(), 5)]
        return some, len(self) > len(some)

    def _only_index(self) -> str:
        names = self.index_names()
        if len(names) == 1:
            return names[0]
        if not names:
            raise InputError(
                f"{self.path}/ has no index yet. "
                f"Build one: retriever build {self._quoted} NAME --embedder KIND:MODEL"
            )
        raise InputError(
            f"Say which index to search with -i. {self.path}/ has: {', '.join(names)}."
        )


def _silent(done: int, total: int) -> None:
    """Progress that nobody watches."""
