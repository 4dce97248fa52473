"""Tests of `search` by documents, with diversity, with conditions on words, and on a terminal."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from retriever.cli import cli
from tests.support.commands import fail, misuse, objects, succeed


@pytest.fixture
def words(library):
    """The collection `library` with a further document and a BM25 index."""
    more = {
        "_id": "kit",
        "title": "Litters",
        "text": "Cats sleep. They hunt. When is a kitten content? A kitten plays.",
        "author": {"name": "Ada\nL."},
    }
    Path("more.jsonl").write_text(json.dumps(more))
    succeed("add", library, "more.jsonl")
    succeed("build", library, "floor")
    succeed("build", library, "bm25", "--lexical")
    return library


def on_terminal(*arguments, columns):
    """The lines on a terminal, with styles."""
    terminal = {"FORCE_COLOR": "1", "COLUMNS": str(columns), "TERM": "xterm"}
    result = CliRunner().invoke(cli, [*arguments], env=terminal)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def found(*arguments):
    return [one.get("doc_id") for one in objects(succeed("search", *arguments, "--json"))]


def test_search_finds_documents_like_others(words):
    assert found(words, "--like", "cat", "-i", "bm25", "-k", "1") == ["kit"]
    assert "cat" not in found(words, "--like", "cat", "-i", "bm25")
    assert set(found(words, "--like", "cat", "--unlike", "tax", "-i", "floor")) == {"kit", "car"}
    (one, *_) = objects(succeed("search", words, "--like", "cat", "-i", "bm25", "--json"))
    assert one["query"] == "like cat"
    assert "'dog'" in fail("search", words, "--like", "dog", "-i", "bm25")
    assert misuse("search", words, "query", "--like", "cat").startswith("Give a QUERY, or")
    assert fail("search", words, "--unlike", "cat", "-i", "bm25").startswith("Say which documents")


def test_search_takes_a_balance_of_relevance_and_diversity_with_a_default(words):
    usual = found(words, "a kitten", "-i", "floor")
    assert found(words, "a kitten", "-i", "floor", "--mmr", "1") == usual
    assert found(words, "a kitten", "-i", "floor", "--mmr") == (
        found(words, "a kitten", "-i", "floor", "--mmr", "0.5")
    )
    assert "is not in the range 0<=x<=1" in misuse("search", words, "x", "--mmr", "2")


def test_search_takes_conditions_on_words(words):
    assert set(found(words, "kitten content purrs", "-i", "bm25")) == {"cat", "kit"}
    assert found(words, "kitten content purrs", "-i", "bm25", "--all-words") == ["cat"]
    assert found(words, "kitten content", "-i", "bm25", "--phrase") == ["kit"]
    assert "are for BM25" in fail("search", words, "kitten", "-i", "floor", "--phrase")


def test_chosen_metadata_is_shown_with_each_hit_and_nothing_else(words):
    lines = succeed("search", words, "kitten", "-i", "bm25", "--fields", "year, author.name,x")
    assert sorted(line.strip().split("  ", 2)[-1].strip() for line in lines.splitlines()) == [
        "cat  year=2021  A kitten purrs when it is content.",
        "kit  author.name=Ada L.  Litters Cats sleep. They hunt. When is a kitten content? A ki…",
    ]


def test_on_a_terminal_the_best_sentence_is_shown_with_shared_words_marked(words):
    arguments = ["search", words, "KITTENS are content", "-i", "bm25", "--fields", "author.name"]
    lines = on_terminal(*arguments, columns=70)
    plain = [click.unstyle(line) for line in lines]
    at = next(n for n, line in enumerate(plain) if "kit " in line)
    assert plain[at].endswith("kit  author.name=Ada L.  Litters")
    assert plain[at + 1] == " " * 13 + "When is a kitten content?"
    marked = [part.split("\x1b")[0] for part in lines[at + 1].split("\x1b[1;33m")[1:]]
    assert marked == ["kitten", "content"]
    assert len(lines) == 4


def test_no_line_on_a_terminal_is_wider_and_marked_words_are_visible(library):
    far = "word " * 60 + "the zebra stands here " + "word " * 60
    Path("far.jsonl").write_text(json.dumps({"_id": "far", "title": "T" * 200, "text": far}))
    succeed("add", library, "far.jsonl")
    succeed("build", library, "bm25", "--lexical")
    lines = on_terminal("search", library, "zebra", "-i", "bm25", columns=80)
    plain = [click.unstyle(line) for line in lines]
    assert [len(line) <= 80 for line in plain] == [True, True]
    assert "zebra stands" in plain[1]
    assert plain[1].strip().startswith("…word")
    assert plain[1].endswith("…")


def test_several_indexes_use_the_width_of_the_terminal(words):
    both = ("-i", "floor", "-i", "bm25", "--fields", "author.name")
    lines = on_terminal("search", words, "kitten", *both, columns=150)
    (line,) = [click.unstyle(line) for line in lines if "Litters" in line]
    assert line.endswith(
        "author.name=Ada L.  Litters Cats sleep. They hunt. When is a kitten content? "
        "A kitten plays."
    )
    assert len(line) > 100


def test_controls_in_texts_and_metadata_do_not_reach_a_terminal(library):
    bad = {"_id": "bad", "title": "t\x1b[2J", "text": "owl \x1b]0;x\x07 owl", "f": "\x1b[31m"}
    Path("bad.jsonl").write_text(json.dumps(bad))
    succeed("add", library, "bad.jsonl")
    succeed("build", library, "bm25", "--lexical")
    lines = on_terminal("search", library, "owl", "-i", "bm25", "--fields", "f", columns=90)
    assert not any(one in "".join(lines) for one in ("\x1b[2J", "\x1b]0", "\x07", "\x1b[31m"))


def test_build_takes_the_options_of_bm25(library):
    out = succeed("build", library, "bm25", "--lexical", "--stopwords", "--k1", "0.9", "--b", "0.4")
    assert out.startswith("bm25: 3 documents read")
    assert "BM25, english, no stop words, k1 0.9, b 0.4" in succeed("info", library)
    assert fail("build", library, "x", "--lexical", "--b", "2").startswith("b is 2.0; expected")
    assert misuse("build", library, "y", "--fuse", "bm25", "--fuse", "floor", "--k1", "1")
