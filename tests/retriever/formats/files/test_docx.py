"""Text of Word documents, and those that cannot be read."""

import re
import zipfile

import docx as python_docx

from indexes.document import Document
from indexes.errors import BadRecord, InputError, SkippedFile
from retriever.formats import read_documents
from retriever.formats.files import docx as module
from retriever.formats.files.docx import read_docx
from tests.support.sources.documents import RELATIONS, docx
from tests.support.sources.records import write
from tests.support.toy import refused

RUN = "<w:r><w:t>{}</w:t></w:r>"
BODY = f"""
<w:p>{RUN.format("one")}<w:r><w:tab/><w:t xml:space="preserve">two </w:t><w:br/></w:r>
<w:hyperlink>{RUN.format("link")}</w:hyperlink><w:ins>{RUN.format(" inserted")}</w:ins>
<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del></w:p>
<w:sdt><w:sdtContent><w:p>{RUN.format("field")}</w:p></w:sdtContent></w:sdt>
<w:tbl><w:tr><w:tc><w:p>{RUN.format("a")}</w:p><w:p>{RUN.format("b")}</w:p></w:tc>
<w:tc><w:p>{RUN.format("c")}</w:p></w:tc></w:tr></w:tbl>
<w:p><w:r><w:txbxContent><w:p>{RUN.format("box")}</w:p></w:txbxContent></w:r></w:p>
<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">
<mc:Fallback><w:p>{RUN.format("twice")}</w:p></mc:Fallback></mc:AlternateContent>
"""


def test_every_kind_of_paragraph_is_read_and_a_row_is_a_line():
    assert read_docx(docx(body=BODY)).text == "one\ttwo\nlink inserted\nfield\na b\tc\nbox"


def test_a_document_of_python_docx_with_its_title_or_first_heading(tmp_path):
    document = python_docx.Document()
    document.add_paragraph("before")
    document.add_heading("On search", 1)
    document.save(tmp_path / "a.docx")
    of_template = {"author": "python-docx", "date": "2013-12-23T23:15:00+00:00"}
    assert list(read_documents(tmp_path / "a.docx")) == [
        Document("a.docx", "before\nOn search", "On search", of_template)
    ]
    document.core_properties.title = "Title"
    document.save(tmp_path / "a.docx")
    (found,) = read_documents(tmp_path / "a.docx")
    assert found.title == "Title"


def test_the_properties_become_metadata_and_a_document_may_have_none():
    core = (
        "<dc:creator>Ann; Bob</dc:creator><cp:keywords>cats, dogs</cp:keywords>"
        "<dcterms:created>2024-04-03T10:15:00Z</dcterms:created>"
    )
    assert read_docx(docx("x", core=core)).metadata == {
        "author": ["Ann", "Bob"],
        "date": "2024-04-03T10:15:00+00:00",
        "keywords": ["cats", "dogs"],
    }
    odd = docx("x", core="<dc:creator/><dcterms:created>yesterday</dcterms:created>")
    assert read_docx(odd).metadata == {}
    relations = re.sub(r'<Relationship Id="r2"[^>]*>', "", RELATIONS)
    without = read_docx(docx("x", extra={"_rels/.rels": relations, "docProps/core.xml": None}))
    assert (without.title, without.metadata) == ("", {})


def test_a_document_without_text_is_skipped(tmp_path):
    path = write(tmp_path / "a.docx", docx(" ", title="T"))
    assert list(read_documents(path)) == [SkippedFile(str(path), "no text in the document")]


def test_a_file_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 3 << 20)
    monkeypatch.setattr(module, "MOST_MARKUP", 1 << 20)
    bomb = docx("x", extra={"word/media/a.bin": b"\0" * (4 << 20)})
    assert len(bomb) < 10_000
    refused(InputError, "has more than 3 MiB as one document", read_docx, bomb)
    markup = docx("x", extra={"word/styles.xml": b" " * (2 << 20)})
    refused(InputError, "has more than 1 MiB as one document", read_docx, markup)


def test_entities_neither_read_files_nor_expand(tmp_path):
    (tmp_path / "secret").write_text("secret")
    outside = f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    assert "secret" not in read_docx(docx("a &e; b", doctype=outside)).text
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {one} "{f"&{before};" * 10}">'
        for one, before in zip("bcdefghi", "abcdefgh", strict=True)
    )
    bomb = docx("x &i;", doctype=f"<!DOCTYPE x [{entities}]>")
    refused(InputError, "Maximum entity amplification factor exceeded", read_docx, bomb)


def test_what_cannot_be_read_is_a_bad_record_with_its_reason(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.docx", "w") as archive:
        archive.writestr("a.txt", "x")
    write(tmp_path / "half.docx", docx("x")[:-40])
    write(tmp_path / "secret.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500)
    write(tmp_path / "text.docx", "only text")
    reasons = {bad.doc_id: bad.reason for bad in read_documents(tmp_path)}
    assert reasons.pop("secret.docx").startswith("needs a password, or is of an older Word.")
    assert sorted(reasons) == ["half.docx", "other.docx", "text.docx"]
    for reason in reasons.values():
        assert reason.startswith("cannot be read as a Word document (")
    assert isinstance(next(read_documents(tmp_path / "text.docx")), BadRecord)
