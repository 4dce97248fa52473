"""Pictures of pages for the docs, taken by Chromium: `python -m docs.screenshots FOLDER`.

A page is a function that writes it to a file, in `PAGES`; tests take every picture.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTH, HEIGHT = 1280, 900
FLAGS = "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-sync"


def write_report(target: Path) -> None:
    """Write the report page of a comparison that the repository keeps."""
    results = Path(__file__).parents[1] / "benchmarks" / "results"
    shutil.copy(results / "scifact.html", target)


PAGES: dict[str, Callable[[Path], None]] = {"report": write_report}


def take(page: str, folder: Path) -> Path:
    """Write a page, and a picture of its top as PNG; return the picture's path."""
    written, picture = folder / f"{page}.html", folder / f"{page}.png"
    PAGES[page](written)
    command = [str(BROWSER), *FLAGS.split(), f"--user-data-dir={folder / 'profile'}"]
    command += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={picture}", written.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    written.unlink()
    shutil.rmtree(folder / "profile")
    return picture


if __name__ == "__main__":
    for name in PAGES:
        print(take(name, Path(sys.argv[1])))
