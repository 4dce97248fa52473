"""Tests on real judgments: `compare` has the values of trec_eval's other front ends.

No contextual model here: `test_real_data.py` has one.
"""

import csv
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retriever import Collection, HashingEmbedder, StaticEmbedder, compare
from retriever.formats import read_qrels, read_queries, write_qrels
from tests.support.commands import ir_measures, succeed
from tests.support.oracles.trec import write_without_ties

BIN = Path(sys.executable).parent
SYSTEMS = ("hashing", "glove", "bm25", "fused", "cascade")
CUT = ("nDCG@10", "nDCG@20", "R@10", "R@100", "P@5", "RR@10", "AP@100", "Success@5")
# These need whole runs, a thousand hits per query: on the smaller collection only.
WHOLE = ("AP", "nDCG", "RR", "Rprec", "Bpref", "P(rel=2)@5", "R(rel=3)@20")
MEASURES = {"scifact": CUT, "cranfield": CUT + WHOLE}


@pytest.fixture(scope="module", params=["scifact/test.tsv", "cranfield/test_graded.tsv"])
def judged(request, data, tmp_path_factory):
    """A comparison over a real collection, its runs and its judgments as files."""
    name, qrels_file = request.param.split("/")
    folder = tmp_path_factory.mktemp(name)
    qrels = read_qrels(data / name / "qrels" / qrels_file)
    write_qrels(folder / "test.qrels", qrels)
    with Collection.create(folder / "library") as collection:
        collection.add(data / name / "corpus.jsonl")
        collection.build("hashing", HashingEmbedder())
        collection.build("glove", StaticEmbedder("glove-6b-50d"))
        collection.build("bm25", lexical=True)
        collection.fuse("fused", ["bm25", "glove", "hashing"])
        collection.cascade("cascade", "fused", "bm25", depth=50)
        queries = read_queries(data / name / "queries.jsonl")
        options = {"measures": MEASURES[name], "baseline": "bm25"}
        made = compare(collection, SYSTEMS, queries, qrels, **options)
    return name, made, made.write_runs(folder / "runs"), folder / "test.qrels"


def test_every_measure_of_every_system_equals_that_of_the_ir_measures_command(judged):
    of, made, runs, qrels = judged
    assert [path.stem for path in runs] == list(SYSTEMS)
    # MRR@10 is not pytrec_eval's, and orders equal scores another way.
    untied = [write_without_ties(path, path.with_suffix(".untied")) for path in runs]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda run: ir_measures(qrels, run, MEASURES[of]), runs))
        first = list(pool.map(lambda run: ir_measures(qrels, run, ["RR@10"]), untied))
    found = [all_measures | rr for all_measures, rr in zip(found, first, strict=True)]
    for name, theirs in zip(SYSTEMS, found, strict=True):
        assert {m: f"{v:.4f}" for m, v in made.rows[name].quality.items()} == theirs, name


def test_evaluate_prints_the_same_values_for_the_same_files(judged):
    of, made, runs, qrels = judged
    measures = [word for measure in MEASURES[of] for word in ("-m", measure)]
    printed = succeed("evaluate", *map(str, runs[-3:]), "--qrels", str(qrels), *measures, "--csv")
    _, *lines = csv.reader(io.StringIO(printed))
    assert {(run, measure): float(value) for run, measure, value in lines} == {
        (name, measure): pytest.approx(value, abs=1e-12)
        for name in SYSTEMS[-3:]
        for measure, value in made.rows[name].quality.items()
    }


def test_bm25_has_its_published_quality(judged):
    name, made, *_ = judged
    if name == "scifact":
        assert made.rows["bm25"]["nDCG@10"] == pytest.approx(0.687, abs=0.005)
    # On both, it is better than what these static vectors find.
    assert made.rows["bm25"].differences == {}
    assert made.rows["glove"].differences["nDCG@10"].high < 0


def test_rows_and_differences_are_means_over_the_queries(judged):
    _, made, *_ = judged
    for name, row in made.rows.items():
        for measure, of_each in made.per_query[name].items():
            assert list(of_each) == list(made.queries)
            assert row.quality[measure] == pytest.approx(sum(of_each.values()) / len(of_each))
        if name != "bm25":
            lead = row["nDCG@10"] - made.rows["bm25"]["nDCG@10"]
            assert row.differences["nDCG@10"].mean == pytest.approx(lead)
            assert row.differences["nDCG@10"].low <= lead <= row.differences["nDCG@10"].high


def test_a_cascade_returns_its_candidates_only(judged):
    _, made, *_ = judged
    for query_id, hits in made.runs["cascade"].ranking.items():
        fused = made.runs["fused"].ranking[query_id]
        # Of those that tie at the 50th place, the cascade may take any.
        candidates = {doc_id for doc_id, score in fused if score >= fused[:50][-1][1]}
        assert {doc_id for doc_id, _ in hits} <= candidates
        assert len(hits) >= 49


CORPUS = (
    ("cat", "A kitten purrs when it is content."),
    ("dog", "A puppy barks at the postman, and wags its tail."),
    ("car", "The engine idles with a soft rumble."),
    ("tax", "The filing deadline is the end of April."),
    ("sea", "Waves go purring against the harbour wall, content and slow."),
)
QUERIES = (("q1", "kitten purring"), ("q2", "filing deadlines"), ("q3", "engine rumble"))
QRELS = (("q1", "cat", 2), ("q1", "sea", 1), ("q2", "tax", 1), ("q3", "car", 1))


def test_the_installed_command_from_a_corpus_to_judged_combinations(tmp_path):
    def process(*arguments, code=0):
        command = [BIN / "retriever", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def lines(name, rows):
        (tmp_path / name).write_text("".join(f"{row}\n" for row in rows))

    lines("corpus.jsonl", (json.dumps({"_id": d, "text": text}) for d, text in CORPUS))
    lines("queries.tsv", ["query_id\ttext", *("\t".join(row) for row in QUERIES)])
    lines("test.qrels", (f"{q} 0 {d} {grade}" for q, d, grade in QRELS))
    lines("theirs.trec", ("q1 Q0 cat 1 2.5 x", "q1 Q0 sea 2 1.5 x", "q2 Q0 dog 1 1.0 x"))
    process("add", "library", "corpus.jsonl")
    process("build", "library", "floor", "--embedder", "hashing")
    process("build", "library", "plain", "--lexical", "--language", "none")
    process("build", "library", "bm25", "--lexical")
    process("build", "library", "both", "--fuse", "bm25=2", "--fuse", "floor")
    process("build", "library", "deep", "--cascade", "both", "--rerank", "bm25", "--depth", "3")
    ask = ("compare", "library", "--queries", "queries.tsv", "--qrels", "test.qrels")
    out = process(*ask, "--run", "theirs.trec", "--baseline", "floor", "--runs", "runs", "--json")
    rows = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert list(rows) == ["floor", "plain", "bm25", "both", "deep", "theirs"]
    assert rows["deep"]["quality"]["nDCG@10"] == 1.0
    assert rows["theirs"]["quality"]["RR@10"] == pytest.approx(1 / 3)
    assert rows["theirs"]["environment"]["command"].startswith("retriever compare library")
    some = ("-i", "plain", "-i", "both")
    csv_lines = process(*ask, *some, "--label-file", "labels.csv", "--csv").splitlines()
    assert (tmp_path / "labels.csv").read_text("utf-8-sig").startswith("query_id,doc_id,relevance")
    assert f"both,quality.nDCG@10,{rows['both']['quality']['nDCG@10']}" in csv_lines
    files = [f"runs/{name}.trec" for name in rows]
    evaluated = process("evaluate", *files, "--qrels", "test.qrels", "--json")
    for row in map(json.loads, evaluated.splitlines()):
        assert row["quality"] == pytest.approx(rows[row["run"]]["quality"])
    process("drop", "library", "bm25", code=1)
