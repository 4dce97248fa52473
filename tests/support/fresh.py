"""Code run in a fresh interpreter, or in a fork of this one."""

import contextlib
import os
import signal
import subprocess
import sys
import traceback


def printed_by(code, *arguments, **environment):
    """Run code and return what it prints; it must succeed."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fork(work, seconds=0):
    """Run a function in a fork, for some seconds at most; return its exit status, or -signal."""
    return ended(start_fork(work, seconds))


def start_fork(work, seconds=0):
    """Start a function in a fork, for some seconds at most; return the fork's process id."""
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


def ended(child):
    """Wait for a fork to end; return its exit status, or -signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check_forked(work):
    """Run a function in a fork of this process; it must not raise."""
    assert fork(work) == 0


HOLD = """
import pathlib, sys
from indexes.storage.files import writer_lock
with writer_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def lock_holder(folder):
    """Start a process that holds the writer's lock of a collection; kill it on leaving."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()
