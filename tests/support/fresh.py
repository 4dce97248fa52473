"""Code run in a fresh interpreter, or in a fork of this one."""

import os
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


def check_forked(work):
    """Run a function in a fork of this process; it must not raise."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
