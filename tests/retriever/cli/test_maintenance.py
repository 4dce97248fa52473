"""Tests of the maintenance commands and of the exact output of others."""

import re
from pathlib import Path

import pytest

from retriever import Collection
from tests.support.commands import fail, invoke, misuse, objects, succeed_silently

CORPUS = """\
{"_id": "cat", "text": "A kitten purrs when it is content.", "year": 2021, "source": "web"}
{"_id": "car", "title": "Engines", "text": "The engine idles with a soft rumble.", "year": 1999}
{"_id": "tax", "text": "The filing deadline is the end of April.", "year": 2024}
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command line, in a fresh folder that holds a corpus."""
    monkeypatch.chdir(tmp_path)
    Path("corpus.jsonl").write_text(CORPUS)
    return invoke


@pytest.fixture
def done(run):
    return succeed_silently


@pytest.fixture
def failed(run):
    return fail


@pytest.fixture
def misused(run):
    return misuse


@pytest.fixture
def library(done):
    """A collection `library` of three documents with an index `floor` and a graph over it."""
    done("add", "library", "corpus.jsonl")
    done("build", "library", "floor", "--embedder", "hashing")
    done("build", "library", "graph", "--vectors", "floor", "--ann", "HNSW8")
    return "library"


def damage(pattern):
    """Change a byte in the middle of a file; its name."""
    (path,) = Path("library").glob(pattern)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


FAULT = (
    r"{} is damaged: expected [\d,]+ bytes with SHA-256 [0-9a-f]{{12}}, found [\d,]+ with "
    r"[0-9a-f]{{12}}\. Repair the collection\."
)
WHOLE = "library/: intact; 3 documents, 3 vectors, 2 files\n"


# -- verify, repair -----------------------------------------------------------------------------


def test_a_whole_collection_is_said_to_be_whole(library, done):
    assert done("verify", library) == WHOLE
    assert objects(done("verify", library, "--json")) == [
        {
            "ok": True,
            "documents": 3,
            "passages": 3,
            "vectors": 3,
            "files": 2,
            "problems": [],
            "leftovers": [],
        }
    ]
    assert done("repair", library) == "library/: intact\n"
    assert objects(done("repair", library, "--json")) == [{"ok": True, "done": [], "left": []}]


def test_a_damaged_structure_is_named_and_built_again(library, run, done, failed):
    path = damage("ann/*")
    message, command = failed("search", library, "cat", "-i", "graph").splitlines()
    assert re.fullmatch(FAULT.format(path), message)
    assert command == "Run: retriever repair library"
    found = run("verify", library)
    assert (found.exit_code, found.stderr) == (1, "")
    first, second = found.stdout.splitlines()
    assert re.fullmatch(FAULT.format(path), first)
    assert second == "library/: 1 problem; 3 documents, 3 vectors, 2 files"
    (told,) = objects(run("verify", library, "--json").stdout)
    assert (told["ok"], told["problems"]) == (False, [{"what": first, "cure": "structure"}])
    assert done("repair", library) == "built the structure of 'graph' again\nlibrary/: intact\n"
    assert done("verify", library) == WHOLE


def test_damaged_vectors_are_embedded_again(library, run, done):
    before = done("search", library, "a kitten purrs", "-i", "graph", "--json")
    path = damage("vectors/*/*")
    (told,) = objects(run("verify", library, "--json").stdout)
    assert [problem["cure"] for problem in told["problems"]] == ["shard"]
    assert re.fullmatch(FAULT.format(path), told["problems"][0]["what"])
    assert objects(done("repair", library, "--json")) == [
        {
            "ok": True,
            "done": [
                "embedded 3 passages of 'floor' again",
                "built the structure of 'graph' again",
            ],
            "left": [],
        }
    ]
    assert done("verify", library) == WHOLE
    assert done("search", library, "a kitten purrs", "-i", "graph", "--json") == before


def test_what_cannot_be_derived_is_left_and_said(library, run):
    with Collection.open(library) as collection:
        catalog = collection._store.catalog
        with catalog.writing():
            catalog.execute("UPDATE texts SET text = 'other' WHERE text LIKE 'A kitten%'")
    found = run("verify", library)
    assert (found.exit_code, found.stdout) == (
        1,
        "Document 'cat' is damaged: its text is not what was added.\n"
        "Passage 1 is not within its document's text.\n"
        "library/: 2 problems; 3 documents, 3 vectors, 2 files\n",
    )
    mended = run("repair", library)
    assert (mended.exit_code, mended.stdout) == (
        1,
        "left: Document 'cat' is damaged: its text is not what was added.\n"
        "left: Passage 1 is not within its document's text.\n"
        "library/: 2 problems are left\n",
    )
    (told,) = objects(run("repair", library, "--json").stdout)
    assert (told["ok"], told["done"]) == (False, [])
    assert told["left"][0] == {
        "what": "Document 'cat' is damaged: its text is not what was added.",
        "cure": "",
    }


def test_what_a_crash_left_is_no_problem_and_is_removed(library, run, done):
    Path("library/vectors/x.npy").write_text("half")
    Path("library/ann/y.faiss.writing").write_text("half")
    found = run("verify", library)
    assert (found.exit_code, found.stdout) == (0, WHOLE)
    assert found.stderr == (
        "note: 2 files left by an interrupted write; the next write removes them.\n"
    )
    (told,) = objects(run("verify", library, "--json").stdout)
    assert told["leftovers"] == ["library/vectors/x.npy", "library/ann/y.faiss.writing"]
    assert done("repair", library) == (
        "removed library/vectors/x.npy, which the catalog does not name\n"
        "removed library/ann/y.faiss.writing, which the catalog does not name\n"
        "library/: intact\n"
    )
    assert done("verify", library) == WHOLE


# -- compact ------------------------------------------------------------------------------------


def test_compact_says_what_it_gave_back(library, done):
    done("delete", library, "cat")
    assert re.fullmatch(
        r"library/: 1 vector of deleted documents dropped, \d+\.\d kB freed\n",
        done("compact", library),
    )
    assert done("compact", library) == (
        "library/: 0 vectors of deleted documents dropped, nothing freed\n"
    )
    assert objects(done("compact", library, "--json")) == [{"vectors": 0, "freed": 0, "exact": []}]
    assert done("verify", library) == "library/: intact; 2 documents, 2 vectors, 2 files\n"


@pytest.mark.parametrize("command", ["verify", "repair", "compact"])
def test_what_is_no_collection_or_none_is_said(command, failed, misused):
    assert failed(command, "nowhere") == (
        "nowhere/ is not a collection: it has no catalog.db. Add documents to make one.\n"
        "Run: retriever add nowhere FILE"
    )
    assert misused(command) == "Missing argument 'LIBRARY'."


# -- delete -------------------------------------------------------------------------------------


def test_ids_to_delete_come_from_a_file_or_from_standard_input(library, done, failed):
    Path("ids.txt").write_text("cat\n\ntax\n")
    assert done("delete", library, "--ids", "ids.txt") == "deleted 2 documents; library/ has 1\n"
    assert done("delete", library, "--ids", "-", stdin="car\n") == (
        "deleted 1 document; library/ has 0\n"
    )
    assert failed("delete", library, "--ids", "ids.txt").startswith("No documents 'cat', 'tax' in")
    assert failed("delete", library, "--ids", "none.txt").startswith("No file or folder 'none.txt'")


def test_what_a_filter_lets_through_is_deleted(library, done):
    assert done("delete", library, "--where", "year < 1900") == (
        "deleted 0 documents; library/ has 3\n"
    )
    assert done("delete", library, "--where", "source = web or year >= 2024") == (
        "deleted 2 documents; library/ has 1\n"
    )
    assert done("show", library, "car").startswith("car  Engines\n")


def test_one_way_to_say_what_to_delete(library, misused, failed, done):
    one = "Give one of these: DOC_IDS, --ids FILE, --where FILTER."
    assert misused("delete", library) == one
    assert misused("delete", library, "cat", "--where", "year = 1999") == one
    assert misused("delete", library, "cat", "--ids", "ids.txt") == one
    assert misused("delete", library, "--ids", "ids.txt", "--where", "year = 1999") == one
    assert failed("delete", library, "--where", "year") == (
        "The filter 'year': expected =, !=, <, <=, >, >=, 'in' or 'exists' after 'year' at "
        "character 5, found the end. Example: year >= 2020 and source in (faq, 'press release')"
    )
    assert done("verify", library) == WHOLE


# -- search --where -----------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["floor", "graph"])
def test_search_finds_only_what_the_filter_lets_through(library, run, done, index):
    asked = ("search", library, "soft rumble", "-i", index, "--where")
    assert done(*asked, "year = 1999") == (
        "  1   0.577  car  Engines The engine idles with a soft rumble.\n"
    )
    nothing = "No document matches the filter."
    answer = run(*asked, "year = 1066")
    assert (answer.stdout, answer.stderr) == ("  no hits\n", f"note: {nothing}\n")
    assert objects(run(*asked, "year = 1066", "--json").stdout) == [
        {"query": "soft rumble", "index": index, "hits": 0, "notes": [nothing]}
    ]
    found = objects(done(*asked, "year > 2000 and not source exists", "--json"))
    assert [(hit["doc_id"], hit["metadata"]) for hit in found] == [("tax", {"year": 2024})]


def test_several_queries_and_indexes_take_one_filter(library, done):
    Path("queries.jsonl").write_text(
        '{"_id": "q1", "text": "kitten"}\n{"_id": "q2", "text": "rumble"}\n'
    )
    asked = ("search", library, "--queries", "queries.jsonl", "-i", "floor", "-i", "graph")
    found = objects(done(*asked, "--where", "year in (1999, 2021)", "--json", "-k", "1"))
    assert [(hit["query_id"], hit["index"], hit["doc_id"]) for hit in found] == [
        ("q1", "floor", "cat"),
        ("q1", "graph", "cat"),
        ("q2", "floor", "car"),
        ("q2", "graph", "car"),
    ]


# -- add --split, --index-field; build -o dtype -------------------------------------------------


def test_a_collection_is_made_with_a_split_and_fields(done, failed):
    added = ("add", "library", "corpus.jsonl", "--split", "4/1", "--index-field", "year")
    assert done(*added, "--index-field", "a.b") == (
        "3 new, 0 changed, 0 unchanged, 0 skipped; library/ has 3 documents\n"
    )
    assert done(*added, "--json") == (
        '{"new": 0, "changed": 0, "unchanged": 3, "skipped": 0, "documents": 3}\n'
    )
    built = done("build", "library", "floor", "--embedder", "hashing")
    assert re.fullmatch(
        r"floor: 7 passages embedded in \d+\.\d s, 0 already in the index, "
        r"indexed in \d+\.\d\d s\n",
        built,
    )
    info = done("info", "library").splitlines()
    assert info[0].startswith("library/: 3 documents, catalog ")
    assert info[1:3] == ["7 passages: 4 words, overlapping by 1", "indexed fields: year, a.b"]
    (facts,) = objects(done("info", "library", "--json"))
    assert (facts["passages"], facts["split"]) == (7, "4 words, overlapping by 1")
    assert facts["fields"] == ["year", "a.b"]
    (hit,) = objects(done("search", "library", "soft rumble", "-k", "1", "--json"))
    assert (hit["doc_id"], hit["text"], hit["passage"]) == ("car", "with a soft rumble.", [17, 36])


def test_a_split_that_cannot_be_is_refused(done, failed):
    assert failed("add", "library", "corpus.jsonl", "--split", "five") == (
        "Cannot split by 'five'; expected SIZE or SIZE/OVERLAP in words, the size at least 1 and "
        "the overlap below it. Write 200, 200/50, words:200/50 or sentences:200/50."
    )
    assert not Path("library").exists()
    done("add", "library", "corpus.jsonl")
    assert failed("add", "library", "corpus.jsonl", "--split", "sentences:5") == (
        "library/ splits none, and not into whole sentences up to 5 words: this is set when a "
        "collection is created. Leave split out, or create another collection."
    )


def test_vectors_are_stored_in_half_precision_on_request(library, done, failed, misused):
    done("build", library, "half", "--embedder", "hashing", "-o", "dtype", "float16")
    (info,) = objects(done("info", library, "--json"))
    facts = {index["name"]: index for index in info["indexes"]}
    assert {name: index["dtype"] for name, index in facts.items()} == {
        "floor": "float32",
        "graph": "float32",
        "half": "float16",
    }
    assert facts["floor"]["vectors_size"] - facts["half"]["vectors_size"] == 3 * 256 * 2
    (hit,) = objects(done("search", library, "kitten", "-i", "half", "-k", "1", "--json"))
    assert hit["doc_id"] == "cat"
    assert failed("build", library, "half", "-o", "dtype", "float32") == (
        "The vectors of 'half' are stored as float16, not float32. Leave dtype out, or build "
        "another index with an embedder."
    )
    assert failed("build", library, "new", "--embedder", "hashing", "-o", "dtype", "int8") == (
        "dtype is 'int8'; expected one of: float32, float16."
    )
    assert misused("build", library, "half", "-o", "dim", "16") == (
        "-o sets embedder options: give --embedder KIND:MODEL with it."
    )
    assert done("verify", library) == "library/: intact; 3 documents, 6 vectors, 3 files\n"
