"""Fusions and cascades (reranking): small cases, brute force, and laws."""

import json
import math
import random
import re
import shlex
from collections import defaultdict
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, MismatchError, RetrieverError, UnknownNameError
from retriever import Collection, Document, HashingEmbedder, Words
from retriever.search.combinations.fusion import Fusion
from tests.support.commands import fail, misuse, objects, printed_error, succeed
from tests.support.fresh import printed_by
from tests.support.laws import examples
from tests.support.toy import HALF, Axes, build_axes, exactly, lacks, refused

# Of the query "east east up", (0, 2, 1) / sqrt(5):
#   axes finds e 2/sqrt(5), all 3/sqrt(15), u 1/sqrt(5), n 0
#   half finds all 3/sqrt(10), e 2/sqrt(5), u 1/sqrt(5), and knows neither north nor fog
EAST = "east east up"


@pytest.fixture
def compass(compass):
    compass.build("bm25", lexical=True)
    return compass


def answer(collection, text, index, k=10, where=None):
    """Return ids and scores, which `search`, `search_many` and `run` must agree on."""
    hits = collection.search(text, index=index, k=k, where=where)
    found = [(hit.doc_id, hit.score) for hit in hits]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    (many,) = collection.search_many([text], index=index, k=k, where=where)
    assert many == hits
    if where is None:
        assert collection.retriever(index).run({"q": text}, k).ranking == {"q": found}
    return found


def ids(collection, text, index, k=10, where=None):
    return [doc_id for doc_id, _ in answer(collection, text, index, k, where)]


def close(pairs):
    return [(doc_id, pytest.approx(score, abs=1e-6)) for doc_id, score in pairs]


def bm25(length, having, documents=5, average=7 / 5, times=1):
    """BM25 of a document that has the query's only word some times; `having` documents have it."""
    idf = math.log(1 + (documents - having + 0.5) / (having + 0.5))
    return round(idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / average)), 4)


R5, R10 = math.sqrt(5), math.sqrt(10)
BETWEEN = (2 / R5 - 1 / R5) / (3 / R10 - 1 / R5)
MINMAX, CONVEX = {"method": "minmax"}, {"method": "convex"}
# e is 1st and 2nd, all 2nd and 1st; e was added before all.
TIE = {"e": 1 / 61 + 1 / 62, "all": 1 / 62 + 1 / 61}
FUSIONS = {
    "axes half": ({}, EAST, {**TIE, "u": 2 / 63, "n": 1 / 64}),
    "axes half weighted": (
        *({"weights": [1, 3], "rrf_k": 0}, EAST),
        {"all": 1 / 2 + 3 / 1, "e": 1 / 1 + 3 / 2, "u": 1 / 3 + 3 / 3, "n": 1 / 4},
    ),
    "axes half depth 1": ({"depth": 1}, EAST, {"e": 1 / 61, "all": 1 / 61}),
    "axes half depth 2": ({"depth": 2}, EAST, TIE),
    # axes adds e and u, with 0 each, in the order in which they came; bm25 does not have them.
    "bm25 axes": ({}, "north", {"n": 2 / 61, "all": 2 / 62, "e": 1 / 63, "u": 1 / 64}),
    # axes: e 1, all sqrt(3)/2, u 1/2, n 0. half: all 1, e between, u 0; n it does not have.
    "axes half minmax": (
        *(MINMAX, EAST),
        {"e": (1 + BETWEEN) / 2, "all": (math.sqrt(3) / 2 + 1) / 2, "u": 1 / 4, "n": 0.0},
    ),
    # bm25: n 1, all 0. axes: n 1, all 1/sqrt(3), e and u 0.
    "bm25 axes minmax": (
        *({**MINMAX, "weights": [3, 1]}, "north"),
        {"n": 1.0, "all": 0.25 / math.sqrt(3), "e": 0.0, "u": 0.0},
    ),
    # Equal scores count fully. bm25 has fog alone; half does not know it, which counts 0.
    "bm25 half minmax": (MINMAX, "fog", {"fog": 0.5}),
    # As shares of the best: axes e 1, all sqrt(3)/2, u 1/2, n 0. half: all 1, e, u; never n.
    "axes half convex": (
        *(CONVEX, EAST),
        {
            "e": (1 + 2 * math.sqrt(2) / 3) / 2,
            "all": (math.sqrt(3) / 2 + 1) / 2,
            "u": (1 / 2 + math.sqrt(2) / 3) / 2,
            "n": 0.0,
        },
    ),
    # axes finds e alone, half all alone; each scores both.
    "axes half convex depth 1": (
        *({**CONVEX, "depth": 1, "weights": [3, 1]}, EAST),
        {"e": (3 + 2 * math.sqrt(2) / 3) / 4, "all": (3 * math.sqrt(3) / 2 + 1) / 4},
    ),
    "bm25 half convex": (CONVEX, "fog", {"fog": 0.5}),
}


@pytest.mark.parametrize("case", FUSIONS)
def test_fused_scores_are_as_calculated(compass, case):
    options, text, expected = FUSIONS[case]
    compass.fuse("fused", case.split()[:2], **options)
    assert answer(compass, text, "fused") == close(expected.items())


def test_parts_may_come_with_their_weights(compass):
    compass.fuse("listed", ["axes", "half"], weights=[3, 1], method="convex")
    compass.fuse("mapped", {"axes": 3, "half": 1}, method="convex")
    listed, mapped = (compass.index_info(name).options for name in ("listed", "mapped"))
    assert listed == mapped


def test_equal_scores_are_ordered_as_documents_were_added(collection):
    build_axes(collection, z="up", y="east", x="north")
    collection.build("turned", Axes("turned", words=("up", "east", "north")))
    collection.fuse("both", ["axes", "turned"], method="minmax")
    found = answer(collection, "north east up", "both")
    assert found == close([("z", 1.0), ("y", 1.0), ("x", 1.0)])
    assert ids(collection, "north east up", "both", k=2) == ["z", "y"]


def test_bm25_reranks_with_0_and_finds_no_document_without_a_shared_word(compass):
    shared = [("n", bm25(1, 2)), ("all", bm25(3, 2))]
    assert answer(compass, "north", "bm25") == close(shared)
    compass.cascade("bm25-last", "axes", "bm25")
    assert answer(compass, "north", "bm25-last") == close([*shared, ("e", 0.0), ("u", 0.0)])
    compass.cascade("bm25-first", "bm25", "axes")
    assert answer(compass, "north", "bm25-first") == close([("n", 1.0), ("all", 3**-0.5)])
    assert ids(compass, "fog", "bm25-first") == []  # axes has no vector of it


def test_a_fusion_that_reranks_gives_no_bm25_rank_to_documents_without_a_shared_word(collection):
    # BM25 finds only `far`. The others share no word with the query, and whether they came
    # before or after each other must not decide between them: their vectors do.
    collection.add(Document(f"no{n}", "north") for n in range(40))
    build_axes(collection, near="east east up", far="here up")
    collection.build("bm25", lexical=True)
    collection.fuse("fused", ["bm25", "axes"], weights=[10, 1], rrf_k=1)
    collection.cascade("again", "axes", "fused")
    collection.build("twin", lexical=True)
    collection.fuse("words", ["twin", "bm25"], method="convex")
    collection.fuse("nested", ["words", "axes"], weights=[10, 1], rrf_k=1)
    collection.cascade("nested-again", "axes", "nested")
    text = "here east"
    for fused, again in (("fused", "again"), ("nested", "nested-again")):
        assert ids(collection, text, fused, 3) == ["near", "far", "no0"]
        assert answer(collection, text, again, 42) == answer(collection, text, fused, 42)


def test_scores_are_scaled_from_0_or_the_lowest_below_it():
    nothing = -math.inf
    scores = [[4, 1, 0, nothing], [3, -1, 1, nothing], [-1, -4, nothing, -2], [0, 0, nothing, 0]]
    found = Fusion("convex", (1.0, 3.0)).values(np.array(scores, float), 1) / 0.75
    assert found.tolist() == pytest.approx(
        np.array([[1, 0.25, 0, 0], [1, 0, 0.5, 0], [1, 0, 0, 2 / 3], [0, 0, 0, 0]])
    )
    # Negative distances, also where all are alike: the nearest counts fully.
    distances = np.array([[-10.0, -10.8, -10.6], [-3.0, -3.0, -3.0]])
    found = Fusion("convex", (0.9,)).values(distances, 0)
    assert found.tolist() == pytest.approx(np.array([[1, 0, 0.25], [1, 1, 1]]))
    found = Fusion("minmax", (1.0, 3.0)).values(np.array(scores, float), 1) / 0.75
    assert found.tolist() == pytest.approx(
        np.array([[1, 0.25, 0, 0], [1, 0, 0.5, 0], [1, 0, 0, 2 / 3], [1, 1, 0, 1]])
    )


VOCABULARY = [f"w{n}" for n in range(60)]
DEPTH = 15


def corpus(seed=7, size=120):
    draw = random.Random(seed)
    return [
        Document(f"d{n}", " ".join(draw.choices(VOCABULARY, k=draw.randint(1, 8))), "", {"n": n})
        for n in range(size)
    ]


EVERY = [document.doc_id for document in corpus()]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Four indexes and combinations of them, some nested, over 120 texts of few words."""
    with Collection.create(tmp_path_factory.mktemp("mixed") / "c") as collection:
        collection.add(corpus())
        collection.build("wide", HashingEmbedder())
        collection.build("narrow", HashingEmbedder(dim=16))
        collection.build("twin", vectors="wide")
        collection.build("bm25", lexical=True)
        collection.fuse("rrf", ["bm25", "wide"], depth=DEPTH, weights=[1, 2])
        collection.fuse("mean", ["bm25", "narrow"], method="minmax", depth=DEPTH, weights=[3, 1])
        collection.fuse("exact", ["bm25", "wide"], method="convex", depth=DEPTH, weights=[3, 1])
        collection.cascade("cascade", "bm25", "wide", depth=DEPTH)
        collection.cascade("words", "narrow", "bm25", depth=DEPTH)
        collection.fuse("of-cascades", ["cascade", "words", "narrow"], depth=DEPTH)
        collection.cascade("of-fusions", "mean", "rrf", depth=DEPTH)
        collection.cascade("by-exact", "mean", "exact", depth=DEPTH)
        collection.fuse("of-exact", ["exact", "words"], method="convex", depth=DEPTH)
        collection.build("graph", vectors="wide", ann="HNSW8")
        collection.build("codes", vectors="wide", ann="SQ8")
        collection.build("halves", HashingEmbedder(), dtype="float16")
        for name in ("graph", "codes", "halves"):
            parts, weights = ["bm25", name, "narrow"], [3, 2, 1]
            options = {"method": "convex", "weights": weights, "depth": DEPTH}
            collection.fuse(f"of-{name}", parts, **options)
        collection.fuse("mixed", ["exact", "narrow"], method="minmax", depth=DEPTH)
        collection.cascade("by-mixed", "mean", "mixed", depth=DEPTH)
        yield collection


COMBINED = (
    *("rrf", "mean", "exact", "cascade", "words"),
    *("of-cascades", "of-fusions", "by-exact", "of-exact"),
    *("of-graph", "of-codes", "of-halves", "mixed", "by-mixed"),
)
texts = st.lists(st.sampled_from([*VOCABULARY, "unknown"]), min_size=1, max_size=5).map(" ".join)


def by_rank(lists, weights=None, rrf_k=60):
    counts = defaultdict(float)
    for weight, found in zip(weights or [1] * len(lists), lists, strict=True):
        for rank, (doc_id, _) in enumerate(found, start=1):
            counts[doc_id] += weight / (rrf_k + rank)
    return counts


def by_score(lists, weights):
    counts = defaultdict(float)
    for weight, found in zip(weights, lists, strict=True):
        scores = [score for _, score in found]
        for doc_id, score in found:
            width = max(scores) - min(scores)
            scaled = (score - min(scores)) / width if width else 1.0
            counts[doc_id] += weight / sum(weights) * scaled
    return counts


def by_exact_scores(candidates, scores_of_each, weights):
    """`scores_of_each` have what a part gives documents; others it cannot score."""
    counts = dict.fromkeys(candidates, 0.0)
    for weight, scores in zip(weights, scores_of_each, strict=True):
        some = {doc_id: scores[doc_id] for doc_id in candidates if doc_id in scores}
        low, high = min([0.0, *some.values()]), max(some.values(), default=0.0)
        for doc_id, score in some.items():
            scaled = (score - low) / (high - low) if high > low else float(high != 0)
            counts[doc_id] += weight / sum(weights) * scaled
    return counts


def same(found, counts, order=None):
    """Check that an answer is what an oracle counts, best first; ties in `order`, or as added."""
    place = {doc_id: rank for rank, doc_id in enumerate(order or ())}
    assert dict(found) == pytest.approx(dict(counts), abs=1e-6)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    for (a, score_a), (b, score_b) in pairwise(found):
        earlier = place[a] < place[b] if order else int(a[1:]) < int(b[1:])
        assert score_a > score_b or earlier


@given(text=texts)
@settings(max_examples=examples(20), deadline=None)
def test_fusions_follow_their_formulas(mixed, text):
    deep = {name: answer(mixed, text, name, DEPTH) for name in mixed.index_names()}
    same(answer(mixed, text, "rrf", 99), by_rank([deep["bm25"], deep["wide"]], [1, 2]))
    same(answer(mixed, text, "mean", 99), by_score([deep["bm25"], deep["narrow"]], [3, 1]))
    parts = [deep[name] for name in ("cascade", "words", "narrow")]
    same(answer(mixed, text, "of-cascades", 99), by_rank(parts))


def cosines(text, doc_ids, **options):
    made = HashingEmbedder(**options)
    known = {document.doc_id: document.text for document in corpus()}
    vectors = made.encode_documents([known[doc_id] for doc_id in doc_ids]).astype(np.float64)
    (query,) = made.encode_queries([text])
    found = zip(doc_ids, vectors, strict=True)
    # Nothing is scored by a vector of zeros: one of no known words, or whose hashes cancel out.
    scores = {doc_id: float(vector @ query) for doc_id, vector in found if vector.any()}
    return scores if query.any() else {}


@given(text=texts)
@settings(max_examples=examples(20), deadline=None)
def test_a_cascade_scores_the_candidates_of_the_first_by_the_second(mixed, text):
    candidates = ids(mixed, text, "bm25", DEPTH)
    same(answer(mixed, text, "cascade", 99), cosines(text, candidates), candidates)
    every = dict(answer(mixed, text, "bm25", 120))
    near = ids(mixed, text, "narrow", DEPTH)
    found = answer(mixed, text, "words", 99)
    same(found, {doc_id: every.get(doc_id, 0.0) for doc_id in near}, near)


@given(text=texts)
@settings(max_examples=examples(25), deadline=None)
def test_a_fusion_that_reranks_ranks_the_candidates_among_themselves(mixed, text):
    candidates = set(ids(mixed, text, "mean", DEPTH))
    words, near = (
        [hit for hit in answer(mixed, text, name, 120) if hit[0] in candidates]
        for name in ("bm25", "wide")
    )
    same(answer(mixed, text, "of-fusions", 99), by_rank([words, near], [1, 2]))


@given(text=texts)
@settings(max_examples=examples(25), deadline=None)
def test_every_part_scores_every_candidate_of_a_convex_fusion(mixed, text):
    words = {**dict.fromkeys(EVERY, 0.0), **dict(answer(mixed, text, "bm25", 120))}
    near = cosines(text, EVERY)
    found = {doc_id for part in ("bm25", "wide") for doc_id in ids(mixed, text, part, DEPTH)}
    same(answer(mixed, text, "exact", 99), by_exact_scores(found, [words, near], [3, 1]))
    order = ids(mixed, text, "mean", DEPTH)
    expected = by_exact_scores(order, [words, near], [3, 1])
    same(answer(mixed, text, "by-exact", 99), expected, order)
    # A cascade by a fusion of which one part is such a fusion.
    parts = expected, cosines(text, order, dim=16)
    assert dict(answer(mixed, text, "by-mixed", 99)) == pytest.approx(
        dict(by_score([list(part.items()) for part in parts], [1, 1])), abs=1e-6
    )


@given(text=texts)
@settings(max_examples=examples(20), deadline=None)
def test_a_convex_fusion_scores_exactly_what_any_structure_found(mixed, text):
    words = {**dict.fromkeys(EVERY, 0.0), **dict(answer(mixed, text, "bm25", 120))}
    narrow = cosines(text, EVERY, dim=16)
    for name in ("graph", "codes", "halves"):
        parts = ("bm25", name, "narrow")
        found = {doc_id for part in parts for doc_id in ids(mixed, text, part, DEPTH)}
        near = cosines(text, EVERY)
        if name == "halves":
            near = dict(answer(mixed, text, name, 120))
        expected = by_exact_scores(found, [words, near, narrow], [3, 2, 1])
        assert dict(answer(mixed, text, f"of-{name}", 99)) == pytest.approx(expected, abs=1e-6)


@given(
    queries=st.lists(texts, min_size=1, max_size=4),
    name=st.sampled_from(COMBINED),
    k=st.integers(1, 40),
)
@settings(max_examples=examples(25), deadline=None)
def test_batches_and_one_more_hit_change_no_answer(mixed, queries, name, k):
    together = mixed.search_many(queries, index=name, k=7)
    assert together == [mixed.search(text, index=name, k=7) for text in queries]
    assert answer(mixed, queries[0], name, k) == answer(mixed, queries[0], name, k + 1)[:k]


@given(text=texts)
@settings(max_examples=examples(20), deadline=None)
def test_an_index_fused_with_its_own_vectors_ranks_like_itself(mixed, text):
    try:
        mixed.fuse("self", ["wide", "twin"], depth=120)
        mixed.cascade("self-again", "wide", "twin", depth=120)
        alone = answer(mixed, text, "wide", 120)
        assert ids(mixed, text, "self", 120) == [doc_id for doc_id, _ in alone]
        assert answer(mixed, text, "self-again", 120) == alone
    finally:
        for name in ("self-again", "self"):
            mixed.drop(name)


@given(text=texts, name=st.sampled_from(COMBINED), most=st.integers(0, 120))
@settings(max_examples=examples(20), deadline=None)
def test_a_filter_applies_to_every_part(mixed, text, name, most):
    where = {"n": {"<": most}}
    found = answer(mixed, text, name, 99, where)
    assert all(int(doc_id[1:]) < most for doc_id, _ in found)
    if name == "rrf":
        lists = [answer(mixed, text, part, DEPTH, where) for part in ("bm25", "wide")]
        same(found, by_rank(lists, [1, 2]))
    if name == "exact":
        words, near = (
            {doc_id: score for doc_id, score in pairs if int(doc_id[1:]) < most}
            for pairs in (answer(mixed, text, "bm25", 120), cosines(text, EVERY).items())
        )
        lists = [ids(mixed, text, part, DEPTH, where) for part in ("bm25", "wide")]
        candidates = {doc_id for one in lists for doc_id in one}
        words = {**dict.fromkeys(candidates, 0.0), **words}
        same(found, by_exact_scores(candidates, [words, near], [3, 1]))
    if name == "cascade":
        assert {d for d, _ in found} <= set(ids(mixed, text, "bm25", DEPTH, where))


@pytest.fixture
def split(tmp_path):
    with Collection.create(tmp_path / "split", split=Words(2)) as collection:
        long = "north north fog fog east up"
        build_axes(collection, long=long, east="fog fog east east", up="up up")
        collection.build("half", Axes("half", words=HALF))
        collection.build("bm25", lexical=True)
        yield collection


def test_split_documents_are_fused_as_documents_and_shown_by_the_passage_that_was_found(split):
    # axes: east (1), then long by "east up" (1/sqrt(2)), then up (0). bm25: "east east" before
    # "east up", both of the same length; up has no such word.
    assert ids(split, "east", "axes") == ["east", "long", "up"]
    assert ids(split, "east", "bm25") == ["east", "long"]
    split.fuse("both", ["axes", "bm25"])
    fused = close([("east", 2 / 61), ("long", 2 / 62), ("up", 1 / 63)])
    assert answer(split, "east", "both") == fused
    shown = [hit.text for hit in split.search("east", index="both")]
    assert shown == ["east east", "east up", "up up"]
    split.cascade("again", "axes", "both")
    assert answer(split, "east", "again") == fused
    # Each is shown by the passage of the first part that has it.
    # Of "fog fog east", half shows long by "east up", and bm25 by "fog fog": two of its words.
    passages = {"half": "east up", "bm25": "fog fog"}
    for first, second in (("half", "bm25"), ("bm25", "half")):
        split.fuse(f"{first}-first", [first, second])
        hits = split.search("fog fog east", index=f"{first}-first")
        assert {hit.doc_id: hit.text for hit in hits}["long"] == passages[first]
        assert sorted(hit.doc_id for hit in hits) == ["east", "long", "up"]
    # The second scores a candidate by its own best passage.
    split.cascade("words-first", "bm25", "half", depth=2)
    # bm25 finds long by "north north"; half knows of it only "east up".
    hits = split.search("north up", index="words-first")
    assert [(hit.doc_id, hit.text) for hit in hits] == [("up", "up up"), ("long", "east up")]
    assert [hit.score for hit in hits] == pytest.approx([1, 1 / math.sqrt(2)])


@pytest.fixture(scope="module")
def mixed_split(tmp_path_factory):
    """60 texts of 1 to 30 words, in passages of five."""
    draw = random.Random(8)
    with Collection.create(tmp_path_factory.mktemp("split") / "c", split=Words(5)) as collection:
        collection.add(
            Document(f"d{n}", " ".join(draw.choices(VOCABULARY, k=draw.randint(1, 30))))
            for n in range(60)
        )
        collection.build("wide", HashingEmbedder())
        collection.build("bm25", lexical=True)
        collection.fuse("rrf", ["bm25", "wide"], depth=DEPTH)
        collection.fuse("mean", ["bm25", "wide"], method="minmax", weights=[1, 2], depth=DEPTH)
        collection.fuse("exact", ["wide", "bm25"], method="convex", weights=[1, 2], depth=DEPTH)
        collection.cascade("vectors", "bm25", "wide", depth=DEPTH)
        collection.cascade("words", "wide", "bm25", depth=DEPTH)
        yield collection


@given(text=texts)
@settings(max_examples=examples(20), deadline=None)
def test_split_documents_are_combined_as_the_formulas_say(mixed_split, text):
    deep = {name: answer(mixed_split, text, name, DEPTH) for name in ("bm25", "wide")}
    same(answer(mixed_split, text, "rrf", 99), by_rank([deep["bm25"], deep["wide"]]))
    same(answer(mixed_split, text, "mean", 99), by_score([deep["bm25"], deep["wide"]], [1, 2]))
    found = {doc_id for hits in deep.values() for doc_id, _ in hits}
    near, words = (dict(answer(mixed_split, text, name, 60)) for name in ("wide", "bm25"))
    words = {**dict.fromkeys(found, 0.0), **words}
    same(answer(mixed_split, text, "exact", 99), by_exact_scores(found, [near, words], [1, 2]))
    for name, first, second in (("vectors", "bm25", "wide"), ("words", "wide", "bm25")):
        candidates = [doc_id for doc_id, _ in deep[first]]
        every = {hit.doc_id: hit for hit in mixed_split.search(text, index=second, k=60)}
        hits = mixed_split.search(text, index=name, k=60)
        scored = set(candidates) if second == "bm25" else every.keys() & set(candidates)
        assert {hit.doc_id for hit in hits} == scored
        for hit in hits:
            if hit.doc_id in every:
                expected = every[hit.doc_id]
                assert (hit.score, hit.passage) == (expected.score, expected.passage)
            else:
                assert hit.score == 0.0


def test_deleted_documents_are_gone_and_edited_ones_answer_by_their_old_text(compass):
    compass.fuse("hybrid", ["bm25", "axes"])
    compass.fuse("exact", ["bm25", "axes"], method="convex")
    compass.cascade("cascade", "bm25", "axes")
    compass.delete(["n"])
    assert ids(compass, "north", "hybrid") == ["all", "e", "u"]
    alone = [("all", 1.0), ("e", 0.0), ("u", 0.0)]
    assert answer(compass, "north", "exact") == close(alone)
    assert ids(compass, "north", "cascade") == ["all"]
    compass.add([Document("e", "north north")])
    # As before: the old text, east, has the cosine 0 with the query, and no word of it.
    assert ids(compass, "north", "hybrid") == ["all", "e", "u"]
    assert ids(compass, "north", "cascade") == ["all"]
    assert answer(compass, "north", "exact") == close(alone)
    for name in ("hybrid", "exact", "cascade"):
        hits = compass.search("north", index=name)
        assert [hit.doc_id for hit in hits if hit.stale] == ["e"] * (name != "cascade")
        assert hits.notes == tuple(lacks(compass, part, stale=1) for part in ("bm25", "axes"))
    compass.build("bm25")
    # BM25 knows the document by its new key, and the vectors by its old one: it comes once.
    assert answer(compass, "north", "cascade") == close([("all", 3**-0.5), ("e", 0.0)])
    assert ids(compass, "north", "hybrid") == ["all", "e", "u"]
    share = bm25(3, 2, 4, 7 / 4) / bm25(2, 2, 4, 7 / 4, times=2)
    expected = close([("all", (share + 1) / 2), ("e", 0.5), ("u", 0.0)])
    assert answer(compass, "north", "exact") == expected
    report = compass.build("cascade")
    assert (report.name, report.embedded) == ("cascade", 1)
    assert answer(compass, "north", "cascade") == close([("e", 1.0), ("all", 3**-0.5)])
    assert compass.search("north", index="hybrid").notes == ()


def test_a_combination_lacks_what_its_parts_lack_and_its_build_updates_them(compass):
    compass.fuse("both", ["axes", "half"])
    compass.add([Document("new", "up"), Document("newer", "east")])
    compass.build("axes")
    assert compass.index_info("both").missing == compass.index_info("half").missing == 2
    compass.build("half")
    assert compass.index_info("both").missing == 0
    compass.fuse("hybrid", ["bm25", "axes"])
    compass.cascade("deep", "hybrid", "half")
    compass.add([Document("newest", "up up east")])
    compass.build("deep")
    assert [index.missing for index in compass.info().indexes] == [0] * 6
    assert "newest" in ids(compass, "up", "deep")
    assert compass.search("up", index="deep").notes == ()
    assert compass.build("deep").embedded == 0


def test_increments_answer_like_one_build(tmp_path):
    found = []
    for name, portions in (("once", 1), ("often", 5)):
        with Collection.create(tmp_path / name) as collection:
            for part in range(portions):
                collection.add(corpus()[part * 120 // portions : (part + 1) * 120 // portions])
                if part == 0:
                    collection.build("wide", HashingEmbedder())
                    collection.build("bm25", lexical=True)
                    collection.fuse("rrf", ["bm25", "wide"])
                    collection.cascade("cascade", "rrf", "wide", depth=20)
                collection.build("cascade")
            asked = [(f"w{n} w{n + 9}", index) for n in range(9) for index in ("rrf", "cascade")]
            found.append([answer(collection, text, index) for text, index in asked])
    assert found[0] == found[1]


def test_notes_name_the_parts_that_find_nothing(compass):
    compass.fuse("both", ["axes", "half", "bm25"])
    (note,) = compass.search("north", index="both").notes
    assert note == "No known word in 'north': half finds nothing for it."
    hits = compass.search("!!!", index="both")
    assert list(hits) == []
    assert hits.notes == (
        "No known word in '!!!': axes finds nothing for it.",
        "No known word in '!!!': half finds nothing for it.",
        "No word in '!!!': bm25 finds nothing for it.",
    )
    (note,) = compass.search("up", index="both", where={"year": 1999}).notes
    assert "year" in note
    compass.cascade("cascade", "axes", "half")
    hits = compass.search("north", index="cascade")
    assert (list(hits), len(hits.notes)) == ([], 1)


def test_an_equal_definition_changes_nothing_and_another_is_refused(compass):
    parts = ["axes", "half"]
    compass.fuse("both", parts, weights=[1, 2])
    before = compass.index_info("both")
    compass.fuse("both", parts, weights=(1.0, 2.0), rrf_k=60.0)
    assert compass.index_info("both") == before
    compass.cascade("cascade", "axes", "half")
    compass.cascade("cascade", "axes", "half", depth=100)

    def check(difference, change, *given, **options):
        says = f"exists already, with another definition: {difference}. Drop"
        refused(MismatchError, re.escape(says), change, *given, **options)

    order = 'parts is ["axes", "half"], not ["half", "axes"]'
    check(order, compass.fuse, "both", ["half", "axes"], weights=[1, 2])
    check("weights is [1.0, 2.0], not [1.0, 1.0]", compass.fuse, "both", parts)
    minmax = {"weights": [1, 2], "method": "minmax"}
    check("fuse is rrf, not minmax", compass.fuse, "both", parts, **minmax)
    check("depth is 100, not 9", compass.fuse, "both", parts, weights=[1, 2], depth=9)
    check(order, compass.cascade, "cascade", "half", "axes")
    check("it is of the kind fuse, not cascade", compass.cascade, "both", "axes", "half")
    # What is a part of others cannot be dropped.
    used = exactly(
        "Index 'axes' exists already (flat), and is part of: both, cascade. Choose another name."
    )
    refused(MismatchError, used, compass.fuse, "axes", ["half", "bm25"])
    for change, *named in (
        (compass.build, "both", Axes()),
        (partial(compass.build, lexical=True), "both"),
    ):
        refused(MismatchError, r"exists already \(\w+\)\. Drop", change, *named)


def test_info_describes_a_combination_also_of_numpy_numbers(compass):
    compass.fuse("both", ["axes", "bm25"], weights=[1, 0.5], method="minmax")
    compass.cascade("cascade", "both", "half", depth=7)
    both, cascade = compass.info().indexes[-2:]
    assert (both.kind, both.parts) == ("combined", ("axes", "bm25"))
    assert both.embedder == "axes + bm25, min-max, weights 1, 0.5"
    assert cascade.embedder == "both, then half ranks its best 7"
    assert (both.vectors_size, both.structure_size, both.dim) == (0, 0, 0)
    compass.fuse("numpy", ["axes", "half"], weights=np.float32([1, 3]), rrf_k=np.float32(0))
    assert ids(compass, EAST, "numpy") == ["all", "e", "u", "n"]
    compass.fuse("whole", ["axes", "half"], rrf_k=np.int64(10), depth=np.int64(5))
    assert compass.index_info("whole").options["depth"] == 5


PROGRAM = """
import json, sys
from retriever import Collection
with Collection.open(sys.argv[1]) as collection:
    for name in sys.argv[2:]:
        hits = collection.search_many(["w1 w2 w3", "w9"], index=name, k=30)
        print(json.dumps([[(hit.doc_id, hit.score) for hit in found] for found in hits]))
"""


def test_another_process_answers_alike(mixed):
    lines = printed_by(PROGRAM, mixed.path, *COMBINED).splitlines()
    for name, line in zip(COMBINED, lines, strict=True):
        hits = mixed.search_many(["w1 w2 w3", "w9"], index=name, k=30)
        assert json.loads(line) == [[[hit.doc_id, hit.score] for hit in found] for found in hits]


RANGE = "expected numbers from 0.000001 to 1000000."


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"parts": ["axes"]}, "A fusion needs at least two indexes: give another."),
        ({"parts": {"axes", "half"}}, "The parts are of type set; expected a list of names."),
        (
            {"parts": {"axes": 1, "half": 2}, "weights": [1, 2]},
            "The weights are given twice: with the parts, and as weights.",
        ),
        ({"parts": {"axes": 0, "half": 1}}, "The weights are [0, 1]; expected numbers above 0."),
        (
            {"rrf_k": 5, **MINMAX},
            "rrf_k is of the method rrf, and the method is minmax. Leave it out.",
        ),
        ({"parts": "axes"}, "The parts are one text, 'axes'; expected a list of names."),
        ({"parts": ["axes", "axes"]}, "An index is named twice: axes, axes."),
        ({"method": "sum"}, "Unknown fusion method 'sum'; expected one of: rrf, minmax, convex."),
        ({"method": ""}, "Unknown fusion method ''; expected one of: rrf, minmax, convex."),
        ({"weights": [1]}, "The fusion has 1 weight for 2 indexes; give one each."),
        ({"weights": [0, 1]}, "The weights are [0, 1]; expected numbers above 0."),
        ({"weights": ["a", 1]}, "The weights are ['a', 1]; expected numbers above 0."),
        ({"weights": [math.nan, 1]}, "The weights are [nan, 1]; expected numbers above 0."),
        ({"rrf_k": -1}, "rrf_k is -1; expected a number from 0 to 10000."),
        ({"rrf_k": "60"}, "rrf_k is '60'; expected a number from 0 to 10000."),
        # Scores that would coincide in single precision:
        ({"weights": [1e308] * 2, **MINMAX}, f"The weights are [1e+308, 1e+308]; {RANGE}"),
        ({"weights": [1e-50] * 2}, f"The weights are [1e-50, 1e-50]; {RANGE}"),
        ({"weights": [1.0, 1e-9]}, f"The weights are [1.0, 1e-09]; {RANGE}"),
        ({"rrf_k": 1e12}, "rrf_k is 1000000000000.0; expected a number from 0 to 10000."),
        ({"depth": 0}, "depth is 0; expected a whole number of at least 1."),
        ({"depth": 2.5}, "depth is 2.5; expected a whole number of at least 1."),
    ],
)
def test_an_invalid_fusion_is_refused(compass, options, fault):
    options = {"parts": ["axes", "half"], **options}
    refused(InputError, exactly(fault), compass.fuse, "both", **options)
    assert "both" not in compass.index_names()


def test_parts_must_exist_and_cannot_be_dropped_while_a_combination_uses_them(compass):
    check = partial(refused, UnknownNameError, r"No index 'nope' in .*: axes, bm25, half")
    check(compass.fuse, "both", ["axes", "nope"])
    check(compass.fuse, "nope", ["axes", "nope"])
    check(compass.cascade, "both", "nope", "axes")
    refused(InputError, "'a b' cannot name an index", compass.fuse, "a b", ["axes", "half"])
    compass.fuse("both", ["axes", "half"])
    compass.cascade("cascade", "axes", "both")
    says = r"'axes' is part of: both, cascade\. Drop those first"
    # The command that is advised works: nothing uses the one that it drops.
    with pytest.raises(InputError, match=says) as refusal:
        compass.drop("axes")
    assert refusal.value.next_step.index == "cascade"
    refused(InputError, r"'both' is part of: cascade\.", compass.drop, "both")
    assert compass.drop("cascade") == 0
    compass.drop("both")
    compass.drop("axes")
    assert compass.index_names() == ["half", "bm25"]


FUSE = "--fuse bm25 --fuse floor"
RERANK = "--cascade bm25 --rerank floor"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection.create("library") as collection:
        collection.add(corpus(size=30))
        collection.build("floor", HashingEmbedder())
        collection.build("bm25", lexical=True)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ("x --fuse bm25", lambda c: c.fuse("x", ["bm25"])),
        ("x --fuse bm25 --fuse nope", lambda c: c.fuse("x", ["bm25", "nope"])),
        ("x --fuse bm25 --fuse x", lambda c: c.fuse("x", ["bm25", "x"])),
        ("x --fuse bm25 --fuse bm25", lambda c: c.fuse("x", ["bm25", "bm25"])),
        (f"x {FUSE} --method sum", lambda c: c.fuse("x", ["bm25", "floor"], method="sum")),
        (f"x {FUSE} --method ''", lambda c: c.fuse("x", ["bm25", "floor"], method="")),
        (f"x {FUSE}=-1", lambda c: c.fuse("x", ["bm25", "floor"], weights=[1.0, -1.0])),
        (f"x {FUSE} --rrf-k -1", lambda c: c.fuse("x", ["bm25", "floor"], rrf_k=-1.0)),
        (f"floor {FUSE}", lambda c: c.fuse("floor", ["bm25", "floor"])),
        ("x --cascade bm25 --rerank no", lambda c: c.cascade("x", "bm25", "no")),
        ("x --cascade bm25 --rerank bm25", lambda c: c.cascade("x", "bm25", "bm25")),
        ("x --cascade '' --rerank bm25", lambda c: c.cascade("x", "", "bm25")),
    ],
)
def test_the_command_line_refuses_in_the_same_words(folder, arguments, call):
    message = fail("build", "library", *shlex.split(arguments))
    with Collection.open("library") as collection, pytest.raises(RetrieverError) as error:
        call(collection)
    assert message == printed_error(error.value)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("--fuse bm25=x --fuse floor", "The weight in --fuse bm25=x is not a number."),
        ("--fuse bm25= --fuse floor", "The weight in --fuse bm25= is not a number."),
        ("--cascade bm25", "Reranking needs both: --cascade FIRST --rerank SECOND."),
        ("--rerank bm25", "Reranking needs both: --cascade FIRST --rerank SECOND."),
        ("--depth 5", "--method, --rrf-k and --depth need --fuse or --cascade."),
        ("--method '' --lexical", "--method, --rrf-k and --depth need --fuse or"),
        (f"{RERANK} --method rrf", "Give either --fuse or --cascade, not both."),
        (f"{RERANK} --fuse floor", "Give either --fuse or --cascade, not both."),
        (
            f"{FUSE} --lexical",
            "--fuse, --cascade and --escalate combine existing indexes: omit other options.",
        ),
        (f"{FUSE} --depth 0", "0 is not in the range x>=1."),
    ],
)
def test_options_that_do_not_belong_together_are_wrong_usage(folder, arguments, fault):
    assert fault in misuse("build", "library", "x", *shlex.split(arguments))


def test_the_command_line_builds_searches_and_drops_combinations(folder):
    built = succeed("build", "library", "both", "--fuse", "bm25", "--fuse", "floor=2")
    assert built == "both: bm25 + floor, reciprocal rank, weights 1, 2; nothing to build\n"
    succeed("build", "library", "deep", "--cascade", "both", "--rerank", "floor", "--depth", "9")
    found = objects(succeed("search", "library", "w1 w2", "-i", "deep", "--json"))
    with Collection.open("library") as collection:
        assert [hit["doc_id"] for hit in found] == ids(collection, "w1 w2", "deep")
        assert collection.index_info("deep").options["depth"] == 9
    says = "Index 'floor' is part of: both, deep. Drop those first."
    says += "\nRun: retriever drop library deep"
    assert fail("drop", "library", "floor") == says
    succeed("drop", "library", "deep", "both")
    succeed("build", "library", "bm25")


def test_the_second_ranks_exactly_the_candidates_of_the_first(compass):
    compass.cascade("two", "axes", "half", depth=2)
    assert answer(compass, EAST, "two") == close([("all", 3 / math.sqrt(10)), ("e", 2 / 5**0.5)])
    # n is a candidate, but half has no vector of it.
    compass.cascade("four", "axes", "half", depth=4)
    assert ids(compass, EAST, "four") == ["all", "e", "u"]
    # BM25 does not know `sky`: what scores 0 keeps the order of the first.
    compass.cascade("words", "axes", "bm25", depth=4)
    assert ids(compass, "up east east", "axes") == ["e", "all", "u", "n"]
    ranked = answer(compass, "east sky", "words")
    assert [doc_id for doc_id, score in ranked if score == 0] == ["n", "u"]
    assert [doc_id for doc_id, _ in ranked][:2] == ["e", "all"]


def test_retrievers_of_a_combination_rebuilt_from_other_parts_are_refused(compass):
    compass.fuse("both", ["axes", "half"])
    held = compass.retriever("both")
    assert held.search("east") == compass.search("east", index="both")
    compass.fuse("more", ["both", "axes"])
    outer = compass.retriever("more")
    compass.drop("more")
    compass.drop("both")
    compass.cascade("both", "half", "axes")
    compass.fuse("more", ["both", "axes"])
    for retriever in (held, outer):
        refused(MismatchError, "'both' has been rebuilt from other parts", retriever.search, "east")
    assert ids(compass, "north", "both") == []
