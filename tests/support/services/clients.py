"""Services in this process: asked without a socket, or over one."""

import contextlib
import socket
import threading
import time

import uvicorn
from starlette.testclient import TestClient

from retriever import Collection, Document, HashingEmbedder
from retriever.service.app import create_app
from retriever.service.settings import Limits, ServiceSettings

TOKEN = "a-token-that-nobody-guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
DOCUMENTS = [
    Document("cat", "A kitten purrs when it is content.", "Cats", {"year": 2020, "by": {"n": "A"}}),
    Document("car", "The engine idles with a soft rumble.", metadata={"year": 2021}),
    Document("tax", "The filing deadline is the end of April.", metadata={"source": "faq"}),
]
# What a test waits for at most, where it has to wait.
SECONDS = 30


def make_library(folder, documents=DOCUMENTS):
    """Make a collection with an index of vectors, `floor`, one of words, and both, `fused`."""
    with Collection.create(folder) as collection:
        collection.add(documents)
        collection.build("floor", HashingEmbedder())
        collection.build("words", lexical=True)
        collection.fuse("fused", ["floor", "words"])
    return folder


def app_of(*folders, limits=None, **options):
    return create_app(ServiceSettings(folders, limits=limits or Limits(), **options))


@contextlib.contextmanager
def asked(*folders, headers=None, limits=None, **options):
    """Yield a client of a service over some collections, in this process."""
    app = app_of(*folders, limits=limits, **options)
    own = BEARER if options.get("token") else {}
    with TestClient(app, base_url="http://127.0.0.1", headers=own | (headers or {})) as client:
        client.state = app.state.service
        yield client


def eventually(holds):
    """Wait until a function returns something true, and return that."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        if found := holds():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came to hold")


@contextlib.contextmanager
def listening(app):
    """Yield a server of an application in a thread, and the port at which it listens."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            eventually(lambda: server.started)
            yield server, port
        finally:
            server.should_exit = True
            thread.join(SECONDS)
            assert not thread.is_alive()


def raw(port, sent, timeout=SECONDS):
    """Send bytes to a port, and return all that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        sock.sendall(sent)
        received = b""
        while part := sock.recv(65536):
            received += part
    return received.decode()
