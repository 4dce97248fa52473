"""SQLite's errors as those of a collection: a damaged catalog, or one that cannot be used now."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from indexes.errors import CollectionError, DamageError, InputError, NextStep, short_repr

# SQLite's result codes for an intact file that cannot be used now.
TEMPORARY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_TOOBIG,
}
# Those of a file system that cannot do what several processes need.
SHARING = {
    sqlite3.SQLITE_IOERR_LOCK,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_PROTOCOL,
}


def damage(path: Path, what: str) -> DamageError:
    """Return the error for a catalog that is not what was committed."""
    return DamageError(
        f"{path} is damaged: {what}. Restore it from a backup, or verify the collection "
        "to see all problems.",
        next_step=NextStep("verify", path.parent),
    )


def translated(error: sqlite3.Error | UnicodeError, path: Path, log: Path) -> Exception:
    """Return SQLite's error as one of ours; one that only a bug of ours causes is unchanged.

    `log` is the write-ahead log of the catalog at `path`.
    """
    if isinstance(error, UnicodeEncodeError):  # a parameter, such as the name of an index
        return InputError(
            f"{short_repr(error.object)} is not valid Unicode at character {error.start}: a lone "
            "surrogate. Nothing in a collection is named so; expected text in UTF-8."
        )
    if isinstance(error, UnicodeError):
        return damage(path, "a text is not valid UTF-8")
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in TEMPORARY:
        if path.exists() and not os.access(path, os.R_OK):
            return CollectionError(
                f"{path} cannot be read: permission denied. Run as a user who may read it."
            )
        return CollectionError(f"{path} cannot be used: {error}. {_advice(error, path, log)}")
    # Our statements fit our schema: where SQLite cannot run one, the schema was changed, or a
    # value is not what we wrote.
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return damage(path, str(error))
    return error


def _advice(error: sqlite3.Error, path: Path, log: Path) -> str:
    """Return what to do about an error of an intact file."""
    if error.sqlite_errorcode in SHARING:
        return (
            "Its file system may be one that cannot share memory or locks between processes, "
            "such as a network file system. Copy the folder to a local disk, and open the copy."
        )
    if not os.access(path.parent, os.W_OK) and log.exists():
        return (
            f"Its folder cannot be written to, and its latest changes are in {log.name}. "
            "Copy the folder, with that file, to where you may write, and open the copy."
        )
    return "Check that the disk has room and that you may write there, then try again."
