"""The ablation of distillation: its lab gives the product's table, its variants by hand."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.distillation import ablation, fits
from benchmarks.distillation.ablation import PLAIN, VARIANTS, Case, summed_up
from benchmarks.distillation.fused import EXACT, MIN_MAX, bm25_of, fuse, fused_scores, lead
from benchmarks.distillation.lab import best
from benchmarks.distillation.tasks import Task
from benchmarks.weightings import ADI
from docs.tables import results as tables
from docs.tables.statics import ablation_table, distilling_table, fused_table
from retriever import Collection, HashingEmbedder, distill
from retriever.datasets.lee import lee
from retriever.embedders.base import unit
from retriever.evaluation.measures import evaluate
from retriever.search.combinations.escalation import DEFAULT_MARGIN
from retriever.training.distillation.distill import RECIPE
from retriever.training.distillation.student import FitOptions, TableFit

DOCUMENTS = lee().documents[:60]


class NewsTask(Task):
    """Sixty news articles; the query of each third is its first words."""

    def documents(self):
        return DOCUMENTS

    def queries(self):
        return {one.doc_id: one.text[:60] for one in DOCUMENTS[::3]}

    def qrels(self):
        return {one.doc_id: {one.doc_id: 1} for one in DOCUMENTS[::3]}


class Teacher(HashingEmbedder):
    """A teacher without a tokenizer."""

    tokenizer_json = None

    def in_batches(self, _):
        return self


@pytest.fixture(scope="module")
def case():
    return Case(NewsTask("news", "News", ADI), 1, Teacher(64))


def test_the_lab_makes_the_table_that_the_product_makes(tmp_path, case):
    with Collection.create(tmp_path / "library") as library:
        library.add(DOCUMENTS)
        library.build("teacher", HashingEmbedder(64))
        judged = {"queries": case.task.queries(), "qrels": case.task.qrels()}
        found = distill(library, "student", teacher="teacher", **judged)
    table = load_file(found.path / "0_StaticEmbedding" / "model.safetensors")["embedding.weight"]
    ours = case.product
    used = ours.any(axis=1)
    assert used.sum() > 1_000
    assert ours[used] == pytest.approx(table[used], abs=1e-4)
    scores = case.lab.scores(ours)
    assert scores["cosine"] == pytest.approx(found.cosine, abs=1e-4)
    assert scores["queries_only"] == pytest.approx(found.judged.student_queries)
    assert scores["both_sides"] == pytest.approx(found.judged.student)
    assert np.mean(case.lab.teacher) == pytest.approx(found.judged.teacher)


def test_the_lab_fuses_as_the_product_does(tmp_path, case):
    queries, qrels = case.task.queries(), case.task.qrels()
    with Collection.create(tmp_path / "library") as library:
        library.add(DOCUMENTS)
        library.build("teacher", HashingEmbedder(64))
        library.build("bm25", lexical=True)
        library.fuse("minmax", ["bm25", "teacher"], method="minmax")
        library.fuse("convex", ["bm25", "teacher"], method="convex", weights=EXACT.weights)
        right, hits = {}, {}
        for name in ("minmax", "convex"):
            run = library.retriever(name).run(queries, 10).ranking
            hits[name] = [dict(run[key]) for key in queries]
            right[name] = np.mean([*evaluate(run, qrels, ["nDCG@10"])["nDCG@10"].values()])
    found = fused_scores(case.lab, case.lab.start)["fused"]
    assert found["teacher"] == pytest.approx(right["minmax"])
    assert found["convex"]["teacher"] == pytest.approx(right["convex"])
    for one in (found, found["convex"], found["convex_to_minmax"], found["escalated"]):
        assert one["low"] <= one["difference"] <= one["high"]
    # The teacher's vectors in place of the student's: the scores of the product.
    words = bm25_of(case.lab)
    dense = case.lab.queries.vectors @ case.lab.documents.vectors.T
    place = {doc_id: number for number, doc_id in enumerate(case.lab.doc_ids)}
    for fusion in (MIN_MAX, EXACT):
        for row, expected in zip(fuse(words, dense, fusion), hits[fusion.method], strict=True):
            ours = {doc_id: row[place[doc_id]] for doc_id in expected}
            assert ours == pytest.approx(expected, abs=1e-4)


def test_the_lab_escalates_as_the_product_does(tmp_path, case):
    lab, queries = case.lab, case.task.queries()
    with Collection.create(tmp_path / "library") as library:
        library.add(DOCUMENTS)
        library.build("teacher", HashingEmbedder(64))
        library.build("bm25", lexical=True)
        library.fuse("cheap", ["bm25", "teacher"], method="convex", weights=EXACT.weights)
        library.escalate("auto", "cheap", "bm25")
        encoded, _ = library.retriever("auto").encode_and_run(queries, 10)
    dense = lab.queries.vectors @ lab.documents.vectors.T
    unsure = lead(fuse(bm25_of(lab), dense, EXACT)) < DEFAULT_MARGIN
    assert encoded.escalated["auto"][0] == np.flatnonzero(unsure).tolist()
    assert 0 < unsure.sum() < len(queries)


def test_a_teacher_agrees_with_itself(case):
    assert case.lab.agreement(case.lab.held_out.vectors) == {"agreement": 1.0, "gain": 1.0}
    assert best(np.array([1.0, 3.0, 2.0], np.float32), 2).tolist() == [1, 2]
    assert best(np.array([1.0], np.float32), 10).tolist() == [0]


def test_all_anchors_are_the_nearest_ones(case):
    quick = FitOptions(steps=2, epochs=1, most_epochs=1, least_gain=None)
    lab = replace(case.lab, recipe=quick)
    every = lab.fitted(kind=partial(fits.NearestAnchors, count=len(lab.anchors)))
    assert every == pytest.approx(lab.fitted(), abs=1e-5)
    few = lab.fitted(kind=partial(fits.NearestAnchors, count=3))
    assert np.abs(few - every).max() > 1e-3


def test_a_sentence_is_drawn_to_its_document():
    """With one anchor, the teacher's ranking is that anchor; half of it gives way to the source."""
    table, anchors = np.eye(2, dtype=np.float32), np.array([[0, 1]], np.float32)
    options = FitOptions(contrast=4.0)
    sources = np.array([[1, 0], [0, 0]], np.float32)
    fit = fits.DrawnToSource(table, anchors, options, sources=sources, share=0.5)
    targets = unit(np.array([[1, 1], [1, 0]], np.float32))
    assert fit.aims(targets) - targets == pytest.approx(np.array([[2, 2], [0, 4]]), abs=1e-6)
    plain = TableFit(table, anchors, options).aims(targets)
    assert plain - targets == pytest.approx(np.array([[0, 4], [0, 4]]), abs=1e-6)


def test_a_fit_that_is_held_back_strongly_stays_where_it_began(case):
    quick = FitOptions(steps=2, epochs=1, most_epochs=1, least_gain=None)
    lab = replace(case.lab, recipe=quick)
    free, held = (
        lab.fitted(kind=partial(fits.HeldBack, strength=strength, to_zero=False))
        for strength in (0.0, 200.0)
    )
    assert free == pytest.approx(lab.fitted(), abs=1e-7)
    far, near = (np.abs(table - lab.start).sum() for table in (free, held))
    assert near < far


def test_bigrams_by_hand(case):
    lab = fits.with_bigrams(case.lab, 5)
    more = lab.documents.bags[:, len(case.lab.start) :]
    assert more.sum(axis=0).min() >= 5
    tokens, _ = case.lab.tokenizer.tokens(case.lab.documents.texts)
    _, counts = np.unique(np.stack([tokens[:-1], tokens[1:]]), axis=1, return_counts=True)
    # Some of these pairs are of two documents.
    assert 0 < more.shape[1] <= (counts >= 5).sum()
    assert lab.start[: len(case.lab.start)].tolist() == case.lab.start.tolist()


def test_bm25_finds_the_document_that_has_the_words(case):
    found = fits.bm25(case.lab)
    assert found.shape == (20, 60)
    assert found.max(axis=1).tolist() == [1.0] * 20
    assert np.mean(found.argmax(axis=1) == np.arange(0, 60, 3)) > 0.9


def test_every_variant_is_scored(case):
    every = VARIANTS[PLAIN](case)
    for label in ("residual of 64 units", "BM25 in the score, .3", "own document, .1"):
        scores = VARIANTS[label](case)
        assert scores.keys() <= every.keys()
        assert len(scores["per_query"]) == 20
        assert scores["queries_only"] > 0.5


def test_shares_and_their_interval_by_hand():
    run = {"queries_only": 0.25, "both_sides": 0.5, "per_query": [0.5, 0.0]}
    run |= dict.fromkeys(("cosine", "agreement", "gain"), 0.5)
    found = summed_up({"1": run}, [0.5, 0.5])
    assert (found["queries_only"], found["both_sides"]) == ([0.5], [1.0])
    # A sample has none, one or both of the two queries.
    assert found["interval"] == [0.0, 1.0]
    assert RECIPE.least_gain is None


def test_tables_leave_out_a_task_of_which_only_the_command_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(ablation, "RESULTS", tmp_path)
    monkeypatch.setattr(ablation, "collection_folder", tmp_path.joinpath)
    assert ablation.results() == {}
    (tmp_path / "command-adi.json").write_text('{"whole_s": 5.0}')
    found = ablation.results()
    assert found == {
        "adi": {"label": "ADI, 82 documents", "variants": {}, "command": {"whole_s": 5.0}}
    }
    certificate = tables.result("distilling")["certificate"]
    (tmp_path / "distilling.json").write_text(
        json.dumps({"certificate": certificate, "tasks": found})
    )
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert "| ADI" not in distilling_table() + fused_table()
    assert ablation_table().count("\n") == 1
