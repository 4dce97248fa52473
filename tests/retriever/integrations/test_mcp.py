"""The MCP server, asked by the client of its SDK over stdin and stdout of the command."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="the extra mcp is not installed")

from mcp import Client, StdioServerParameters, stdio_client

from retriever import Collection
from retriever.embedders import HashingEmbedder
from retriever.integrations.mcp import names_of
from tests.support.commands import fail
from tests.support.toy import ANIMALS

ROOT = Path(__file__).parents[3]
COMMAND = Path(sys.executable).parent / "retriever"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mcp") / "library"
    with Collection.create(folder) as collection:
        collection.add(ANIMALS)
        collection.build("floor", HashingEmbedder())
        collection.build("bm25", lexical=True)
    return folder


def ask(folders, talk, **environment):
    """Start the command, run a conversation with it, and return what that returns."""

    async def run():
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        server = StdioServerParameters(
            command=str(COMMAND),
            args=["mcp", *map(str, folders)],
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        async with Client(stdio_client(server)) as client:
            return await talk(client)

    return asyncio.run(run())


async def call(client, tool, **arguments):
    """Return the structured answer of a tool."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def sentence(client, tool, **arguments):
    """Return the text of a tool's error."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return answer.content[0].text


def test_every_tool_answers_and_errors_say_what_we_say(folder):
    async def talk(client):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        return {
            "tools": tools,
            "indexes": await call(client, "list_indexes"),
            "found": await call(client, "search", query="a kitten purrs", index="bm25", k=1),
            "filtered": await call(
                client, "search", query="the end", index="floor", where="source = faq"
            ),
            "nothing": await call(client, "search", query="xqzvy", index="bm25"),
            "compared": await call(client, "compare", query="kitten", k=2),
            "shown": await call(client, "show_document", doc_id="tax"),
            "listed": await call(client, "list_documents", limit=1, skip=1),
            "no index": await sentence(client, "search", query="x", index="flor"),
            "no choice": await sentence(client, "search", query="x"),
            "no document": await sentence(client, "show_document", doc_id="dog"),
            "bad filter": await sentence(client, "search", query="x", index="floor", where="a ="),
            "bad count": await sentence(client, "search", query="x", index="floor", k=0),
            "unknown": await sentence(client, "search", query="x", index="floor", filter="a = 1"),
            "too far": await sentence(client, "list_documents", skip=10**30),
        }

    said = ask([folder], talk)
    tools = said["tools"]
    assert set(tools) == {"list_indexes", "search", "compare", "show_document", "list_documents"}
    assert all(tool.annotations.read_only_hint for tool in tools.values())
    for tool in tools.values():
        assert tool.description.endswith(".")
        assert "  " not in tool.description
        for name, field in tool.input_schema["properties"].items():
            assert field["description"].endswith("."), (tool.name, name)
            assert "type" in field or "anyOf" in field
    (listed,) = said["indexes"]["result"]
    assert (listed["collection"], listed["documents"]) == ("library", 3)
    assert [one["index"] for one in listed["indexes"]] == ["floor", "bm25"]
    assert [hit["doc_id"] for hit in said["found"]["hits"]] == ["cat"]
    assert [hit["doc_id"] for hit in said["filtered"]["hits"]] == ["tax"]
    assert said["nothing"]["hits"] == []
    assert "bm25 finds nothing" in said["nothing"]["notes"][0]
    assert said["compared"]["found_by_all"] == ["cat"]
    assert said["compared"]["found_by_one"]["bm25"] == []
    assert said["shown"]["text"] == "The filing deadline is the end of April."
    assert [one["doc_id"] for one in said["listed"]["result"]] == ["car"]
    assert said["no index"] == (
        f"Error executing tool search: No index 'flor' in {folder}/. It has: bm25, floor. "
        "Did you mean 'floor'?"
    )
    assert "Say which index to search" in said["no choice"]
    assert said["no document"].startswith(
        f"Error executing tool show_document: No document 'dog' in {folder}/. It has: "
    )
    assert "expected a value after '='" in said["bad filter"]
    assert said["bad count"] == "search: 'k' is 0; expected greater than or equal to 1."
    assert said["unknown"] == "search: There is no field 'filter'."
    assert said["too far"].startswith("list_documents: 'skip' is 1")
    assert all(tool.input_schema["additionalProperties"] is False for tool in tools.values())


def test_several_collections_are_asked_by_name(folder, tmp_path):
    with Collection.create(tmp_path / "other") as other:
        other.add([{"doc_id": "owl", "text": "An owl hoots."}])
        other.build("bm25", lexical=True)

    async def talk(client):
        found = await call(client, "search", query="owl", collection="other")
        return found, await sentence(client, "search", query="owl")

    found, unclear = ask([folder, tmp_path / "other"], talk)
    assert [hit["doc_id"] for hit in found["hits"]] == ["owl"]
    assert found["index"] == "bm25"
    assert unclear.endswith("Say which collection. There are: library, other.")


def test_folders_of_one_name_are_told_apart():
    assert names_of([Path("a/x"), Path("b")]) == {"x": Path("a/x"), "b": Path("b")}
    assert list(names_of([Path("a/x"), Path("b/x"), Path("c")])) == ["a/x", "b/x", "c"]


def test_a_folder_without_a_collection_is_refused_before_serving(tmp_path):
    assert "is not a collection" in fail("mcp", str(tmp_path))


def test_an_interrupt_ends_the_server_while_it_waits_for_a_line(folder):
    with subprocess.Popen(
        [COMMAND, "mcp", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as server:
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}}
        hello["clientInfo"] = {"name": "test", "version": "1"}
        first = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        server.stdin.write(json.dumps(first).encode() + b"\n")
        server.stdin.flush()
        assert json.loads(server.stdout.readline())["id"] == 1
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == -signal.SIGINT
