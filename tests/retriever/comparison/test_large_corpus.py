"""Tests of `compare` on 1,500 texts: what an ANN index loses, and differences to a baseline."""

import math
import random

import numpy as np
import pytest

from retriever import Collection, Document, HashingEmbedder, compare
from retriever.evaluation.measures import ann_recall, mean
from retriever.evaluation.significance import differences
from retriever.report.terminal.comparison import plain_comparison

WORDS = [f"w{n}" for n in range(300)]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """1,500 texts under an exact index, one that probes one cell of 64, and BM25."""
    draw = random.Random(3)
    with Collection.create(tmp_path_factory.mktemp("large") / "c") as collection:
        collection.add(Document(f"d{n}", " ".join(draw.choices(WORDS, k=12))) for n in range(1500))
        collection.build("exact", HashingEmbedder(dim=64))
        collection.build("cells", vectors="exact", ann="IVF64,Flat")
        collection.build("bm25", lexical=True)
        collection.fuse("both", ["cells", "bm25"])
        yield collection


def large_queries():
    draw = random.Random(5)
    queries = {f"q{n}": " ".join(draw.choices(WORDS, k=4)) for n in range(40)}
    return queries, {
        q: {f"d{draw.randrange(1500)}": draw.randint(1, 3) for _ in range(30)} for q in queries
    }


def test_an_exact_index_has_an_ann_recall_of_1(large):
    rows = compare(large, ["exact", "bm25", "both"], large_queries()[0]).rows
    assert rows["exact"].ann_recall == 1.0
    assert (rows["bm25"].ann_recall, rows["both"].ann_recall) == (None, None)
    assert [row.kind for row in rows.values()] == ["exact", "lexical", "fused"]
    assert [row.family for row in rows.values()] == ["hashing", "lexical", "combined"]


def test_a_random_ranking_has_its_expected_ann_recall():
    # Of N documents, k drawn without looking have on average k/N of the true k: hypergeometric
    # with the variance k (k/N) (1 - k/N) (N - k) / (N - 1) of their number.
    n, k, queries = 200, 20, 2000
    draw = np.random.default_rng(11)
    true = np.sort(draw.random((queries, n)), axis=1)[:, ::-1]
    drawn = np.array([draw.choice(row, k, replace=False) for row in true])
    found = ann_recall(drawn.tolist(), true[:, :k].tolist(), k)
    share = k / n
    sd = math.sqrt(k * share * (1 - share) * (n - k) / (n - 1)) / k / math.sqrt(queries)
    assert abs(found - share) < 4 * sd < 0.006


def test_what_the_index_lost_is_what_exact_search_over_its_vectors_would_add(large):
    queries, qrels = large_queries()
    made = compare(large, ["exact", "cells", "both"], queries, qrels)
    exact, cells, both = (made.rows[name] for name in ("exact", "cells", "both"))
    assert cells.kind == "ann"
    assert 0 < cells.ann_recall < 1
    assert cells.exact_quality == exact.quality
    assert cells.quality != exact.quality
    assert (exact.exact_quality, both.exact_quality) == ({}, {})
    lost = exact["nDCG@10"] - cells["nDCG@10"]
    lines = [line.split() for line in plain_comparison(made).splitlines()]
    assert ["nDCG@10,", "exact", "search", "-", f"{exact['nDCG@10']:.4f}", "-"] in lines
    assert ["...", "lost", "by", "the", "index", "-", f"{lost:.4f}", "-"] in lines


def test_ann_recall_is_the_share_of_the_true_top_k_that_was_found(large):
    queries, _ = large_queries()
    made = compare(large, ["exact", "cells"], queries, k=10)
    shares = []
    for query_id in queries:
        true = [score for _, score in made.runs["exact"].ranking[query_id]]
        found = [score for _, score in made.runs["cells"].ranking[query_id]]
        shares.append(sum(score >= true[-1] - 1e-6 for score in found) / 10)
    assert made.rows["cells"].ann_recall == pytest.approx(sum(shares) / len(shares))


def test_differences_are_those_of_the_values_by_query(large):
    queries, qrels = large_queries()
    options = {"baseline": "bm25", "seed": 7, "measures": ["AP", "P@5"]}
    made = compare(large, ["exact", "cells", "bm25"], queries, qrels, **options)
    assert (made.baseline, dict(made.rows["bm25"].differences)) == ("bm25", {})
    for of in ("AP", "P@5"):
        values = {name: made.per_query[name][of] for name in ("exact", "cells")}
        expected = differences(made.per_query["bm25"][of], values, seed=7)
        for name in values:
            assert made.rows[name].differences[of] == expected[name]
            lead = mean(values[name]) - mean(made.per_query["bm25"][of])
            assert expected[name].mean == pytest.approx(lead)
    again = compare(large, ["exact", "bm25"], queries, qrels, baseline="bm25", measures=["AP"])
    assert again.environment["seed"] == "20240517"
