"""Real collections and real models: the numbers measured by the benchmarks."""

import fcntl
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmarks.certificate import collection_folder
from benchmarks.quality import CRANFIELD, SCIFACT, SYSTEMS, build, judge
from indexes.errors import MismatchError
from indexes.progress import ignore_progress
from retriever import ContextualEmbedder, compare, read_qrels, read_queries
from retriever.datasets.demo import prepare
from retriever.embedders import StaticEmbedder
from retriever.embedders.devices import computes_bfloat16
from retriever.report.terminal.contrasts import contrast_lines
from tests.support.oracles.trec import write_without_ties

# Half the time of single precision, at a loss within the tolerance; many times as long where the
# processor has no instructions for it.
PRECISION = "bfloat16" if computes_bfloat16("cpu") else "float32"
HALF = ("-o", "precision", PRECISION)
STUDENT = ("--texts", "800", "--precision", PRECISION)
TRUNCATED = 413
# Systems that need another pass of a transformer are left to the benchmark.
OF_CRANFIELD = tuple(name for name in SYSTEMS if name not in ("minilm-int8", "student-cascaded"))
OF_SCIFACT = ("hashing", "glove", "glove-auto", "bm25")


@pytest.fixture(scope="module")
def cranfield(data):
    """The collection, embedded once and kept in the checkout's `.cache/`."""
    folder, options = (
        collection_folder(f"cranfield-{PRECISION}"),
        {"minilm": HALF, "student": STUDENT},
    )
    # Another process of this run may be at it.
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            collection = build(folder, CRANFIELD, OF_CRANFIELD, options=options)
        except MismatchError:  # an earlier version's, in the same checkout
            shutil.rmtree(folder)
            collection = build(folder, CRANFIELD, OF_CRANFIELD, options=options)
    with collection:
        yield collection


@pytest.fixture(scope="module")
def comparison(cranfield, data):
    return judge(cranfield, CRANFIELD, OF_CRANFIELD)


@pytest.fixture(scope="module")
def scifact(data, tmp_path_factory):
    """The systems without a transformer, on SciFact."""
    folder = tmp_path_factory.mktemp("real") / "scifact"
    with build(folder, SCIFACT, OF_SCIFACT) as collection:
        yield judge(collection, SCIFACT, OF_SCIFACT)
    shutil.rmtree(folder)


def test_scifact_is_searched_as_well_as_measured(scifact):
    for name, ndcg, recall in (
        ("hashing", 0.231, 0.535),
        ("glove", 0.138, 0.415),
        ("glove-auto", 0.289, 0.635),
        ("bm25", 0.6845, 0.921),
    ):
        assert scifact.rows[name]["nDCG@10"] == pytest.approx(ndcg, abs=0.005), name
        assert scifact.rows[name]["R@100"] == pytest.approx(recall, abs=0.005), name
    assert scifact.rows["glove"].index.text.coverage == pytest.approx(0.968, abs=0.002)


def test_minilm_searches_cranfield_as_well_as_measured_and_reports_truncation(comparison):
    assert tuple(comparison.rows) == OF_CRANFIELD
    minilm = comparison.rows["minilm"]
    assert minilm["nDCG@10"] == pytest.approx(0.435, abs=0.005)
    assert minilm["R@100"] == pytest.approx(0.789, abs=0.005)
    assert (minilm.index.max_length, minilm.index.text.truncated) == (256, TRUNCATED)
    assert any(f"{TRUNCATED:,} were cut off" in note for note in comparison.notes)


def test_a_student_of_minilm_comes_close_to_it(comparison):
    """With 800 sentences only; the benchmark uses more."""
    rows = comparison.rows
    minilm = rows["minilm"]["nDCG@10"]
    assert rows["student"]["nDCG@10"] > max(0.9 * minilm, 1.5 * rows["glove-auto"]["nDCG@10"])
    assert rows["fast"]["nDCG@10"] > 0.97 * minilm
    assert rows["fast"].index.description == "minilm vectors, queries by student"


def test_hnsw_loses_almost_nothing_and_embeds_nothing_again(cranfield, comparison):
    row, exact = comparison.rows["minilm-hnsw"], comparison.rows["minilm"]
    assert row.ann_recall >= 0.99
    assert exact.ann_recall == 1.0
    assert row["nDCG@10"] == pytest.approx(exact["nDCG@10"], abs=0.002)
    report = cranfield.build("minilm-hnsw")
    assert (report.embedded, report.already) == (0, 1400)
    assert row.index.vectors_shared_with == ("minilm", "fast")


def test_ir_measures_gives_written_runs_the_same_numbers(comparison, data, tmp_path):
    qrels = tmp_path / "qrels.trec"
    lines = (data / "cranfield" / "qrels" / "test_graded.tsv").read_text().splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    qrels.write_text("".join(f"{q} 0 {d} {grade}\n" for q, d, grade in rows))
    written = comparison.write_runs(tmp_path)
    for (name, row), path in zip(comparison.rows.items(), written, strict=True):
        # MRR@10 is not pytrec_eval's, and orders equal scores another way.
        run = write_without_ties(path, path.with_suffix(".untied"))
        command = [Path(sys.executable).parent / "ir_measures", qrels, run, " ".join(row.quality)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        theirs = dict(line.split("\t") for line in printed.splitlines())
        assert {m: f"{value:.4f}" for m, value in row.quality.items()} == theirs, name


def test_hits_of_a_numbered_collection_count_though_queries_have_the_same_numbers(data, collection):
    collection.add(data / "adi" / "corpus.jsonl")
    collection.build("minilm", ContextualEmbedder("all-MiniLM-L6-v2"))
    collection.build("bm25", lexical=True)
    queries = read_queries(data / "adi" / "queries.jsonl")
    qrels = read_qrels(data / "adi" / "qrels" / "test.tsv")
    for drop, minilm, bm25 in ((False, 0.4975, 0.4781), (True, 0.4865, 0.4710)):
        made = compare(collection, ["minilm", "bm25"], queries, qrels, drop_self=drop)
        assert made.rows["minilm"]["nDCG@10"] == pytest.approx(minilm, abs=0.0005)
        assert made.rows["bm25"]["nDCG@10"] == pytest.approx(bm25, abs=0.0005)


def test_two_documents_of_cranfield_are_empty_and_cannot_be_found(data, collection):
    added = collection.add(data / "cranfield" / "corpus.jsonl")
    assert (added.new, added.skipped_total) == (1400, 0)
    collection.build("glove", StaticEmbedder("glove-6b-50d"))
    index = collection.index_info("glove")
    assert (index.rows, index.unfindable, index.missing) == (1398, 2, 0)
    assert collection.document("471").text == ""
    found = collection.search("boundary layer flow", k=2000)
    assert len(found) == 1398
    assert not {"471", "995"} & {hit.doc_id for hit in found}


def test_a_gzipped_corpus_of_a_hundred_thousand_documents_is_added(data, collection):
    corpus = data / "arxiv-100k" / "corpus.jsonl.gz"
    assert collection.add(corpus).new == 100_000
    assert collection.add(corpus).unchanged == 100_000


def test_the_demo_measures_as_it_did(tmp_path):
    result = prepare(tmp_path / "demo", lambda _: nullcontext(ignore_progress))
    rows = result.comparison.rows
    assert rows["glove"]["nDCG@10"] == pytest.approx(0.208, abs=0.005)
    assert rows["minilm"]["nDCG@10"] == pytest.approx(0.385, abs=0.005)
    assert rows["minilm"].differences["nDCG@10"].significant
    assert len(result.comparison.queries) == 48
    lines = [line.plain for line in contrast_lines(result.comparison, 2, ("glove", "minilm"))]
    wins = [line for line in lines if " beats " in line]
    assert [line.split(" on ")[0] for line in wins] == ["glove beats minilm", "minilm beats glove"]
    # A query is a document too: it does not find itself.
    for query_id, hits in result.comparison.runs["minilm"].ranking.items():
        assert query_id not in [doc_id for doc_id, _ in hits]
    shutil.rmtree(tmp_path / "demo")
