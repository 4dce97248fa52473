"""A collection brought up to date with its sources: documents first, then every index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from indexes.errors import (
    CollectionError,
    DamageError,
    FailedText,
    FailedTextsError,
    RetrieverError,
)
from indexes.ingest.upsert import Added
from indexes.progress import Progress, ignore_progress
from retriever.documents import Documents
from retriever.formats import DocumentSource
from retriever.indexing.builder import IndexBuilder
from retriever.indexing.builds import BuildRequest
from retriever.indexing.reports import BuildReport


@dataclass(frozen=True)
class BuildFailure:
    """An index that could not be brought up to date: why, in words.

    `failed` are the documents that could not be embedded, if that is all: then `report` says what
    was done for the others.
    """

    name: str
    why: str
    failed: tuple[FailedText, ...] = ()
    report: BuildReport | None = None


@dataclass(frozen=True)
class BuildAllReport:
    """Result of a `build_all`: a report of each index, and those that could not be built."""

    indexes: tuple[BuildReport, ...] = ()
    failures: tuple[BuildFailure, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every index is up to date."""
        return not self.failures

    @property
    def is_partial(self) -> bool:
        """Whether some documents could not be embedded, and all else was done."""
        return not self.ok and all(failure.failed for failure in self.failures)


@dataclass(frozen=True)
class UpdateReport:
    """Result of an `update`: what changed in the documents, and in the indexes."""

    added: Added
    built: BuildAllReport

    @property
    def ok(self) -> bool:
        """Whether every record was used and every index is up to date."""
        return self.added.skipped_total == self.added.no_documents and self.built.ok

    @property
    def is_partial(self) -> bool:
        """Whether only single records or documents failed, and all else was done."""
        return not self.ok and (self.built.ok or self.built.is_partial)


# Called with each part of a report as soon as it is known.
Tell = Callable[[Added | BuildReport | BuildFailure], object]


class Updates(Documents):
    """The part of `Collection` that keeps it fresh."""

    _building: IndexBuilder

    def build_all(
        self, *, progress: Progress | None = None, tell: Tell | None = None
    ) -> BuildAllReport:
        """Bring every index up to date, oldest first, so that parts precede combinations.

        The failure of one does not stop the others: it is in the result. `tell` is called with each
        report or failure as soon as it is known. Without documents, there is nothing to do.

        Raises:
            CollectionError: the disk is full, or another process is writing (LockedError).
        """
        reports, failures = list[BuildReport](), list[BuildFailure]()
        tell = tell or _tell_nobody
        # Combinations hold nothing of their own.
        rows = [row for row in self._store.indexes() if not row.parts] if len(self) else []
        for name in [row.name for row in rows]:
            try:
                reports.append(
                    self._building.build(name, BuildRequest(), progress or ignore_progress)
                )
                tell(reports[-1])
            except FailedTextsError as error:
                failures.append(BuildFailure(name, str(error), error.failed, error.report))
                tell(failures[-1])
            except Exception as error:  # of a model, whatever it is: the others are built
                # Such as a full disk, or another writer: it is not this index that fails.
                if isinstance(error, CollectionError) and not isinstance(error, DamageError):
                    raise
                kind = "" if isinstance(error, RetrieverError) else f"{type(error).__name__}: "
                failures.append(BuildFailure(name, f"{kind}{error}"))
                tell(failures[-1])
        return BuildAllReport(tuple(reports), tuple(failures))

    def update(
        self,
        *sources: DocumentSource,
        format: str | None = None,  # noqa: A002 - as in `add`
        skip_bad: bool = True,
        image: str | None = None,
        copy_images: bool = False,
        source: str | None = None,
        allow_empty: bool = False,
        id: str | None = None,  # noqa: A002
        title: str | None = None,
        text: str | Sequence[str] | None = None,
        types: str | None = None,
        sheet: str | None = None,
        table: str | None = None,
        sql: str | None = None,
        wait: float = 0.0,
        progress: Progress | None = None,
        tell: Tell | None = None,
    ) -> UpdateReport:
        """Bring the documents up to date with their sources, then every index with the documents.

        As `add` with `sync`, then `build_all`. Called again, it does only what is left to do: an
        unchanged source is not read. Bad records are left out and listed unless `skip_bad` is
        false. `wait` is how many seconds to wait, at each step, for another process that writes.

        Raises:
            EmptySourceError: a source has no document any more, and `allow_empty` is false;
                nothing was removed, and no index built.
            LockedError: another process is still writing.
            InputError: a source is missing or cannot be read, or has no name; or as in `add`.
        """
        with self._store.waiting(wait):
            added = self.add(
                *sources,
                format=format,
                skip_bad=skip_bad,
                image=image,
                copy_images=copy_images,
                sync=True,
                source=source,
                allow_empty=allow_empty,
                id=id,
                title=title,
                text=text,
                types=types,
                sheet=sheet,
                table=table,
                sql=sql,
                progress=progress,
            )
            (tell or _tell_nobody)(added)
            return UpdateReport(added, self.build_all(progress=progress, tell=tell))


def _tell_nobody(part: object) -> None:
    """Do nothing."""
