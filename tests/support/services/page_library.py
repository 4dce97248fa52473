"""A library for the tests of the service's pages: ordinary documents, and hostile ones."""

from retriever import Collection, Document, HashingEmbedder
from retriever.images.check import has_pillow
from tests.support.models.pictures import picture

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
# The name of its folder.
NAME = "<b>lib & co"
LONG = "an-id-without-any-blank-" * 6
VECTORS = """8 3
cat 1 0 0
kitten .9 .1 0
purrs .8 0 .2
engine 0 1 0
tax 0 0 1
car .1 .9 0
is .3 .3 .3
idles 0 .8 .1
"""
DOCUMENTS = [
    Document("cat", "A kitten purrs when it is content.", "Cats", {"year": 2020, "topic": "pets"}),
    Document("car", "The engine of a car idles.", "Cars", {"year": 2021, "topic": "cars"}),
    Document("tax", "A tax on each car and each cat is due.", "", {"year": 2022, "topic": "money"}),
    Document("odd", "zzz yyy"),
    Document(HOSTILE, f"kitten {HOSTILE}", HOSTILE, {HOSTILE: HOSTILE, "topic": HOSTILE}),
    Document(LONG, f"engine {'x' * 300}", "y" * 200, {"z" * 80: "w" * 300, "ok": True}),
]


def make_page_library(folder):
    """Make a library under a folder, with the indexes `glove`, `floor`, `words` and `both`."""
    (folder / "vectors.txt").write_text(VECTORS)
    image = picture(size=(120, 80)) if has_pillow() else None
    with Collection.create(folder / NAME) as collection:
        collection.add([*DOCUMENTS, Document("photo", "a kitten in a photo", image=image)])
        collection.build("glove", f"static:{folder / 'vectors.txt'}")
        collection.build("floor", HashingEmbedder())
        collection.build("words", lexical=True)
        collection.fuse("both", ["floor", "words"])
    return folder / NAME
