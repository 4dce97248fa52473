"""`update`, `watch`: a collection kept up to date with its sources, once or as they change."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.documents import LISTED
from retriever.cli.options import as_json, files, library, reading, source_format
from retriever.cli.output import file_notes, left_out, print_json, progress_bar

if TYPE_CHECKING:
    from indexes.ingest.upsert import Added
    from retriever.indexing.reports import BuildReport
    from retriever.updates import BuildAllReport, BuildFailure, UpdateReport

# What watchfiles says of a name that is not UTF-8.
UNDECODABLE = "Unable to decode path"
# Single records or documents failed; all else was done.
PARTIAL = 3

wait = click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another process that writes to LIBRARY.",
)


@click.command(short_help="Bring documents and all indexes up to date with their sources.")
@library
@click.argument("sources", nargs=-1, required=True)
@files
@reading
@click.option(
    "--source", metavar="NAME", help="Know the sources by this name; - needs one, paths have one."
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="Delete all documents of a source that is missing or has none any more.",
)
@wait
@as_json
@click.pass_context
def update(
    ctx: click.Context,
    library: Path,
    sources: tuple[str, ...],
    files: dict[str, Any],
    reading: dict[str, Any],
    source: str | None,
    allow_empty: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Bring the collection LIBRARY up to date with SOURCES, then all its indexes.

    Documents that SOURCES have are added or changed, those that are gone from SOURCES are deleted,
    and others stay: a document is known by the source that it came from, which is read as it was
    last time unless options say how. Bad records are skipped and listed. Run it again as often as
    you like: it does only what is left to do.

    Exits with 0 if all was done, with 3 if single records or documents failed and all else was
    done, and with 1 if an index could not be built, or nothing was done. Without a terminal, each
    line on stderr starts with the time.
    """
    from retriever.collection import Collection
    from retriever.records import update_record

    with _logged(ctx), Collection.open(library) as collection:
        with progress_bar("updating") as progress:
            report = collection.update(
                *sources,
                **files,
                **reading,
                source=source,
                allow_empty=allow_empty,
                wait=wait,
                progress=progress,
                tell=log_part,
            )
        documents = len(collection)
    if as_json:
        print_json(update_record(report, documents))
    else:
        click.echo(summary(library, report, documents))
    ctx.exit(0 if report.ok else PARTIAL if report.is_partial else 1)


@contextmanager
def _logged(ctx: click.Context) -> Iterator[None]:
    """Log notes on files, and an error, with the time, and exit with 1 for that.

    To a terminal an error is printed as that of any command.
    """
    from indexes.errors import RetrieverError
    from retriever.advice import command_for

    try:
        with file_notes(log_note):
            yield
    except (RetrieverError, OSError) as error:
        if sys.stderr.isatty():
            raise
        for text in left_out(ctx):
            log_note(text)
        command = command_for(error)
        log(f"Error: {error}" + (f" Run: {command}" if command else ""))
        ctx.exit(1)


def log_note(text: str) -> None:
    """Log a note."""
    log(f"note: {text}")


def log(text: str) -> None:
    """Print a line to stderr, after the time unless that is a terminal."""
    from retriever.report.terminal.escape import one_line

    now = "" if sys.stderr.isatty() else f"{datetime.now().astimezone().isoformat('T', 'seconds')} "
    click.echo(f"{now}{one_line(text)}", err=True)


def log_part(part: Added | BuildReport | BuildFailure) -> None:
    """Log one step of an update."""
    from indexes.ingest.upsert import Added
    from retriever.updates import BuildFailure

    if isinstance(part, Added):
        for record in part.skipped[:LISTED]:
            log(f"skipped {record}")
        if part.skipped_total > LISTED:
            log(f"skipped {part.skipped_total - LISTED:,} more")
        if part.kept:
            log(f"kept {part.kept:,} that did not come: the ids of skipped records are unknown")
        log(_counts(part))
    elif isinstance(part, BuildFailure):
        log(f"{part.name}: {part.why}")
    else:
        for text in part.notes:
            log(f"{part.name}: note: {text}")
        log(
            f"{part.name}: {part.embedded:,} embedded in {part.embedding_seconds:.1f} s, "
            f"{part.already:,} already in the index, indexed in {part.indexing_seconds:.2f} s"
        )


def _counts(added: Added) -> str:
    return (
        f"{added.new:,} new, {added.changed:,} changed, {added.removed:,} removed, "
        f"{added.unchanged:,} unchanged, {added.skipped_total:,} skipped"
    )


def summary(library: Path, report: UpdateReport, documents: int) -> str:
    """Return one line on an update."""
    from indexes.errors import pluralize

    has = f"{library}/ has {pluralize(documents, 'document')}"
    return f"{_counts(report.added)}; {_fresh(report.built)}; {has}"


def _fresh(built: BuildAllReport) -> str:
    from indexes.errors import pluralize

    total = len(built.indexes) + len(built.failures)
    return f"{len(built.indexes):,} of {pluralize(total, 'index', 'indexes')} up to date"


def build_all(library: Path, as_json: bool) -> int:
    """Bring every index up to date, and print; return the exit code."""
    from retriever.collection import Collection
    from retriever.records import build_all_record

    with Collection.open(library) as collection, progress_bar("building") as progress:
        built = collection.build_all(progress=progress, tell=log_part)
    if as_json:
        print_json({"ok": built.ok, **build_all_record(built)})
    else:
        click.echo(_fresh(built))
    return 0 if built.ok else PARTIAL if built.is_partial else 1


@click.command(short_help="Update a collection whenever its sources change.")
@library
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@source_format("format_")
@reading
@click.option(
    "--quiet",
    type=click.FloatRange(min=0.01),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Update once nothing has changed for so long.",
)
@wait
def watch(
    library: Path,
    sources: tuple[Path, ...],
    format_: str | None,
    reading: dict[str, Any],
    quiet: float,
    wait: float,
) -> None:
    """Update the collection LIBRARY whenever SOURCES change, until stopped (Ctrl-C, SIGTERM).

    Does what `retriever update LIBRARY SOURCES` does, with folders and files: once at the start,
    and then when changes have been followed by a quiet time. A failure is logged, and tried again
    at the next change.
    """
    from indexes.errors import RetrieverError
    from retriever.collection import Collection

    changes = _changes(library, sources, quiet)
    how: dict[str, Any] = {"format": format_, **reading, "wait": wait}
    with Collection.open(library) as collection, _until_stopped(), file_notes(log_note):
        for _ in changes:
            try:
                report = collection.update(*sources, **how, tell=log_part)
                log(summary(library, report, len(collection)))
            except (RetrieverError, OSError) as error:
                log(f"Error: {error}")
    log("stopped")


def _changes(library: Path, sources: tuple[Path, ...], quiet: float) -> Iterator[object]:
    """Yield once when watching has begun, and then after each change and a quiet time."""
    from indexes.errors import InputError

    try:
        import watchfiles
    except ImportError:
        raise InputError(
            "Watching needs watchfiles, which is not installed. "
            "Run: pip install 'retriever-compare[watch]'"
        ) from None

    milliseconds = max(1, round(quiet * 1000))
    how: dict[str, Any] = {
        "watch_filter": _filter(library, sources),
        "recursive": any(source.is_dir() for source in sources),
        "step": milliseconds,
        "debounce": LONGEST_QUIET * milliseconds,
        "rust_timeout": milliseconds,
        "yield_on_timeout": True,
        "ignore_permission_denied": True,
    }

    def changes() -> Iterator[object]:
        # What changes during an update is noted meanwhile, and comes next.
        watched = enumerate(watchfiles.watch(*_folders(sources), **how))
        return (changed for number, changed in watched if changed or not number)

    return _again_if_it_fails(changes, quiet)


def _again_if_it_fails(changes: Callable[[], Iterator[object]], seconds: float) -> Iterator[object]:
    """Yield changes; start again where the watcher ends at a name that is not UTF-8."""
    while True:
        try:
            yield from changes()
        except RuntimeError as error:
            if UNDECODABLE not in str(error):
                raise
            log_note(f"watching starts again: {str(error).rstrip('.')}")
            time.sleep(seconds)
        else:
            return


# As long as changes go on, an update is put off for at most so many quiet times.
LONGEST_QUIET = 30


def _folders(sources: tuple[Path, ...]) -> set[Path]:
    """Return the folders to watch: of a file its own, and that of what it links to."""
    # Many programs save by putting another file in the place of one.
    found = {source for source in sources if source.is_dir()}
    for file in set(sources) - found:
        found |= {_in_place(file).parent, file.resolve().parent}
    return found


def _filter(library: Path, sources: tuple[Path, ...]) -> Callable[[object, str], bool]:
    """Return whether a change concerns the sources: not the collection, nor a hidden file."""
    own, roots = library.resolve(), [source.resolve() for source in sources]
    # A database has a log next to it.
    ends = ("", "-wal", "-journal")
    files = {f"{path}{end}" for path in (*roots, *map(_in_place, sources)) for end in ends}

    def concerns(_: object, changed: str) -> bool:
        path = _in_place(Path(changed))
        if path.is_relative_to(own):
            return False
        inside = (path.relative_to(root).parts for root in roots if path.is_relative_to(root))
        return str(path) in files or any(
            not any(part.startswith(".") for part in parts) for parts in inside
        )

    return concerns


def _in_place(path: Path) -> Path:
    """Return the absolute path of a file in its folder, also where it is a link."""
    return path.absolute().parent.resolve() / path.name


@contextmanager
def _until_stopped() -> Iterator[None]:
    """End the block at Ctrl-C or SIGTERM; what was committed is kept."""
    import signal

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
