"""The catalog's schema, in numbered steps: a step that was released is never edited again."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

__all__ = ["NAMES", "steps"]

steps = Migrations("retriever")

FIRST = "0001_documents_embeddings_indexes"

# A step that a catalog has and this list has not comes from a newer version.
NAMES = frozenset({FIRST})


@steps(name=FIRST)
def documents_embeddings_indexes(db: Database) -> None:
    """The first layout: a corpus, the embeddings of it, and the indexes over those."""
    db.executescript(
        """
        -- Counts the commits that change what a search can see; readers compare it with their own.
        CREATE TABLE generation (number INTEGER NOT NULL) STRICT;
        INSERT INTO generation VALUES (0);

        CREATE TABLE documents (
            document INTEGER PRIMARY KEY AUTOINCREMENT,
            doc_id TEXT NOT NULL UNIQUE,
            title TEXT NOT NULL,
            text TEXT NOT NULL,
            metadata TEXT NOT NULL,   -- JSON
            checksum BLOB NOT NULL    -- of title and text: what has to be embedded again
        ) STRICT;

        -- What is embedded. AUTOINCREMENT: a key is never used again, and its text never changes.
        CREATE TABLE passages (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            document INTEGER NOT NULL REFERENCES documents,
            start INTEGER NOT NULL,   -- characters of the document's text
            stop INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX passages_of_a_document ON passages (document);

        -- Keys that a shard may hold, but no document any more.
        CREATE TABLE tombstones (key INTEGER PRIMARY KEY) STRICT;

        CREATE TABLE embeddings (
            embedding INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            embedder TEXT NOT NULL,     -- JSON: how to load it again
            model TEXT NOT NULL,        -- what people call it
            fingerprint TEXT NOT NULL,
            dim INTEGER NOT NULL,
            dtype TEXT NOT NULL
        ) STRICT;

        -- An immutable file of one embedding's vectors. It answers for every key from first_key to
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
            report TEXT NOT NULL        -- JSON: counts that the embedder gave
        ) STRICT;
        CREATE INDEX shards_of_an_embedding ON shards (embedding, first_key);

        -- A search structure over an embedding. It has seen every key before stop_key; the shards
        -- from there on are searched exactly.
        CREATE TABLE indexes (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL,         -- flat, ann
            embedding INTEGER REFERENCES embeddings,
            recipe TEXT NOT NULL,       -- JSON: how to build it again
            generation INTEGER NOT NULL,-- of its file
            stop_key INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            file TEXT,                  -- NULL: searched straight from the shards
            size INTEGER NOT NULL,
            checksum TEXT NOT NULL,
            seconds REAL NOT NULL       -- spent building the structure
        ) STRICT;
        """
    )
