"""Text, title and encoding of HTML pages."""

import pytest

from indexes.document import Document
from indexes.errors import BadRecord, InputError, SkippedFile
from retriever.formats import read_documents
from retriever.formats.files import html as module
from retriever.formats.files.html import read_html
from tests.support.format_files import write
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
