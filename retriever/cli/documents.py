"""`add`, `show`, `delete`: commands on documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import as_json, files, library, reading, where
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from indexes.ingest.upsert import Added

LISTED = 10
# Of the files that are skipped for one reason.
NAMED = 3


@click.command(short_help="Add documents to a collection; create it if needed.")
@library
@click.argument("sources", nargs=-1)
@click.option(
    "--dataset", metavar="NAME", help="Documents of an ir_datasets name, such as beir/scifact."
)
@files
@reading
@click.option("--skip-bad", is_flag=True, help="Skip and list invalid records.")
@click.option(
    "--sync",
    is_flag=True,
    help="SOURCES have all of their documents: delete those that are gone from them.",
)
@click.option(
    "--source", metavar="NAME", help="Know the sources by this name; paths have one without it."
)
@click.option(
    "--allow-empty",
    is_flag=True,
    help="With --sync: delete all documents of a source that is missing or has none any more.",
)
@click.option(
    "--split",
    metavar="WORDS/OVERLAP",
    help="For a new collection: split long documents into passages, such as 200/50 or "
    "sentences:200/50.",
)
@click.option(
    "--index-field",
    "fields",
    multiple=True,
    metavar="NAME",
    help="Index a metadata field for fast filters.",
)
@as_json
def add(
    library: Path,
    sources: tuple[str, ...],
    dataset: str | None,
    files: dict[str, Any],
    reading: dict[str, Any],
    skip_bad: bool,
    sync: bool,
    source: str | None,
    allow_empty: bool,
    split: str | None,
    fields: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add documents to the collection LIBRARY; create it if needed.

    SOURCES are tables (BEIR and plain JSON lines, JSON arrays, CSV, TSV, Parquet, .xlsx, SQLite);
    texts (.txt, .md, .rst, .html, .pdf, .docx and others); images (.jpg, .jpeg, .png, .webp);
    folders of texts and images, with metadata from the front matter of Markdown; or - for standard
    input. All but images, .xlsx and SQLite may be gzipped. Columns that are not named are guessed,
    and a note says how; a source that came before is read with the options of that time, if none
    are given. A file that is no document is skipped with the reason; --format text reads
    every text in a folder. A document with a known id is updated; an id may occur once per call.
    Work is committed every few seconds: run an interrupted command again to resume.
    Without SOURCES, --index-field indexes fields of the existing documents.
    """
    from indexes.catalog.filters.field_names import field_path
    from indexes.store import is_free
    from retriever.collection import Collection
    from retriever.formats import Reading, check_source
    from retriever.splitting import parse_split

    how = Reading.of(**reading)
    if dataset and (sources or files["format"] or how.given):
        other = f"--{how.given[0]}" if how.given else "--format"
        raise click.UsageError(f"Give either SOURCES or --dataset NAME, without {other}.")
    if (
        not sources
        and not dataset
        and (not fields or split or any(files.values()) or how.given or skip_bad)
    ):
        raise click.UsageError("Give SOURCES to add; only --index-field NAME works without.")
    # Nothing is created for a source that cannot be read.
    for one in sources if is_free(library) and not allow_empty else ():
        check_source(one, format=files["format"], reading=how)
    for name in fields:
        field_path(name)
    splitter = parse_split(split) if split else None
    if not sources and not dataset:
        _index_fields(library, fields, as_json)
        return
    given: Sequence[Any] = sources
    if dataset:
        from retriever.datasets.ir_datasets_loader import load_named

        given = [load_named(dataset).documents()]
    with Collection.open_or_create(library, split=splitter) as collection:
        if fields:
            collection.index_fields(*fields)
        with progress_bar("adding documents") as progress:
            added = collection.add(
                *given,
                **files,
                **reading,
                skip_bad=skip_bad,
                sync=sync,
                source=source or dataset,
                allow_empty=allow_empty,
                progress=progress,
            )
        documents = len(collection)
        notes = collection.field_notes(*fields)
    note(*notes)
    _report(library, added, documents, as_json)


def _index_fields(library: Path, fields: Sequence[str], as_json: bool) -> None:
    from indexes.ingest.upsert import Added
    from retriever.collection import Collection

    with Collection.open(library) as collection:
        collection.index_fields(*fields)
        documents = len(collection)
        notes = collection.field_notes(*fields)
    note(*notes)
    _report(library, Added(), documents, as_json, f"{', '.join(fields)} indexed")


def _report(library: Path, added: Added, documents: int, as_json: bool, done: str = "") -> None:
    from indexes.errors import pluralize
    from retriever.records import added_record

    note(*skipped_notes(added))
    if as_json:
        print_json(added_record(added, documents))
        return
    counts = f"{added.new:,} new, {added.changed:,} changed, {added.unchanged:,} unchanged"
    if added.removed:
        counts += f", {added.removed:,} removed"
    if added.kept:
        note(f"kept {added.kept:,} that did not come: the ids of skipped records are unknown")
    done = done or f"{counts}, {added.skipped_total:,} skipped"
    click.echo(f"{done}; {library}/ has {pluralize(documents, 'document')}")


def skipped_notes(added: Added) -> list[str]:
    """Return what to say about skipped records, and about skipped files, together by reason."""
    from indexes.errors import SkippedFile, first_of, pluralize

    files: dict[str, list[str]] = {}
    notes: list[str] = []
    for one in added.skipped:
        if isinstance(one, SkippedFile):
            files.setdefault(one.reason, []).append(one.place)
        elif len(notes) < LISTED:
            notes.append(f"skipped {one}")
    said = len(notes)
    for reason, places in [*files.items()][:LISTED]:
        what = f"{pluralize(len(places), 'file')}, " if len(places) > 1 else ""
        notes.append(f"skipped {what}{first_of(places, NAMED)}: {reason}")
        said += len(places)
    if added.skipped_total > said:
        notes.append(f"skipped {added.skipped_total - said:,} more")
    return notes


@click.command(short_help="Show documents by their ids.")
@library
@click.argument("doc_ids", nargs=-1, required=True)
@as_json
def show(library: Path, doc_ids: tuple[str, ...], as_json: bool) -> None:
    """Show the documents DOC_IDS of the collection LIBRARY."""
    from retriever.collection import Collection
    from retriever.records import document_record
    from retriever.report.terminal.escape import one_line, printable

    with Collection.open(library) as collection:
        for doc_id in doc_ids:
            document = collection.document(doc_id)
            if as_json:
                print_json(document_record(document))
            else:
                click.echo(f"{one_line(document.doc_id)}  {one_line(document.title)}".rstrip())
                if document.image:
                    click.echo(one_line(f"image: {document.image.path}"))
                for name, value in document.metadata.items():
                    click.echo(one_line(f"{name}: {value}"))
                click.echo(f"\n{printable(document.text)}\n" if document.text else "")


@click.command(short_help="Delete documents from a collection and all its indexes.")
@library
@click.argument("doc_ids", nargs=-1)
@click.option("--ids", "file", metavar="FILE", help="File with one id per line; - for stdin.")
@where
def delete(
    library: Path, doc_ids: tuple[str, ...], file: str | None, where: dict[str, Any] | None
) -> None:
    """Delete the documents DOC_IDS from the collection LIBRARY and from all its indexes.

    --ids FILE or --where FILTER select documents instead. If an id is unknown, none is deleted.
    """
    from indexes.errors import pluralize
    from retriever.collection import Collection
    from retriever.formats import read_ids

    if [bool(doc_ids), file is not None, where is not None].count(True) != 1:
        raise click.UsageError("Give one of these: DOC_IDS, --ids FILE, --where FILTER.")
    with Collection.open(library) as collection:
        ids = read_ids(file) if file is not None else list(doc_ids)
        notes = collection.filter_notes(where) if where else ()
        removed = collection.delete(None if where else ids, where=where)
        gone = pluralize(removed, "document")
        click.echo(f"deleted {gone}; {library}/ has {len(collection):,}")
    note(*notes)
