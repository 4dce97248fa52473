"""The server: one process or several that share a socket, until a signal ends them."""

from __future__ import annotations

import contextlib
import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.service.app import create_app
from retriever.service.metrics import VARIABLE
from retriever.service.settings import ServiceSettings

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "retriever": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "retriever.service": {"level": "INFO"},
    },
}
# Seconds in which a process has to answer its parent, which else replaces it: it cannot while it
# imports the libraries, which takes long on a busy machine.
STARTING = 120
_LOG = logging.getLogger(__name__)


def run(settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT; requests that came before are answered.

    With several processes, each is started afresh, not forked: it opens the collections and loads
    the models itself.

    Raises:
        CollectionError: a library cannot be opened.
        InputError: the host and port cannot be used.
    """
    for path in settings.libraries:
        Collection.open(path).close()
    with listening(settings) as sock, _metrics_folder(settings.processes):
        config = uvicorn.Config(
            partial(_app_of_process, settings),
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.processes,
            log_config=LOGGING,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_worker_healthcheck=STARTING,
            timeout_graceful_shutdown=math.ceil(settings.limits.seconds),
        )
        names = ", ".join(settings.by_name)
        _LOG.info("serving %s at %s (stop with Ctrl-C)", names, address(settings.host, sock))
        if settings.processes > 1:
            Multiprocess(config, sockets=[sock]).run()
            return
        # Raised again by the server when it has ended.
        before = {one: signal.signal(one, _ended) for one in (signal.SIGTERM, signal.SIGINT)}
        server = uvicorn.Server(config)
        try:
            server.run(sockets=[sock])
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)
    if not server.started:
        sys.exit(1)


def _app_of_process(settings: ServiceSettings) -> FastAPI:
    """Return the application, in a process that ends if the one that started it is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=follow, daemon=True, name="retriever-parent").start()
    return create_app(settings, alone=True)


def _ended(*_: object) -> None:
    """Do nothing: the server has ended as the signal asked."""


@contextlib.contextmanager
def listening(settings: ServiceSettings) -> Iterator[socket.socket]:
    """Yield a socket that is bound to the host and port."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small packets at once (TCP_NODELAY) only where the protocol is named: else each
    # answer on a kept connection waits some 40 ms for the client's delayed acknowledgment.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((settings.host, settings.port))
        except OSError as error:
            raise InputError(
                f"{settings.host}:{settings.port} cannot be used: {error.strerror}. Choose another "
                "--port or --host."
            ) from None
        # A client may connect once the address is known: it waits until the application starts.
        sock.listen()
        sock.set_inheritable(True)
        yield sock


def address(host: str, sock: socket.socket) -> str:
    """Return where a socket is reached."""
    port = sock.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _metrics_folder(processes: int) -> Iterator[None]:
    """Give several processes a folder for what they count together."""
    if processes == 1 or os.environ.get(VARIABLE):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="retriever-metrics-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
