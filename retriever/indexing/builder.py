"""How an index comes to be, or is brought up to date: of vectors, of words, of other indexes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from indexes.catalog.kinds import kind_of
from indexes.catalog.records import IndexRow
from indexes.catalog.registry import another_index
from indexes.errors import FailedText, FailedTextsError, InputError
from indexes.progress import Progress
from indexes.store import Store
from retriever.embedders import TextReport
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.info import BuildReport
from retriever.indexing.plan import BuildRequest
from retriever.indexing.report import raise_if_failed
from retriever.indexing.vectors import VectorBuilding

DEFAULT_LANGUAGE = "english"


@dataclass(frozen=True)
class Building:
    """Builds the indexes of one collection."""

    store: Store
    models: EmbedderPool

    def build(self, name: str, wanted: BuildRequest, progress: Progress) -> BuildReport:
        """Build an index, or bring one up to date; see `Collection.build`."""
        if not self.store.count():
            raise InputError(
                f"{self.store.folder}/ has no documents yet. Add some first: "
                f"retriever add {self._quoted} FILE"
            )
        if wanted.refit:
            return self._refit(name, wanted, progress)
        there = {row.name: row for row in self.store.indexes()}.get(name)
        by_name = wanted.nothing_of_vectors
        if wanted.lexical or (there and kind_of(there.kind).is_lexical and by_name):
            if not by_name:
                raise InputError(
                    "BM25 has no vectors: leave out embedder, vectors, ann, dtype and queries_by."
                )
            return self._words(name, there, wanted.language, progress)
        if wanted.language is not None:
            raise InputError("A language is for BM25: give --lexical (lexical=True) with it.")
        if there and there.parts and by_name:
            return self._parts(there, progress)
        if there and there.embedding is None:
            raise another_index(self.store.folder, there)
        return VectorBuilding(self.store, self.models).build(name, there, wanted, progress)

    def _refit(self, name: str, wanted: BuildRequest, progress: Progress) -> BuildReport:
        if wanted != BuildRequest(wanted.embedder, refit=True):
            raise InputError("--refit (refit=True) goes with no other option than an embedder.")
        index = self.store.index(name)
        if index.embedding is None:
            raise InputError(f"Nothing is fitted in index '{name}': it is {index.kind}.")
        return VectorBuilding(self.store, self.models).refit(name, wanted.embedder, progress)

    def combine(
        self, name: str, parts: Sequence[str], definition: Mapping[str, Any]
    ) -> BuildReport:
        """Name a combination of indexes; see `Collection.fuse` and `Collection.cascade`."""
        self.store.check_new(name)
        if len(set(parts)) < len(parts):
            raise InputError(f"An index is named twice: {', '.join(parts)}.")
        self.store.combine(name, parts, definition)
        return BuildReport(name, 0, self.store.count_passages(), 0.0, 0.0, TextReport())

    def _words(
        self, name: str, there: IndexRow | None, language: str | None, progress: Progress
    ) -> BuildReport:
        self.store.check_new(name)
        known = str(there.definition.get("language", "")) if there else ""
        row = self.store.build_words(name, language or known or DEFAULT_LANGUAGE, progress)
        return BuildReport(
            name=name,
            embedded=0,
            already=self.store.count_passages(),
            embedding_seconds=0.0,
            indexing_seconds=0.0 if row == there else row.seconds,
            text=TextReport(),
        )

    def _parts(self, index: IndexRow, progress: Progress) -> BuildReport:
        # All parts are brought up to date before the failed texts of any are told of.
        reports, failed = list[BuildReport](), dict[str, FailedText]()
        unbuilt, name = None, ""
        for part in index.parts:
            try:
                reports.append(self.build(part, BuildRequest(), progress))
            except FailedTextsError as error:
                reports.append(error.report)
                failed = {one.doc_id: one for one in error.failed} | failed
                if unbuilt is None and isinstance(error.__cause__, Exception):
                    unbuilt, name = error.__cause__, part
            except Exception as error:
                if not failed:
                    raise
                unbuilt, name = error, part
                break
        embedded = sum(report.embedded for report in reports)
        report = BuildReport(
            name=index.name,
            embedded=embedded,
            already=min(report.already for report in reports),
            embedding_seconds=sum(report.embedding_seconds for report in reports),
            indexing_seconds=sum(report.indexing_seconds for report in reports),
            text=TextReport(),
            notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
        )
        return raise_if_failed(
            self.store, report, list(failed.values()), unbuilt=unbuilt, name=name
        )

    @property
    def _quoted(self) -> str:
        """The folder as a shell takes it, for advice."""
        return shlex.quote(str(self.store.folder))


def refuse_text(what: str, given: object) -> None:
    """Refuse one text where a list of names belongs."""
    if isinstance(given, str):
        raise InputError(f"The {what} are one text, '{given}'; expected a list of names.")
