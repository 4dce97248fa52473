import sys
from pathlib import Path

from retriever import Collection, compare
from retriever.formats import read_qrels, read_queries
from tests.support.commands import fail, invoke, misuse, objects, succeed

RETRIEVER = Path(sys.executable).parent / "retriever"

CORPUS = """\
{"_id": "cat", "text": "A kitten purrs when it is content."}
{"_id": "car", "title": "Engines", "text": "The engine idles with a soft rumble.", "year": 1999}
{"_id": "tax", "text": "The filing deadline is the end of April."}
"""
QUERIES = '{"_id": "q1", "text": "a kitten purrs"}\n{"_id": "q2", "text": "filing deadline"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\tcat\t1\nq2\ttax\t2\nq2\tcar\t0\n"


def test_compare_prints_a_table(two):
    out = succeed("compare", two, "--queries", "queries.jsonl", "--qrels", "qrels.tsv")
    cells = {" ".join(line.split()[:-2]): line.split()[-2:] for line in out.splitlines()}
    assert out.splitlines()[0].rstrip() == "2 judged queries, 3 documents"
    assert cells["nDCG@10"] == cells["recall@100"] == cells["MRR@10"] == ["1.0000", "1.0000"]
    pair = next(line for line in out.splitlines() if "RBO with graph" in line)
    assert pair.split() == ["overlap@10", *["/", "RBO", "with", "graph", "1.00", "/", "1.00", "-"]]
    assert max(map(len, out.splitlines())) <= 100


def test_compare_without_judgments_tells_overlap_and_cost(two):
    out = succeed(
        "compare", two, "--queries", "queries.jsonl", "-i", "graph", "-i", "floor", "-k", "2"
    )
    assert "quality" not in out
    assert "  overlap@2 / RBO with floor" in out
    assert out.splitlines()[1].split() == ["graph", "floor"]


def test_compare_prints_json_and_notes_and_writes_runs(two):
    Path("qrels.tsv").write_text(QRELS + "q2\tgone\t1\nq9\tcat\t1\n")
    result = invoke(
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
    table = invoke("compare", two, "--queries", "queries.jsonl", "--qrels", "qrels.tsv")
    assert table.stderr.splitlines() == result.stderr.splitlines()[:2]
    assert "note" not in table.stdout


def test_numbers_are_printed_even_if_a_run_cannot_be_written():
    succeed("add", "library", "-", stdin='{"id": "two words", "text": "a kitten purrs"}')
    succeed("build", "library", "floor", "--embedder", "hashing")
    command = ("compare", "library", "--queries", "queries.jsonl", "--json", "--runs", "runs")
    result = invoke(*command)
    assert result.exit_code == 1
    assert objects(result.stdout)[0]["name"] == "floor"
    assert "Error: The document id 'two words' holds white space" in result.stderr


def test_what_cannot_be_compared_is_said(two):
    queries = ("--queries", "queries.jsonl")
    assert misuse("compare", two) == "Give --queries FILE, or --dataset NAME."
    assert fail("compare", two, *queries, "-i", "floor", "-i", "floor") == (
        "An index is named twice: floor, floor."
    )
    assert fail("compare", two, *queries, "-i", "x") == (
        "No index 'x' in library/. It has: floor, graph."
    )
    assert fail("compare", two, *queries, "-m", "nope").startswith("No measure 'nope'.")
    Path("other.tsv").write_text("query-id\tcorpus-id\tscore\n301\tcat\t1\n")
    assert fail("compare", two, *queries, "--qrels", "other.tsv").startswith(
        "The judgments cover none of the 2 queries: they cover 301; the queries are q1, q2."
    )
    Path("file").write_text("")
    assert "'file' is a file" in misuse("compare", two, *queries, "--runs", "file")
    succeed("drop", two, "floor", "graph")
    assert fail("compare", two, *queries).startswith("library/ has no index yet. Build one:")
