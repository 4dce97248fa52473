"""What `compare` measures: quality and its loss, chance, agreement, fronts, latency, cost."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from indexes.errors import InputError, UnknownNameError
from retriever import Collection, Document, HashingEmbedder, Run, compare
from retriever.comparison.cost import cost_of, leaves
from retriever.comparison.latency import measure
from retriever.evaluation.measures import ann_recall, mean
from retriever.evaluation.significance import differences
from retriever.report.terminal.comparison import plain_comparison
from tests.support.toy import COMPASS, QRELS, QUERIES, SECOND, Axes

WORDS = [f"w{n}" for n in range(300)]


def large_corpus(size=1500):
    draw = random.Random(3)
    return [Document(f"d{n}", " ".join(draw.choices(WORDS, k=12))) for n in range(size)]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """1,500 texts, exactly, by an index that looks at one cell of 64, and by BM25."""
    with Collection.create(tmp_path_factory.mktemp("large") / "c") as collection:
        collection.add(large_corpus())
        collection.build("exact", HashingEmbedder(dim=64))
        collection.build("cells", vectors="exact", ann="IVF64,Flat")
        collection.build("bm25", lexical=True)
        collection.fuse("both", ["cells", "bm25"])
        yield collection


def large_queries(count=40):
    draw = random.Random(5)
    queries = {f"q{n}": " ".join(draw.choices(WORDS, k=4)) for n in range(count)}
    qrels = {
        q: {f"d{draw.randrange(1500)}": draw.randint(1, 3) for _ in range(30)} for q in queries
    }
    return queries, qrels


# -- what an index finds of the exact answer ------------------------------------------------------


def test_an_exact_index_finds_exactly_all(large):
    rows = compare(large, ["exact", "bm25", "both"], large_queries()[0]).rows
    assert rows["exact"].ann_recall == 1.0
    assert (rows["bm25"].ann_recall, rows["both"].ann_recall) == (None, None)
    assert [row.kind for row in rows.values()] == ["exact", "lexical", "fused"]
    assert [row.family for row in rows.values()] == ["hashing", "lexical", "combined"]


def test_a_random_ranking_finds_its_expected_share():
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


# -- against a baseline ---------------------------------------------------------------------------


def test_a_baseline_must_be_one_of_the_systems_and_needs_judgments(compass):
    with pytest.raises(UnknownNameError, match="No system 'nope' in this comparison. It has: axes"):
        compare(compass, ["axes", "half"], QUERIES, QRELS, baseline="nope")
    with pytest.raises(InputError, match="A baseline needs judgments. Give qrels"):
        compare(compass, ["axes", "half"], QUERIES, baseline="axes")


def test_differences_are_those_of_the_values_by_query(large):
    queries, qrels = large_queries()
    made = compare(
        large,
        ["exact", "cells", "bm25"],
        queries,
        qrels,
        baseline="bm25",
        seed=7,
        measures=["AP", "P@5"],
    )
    assert (made.baseline, dict(made.rows["bm25"].differences)) == ("bm25", {})
    for of in ("AP", "P@5"):
        values = {name: made.per_query[name][of] for name in ("exact", "cells")}
        told = differences(made.per_query["bm25"][of], values, seed=7)
        for name in values:
            assert made.rows[name].differences[of] == told[name]
            lead = mean(values[name]) - mean(made.per_query["bm25"][of])
            assert told[name].mean == pytest.approx(lead)
    again = compare(large, ["exact", "bm25"], queries, qrels, baseline="bm25", measures=["AP"])
    assert again.environment["seed"] == "20240517"


# -- runs from elsewhere --------------------------------------------------------------------------


def test_a_run_joins_the_table_under_its_name(compass, tmp_path):
    (tmp_path / "other.trec").write_text(
        "q2 Q0 u 1 2.0 x\nq2 Q0 all 2 1.0 x\nq2 Q0 gone 3 0.5 x\nq9 Q0 n 1 1.0 x\n"
    )
    run = Run.read(tmp_path / "other.trec")
    made = compare(compass, ["axes"], QUERIES, QRELS, runs={run.name: run}, baseline="axes")
    assert list(made.rows) == ["axes", "other"]
    row = made.rows["other"]
    assert (row.kind, row.family, row.description) == ("run", "run", "an imported run")
    assert (row.latency, row.throughput, row.cost, row.ann_recall) == (None, None, None, None)
    assert row["nDCG@10"] == pytest.approx(SECOND / 2)
    assert made.runs["other"].ranking == {"q1": [], "q2": run.ranking["q2"]}
    assert "Run 'other' has no hits for 1 query, which count 0: q1." in made.notes
    assert row.differences["nDCG@10"].mean == pytest.approx(-SECOND / 2)
    assert "gone" not in made.documents
    # The baseline may be a run, too.
    turned = compare(compass, ["axes"], QUERIES, QRELS, runs={"other": run}, baseline="other")
    assert turned.rows["axes"].differences["nDCG@10"].mean == pytest.approx(SECOND / 2)


def test_only_runs_may_be_compared(compass):
    runs = {name: Run.of(name, {"q1": [(name, 1.0)]}) for name in ("all", "n")}
    made = compare(compass, [], QUERIES, QRELS, runs=runs)
    assert [row["nDCG@10"] for row in made.rows.values()] == [0.5, 0.0]
    assert made.fronts() == {"latency": [], "building": []}
    assert "recall@10" in str(made)


@pytest.mark.parametrize(("keep", "reciprocal"), [(False, 1.0), (True, 0.5)])
def test_hits_that_are_the_query_are_dropped_or_kept_for_all_alike(compass, keep, reciprocal):
    run = Run.of("other", {"n": [("n", 2.0), ("all", 1.0)]})
    made = compare(
        compass,
        ["axes"],
        {"n": "north"},
        {"n": {"all": 1}},
        runs={"other": run},
        keep_self=keep,
        measures=["RR@10"],
    )
    assert [row["RR@10"] for row in made.rows.values()] == [reciprocal, reciprocal]
    assert [doc_id for doc_id, _ in made.runs["other"].ranking["n"]] == ["n", "all"][not keep :]


def test_a_run_that_has_the_name_of_an_index_is_refused_with_a_way_out(compass):
    with pytest.raises(
        InputError, match=r"twice: axes, axes\. A run is named after its file: leave"
    ):
        compare(compass, ["axes"], QUERIES, QRELS, runs={"axes": Run.of("axes", {})})


def test_runs_are_written_whatever_they_are_called(compass, tmp_path):
    runs = {name: Run.of(name, {"q1": [("all", 1.0)]}) for name in ("a/b c.trec", "../up")}
    made = compare(compass, ["axes"], QUERIES, QRELS, runs=runs)
    paths = made.write_runs(tmp_path / "runs")
    assert [path.name for path in paths] == ["axes.trec", "a_b_c.trec.trec", ".._up.trec"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(
        path.name for path in paths
    )
    assert paths[1].read_text() == "q1 Q0 all 1 1.0 a_b_c.trec\n"
    alike = {name: Run.of(name, {}) for name in ("a/b", "a b")}
    with pytest.raises(InputError, match="Two of the runs would get one file: axes, a/b, a b"):
        compare(compass, ["axes"], QUERIES, QRELS, runs=alike).write_runs(tmp_path / "more")


# -- what is noted --------------------------------------------------------------------------------


def test_what_queries_and_judgments_lack_is_named(compass):
    made = compare(
        compass,
        ["axes"],
        {**QUERIES, "q3": "up"},
        {**QRELS, "x1": {"e": 1}, "q2": {"all": 1, "gone": 2, "nil": 0}},
    )
    assert made.notes[:3] == (
        "1 query without judgments was left out: q3.",
        "1 judged query has no text, left out: x1.",
        "1 relevant document is not in the collection: gone.",
    )
    assert list(made.queries) == ["q1", "q2"]


def test_what_the_parts_of_a_combination_lack_is_noted_once(compass):
    compass.fuse("both", ["axes", "half"])
    compass.cascade("deep", "both", "axes")
    compass.add([Document("new", "up")])
    alone = compare(compass, ["deep"], QUERIES).notes
    assert alone == (
        f"1 document in {compass.path}/ is not in index 'axes' yet. "
        f"Run: retriever build {compass.path} axes",
        "'axes': 1 document has nothing that axes can embed.",
        f"1 document in {compass.path}/ is not in index 'half' yet. "
        f"Run: retriever build {compass.path} half",
        "'half': 2 documents have nothing that half can embed.",
    )
    assert compare(compass, ["half", "axes", "deep"], QUERIES).notes == alone[2:] + alone[:2]


def test_how_to_make_a_combination_and_all_its_parts_again_is_told(compass):
    compass.build("bm25", lexical=True)
    compass.build("graph", vectors="axes", ann="HNSW8")
    compass.fuse("both", ["graph", "bm25"], weights=[1, 1 / 3], rrf_k=10)
    compass.cascade("deep", "both", "half", depth=7)
    told = compare(compass, ["deep"], QUERIES).environment
    start = f"retriever build {compass.path}"
    built = {name: text for name, text in told.items() if name.startswith("index ")}
    assert list(built) == ["index graph", "index bm25", "index both", "index half", "index deep"]
    assert built["index bm25"] == f"{start} bm25 --lexical --language english"
    assert built["index both"] == (
        f"{start} both --fuse graph=1 --fuse bm25=0.3333333333333333 "
        "--method rrf --rrf-k 10 --depth 100"
    )
    assert built["index deep"] == f"{start} deep --cascade both --rerank half --depth 7"
    assert built["index graph"].endswith("--ann HNSW8")


# -- time and room --------------------------------------------------------------------------------


def test_latencies_ascend_and_every_system_was_asked_as_often(compass):
    compass.build("bm25", lexical=True)
    compass.fuse("both", ["axes", "bm25"])
    made = compare(compass, ["axes", "bm25", "both"], QUERIES)
    assert len({len(row.latency.totals) for row in made.rows.values()}) == 1
    for row in made.rows.values():
        assert list(row.latency.totals) == sorted(row.latency.totals)
        for step in ("encoding", "searching", "fetching", "total"):
            spread = getattr(row.latency, step)
            assert 0 < spread.p50 <= spread.p95 <= spread.p99
        assert np.percentile(row.latency.totals, 95) == pytest.approx(row.latency.total.p95)


class Telling(Axes):
    """Tells when it is asked to encode queries."""

    def __init__(self, name, told, words):
        super().__init__(name, words=words)
        self.told = told

    def encode_queries(self, texts):
        self.told.append((self.name, *texts))
        return super().encode_queries(texts)


def test_systems_take_turns_query_by_query(compass):
    told = []
    compass.build("a", Telling("a", told, ("north", "up", "fog")))
    compass.build("b", Telling("b", told, ("fog", "up")))
    retrievers = [compass.retriever(name) for name in ("a", "b")]
    told.clear()
    latencies = measure(retrievers, ["north", "up"], 1)
    turns = [("a", "north"), ("b", "north"), ("a", "up"), ("b", "up")]
    # Once unmeasured, then as often as gives thirty samples of each.
    assert told == turns + 15 * turns
    assert {name: len(one.totals) for name, one in latencies.items()} == {"a": 30, "b": 30}


def test_shared_vectors_are_counted_once(compass):
    compass.build("graph", vectors="axes", ann="HNSW8")
    compass.build("bm25", lexical=True)
    compass.fuse("both", ["axes", "graph", "bm25"])
    compass.cascade("deep", "both", "half")
    infos = {info.name: info for info in compass.info().indexes}
    assert leaves("deep", infos) == ["axes", "graph", "bm25", "half"]
    axes, graph, words, half = (infos[name] for name in leaves("deep", infos))
    cost = compare(compass, ["deep"], QUERIES).rows["deep"].cost
    assert cost.embedding_seconds == axes.embedding_seconds + half.embedding_seconds
    assert graph.embedding_seconds == axes.embedding_seconds
    own = [graph.structure_size, words.structure_size]
    assert min(own) > 0
    assert cost.disk_size == axes.vectors_size + half.vectors_size + sum(own)
    assert cost.disk_size_per_document == cost.disk_size / 5
    assert cost.indexing_seconds == graph.indexing_seconds + words.indexing_seconds
    assert cost.building_seconds == cost.embedding_seconds + cost.indexing_seconds
    assert cost.documents_per_second == pytest.approx(5 / cost.building_seconds)
    both = cost_of("both", infos, 5)
    assert both.embedding_seconds == axes.embedding_seconds


def test_what_took_no_time_has_no_rate(compass):
    infos = {info.name: info for info in compass.info().indexes}
    text = replace(infos["axes"].text, tokens=5)
    instant = replace(infos["axes"], embedding_seconds=0.0, indexing_seconds=0.0, text=text)
    cost = cost_of("axes", {"axes": instant}, 5)
    assert (cost.documents_per_second, cost.tokens_per_second) == (None, None)
    assert (
        cost_of("axes", {"axes": replace(instant, embedding_seconds=2.0)}, 5).tokens_per_second
        == 2.5
    )


def test_memory_is_measured_where_it_is_asked_for(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(COMPASS)
        collection.build("bm25", lexical=True)
        (row,) = compare(collection, ["bm25"], QUERIES, memory=True).rows.values()
        assert 10e6 < row.cost.open_memory < 1e9
        (row,) = compare(collection, ["bm25"], QUERIES).rows.values()
        assert row.cost.open_memory is None


def test_an_embedder_of_ones_own_is_compared_like_any_other(compass):
    (row,) = compare(compass, ["axes"], QUERIES, QRELS, memory=True).rows.values()
    assert (row.family, row.kind) == ("custom", "exact")
    assert row.description == "custom:Axes"
    assert row.cost.open_memory is None  # no other process can load it
    assert row.latency.total.p50 > 0
    assert row["nDCG@10"] == pytest.approx(SECOND)


# -- what can be read off -------------------------------------------------------------------------


def as_if(made, qualities, milliseconds, seconds):
    """A comparison as if its systems were so good and had taken so long."""
    rows = {}
    for (name, row), best, ms, s in zip(
        made.rows.items(), qualities, milliseconds, seconds, strict=True
    ):
        latency = replace(row.latency, total=replace(row.latency.total, p50=ms))
        cost = replace(row.cost, embedding_seconds=s / 2, indexing_seconds=s / 2)
        rows[name] = replace(row, quality={"nDCG@10": best}, latency=latency, cost=cost)
    return replace(made, rows=rows)


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "latency", "building"),
    [
        ((3, 1, 2), (1, 2, 3), ["b", "c"], ["a", "c"]),  # a is slower than c, and worse
        ((1, 1, 1), (2, 1, 1), ["c"], ["c"]),
        ((1, 2, 3), (3, 2, 1), ["a", "c"], ["c"]),  # b costs more than a and is as good as it
    ],
)
def test_fronts_are_those_that_no_other_beats(compass, milliseconds, seconds, latency, building):
    names = ("a", "b", "c")
    for name in names:
        compass.build(name, vectors="axes")
    made = compare(compass, names, QUERIES, QRELS)
    told = as_if(made, (0.5, 0.5, 0.75), milliseconds, seconds).fronts()
    assert told == {"latency": latency, "building": building}
    assert compare(compass, names, QUERIES).fronts() == {}


def test_ranks_winners_and_contrasts_are_as_worked_out_by_hand(compass):
    queries = {**QUERIES, "q3": "up"}  # axes: u, all, n, e. half: u, all, e.
    qrels = {**QRELS, "q2": {"all": 2, "fog": 1, "n": 0}, "q3": {"fog": 1}}
    made = compare(compass, ["axes", "half"], queries, qrels, measures=["RR@10", "AP"])
    assert made.measure == "RR@10"
    assert made.ranks("q1") == {"all": {"axes": 2, "half": None}}
    assert made.ranks("q2") == {
        "all": {"axes": 2, "half": 1},
        "fog": {"axes": None, "half": None},
    }
    assert made.winners("q1") == (["axes"], 0.5)
    assert made.winners("q2") == (["half"], 0.5)
    assert made.winners("q3") == (["axes", "half"], 0.0)
    assert made.missed() == ["q3"]
    assert made.largest_differences("axes", "half") == [("q1", 0.5), ("q3", 0.0), ("q2", -0.5)]
    assert made.largest_differences("half", "axes") == [("q2", 0.5), ("q3", 0.0), ("q1", -0.5)]
    assert made.default_pair() == ("axes", "half")
    with pytest.raises(UnknownNameError, match="No system 'nope' in this comparison. It has: axes"):
        made.largest_differences("axes", "nope")


def test_the_baseline_is_set_against_the_best_other(compass):
    compass.build("bm25", lexical=True)
    made = compare(compass, ["half", "axes", "bm25"], QUERIES, QRELS, baseline="axes")
    assert made.default_pair() == ("axes", "bm25")
    rows = {
        name: replace(row, family=family)
        for (name, row), family in zip(
            made.rows.items(), ("static", "contextual", "lexical"), strict=True
        )
    }
    assert replace(made, rows=rows).default_pair() == ("half", "axes")
    assert compare(compass, ["axes"], QUERIES, QRELS).default_pair() is None


def test_without_judgments_nothing_can_be_won(compass):
    made = compare(compass, ["axes", "half"], QUERIES)
    assert not made.judged
    with pytest.raises(InputError, match="The comparison has no judgments. Give qrels"):
        made.winners("q1")
    with pytest.raises(InputError, match="The comparison has no judgments. Give qrels"):
        made.largest_differences("axes", "half")
    assert made.missed() == []
    assert made.default_pair() == ("axes", "half")


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        (lambda c: compare(c, ["axes"], {}), "There are no queries. Give at least one"),
        (
            lambda c: compare(c, "axes", QUERIES),
            "The indexes are one string, 'axes'; expected a list",
        ),
        (lambda c: compare(c, [], QUERIES), "No index to compare was given. .* has: axes, half."),
        (lambda c: compare(c, ["axes"], {"q": " "}), "The query is empty"),
        (
            lambda c: compare(c, ["axes"], QUERIES, {}),
            "cover none of the 2 queries: they cover none",
        ),
        (lambda c: compare(c, ["axes"], QUERIES, QRELS, measures=["nope"]), "No measure 'nope'"),
        (lambda c: compare(c, ["axes"], QUERIES, k=0), "k is 0; expected a whole number"),
        (
            lambda c: compare(c, ["axes"], QUERIES, QRELS, baseline="axes", seed=-1),
            "The seed is -1",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(compass, call, fault):
    with pytest.raises((InputError, UnknownNameError), match=fault):
        call(compass)


def test_measures_that_look_deeper_than_a_combination_are_noted(compass):
    compass.fuse("both", ["axes", "half"], depth=2)
    deep = compare(compass, ["both"], QUERIES, QRELS, measures=["R@3"]).notes
    assert "'both' fetches 2 documents from each part; the measures look 10 deep." in deep
    shallow = compare(compass, ["both"], QUERIES, QRELS, measures=["R@2"], k=2).notes
    assert not any("from each part" in note for note in shallow)


def test_of_very_many_queries_the_most_disputed_have_excerpts(compass, monkeypatch):
    monkeypatch.setattr("retriever.comparison.compare.MOST_EXCERPTS", 1)
    queries = {"same": "up", "apart": "north up"}
    report = compare(compass, ["axes", "half"], queries, k=1)
    tops = {name: [run.ranking[q][0][0] for q in queries] for name, run in report.runs.items()}
    assert tops == {"axes": ["u", "all"], "half": ["u", "u"]}
    assert list(report.documents) == ["all", "u"]


def test_numbers_can_be_shown_without_any_text(compass):
    report = compare(compass, ["axes", "half"], QUERIES, QRELS)
    bare = report.without_texts()
    assert (bare.rows, bare.per_query, bare.runs) == (report.rows, report.per_query, report.runs)
    assert bare.documents == {}
    assert [query.text for query in bare.queries.values()] == ["query q1", "query q2"]
    assert [query.judgments for query in bare.queries.values()] == list(QRELS.values())
    assert bare.ranks("q1") == report.ranks("q1")


def test_a_page_without_texts_has_none(compass, tmp_path):
    report = compare(compass, ["axes", "half"], {"q1": "north of nowhere"}, {"q1": {"all": 1}})
    report.write_html(tmp_path / "whole.html")
    report.without_texts().write_html(tmp_path / "bare.html")
    whole, bare = ((tmp_path / f"{name}.html").read_text() for name in ("whole", "bare"))
    for text in ("north of nowhere", "north east up"):
        assert text in whole
        assert text not in bare


def test_a_judged_document_of_the_querys_own_id_is_noted(compass):
    queries, qrels = {"n": "north", "q": "up"}, {"n": {"n": 1, "all": 1}, "q": {"u": 1}}
    dropped = compare(compass, ["axes"], queries, qrels)
    note = next(note for note in dropped.notes if "own id" in note)
    assert note.startswith("A document with the query's own id is judged relevant for 1 query and")
    assert not any("own id" in n for n in compare(compass, ["axes"], QUERIES, QRELS).notes)
    kept = compare(compass, ["axes"], queries, qrels, keep_self=True)
    assert not any("own id" in note for note in kept.notes)


def test_memory_is_measured_whatever_the_query_and_the_folder_hold(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('not mine')")
    with Collection.create(tmp_path / "c") as collection:
        collection.add([Document("d", "word")])
        collection.build("floor", HashingEmbedder(8))
        monkeypatch.chdir(tmp_path)
        row = compare(collection, ["floor"], {"q": "word " * 60_000}, memory=True).rows["floor"]
    assert row.cost.open_memory > 1_000_000
