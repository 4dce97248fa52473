"""A catalog in Datasette: pages, searches in SQL, and what a read-only reader must respect."""

import asyncio
import contextlib
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("datasette", reason="the extra datasette is not installed")

from datasette.plugins import pm

from retriever import Document
from retriever.integrations.datasette import SearchFunction, make_app
from tests.support.commands import succeed


@pytest.fixture
def ask(library):
    """Return what a page of the library's Datasette answers, as JSON or text."""
    before = set(pm.get_plugins())
    app = make_app(library)

    def get(path, **params):
        async def run():
            await app.invoke_startup()
            return await app.client.get(path, params=params)

        answer = asyncio.run(run())
        assert answer.status_code == 200, answer.text
        return answer.json() if ".json" in path else answer.text

    yield get
    for database in app.databases.values():
        database.close()
    app.executor.shutdown()
    for plugin in set(pm.get_plugins()) - before:
        pm.unregister(plugin)


def test_documents_are_listed_with_their_texts(ask):
    rows = ask("/catalog/documents_with_texts.json", doc_id="", _shape="array")
    assert [row["doc_id"] for row in rows] == ["cat", "car", "tax"]
    assert json.loads(rows[2]["metadata"]) == {"source": "faq"}
    assert "A kitten purrs" in ask("/catalog/documents_with_texts", doc_id="cat")


def test_a_search_is_a_query_of_sql(ask, library):
    rows = ask("/catalog/search.json", query="a kitten purrs", index="", k="2", _shape="array")
    hits = library.search("a kitten purrs", k=2)
    assert [(row["rank"], row["doc_id"], row["score"]) for row in rows] == [
        (hit.rank, hit.doc_id, hit.score) for hit in hits
    ]
    joined = ask(
        "/catalog.json",
        sql="select d.metadata from json_each(retriever_search('April', 'floor', 1)) h "
        "join documents d on d.doc_id = h.value ->> 'doc_id'",
        _shape="array",
    )
    assert joined == [{"metadata": '{"source":"faq"}'}]


def test_an_error_of_a_search_is_a_note(ask):
    (row,) = ask("/catalog/search.json", query="x", index="flor", k="", _shape="array")
    assert row["note"].startswith("No index 'flor' in ")
    assert row["rank"] is None
    (row,) = ask("/catalog/search.json", query="x", index="", k="many", _shape="array")
    assert row["note"] == "k is 'many'; expected a whole number."


def test_every_table_is_described_or_hidden(ask):
    tables = ask("/catalog.json")["tables"]
    shown = {table["name"] for table in tables if not table["hidden"]}
    assert shown == {"documents", "texts", "indexes", "embeddings", "origins"}


def test_commits_of_a_writer_are_seen_and_nothing_hinders_it(ask, library):
    count = "select count(*) as n from documents"
    assert ask("/catalog.json", sql=count, _shape="array") == [{"n": 3}]
    library.add([Document("owl", "An owl hoots.")])
    assert ask("/catalog.json", sql=count, _shape="array") == [{"n": 4}]
    library.delete(["cat"])
    library.compact()
    assert ask("/catalog.json", sql=count, _shape="array") == [{"n": 3}]
    # No reader has kept an older state: the log could be emptied.
    assert (library.path / "catalog.db-wal").stat().st_size == 0
    assert library.verify().ok


def test_nothing_can_be_written(ask, library):
    with pytest.raises(AssertionError, match="Statement must be a SELECT"):
        ask("/catalog.json", sql="delete from documents")
    assert len(library) == 3


def test_texts_that_look_like_html_are_text(ask, library):
    library.add([Document("x", "<script>alert(1)</script>")])
    page = ask("/catalog/documents_with_texts", doc_id="x")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page


def test_a_query_is_data_also_in_sql(library):
    function = SearchFunction(library)
    connection = sqlite3.connect(":memory:")
    function.prepare_connection(connection)
    (found,) = connection.execute("select retriever_search(?, 'floor', 1)", ["'); drop table x"])
    assert isinstance(json.loads(found[0]), list)
    connection.close()


def test_the_metadata_is_written_to_a_file(library, tmp_path):
    target = tmp_path / "metadata.json"
    succeed("datasette", str(library.path), "--metadata", str(target))
    written = json.loads(target.read_text())
    assert set(written["databases"]["catalog"]["queries"]) == {"search", "documents_with_texts"}


def test_the_command_serves_on_this_machine_until_it_is_interrupted(library):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "retriever", "datasette", str(library.path), "--port"]
    with subprocess.Popen([*command, str(port)], stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline()
            assert said.startswith(f"note: serving {library.path}/ on http://127.0.0.1:{port}/")
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None
                time.sleep(0.1)
            address = f"http://127.0.0.1:{port}/catalog/documents.json?_shape=array"
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert [row["doc_id"] for row in json.load(answer)] == ["cat", "car", "tax"]
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
