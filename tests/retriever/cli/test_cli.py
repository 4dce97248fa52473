import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from indexes.errors import RetrieverError
from indexes.ingest.batches import BATCH_RECORDS
from retriever import Collection, __version__, compare
from retriever.cli import cli
from retriever.formats import read_qrels, read_queries
from tests.support.commands import fail, invoke, misuse, objects, printed_error, succeed

RETRIEVER = Path(sys.executable).parent / "retriever"

CORPUS = """\
{"_id": "cat", "text": "A kitten purrs when it is content."}
{"_id": "car", "title": "Engines", "text": "The engine idles with a soft rumble.", "year": 1999}
{"_id": "tax", "text": "The filing deadline is the end of April."}
"""
QUERIES = '{"_id": "q1", "text": "a kitten purrs"}\n{"_id": "q2", "text": "filing deadline"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\tcat\t1\nq2\ttax\t2\nq2\tcar\t0\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command line, in a fresh folder that holds a corpus, queries and judgments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENSIM_DATA_DIR", "no-gensim-data")
    Path("corpus.jsonl").write_text(CORPUS)
    Path("queries.jsonl").write_text(QUERIES)
    Path("qrels.tsv").write_text(QRELS)
    return invoke


@pytest.fixture
def done(run):
    return succeed


@pytest.fixture
def failed(run):
    return fail


@pytest.fixture
def misused(run):
    return misuse


@pytest.fixture
def library(done):
    """A collection `library` of three documents with an index `floor`."""
    done("add", "library", "corpus.jsonl")
    done("build", "library", "floor", "--embedder", "hashing")
    return "library"


# -- add ----------------------------------------------------------------------------------------


def test_add_says_what_it_did(done):
    assert done("add", "library", "corpus.jsonl") == (
        "3 new, 0 changed, 0 unchanged, 0 skipped; library/ has 3 documents\n"
    )
    Path("corpus.jsonl").write_text(CORPUS.replace("soft", "loud"))
    assert done("add", "library", "corpus.jsonl") == (
        "0 new, 1 changed, 2 unchanged, 0 skipped; library/ has 3 documents\n"
    )


def test_add_takes_several_sources_of_every_kind(done):
    Path("notes").mkdir()
    Path("notes/a.md").write_text("a note")
    Path("table.csv").write_text("id,text\n1,one\n")
    Path("more.jsonl.gz").write_bytes(gzip.compress(b'{"id": 2, "text": "two"}\n'))
    assert done("add", "library", "corpus.jsonl", "notes", "table.csv", "more.jsonl.gz") == (
        "6 new, 0 changed, 0 unchanged, 0 skipped; library/ has 6 documents\n"
    )
    with Collection.open("library") as collection:
        ids = [document.doc_id for document in collection.documents()]
    assert ids == ["cat", "car", "tax", "a.md", "1", "2"]


def test_add_reads_standard_input(done):
    line = "3 new, 0 changed, 0 unchanged, 0 skipped; library/ has 3 documents\n"
    assert done("add", "library", "-", stdin=CORPUS) == line
    assert done("add", "library", "-", stdin=gzip.compress(CORPUS.encode())).startswith("0 new")
    tsv = "id\ttext\nx\tan x\n"
    assert done("add", "library", "-", "--format", "tsv", stdin=tsv).startswith("1 new")


def test_add_takes_a_format_for_a_file_of_any_name(done, failed):
    Path("corpus.dump").write_text(CORPUS)
    message = failed("add", "library", "corpus.dump")
    assert message.startswith("corpus.dump has the unknown extension '.dump'.")
    assert message.endswith("pass the format with --format (jsonl, csv, tsv, parquet, text).")
    assert "3 new" in done("add", "library", "corpus.dump", "--format", "jsonl")
    # Every format that the message names is one that the option takes.
    assert "1 new" in done("add", "library", "corpus.dump", "--format", "text")


def test_add_prints_json(done):
    done("add", "library", "corpus.jsonl")
    assert objects(done("add", "library", "corpus.jsonl", "--json")) == [
        {
            "new": 0,
            "changed": 0,
            "unchanged": 3,
            "skipped": 0,
            "documents": 3,
        }
    ]


BAD = CORPUS + '{"_id": "x"}\nnot json\n{"_id": "cat", "text": "again"}\n'


def test_bad_records_are_listed_with_file_and_line_and_nothing_is_kept(done, failed):
    done("add", "library", "-", stdin='{"id": "old", "text": "old"}')
    Path("bad.jsonl").write_text(BAD)
    assert failed("add", "library", "bad.jsonl").splitlines() == [
        "3 bad records; nothing was kept:",
        "  bad.jsonl:4: no 'text'",
        "  bad.jsonl:5: not JSON: Expecting value at column 1",
        "  bad.jsonl:6: id 'cat' came before, at bad.jsonl:1",
        "Fix them, or skip bad records (skip_bad).",
    ]
    with Collection.open("library") as collection:
        assert [document.doc_id for document in collection.documents()] == ["old"]


def test_skip_bad_keeps_the_good_and_lists_the_rest(run):
    Path("bad.jsonl").write_text(BAD + "no\n" * 10)
    result = run("add", "library", "bad.jsonl", "--skip-bad", "--json")
    assert result.exit_code == 0
    assert objects(result.stdout)[0]["skipped"] == 13
    notes = result.stderr.splitlines()
    assert notes[0] == "note: skipped bad.jsonl:4: no 'text'"
    assert (len(notes), notes[-1]) == (11, "note: skipped 3 more")


def test_nothing_is_kept_of_a_call_with_one_bad_source(failed):
    Path("bad.jsonl").write_text("{}\n")
    assert "bad.jsonl:1: no id" in failed("add", "library", "corpus.jsonl", "bad.jsonl")
    with Collection.open("library") as collection:
        assert len(collection) == 0


def test_an_id_that_two_sources_of_a_call_have_is_named(failed):
    Path("more.jsonl").write_text('{"_id": "cat", "text": "another cat"}\n')
    message = failed("add", "library", "corpus.jsonl", "more.jsonl")
    assert "more.jsonl:1: id 'cat' came before, at corpus.jsonl:1" in message


def test_a_source_that_is_not_there_leaves_no_collection_behind(failed):
    failed("add", "library", "corpus.jsonl", "typo.jsonl")
    assert not Path("library").exists()


def test_swapped_arguments_are_said(failed):
    assert failed("add", "corpus.jsonl", "corpus.jsonl") == (
        "corpus.jsonl is a file; expected the folder of a collection. "
        "The folder comes before other files."
    )


def test_what_cannot_be_added_is_said(failed, misused):
    assert failed("add", "library", "corpus.jsnl") == (
        "No file or folder 'corpus.jsnl'. Pass an existing path, or '-' for standard input."
    )
    Path("broken.jsonl.gz").write_bytes(b"not gzip")
    assert failed("add", "library", "broken.jsonl.gz").startswith(
        "broken.jsonl.gz ends in .gz, but"
    )
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("precious")
    assert "thesis/ is not a collection: it has no catalog.db" in failed(
        "add", "thesis", "corpus.jsonl"
    )
    assert misused("add", "library").startswith("Give SOURCES to add; only --index-field")
    assert "'xml' is not one of 'jsonl', 'csv'" in misused("add", "lib", "a.xml", "--format", "xml")


# -- build --------------------------------------------------------------------------------------


def test_build_embeds_once(done):
    done("add", "library", "corpus.jsonl")
    first = done("build", "library", "floor", "--embedder", "hashing", "-o", "dim", "64")
    assert re.fullmatch(
        r"floor: 3 documents embedded in \d+\.\d s, 0 already in the index, indexed in 0\.00 s\n",
        first,
    )
    for again in (
        done("build", "library", "floor"),
        done("build", "library", "floor", "--embedder", "hashing", "-o", "dim", "64"),
        done("build", "library", "graph", "--vectors", "floor", "--ann", "HNSW16"),
    ):
        assert ": 0 documents embedded in 0.0 s, 3 already in the index, indexed in 0." in again
    with Collection.open("library") as collection:
        floor, graph = collection.info().indexes
    assert (floor.dim, floor.factory, graph.factory) == (64, "Flat", "HNSW16")
    assert graph.vectors_shared_with == ("floor",)


def test_build_prints_json_and_notes(run):
    run("add", "library", "-", stdin=CORPUS + '{"id": "empty", "text": ""}')
    result = run("build", "library", "floor", "--embedder", "hashing", "--json")
    (report,) = objects(result.stdout)
    assert (report["name"], report["embedded"], report["already"]) == ("floor", 4, 0)
    assert report["text"]["texts"] == 4
    assert report["failed"] == []
    assert result.stderr == "note: 'floor': 1 document has nothing that hashing-256 can embed.\n"
    assert run("build", "library", "floor").stderr == result.stderr


def test_what_cannot_be_built_is_said(library, failed, misused):
    def build(*arguments):
        return failed("build", library, "new", *arguments)

    assert build("--embedder", "hash") == (
        "No kind of embedder 'hash'. There are: static, contextual, elmo, hashing."
    )
    assert build("--embedder", "hashing", "-o", "dims", "64") == (
        "No option 'dims' for hashing. It has: dim."
    )
    assert build("--embedder", "hashing", "-o", "dim", "wide") == (
        "Option 'dim' of hashing is 'wide'; expected a whole number."
    )
    assert build("--embedder", "hashing:glove").startswith("'hashing' takes no model")
    assert build("--embedder", "static").startswith("'static' names no model. Write static:NAME")
    assert build("--vectors", "flor") == "No index 'flor' in library/. It has: floor."
    assert build("--vectors", "floor", "--ann", "Quick").startswith("FAISS knows no index 'Quick'")
    assert build().startswith("Say how to build 'new': either --embedder KIND:MODEL")
    assert failed("build", library, "a/b", "--embedder", "hashing").startswith("'a/b' cannot name")
    assert failed("build", "nowhere", "new").startswith("nowhere/ is not a collection")
    assert misused("build", library, "new", "-o", "dim", "64") == (
        "-o sets embedder options: give --embedder KIND:MODEL with it."
    )
    assert misused("build", library) == "Missing argument 'NAME'."
    with Collection.open(library) as collection:
        assert collection.index_names() == ["floor"]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [("static:no-such-words", "word vectors"), ("contextual:no-such-model", "sentence model")],
)
def test_a_model_that_cannot_be_had_offline_says_what_was_tried(library, failed, spec, kind):
    name = spec.split(":")[1]
    lines = failed("build", library, "new", "--embedder", spec).splitlines()
    assert lines[0] == f"No {kind} '{name}'. Tried:"
    assert lines[1] == f"  path {name}: does not exist"
    assert lines[2].startswith(f"  package {name}: not installed")
    assert "HF_HUB_OFFLINE" in "\n".join(lines[3:-1])
    assert lines[-1].startswith("To get it: give the path of a model")


def test_an_empty_collection_cannot_be_indexed(done, failed):
    done("add", "library", "-", stdin="")
    assert failed("build", "library", "floor", "--embedder", "hashing") == (
        "library/ has no documents yet. Add some first: retriever add library FILE"
    )


# -- search -------------------------------------------------------------------------------------


def test_search_lists_the_hits_of_one_index(library, done):
    lines = done("search", library, "when is the filing deadline", "-k", "2").splitlines()
    assert len(lines) == 2
    assert lines[0].split()[0] == "1"
    assert lines[0].endswith("  tax  The filing deadline is the end of April.")


def test_search_shows_several_indexes_side_by_side(library, done):
    done("build", library, "narrow", "--embedder", "hashing", "-o", "dim", "8")
    out = done("search", library, "a kitten purrs", "-i", "floor", "-i", "narrow")
    assert out.splitlines()[0] == "found by both (3)"
    assert out.splitlines()[1].startswith("  floor   1  narrow ")
    assert out.splitlines()[1].endswith("  cat  A kitten purrs when it is content.")


def test_search_prints_one_json_object_a_hit(library, done):
    (hit,) = objects(done("search", library, "soft engine", "-k", "1", "--json"))
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


def test_search_asks_every_query_of_a_file(library, done):
    done("build", library, "graph", "--vectors", "floor", "--ann", "HNSW16")
    command = ("search", library, "--queries", "queries.jsonl", "-i", "floor", "-i", "graph")
    hits = objects(done(*command, "-k", "1", "--json"))
    assert [(h["query_id"], h["index"], h["doc_id"]) for h in hits] == [
        ("q1", "floor", "cat"),
        ("q1", "graph", "cat"),
        ("q2", "floor", "tax"),
        ("q2", "graph", "tax"),
    ]
    lines = done(*command, "-k", "1").splitlines()
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


def test_a_query_is_no_markup(library, done):
    Path("odd.txt").write_text("[red]kitten[/b] :cat: \\[x]\n")
    lines = done("search", library, "--queries", "odd.txt").splitlines()
    assert lines[1] == "1: [red]kitten[/b] :cat: \\[x]"


def test_unknown_words_are_noted_on_stderr(library, run):
    result = run("search", library, "!!!")
    assert (result.exit_code, result.stdout) == (0, "  no hits\n")
    assert result.stderr == "note: No known word in '!!!': hashing-256 finds nothing for it.\n"
    result = run("search", library, "!!!", "--json")
    assert objects(result.stdout) == [
        {
            "query": "!!!",
            "index": "floor",
            "hits": 0,
            "notes": ["No known word in '!!!': hashing-256 finds nothing for it."],
        }
    ]
    assert result.stderr.startswith("note: No known word")


def test_json_says_which_query_and_index_found_nothing(library, done):
    done("build", library, "graph", "--vectors", "floor", "--ann", "HNSW16")
    Path("odd.jsonl").write_text('{"_id": "a", "text": "kitten"}\n{"_id": "b", "text": "!!!"}\n')
    command = ("search", library, "--queries", "odd.jsonl", "-i", "floor", "-i", "graph", "-k", "1")
    answers = objects(done(*command, "--json"))
    assert [(a["query_id"], a["index"], a.get("doc_id"), a.get("hits")) for a in answers] == [
        ("a", "floor", "cat", None),
        ("a", "graph", "cat", None),
        ("b", "floor", None, 0),
        ("b", "graph", None, 0),
    ]


def test_a_query_cannot_steer_the_terminal(library, done):
    query = {"_id": "q\x1b[2J", "text": "a \x1b]0;title\x07kitten\n\x9b2Jpurrs"}
    Path("odd.jsonl").write_text(json.dumps(query))
    lines = done("search", library, "--queries", "odd.jsonl").splitlines()
    assert lines[1] == "q [2J: a ]0;title kitten 2Jpurrs"


def test_documents_that_are_not_indexed_yet_are_noted_once(library, run):
    run("add", library, "-", stdin='{"id": "new", "text": "new"}')
    result = run("search", library, "--queries", "queries.jsonl")
    assert result.stderr == (
        "note: 1 document in library/ is not in index 'floor' yet. "
        "Run: retriever build library floor\n"
    )


def test_what_cannot_be_searched_is_said(library, failed, misused):
    assert failed("search", library, "  ") == "The query is empty. Give some text to search for."
    assert failed("search", library, "x", "-i", "flor") == (
        "No index 'flor' in library/. It has: floor."
    )
    assert failed("search", "nowhere", "x").startswith("nowhere/ is not a collection")
    assert failed("search", library, "--queries", "none.txt").startswith("No file or folder 'none")
    assert failed("search", library, "\udcff").startswith("Text 0 is not valid Unicode")
    assert misused("search", library) == "Give a QUERY, or --queries FILE."
    assert misused("search", library, "x", "--queries", "q") == "Give a QUERY, or --queries FILE."
    assert "0 is not in the range x>=1" in misused("search", library, "x", "-k", "0")


def test_several_indexes_need_a_choice(library, done, failed):
    done("build", library, "again", "--vectors", "floor")
    assert failed("search", library, "x") == (
        "Say which index to search with -i. library/ has: floor, again."
    )


# -- compare ------------------------------------------------------------------------------------


@pytest.fixture
def two(library, done):
    done("build", library, "graph", "--vectors", "floor", "--ann", "HNSW16")
    return library


def test_compare_prints_a_table(two, done):
    out = done("compare", two, "--queries", "queries.jsonl", "--qrels", "qrels.tsv")
    cells = {" ".join(line.split()[:-2]): line.split()[-2:] for line in out.splitlines()}
    assert out.splitlines()[0].rstrip() == "2 judged queries, 3 documents"
    assert cells["nDCG@10"] == cells["recall@100"] == cells["MRR@10"] == ["1.0000", "1.0000"]
    pair = next(line for line in out.splitlines() if "RBO with graph" in line)
    assert pair.split() == ["overlap@10", *["/", "RBO", "with", "graph", "1.00", "/", "1.00", "-"]]
    assert max(map(len, out.splitlines())) <= 100


def test_compare_without_judgments_tells_overlap_and_cost(two, done):
    out = done(
        "compare", two, "--queries", "queries.jsonl", "-i", "graph", "-i", "floor", "-k", "2"
    )
    assert "quality" not in out
    assert "  overlap@2 / RBO with floor" in out
    assert out.splitlines()[1].split() == ["graph", "floor"]


def test_compare_prints_json_and_notes_and_writes_runs(two, run):
    Path("qrels.tsv").write_text(QRELS + "q2\tgone\t1\nq9\tcat\t1\n")
    result = run(
        *("compare", two, "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--json"),
        *("-m", "nDCG@10", "-m", "R@2", "--runs", "out/runs"),
    )
    assert result.exit_code == 0
    floor, graph = objects(result.stdout)
    assert (floor["name"], graph["name"]) == ("floor", "graph")
    with Collection.open(two) as collection:
        expected = compare(
            collection,
            ["floor", "graph"],
            read_queries("queries.jsonl"),
            read_qrels("qrels.tsv"),
            measures=["nDCG@10", "R@2"],
        )
    assert floor["quality"] == expected.rows["floor"].quality
    assert result.stderr.splitlines() == [
        "note: 1 judged query has no text, left out: q9.",
        "note: 1 relevant document is not in the collection: gone.",
        "note: wrote out/runs/floor.trec",
        "note: wrote out/runs/graph.trec",
    ]
    assert Path("out/runs/graph.trec").read_text().startswith("q1 Q0 cat 1 ")
    table = run("compare", two, "--queries", "queries.jsonl", "--qrels", "qrels.tsv")
    assert table.stderr.splitlines() == result.stderr.splitlines()[:2]
    assert "note" not in table.stdout


def test_numbers_are_printed_even_if_a_run_cannot_be_written(done, run):
    done("add", "library", "-", stdin='{"id": "two words", "text": "a kitten purrs"}')
    done("build", "library", "floor", "--embedder", "hashing")
    command = ("compare", "library", "--queries", "queries.jsonl", "--json", "--runs", "runs")
    result = run(*command)
    assert result.exit_code == 1
    assert objects(result.stdout)[0]["name"] == "floor"
    assert "Error: The document id 'two words' holds white space" in result.stderr


def test_what_cannot_be_compared_is_said(two, done, failed, misused):
    queries = ("--queries", "queries.jsonl")
    assert misused("compare", two) == "Give --queries FILE, or --dataset NAME."
    assert failed("compare", two, *queries, "-i", "floor", "-i", "floor") == (
        "An index is named twice: floor, floor."
    )
    assert failed("compare", two, *queries, "-i", "x") == (
        "No index 'x' in library/. It has: floor, graph."
    )
    assert failed("compare", two, *queries, "-m", "nope").startswith("No measure 'nope'.")
    Path("other.tsv").write_text("query-id\tcorpus-id\tscore\n301\tcat\t1\n")
    assert failed("compare", two, *queries, "--qrels", "other.tsv").startswith(
        "The judgments cover none of the 2 queries: they cover 301; the queries are q1, q2."
    )
    Path("file").write_text("")
    assert "'file' is a file" in misused("compare", two, *queries, "--runs", "file")
    done("drop", two, "floor", "graph")
    assert failed("compare", two, *queries).startswith("library/ has no index yet. Build one:")


# -- info, show, delete, drop -------------------------------------------------------------------


def test_info_tells_what_there_is(library, done):
    out = done("info", library)
    assert out.startswith("library/: 3 documents, catalog ")
    assert out.splitlines()[1].split() == ["floor"]
    (facts,) = objects(done("info", library, "--json"))
    assert (facts["path"], facts["documents"]) == ("library", 3)
    (index,) = facts["indexes"]
    assert (index["name"], index["rows"], index["options"]) == ("floor", 3, {"dim": 256})


def test_show_prints_documents(library, done, failed):
    assert done("show", library, "car") == (
        "car  Engines\nyear: 1999\n\nThe engine idles with a soft rumble.\n\n"
    )
    assert objects(done("show", library, "tax", "car", "--json")) == [
        {
            "doc_id": "tax",
            "title": "",
            "text": "The filing deadline is the end of April.",
            "metadata": {},
        },
        {
            "doc_id": "car",
            "title": "Engines",
            "text": "The engine idles with a soft rumble.",
            "metadata": {"year": 1999},
        },
    ]
    assert failed("show", library, "dog").startswith("No document 'dog' in library/. It has: car,")


def test_a_shown_document_cannot_steer_the_terminal_and_keeps_its_lines(library, done):
    evil = {
        "id": "evil",
        "title": "a\x1b[31m\ntitle",
        "text": "one\x1b]0;title\x07\r\n\n\ttwo\x9b2J\rthree",
        "na\x1bme": "va\x7flue\nid: cat",
    }
    done("add", library, "-", stdin=json.dumps(evil))
    assert done("show", library, "evil") == (
        "evil  a [31m title\nna me: va lue id: cat\n\none ]0;title \n\n\ttwo 2J three\n\n"
    )


def test_delete_removes_all_or_none(library, done, failed):
    assert failed("delete", library, "cat", "dog").startswith("No document 'dog' in library/.")
    assert done("delete", library, "cat") == "deleted 1 document; library/ has 2\n"
    assert done("delete", library, "car", "tax") == "deleted 2 documents; library/ has 0\n"


def test_drop_says_what_it_freed(two, done, failed):
    assert done("drop", two, "floor") == "dropped floor: nothing freed\n"
    assert done("drop", two, "graph").startswith("dropped graph: ")
    assert failed("drop", two, "graph") == "No index 'graph' in library/. It has: none."


def test_drop_takes_what_is_made_of_others_before_them(two, done, failed):
    done("build", two, "both", "--fuse", "floor", "--fuse", "graph")
    done("build", two, "deep", "--cascade", "floor", "--rerank", "both")
    assert failed("drop", two, "floor", "graph") == (
        "Index 'floor' is part of: both, deep. Drop those first.\nRun: retriever drop library both"
    )
    told = done("drop", two, "floor", "both", "graph", "deep")
    assert [line.split(":")[0] for line in told.splitlines()] == [
        f"dropped {name}" for name in ("deep", "both", "floor", "graph")
    ]


def test_a_combination_built_again_brings_its_parts_up_to_date(two, done):
    done("build", two, "both", "--fuse", "floor", "--fuse", "graph")
    done("add", two, "-", stdin='{"_id": "new", "text": "a kitten sleeps"}\n')
    told = done("build", two, "both")
    assert told.startswith("both: 1 document embedded in ")
    assert "s, 3 already in the index, indexed in " in told
    assert done("build", two, "both").endswith("; nothing to build\n")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ((), ""),
        (
            ("Unable to allocate 9.00 GiB\nfor an array.",),
            " (Unable to allocate 9.00 GiB for an array)",
        ),
    ],
)
def test_no_memory_left_is_one_line(library, failed, monkeypatch, reason, told):
    def fail(*_):
        raise MemoryError(*reason)

    monkeypatch.setattr(Collection, "info", fail)
    assert failed("info", library) == (
        f"There is not enough memory{told}. Close other programs or use a machine with more memory."
    )


def test_an_error_has_the_same_words_as_in_python(library, failed):
    def words(call):
        with pytest.raises(RetrieverError) as caught:
            call()
        return printed_error(caught.value)

    with Collection.open(library) as collection:
        pairs = [
            (("search", library, ""), lambda: collection.search("")),
            (("search", library, "x", "-i", "y"), lambda: collection.search("x", index="y")),
            (("show", library, "dog"), lambda: collection.document("dog")),
            (("drop", library, "y"), lambda: collection.drop("y")),
            (("build", library, "new"), lambda: collection.build("new")),
            (("add", library, "none"), lambda: collection.add("none")),
            (("info", "nowhere"), lambda: Collection.open("nowhere")),
        ]
        for command, call in pairs:
            assert failed(*command) == words(call)


# -- help and completion ------------------------------------------------------------------------


def commands():
    return sorted(cli.commands.items())


def test_the_commands_are_those_that_there_are(done):
    names = [
        "demo",
        "add",
        "build",
        "train",
        "distill",
        "search",
        "word",
        "compare",
        "evaluate",
        "info",
        "show",
        "delete",
        "drop",
        "verify",
        "repair",
        "compact",
        "completion",
    ]
    assert list(cli.commands) == names
    listed = done("--help").split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == names


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_and_option_has_a_help_text(name, command, done):
    assert command.help
    assert command.get_short_help_str(limit=200).endswith(".")
    text = done(name, "--help")
    assert text.startswith(f"Usage: retriever {name} ")
    assert done(name, "-h") == text
    assert "\\b" not in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.help.endswith("."), option.name


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_argument_is_explained(name, command):
    for argument in command.params:
        if isinstance(argument, click.Argument):
            assert argument.name.upper() in command.help


def test_the_examples_keep_their_lines(done):
    assert "\n    retriever demo\n    retriever add     library corpus.jsonl notes/\n" in done("-h")
    assert '\n    bash: eval "$(retriever completion bash)" in ~/.bashrc\n' in done(
        "completion", "--help"
    )


def test_wrong_usage_is_said(run, misused):
    assert misused("serach").startswith("No such command 'serach'.")
    assert misused("search", "library", "x", "--kk", "3").startswith("No such option '--kk'.")
    bare = run()
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert "Commands:" in bare.stderr


def test_the_version(done):
    assert done("--version") == f"retriever, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(done, shell):
    script = done("completion", shell)
    assert "_RETRIEVER_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_completion_of_an_unknown_shell(misused):
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in misused("completion", "tcsh")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("search library -i ", ["floor", "graph"]),
        ("search library -i gr", ["graph"]),
        ("search library query -i floor -i ", ["floor", "graph"]),
        ("compare library -i f", ["floor"]),
        ("build library new --vectors ", ["floor", "graph"]),
        ("drop library ", ["floor", "graph"]),
        ("drop library floor g", ["graph"]),
        ("drop ~/library ", ["floor", "graph"]),
        ("search -i ", []),
        ("search nowhere -i ", []),
        ("sea", ["search"]),
    ],
)
def test_names_are_completed(two, monkeypatch, line, names):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    words = f"retriever {line}"
    environment = {
        "_RETRIEVER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = CliRunner().invoke(cli, [], env=environment, prog_name="retriever")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [found.split(",")[1] for found in result.stdout.split()] == names


# -- as a process -------------------------------------------------------------------------------


def process(*arguments, **options):
    """The installed command in a process of its own."""
    defaults = {"capture_output": True, "text": True, "check": False, "timeout": 60}
    return subprocess.run([RETRIEVER, *arguments], **{**defaults, **options})


def test_the_installed_command_from_nothing_to_an_answer(run):
    assert process("add", "library", "-", input=CORPUS).stdout.startswith("3 new")
    assert process("build", "library", "floor", "--embedder", "hashing").returncode == 0
    asked = process("search", "library", "a kitten purrs", "-k", "1")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.endswith("cat  A kitten purrs when it is content.\n")
    failed = process("search", "library", "x", "-i", "y")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "Error: No index 'y' in library/. It has: floor.\n"
    assert process("search").returncode == 2


def test_python_dash_m_is_the_same_command(run):
    command = [sys.executable, "-m", "retriever"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"retriever, version {__version__}\n"
    wrong = subprocess.run([*command, "nope"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Usage: retriever [OPTIONS]")


HELP_IMPORTS = """
import sys
from retriever.cli import cli
for arguments in [["--help"], ["--version"], *([name, "--help"] for name in cli.commands)]:
    try:
        cli.main(arguments, prog_name="retriever")
    except SystemExit as request:
        assert request.code == 0, arguments
heavy = {"torch", "gensim", "faiss", "pyarrow", "sentence_transformers", "transformers", "scipy",
         "sqlite_utils", "numpy", "ir_measures", "rich"}
print(sorted(set(sys.modules) & heavy), file=sys.stderr)
"""


def test_help_imports_no_engine():
    done = subprocess.run(
        [sys.executable, "-c", HELP_IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


def wait_for(path, child):
    """Until a file exists: what a child does on its way."""
    until = time.monotonic() + 30
    while not path.exists():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)


def heed_interrupts():
    # A shell starts its background jobs deaf to them, and a test run may be one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_while_adding_keeps_whole_batches(library):
    child = subprocess.Popen(
        [RETRIEVER, "add", library, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    with child:
        # More than a pipe's and a reader's buffers, and more than a batch.
        child.stdin.write("".join(f'{{"id": "new{n}", "text": "new"}}\n' for n in range(20_000)))
        child.stdin.flush()
        wait_for(Path(library) / "writer.json", child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert (
        err.strip() == "Interrupted. Committed work is kept; run the same command again to resume."
    )
    with Collection.open(library) as collection:
        assert (len(collection) - 3) % BATCH_RECORDS == 0
        assert collection.add([{"id": "next", "text": "the lock is free"}]).new == 1


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_while_building_is_made_good_by_the_next_build(library, done):
    texts = " ".join(f"word{n}" for n in range(200))
    with Collection.open(library) as collection:
        collection.add({"id": str(n), "text": f"{n} {texts}"} for n in range(10_000))
    child = subprocess.Popen(
        [RETRIEVER, "build", library, "wide", "--embedder", "hashing", "-o", "dim", "512"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    with child:
        wait_for(Path(library) / "writer.json", child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert (
        err.strip() == "Interrupted. Committed work is kept; run the same command again to resume."
    )
    (hit,) = objects(done("search", library, "a kitten purrs", "-i", "floor", "-k", "1", "--json"))
    assert hit["doc_id"] == "cat"
    again = ("build", library, "wide", "--embedder", "hashing", "-o", "dim", "512", "--json")
    (report,) = objects(done(*again))
    assert report["embedded"] + report["already"] == 10_003
    (hit,) = objects(done("search", library, "a kitten purrs", "-i", "wide", "-k", "1", "--json"))
    assert hit["doc_id"] == "cat"


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
@pytest.mark.parametrize(
    "command",
    [
        ("show", "library", "cat"),
        ("search", "library", "kitten"),
        ("search", "library", "kitten", "--json"),
        ("info", "library"),
        ("--help",),
    ],
)
def test_a_reader_that_goes_away_is_no_traceback(library, command):
    child = subprocess.Popen(
        [RETRIEVER, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode in (0, 1)
