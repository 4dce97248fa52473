"""Comparisons in which the queries of an index are given as vectors."""

import numpy as np
import pytest

from indexes.errors import InputError, MismatchError, UnknownNameError
from retriever import compare
from tests.support.toy import COMPASS, QRELS, QUERIES, Axes, refused

IDS, TEXTS = [one.doc_id for one in COMPASS], [one.text for one in COMPASS]
VECTORS = Axes().encode_queries(list(QUERIES.values()))


@pytest.fixture
def imported(compass):
    """The compass with an index `x` of the vectors of `axes`, whose model is not known."""
    rows = Axes().encode_documents(TEXTS)
    compass.build("x", from_vectors=(IDS, rows), allow_missing=True)
    return compass


def ranking(collection, name, queries=QUERIES, **options):
    return compare(collection, [name], queries, QRELS, **options).runs[name].ranking


def test_given_vectors_find_what_the_model_that_made_them_finds(imported):
    expected = ranking(imported, "axes")
    assert ranking(imported, "x", vectors={"x": (list(QUERIES), VECTORS)}) == expected
    # By ids, in any order; those of other queries are not needed, and may be there.
    ids = ["other", *reversed(QUERIES)]
    more = np.vstack([np.ones(3), VECTORS[::-1]])
    assert ranking(imported, "x", vectors={"x": (ids, more)}) == expected


def test_a_file_of_vectors_without_ids_has_those_of_all_queries_in_their_order(imported, tmp_path):
    np.save(tmp_path / "q.npy", VECTORS)
    given = {"x": tmp_path / "q.npy"}
    assert ranking(imported, "x", vectors=given) == ranking(imported, "axes")
    # One without judgments is not run, but has a vector in the file.
    more = {"q0": "up", **QUERIES}
    message = "has no ids and 2 vectors, and there are 3 queries"
    refused(InputError, message, ranking, imported, "x", more, vectors=given)
    np.save(tmp_path / "q.npy", np.vstack([[0, 0, 1], VECTORS]))
    assert ranking(imported, "x", more, vectors=given) == ranking(imported, "axes")


def test_a_fusion_of_imported_vectors_takes_the_vectors_of_its_part(imported):
    imported.build("bm25", lexical=True)
    imported.fuse("usual", ["axes", "bm25"])
    imported.fuse("given", ["x", "bm25"])
    given = {"x": (list(QUERIES), VECTORS)}
    assert ranking(imported, "given", vectors=given) == ranking(imported, "usual")


def test_a_model_that_is_known_is_not_run_where_vectors_are_given(imported):
    imported._models._loaded.clear()
    refused(InputError, "an embedder of your own", ranking, imported, "axes")
    found = compare(imported, ["axes"], QUERIES, QRELS, vectors={"axes": (list(QUERIES), VECTORS)})
    assert found.rows["axes"].quality["nDCG@10"] > 0
    (note,) = [one for one in found.notes if "given as vectors" in one]
    assert note.endswith("its latency and throughput leave out their encoding.")


def test_an_index_of_an_unknown_model_is_refused_before_anything_is_run(imported):
    ran = imported.embedder("axes").seen.copy()
    message = r"'x' holds vectors imported from .* --query-vectors x FILE \(vectors={'x': FILE}\)"
    refused(InputError, message, compare, imported, ["axes", "x"], QUERIES, QRELS)
    imported.fuse("both", ["axes", "x"])
    refused(InputError, "'x', a part of 'both',", compare, imported, ["both"], QUERIES, QRELS)
    assert imported.embedder("axes").seen == ran


@pytest.mark.parametrize(
    ("vectors", "error", "message"),
    [
        ({"x": (["q1"], VECTORS[:1])}, InputError, "1 query has no vector in .*, for .* 'x': q2"),
        ({"x": (["q1", "q2"], VECTORS[:, :2])}, MismatchError, "'x' are 3 wide; .* are 2 wide"),
        ({"x": (["q1", "q2"], VECTORS * 0)}, InputError, "is zero everywhere.*query 'q1' in"),
        ({"x": (["q1", "q1"], VECTORS)}, InputError, "An id occurs twice"),
        ({"y": (["q1", "q2"], VECTORS)}, UnknownNameError, "No index 'y'"),
        ({"axes": (["q1", "q2"], VECTORS)}, InputError, "'x' holds vectors imported"),
        ([VECTORS], InputError, "Expected vectors as a mapping"),
    ],
)
def test_vectors_that_do_not_fit_the_queries_are_refused(imported, vectors, error, message):
    refused(error, message, compare, imported, ["x"], QUERIES, QRELS, vectors=vectors)


def test_vectors_for_an_index_that_is_not_compared_are_refused(imported):
    given = {"x": (list(QUERIES), VECTORS)}
    message = "given for 'x', which is not compared"
    refused(InputError, message, compare, imported, ["axes"], QUERIES, QRELS, vectors=given)


def test_one_text_has_one_vector(imported):
    queries = {"q1": "north", "q2": "north"}
    same = {"x": (["q1", "q2"], VECTORS[[0, 0]])}
    found = ranking(imported, "x", queries, vectors=same)
    assert found["q1"] == found["q2"]
    other = {"x": (["q1", "q2"], VECTORS)}
    message = "The text of query 'q2' has two vectors"
    refused(InputError, message, ranking, imported, "x", queries, vectors=other)
