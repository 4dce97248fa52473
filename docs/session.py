"""The shell sessions of pages: run, and written back with their real output.

`python -m docs.session` rewrites them; `tests/docs/` compares all but times. The sessions of a page
are one: they run in one folder, from the first to the last.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    *("README.md", "docs/apps.md", "docs/research.md", "docs/operations.md"),
    *("docs/service.md", "docs/troubleshooting.md"),
)
BLOCK = re.compile(r"(?<=```console\n).*?(?=```)", re.DOTALL)


def renewed(page: str) -> str:
    """Run the sessions of a page in a fresh folder, and return the page with their output."""
    folder = Path(tempfile.mkdtemp())
    return BLOCK.sub(lambda block: _run(block[0], folder), page)


def _run(session: str, folder: Path) -> str:
    """Run the same commands in a folder, and return them with their output.

    `cat FILE` shows the content that the file is created with.
    """
    output = []
    for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
        if command.startswith("cat "):
            path = folder / command.removeprefix("cat ")
            path.parent.mkdir(exist_ok=True)
            path.write_text(printed)
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
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Write the sessions back into the pages."""
    for name in PAGES:
        page = ROOT / name
        page.write_text(renewed(page.read_text()))


if __name__ == "__main__":
    main()
