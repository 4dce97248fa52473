"""Documents with images: kept by reference or copied, edited, deleted, searched, and checked."""

import contextlib
import hashlib
import io
import sqlite3

import pytest
from PIL import Image as Pillow

from indexes.errors import DamageError, FailedTextsError, InputError
from indexes.images import Image
from retriever import Collection, Document, HashingEmbedder
from retriever.formats import documents
from tests.support.models.pictures import BLUE, GREEN, RED, Colors, picture
from tests.support.toy import ids, refused


@pytest.fixture
def red(tmp_path):
    path = tmp_path / "red.png"
    path.write_bytes(picture(RED))
    return path


@pytest.fixture
def blue(tmp_path):
    path = tmp_path / "blue.png"
    path.write_bytes(picture(BLUE))
    return path


def copies(collection):
    return sorted(path.name for path in collection.path.glob("images/*"))


def name_of(data):
    return f"{hashlib.sha256(data).hexdigest()}.png"


def test_an_image_is_given_as_a_path_bytes_an_image_or_one_of_pillow(red):
    data = red.read_bytes()
    same = [Document("a", image=one).image for one in (red, str(red), data, Image.of_file(red))]
    assert {one.checksum for one in same} == {hashlib.sha256(data).hexdigest()}
    assert {one.read() for one in same} == {data}
    opened = Document("a", image=Pillow.open(red)).image
    assert Pillow.open(io.BytesIO(opened.read())).getpixel((0, 0)) == RED
    printed = Document("a", image=Pillow.new("CMYK", (2, 2), (0, 255, 255, 0))).image
    assert Pillow.open(io.BytesIO(printed.read())).getpixel((0, 0)) == RED
    refused(InputError, "The image is int; expected a path, bytes", Document, "a", image=3)
    refused(InputError, "gone.png: the image cannot be read", Document, "a", image="gone.png")


def test_images_and_captions_are_found_by_one_query(collection, red, blue):
    collection.add(
        [
            Document("photo", image=red),
            Document("captioned", "a blue sea", image=blue),
            Document("note", "green and blue"),
        ]
    )
    assert collection.build("colors", Colors()).embedded == 4
    hits = collection.search("blue", k=9)
    assert ids(hits) == ["captioned", "note", "photo"]
    assert [(hit.image and hit.image.source, hit.text) for hit in hits] == [
        (str(blue), "a blue sea"),
        (None, "green and blue"),
        (str(red), ""),
    ]
    assert ids(collection.search("red", k=9)) == ["photo", "captioned", "note"]
    assert [hit.passage for hit in collection.search("red", k=2)] == [(0, 0), (0, 10)]
    assert collection.document("photo").image.read() == red.read_bytes()
    assert [document.image is None for document in collection.documents()] == [False, False, True]
    assert collection.verify().ok


def test_a_reference_stays_in_its_file_and_a_copy_does_not_need_it(collection, red, blue):
    collection.add([Document("reference", image=red)])
    collection.add([Document("copy", image=blue), Document("same", image=blue)], copy_images=True)
    collection.add([Document("bytes", image=picture(GREEN))])
    assert copies(collection) == sorted([name_of(picture(BLUE)), name_of(picture(GREEN))])
    blue.unlink()
    assert collection.document("same").image.read() == picture(BLUE)
    red.write_bytes(picture(BLUE))
    refused(
        InputError, "has changed. Add its document", collection.document("reference").image.read
    )


def test_an_unchanged_image_costs_nothing_and_another_place_is_no_other_image(
    collection, red, tmp_path
):
    collection.add([Document("a", "x", image=red)])
    collection.build("colors", Colors())
    assert collection.add([Document("a", "x", image=red)]).unchanged == 1
    moved = red.rename(tmp_path / "moved.png")
    assert collection.add([Document("a", "x", image=moved)]).changed == 1
    assert collection.document("a").image.path == moved
    assert collection.add([Document("a", "x", image=moved)], copy_images=True).changed == 1
    assert collection.add([Document("a", "x", image=moved)]).unchanged == 1
    assert collection.document("a").image.path.parent == collection.path / "images"
    assert collection.build("colors").embedded == 0


def test_an_edit_of_the_image_answers_by_the_earlier_one_until_it_is_embedded(
    collection, red, blue
):
    collection.add([Document("a", image=red), Document("b", "green")])
    collection.build("colors", Colors())
    collection.add([Document("a", image=blue)])
    (hit,) = collection.search("red", k=1)
    assert (hit.doc_id, hit.stale, hit.image.source) == ("a", True, str(blue))
    assert collection.build("colors").embedded == 1
    assert [(hit.doc_id, hit.stale) for hit in collection.search("blue", k=1)] == [("a", False)]
    collection.add([Document("a", "red", image=blue)])
    collection.build("colors")
    collection.add([Document("a", "blue")])
    assert [(h.doc_id, h.stale) for h in collection.search("red", k=9)] == [
        ("a", True),
        ("b", False),
    ]
    collection.build("colors")
    collection.compact()
    assert collection.document("a").image is None
    assert ids(collection.search("blue", k=9)) == ["a", "b"]
    assert collection.verify().ok


def test_a_copy_goes_when_no_document_has_its_image(collection):
    data = picture()
    collection.add([Document("a", image=data), Document("b", image=data)])
    collection.delete(["a"])
    collection.compact()
    assert copies(collection) == [name_of(data)]
    collection.delete(["b"])
    collection.compact()
    assert copies(collection) == []


def test_an_image_that_is_gone_fails_by_name_and_the_others_are_embedded(collection, red, blue):
    collection.add([Document("gone", image=red), Document("b", image=blue), Document("c", "red")])
    red.unlink()
    refused(FailedTextsError, "gone", collection.build, "colors", Colors())
    assert ids(collection.search("red", k=9)) == ["c", "b"]


@pytest.mark.parametrize("ann", [None, "HNSW8"])
def test_the_text_of_an_image_that_is_gone_is_embedded(collection, red, blue, ann):
    collection.add([Document("gone", "green", image=red), Document("b", "red", image=blue)])
    red.unlink()
    with pytest.raises(FailedTextsError, match="(?s)gone.*red.png: the image cannot be read"):
        collection.build("colors", Colors(), ann=ann)
    found = collection.search("green", index="colors", k=1)
    assert (ids(found), found[0].score) == (["gone"], pytest.approx(1))
    assert "1 document in" in found.notes[0]


def test_texts_are_indexed_as_without_images(collection, blue, tmp_path):
    texts = [Document(str(n), f"text {n}", "title" * (n % 2)) for n in range(5)]
    collection.add(texts)
    with Collection.create(tmp_path / "other") as other:
        other.add([*texts[:4], Document("4", "text 4", image=blue), Document("5", image=blue)])
        for one in (collection, other):
            one.build("floor", HashingEmbedder())
            one.build("words", lexical=True)
        for index in ("floor", "words"):
            for query in ("text", "3", "title"):
                plain, mixed = (one.search(query, index=index, k=9) for one in (collection, other))
                assert ids(plain) == ids(mixed)
                assert [hit.score for hit in plain] == [hit.score for hit in mixed]
        assert other.index_info("floor").missing == 0
        assert other.verify().ok


def test_a_checksum_of_the_corpus_changes_with_an_image_only_if_there_is_one(collection, red, blue):
    seen = set()
    for image in (None, red, blue):
        collection.add([Document("a", "x", image=image)])
        seen.add(collection.content_checksum())
    assert len(seen) == 3
    expected = hashlib.sha256(b"a\0" + Document("a", "x").content_checksum()).hexdigest()[:16]
    collection.add([Document("a", "x")])
    assert collection.content_checksum() == expected


def test_damaged_images_are_named_and_a_copy_is_made_again_from_its_source(collection, red, blue):
    collection.add([Document("reference", image=red)])
    collection.add([Document("copy", image=blue)], copy_images=True)
    green = picture(GREEN)
    collection.add([Document("bytes", image=green)])
    collection.build("colors", Colors())
    assert collection.verify().ok
    red.unlink()
    (collection.path / "images" / name_of(picture(BLUE))).write_bytes(b"x")
    (collection.path / "images" / name_of(green)).unlink()
    found = [str(problem) for problem in collection.verify().problems]
    assert [what.split("'")[1] for what in found] == ["reference", "copy", "bytes"]
    assert "red.png: the image cannot be read (no such file" in found[0]
    assert f"the copy of its image {blue} is missing or damaged. Repair copies it" in found[1]
    repaired = collection.repair()
    assert [line.split()[:3] for line in repaired.done] == [["copied", "the", "image"]]
    assert [str(left).split("'")[1] for left in repaired.left] == ["reference", "bytes"]
    assert collection.document("copy").image.read() == picture(BLUE)
    red.write_bytes(picture(RED))
    collection.delete(["bytes"])
    collection.add([Document("bytes", image=green)])
    assert collection.verify().ok


def test_a_damaged_row_of_an_image_is_named(collection, red):
    collection.add([Document("a", image=red), Document("b", "text")])
    with contextlib.closing(sqlite3.connect(collection.path / "catalog.db")) as catalog, catalog:
        catalog.execute("UPDATE images SET path = path || 'x'")
    assert "image of document 1 is not what was committed" in str(collection.verify().problems[0])
    refused(DamageError, "image of document 1", collection.document, "a")


@pytest.mark.parametrize("built_before", [False, True])
def test_images_that_are_all_gone_are_each_at_fault_and_not_the_embedder(
    collection, red, tmp_path, built_before
):
    if built_before:
        collection.add([Document("first", image=red)])
        collection.build("colors", Colors())
    paths = [tmp_path / f"{n}.png" for n in range(20)]
    for path in paths:
        path.write_bytes(red.read_bytes())
    collection.add(Document(path.name, image=path) for path in paths)
    collection.add([Document("text", "green")])
    for path in (*paths, red):
        path.unlink()
    with pytest.raises(FailedTextsError) as caught:
        collection.build("colors", Colors())
    assert {failed.doc_id for failed in caught.value.failed} == {path.name for path in paths}
    assert ids(collection.search("green", k=1)) == ["text"]


def test_an_image_is_decoded_again_only_if_it_has_changed(collection, tmp_path, monkeypatch):
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, color in zip(paths, (RED, BLUE), strict=True):
        path.write_bytes(picture(color))
    collection.add(*paths)
    decoded = []
    monkeypatch.setattr(documents, "check_image", lambda image: decoded.append(image.source))
    assert collection.add(*paths).unchanged == 2
    paths[1].write_bytes(picture(RED))  # the other document's, but new to this one
    assert collection.add(*paths).changed == 1
    assert decoded == [str(paths[1])]
    assert collection.add(*paths, copy_images=True).changed == 2  # copied, and not decoded
    assert decoded == [str(paths[1])]
