"""Hits as notebooks show them: a table in which every text is text."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.images import Image
from retriever import Hit, Hits
from retriever.images import check
from tests.support.laws import examples
from tests.support.models.pictures import picture

# Without what XML cannot hold: the HTML is parsed as XML here.
LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
TEXT = st.text(LETTERS | st.sampled_from("<>&\"'"), max_size=60)


def parsed(hits):
    closed = re.sub("<(img [^>]*|br)>", r"<\1/>", hits._repr_html_())
    return ET.fromstring(f"<div>{closed}</div>")


def test_hits_are_a_table_with_images_where_there_are_some():
    wide = Image.of(picture(size=(300, 100)))
    hits = (
        Hit(1, "a", 0.98765, "a red rose", "Rose", image=wide),
        Hit(2, "b", 0.5, "", image=Image.of(b"no image")),
        Hit(3, "c", -0.25, "word " * 100, stale=True),
    )
    table = parsed(Hits(hits, ("a note <b>",)))
    heads = [cell.text for cell in table.iter("th")]
    assert heads == ["rank", "score", "image", "document", "text"]
    rows = [["|".join(cell.itertext()) for cell in row.iter("td")] for row in table.iter("tr")]
    assert rows[1:] == [
        ["1", "0.988", "", "Rose|a", "a red rose"],
        ["2", "0.500", "b", "b", ""],
        ["3", "-0.250", "", "c (stale)", "word " * 39 + "word …"],
    ]
    (image,) = table.iter("img")
    assert image.get("src").startswith("data:image/jpeg;base64,")
    assert (image.get("alt"), image.get("width"), image.get("height")) == ("Rose", "96", "32")
    assert [note.text for note in table.iter("p")] == ["a note <b>"]
    heads = [cell.text for cell in parsed(Hits(hits[2:])).iter("th")]
    assert heads == ["rank", "score", "document", "text"]


def test_without_pillow_a_note_says_so(monkeypatch):
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: None)
    hits = Hits((Hit(1, "a", 1.0, "", image=Image.of(picture())),))
    assert [note.text for note in parsed(hits).iter("p")] == [check.NO_PILLOW]
    assert list(parsed(Hits((Hit(1, "a", 1.0, "x"),))).iter("p")) == []


def test_few_of_many_hits_are_shown_and_none_is_said():
    many = parsed(Hits(tuple(Hit(n, f"d{n}", 1, "x") for n in range(1, 1103))))
    assert len(list(many.iter("tr"))) == 1 + 100
    assert [note.text for note in many.iter("p")] == ["1,002 more hits"]
    assert Hits()._repr_html_() == "<p>no hits</p>"


@given(doc_id=TEXT, title=TEXT, text=TEXT, note=TEXT, image=st.sampled_from([b"", picture()]))
@settings(max_examples=examples(100), deadline=None)
def test_texts_never_become_markup(doc_id, title, text, note, image):
    plain = parsed(Hits((Hit(1, "d", 1, "t", "T", image=Image.of(image)),), ("n",)))
    other = parsed(Hits((Hit(1, doc_id, 1, text, title, image=Image.of(image)),), (note,)))
    kinds = [[one.tag for one in of.iter()] for of in (plain, other)]
    assert kinds[1] == [tag for tag in kinds[0] if title or tag not in ("b", "br")]
    assert "".join(other.itertext()).endswith(f"{title}{doc_id}{text}{note}")
