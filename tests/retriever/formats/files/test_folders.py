"""Folders: each file is one document, or listed once with the reason why it is none."""

import contextlib
import gzip
import os
import shutil
import socket
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import (
    BadRecord,
    BadRecordsError,
    EmptySourceError,
    FileNote,
    InputError,
    SkippedFile,
)
from retriever import Collection
from retriever.formats import read_documents, read_records
from retriever.formats.files import reading
from tests.support.laws import examples
from tests.support.models.pictures import picture
from tests.support.sources.documents import docx, pdf
from tests.support.sources.records import write
from tests.support.toy import exactly, refused

NO_TEXT = "not text in UTF-8"
WRONG = "unknown extension {}; to read such files as text, give format text"


def read(source, **options):
    return list(read_documents(source, **options))


def reasons(folder, **options):
    """Return why files are skipped, by their paths below the folder; nothing else may be bad."""
    found = [item for item in read(folder, **options) if not isinstance(item, Document)]
    assert {type(item) for item in found} <= {SkippedFile}
    return {os.path.relpath(item.place, folder): item.reason for item in found}


def test_a_folder_of_every_kind_of_document(tmp_path):
    raw = {
        "a.docx": docx("word"),
        "b.htm": b"<p>page",
        "c.markdown": b"---\nx: 1\n---\n# Note",
        "d.pdf": pdf("paper"),
        "e.png": picture(),
        "f.rst": b"rest",
        "g.org": b"org",
        "h.log": b"log",
        "i.txt": "wide é".encode("utf-16"),
        "j.md": "wider é".encode("utf-32"),
        "LICENSE": b"free",
        "Meeting 12.05": b"minutes",
        "log.1": b"older",
        "z.pdf.gz": gzip.compress(pdf("packed")),
    }
    for name, content in raw.items():
        (tmp_path / name).write_bytes(content)
    found = {one.doc_id: (one.title, one.text.strip()) for one in read(tmp_path)}
    assert found == {
        "LICENSE": ("", "free"),
        "Meeting 12.05": ("", "minutes"),
        "a.docx": ("", "word"),
        "b.htm": ("", "page"),
        "c.markdown": ("Note", "# Note"),
        "d.pdf": ("", "paper"),
        "e.png": ("", ""),
        "f.rst": ("", "rest"),
        "g.org": ("", "org"),
        "h.log": ("", "log"),
        "i.txt": ("", "wide é"),
        "j.md": ("", "wider é"),
        "log.1": ("", "older"),
        "z.pdf": ("", "packed"),
    }


def test_what_is_no_document_is_listed_with_the_reason(tmp_path):
    write(tmp_path / "note.txt", "x")
    write(tmp_path / "empty.md", "")
    write(tmp_path / "blank.txt", " \n\t")
    write(tmp_path / "fields.md", "---\ntags: a\n---\n")
    write(tmp_path / "table.csv", "id,text\n")
    write(tmp_path / "code.py", "x")
    write(tmp_path / "program", b"\x7fELF\0")
    write(tmp_path / "latin", "caf\xe9".encode("latin-1"))
    write(tmp_path / "late", b"x" * 10_000 + b"\xff")
    write(tmp_path / "archive", b"PK\3\4rest")
    for name in (".hidden.txt", ".git/config", ".git/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name, "no")
    (tmp_path / "up").symlink_to("..")
    os.mkfifo(tmp_path / "pipe.txt")
    assert reasons(tmp_path) == {
        "archive": NO_TEXT,
        "blank.txt": "no text",
        "code.py": WRONG.format(".py"),
        "empty.md": "empty (0 bytes)",
        "fields.md": "no text",
        "late": NO_TEXT,
        "latin": NO_TEXT,
        "pipe.txt": "a pipe, a socket or a device",
        "program": NO_TEXT,
        "table.csv": "a table (.csv), whose rows are documents; add it by its own name",
        "up": "a link to a folder, which is not followed",
        ".": "2 hidden files and folders",
    }


def test_as_text_a_folder_is_read_whatever_the_extensions(tmp_path):
    write(tmp_path / "code.py", "print()")
    write(tmp_path / "note.md", "---\nx: 1\n---\n# Note")
    write(tmp_path / "photo.png", picture())
    *found, skipped = read(tmp_path, format="text")
    assert found == [Document("code.py", "print()"), Document("note.md", "---\nx: 1\n---\n# Note")]
    assert skipped == SkippedFile(f"{tmp_path}/photo.png", NO_TEXT)


def test_a_folder_without_documents_says_what_was_skipped(tmp_path):
    refused(EmptySourceError, exactly(f"{tmp_path} has no document: it is empty."), read, tmp_path)
    write(tmp_path / "a.py", "x")
    write(tmp_path / ".b.txt", "x")
    message = (
        f"{tmp_path} has no document; skipped:\n  {tmp_path}/a.py: {WRONG.format('.py')}\n"
        f"  {tmp_path}: 1 hidden file or folder"
    )
    refused(EmptySourceError, exactly(message), read, tmp_path)
    for number in range(20):
        write(tmp_path / f"{number}.txt", "")
    refused(EmptySourceError, r"empty \(0 bytes\)\n  \.\.\. and 12 more\Z", read, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_bad_record(tmp_path):
    write(tmp_path / "a.txt", "x").chmod(0)
    (tmp_path / "b").mkdir(mode=0)
    assert read(tmp_path) == [
        BadRecord(f"{tmp_path}/a.txt", "cannot be read: Permission denied.", "a.txt"),
        BadRecord(f"{tmp_path}/b", "cannot be listed: Permission denied"),
    ]


def test_links_that_lead_nowhere_or_to_themselves_are_bad_records(tmp_path):
    for name, to in {"a.txt": "nowhere", "b": "b", "c.txt": "c.txt"}.items():
        (tmp_path / name).symlink_to(to)
    found = {item.doc_id: item.reason for item in read(tmp_path)}
    assert found == {
        "a.txt": "cannot be read: No such file or directory.",
        "b": "cannot be read: Too many levels of symbolic links.",
        "c.txt": "cannot be read: Too many levels of symbolic links.",
    }


def test_a_folder_that_vanishes_while_it_is_read_is_a_bad_record(tmp_path):
    for name in ("a/a.txt", "b/b.txt"):
        (tmp_path / name).parent.mkdir()
        write(tmp_path / name, "x")
    items = read_documents(tmp_path)
    assert next(items) == Document("a/a.txt", "x")
    shutil.rmtree(tmp_path / "b")
    assert list(items) == [
        BadRecord(f"{tmp_path}/b", "cannot be listed: No such file or directory")
    ]


def test_a_file_given_by_name_is_read_in_the_same_way(tmp_path):
    assert read(write(tmp_path / "LICENSE", "free")) == [Document("LICENSE", "free")]
    assert read(write(tmp_path / "a.txt", "é".encode("utf-16"))) == [Document("a.txt", "é")]
    empty = write(tmp_path / "b.txt", "")
    assert read(empty) == [SkippedFile(str(empty), "empty (0 bytes)")]
    cut = write(tmp_path / "c.txt", "é".encode("utf-16") + b"x")
    assert read(cut) == [BadRecord(str(cut), "invalid UTF-16 at byte 5", "c.txt")]
    code = write(tmp_path / "a.py", "print()")
    assert read(code, format="text") == [Document("a.py", "print()")]
    assert read(write(tmp_path / "page", "<p>x"), format="html") == [Document("page", "x")]


def test_a_file_that_is_too_large_for_one_document_is_a_bad_record(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_BYTES", 1 << 20)
    reason = "has more than 1 MiB as one document. Split it"
    bomb = write(tmp_path / "a.txt.gz", b"\0" * (2 << 20))
    assert read(bomb) == [BadRecord(str(bomb), reason, "a.txt")]


@pytest.mark.parametrize(
    ("name", "package"), [("a.html", "selectolax"), ("a.pdf", "pypdf"), ("a.docx", "docx")]
)
def test_without_the_extra_one_error_says_how_to_install_it(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    write(tmp_path / "Z.txt", "x")
    path = write(tmp_path / name, "x")
    message = (
        f"{path} needs the extra 'files', which is not installed. "
        "Run: pip install 'retriever-compare[files]'"
    )
    refused(InputError, exactly(message), read, path)
    refused(InputError, exactly(message), read, tmp_path)
    path.unlink()
    assert read(tmp_path) == [Document("Z.txt", "x")]


def test_notes_on_front_matter_are_ten_and_a_count(tmp_path):
    for number in range(13):
        write(tmp_path / f"{number:02}.md", "---\na: b: c\n---\nx")
    with pytest.warns(FileNote) as notes:
        assert len(read(tmp_path)) == 13
    assert len(notes) == 11
    assert str(notes[-1].message) == "the same of 3 more files"


def test_a_collection_keeps_the_documents_and_lists_the_rest(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    write(folder / "a.md", "x")
    write(folder / "b.md", "")
    write(folder / "c.txt", b"\xff")
    skipped = SkippedFile(f"{folder}/b.md", "empty (0 bytes)")
    bad = BadRecord(f"{folder}/c.txt", "invalid UTF-8 at byte 1. Save it as UTF-8", "c.txt")
    with Collection.create(tmp_path / "library") as library:
        with pytest.raises(BadRecordsError, match=r"\A1 bad record; nothing was kept") as caught:
            library.add(folder)
        assert caught.value.records == (bad,)
        added = library.add(folder, skip_bad=True)
        assert (added.new, added.skipped, added.skipped_total) == (1, (bad, skipped), 2)
        (folder / "c.txt").unlink()
        added = library.add(folder)
        assert (added.unchanged, added.skipped) == (1, (skipped,))
        for _ in range(2):
            added = library.add(folder / "b.md")
            assert (added.new, added.unchanged, added.skipped) == (0, 0, (skipped,))


NAMES = st.text("ab.é ~", min_size=1, max_size=3).filter(lambda name: name.strip(".") == name)
ENDINGS = [
    "",
    ".txt",
    ".md",
    ".html",
    ".pdf",
    ".docx",
    ".png",
    ".csv",
    ".py",
    ".txt.gz",
    ".1",
    ".MD",
]
CONTENTS = [
    b"",
    b" \n",
    b"text",
    b"\xff\xfe",
    b"\0\1\2",
    b"---\na: 1\n---\ntext",
    b"---\na: b: c\n---\ntext",
    b"<p>page",
    pdf("paper"),
    pdf(""),
    docx("word"),
    picture(),
    gzip.compress(b"text"),
]
FILES = st.tuples(NAMES, st.sampled_from(ENDINGS), st.sampled_from(CONTENTS)).map(
    lambda one: (one[0] + one[1], one[2])
)
LINKS = st.tuples(NAMES, st.sampled_from(["nowhere", "..", "a", "socket"]))
TREES = st.recursive(
    st.dictionaries(NAMES, st.binary(max_size=3), max_size=2).map(dict.items).map(list)
    | st.lists(FILES | LINKS, max_size=4),
    lambda inner: st.lists(st.tuples(NAMES | NAMES.map(".".__add__), inner), max_size=3),
    max_leaves=5,
)


def plant(folder, tree):
    """Make the files, links and folders of a tree; names that exist already are left out."""
    for name, content in tree:
        path = folder / name
        if path.is_symlink() or path.exists():
            continue
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content == "socket":
            with socket.socket(socket.AF_UNIX) as end:
                with contextlib.chdir(folder):  # its whole path would be too long
                    end.bind(name)
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.mkdir()
            plant(path, content)


def visible(folder):
    """Return the paths of what a reader of a folder has to account for, and the hidden count."""
    paths, hidden = [], 0
    for path in folder.iterdir():
        if path.name.startswith("."):
            hidden += 1
        elif path.is_dir() and not path.is_symlink():
            below, more = visible(path)
            paths += below
            hidden += more
        else:
            paths.append(str(path))
    return paths, hidden


@pytest.mark.filterwarnings("ignore::indexes.errors.FileNote")
@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_every_file_is_one_document_or_listed_once_with_a_reason(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("law")
    plant(folder, tree)
    items, empty = [], False
    try:
        for item in read_records(folder):
            items.append(item)
    except EmptySourceError:
        empty = True
    paths, hidden = visible(folder)
    of_hidden = [item.reason for place, item in items if place == str(folder)]
    assert [reason.split()[0] for reason in of_hidden] == [str(hidden)] * bool(hidden)
    places = [place for place, _ in items if place != str(folder)]
    assert places == sorted(paths)
    for place, item in items:
        if isinstance(item, Document):
            relative = os.path.relpath(place, folder)
            assert item.doc_id in (relative, relative.removesuffix(".gz"))
            assert item.image or item.text.strip() or item.title
        else:
            assert item.place == place
            assert item.reason.strip()
    assert empty == all(isinstance(item, SkippedFile) for _, item in items)
