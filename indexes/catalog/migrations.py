"""The catalog's schema, in numbered steps: a step that was released is never edited again."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from indexes.catalog.row_checksums import document_row_checksum, passage_row_checksum

steps = Migrations("retriever")

FIRST = "0001_documents_embeddings_indexes"
SECOND = "0002_sealed_rows_passages_fields"

THIRD = "0003_words_and_combinations"
FOURTH = "0004_fitted_parameters"

# A step that a catalog has and this list has not comes from a newer version.
NAMES = frozenset({FIRST, SECOND, THIRD, FOURTH})


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


@steps(name=SECOND)
def sealed_rows_passages_fields(db: Database) -> None:
    """Rows that notice damage, texts apart from metadata, split documents, indexed fields."""
    for table in _SECOND_TABLES:
        db.conn.execute(table)
    _move_documents(db)
    _move_passages(db)
    db.conn.execute(
        """
        INSERT INTO state SELECT 1, number, number,
            (SELECT COUNT(*) FROM documents_2), (SELECT COUNT(*) FROM passages_2),
            1 + COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'documents'), 0),
            1 + COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'passages'), 0),
            'null', x''
        FROM generation
        """
    )
    for statement in _SECOND_NAMES:
        db.conn.execute(statement)


_SECOND_TABLES = (
    # One row: counts, the numbers that come next, and a digest over all the tables that say which
    # files count. `generation` counts commits, `content` is the last that changed a document.
    """
    CREATE TABLE state (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        generation INTEGER NOT NULL,
        content INTEGER NOT NULL,
        documents INTEGER NOT NULL,
        passages INTEGER NOT NULL,
        next_document INTEGER NOT NULL,
        next_key INTEGER NOT NULL,  -- a key is never used again, and its text never changes
        split TEXT NOT NULL,        -- JSON: how documents are cut into passages; null: not at all
        digest BLOB NOT NULL
    ) STRICT
    """,
    # Without the texts, so that a filter reads small pages only.
    """
    CREATE TABLE documents_2 (
        document INTEGER PRIMARY KEY,
        doc_id TEXT NOT NULL UNIQUE,
        checksum BLOB NOT NULL,     -- of title and text: what has to be embedded again
        metadata TEXT NOT NULL,     -- JSON
        seal INTEGER NOT NULL       -- of this row
    ) STRICT
    """,
    """
    CREATE TABLE texts (
        document INTEGER PRIMARY KEY,
        title TEXT NOT NULL,
        text TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE passages_2 (
        key INTEGER PRIMARY KEY,
        document INTEGER NOT NULL,
        start INTEGER NOT NULL,     -- characters of the document's text
        stop INTEGER NOT NULL,
        seal INTEGER NOT NULL       -- of this row
    ) STRICT
    """,
    # Metadata fields that are indexed, and their values; a list has a row for each of its elements.
    """
    CREATE TABLE fields (
        field INTEGER PRIMARY KEY,
        path TEXT NOT NULL UNIQUE   -- JSON: a list of names, outermost first
    ) STRICT
    """,
    """
    CREATE TABLE field_values (
        field INTEGER NOT NULL,
        kind INTEGER NOT NULL,      -- see conditions.py
        value ANY NOT NULL,
        document INTEGER NOT NULL,
        PRIMARY KEY (field, kind, value, document)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX fields_of_a_document ON field_values (document)",
    # Sources that were taken in whole, by their bytes: while no document has changed since then
    # (`content`), the same bytes can bring nothing new.
    """
    CREATE TABLE sources (
        fingerprint BLOB PRIMARY KEY,
        content INTEGER NOT NULL,
        documents INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)

_SECOND_NAMES = (
    "DROP TABLE passages",
    "DROP TABLE documents",
    "DROP TABLE generation",
    "ALTER TABLE documents_2 RENAME TO documents",
    "ALTER TABLE passages_2 RENAME TO passages",
    "CREATE INDEX passages_of_a_document ON passages (document)",
)


def _move_documents(db: Database) -> None:
    rows = db.conn.execute("SELECT document, doc_id, checksum, metadata FROM documents")
    db.conn.executemany(
        "INSERT INTO documents_2 VALUES (?, ?, ?, ?, ?)",
        ((*row, document_row_checksum(*row)) for row in rows),
    )
    db.conn.execute("INSERT INTO texts SELECT document, title, text FROM documents")


def _move_passages(db: Database) -> None:
    rows = db.conn.execute("SELECT key, document, start, stop FROM passages")
    db.conn.executemany(
        "INSERT INTO passages_2 VALUES (?, ?, ?, ?, ?)",
        ((*row, passage_row_checksum(*row)) for row in rows),
    )


@steps(name=THIRD)
def words_and_combinations(db: Database) -> None:
    """Indexes of the kinds `lexical` and `combined`, which older versions do not know."""
    db.conn.execute(
        # JSON: what was counted while the index was built.
        "ALTER TABLE indexes ADD COLUMN report TEXT NOT NULL DEFAULT '{}'"
    )


@steps(name=FOURTH)
def fitted_parameters(db: Database) -> None:
    """Embeddings that depend on the corpus, with the file of what was fitted on it."""
    for column in (
        "fitted TEXT",  # its file; NULL: nothing was fitted
        "fitted_size INTEGER NOT NULL DEFAULT 0",
        "fitted_checksum TEXT NOT NULL DEFAULT ''",
        "facts TEXT NOT NULL DEFAULT '{}'",  # JSON: what its owner tells people of it
        "replaces INTEGER",  # the embedding that it will stand for once it is whole
    ):
        db.conn.execute(f"ALTER TABLE embeddings ADD COLUMN {column}")
