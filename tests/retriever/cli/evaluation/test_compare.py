"""Tests of `compare`."""

from pathlib import Path

from retriever import Collection, compare
from retriever.formats import read_qrels, read_queries
from tests.support.commands import fail, invoke, misuse, objects, succeed

COMPARE = ("compare", "library", "--queries", "queries.jsonl")


def test_compare_prints_a_table(two):
    out = succeed(*COMPARE, "--qrels", "qrels.tsv")
    cells = {" ".join(line.split()[:-2]): line.split()[-2:] for line in out.splitlines()}
    said, title, _ = out.partition("2 judged queries, 3 documents")
    assert title
    assert " ".join(said.split()) == (
        "Do you need contextual embeddings here? Cannot be said: 2 judged queries are too few; at "
        "least 6 can show a difference between 2 systems."
    )
    assert cells["nDCG@10"] == cells["recall@100"] == cells["MRR@10"] == ["1.0000", "1.0000"]
    pair = next(line for line in out.splitlines() if "RBO with graph" in line)
    assert pair.split() == ["overlap@10", *["/", "RBO", "with", "graph", "1.00", "/", "1.00", "-"]]
    assert max(map(len, out.splitlines())) <= 100


def test_compare_without_judgments_shows_agreement_and_cost(two):
    out = succeed(*COMPARE, "-i", "graph", "-i", "floor", "-k", "2")
    assert "quality" not in out
    assert "  overlap@2 / RBO with floor" in out
    title = out.splitlines().index("2 queries, 3 documents")
    assert out.splitlines()[title + 1].split() == ["graph", "floor"]


def test_compare_prints_json_and_notes_and_writes_runs(two):
    with Path("qrels.tsv").open("a") as file:
        file.write("q2\tgone\t1\nq9\tcat\t1\n")
    judged = (*COMPARE, "--qrels", "qrels.tsv")
    result = invoke(*judged, "--json", "-m", "nDCG@10", "-m", "R@2", "--runs", "out/runs")
    assert result.exit_code == 0
    floor, graph = objects(result.stdout)
    assert (floor["name"], graph["name"]) == ("floor", "graph")
    with Collection.open(two) as collection:
        queries, qrels = read_queries("queries.jsonl"), read_qrels("qrels.tsv")
        expected = compare(
            collection, ["floor", "graph"], queries, qrels, measures=["nDCG@10", "R@2"]
        )
    assert floor["quality"] == expected.rows["floor"].quality
    assert result.stderr.splitlines() == [
        "note: 1 judged query has no text, left out: q9.",
        "note: 1 relevant document is not in the collection: gone.",
        "note: wrote out/runs/floor.trec",
        "note: wrote out/runs/graph.trec",
    ]
    assert Path("out/runs/graph.trec").read_text().startswith("q1 Q0 cat 1 ")
    table = invoke(*judged)
    assert table.stderr.splitlines() == result.stderr.splitlines()[:2]
    assert "note" not in table.stdout


def test_numbers_are_printed_even_if_a_run_cannot_be_written():
    succeed("add", "library", "-", stdin='{"id": "two words", "text": "a kitten purrs"}')
    succeed("build", "library", "floor", "--embedder", "hashing")
    result = invoke(*COMPARE, "--json", "--runs", "runs")
    assert result.exit_code == 1
    assert objects(result.stdout)[0]["name"] == "floor"
    assert "Error: The document id 'two words' holds white space" in result.stderr


def test_what_cannot_be_compared_is_refused(two):
    assert misuse("compare", two).startswith("Give --queries FILE, or --dataset NAME. Without")
    assert fail(*COMPARE, "-i", "floor", "-i", "floor") == (
        "An index is named twice: floor, floor."
    )
    assert fail(*COMPARE, "-i", "x") == ("No index 'x' in library/. It has: floor, graph.")
    assert fail(*COMPARE, "-m", "nope").startswith("No measure 'nope'.")
    Path("other.tsv").write_text("query-id\tcorpus-id\tscore\n301\tcat\t1\n")
    assert fail(*COMPARE, "--qrels", "other.tsv").startswith(
        "There are judgments for none of the 2 queries: they are for 301; the queries are q1, q2."
    )
    Path("file").write_text("")
    assert "'file' is a file" in misuse(*COMPARE, "--runs", "file")
    succeed("drop", two, "floor", "graph")
    assert fail(*COMPARE).startswith("library/ has no index yet. Build one:")
