"""Libraries that read HTML, PDF and Word, side by side: `python -m benchmarks.files FILE...`.

Needs the packages of `files.txt`. Writes `results/files.json`. Each library reads each file in a
process of its own: CPU seconds of the import and of the reading (median of several), and the peak
of memory above that of Python. A word counts as agreed if at least half of the libraries have it;
`agreed` is the share of these that a library has, `alone` the share of its own that no other has.
"""

from __future__ import annotations

import gzip
import importlib
import io
import json
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.certificate import certificate, checksum, save

REPEATS = 3

Read = Callable[[bytes], str]


def ours(kind: str) -> Read:
    """Return our reader of a kind of file."""
    module = importlib.import_module(f"retriever.formats.files.{kind}")
    read = getattr(module, f"read_{kind}")
    importlib.import_module({"html": "selectolax.lexbor", "pdf": "pypdf", "docx": "docx"}[kind])
    return lambda raw: str(read(raw).text)


def of_lxml() -> Read:
    """Return the texts of all elements."""
    lxml: Any = importlib.import_module("lxml.html")
    return lambda raw: str(lxml.document_fromstring(raw).text_content())


def of_trafilatura() -> Read:
    """Return the main content of a page."""
    trafilatura: Any = importlib.import_module("trafilatura")
    return lambda raw: str(trafilatura.extract(raw) or "")


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._inside += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)


def of_html_parser() -> Read:
    """Return the texts outside of scripts and styles."""

    def read(raw: bytes) -> str:
        parser = _Texts()
        parser.feed(raw.decode(errors="replace"))
        return "".join(parser.texts)

    return read


def of_pdfminer() -> Read:
    """Return the text of all pages."""
    pdfminer: Any = importlib.import_module("pdfminer.high_level")
    return lambda raw: str(pdfminer.extract_text(io.BytesIO(raw)))


def of_pdfium() -> Read:
    """Return the text of all pages."""
    pdfium: Any = importlib.import_module("pypdfium2")

    def read(raw: bytes) -> str:
        pages = pdfium.PdfDocument(raw)
        return "\n".join(page.get_textpage().get_text_range() for page in pages)

    return read


def of_docx2txt() -> Read:
    """Return the text with headers and footers."""
    docx2txt: Any = importlib.import_module("docx2txt")
    return lambda raw: str(docx2txt.process(io.BytesIO(raw)))


def of_mammoth() -> Read:
    """Return the text of paragraphs and tables."""
    mammoth: Any = importlib.import_module("mammoth")
    return lambda raw: str(mammoth.extract_raw_text(io.BytesIO(raw)).value)


LIBRARIES: dict[str, dict[str, Callable[[], Read]]] = {
    "html": {
        "selectolax (ours)": lambda: ours("html"),
        "lxml": of_lxml,
        "html.parser": of_html_parser,
        "trafilatura": of_trafilatura,
    },
    "pdf": {
        "pypdf (ours)": lambda: ours("pdf"),
        "pypdfium2": of_pdfium,
        "pdfminer.six": of_pdfminer,
    },
    "docx": {
        "python-docx (ours)": lambda: ours("docx"),
        "docx2txt": of_docx2txt,
        "mammoth": of_mammoth,
    },
}


def kind_of(path: Path) -> str:
    """Return the kind of a file by its extension, before `.gz`."""
    return Path(path.name.removesuffix(".gz")).suffix.removeprefix(".")


def content_of(path: Path) -> bytes:
    """Return the bytes of a file, decompressed."""
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def one(path: Path, library: str) -> dict[str, Any]:
    """Read a file with a library, in this process."""
    raw, before = content_of(path), _peak()
    started = time.process_time()
    read = LIBRARIES[kind_of(path)][library]()
    imported = time.process_time() - started
    seconds, text = [], ""
    for _ in range(REPEATS):
        started = time.process_time()
        text = read(raw)
        seconds.append(time.process_time() - started)
    return {
        "import_seconds": round(imported, 4),
        "seconds": round(median(seconds), 4),
        "megabytes": round(_peak() - before, 1),
        "text": text,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compared(path: Path) -> dict[str, Any]:
    """Read a file with each library, in processes of their own."""
    found = {}
    for library in LIBRARIES[kind_of(path)]:
        command = [sys.executable, "-m", "benchmarks.files", "--one", str(path), library]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[library] = json.loads(done.stdout)
    words = {library: Counter(_words(row.pop("text"))) for library, row in found.items()}
    agreed: Counter[str] = Counter()
    for word in set().union(*words.values()):
        # In half of the readings it occurs at least so often.
        counts = sorted((some[word] for some in words.values()), reverse=True)
        agreed[word] = counts[(len(counts) + 1) // 2 - 1]
    for library, row in found.items():
        others = set().union(*(words[name] for name in words if name != library))
        total = words[library].total()
        row["words"] = total
        row["agreed"] = round((words[library] & agreed).total() / max(1, agreed.total()), 4)
        alone = sum(count for word, count in words[library].items() if word not in others)
        row["alone"] = round(alone / max(1, total), 4)
    return found


def _words(text: str) -> list[str]:
    # Ligatures, and the mark of PDFium for a hyphen at the end of a line.
    for given, read in {"ﬁ": "fi", "ﬂ": "fl", "ﬀ": "ff", "ﬃ": "ffi", "\ufffe": ""}.items():
        text = text.replace(given, read)
    return text.replace("-\n", "").split()


def main() -> None:
    """Compare the libraries on the files named."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(Path(sys.argv[2]), sys.argv[3])))
        return
    paths = [Path(name) for name in sys.argv[1:]]
    rows = {path.name: compared(path) for path in paths}
    for name, found in rows.items():
        for library, row in found.items():
            print(name, library, row)
    facts = {"repeats": REPEATS, "checksums": {path.name: checksum(path) for path in paths}}
    save("files", {"certificate": certificate(**facts), "files": rows})


if __name__ == "__main__":
    main()
