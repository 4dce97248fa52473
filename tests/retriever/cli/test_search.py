import json
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from retriever import Collection
from retriever.cli import cli
from tests.support.commands import fail, invoke, misuse, objects, succeed

RETRIEVER = Path(sys.executable).parent / "retriever"

CORPUS = """\
{"_id": "cat", "text": "A kitten purrs when it is content."}
{"_id": "car", "title": "Engines", "text": "The engine idles with a soft rumble.", "year": 1999}
{"_id": "tax", "text": "The filing deadline is the end of April."}
"""
QUERIES = '{"_id": "q1", "text": "a kitten purrs"}\n{"_id": "q2", "text": "filing deadline"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\tcat\t1\nq2\ttax\t2\nq2\tcar\t0\n"


def test_search_lists_the_hits_of_one_index(library):
    lines = succeed("search", library, "when is the filing deadline", "-k", "2").splitlines()
    assert len(lines) == 2
    assert lines[0].split()[0] == "1"
    assert lines[0].endswith("  tax  The filing deadline is the end of April.")


def test_search_shows_several_indexes_side_by_side(library):
    succeed("build", library, "narrow", "--embedder", "hashing", "-o", "dim", "8")
    out = succeed("search", library, "a kitten purrs", "-i", "floor", "-i", "narrow")
    assert out.splitlines()[0] == "found by both (3)"
    assert out.splitlines()[1].startswith("  floor   1  narrow ")
    assert out.splitlines()[1].endswith("  cat  A kitten purrs when it is content.")


def test_search_prints_one_json_object_a_hit(library):
    (hit,) = objects(succeed("search", library, "soft engine", "-k", "1", "--json"))
    score = hit.pop("score")
    assert 0 < score <= 1
    assert hit == {
        "query": "soft engine",
        "index": "floor",
        "rank": 1,
        "doc_id": "car",
        "text": "The engine idles with a soft rumble.",
        "title": "Engines",
        "metadata": {"year": 1999},
        "passage": [0, 36],
    }
    with Collection.open(library) as collection:
        assert score == collection.search("soft engine", k=1)[0].score


def test_search_asks_every_query_of_a_file(library):
    succeed("build", library, "graph", "--vectors", "floor", "--ann", "HNSW16")
    command = ("search", library, "--queries", "queries.jsonl", "-i", "floor", "-i", "graph")
    hits = objects(succeed(*command, "-k", "1", "--json"))
    assert [(h["query_id"], h["index"], h["doc_id"]) for h in hits] == [
        ("q1", "floor", "cat"),
        ("q1", "graph", "cat"),
        ("q2", "floor", "tax"),
        ("q2", "graph", "tax"),
    ]
    lines = succeed(*command, "-k", "1").splitlines()
    assert [line for line in lines if line.startswith("q")] == [
        "q1: a kitten purrs",
        "q2: filing deadline",
    ]


def test_a_hit_is_one_line_on_a_narrow_terminal(library):
    terminal = {"FORCE_COLOR": "1", "COLUMNS": "40"}
    result = CliRunner().invoke(cli, ["search", library, "a kitten purrs"], env=terminal)
    lines = click.unstyle(result.stdout).splitlines()
    assert lines[0].endswith("cat  A kitten purrs when i…")
    assert [len(line) for line in lines] == [40, 40, 40]


def test_a_query_is_no_markup(library):
    Path("odd.txt").write_text("[red]kitten[/b] :cat: \\[x]\n")
    lines = succeed("search", library, "--queries", "odd.txt").splitlines()
    assert lines[1] == "1: [red]kitten[/b] :cat: \\[x]"


def test_unknown_words_are_noted_on_stderr(library):
    result = invoke("search", library, "!!!")
    assert (result.exit_code, result.stdout) == (0, "  no hits\n")
    assert result.stderr == "note: No known word in '!!!': hashing-256 finds nothing for it.\n"
    result = invoke("search", library, "!!!", "--json")
    assert objects(result.stdout) == [
        {
            "query": "!!!",
            "index": "floor",
            "hits": 0,
            "notes": ["No known word in '!!!': hashing-256 finds nothing for it."],
        }
    ]
    assert result.stderr.startswith("note: No known word")


def test_json_says_which_query_and_index_found_nothing(library):
    succeed("build", library, "graph", "--vectors", "floor", "--ann", "HNSW16")
    Path("odd.jsonl").write_text('{"_id": "a", "text": "kitten"}\n{"_id": "b", "text": "!!!"}\n')
    command = ("search", library, "--queries", "odd.jsonl", "-i", "floor", "-i", "graph", "-k", "1")
    answers = objects(succeed(*command, "--json"))
    assert [(a["query_id"], a["index"], a.get("doc_id"), a.get("hits")) for a in answers] == [
        ("a", "floor", "cat", None),
        ("a", "graph", "cat", None),
        ("b", "floor", None, 0),
        ("b", "graph", None, 0),
    ]


def test_a_query_cannot_steer_the_terminal(library):
    query = {"_id": "q\x1b[2J", "text": "a \x1b]0;title\x07kitten\n\x9b2Jpurrs"}
    Path("odd.jsonl").write_text(json.dumps(query))
    lines = succeed("search", library, "--queries", "odd.jsonl").splitlines()
    assert lines[1] == "q [2J: a ]0;title kitten 2Jpurrs"


def test_documents_that_are_not_indexed_yet_are_noted_once(library):
    invoke("add", library, "-", stdin='{"id": "new", "text": "new"}')
    result = invoke("search", library, "--queries", "queries.jsonl")
    assert result.stderr == (
        "note: 1 document in library/ is not in index 'floor' yet. "
        "Run: retriever build library floor\n"
    )


def test_what_cannot_be_searched_is_said(library):
    assert fail("search", library, "  ") == "The query is empty. Give some text to search for."
    assert fail("search", library, "x", "-i", "flor") == (
        "No index 'flor' in library/. It has: floor."
    )
    assert fail("search", "nowhere", "x").startswith("nowhere/ is not a collection")
    assert fail("search", library, "--queries", "none.txt").startswith("No file or folder 'none")
    assert fail("search", library, "\udcff").startswith("Text 0 is not valid Unicode")
    assert misuse("search", library) == "Give a QUERY, or --queries FILE."
    assert misuse("search", library, "x", "--queries", "q") == "Give a QUERY, or --queries FILE."
    assert "0 is not in the range x>=1" in misuse("search", library, "x", "-k", "0")


def test_several_indexes_need_a_choice(library):
    succeed("build", library, "again", "--vectors", "floor")
    assert fail("search", library, "x") == (
        "Say which index to search with -i. library/ has: floor, again."
    )


@pytest.mark.parametrize("index", ["floor", "graph"])
def test_search_finds_only_what_the_filter_lets_through(library, index):
    asked = ("search", library, "soft rumble", "-i", index, "--where")
    assert succeed_silently(*asked, "year = 1999") == (
        "  1   0.577  car  Engines The engine idles with a soft rumble.\n"
    )
    nothing = "No document matches the filter."
    answer = invoke(*asked, "year = 1066")
    assert (answer.stdout, answer.stderr) == ("  no hits\n", f"note: {nothing}\n")
    assert objects(invoke(*asked, "year = 1066", "--json").stdout) == [
        {"query": "soft rumble", "index": index, "hits": 0, "notes": [nothing]}
    ]
    found = objects(succeed_silently(*asked, "year > 2000 and not source exists", "--json"))
    assert [(hit["doc_id"], hit["metadata"]) for hit in found] == [("tax", {"year": 2024})]


def test_several_queries_and_indexes_take_one_filter(library):
    Path("queries.jsonl").write_text(
        '{"_id": "q1", "text": "kitten"}\n{"_id": "q2", "text": "rumble"}\n'
    )
    asked = ("search", library, "--queries", "queries.jsonl", "-i", "floor", "-i", "graph")
    found = objects(
        succeed_silently(*asked, "--where", "year in (1999, 2021)", "--json", "-k", "1")
    )
    assert [(hit["query_id"], hit["index"], hit["doc_id"]) for hit in found] == [
        ("q1", "floor", "cat"),
        ("q1", "graph", "cat"),
        ("q2", "floor", "car"),
        ("q2", "graph", "car"),
    ]
