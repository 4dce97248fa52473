"""A real Milvus for tests, from an environment of its own: `make .cache/milvus-venv/.ready`.

    python -m tests.support.milvus.server FOLDER

run by the Python of that environment, starts one with its data in a folder, prints its port, and
ends it when the standard input ends. Its user is `root`, with the password `Milvus`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
PYTHON = Path(os.environ.get("RETRIEVER_MILVUS", ROOT / ".cache/milvus-venv/bin/python"))
TOKEN = "root:Milvus"


def why_not():
    """Why there is no Milvus here; nothing if there is."""
    if PYTHON.exists():
        return ""
    return "needs Milvus in an environment of its own: make .cache/milvus-venv/.ready"


class Server:
    """A running Milvus."""

    def __init__(self, folder):
        self._process = subprocess.Popen(
            [PYTHON, __file__, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        line = self._process.stdout.readline().split()
        if len(line) != 3:
            self.stop()
            raise RuntimeError(f"Milvus did not start: {line}; see {folder}/logs")
        self._milvus = int(line[2])
        self.uri = f"http://127.0.0.1:{line[1]}"

    def send(self, number):
        """Send Milvus a signal."""
        os.kill(self._milvus, number)

    def stop(self):
        """End it, whatever state it is in."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@contextlib.contextmanager
def running():
    """Yield a Milvus that runs: one at a time on a machine, since some of its ports are fixed."""
    import filelock

    lock = Path(tempfile.gettempdir()) / "retriever-milvus.lock"
    with (
        filelock.FileLock(lock),
        tempfile.TemporaryDirectory(prefix="milvus-", ignore_cleanup_errors=True) as folder,
    ):
        server = Server(folder)
        try:
            yield server
        finally:
            server.stop()


def _serve(folder):
    from milvus import default_server

    default_server.set_base_dir(folder)
    default_server.config.set("authorization_enabled", True)
    default_server.start()
    sys.stdout.write(f"up {default_server.listen_port} {default_server.server_proc.pid}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _serve(sys.argv[1])
