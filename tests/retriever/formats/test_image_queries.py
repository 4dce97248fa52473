"""Queries by image: rows that name a file."""

import pytest

from indexes.errors import BadRecordsError, InputError
from indexes.images import Image
from retriever.formats import read_mixed_queries, read_queries
from tests.support.models.pictures import picture


def test_images_are_named_relative_to_the_file(tmp_path):
    (tmp_path / "rose.png").write_bytes(picture())
    path = tmp_path / "queries.jsonl"
    path.write_text('{"id": "a", "image": "rose.png"}\n{"id": "b", "text": "a rose"}\n')
    assert read_mixed_queries(path) == {"a": Image.of(tmp_path / "rose.png"), "b": "a rose"}
    with pytest.raises(InputError, match=r"queries\.jsonl: query 'a' is an image"):
        read_queries(path)


def test_bad_images_are_reported_with_their_lines(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    path = tmp_path / "queries.jsonl"
    path.write_text('{"id": "a", "image": "none.png"}\n{"id": "b", "image": "empty.png"}\n')
    with pytest.raises(BadRecordsError) as raised:
        read_mixed_queries(path)
    assert "none.png: the image cannot be read" in str(raised.value)
    assert "empty.png: the image is empty" in str(raised.value)
