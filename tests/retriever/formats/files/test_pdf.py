"""Text of PDF files, and those that have none or cannot be read."""

import io

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import BadRecord, InputError, SkippedFile
from retriever.formats import read_documents
from retriever.formats.files import pdf as module
from retriever.formats.files.pdf import read_pdf
from tests.support.sources.documents import pdf
from tests.support.sources.records import write
from tests.support.toy import refused

TWO_PAGES = pdf("A search en-\ngine of café", "32-\nbit and Anglo-\nSaxon", title="On search")


def encrypted(user, algorithm):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(TWO_PAGES))
    writer.encrypt(user, "owner", algorithm=algorithm)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_the_text_of_all_pages_with_divided_words_joined(tmp_path):
    for name in ("a.pdf", "a.PDF", "a.pdf.gz"):
        (found,) = read_documents(write(tmp_path / name, TWO_PAGES))
        assert (found.doc_id, found.title) == (name.removesuffix(".gz"), "On search")
        assert found.text == "A search engine of café\n32-bit and Anglo-Saxon"


@pytest.mark.parametrize("title", ["", "untitled", "Microsoft Word - a", "thesis-final.tex", "  "])
def test_a_title_that_names_another_file_is_none(title):
    assert read_pdf(pdf("x", title=title)).title == ""


def test_the_document_information_becomes_metadata():
    said = "/Author (Ann; Bob) /CreationDate (D:20240403101500+02'00') /Keywords (cats, dogs)"
    assert read_pdf(pdf("x", information=said)).metadata == {
        "author": ["Ann", "Bob"],
        "date": "2024-04-03T08:15:00+00:00",
        "keywords": ["cats", "dogs"],
    }
    odd = pdf("x", information="/Author 3 /CreationDate (yesterday) /Keywords [1]")
    assert read_pdf(odd).metadata == {}


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_an_encrypted_file_is_read_if_it_needs_no_password(tmp_path, algorithm):
    assert read_pdf(encrypted("", algorithm)).text == read_pdf(TWO_PAGES).text
    path = write(tmp_path / "a.pdf", encrypted("secret", algorithm))
    reason = "needs a password. Save it without one"
    assert list(read_documents(path)) == [BadRecord(str(path), reason, "a.pdf")]


def test_a_scan_is_skipped_and_says_why(tmp_path):
    path = write(tmp_path / "a.pdf", pdf("", ""))
    reason = "no text on 2 pages, only images; recognize it first (OCR)"
    assert list(read_documents(path)) == [SkippedFile(str(path), reason)]


def test_what_is_no_pdf_or_damaged_is_a_bad_record(tmp_path):
    for raw in (b"not a PDF", TWO_PAGES[:300], b"%PDF-1.7\n" + b"\0" * 500):
        path = write(tmp_path / "a.pdf", raw)
        (bad,) = read_documents(path)
        assert isinstance(bad, BadRecord)
        assert bad.reason.startswith("cannot be read as PDF (")


def test_a_page_that_is_made_to_exhaust_the_memory_is_refused():
    raw = pdf(content=b"BT /F1 12 Tf " + b"(Hello) Tj " * 8_000_000 + b"ET", packed=True)
    assert len(raw) < 1_000_000
    refused(InputError, "cannot be read as PDF", read_pdf, raw)


def test_a_page_of_too_many_operators_and_a_text_that_is_too_long_are_refused(monkeypatch):
    many = pdf("one", "\n".join(["x"] * 50))
    monkeypatch.setattr(module, "MOST_OPERATORS", 50)
    refused(InputError, "has more than 50 operators on page 2", read_pdf, many)
    monkeypatch.setattr(module, "MOST_OPERATORS", 1_000)
    monkeypatch.setattr(module, "MOST_CHARACTERS", 50)
    refused(InputError, r"has more than 50 characters\. Split it", read_pdf, many)


@given(st.lists(st.tuples(st.integers(0, len(TWO_PAGES) - 1), st.integers(0, 255)), max_size=40))
def test_a_damaged_file_is_read_or_refused(changes):
    raw = bytearray(TWO_PAGES)
    for place, byte in changes:
        raw[place] = byte
    try:
        content = read_pdf(bytes(raw))
    except InputError:
        return
    Document("x", content.text, content.title)
