"""Maximal marginal relevance, against its definition."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever import Document
from retriever.embedders.base import unit
from retriever.search.diversity import mmr_order
from tests.support.laws import examples
from tests.support.toy import Axes, ids, pairs, refused


def naive(relevance, similarity, k, balance):
    """The order by the formula of Carbonell and Goldstein, term by term."""
    chosen, left = [], list(range(len(relevance)))
    while left and len(chosen) < k:

        def marginal(one):
            redundancy = max((similarity[one][other] for other in chosen), default=0.0)
            return balance * relevance[one] - (1 - balance) * redundancy

        best = max(left, key=(lambda one: (relevance[one], -one)) if not chosen else
                   (lambda one: (marginal(one), -one)))  # fmt: skip
        chosen.append(best)
        left.remove(best)
    return chosen


@given(
    rows=st.integers(0, 12),
    k=st.integers(1, 14),
    balance=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=examples(100), deadline=None)
def test_the_order_is_that_of_the_definition(rows, k, balance, seed):
    vectors = unit(np.random.default_rng(seed).normal(size=(rows + 1, 4)).astype(np.float32))
    relevance = (vectors[:-1] @ vectors[-1]).astype(np.float64)
    similarity = vectors[:-1] @ vectors[:-1].T
    found = mmr_order(relevance, similarity, k, balance)
    assert found == naive(relevance, similarity.astype(np.float64), k, balance)


def test_the_most_relevant_comes_first_and_a_repetition_last(compass):
    compass.add([Document("e2", "east"), Document("e3", "east")])
    compass.build("axes")
    plain = compass.search("east up up up", index="axes", k=5)
    # Cosines with (0, 1, 3) / sqrt(10): u 0.949, all 0.730, e, e2 and e3 0.316.
    assert ids(plain) == ["u", "all", "e", "e2", "e3"]
    hits = compass.search("east up up up", index="axes", k=3, mmr=0.5)
    # all: 0.730 / 2 - 0.577 / 2 = 0.077; e: 0.316 / 2 - 0 = 0.158.
    assert ids(hits) == ["u", "e", "all"]
    assert dict(pairs(hits)) == {doc_id: dict(pairs(plain))[doc_id] for doc_id in ids(hits)}
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_with_relevance_alone_it_is_the_usual_search(compass):
    plain = compass.search("north east", index="axes", k=3)
    assert compass.search("north east", index="axes", k=3, mmr=1) == plain


def test_a_fusion_compares_documents_by_its_vectors_and_scales_its_scores(compass):
    compass.build("bm25", lexical=True, language="none")
    compass.fuse("fused", ["bm25", "axes"])
    hits = compass.search("north east", index="fused", k=4, mmr=0.5)
    plain = compass.search("north east", index="fused", k=50)
    vectors = [Axes().encode_documents([hit.text])[0] for hit in plain]
    scores = np.array([hit.score for hit in plain])
    scaled = (scores - scores.min()) / np.ptp(scores)
    order = naive(scaled, np.array(vectors) @ np.array(vectors).T, 4, 0.5)
    assert ids(hits) == [plain[place].doc_id for place in order]


def test_it_works_for_documents_like_others_and_for_many_queries(compass):
    assert len(compass.search(like=["e"], index="axes", k=2, mmr=0.3)) == 2
    several = compass.search_many(["north", "fog", "up"], index="axes", k=2, mmr=0.5)
    assert [len(hits) for hits in several] == [2, 0, 2]


@pytest.mark.parametrize("balance", [-0.1, 1.1, float("nan"), True, "0.5"])
def test_an_impossible_balance_is_refused(compass, balance):
    refused(InputError, "expected a number from 0", compass.search, "up", index="axes", mmr=balance)


def test_words_alone_have_no_diversity(compass):
    compass.build("bm25", lexical=True)
    refused(InputError, "'bm25' has no vectors", compass.search, "up", index="bm25", mmr=0.5)


def test_vectors_as_queries_are_compared_by_the_stored_ones_too(compass):
    embedder = compass.embedder("axes")
    (vector,) = embedder.encode_queries(["east up up up"])
    found = compass.search(vector=vector, index="axes", k=3, mmr=0.5)
    assert ids(found) == ids(compass.search("east up up up", index="axes", k=3, mmr=0.5))
    assert ids(found) != ids(compass.search(vector=vector, index="axes", k=3))
    assert compass.search_vectors([vector], index="axes", k=3, mmr=0.5) == [found]


def test_a_vector_is_not_restricted_to_words_and_not_given_with_documents(compass):
    search = partial(compass.search, vector=[1.0, 0.0, 0.0], index="axes")
    refused(InputError, "are for BM25", search, phrase=True)
    refused(InputError, "Give either documents to be like", search, like=["e"])
