"""Catalogs created, opened, and brought up to this version's schema."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from indexes.catalog.sqlite import schema
from indexes.catalog.sqlite.database import Catalog
from indexes.errors import (
    CollectionError,
    DamageError,
    LockedError,
    NewerFormatError,
    NextStep,
    NotACollectionError,
)
from indexes.storage.files import LOCK_FILES, sync, writer_lock

# "RTRV" in ASCII, in SQLite's header: distinguishes our file from any other database.
APPLICATION_ID = 0x52545256
# Suffix of a catalog that is being created: a crash leaves no partial one under its final name.
UNFINISHED = ".creating"
# Seconds to wait for another process that updates the same catalog.
PATIENCE = 2.0
# Where nothing is there yet, another process that writes is about to have made all of it.
CREATION_PATIENCE = 30.0


def create_catalog(path: Path, split: str = "null") -> Catalog:
    """Create an empty catalog at `path`; `split` is the JSON of how documents are split."""
    _check_name(path)
    created_meanwhile = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # Two processes may create the same one.
        with writer_lock(path.parent, CREATION_PATIENCE):
            created_meanwhile = path.exists()
            if not created_meanwhile:
                _create(path, split)
    except LockedError:
        raise
    except CollectionError as error:
        raise CollectionError(f"Cannot create a collection in {path.parent}/: {error}") from None
    except (OSError, sqlite3.Error) as error:
        raise CollectionError(
            f"Cannot create a collection in {path.parent}/: {error}. "
            "Choose a folder that you may write to."
        ) from None
    if created_meanwhile:
        raise CollectionError(
            f"Another process has just created a collection in {path.parent}/. Open it."
        )
    return Catalog(path)


def _create(path: Path, split: str) -> None:
    unfinished = path.with_name(path.name + UNFINISHED)
    for leftover in path.parent.glob(f"{unfinished.name}*"):
        leftover.unlink()
    unfinished.touch()  # a catalog never creates its file
    _set_up(Catalog(unfinished), split)
    # Closing does not report failures: the log was moved into the file before.
    unfinished.with_name(f"{unfinished.name}-wal").unlink(missing_ok=True)
    unfinished.replace(path)
    sync(path.parent)
    sync(path.parent.parent)


def _set_up(catalog: Catalog, split: str) -> None:
    try:
        catalog.execute("PRAGMA journal_mode = WAL")
        catalog.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        from indexes.catalog.sqlite import migrations

        migrations.apply_steps(catalog.database.conn)
        with catalog.transaction():
            catalog.execute("UPDATE state SET split = ?", [split])
        if catalog.value("PRAGMA wal_checkpoint(TRUNCATE)"):
            raise CollectionError("its log cannot be moved into the file")
    finally:
        catalog.close()


def open_catalog(path: Path) -> Catalog:
    """Open the catalog at `path`, brought up to this version's schema.

    Raises:
        NotACollectionError: there is no such file, or it is another program's database.
        NewerFormatError: a newer version of Retriever has written it.
        DamageError: SQLite cannot read it.
    """
    _check_exists(path)
    catalog = Catalog(path)
    try:
        _check_version(catalog)
    except Exception as error:
        catalog.close()
        if isinstance(error, CollectionError):
            raise
        if isinstance(error, sqlite3.Error):
            raise catalog.translate(error) from None
        # sqlite-utils failed on a table of schema steps that it did not write.
        raise catalog.damage(f"its schema cannot be read ({error})") from None
    return catalog


def _check_version(catalog: Catalog) -> None:
    path = catalog.path
    if not path.stat().st_size:
        raise catalog.damage("it is empty")
    if catalog.value("PRAGMA application_id") != APPLICATION_ID:
        raise NotACollectionError(
            f"{path} is not a collection's catalog: another program has written it."
        )
    if _has_all_steps(catalog):
        return
    # Only here: sqlite-utils imports pandas where it is installed, which takes most of a second.
    from indexes.catalog.sqlite import migrations

    applied = migrations.applied_steps(catalog.database.conn)
    if newer := sorted(applied - schema.NAMES):
        raise NewerFormatError(
            f"{path.parent}/ was written by a newer Retriever (schema step {newer[-1]}). "
            "Upgrade to it.",
            next_step=NextStep("upgrade", path.parent),
        )
    if migrations.lacks_steps(catalog.database.conn):
        _bring_up_to_date(catalog)


def _has_all_steps(catalog: Catalog) -> bool:
    """Return whether the schema is this version's; False also where that cannot be read."""
    sql = "SELECT name FROM _sqlite_migrations WHERE migration_set = ?"
    try:
        return frozenset(name for (name,) in catalog.rows(sql, [schema.SET])) == schema.NAMES
    except DamageError:
        return False


def _bring_up_to_date(catalog: Catalog) -> None:
    """Apply the schema's newer steps, in one transaction."""
    folder = catalog.path.parent
    if not os.access(folder, os.W_OK):
        raise CollectionError(
            f"{folder}/ was written by an older Retriever and must be brought up to date once. "
            "Open it where it can be written to.",
            next_step=NextStep("info", folder),
        )
    # Two readers may open it at once: one updates it, and the other finds it updated.
    with writer_lock(folder, PATIENCE), catalog.as_writer():
        catalog.execute("PRAGMA foreign_keys = OFF")  # tables are replaced; no effect inside
        from indexes.catalog.sqlite import migrations

        with catalog.transaction():
            migrations.apply_steps(catalog.database.conn)
        catalog.execute("PRAGMA foreign_keys = ON")


def _check_name(path: Path) -> None:
    """Raise a CollectionError if a path has NUL, or is not UTF-8, as tantivy opens no such file."""
    if "\0" in str(path):
        raise CollectionError(f"{str(path.parent)!r} holds a NUL character, which no path has.")
    try:
        os.fsencode(path.absolute()).decode()
    except UnicodeError:
        raise CollectionError(
            f"The full path of {path.parent}/ is not UTF-8, as a collection's must be. "
            "Rename that folder, or the one around it."
        ) from None


def may_create(path: Path) -> bool:
    """Return whether the folder of a catalog is absent, empty, or left so by a crash."""
    folder = path.parent
    try:
        return not folder.exists() or all(
            one.name.startswith(path.name + UNFINISHED) or one.name in LOCK_FILES
            for one in folder.iterdir()
        )
    except NotADirectoryError:
        return False
    except OSError as error:
        raise CollectionError(f"{folder} cannot be used: {error.strerror}.") from None


def _check_exists(path: Path) -> None:
    _check_name(path)
    folder = path.parent
    try:
        path.stat()
    except PermissionError as error:
        raise CollectionError(f"{path} cannot be read: {error.strerror}.") from None
    except OSError:
        pass
    if folder.is_file():
        raise NotACollectionError(
            f"{folder} is a file; expected the folder of a collection. "
            "On the command line, it comes before other files."
        )
    if not path.is_file():
        none = f"{folder}/ is not a collection: it has no {path.name}"
        if not may_create(path):
            raise NotACollectionError(
                f"{none}, but other files. Give the folder of a collection, or a new one."
            )
        raise NotACollectionError(
            f"{none}. Add documents to make one.",
            next_step=NextStep("add", folder),
        )
