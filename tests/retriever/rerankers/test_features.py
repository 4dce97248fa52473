"""Files of image regions: three formats with the same content, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import FileFormatError, InputError
from retriever.rerankers.vilbert.features import read_regions
from tests.support.laws import examples
from tests.support.models.rerankers import WIDTH, regions, write_regions
from tests.support.toy import refused

ENDINGS = (".npz", ".parquet", ".safetensors")
WHOLE = [0, 0, 1, 1, 1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_mean_of_all_regions_comes_first(tmp_path, ending):
    arrays = regions({"é": 2, "b": 3})
    read = read_regions(write_regions(tmp_path / f"r{ending}", arrays), WIDTH)
    features, boxes = read.of("b")
    assert list(read.rows) == ["é", "b"]
    np.testing.assert_allclose(features[0], arrays["features"][2:].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(features[1:], arrays["features"][2:])
    np.testing.assert_array_equal(boxes[0], WHOLE)
    np.testing.assert_allclose(boxes[1:], arrays["boxes"][2:], rtol=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_boxes_in_pixels_are_divided_by_the_size_of_their_image(tmp_path, ending):
    arrays = regions({"a": 1, "b": 1})
    arrays["boxes"] = np.array([[10, 20, 60, 100], [0, 0, 50, 50]], np.float32)
    arrays["sizes"] = np.array([[100, 200], [50, 50]])
    read = read_regions(write_regions(tmp_path / f"r{ending}", arrays), WIDTH)
    np.testing.assert_allclose(read.of("a")[1][1], [0.1, 0.1, 0.6, 0.5, 0.2], rtol=1e-6)
    np.testing.assert_allclose(read.of("b")[1][1], WHOLE)
    del arrays["sizes"]
    bare = write_regions(tmp_path / f"bare{ending}", arrays)
    refused(FileFormatError, "need the width and height of each image", read_regions, bare, WIDTH)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.integers(1, 130), min_size=1, max_size=4), st.integers(0, 99))
def test_a_region_that_was_added_is_not_added_again(tmp_path_factory, counts, seed):
    folder = tmp_path_factory.mktemp("regions")
    names = {str(place): count for place, count in enumerate(counts)}
    once = read_regions(write_regions(folder / "once.npz", regions(names, seed=seed)), WIDTH)
    parts = {name: once.of(name) for name in names}
    twice = {
        "doc_ids": np.array(list(names)),
        "counts": np.array([len(features) for features, _ in parts.values()]),
        "features": np.concatenate([features for features, _ in parts.values()]),
        "boxes": np.concatenate([boxes for _, boxes in parts.values()]),
    }
    again = read_regions(write_regions(folder / "twice.npz", twice), WIDTH)
    for name, count in names.items():
        assert len(parts[name][0]) == min(count + 1, 101)
        if count < 101:  # the mean of more is of those that were left out, too
            for one, other in zip(parts[name], again.of(name), strict=True):
                np.testing.assert_array_equal(one, other)


def broken(**changes):
    return {**regions({"a": 2, "b": 3}), **changes}


def with_value(name, place, value):
    arrays = regions({"a": 2, "b": 3})
    arrays[name][place] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (with_value("features", (3, 0), np.nan), "document 'b' has a feature that is not a finite"),
        (with_value("features", (1, 4), np.inf), "document 'a' has a feature that is not a finite"),
        (with_value("boxes", (4, 2), 1.5), "document 'b' has a box outside its image"),
        (with_value("boxes", (0, 0), -0.5), "document 'a' has a box outside its image"),
        (with_value("boxes", 2, [0.9, 0, 0.1, 1, 0.5]), "document 'b' has a box whose right"),
        (with_value("boxes", (2, 0), np.nan), "document 'b' has a box that is not made of finite"),
        (broken(doc_ids=np.array(["a", "a"])), "doc_ids are not different texts"),
        (broken(doc_ids=np.array([1, 2])), "doc_ids are not different texts"),
        (broken(counts=np.array([5, 0])), "counts are not one whole number from 1 up"),
        (broken(counts=np.array([5])), "counts are not one whole number from 1 up"),
        (broken(counts=np.array([2, 4])), r"expected numbers of shape \(6, 20\)"),
        (broken(features=np.zeros((5, 19))), r"float64 of shape \(5, 19\); expected .*\(5, 20\)"),
        (broken(boxes=np.zeros((5, 3))), r"boxes are .*expected .*\(5, 4\) or \(5, 5\)"),
        ({"doc_ids": np.array(["a"])}, "lacks the array counts, features, boxes"),
        (broken(doc_ids=np.array(["a", None])), "holds pickles, which can run code"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, arrays, message):
    path = tmp_path / "r.npz"
    np.savez(path, **arrays)
    refused(FileFormatError, message, read_regions, path, WIDTH)


@pytest.mark.parametrize("name", ["r.npy", "r.lmdb", "folder", "r.pkl"])
def test_formats_that_hold_pickles_are_refused_with_the_way_to_convert(tmp_path, name):
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "r.npy", np.array([{"features": 1}], object))
    message = "are pickles, .* Write its arrays to an .npz without pickles, as docs/rerankers.md"
    refused(InputError, message, read_regions, tmp_path / name, WIDTH)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_is_absent_or_no_such_file_is_refused(tmp_path, ending):
    path = tmp_path / f"r{ending}"
    refused(InputError, "No file of regions", read_regions, path, WIDTH)
    path.write_bytes(b"something else")
    refused(FileFormatError, "r.* is not|cannot be read", read_regions, path, WIDTH)
