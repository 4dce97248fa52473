"""`list`, `export`, `copy`, `rename`, `build --from-vectors`, and answers in files."""

import csv
import io
from pathlib import Path

import numpy as np

from retriever import Run
from tests.support.commands import fail, ir_measures, misuse, objects, succeed, succeed_silently


def test_documents_are_listed_in_order_with_chosen_metadata(library):
    assert succeed_silently("list", library, "--fields", "year", "--where", "year > 2000") == (
        "cat  A kitten purrs when it is content.  year: 2021\n"
        "tax  The filing deadline is the end of April.  year: 2024\n"
    )
    assert succeed_silently("list", library, "--format", "ids", "--limit", "2") == "cat\ncar\n"
    rows = csv.reader(io.StringIO(succeed("list", library, "--format", "csv", "--fields", "year")))
    assert next(rows) == ["doc_id", "title", "year"]
    assert [next(rows), next(rows)] == [["cat", "", "2021"], ["car", "Engines", "1999"]]
    assert objects(succeed("list", library, "--format", "jsonl"))[1] == {
        "doc_id": "car",
        "title": "Engines",
        "metadata": {"year": 1999},
    }
    assert succeed("list", library, "--where", "color = red") == ""


def test_vectors_go_out_and_in(library):
    assert succeed_silently("export", library, "floor", "v.npy") == (
        "v.npy and v.ids.txt: 3 passages, 3 vectors\n"
    )
    assert fail("export", library, "floor", "v.npy").startswith("v.npy exists. Give --force")
    succeed("export", library, "floor", "v.npy", "--force")
    assert objects(
        succeed("export", library, "docs.jsonl", "--where", "year > 2000", "--json")
    ) == [{"paths": ["docs.jsonl"], "rows": 2, "vectors": 0, "missing": 0}]
    succeed("add", "again", "docs.jsonl")
    built = succeed_silently("build", library, "x", "--from-vectors", "v.npy")
    assert built.startswith("x: vectors of 3 documents imported, 0 had one before")
    succeed("build", library, "y", "--from-vectors", "v.npy", "--queries-by", "floor")
    floor = succeed("search", library, "soft rumble", "-i", "floor")
    assert succeed("search", library, "soft rumble", "-i", "y") == floor
    assert "--vector FILE" in fail("search", library, "soft rumble", "-i", "x")
    assert succeed("search", library, "rumble").count("\n") > 3  # without x
    assert misuse("build", library, "z", "--embedder", "hashing", "--allow-missing") == (
        "--similarity and --allow-missing need --from-vectors."
    )


def test_a_file_of_vectors_is_searched(library):
    succeed("export", library, "floor", "v.npy")
    found = objects(succeed("search", library, "--vector", "v.npy", "-k", "1", "--json"))
    assert [(hit["query_id"], hit["doc_id"]) for hit in found] == [
        (name, name) for name in ("cat", "car", "tax")
    ]
    np.save("one.npy", np.load("v.npy")[1])
    assert succeed("search", library, "--vector", "one.npy", "-k", "1").split()[:3] == [
        *("1", "1.000", "car")
    ]
    assert fail("search", library, "--vector", "none.npy").startswith("No file none.npy.")


def test_answers_are_a_run_that_evaluation_tools_read(two):
    command = ("search", two, "--queries", "queries.jsonl")
    lines = succeed_silently(*command, "-i", "floor", "--format", "trec")
    Path("floor.run").write_text(lines)
    succeed_silently(*command, "-i", "floor", "--format", "trec", "--output", "file.run")
    assert Path("file.run").read_text() == lines
    run = Run.read(Path("floor.run")).ranking
    assert run["q1"][0][0] == "cat"
    Path("trec.qrels").write_text("q1 0 cat 1\nq2 0 tax 2\nq2 0 car 0\n")
    assert ir_measures("trec.qrels", "floor.run", ["nDCG@10"]) == {"nDCG@10": "1.0000"}
    assert "1.0000" in succeed("evaluate", "--qrels", "qrels.tsv", "floor.run")
    several = fail(*command, "-i", "floor", "-i", "graph", "--format", "trec")
    assert several.startswith("A TREC run is of one system, and 2 indexes answered: floor, graph.")


def test_answers_are_lines_of_json_or_csv(two):
    command = ("search", two, "--queries", "queries.jsonl", "-i", "floor", "-i", "graph", "-k", "2")
    assert objects(succeed(*command, "--format", "jsonl")) == objects(succeed(*command, "--json"))
    rows = list(csv.DictReader(io.StringIO(succeed(*command, "--format", "csv"))))
    expected = [
        (hit["query_id"], hit["index"], str(hit["rank"]), hit["doc_id"], repr(hit["score"]))
        for hit in objects(succeed(*command, "--json"))
    ]
    assert sorted(tuple(row.values())[:5] for row in rows) == sorted(expected)
    assert rows[0]["text"] == "A kitten purrs when it is content."
    assert misuse(*command, "--output", "x") == "--output needs --format."
    assert misuse(*command, "--format", "jsonl", "--json").startswith("--json prints the same")


def test_a_single_query_and_documents_to_be_like_are_answered_in_every_format(two):
    for single in (("a kitten",), ("--like", "cat")):
        command = ("search", two, *single, "-i", "floor")
        hits = objects(succeed(*command, "--json"))
        assert objects(succeed(*command, "--format", "jsonl")) == hits
        run = [line.split() for line in succeed(*command, "--format", "trec").splitlines()]
        assert [(one[0], one[2]) for one in run] == [("1", hit["doc_id"]) for hit in hits]
        rows = list(csv.DictReader(io.StringIO(succeed(*command, "--format", "csv"))))
        assert [(one["query_id"], one["doc_id"]) for one in rows] == [(q, d) for q, _, d, *_ in run]


def test_queries_are_compared_by_the_vectors_of_a_file(library):
    succeed("export", library, "floor", "v.npy")
    succeed("build", library, "known", "--from-vectors", "v.npy")
    Path("q.jsonl").write_text('{"_id": "car", "text": "engines"}\n{"_id": "cat", "text": "cats"}')
    Path("q.tsv").write_text("query-id\tcorpus-id\tscore\ncar\tcar\t1\ncat\tcat\t1\n")
    command = ("compare", library, "--queries", "q.jsonl", "--qrels", "q.tsv", "-i", "known")
    # Vectors by ids: documents and queries have the same here.
    (row, *_) = objects(succeed(*command, "--query-vectors", "known", "v.npy", "--json"))
    assert row["quality"]["nDCG@10"] == 1.0
    assert "--query-vectors known FILE" in fail(*command)
    several = misuse("compare", library, library, "--queries", "q", "--query-vectors", "known", "v")
    assert several.startswith("--query-vectors is for one collection")


def test_a_collection_is_copied_and_an_index_renamed(two):
    assert succeed_silently("copy", two, "backup").startswith("backup/: 3 documents, 2 indexes; ")
    assert succeed("verify", "backup").startswith("backup/: intact")
    assert objects(succeed("copy", two, "second", "--json"))[0]["path"] == "second"
    assert fail("copy", two, "backup").startswith("backup/ is not empty.")
    assert succeed_silently("rename", two, "floor", "ground") == "renamed floor: ground\n"
    assert (
        fail("rename", two, "floor", "x") == "No index 'floor' in library/. It has: graph, ground."
    )
