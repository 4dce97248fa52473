"""The catalog's schema, in numbered steps: a released step is never edited again.

A step that changes an existing catalog runs inside a transaction: use `db.conn.execute`, since
`executescript` commits.
"""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

from indexes.catalog.sqlite.schema import FIRST, IMAGES, READINGS, SET, SOURCES, STALE

steps = Migrations(SET)


def apply_steps(connection: sqlite3.Connection) -> None:
    """Apply those steps that a catalog lacks."""
    steps.apply(Database(connection, execute_plugins=False))


def applied_steps(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the steps that a catalog has."""
    return {step.name for step in steps.applied(Database(connection, execute_plugins=False))}


def lacks_steps(connection: sqlite3.Connection) -> bool:
    """Return whether a catalog lacks a step."""
    return bool(steps.pending(Database(connection, execute_plugins=False)))


@steps(name=FIRST)
def documents_embeddings_indexes(db: Database) -> None:
    """Create the tables of a corpus, of the embeddings of it, and of the indexes over those."""
    db.executescript(
        """
        -- One row: counts, the next numbers, and a digest over all tables that say which files
        -- count. `generation` counts commits, `content` is the last that changed a document.
        CREATE TABLE state (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            generation INTEGER NOT NULL,
            content INTEGER NOT NULL,
            documents INTEGER NOT NULL,
            passages INTEGER NOT NULL,
            next_document INTEGER NOT NULL,
            next_key INTEGER NOT NULL,  -- a key is never used again, and its text never changes
            split TEXT NOT NULL,        -- JSON: how documents are split; null: not at all
            digest BLOB NOT NULL
        ) STRICT;
        INSERT INTO state VALUES (1, 0, 0, 0, 0, 1, 1, 'null', x'');

        -- Without the texts, so that a filter reads small pages only.
        CREATE TABLE documents (
            document INTEGER PRIMARY KEY,
            doc_id TEXT NOT NULL UNIQUE,
            checksum BLOB NOT NULL,     -- of title and text: decides what is embedded again
            metadata TEXT NOT NULL,     -- JSON
            seal INTEGER NOT NULL       -- checksum of this row
        ) STRICT;
        CREATE TABLE texts (
            document INTEGER PRIMARY KEY,
            title TEXT NOT NULL,
            text TEXT NOT NULL
        ) STRICT;

        -- What is embedded.
        CREATE TABLE passages (
            key INTEGER PRIMARY KEY,
            document INTEGER NOT NULL,
            start INTEGER NOT NULL,     -- characters of the document's text
            stop INTEGER NOT NULL,
            seal INTEGER NOT NULL       -- checksum of this row
        ) STRICT;
        CREATE INDEX passages_of_a_document ON passages (document);

        -- Keys of deleted passages that a file may still hold.
        CREATE TABLE tombstones (key INTEGER PRIMARY KEY) STRICT;

        -- Metadata fields that are indexed, and their values; a list has a row for each element.
        CREATE TABLE fields (
            field INTEGER PRIMARY KEY,
            path TEXT NOT NULL UNIQUE   -- JSON: a list of names, outermost first
        ) STRICT;
        CREATE TABLE field_values (
            field INTEGER NOT NULL,
            kind INTEGER NOT NULL,      -- see filter_sql.py
            value ANY NOT NULL,
            document INTEGER NOT NULL,
            PRIMARY KEY (field, kind, value, document)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX fields_of_a_document ON field_values (document);

        -- Sources that were added completely, by a fingerprint of their bytes: as long as no
        -- document has changed since (`content`), the same bytes bring nothing new.
        CREATE TABLE sources (
            fingerprint BLOB PRIMARY KEY,
            content INTEGER NOT NULL,
            documents INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE embeddings (
            embedding INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            embedder TEXT NOT NULL,     -- JSON: how to load it again
            model TEXT NOT NULL,        -- its name for people
            fingerprint TEXT NOT NULL,
            dim INTEGER NOT NULL,
            dtype TEXT NOT NULL,
            fitted TEXT,                -- file of what was fitted on the corpus; NULL: nothing
            fitted_size INTEGER NOT NULL DEFAULT 0,
            fitted_checksum TEXT NOT NULL DEFAULT '',
            facts TEXT NOT NULL DEFAULT '{}',  -- JSON: its attributes, for people
            replaces INTEGER            -- the embedding that it replaces once it is complete
        ) STRICT;

        -- An immutable file of one embedding's vectors. It covers every key from first_key to
        -- before stop_key: a key without a row has no vector (a tombstone, or nothing to embed).
        CREATE TABLE shards (
            shard INTEGER PRIMARY KEY AUTOINCREMENT,
            embedding INTEGER NOT NULL REFERENCES embeddings,
            first_key INTEGER NOT NULL,
            stop_key INTEGER NOT NULL CHECK (stop_key > first_key),
            rows INTEGER NOT NULL,
            present BLOB,               -- bitmap of the keys with a row; NULL: all of them
            file TEXT,                  -- NULL: no rows
            size INTEGER NOT NULL,
            checksum TEXT NOT NULL,
            seconds REAL NOT NULL,      -- spent in the embedder
            report TEXT NOT NULL        -- JSON: counts from the embedder
        ) STRICT;
        CREATE INDEX shards_of_an_embedding ON shards (embedding, first_key);

        -- A named way to search. Its file covers every key before stop_key; the shards from there
        -- on are searched exactly.
        CREATE TABLE indexes (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,         -- flat, ann, lexical, combined
            embedding INTEGER REFERENCES embeddings,
            recipe TEXT NOT NULL,       -- JSON: its definition
            generation INTEGER NOT NULL,-- of its file
            stop_key INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            file TEXT,                  -- NULL: searched straight from the shards
            size INTEGER NOT NULL,
            checksum TEXT NOT NULL,
            seconds REAL NOT NULL,      -- spent building
            report TEXT NOT NULL DEFAULT '{}'  -- JSON: counts from the build
        ) STRICT;
        """
    )


@steps(name=STALE)
def stale_passages(db: Database) -> None:
    """Create the table of passages of earlier texts that answer until the new text is embedded."""
    # Of edited documents; see stale.py. A holder is an embedding, or minus the number of a BM25
    # index. Every key is a tombstone.
    db.conn.execute(
        """
        CREATE TABLE stale (
            key INTEGER NOT NULL,
            holder INTEGER NOT NULL,
            document INTEGER NOT NULL,
            PRIMARY KEY (key, holder)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.conn.execute("CREATE INDEX stale_of_a_document ON stale (document)")


@steps(name=IMAGES)
def images(db: Database) -> None:
    """Create the table of the images of documents."""
    # Each is also a passage, which starts and stops at -1; see images.py.
    db.conn.execute(
        """
        CREATE TABLE images (
            document INTEGER PRIMARY KEY,
            source TEXT NOT NULL,       -- what was given, for messages
            path TEXT NOT NULL,         -- absolute; of a copy, below the collection's folder
            checksum TEXT NOT NULL,     -- SHA-256 of its bytes: decides what is embedded again
            copied INTEGER NOT NULL,
            seal INTEGER NOT NULL       -- checksum of this row
        ) STRICT
        """
    )


@steps(name=SOURCES)
def sources_of_documents(db: Database) -> None:
    """Create the tables of the sources that documents came from; see origins.py."""
    db.conn.execute(
        """
        CREATE TABLE origins (
            origin INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE   -- an absolute path, or what the user calls it
        ) STRICT
        """
    )
    db.conn.execute(
        """
        CREATE TABLE members (
            origin INTEGER NOT NULL REFERENCES origins,
            block INTEGER NOT NULL,     -- of 8,192 document numbers
            bits BLOB NOT NULL,         -- one a number, compressed by zlib
            seal INTEGER NOT NULL,      -- checksum of this row
            PRIMARY KEY (origin, block)
        ) STRICT, WITHOUT ROWID
        """
    )


@steps(name=READINGS)
def readings_of_sources(db: Database) -> None:
    """Create the table of how sources were read last; see origins.py."""
    # By name: a source that had no document for a night is read in the same way when it has some.
    db.conn.execute(
        """
        CREATE TABLE readings (
            name TEXT PRIMARY KEY,      -- as in origins
            options TEXT NOT NULL       -- JSON, for the caller
        ) STRICT, WITHOUT ROWID
        """
    )
