"""The shell session in README.md: run, and written back with its real output.

`python -m docs.session` rewrites it; `tests/docs/test_readme.py` compares all but times.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)


def session_of(readme: str) -> str:
    """Return the console block of a page."""
    found = BLOCK.search(readme)
    if found is None:
        raise SystemExit("README.md has no console block")
    return found[0]


def run(session: str) -> str:
    """Run the same commands in a fresh folder, and return them with their output.

    `cat FILE` shows the content that the file is created with.
    """
    folder = Path(tempfile.mkdtemp())
    output = []
    for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
        if command.startswith("cat "):
            (folder / command.removeprefix("cat ")).write_text(printed)
            output.append(f"$ {command}\n{printed}")
        else:
            output.append(f"$ {command}\n{_printed(command, folder)}")
    return "".join(output)


def _printed(command: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


def main() -> None:
    """Write the session back into README.md."""
    page = ROOT / "README.md"
    text = page.read_text()
    page.write_text(BLOCK.sub(lambda block: run(block[0]), text))


if __name__ == "__main__":
    main()
