"""Text, title and encoding of HTML pages."""

import re

import pytest

from indexes.document import Document
from indexes.errors import BadRecord, InputError, SkippedFile
from retriever.formats import read_documents
from retriever.formats.files import html as module
from retriever.formats.files.html import read_html
from retriever.formats.files.nesting import MOST_FORMATTING, MOST_LEVELS, flattened
from tests.support.sources.records import write
from tests.support.toy import refused

PAGE = """<!DOCTYPE html><html><head><title> Tax &amp;
 duty </title><style>p { color: red }</style><script>var a = "<p>no</p>"</script></head>
<body><nav><a href=x>Home</a></nav><h1>Deadlines</h1>
<p>Until   the <b>e</b>nd<br>of&nbsp;April &eacute;&#x2014;&lt;b&gt;.<p>Next
<table><tr><th>Year<th>Day</tr><tr><td>2024<td>30</table><pre>a
  b</pre><template>no</template><noscript>no</noscript><div hidden>no</div>
<svg><title>no</title></svg><ul><li>one<li>two</ul><script>document.write("no")</script>"""
TEXT = "Deadlines\nUntil the end\nof April é—<b>.\nNext\nYear Day\n2024 30\na\nb\none\ntwo"


def test_blocks_are_lines_and_what_is_not_text_is_left_out(tmp_path):
    for name in ("a.html", "a.HTM", "a.xhtml", "a.html.gz"):
        found = list(read_documents(write(tmp_path / name, PAGE)))
        assert found == [Document(name.removesuffix(".gz"), TEXT, "Tax & duty")]


def test_the_title_is_else_the_first_heading_and_the_text_that_of_main():
    page = b"<p>menu<main><h1>A <i>b</i></h1><p>text</main><footer>end</footer>"
    assert (read_html(page).title, read_html(page).text) == ("A b", "A b\ntext")
    assert read_html(b"<main></main><p>text").text == "text"


def test_meta_tags_become_metadata():
    page = b"""<meta name=Author content="Ann"><meta name=author content=" Bob "><p>x
        <meta property=article:published_time content=2024-04-03T10:15:00+02:00>
        <meta name=dc.date content=1999><meta name=keywords content="cats, dogs,, cats">"""
    assert read_html(page).metadata == {
        "author": ["Ann", "Bob"],
        "date": "2024-04-03T08:15:00+00:00",
        "keywords": ["cats", "dogs"],
    }


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2024-04-03", "2024-04-03"),
        ("2024/04/03", "2024-04-03"),
        ("2024-04", "2024-04"),
        ("Wed, 03 Apr 2024 10:00:00 GMT", "2024-04-03T10:00:00+00:00"),
        ("the third of April", None),
        ("03.04.2024", None),
    ],
)
def test_a_date_becomes_iso_text_or_is_left_out(written, date):
    page = f"<meta name=author content=Ann><meta name=date content='{written}'><p>x"
    assert read_html(page.encode()).metadata.get("date") == date


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="utf-8">', "utf-8"),
        ("<meta charset=ISO-8859-1>", "windows-1252"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">', "cp1251"),
        ('<meta charset="shift_jis">', "shift_jis"),
        ('<?xml version="1.0" encoding="koi8-r"?>', "koi8-r"),
        ("", "utf-8"),
        ("", "utf-8-sig"),
        ("", "utf-16"),
        ('<meta charset="utf-16">', "utf-8"),
    ],
)
def test_the_encoding_is_the_declared_one(tmp_path, head, encoding):
    word = "Дом" if encoding in ("cp1251", "shift_jis", "koi8-r", "utf-16") else "café “x”"
    path = write(tmp_path / "a.html", f"{head}<p>{word}".encode(encoding))
    assert list(read_documents(path)) == [Document("a.html", word)]


def test_an_undeclared_page_that_is_not_utf_8_is_read_as_browsers_do():
    assert read_html(b"<p>caf\xe9 \x93x\x94").text == "café “x”"


def test_pages_that_cannot_be_used_have_a_reason(tmp_path):
    path = write(tmp_path / "a.html", "<meta charset=klingon><p>x")
    reason = "declares the encoding 'klingon', which is not known"
    assert list(read_documents(path)) == [BadRecord(str(path), reason, "a.html")]
    for page in ("<title>App</title><div id=root></div><script>x</script>", "<!-- x -->", " "):
        path = write(tmp_path / "a.html", page)
        assert list(read_documents(path)) == [SkippedFile(str(path), "no text in the page")]


def test_a_page_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_MARKUP", 1 << 20)
    message = r"has more than 1 MiB as one document\. Split it"
    refused(InputError, message, read_html, b"<p>" * (1 << 19))


def test_a_page_of_many_blocks_and_broken_markup_are_read():
    wide = read_html(b"<p>word <b>x</b> " * 20_000)
    assert wide.text.count("\n") == 19_999
    assert read_html(b"<p>a<div><b>b</p></i>c<<<d & e &unknown; \0 </html>f<p").text


def open_at_the_most(page):
    """The most tags that are open at a place of a page, each of which is closed or never is."""
    depth = most = 0
    for tag in re.findall(r"<(/?)\w", page):
        depth += -1 if tag else 1
        most = max(most, depth)
    return most


@pytest.mark.parametrize(
    ("page", "most"),
    [
        ("<div>" * 9_000 + "x" + "</div>" * 9_000 + "<p>y</p>", MOST_LEVELS + 1),
        ("<ul><x-item>" * 9_000 + "x<br/>y", MOST_LEVELS + 1),
        ("<div></b>" * 9_000 + "x<hr/>y", MOST_LEVELS + 1),
        ("<b>" * 9_000 + "x<br/>y", MOST_FORMATTING + 1),
    ],
)
def test_endless_nesting_is_flattened_before_it_is_parsed_and_the_text_stays(page, most):
    assert open_at_the_most(flattened(page, " ").replace("</b>", "")) <= most
    assert read_html(page.encode()).text == "x\ny"


def test_a_long_page_of_shallow_elements_is_parsed_as_it_is():
    page = "<li><p>a <b>c</b><br><!-- <div> --><script>'<div>'</script><svg><path/></svg>" * 999
    page = f"<ul>{page}</ul>" + "<div><span></div>" * 999
    assert flattened(page, "?") == page
