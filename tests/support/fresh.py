"""Python code run in a fresh interpreter."""

import os
import subprocess
import sys


def printed_by(code, *arguments, **environment):
    """Run code and return what it prints; it must succeed."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
