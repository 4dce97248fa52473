"""Maps of a corpus: planes worked out by hand, and documents placed in them."""

import numpy as np
import pytest

from indexes.errors import InputError
from retriever.corpus_map.pca import principal_plane, rotation_onto
from retriever.corpus_map.umap_layout import has_umap
from tests.support.toy import Axes, refused


@pytest.mark.parametrize("wide", [False, True])
def test_the_plane_has_the_axes_along_which_vectors_vary_most(wide):
    # Along the third axis by 3, along the first by 2, along the second by 1.
    rows = np.array([[0, 0, 3], [0, 0, -3], [2, 0, 0], [-2, 0, 0], [0, 1, 0], [0, -1, 0]], float)
    vectors = np.pad(rows + 5, ((0, 0), (0, 4 if wide else 0)))
    plane = principal_plane(vectors)
    found = plane.project(vectors)
    assert np.round(found, 9).tolist() == [[3, 0], [-3, 0], [0, 2], [0, -2], [0, 0], [0, 0]]
    assert plane.share == pytest.approx(26 / 28)


@pytest.mark.parametrize("rows", [[[1.0, 2.0]], [[1.0, 2.0]] * 3, [[1.0], [3.0]], [[0.0, 0.0]]])
def test_vectors_that_vary_less_than_in_a_plane_have_zeros(rows):
    found = principal_plane(np.array(rows)).project(np.array(rows))
    assert found.shape == (len(rows), 2)
    assert found[:, 1].tolist() == [0.0] * len(rows)


def test_a_turned_and_mirrored_plane_is_turned_back():
    points = np.array([[0, 0], [1, 0], [0, 3], [2, 2]], float)
    turned = points @ np.array([[0, 1], [1, 0]]) + 7
    back = (turned - 7) @ rotation_onto(turned, points)
    assert np.allclose(back - back.mean(axis=0), points - points.mean(axis=0))


def test_a_map_has_documents_evenly_spread_with_labels_and_places_the_others(compass):
    made = compass.corpus_map("axes", most=3)
    assert (made.doc_ids, made.labels, made.documents) == (
        ("n", "all"),
        ("north", "north east up"),
        5,
    )
    places = compass.places(made, ["e", "n", "fog", "none"])
    assert sorted(places) == ["e", "n"]
    assert places["n"] == tuple(made.points[0])
    assert compass.place_of(made, np.array([5, 0, 0], np.float32)) == pytest.approx(places["n"])


def test_a_map_of_an_index_without_vectors_or_with_an_unknown_method_is_refused(compass):
    compass.build("words", lexical=True)
    refused(InputError, "no vectors of its own", compass.corpus_map, "words")
    refused(InputError, "No method 'tsne' for maps", compass.corpus_map, "axes", method="tsne")
    refused(InputError, "expected at least 1", compass.corpus_map, "axes", most=0)
    compass.build("none", Axes("none", words=("nothing",)))
    refused(InputError, "'none' has no vector of any", compass.corpus_map, "none")


@pytest.mark.skipif(has_umap(), reason="umap-learn is installed")
def test_umap_that_is_not_installed_is_named(compass):
    refused(InputError, "pip install umap-learn", compass.corpus_map, "axes", method="umap")


@pytest.mark.skipif(not has_umap(), reason="umap-learn is not installed")
def test_umap_lays_out_the_same_way_every_time(library):
    library.add({"id": f"n{n}", "text": f"number {n}"} for n in range(20))
    library.build("floor")
    one, again = (library.corpus_map("floor", method="umap") for _ in range(2))
    assert one.points.tolist() == again.points.tolist()
    assert library.places(one, ["n1"])["n1"] == tuple(one.points[one.doc_ids.index("n1")])
