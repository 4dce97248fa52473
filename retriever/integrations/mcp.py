"""Collections as tools of a server of the Model Context Protocol (MCP), over stdin and stdout."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

from indexes.errors import InputError, RetrieverError, unknown_name
from retriever import __version__
from retriever.advice import command_for
from retriever.collection import Collection
from retriever.integrations.extras import extra
from retriever.mistakes import sentence_of
from retriever.records import document_record, hit_records
from retriever.search.results import Hits

with extra("mcp"):
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp.server.mcpserver.tools import Tool
    from mcp_types import ToolAnnotations
    from pydantic import ConfigDict, Field, ValidationError

Record = dict[str, Any]
Result = TypeVar("Result")
# An answer is read by a model, whose context is small.
MOST_HITS, MOST_LISTED, MOST_SKIPPED = 50, 200, 1_000_000_000

CollectionName = Annotated[
    str | None,
    Field(description="Name of the collection; may be left out if there is one. See list_indexes."),
]
Query = Annotated[str, Field(description="What to search for, in words or a sentence.")]
HitCount = Annotated[int, Field(ge=1, le=MOST_HITS, description="How many documents to return.")]
Filter = Annotated[
    str | None,
    Field(
        description='Only documents with matching metadata, such as "year >= 2020 and source in '
        "(faq, 'press release')\". Dots lead into nested objects."
    ),
]


class CollectionTools:
    """The tools, as methods over open collections by name; each returns what JSON can hold."""

    def __init__(self, collections: Mapping[str, Collection]) -> None:
        self._collections = collections

    def list_indexes(self) -> list[Record]:
        """List the collections, with their number of documents and their indexes.

        An index is one way to search: BM25 by words, static or contextual embeddings by meaning,
        or a fusion of several.
        """
        return [
            {
                "collection": name,
                "documents": len(collection),
                "indexes": [
                    {"index": one.name, "kind": one.kind, "model": one.model, "parts": one.parts}
                    for one in map(collection.index_info, collection.index_names())
                ],
            }
            for name, collection in self._collections.items()
        ]

    def search(
        self,
        query: Query,
        collection: CollectionName = None,
        index: Annotated[
            str | None,
            Field(description="Index to search; left out, the only one or the only fusion."),
        ] = None,
        k: HitCount = 10,
        where: Filter = None,
    ) -> Record:
        """Return the documents nearest to a query, best first, with the passage that was found."""
        return self._of(collection).with_retriever(
            index, lambda one: _found(query, one.name, one.search(query, k, where=where or None))
        )

    def compare(
        self,
        query: Query,
        collection: CollectionName = None,
        indexes: Annotated[
            list[str] | None,
            Field(description="Indexes to compare, two or more; left out, all of them."),
        ] = None,
        k: HitCount = 5,
        where: Filter = None,
    ) -> Record:
        """Search several indexes with one query; say what all found and what only one did."""
        library = self._of(collection)
        names = list(dict.fromkeys(indexes or library.index_names()))
        if len(names) < 2:
            raise InputError(f"A comparison needs two indexes or more; got {len(names)}.")
        found = {
            name: library.search(query, index=name, k=k, where=where or None) for name in names
        }
        ids = {name: [hit.doc_id for hit in hits] for name, hits in found.items()}
        shared = set.intersection(*map(set, ids.values()))
        return {
            "query": query,
            "found_by_all": [one for one in ids[names[0]] if one in shared],
            "found_by_one": {
                name: [one for one in ids[name] if sum(one in some for some in ids.values()) == 1]
                for name in names
            },
            "indexes": [_found(query, name, hits) for name, hits in found.items()],
        }

    def show_document(
        self,
        doc_id: Annotated[str, Field(description="Id of the document, as in hits.")],
        collection: CollectionName = None,
    ) -> Record:
        """Return a document with its whole text and metadata."""
        return document_record(self._of(collection).document(doc_id))

    def list_documents(
        self,
        collection: CollectionName = None,
        where: Filter = None,
        limit: Annotated[
            int, Field(ge=1, le=MOST_LISTED, description="Most documents to list.")
        ] = 20,
        skip: Annotated[
            int,
            Field(
                ge=0,
                le=MOST_SKIPPED,
                description="How many documents to leave out at the beginning.",
            ),
        ] = 0,
    ) -> list[Record]:
        """List ids, titles and metadata of documents, in the order in which they were added."""
        documents = self._of(collection).documents(where=where or None)
        return [
            {name: value for name, value in document_record(one).items() if name != "text"}
            for one in islice(documents, skip, skip + limit)
        ]

    def _of(self, name: str | None) -> Collection:
        known = list(self._collections)
        if name is None:
            if len(known) == 1:
                return self._collections[known[0]]
            raise InputError(f"Say which collection. There are: {', '.join(known)}.")
        if name not in self._collections:
            raise unknown_name("collection", name, "this server", known)
        return self._collections[name]


def _found(query: str, index: str, hits: Hits) -> Record:
    """Return the hits of one index, and its notes."""
    records = list(hit_records("", query, index, hits)) if hits else []
    for record in records:
        del record["query"], record["index"]
    return {"index": index, "hits": records, "notes": list(hits.notes)}


def with_our_errors(tool: Callable[..., Result]) -> Callable[..., Result]:
    """Return a tool whose `RetrieverError`s reach the client with their message; others do not."""

    @functools.wraps(tool)
    def call(*arguments: Any, **options: Any) -> Result:
        try:
            return tool(*arguments, **options)
        except RetrieverError as error:
            command = command_for(error)
            raise ToolError(f"{error} Run: {command}" if command else str(error)) from error

    return call


class _Server(MCPServer):
    """A server that says in our words what is wrong with the arguments of a tool."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool; see `MCPServer.call_tool`."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            mistakes = error.__cause__.errors()
            said = sentence_of([{**one, "loc": ("arguments", *one["loc"])} for one in mistakes])
            raise ToolError(f"{name}: {said}") from error.__cause__


def make_server(collections: Mapping[str, Collection]) -> MCPServer:
    """Return a server with the tools for some collections, by the names that clients use."""
    tools = CollectionTools(collections)
    every: Sequence[Callable[..., object]] = (
        *(tools.list_indexes, tools.search, tools.compare),
        *(tools.show_document, tools.list_documents),
    )
    return _Server(
        "retriever",
        instructions="Search collections of documents by words or by meaning, and compare indexes. "
        "Begin with list_indexes.",
        version=__version__,
        log_level="WARNING",
        tools=list(map(_tool, every)),
    )


def _tool(function: Callable[..., object]) -> Tool:
    """Return a method as a tool, which refuses arguments that it does not have."""
    tool = Tool.from_function(
        with_our_errors(function),
        description=inspect.getdoc(function),
        annotations=ToolAnnotations(read_only_hint=True),
    )
    model = tool.fn_metadata.arg_model
    model.model_config = model.model_config | ConfigDict(extra="forbid")
    model.model_rebuild(force=True)
    tool.parameters = model.model_json_schema(by_alias=True)
    return tool


def names_of(folders: Sequence[Path]) -> dict[str, Path]:
    """Return folders by names for clients: their last parts, or all of them where these repeat."""
    last = [folder.resolve().name for folder in folders]
    return {
        str(folder) if last.count(name) > 1 else name: folder
        for name, folder in zip(last, folders, strict=True)
    }
