"""The servers of the benchmark of services: ours, txtai's API and Chroma's, each in a process."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers import material
from benchmarks.peers.ours import Given

__all__ = ["Server", "chroma", "retriever", "txtai"]

ROOT = Path(__file__).parent.parent.parent
STARTING = 120.0


class Server:
    """A process that listens at a port of this machine."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    def memory(self) -> float:
        """Return the resident memory of the process and its children, in MB."""
        own = psutil.Process(self.process.pid)
        every = (own, *own.children(recursive=True))
        return float(sum(one.memory_info().rss for one in every)) / 1e6

    def cpu(self) -> float:
        """Return the seconds that the process and its children have computed."""
        own = psutil.Process(self.process.pid)
        times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))


@contextlib.contextmanager
def started(command: Sequence[str], port: int, ready: str, **environment: str) -> Iterator[Server]:
    """Start a server and wait until it is ready; end it on leaving."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + STARTING
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if process.poll() is not None or time.monotonic() > until:
                raise ChildProcessError(f"{command[0]} did not start")
            time.sleep(0.2)
        yield Server(process, port)
    finally:
        process.terminate()
        process.wait(60)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def retriever(folder: Path) -> Iterator[Server]:
    """Start our service over a collection."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.servers", str(folder), str(port)]
    with started(command, port, "/ready") as server:
        yield server


@contextlib.contextmanager
def txtai(folder: Path, transform: str) -> Iterator[Server]:
    """Start txtai's API over a stored index; `transform` is the encoder of queries, in here."""
    port, config = free_port(), folder.with_suffix(".yml")
    encode = f"{__name__}.{transform}" if __name__ != "__main__" else transform
    config.write_text(f"path: {folder}\nembeddings:\n  transform: {encode}\n")
    command = [sys.executable, "-m", "uvicorn", "txtai.api:app", "--port", str(port)]
    command += ["--log-level", "warning"]
    environment = {"CONFIG": str(config), "ALLOW_RESOLVE_TRANSFORM": "True"}
    with started(command, port, "/openapi.json", **environment) as server:
        yield server


@contextlib.contextmanager
def chroma(folder: Path) -> Iterator[Server]:
    """Start Chroma's server over a stored database."""
    port = free_port()
    program = str(Path(sys.executable).parent / "chroma")
    command = [program, "run", "--path", str(folder), "--port", str(port), "--host", "127.0.0.1"]
    with started(command, port, "/api/v2/heartbeat", ANONYMIZED_TELEMETRY="False") as server:
        yield server


@cache
def _given() -> material.Encode:
    return material.given(material.queries())


@cache
def _model() -> material.Encode:
    return material.model()


def given(texts: Any) -> material.Matrix:
    """Return the stored vectors of queries, for txtai."""
    return _given()(texts)


def encoded(texts: Any) -> material.Matrix:
    """Return what the model makes of queries, for txtai."""
    return _model()(texts)


def main(folder: str, port: str) -> None:
    """Serve a collection; its index `given` has the vectors of queries given, as txtai has."""
    import uvicorn

    from retriever.service.app import create_app
    from retriever.service.settings import ServiceSettings

    app = create_app(ServiceSettings((Path(folder),), port=int(port)), alone=True)
    state = app.state.service
    opened = state.open

    def open_with_vectors() -> None:
        opened()
        for collection in state.collections.values():
            collection.use("given", Given(given))

    state.open = open_with_vectors
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False, ws="none")


if __name__ == "__main__":
    main(*sys.argv[1:])
