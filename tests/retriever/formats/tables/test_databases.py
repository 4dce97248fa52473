"""SQLite databases of others: tables and queries, never written to."""

import re
import sqlite3

import pytest

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, InputError, UnknownNameError
from retriever import Collection
from retriever.formats import Reading, read_documents, read_records
from retriever.formats.tables import databases
from tests.support.sources.records import write
from tests.support.sources.tables import write_sqlite
from tests.support.toy import exactly, refused

TABLE = {"id": [1, 2], "text": ["x", "y"], "year": [2020, None]}


@pytest.fixture
def shop(tmp_path):
    """A database of one table."""
    return write_sqlite(tmp_path / "shop ?.db", TABLE)


def read(path, **how):
    return list(read_documents(path, reading=Reading.of(**how)))


def test_the_only_table_is_read_and_nulls_are_left_out(shop):
    assert list(read_records(shop)) == [
        (f"{shop}:row 1", Document("1", "x", metadata={"year": 2020})),
        (f"{shop}:row 2", Document("2", "y")),
    ]


def test_one_of_several_tables_has_to_be_chosen(shop):
    write_sqlite(shop, {"id": [9], "text": ["other"]}, 'a "b')
    several = r"""has several tables: 'a "b', 'items'\. Choose one with --table, or --sql\."""
    refused(InputError, several, read, shop)
    assert read(shop, table='a "b') == [Document("9", "other")]
    refused(UnknownNameError, "No table 'no' in", read, shop, table="no")


def test_a_query_selects_and_names_columns(shop):
    sql = (
        "WITH r AS (SELECT id, upper(text) AS t FROM items) SELECT id, t AS text FROM r WHERE id>1"
    )
    assert read(shop, sql=sql) == [Document("2", "Y")]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM items",
        "INSERT INTO items VALUES (3, 'z', 1) RETURNING id, text",
        "ATTACH 'new.db' AS other",
        "VACUUM INTO 'new.db'",
        "PRAGMA journal_mode = WAL",
        "CREATE TEMP TABLE t AS SELECT * FROM items",
        "SELECT id FROM nothing",
        "SELECT 1; SELECT 2",
        "nonsense",
        "",
    ],
)
def test_what_is_not_a_query_of_rows_is_refused_and_nothing_is_written(shop, sql, monkeypatch):
    monkeypatch.chdir(shop.parent)
    before = shop.read_bytes()
    refused(InputError, r"SQLite refuses the query|The SQL returns no rows", read, shop, sql=sql)
    assert shop.read_bytes() == before
    assert [path.name for path in shop.parent.iterdir()] == [shop.name]


def test_rows_in_the_log_of_an_open_database_are_read_each_time(tmp_path):
    path = tmp_path / "a.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE items (id, text)")
    with Collection.create(tmp_path / "c") as library:
        for number in range(3):
            writer.execute("INSERT INTO items VALUES (?, 'x')", (number,))
            assert library.add(path).new == 1
    writer.close()


def test_a_text_that_is_not_utf8_is_bad_and_reading_goes_on(tmp_path):
    path = write_sqlite(tmp_path / "a.db", {"id": [1], "text": ["x"]})
    database = sqlite3.connect(path)
    database.execute("INSERT INTO items VALUES (2, CAST(x'636166e9' AS TEXT))")
    database.execute("INSERT INTO items VALUES (3, 'z')")
    database.commit()
    database.close()
    reason = "'text' is bytes; expected text"
    bad = BadRecord(f"{path}:row 2", reason)
    assert read(path) == [Document("1", "x"), bad, Document("3", "z")]


def test_files_that_are_no_databases_are_refused(tmp_path):
    refused(
        FileFormatError,
        "should be sqlite, but does not start like one",
        read,
        write(tmp_path / "a.db", "x"),
    )
    damaged = write(tmp_path / "b.db", b"SQLite format 3\0" + b"x" * 5_000)
    refused(FileFormatError, "cannot be read as an SQLite database: ", read, damaged)
    empty = tmp_path / "c.db"
    sqlite3.connect(empty).execute("PRAGMA user_version = 1").connection.close()
    refused(FileFormatError, "has no tables", read, empty)
    refused(
        InputError,
        "An SQLite database is read",
        list,
        read_documents("-", format="sqlite"),
    )


@pytest.mark.parametrize("sql", [None, "select * from items"])
def test_a_database_that_another_program_writes_to_is_said_to_be_busy(shop, monkeypatch, sql):
    monkeypatch.setattr(databases, "WAIT_SECONDS", 0.01)
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    try:
        busy = f"{shop} is being written to by another program. Try again when it has finished."
        refused(FileFormatError, exactly(busy), read, shop, sql=sql)
    finally:
        writer.close()


def test_several_statements_are_refused_in_one_sentence(shop):
    sql = "select * from items; drop table items"
    says = f"{shop}: SQLite refuses the query: You can only execute one statement at a time. It was"
    refused(InputError, re.escape(says), read, shop, sql=sql)
