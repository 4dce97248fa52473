"""`serve`: answer searches over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.cli.options import POSITIVE

SECONDS = click.FloatRange(min=0, min_open=True)


@click.command(short_help="Serve collections over HTTP: search, documents, embeddings.")
@click.argument(
    "library", metavar="LIBRARY...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen at; 0 for any free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the token that clients have to send. Default: RETRIEVER_TOKEN, if set.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Serve to other machines without a token: everyone who reaches the port can search.",
)
@click.option("--write", is_flag=True, help="Let clients add and delete documents; needs a token.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=POSITIVE,
    help="Number of processes; each loads the models.",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    metavar="ORIGIN",
    multiple=True,
    help="Let pages of this origin call the service, such as https://example.org; may be given "
    "several times.",
)
@click.option(
    "--judgments",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Let users of the page judge hits; writes LIBRARY.csv and LIBRARY.queries.jsonl, which "
    "compare takes as --qrels and --queries.",
)
@click.option("--access-log", is_flag=True, help="Log each request: client, address, status, time.")
@click.option(
    "--max-k", default=1_000, show_default=True, type=POSITIVE, help="Most hits of a request."
)
@click.option(
    "--max-batch",
    default=256,
    show_default=True,
    type=POSITIVE,
    help="Most queries, texts or documents of a request.",
)
@click.option(
    "--max-body",
    default=8.0,
    show_default=True,
    type=SECONDS,
    metavar="MB",
    help="Longest body of a request.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=SECONDS,
    metavar="SECONDS",
    help="Longest time of an answer.",
)
@click.option(
    "--queue",
    default=256,
    show_default=True,
    type=POSITIVE,
    help="Most requests that wait; further ones are refused.",
)
@click.option(
    "--threads", type=POSITIVE, help="Requests computed at once. Default: two more than cores."
)
def serve(
    library: tuple[Path, ...],
    host: str,
    port: int,
    token_file: Path | None,
    no_token: bool,
    write: bool,
    workers: int,
    cors_origins: tuple[str, ...],
    judgments: Path | None,
    access_log: bool,
    max_k: int,
    max_batch: int,
    max_body: float,
    timeout: float,
    queue: int,
    threads: int | None,
) -> None:
    """Serve the collections LIBRARY over HTTP, until stopped (Ctrl-C, SIGTERM).

    In a browser, the address is a page: search side by side, maps, judging. For programs, POST
    /search, /search/batch and /compare take JSON; /openapi.json describes everything. With several
    collections, ?library=NAME selects one. What another process adds or builds is seen by itself.
    Only this machine is answered, unless --host says otherwise.
    """
    import os

    from indexes.errors import InputError

    try:
        from retriever.service.serving import run
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("indexes", "retriever"):
            raise
        raise InputError(
            f"Serving needs {error.name}, which is not installed. "
            "Run: pip install 'retriever-compare[serve]'"
        ) from None
    from retriever.service.settings import Limits, ServiceSettings, read_token

    if no_token and token_file is not None:
        raise click.UsageError("Give either --no-token or --token-file.")
    limits = Limits(
        body=round(max_body * 1_000_000),
        batch=max_batch,
        k=max_k,
        seconds=timeout,
        threads=threads or 0,
        queue=queue,
    )
    settings = ServiceSettings(
        libraries=library,
        host=host,
        port=port,
        token=None if no_token else read_token(token_file, os.environ),
        write=write,
        cors_origins=cors_origins,
        any_host_without_token=no_token,
        processes=workers,
        access_log=access_log,
        judgments=judgments,
        limits=limits,
    )
    run(settings)
