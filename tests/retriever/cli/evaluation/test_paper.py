"""Tests of what `compare` writes for papers, of several collections, and of `tune-fusion`."""

from pathlib import Path

import pytest

from retriever import Collection
from tests.support.commands import fail, invoke, misuse, objects, succeed
from tests.support.models.rerankers import cross_encoder

COMPARE = ("compare", "library", "--queries", "queries.jsonl", "--qrels", "qrels.tsv")


@pytest.fixture
def other(two):
    """A second collection, with the index `floor` alone."""
    succeed("add", "other", "-", stdin='{"id": "cat", "text": "a kitten purrs"}')
    succeed("build", "other", "floor", "--embedder", "hashing")
    return "other"


def test_compare_writes_tables_and_plots(two):
    pytest.importorskip("reportlab", reason="reportlab is not installed")
    options = ("--latex", "t.tex", "--markdown", "t.md", "--plots", "plots", "--pairs")
    result = invoke(*COMPARE, *options)
    assert result.exit_code == 0
    assert r"\toprule" in Path("t.tex").read_text("utf-8")
    assert Path("t.md").read_text("utf-8").count("\n\n| System | nDCG@10 |") == 1
    assert "floor (a)" in Path("t.md").read_text("utf-8")
    assert Path("plots/depth.pdf").read_bytes().startswith(b"%PDF-")
    assert "nDCG@10, each minus the others" in result.stdout
    assert "note: wrote t.tex" in result.stderr.splitlines()


def test_tables_need_judgments_and_do_not_overwrite_what_is_read(two):
    unjudged = COMPARE[:-2]
    assert misuse(*unjudged, "--latex", "t.tex") == (
        "A table for a paper needs judgments: --qrels FILE."
    )
    assert "would overwrite" in misuse(*COMPARE, "--latex", "qrels.tsv")
    assert fail(*unjudged, "--pairs").startswith("Pairs need judgments")
    assert fail(*COMPARE, "-i", "floor", "--pairs").startswith("Pairs need judgments and at least")


def test_several_collections_share_one_table(two, other):
    both = ("compare", "library", "other", *("--queries", "queries.jsonl") * 2)
    both += ("--qrels", "qrels.tsv") * 2
    out = succeed(*both, "-m", "R@1")
    titles = [line.strip() for line in out.splitlines() if line[:1].isalpha()]
    assert titles[:3] == ["library", "other", "macro average"]
    found = objects(succeed(*both, "--json", "-m", "R@1"))
    values = {one["collection"]: one["quality"]["R@1"] for one in found}
    # Only `floor` is in both.
    assert [one["name"] for one in found] == ["floor"] * 3
    assert values["macro average"] == (values["library"] + values["other"]) / 2
    assert values["library"] != values["other"]


def test_several_collections_need_as_many_files_and_the_same_indexes(two, other):
    both = ("compare", "library", "other", "--queries", "queries.jsonl")
    assert misuse(*both).startswith("--queries was given once for 2 collections")
    both += ("--queries", "queries.jsonl", *("--qrels", "qrels.tsv") * 2)
    assert fail(*both, "-i", "graph").startswith("No index 'graph' in other/")
    assert misuse(*both, "--html", "page.html") == "--html is for one collection; 2 were given."
    succeed("drop", "other", "floor")
    assert "no index of the same name" in fail(*both)


@pytest.fixture
def tune(two):
    """A command that tunes a fusion on one query."""
    succeed("build", "library", "bm25", "--lexical")
    succeed("build", "library", "fused", "--fuse", "floor=9", "--fuse", "bm25=1")
    Path("train.tsv").write_text("id\ttext\nt1\tkitten\n")
    Path("train.qrels").write_text("t1 0 cat 1\n")
    command = ("tune-fusion", "library", "fused", "--train-queries", "train.tsv")
    return (*command, "--train-qrels", "train.qrels")


def test_tune_fusion_prints_both_measures_and_saves_the_weights(tune):
    out = succeed(*tune, "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--save", "tuned")
    assert [line.split("  ")[0] for line in out.splitlines()[1:]] == [
        "weight of floor",
        "weight of bm25",
        "nDCG@10, training queries",
        "nDCG@10, test queries",
    ]
    (found,) = objects(succeed(*tune, "--json"))
    with Collection.open("library") as collection:
        assert collection.index_info("tuned").options["weights"] == found["weights"]
    assert found["test"] is None
    assert misuse(*tune, "--queries", "queries.jsonl").startswith("A test needs both")
    repeated = ("--queries", "train.tsv", "--qrels", "train.qrels")
    assert "split them" in fail(*tune, *repeated)


def test_weights_that_cannot_be_saved_under_a_name_are_printed_first(tune):
    tune = (*tune, "--save")
    assert misuse(*tune, "fused") == "'fused' is the fusion to tune: give --save another name."
    refused = invoke(*tune, "bm25")
    assert refused.exit_code == 1
    assert "weight of floor" in refused.stdout
    says = "Error: Index 'bm25' exists already (lexical), and is part of: fused. Choose another "
    assert says in refused.stderr


def test_a_cross_encoder_reranks_without_a_trace(two, tmp_path):
    model = f"cross-encoder:{cross_encoder(tmp_path / 'tiny')}"
    succeed("build", "library", "stored", "--cascade", "floor", "--rerank", model)
    ask = ("search", "library", "a kitten", "--json", "-i")
    unnamed = objects(succeed(*ask, "floor", "--rerank-by", model))
    stored = objects(succeed(*ask, "stored"))
    assert [one["index"] for one in unnamed] == ["floor+tiny"] * len(stored)
    fields = ("doc_id", "score")
    hits = [[[one[field] for field in fields] for one in found] for found in (unnamed, stored)]
    assert hits[0] == hits[1]
    both = (*COMPARE, "-i", "floor", "-i", "stored", "--rerank-by", model)
    found = objects(succeed(*both, "--json"))
    rows = {one["name"]: one for one in found}
    assert list(rows) == ["floor", "stored", "floor+tiny", "stored+tiny"]
    assert rows["floor+tiny"]["quality"] == rows["stored"]["quality"]
    assert rows["floor+tiny"]["description"] == rows["stored"]["description"]
    assert rows["floor+tiny"]["kind"] == "cascaded"
    # Its options are given as those of a stored one: of a short text, only the query is read.
    short = ("-o", "max_length", "6")
    succeed("build", "library", "short", "--cascade", "floor", "--rerank", model, *short)
    scores = [
        [one["score"] for one in objects(succeed(*ask, index, *options))]
        for index, options in (("floor", ("--rerank-by", model, *short)), ("short", ()))
    ]
    assert scores[0] == scores[1] != [one["score"] for one in unnamed]
    found = objects(
        succeed(*COMPARE, "-i", "floor", "-i", "short", "--rerank-by", model, *short, "--json")
    )
    rows = {one["name"]: one for one in found}
    assert rows["floor+tiny"]["description"] == rows["short"]["description"]
    assert "No option 'x'" in fail(*ask, "floor", "--rerank-by", model, "-o", "x", "1")
    assert misuse(*ask, "floor", "-o", "x", "1").startswith("-o sets options of a reranker")
    assert "give --rerank-by" in misuse(*COMPARE, "-i", "floor", "-o", "x", "1")
    with Collection.open("library") as collection:
        assert collection.index_names() == ["floor", "graph", "stored", "short"]
