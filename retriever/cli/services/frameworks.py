"""`mcp`, `datasette`: collections in programs of others."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path

import click

from retriever.cli.options import library
from retriever.cli.output import check_writable, keep_inputs, note


@click.command(short_help="Offer collections to assistants, as tools of an MCP server.")
@click.argument(
    "library", metavar="LIBRARY...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
def mcp(library: tuple[Path, ...]) -> None:
    """Serve the collections LIBRARY... by the Model Context Protocol, over stdin and stdout.

    The tools search an index, compare several on one query, show and list documents, and list the
    collections with their indexes. Nothing is written. A client starts the command itself; give it:
    retriever mcp LIBRARY. Needs: pip install 'retriever-compare[mcp]'
    """
    from retriever.collection import Collection
    from retriever.integrations.mcp import make_server, names_of

    with contextlib.ExitStack() as stack:
        server = make_server(
            {
                name: stack.enter_context(Collection.open(folder))
                for name, folder in names_of(library).items()
            }
        )
        # A thread waits for the next line of stdin, and would keep the process alive. Nothing is
        # written: the signal may end it at once.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        server.run("stdio")


@click.command(short_help="Browse the catalog of a collection in Datasette, read-only.")
@library
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8001, show_default=True, help="Port to listen on.")
@click.option(
    "--metadata",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Only write Datasette's metadata to this file, for a datasette of your own.",
)
def datasette(library: Path, host: str, port: int, metadata: Path | None) -> None:
    """Browse the catalog of the collection LIBRARY in Datasette, with searches of its indexes.

    The pages have the documents, a form for searches, and any statement of SQL that only reads. The
    collection may be written meanwhile. Needs: pip install 'retriever-compare[datasette]'
    """
    from retriever.collection import Collection
    from retriever.integrations.datasette import metadata as metadata_of
    from retriever.integrations.datasette import serve

    if metadata is not None:
        keep_inputs("--metadata", metadata, (), (library,))
        check_writable(metadata)
    with Collection.open(library) as collection:
        if metadata is not None:
            metadata.write_text(f"{json.dumps(metadata_of(collection), indent=2)}\n")
            note(f"wrote {metadata}")
            return
        note(f"serving {library}/ on http://{host}:{port}/; stop with Ctrl-C")
        serve(collection, host, port)
