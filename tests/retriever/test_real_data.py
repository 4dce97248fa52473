"""Real collections and real models: the numbers measured by the benchmarks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.certificate import collection_folder
from benchmarks.quality import CRANFIELD, SCIFACT, SYSTEMS, build, judge
from retriever import Collection
from retriever.embedders import StaticEmbedder
from retriever.report.terminal.contrasts import contrast_lines

# Half the time of single precision, at a loss within the tolerance.
HALF = ("-o", "precision", "bfloat16")
TAUGHT = ("--texts", "800", "--precision", "bfloat16")
TRUNCATED = 413
# Systems that need another pass of a transformer are left to the benchmark.
OF_CRANFIELD = tuple(name for name in SYSTEMS if name not in ("minilm-int8", "student-cascaded"))
WORDS_OF_SCIFACT = ("hashing", "glove", "glove-idf", "bm25")


@pytest.fixture(scope="module")
def cranfield(data):
    """The collection, embedded once and kept in the checkout's `.cache/`."""
    folder, options = collection_folder("cranfield-half"), {"minilm": HALF, "student": TAUGHT}
    with build(folder, CRANFIELD, OF_CRANFIELD, options=options) as collection:
        yield collection


@pytest.fixture(scope="module")
def comparison(cranfield, data):
    return judge(cranfield, CRANFIELD, OF_CRANFIELD)


@pytest.fixture(scope="module")
def scifact(data, tmp_path_factory):
    """The systems without a transformer, on SciFact."""
    folder = tmp_path_factory.mktemp("real") / "scifact"
    with build(folder, SCIFACT, WORDS_OF_SCIFACT) as collection:
        yield judge(collection, SCIFACT, WORDS_OF_SCIFACT)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "ndcg", "recall"),
    [
        ("hashing", 0.231, 0.535),
        ("glove", 0.134, 0.401),
        ("glove-idf", 0.268, 0.595),
        ("bm25", 0.6845, 0.921),
    ],
)
def test_words_find_in_scifact_what_they_are_known_to_find(scifact, name, ndcg, recall):
    assert scifact.rows[name]["nDCG@10"] == pytest.approx(ndcg, abs=0.005)
    assert scifact.rows[name]["R@100"] == pytest.approx(recall, abs=0.005)


def test_minilm_finds_what_it_is_known_to_find(comparison):
    assert comparison.rows["minilm"]["nDCG@10"] == pytest.approx(0.435, abs=0.005)
    assert comparison.rows["minilm"]["R@100"] == pytest.approx(0.789, abs=0.005)


def test_a_student_of_minilm_finds_nearly_as_much_at_a_static_querys_price(comparison):
    """With 800 sentences only; the benchmark uses more."""
    rows = comparison.rows
    minilm = rows["minilm"]["nDCG@10"]
    assert rows["student"]["nDCG@10"] > 0.9 * minilm
    assert rows["fast"]["nDCG@10"] > 0.97 * minilm
    assert rows["student"]["nDCG@10"] > 2 * rows["glove-idf"]["nDCG@10"]
    assert rows["fast"].index.description == "minilm vectors, queries by student"


def test_averaged_glove_knows_most_words(scifact):
    assert scifact.rows["glove"].index.text.coverage == pytest.approx(0.968, abs=0.002)


def test_hnsw_loses_almost_nothing_and_embeds_nothing_again(cranfield, comparison):
    row = comparison.rows["minilm-hnsw"]
    assert row.ann_recall >= 0.99
    assert comparison.rows["minilm"].ann_recall == 1.0
    assert row["nDCG@10"] == pytest.approx(comparison.rows["minilm"]["nDCG@10"], abs=0.002)
    report = cranfield.build("minilm-hnsw")
    assert (report.embedded, report.already) == (0, 1400)
    assert row.index.vectors_shared_with == ("minilm", "fast")


def test_written_runs_judged_by_others_give_the_same_numbers(comparison, data, tmp_path):
    judged = [(name, row.quality) for name, row in comparison.rows.items()]
    for (name, quality), path in zip(judged, comparison.write_runs(tmp_path), strict=True):
        qrels = tmp_path / "qrels.trec"
        lines = (data / "cranfield" / "qrels" / "test_graded.tsv").read_text().splitlines()[1:]
        rows = (line.split("\t") for line in lines)
        qrels.write_text("".join(f"{q} 0 {d} {grade}\n" for q, d, grade in rows))
        command = [Path(sys.executable).parent / "ir_measures", qrels, path, " ".join(quality)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        theirs = dict(line.split("\t") for line in printed.splitlines())
        assert {m: f"{value:.4f}" for m, value in quality.items()} == theirs, name


def test_documents_that_are_cut_off_are_said_to_be(comparison):
    assert comparison.rows["minilm"].index.max_length == 256
    assert comparison.rows["minilm"].index.text.truncated == TRUNCATED
    assert any(f"{TRUNCATED:,} were cut off" in note for note in comparison.notes)


def test_rows_come_in_the_order_asked(comparison):
    assert tuple(comparison.rows) == OF_CRANFIELD


def test_two_documents_of_cranfield_are_empty_and_cannot_be_found(data, tmp_path):
    with Collection.create(tmp_path / "cranfield") as collection:
        added = collection.add(data / "cranfield" / "corpus.jsonl")
        assert (added.new, added.skipped_total) == (1400, 0)
        collection.build("glove", StaticEmbedder("glove-6b-50d"))
        index = collection.info().indexes[0]
        assert (index.rows, index.unfindable, index.missing) == (1398, 2, 0)
        assert collection.document("471").text == ""
        found = collection.search("boundary layer flow", k=2000)
        assert len(found) == 1398
        assert not {"471", "995"} & {hit.doc_id for hit in found}


def test_a_gzipped_corpus_of_a_hundred_thousand_goes_in_as_a_stream(data, tmp_path):
    with Collection.create(tmp_path / "arxiv") as collection:
        assert collection.add(data / "arxiv-100k" / "corpus.jsonl.gz").new == 100_000
        assert collection.add(data / "arxiv-100k" / "corpus.jsonl.gz").unchanged == 100_000


def test_the_demo_finds_what_people_found_alike(tmp_path):
    from contextlib import nullcontext

    from retriever.datasets.demo import prepare

    result = prepare(tmp_path / "demo", lambda _: nullcontext(lambda done, total: None))
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
