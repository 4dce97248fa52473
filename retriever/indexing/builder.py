"""Building of indexes: of vectors, of BM25, and of combinations of other indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexes.catalog.records import (
    EmbeddingRow,
    IndexRow,
    kind_of,
)
from indexes.errors import FailedText, FailedTextsError, InputError, check_flag, check_text
from indexes.lexical.options import LexicalOptions
from indexes.pipeline.executors.base import Executor
from indexes.progress import Progress
from indexes.store import Store
from retriever.advice import shell_command
from retriever.embedders.base import Matrix
from retriever.indexing.builds import DTYPES, BuildRequest, WordOptions, check_recall, plan
from retriever.indexing.embedder_pool import EmbedderPool
from retriever.indexing.embedding_source import EmbeddingSource
from retriever.indexing.fingerprints import QUERIES
from retriever.indexing.importing import import_vectors
from retriever.indexing.inspection import CONVEX, asked_of, recall_of
from retriever.indexing.notes import recall_notes
from retriever.indexing.reports import (
    BuildReport,
    EmbeddingTotals,
    TuneReport,
    build_report,
    raise_if_failed,
)
from retriever.indexing.reranker_pool import RERANKER, RerankerPool, reranker_record
from retriever.rerankers.base import Reranker

DEFAULT_LANGUAGE = LexicalOptions().language


@dataclass(frozen=True)
class IndexBuilder:
    """Builds the indexes of one collection."""

    store: Store
    models: EmbedderPool
    rerankers: RerankerPool

    def build(self, name: str, wanted: BuildRequest, progress: Progress) -> BuildReport:
        """Build an index, or bring one up to date; see `Collection.build`."""
        if not self.store.count():
            add = shell_command("add", self.store.folder, "FILE")
            raise InputError(f"{self.store.folder}/ has no documents yet. Add some first: {add}")
        check_flag("lexical", wanted.lexical)
        check_flag("refit", wanted.refit)
        if wanted.workers and wanted.lexical:
            raise InputError(
                "BM25 reads all texts with threads of this machine, which workers would not "
                "speed up: leave --workers (workers) out with --lexical."
            )
        if wanted.imported is not None:
            return import_vectors(self.store, self.models, name, wanted.imported, wanted, progress)
        if wanted.similarity is not None or wanted.allow_missing:
            raise InputError(
                "similarity and allow_missing are for imported vectors: give --from-vectors FILE "
                "(from_vectors=FILE) with them."
            )
        if wanted.refit:
            return self._refit(name, wanted, progress)
        index = next((row for row in self.store.indexes() if row.name == name), None)
        by_name = wanted.has_no_vector_options
        if wanted.lexical or (index and kind_of(index.kind).is_lexical and by_name):
            if not by_name:
                raise InputError(
                    "BM25 has no vectors: leave out embedder, vectors, ann, recall, dtype and "
                    "queries_by."
                )
            return self._words(name, index, wanted.words, progress)
        if given := wanted.words.given:
            raise InputError(
                f"{', '.join(given)}: for BM25 only. Give --lexical (lexical=True) with it."
            )
        if index and index.parts and by_name:
            return self._parts(index, wanted.workers, progress)
        if index and index.embedding is None:
            raise self.store.another(index)
        return self._vectors(name, index, wanted, progress)

    def combine(
        self, name: str, parts: Sequence[str], definition: Mapping[str, Any]
    ) -> BuildReport:
        """Name a combination of indexes; see `Collection.fuse`, `cascade` and `escalate`."""
        self.store.check_new(name)
        for part in parts:
            check_text("The name of an index", part)
        if len(set(parts)) < len(parts):
            raise InputError(f"An index is named twice: {', '.join(parts)}.")
        if definition.get("fuse") == CONVEX:
            self._check_scores_all(parts)
        self.store.combine(name, parts, definition)
        return BuildReport(name, already=self.store.count_passages())

    def _check_scores_all(self, parts: Sequence[str]) -> None:
        """Raise `InputError` if one of the parts, at any depth, scores documents by a model."""
        for name in parts:
            index = self.store.index(name)
            if RERANKER in index.definition:
                raise InputError(
                    f"'{name}' ranks by a model that reads each text, and in a convex fusion every "
                    "part scores all candidates. Fuse by rrf or minmax, or rerank what the fusion "
                    "finds."
                )
            # The second part of a cascade gives its scores.
            scoring = index.parts[-1:] if "cascade" in index.definition else index.parts
            self._check_scores_all(scoring)

    def rerank(
        self, name: str, first: str, reranker: Reranker, definition: Mapping[str, Any]
    ) -> BuildReport:
        """Name a cascade whose second part is a reranker; see `Collection.cascade`."""
        self.store.check_new(name)
        self.store.index(first)
        notes = self.rerankers.notes(reranker, int(definition["depth"]))
        kept = reranker_record(reranker, self.store.folder)
        report = self.combine(name, [first], {**definition, RERANKER: kept})
        self.rerankers.keep(reranker)
        return replace(report, notes=notes)

    def tune(self, name: str, recall: float, queries: Matrix | None) -> TuneReport:
        """Choose the search parameters of an index again; see `Collection.tune`."""
        check_recall(recall)
        index, measured = self.store.tune(name, recall, queries)
        factory, reached = str(index.definition["factory"]), recall_of(index) or 0.0
        return TuneReport(
            name=name,
            factory=factory,
            search=self.store.effort(index, 10),
            asked=recall,
            reached=reached,
            recall=measured.recall,
            queries=measured.queries,
            latency=measured.latency,
            throughput=measured.throughput,
            indexing_seconds=index.seconds,
            size=index.digest.size,
            notes=tuple(recall_notes(self.store.folder, name, factory, reached, recall)),
        )

    def _words(
        self, name: str, index: IndexRow | None, words: WordOptions, progress: Progress
    ) -> BuildReport:
        self.store.check_new(name)
        known = LexicalOptions.of(index.definition) if index else LexicalOptions()
        row = self.store.build_bm25(name, replace(known, **words.given), progress)
        seconds = 0.0 if row == index else row.seconds
        return BuildReport(name, already=row.rows, indexing_seconds=seconds)

    def _parts(self, index: IndexRow, workers: Executor | None, progress: Progress) -> BuildReport:
        # All parts are brought up to date before failed texts of any are reported.
        reports, failed = list[BuildReport](), dict[str, FailedText]()
        unbuilt, name = None, ""
        for part in index.parts:
            try:
                reports.append(self.build(part, BuildRequest(workers=workers), progress))
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
        report = BuildReport(
            name=index.name,
            embedded=sum(report.embedded for report in reports),
            already=min(report.already for report in reports),
            embedding_seconds=sum(report.embedding_seconds for report in reports),
            indexing_seconds=sum(report.indexing_seconds for report in reports),
            notes=tuple(dict.fromkeys(note for report in reports for note in report.notes)),
        )
        failures = list(failed.values())
        return raise_if_failed(self.store, report, failures, unbuilt=unbuilt, name=name)

    def _vectors(
        self, name: str, index: IndexRow | None, wanted: BuildRequest, progress: Progress
    ) -> BuildReport:
        planned = plan(self.store, self.models, name, wanted)
        self.store.check_new(name, definition=planned.definition, dim=planned.dim)
        embedding = planned.embedding
        before = EmbeddingTotals.of(self.store.shards(embedding) if embedding else ())
        own = (planned.embedder, wanted.dtype or DTYPES[0], wanted.workers)
        source = EmbeddingSource(self.store, self.models, *own)
        of = wanted.vectors or name
        built, embedded = self.store.build(
            name,
            embedding=embedding,
            make=source.make,
            definition=planned.definition,
            encoder=source.workers(of) or (lambda: source.encoder(of)),
            progress=progress,
            executor=wanted.workers,
        )
        notes = source.notes
        if built.file:
            factory = str(built.definition.get("factory"))
            reached, asked = recall_of(built), asked_of(built)
            notes += (*recall_notes(self.store.folder, name, factory, reached, asked),)
        report = build_report(
            self.store,
            of,
            built,
            embedded,
            before,
            notes,
            rebuilt=built != index,
            fitting=source.fitting,
        )
        return raise_if_failed(self.store, report, embedded.failed, unbuilt=embedded.unbuilt)

    def _refit(self, name: str, wanted: BuildRequest, progress: Progress) -> BuildReport:
        """Fit an index's embedder again and embed all texts; those that fail keep old vectors."""
        if wanted != BuildRequest(wanted.embedder, refit=True, workers=wanted.workers):
            raise InputError(
                "--refit (refit=True) allows no other option than an embedder and workers."
            )
        index = self.store.index(name)
        if index.embedding is None:
            raise InputError(f"Nothing is fitted in index '{name}': it is {index.kind}.")
        embedding = self.store.embedding(name)
        embedder = self.models.to_fit(name, wanted.embedder)
        self._check_students(embedding)
        before = EmbeddingTotals.of(self.store.shards(embedding))
        own = (embedder, embedding.dtype, wanted.workers)
        source = EmbeddingSource(self.store, self.models, *own, refit=True)
        built, embedded = self.store.refit(
            name,
            embedding=embedding,
            make=source.make,
            encoder=source.workers(name) or (lambda: source.encode),
            progress=progress,
            executor=wanted.workers,
        )
        now = self.store.embedding(name)
        if now.number != embedding.number:
            before = EmbeddingTotals()
        report = build_report(
            self.store,
            name,
            built,
            embedded,
            before,
            source.notes,
            rebuilt=built != index,
            fitting=source.fitting,
        )
        half, unbuilt = self.store.is_refitting(now), embedded.unbuilt
        return raise_if_failed(self.store, report, embedded.failed, half=half, unbuilt=unbuilt)

    def _check_students(self, embedding: EmbeddingRow) -> None:
        """Refuse to change vectors that distilled embedders encode queries for."""
        students = [
            row.name
            for row in self.store.indexes()
            if row.embedding == embedding.number and QUERIES in row.definition
        ]
        if students:
            raise InputError(
                f"The queries of {', '.join(students)} are encoded for the present vectors of "
                f"'{embedding.name}', and would not fit others. Drop these indexes first, and "
                "distill again afterwards."
            )
