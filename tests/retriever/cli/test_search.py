"""Tests of `search`."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from retriever import Collection
from retriever.cli import cli
from tests.support.commands import fail, invoke, misuse, objects, succeed

BOTH = ("-i", "floor", "-i", "graph")
UNKNOWN = "No known word in '!!!': hashing-256 finds nothing for it."


def best_of_each(*command):
    """The query, the index, the best hit and the count of hits, as JSON has them."""
    answers = objects(succeed("search", *command, *BOTH, "-k", "1", "--json"))
    return [(a["query_id"], a["index"], a.get("doc_id", a.get("hits"))) for a in answers]


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


def test_search_prints_one_json_object_per_hit(library):
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
        "stale": False,
    }
    with Collection.open(library) as collection:
        assert score == collection.search("soft engine", k=1)[0].score


def test_search_answers_every_query_of_a_file(two):
    assert best_of_each(two, "--queries", "queries.jsonl") == [
        ("q1", "floor", "cat"),
        ("q1", "graph", "cat"),
        ("q2", "floor", "tax"),
        ("q2", "graph", "tax"),
    ]
    lines = succeed("search", two, "--queries", "queries.jsonl", *BOTH).splitlines()
    queries = ["q1: a kitten purrs", "q2: filing deadline"]
    assert [line for line in lines if line.startswith("q")] == queries


def test_a_hit_is_one_line_on_a_narrow_terminal(library):
    terminal = {"FORCE_COLOR": "1", "COLUMNS": "40"}
    result = CliRunner().invoke(cli, ["search", library, "a kitten purrs"], env=terminal)
    lines = click.unstyle(result.stdout).splitlines()
    assert lines[0].endswith("cat  A kitten purrs when i…")
    assert [len(line) for line in lines] == [40, 40, 40]


@pytest.mark.parametrize(
    ("query_id", "query", "line"),
    [
        ("1", "[red]kitten[/b] :cat: \\[x]", "1: [red]kitten[/b] :cat: \\[x]"),
        ("q\x1b[2J", "a \x1b]0;title\x07kitten\n\x9b2Jpurrs", "q [2J: a ]0;title kitten 2Jpurrs"),
    ],
)
def test_a_query_cannot_format_or_control_the_terminal(library, query_id, query, line):
    Path("odd.jsonl").write_text(json.dumps({"_id": query_id, "text": query}))
    assert succeed("search", library, "--queries", "odd.jsonl").splitlines()[1] == line


def test_unknown_words_are_noted_on_stderr_and_in_json(two):
    result = invoke("search", two, "!!!", "-i", "floor")
    assert (result.exit_code, result.stdout) == (0, "  no hits\n")
    assert result.stderr == f"note: {UNKNOWN}\n"
    result = invoke("search", two, "!!!", "-i", "floor", "--json")
    assert result.stderr == f"note: {UNKNOWN}\n"
    (record,) = objects(result.stdout)
    assert record == {"query": "!!!", "index": "floor", "hits": 0, "notes": [UNKNOWN]}
    Path("odd.jsonl").write_text('{"_id": "a", "text": "kitten"}\n{"_id": "b", "text": "!!!"}\n')
    assert best_of_each(two, "--queries", "odd.jsonl") == [
        ("a", "floor", "cat"),
        ("a", "graph", "cat"),
        ("b", "floor", 0),
        ("b", "graph", 0),
    ]


def test_documents_that_are_not_indexed_yet_are_noted_once(library):
    invoke("add", library, "-", stdin='{"id": "new", "text": "new"}')
    result = invoke("search", library, "--queries", "queries.jsonl")
    assert result.stderr == (
        "note: 1 document in library/ is not in index 'floor' yet. "
        "Run: retriever build library floor\n"
    )


def test_a_document_found_by_its_text_before_an_edit_is_marked(library):
    invoke("add", library, "-", stdin='{"id": "cat", "text": "It sleeps."}')
    result = invoke("search", library, "a kitten purrs", "-k", "1")
    assert result.stdout.endswith("  cat  stale  It sleeps.\n")
    assert result.stderr == (
        "note: 1 edited document in library/ answers by its earlier text in index 'floor'. "
        "Run: retriever build library floor\n"
    )
    (hit,) = objects(succeed("search", library, "a kitten purrs", "-k", "1", "--json"))
    assert (hit["doc_id"], hit["text"], hit["stale"]) == ("cat", "It sleeps.", True)
    found = [line.split() for line in succeed("info", library).splitlines()]
    assert ["edited,", "found", "by", "earlier", "text", "1"] in found


def test_what_cannot_be_searched_is_refused(two):
    assert fail("search", two, "  ", "-i", "floor") == (
        "The query is empty. Give some text to search for."
    )
    assert fail("search", two, "x", "-i", "flor") == (
        "No index 'flor' in library/. It has: floor, graph. Did you mean 'floor'?"
    )
    assert fail("search", "nowhere", "x").startswith("nowhere/ is not a collection")
    assert fail("search", two, "--queries", "none.txt").startswith("No file or folder 'none")
    unicode = fail("search", two, "\udcff", "-i", "floor")
    assert unicode.startswith("Text 0 is not valid Unicode")
    one = "Give a QUERY, or --like DOC_ID, or --image, --queries or --vector with a FILE."
    assert misuse("search", two) == one
    assert misuse("search", two, "x", "--queries", "q") == one
    assert "0 is not in the range x>=1" in misuse("search", two, "x", "-k", "0")


@pytest.mark.parametrize("index", ["floor", "graph"])
def test_a_filter_restricts_the_hits(two, index):
    command = ("search", two, "soft rumble", "-i", index, "--where")
    assert succeed(*command, "year = 1999") == (
        "  1   0.577  car  Engines The engine idles with a soft rumble.\n"
    )
    nothing = "No document matches the filter."
    answer = invoke(*command, "year = 1066")
    assert (answer.stdout, answer.stderr) == ("  no hits\n", f"note: {nothing}\n")
    (record,) = objects(succeed(*command, "year = 1066", "--json"))
    assert record == {"query": "soft rumble", "index": index, "hits": 0, "notes": [nothing]}
    (hit,) = objects(succeed(*command, "year > 2000 and not source exists", "--json"))
    assert (hit["doc_id"], hit["metadata"]) == ("tax", {"year": 2024})


def test_a_filter_applies_to_all_queries_and_indexes(two):
    Path("more.jsonl").write_text(
        '{"_id": "a", "text": "kitten"}\n{"_id": "b", "text": "rumble"}\n'
    )
    assert best_of_each(two, "--queries", "more.jsonl", "--where", "year in (1999, 2021)") == [
        ("a", "floor", "cat"),
        ("a", "graph", "cat"),
        ("b", "floor", "car"),
        ("b", "graph", "car"),
    ]
