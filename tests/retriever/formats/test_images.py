"""Images as sources and in columns, and images that cannot be used."""

import io
import json
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from indexes.document import Document
from indexes.errors import BadRecord, InputError
from indexes.images import Image
from retriever.formats import read_documents
from retriever.images import check
from tests.support.models.pictures import BLUE, picture
from tests.support.toy import refused


def huge_png(side=50_000):
    """Return a PNG that says it is large; its pixels are not there."""
    header = side.to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [
        len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def noise(kind, size=(64, 48)):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Pillow.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


BAD = {
    "empty.png": (b"", "the image is empty (0 bytes)"),
    "text.jpg": (b"not an image", "not an image of a known format, or damaged"),
    "half.jpg": (noise("JPEG")[:-900], "the image cannot be decoded (image file is truncated"),
    "half.png": (noise("PNG")[:-900], "the image cannot be decoded (image file is truncated"),
    "half.webp": (noise("WEBP")[:-900], ""),
    "huge.png": (huge_png(), "the image has more than 178,956,970 pixels. Make it smaller."),
}


def valid():
    wide = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    frames = [Pillow.new("RGB", (4, 3), color) for color in ("red", "blue")]
    turned = Pillow.Exif()
    turned[0x0112] = 6
    saved = {
        "cmyk.jpg": (Pillow.new("CMYK", (4, 3)), {"format": "JPEG"}),
        "wide.png": (Pillow.fromarray(wide), {"format": "PNG"}),
        "turned.jpg": (frames[0], {"format": "JPEG", "exif": turned}),
        "moving.webp": (frames[0], {"save_all": True, "append_images": frames, "format": "WEBP"}),
        "other.png": (frames[0], {"format": "GIF"}),
        "indexed.png": (frames[0].convert("P"), {"format": "PNG", "transparency": 0}),
    }
    for name, (image, options) in saved.items():
        buffer = io.BytesIO()
        image.save(buffer, **options)
        yield name, buffer.getvalue()


def read(source, **options):
    return list(read_documents(source, **options))


def test_a_folder_has_texts_and_images(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.PNG", "sub/a.jpeg"):
        (tmp_path / name).write_bytes(picture())
    (tmp_path / "b.txt").write_text("a note")
    assert read(tmp_path) == [
        Document("b.PNG", image=tmp_path / "b.PNG"),
        Document("b.txt", "a note"),
        Document("sub/a.jpeg", image=tmp_path / "sub" / "a.jpeg"),
    ]
    assert read(tmp_path / "b.PNG") == [Document("b.PNG", image=tmp_path / "b.PNG")]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_column_names_images_relative_to_its_file(tmp_path, ending, monkeypatch):
    (tmp_path / "photos").mkdir()
    red = tmp_path / "photos" / "red.png"
    red.write_bytes(picture())
    rows = [
        {"id": "a", "text": "red", "file": "photos/red.png", "year": "1999"},
        {"id": "b", "text": "", "file": str(red)},
        {"id": "c", "text": "none", "file": ""},
        {"id": "d", "text": "gone", "file": "gone.png"},
    ]
    table = tmp_path / f"t.{ending}"
    if ending == "jsonl":
        del rows[1]["text"]
        lines = [json.dumps(row) for row in rows]
    else:
        lines = [",".join(row.get(name, "") for name in rows[0]) for row in rows]
        lines.insert(0, ",".join(rows[0]))
    table.write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path / "photos")
    *found, bad = read(table, image="file")
    assert found == [
        Document("a", "red", metadata={"year": "1999"}, image=red),
        Document("b", image=red),
        Document("c", "none"),
    ]
    assert bad.reason.startswith(f"{tmp_path}/gone.png: the image cannot be read (no such file")


def test_a_table_of_images_needs_no_text_but_its_column(tmp_path):
    (tmp_path / "red.png").write_bytes(picture())
    table = tmp_path / "t.csv"
    table.write_text("id,file\na,red.png\nb,\n")
    found, bad = read(table, image="file")
    assert found == Document("a", image=tmp_path / "red.png")
    assert bad == BadRecord(f"{table}:3", "no 'text', and no image in 'file'")
    refused(InputError, "has no column 'photo'. It has: id, file", read, table, image="photo")


def test_an_image_that_cannot_be_read_is_named_once(tmp_path):
    link = tmp_path / "photos" / "gone.png"
    link.parent.mkdir()
    link.symlink_to("nowhere.png")
    reason = "the image cannot be read (no such file or directory)."
    (bad,) = read(link.parent)
    assert (bad.place, bad.reason) == (str(link), reason)


def test_an_image_of_another_kind_is_skipped_with_what_reads_it(tmp_path):
    (tmp_path / "notes.txt").write_text("red")
    (tmp_path / "moving.gif").write_bytes(picture())
    skipped, _ = sorted(read(tmp_path), key=lambda one: isinstance(one, Document))
    assert skipped.reason == "an image (.gif), read as one by its own name with format image"


def test_mappings_may_hold_bytes_paths_or_images_of_pillow(tmp_path):
    (tmp_path / "red.png").write_bytes(picture())
    given = [picture(BLUE), tmp_path / "red.png", Pillow.new("RGB", (4, 3), BLUE), None, 3]
    *found, none, bad = read([{"id": str(n), "x": one} for n, one in enumerate(given)], image="x")
    assert [Pillow.open(io.BytesIO(one.image.read())).getpixel((0, 0)) for one in found] == [
        BLUE,
        (255, 0, 0),
        BLUE,
    ]
    assert none.reason == "no 'text', and no image in 'x'"
    assert bad.reason == "The image is int; expected a path, bytes or an image of Pillow."


def test_images_that_cannot_be_used_are_bad_records_with_their_reasons(tmp_path):
    for name, (data, _) in BAD.items():
        (tmp_path / name).write_bytes(data)
    items = read(tmp_path)
    assert [item.place for item in items] == [str(tmp_path / name) for name in sorted(BAD)]
    for name, item in zip(sorted(BAD), items, strict=True):
        assert item.reason.startswith(BAD[name][1]), name
    (bad,) = read([Document("a", image=BAD["huge.png"][0])])
    assert bad.reason.startswith("image: the image has more than")


@pytest.mark.parametrize(("name", "data"), list(valid()))
def test_unusual_images_are_valid(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert [item.doc_id for item in read(tmp_path)] == [name]


def test_an_image_that_changes_while_it_is_read_is_bad(tmp_path):
    path = tmp_path / "red.png"
    path.write_bytes(picture())
    image = Image.of_file(path)
    path.write_bytes(picture(BLUE))
    (bad,) = read([Document("a", image=image)])
    assert bad.reason == f"{path}: the image has changed. Add its document again."


def test_without_pillow_one_error_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "red.png").write_bytes(picture())
    (tmp_path / "a.txt").write_text("a note")
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    items = read_documents(tmp_path)
    assert next(items) == Document("a.txt", "a note")
    message = r"Images need Pillow.* Run: pip install 'retriever-compare\[images\]'"
    refused(InputError, message, next, items)
