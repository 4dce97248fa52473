"""Tests of `verify`, `repair` and `compact`."""

import re
from pathlib import Path

import pytest

from retriever import Collection
from tests.support.commands import fail, invoke, misuse, objects
from tests.support.commands import succeed_silently as succeed

pytestmark = pytest.mark.usefixtures("two")


def damage(pattern):
    """Change a byte in the middle of a file, and return its path."""
    (path,) = Path("library").glob(pattern)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


FAULT = (
    r"{} is damaged: expected [\d,]+ bytes with SHA-256 [0-9a-f]{{12}}, found [\d,]+ with "
    r"[0-9a-f]{{12}}\. Repair the collection\."
)
INTACT = "library/: intact; 3 documents, 3 vectors, 2 files\n"


def test_an_intact_collection_is_reported_as_intact():
    assert succeed("verify", "library") == INTACT
    assert objects(succeed("verify", "library", "--json")) == [
        {"ok": True, "documents": 3, "passages": 3, "vectors": 3, "files": 2}
        | {"problems": [], "leftovers": []}
    ]
    assert succeed("repair", "library") == "library/: intact\n"
    assert objects(succeed("repair", "library", "--json")) == [{"ok": True, "done": [], "left": []}]


def test_a_damaged_structure_is_named_and_built_again():
    path = damage("ann/*")
    found = invoke("verify", "library")
    assert (found.exit_code, found.stderr) == (1, "")
    first, second = found.stdout.splitlines()
    assert re.fullmatch(FAULT.format(path), first)
    assert second == "library/: 1 problem; 3 documents, 3 vectors, 2 files"
    (record,) = objects(invoke("verify", "library", "--json").stdout)
    assert (record["ok"], record["problems"]) == (False, [{"what": first, "cure": "structure"}])
    assert (
        succeed("repair", "library") == "built the structure of 'graph' again\nlibrary/: intact\n"
    )
    assert succeed("verify", "library") == INTACT


def test_damaged_vectors_are_embedded_again():
    before = succeed("search", "library", "a kitten purrs", "-i", "graph", "--json")
    path = damage("vectors/*/*")
    (record,) = objects(invoke("verify", "library", "--json").stdout)
    assert [problem["cure"] for problem in record["problems"]] == ["shard"]
    assert re.fullmatch(FAULT.format(path), record["problems"][0]["what"])
    assert objects(succeed("repair", "library", "--json")) == [
        {
            "ok": True,
            "done": [
                "embedded 3 passages of 'floor' again",
                "built the structure of 'graph' again",
            ],
            "left": [],
        }
    ]
    assert succeed("verify", "library") == INTACT
    assert succeed("search", "library", "a kitten purrs", "-i", "graph", "--json") == before


def test_what_cannot_be_derived_is_left_and_listed():
    with Collection.open("library") as collection:
        catalog = collection._store.catalog
        with catalog.writing():
            catalog.execute("UPDATE texts SET text = 'other' WHERE text LIKE 'A kitten%'")
    text = "Document 'cat' is damaged: its text is not what was added."
    passage = "Passage 1 is not within its document's text."
    found, repaired = invoke("verify", "library"), invoke("repair", "library")
    assert (found.exit_code, repaired.exit_code) == (1, 1)
    counts = "3 documents, 3 vectors, 2 files"
    assert found.stdout == f"{text}\n{passage}\nlibrary/: 2 problems; {counts}\n"
    assert repaired.stdout == f"left: {text}\nleft: {passage}\nlibrary/: 2 problems are left\n"
    (record,) = objects(invoke("repair", "library", "--json").stdout)
    assert (record["ok"], record["done"]) == (False, [])
    assert record["left"][0] == {"what": text, "cure": ""}


def test_files_left_by_a_crash_are_no_problem_and_are_removed():
    Path("library/vectors/x.npy").write_text("half")
    Path("library/ann/y.faiss.writing").write_text("half")
    found = invoke("verify", "library")
    assert (found.exit_code, found.stdout) == (0, INTACT)
    assert found.stderr == (
        "note: 2 files are not in the catalog: left by an interrupted write, or replaced just now. "
        "The next write removes them.\n"
    )
    (record,) = objects(invoke("verify", "library", "--json").stdout)
    assert record["leftovers"] == ["library/vectors/x.npy", "library/ann/y.faiss.writing"]
    assert succeed("repair", "library") == (
        "removed library/vectors/x.npy, which the catalog does not name\n"
        "removed library/ann/y.faiss.writing, which the catalog does not name\n"
        "library/: intact\n"
    )
    assert succeed("verify", "library") == INTACT


def test_compact_prints_what_it_freed():
    succeed("delete", "library", "cat")
    assert re.fullmatch(
        r"library/: 1 vector of deleted documents dropped, \d+\.\d kB freed\n",
        succeed("compact", "library"),
    )
    assert succeed("compact", "library") == (
        "library/: 0 vectors of deleted documents dropped, nothing freed\n"
    )
    assert objects(succeed("compact", "library", "--json")) == [
        {"vectors": 0, "freed": 0, "exact": []}
    ]
    assert succeed("verify", "library") == "library/: intact; 2 documents, 2 vectors, 2 files\n"


@pytest.mark.parametrize("command", ["verify", "repair", "compact"])
def test_a_folder_that_is_no_collection_is_refused(command):
    assert fail(command, "nowhere") == (
        "nowhere/ is not a collection: it has no catalog.db. "
        "Add documents to make one.\nRun: retriever add nowhere FILE"
    )
    assert misuse(command) == "Missing argument 'LIBRARY'."
