"""Tests of `queries`, and of `compare` by queries that are made from the collection."""

import json
from pathlib import Path

import pytest

from retriever.cli.made.command import queries
from retriever.document_queries.kinds import KINDS
from tests.support.commands import fail, invoke, misuse, objects, succeed

TEXTS = {
    "cat": "A cat purrs when content. Some purr in pain as well. Vets listen to that low sound.",
    "tax": "Taxes are due in April. Late returns cost a growing fee. A short form extends it.",
    "car": "The engine idles softly. Cold oil makes it much louder. Mechanics know each tone.",
}


@pytest.fixture
def library():
    """A collection of three documents of three sentences, without an index."""
    rows = [json.dumps({"_id": one, "text": text}) for one, text in TEXTS.items()]
    Path("texts.jsonl").write_text("\n".join(rows))
    succeed("add", "library", "texts.jsonl")
    return "library"


def test_queries_are_written_and_compared_by_their_file(library):
    made = invoke("queries", library, "-o", "made.jsonl", "--kind", "first", "-n", "3")
    assert made.stderr == "note: wrote made.jsonl: 3 queries of 3 documents: 3 by first\n"
    lines = objects(Path("made.jsonl").read_text())
    assert {line["doc_id"]: line["text"] for line in lines} == {
        one: text.split(". ")[0] + "." for one, text in TEXTS.items()
    }
    assert all(line["text"] not in line["rest"] for line in lines)
    succeed("build", library, "bm25", "--lexical")
    succeed("build", library, "floor", "--embedder", "hashing")
    bm25, floor = objects(succeed("compare", library, "--queries", "made:made.jsonl", "--json"))
    assert list(bm25["quality"]) == ["RR@100", "Success@1", "Success@10"]
    assert (bm25["queries"], floor["queries"]) == (3, 3)


def test_compare_makes_queries_and_says_what_they_cannot_show(library):
    succeed("build", library, "floor", "--embedder", "hashing")
    result = invoke("compare", library, "--queries", "made:5", "--markdown", "t.md", "--seed", "2")
    assert result.exit_code == 0
    assert "MRR@100" in result.stdout
    assert "They cannot show how it does on what users ask" in " ".join(result.stderr.split())
    assert "| floor |" in Path("t.md").read_text()


def test_every_kind_can_be_chosen():
    (kinds,) = (one for one in queries.params if one.name == "kinds")
    assert list(kinds.type.choices) == list(KINDS)


def test_what_cannot_be_made_is_refused(library):
    succeed("build", library, "floor", "--embedder", "hashing")
    compare = ("compare", library, "--queries")
    assert fail(*compare, "made:nothing").startswith("'nothing' is neither a number of queries to")
    assert fail(*compare, "made:0").startswith("The number of queries is 0; expected")
    assert misuse(*compare, "made:3", "--qrels", "qrels.tsv").startswith("Made queries need no")
    assert "--output" in misuse("queries", library)


def test_a_file_that_was_edited_is_replaced_only_when_asked(library):
    make = ("queries", library, "-o", "made.jsonl")
    succeed(*make)
    first = Path("made.jsonl").read_text()
    Path("made.jsonl").write_text("edited")
    assert fail(*make) == "made.jsonl exists. Give --force (force=True) to replace it."
    assert Path("made.jsonl").read_text() == "edited"
    succeed(*make, "--force")
    assert Path("made.jsonl").read_text() == first


def test_queries_that_name_no_document_are_not_taken_for_made_ones(library):
    Path("own.jsonl").write_text('{"_id": "q", "text": "a cat"}')
    found = fail("compare", library, "--queries", "made:own.jsonl")
    assert "no doc_id, which made queries have; give others without made:" in found


@pytest.mark.parametrize(
    "command",
    [
        ("queries", "library", "--force", "-o"),
        ("search", "library", "a cat", "-i", "floor", "--format", "csv", "--output"),
        ("datasette", "library", "--metadata"),
        ("compare", "library", "--queries", "made:3", "--html"),
        ("compare", "library", "--queries", "made:3", "--latex"),
    ],
)
@pytest.mark.usefixtures("library")
def test_no_command_writes_over_a_file_of_the_collection(command):
    succeed("build", "library", "floor", "--embedder", "hashing")
    before = Path("library/catalog.db").read_bytes()
    message = misuse(*command, "library/catalog.db")
    assert message.endswith(
        "library/catalog.db would overwrite a file of the collection. Give another file."
    )
    assert Path("library/catalog.db").read_bytes() == before


def test_no_search_writes_over_its_queries(library):
    Path("own.jsonl").write_text('{"_id": "q", "text": "a cat"}')
    ask = ("search", library, "--queries", "own.jsonl", "--format", "csv", "--output")
    for name in ("own.jsonl", "./own.jsonl"):
        assert "would overwrite own.jsonl" in misuse(*ask, name)


def test_no_run_is_written_over_an_input(library):
    succeed("build", library, "floor", "--embedder", "hashing")
    Path("floor.trec").write_text("<top>\n<num> 1\n<title> a cat\n</top>\n")
    message = misuse("compare", library, "--queries", "floor.trec", "--runs", ".")
    assert message == "--runs . would overwrite floor.trec. Give another folder."


def test_options_of_a_reranker_need_one(library):
    succeed("build", library, "floor", "--embedder", "hashing")
    for command in (("search", library, "a cat"), ("compare", library, "--queries", "made:3")):
        assert "--rerank-depth is for a reranker: give" in misuse(*command, "--rerank-depth", "5")
        assert "-o sets options of a reranker: give" in misuse(*command, "-o", "max_length", "5")


def test_why_needs_judgments(library):
    succeed("build", library, "floor", "--embedder", "hashing")
    Path("own.jsonl").write_text('{"_id": "q", "text": "a cat"}')
    asked = ("compare", library, "--queries", "own.jsonl", "--why", "2")
    assert misuse(*asked) == "--why needs judgments: --qrels FILE."
