"""Captions by averaged word vectors and BM25 beside CLIP over the pictures, in one table."""

import pytest

from indexes.errors import InputError
from indexes.images import Image
from retriever import Collection, Document, compare
from retriever.embedders import EmbedderSpec, load_embedder
from tests.support.models import clip

SYSTEMS = ["clip", "glove", "bm25"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """100 unseen digits; the captions of every second one are no use, as those of real photos."""
    files, shown = clip.unseen(100)
    captions = [clip.caption(digit) if n % 2 else f"scan {n}" for n, digit in enumerate(shown)]
    with Collection.create(tmp_path_factory.mktemp("digits") / "c") as collection:
        collection.add(
            Document(str(n), caption, image=data)
            for n, (data, caption) in enumerate(zip(files, captions, strict=True))
        )
        spec = EmbedderSpec("contextual", str(clip.digits_clip()), {"runtime": "torch"})
        collection.build("clip", load_embedder(spec))
        collection.build("glove", load_embedder(EmbedderSpec("static", "glove-6b-50d")))
        collection.build("bm25", lexical=True)
        yield collection


def judgments(query_ids):
    shown = clip.unseen(100)[1]
    return {
        name: {str(n): 1 for n, digit in enumerate(shown) if digit == int(name[-1])}
        for name in query_ids
    }


def test_clip_sees_what_captions_do_not_say(pictures):
    queries = {f"digit-{digit}": clip.NAMES[digit] for digit in range(10)}
    table = compare(
        pictures, SYSTEMS, queries, qrels=judgments(queries), measures=["R@50"], k=10, memory=False
    )
    found = {name: row.quality["R@50"] for name, row in table.rows.items()}
    assert found["clip"] == 1.0
    # Half of the captions name the digit.
    assert 0.45 < found["bm25"] == found["glove"] < 0.55


def test_queries_by_image_need_indexes_that_take_them(pictures, tmp_path):
    files, shown = clip.unseen(200)
    queries = {f"q{n}-{shown[n]}": Image.of(files[n]) for n in range(100, 110)}
    qrels = judgments(queries)
    with pytest.raises(InputError, match="Index 'glove' encodes only text: it cannot be"):
        compare(pictures, SYSTEMS, queries, qrels=qrels, memory=False)
    table = compare(pictures, ["clip"], queries, qrels=qrels, measures=["P@5"], k=5, memory=False)
    assert table.rows["clip"].quality["P@5"] > 0.7
    # The page has every query, every relevant document and every hit as an image.
    table.write_html(tmp_path / "page.html")
    hits = {doc_id for found in table.runs["clip"].ranking.values() for doc_id, _ in found[:5]}
    shown = hits.union(*qrels.values())
    html = (tmp_path / "page.html").read_text()
    assert html.count("data:image/jpeg;base64,") == len(queries) + len(shown)
