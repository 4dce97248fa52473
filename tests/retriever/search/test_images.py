"""Search by an image: what finds documents, what adds nothing, and what is refused."""

import pytest
from PIL import Image as Pillow

from indexes.errors import InputError
from indexes.images import Image
from retriever import Collection, Document, HashingEmbedder
from tests.support.commands import fail
from tests.support.models.pictures import BLUE, GREEN, RED, Colors, Eyes, picture


@pytest.fixture
def colors(tmp_path):
    """A red and a blue picture, and two texts, under CLIP-like vectors, hashing and BM25."""
    with Collection.create(tmp_path / "colors") as collection:
        collection.add(
            [
                Document("rose", "a rose", image=picture(RED)),
                Document("sea", "the sea", image=picture(BLUE)),
                Document("leaf", "green"),
                Document("mars", "red"),
            ]
        )
        collection.build("colors", Colors())
        collection.build("words", HashingEmbedder())
        collection.build("bm25", lexical=True)
        collection.fuse("both", ["colors", "bm25"])
        collection.fuse("exact", ["colors", "bm25"], method="convex")
        collection.cascade("checked", "bm25", "colors")
        yield collection


def test_an_image_finds_images_and_texts(colors, tmp_path):
    path = tmp_path / "query.png"
    path.write_bytes(picture(RED))
    for image in (path, str(path), path.read_bytes(), Pillow.open(path), Image.of(path)):
        hits = colors.search(image=image, index="colors", k=2)
        assert {hit.doc_id for hit in hits} == {"rose", "mars"}
    assert colors.search(image=path, index="colors", k=9)[0].score == pytest.approx(1)


def test_texts_and_images_are_asked_together(colors):
    found = colors.search_many(["blue", Image.of(picture(GREEN)), "green"], index="colors", k=1)
    assert [hits[0].doc_id for hits in found] == ["sea", "leaf", "leaf"]


@pytest.mark.parametrize("fusion", ["both", "exact"])
def test_bm25_adds_nothing_to_a_fusion_and_says_so(colors, fusion):
    hits = colors.search(image=picture(BLUE), index=fusion, k=1)
    assert [hit.doc_id for hit in hits] == ["sea"]
    assert hits.notes == ("bm25 encodes only text: it finds nothing for the image 'image'.",)


@pytest.mark.parametrize("index", ["words", "bm25", "checked"])
def test_an_index_of_texts_is_not_searched_by_an_image(colors, index):
    with pytest.raises(InputError, match=f"Index '{index}' encodes only text: it cannot be"):
        colors.search(image=picture(), index=index)


def test_an_embedder_of_images_alone_is_searched_by_images(colors):
    assert colors.build("eyes", Eyes()).embedded == 6
    hits = colors.search(image=picture(BLUE), index="eyes", k=9)
    assert [hit.doc_id for hit in hits] == ["sea", "rose"]
    colors.fuse("seen", ["eyes", "bm25"])
    assert [hit.doc_id for hit in colors.search(image=picture(BLUE), index="seen", k=1)] == ["sea"]
    hits = colors.search("rose", index="seen", k=9)
    assert [hit.doc_id for hit in hits] == ["rose"]
    assert hits.notes == ("No image in 'rose': eyes finds nothing for it.",)
    colors.cascade("never", "eyes", "bm25")
    for index in ("eyes", "never"):
        with pytest.raises(InputError, match=f"Index '{index}' encodes no text: it cannot be"):
            colors.search("rose", index=index)


def test_a_bad_query_is_one_sentence(colors, tmp_path):
    for given in ({}, {"text": "red", "image": picture()}):
        with pytest.raises(InputError, match="Give a text, an image or a vector to search by"):
            colors.search(**given, index="colors")
    with pytest.raises(InputError, match=r"none\.png: the image cannot be read"):
        colors.search(image=tmp_path / "none.png", index="colors")
    with pytest.raises(InputError, match="The image is int; expected a path, bytes"):
        colors.search(image=3, index="colors")


def test_the_command_searches_by_an_image(colors, tmp_path):
    path = tmp_path / "query.png"
    path.write_bytes(picture(BLUE))
    colors.close()
    message = fail("search", str(colors.path), "--image", str(path), "-i", "bm25")
    assert "Index 'bm25' encodes only text" in message
