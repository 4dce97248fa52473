"""SciFact, whole, with real models: the numbers that were measured before there was this code."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.certificate import collection_folder
from benchmarks.quality import SCIFACT, SYSTEMS, build, judge
from retriever.embedders import StaticEmbedder
from retriever.report.why import why_lines


@pytest.fixture(scope="module")
def scifact(data):
    """The collection, embedded once and kept in the checkout's `.cache/`.

    In half the time that single precision takes: what it costs in quality is less than is allowed.
    """
    half = ("-o", "precision", "bfloat16")
    with build(collection_folder("scifact-half"), SCIFACT, *half) as collection:
        yield collection


@pytest.fixture(scope="module")
def comparison(scifact, data):
    return judge(scifact, SCIFACT)


def test_minilm_finds_what_it_is_known_to_find(comparison):
    assert comparison.rows["minilm"]["nDCG@10"] == pytest.approx(0.645, abs=0.005)
    assert comparison.rows["minilm"]["R@100"] == pytest.approx(0.922, abs=0.005)


def test_averaged_glove_finds_what_it_is_known_to_find(comparison):
    assert comparison.rows["glove"]["nDCG@10"] == pytest.approx(0.134, abs=0.005)
    assert comparison.rows["glove"]["R@100"] == pytest.approx(0.401, abs=0.005)
    assert comparison.rows["glove"].index.text.coverage == pytest.approx(0.968, abs=0.002)


def test_hnsw_loses_almost_nothing_and_embeds_nothing_again(scifact, comparison):
    row = comparison.rows["minilm-hnsw"]
    assert row.ann_recall >= 0.99
    assert comparison.rows["minilm"].ann_recall == 1.0
    assert row["nDCG@10"] == pytest.approx(comparison.rows["minilm"]["nDCG@10"], abs=0.002)
    report = scifact.build("minilm-hnsw")
    assert (report.embedded, report.already) == (0, 5183)
    assert row.index.vectors_shared_with == ("minilm",)


def test_written_runs_judged_by_others_give_the_same_numbers(comparison, data, tmp_path):
    judged = [(name, row.quality) for name, row in comparison.rows.items()]
    for (name, quality), path in zip(judged, comparison.write_runs(tmp_path), strict=True):
        qrels = tmp_path / "qrels.trec"
        lines = (data / "scifact" / "qrels" / "test.tsv").read_text().splitlines()[1:]
        rows = (line.split("\t") for line in lines)
        qrels.write_text("".join(f"{q} 0 {d} {grade}\n" for q, d, grade in rows))
        command = [Path(sys.executable).parent / "ir_measures", qrels, path, " ".join(quality)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        theirs = dict(line.split("\t") for line in printed.splitlines())
        assert {m: f"{value:.4f}" for m, value in quality.items()} == theirs, name


def test_two_thirds_of_the_documents_are_cut_off_and_said_to_be(comparison):
    assert comparison.rows["minilm"].index.max_length == 256
    assert comparison.rows["minilm"].index.text.truncated == 3681
    assert any("3,681 were cut off" in note for note in comparison.notes)


def test_rows_come_in_the_order_asked(comparison):
    assert tuple(comparison.rows) == SYSTEMS


def test_two_documents_of_cranfield_are_empty_and_cannot_be_found(data, tmp_path):
    from retriever import Collection

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
    from retriever import Collection

    with Collection.create(tmp_path / "arxiv") as collection:
        assert collection.add(data / "arxiv-100k" / "corpus.jsonl.gz").new == 100_000
        assert collection.add(data / "arxiv-100k" / "corpus.jsonl.gz").unchanged == 100_000


def test_the_demo_finds_what_people_found_alike(tmp_path):
    from contextlib import nullcontext

    from retriever.demo import prepare

    result = prepare(tmp_path / "demo", lambda _: nullcontext(lambda done, total: None))
    rows = result.comparison.rows
    assert rows["glove"]["nDCG@10"] == pytest.approx(0.208, abs=0.005)
    assert rows["minilm"]["nDCG@10"] == pytest.approx(0.385, abs=0.005)
    assert rows["minilm"].differences["nDCG@10"].significant
    assert len(result.comparison.queries) == 48
    lines = [line.plain for line in why_lines(result.comparison, 2, ("glove", "minilm"))]
    wins = [line for line in lines if " beats " in line]
    assert [line.split(" on ")[0] for line in wins] == ["glove beats minilm", "minilm beats glove"]
    # A query is a document too: it does not find itself.
    for query_id, hits in result.comparison.runs["minilm"].ranking.items():
        assert query_id not in [doc_id for doc_id, _ in hits]
    shutil.rmtree(tmp_path / "demo")
