"""Markdown: front matter as metadata, and the title."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import FileNote
from retriever.formats import read_documents
from retriever.formats.files.markdown import first_heading, read_markdown
from tests.support.laws import examples
from tests.support.sources.records import write

NOTE = """---
title: Tax return
tags: [tax, 2024]
date: 2024-04-30
draft: no
due: 12:30
---

# File it

Until the end of April.
"""


def read(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return read_markdown(raw)


def fields(*lines):
    """Return the metadata of front matter that must be readable."""
    content = read("\n".join(["---", *lines, "---", "text"]))
    assert (content.note, content.text) == ("", "text")
    return dict(content.metadata)


def test_front_matter_becomes_title_and_metadata_and_leaves_the_text(tmp_path):
    path = write(tmp_path / "tax.md", NOTE)
    metadata = {"tags": ["tax", 2024], "date": "2024-04-30", "draft": "no", "due": "12:30"}
    text = "# File it\n\nUntil the end of April.\n"
    assert list(read_documents(path)) == [Document("tax.md", text, "Tax return", metadata)]
    windows = write(
        tmp_path / "tax.markdown", b"\xef\xbb\xbf" + NOTE.replace("\n", "\r\n").encode()
    )
    (document,) = read_documents(windows)
    assert (document.title, document.metadata) == ("Tax return", metadata)


def test_front_matter_may_be_toml():
    text = '+++\ntitle = "Tax"\ndate = 2024-04-30\nat = 2024-04-30T10:00:00Z\ntags = ["a"]\n+++\nx'
    content = read(text)
    assert (content.text, content.title) == ("x", "Tax")
    at = "2024-04-30T10:00:00+00:00"
    assert content.metadata == {"date": "2024-04-30", "at": at, "tags": ["a"]}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2024-04-30", "2024-04-30"),
        ("2024-4-3", "2024-04-03"),
        ("2024-04-30 10:20:30", "2024-04-30T10:20:30"),
        ("2024-04-30T10:20:30Z", "2024-04-30T10:20:30+00:00"),
        ("2024-04-30 10:20:30 +02:00", "2024-04-30T08:20:30+00:00"),
        ("2024-13-45", "2024-13-45"),
        ("'2024-4-3'", "2024-4-3"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("true", True),
        ("010", 10),
        ("-3", -3),
        ("1.5", 1.5),
        ("1.5e3", 1500.0),
        ("1_000", "1_000"),
        (".nan", ".nan"),
        ("{a: {2: [x, 1.0]}}", {"a": {"2": ["x", 1.0]}}),
    ],
)
def test_values_are_those_of_yaml_1_2_and_dates_iso_text(written, value):
    (found,) = fields(f"x: {written}").values()
    assert (found, type(found)) == (value, type(value))


def test_tags_are_a_list_and_fields_without_a_value_are_left_out():
    assert fields("tags: a b, c ,", "x:", "y: ~", "7: z") == {"tags": ["a b", "c"], "7": "z"}
    assert fields("tags:", "  - a", "  - b") == {"tags": ["a", "b"]}
    assert fields("# nothing") == {}


def test_a_title_that_is_no_text_stays_a_field():
    content = read("---\ntitle: [a, b]\n---\n# Heading")
    assert (content.title, content.metadata) == ("Heading", {"title": ["a", "b"]})
    assert read("---\ntitle: 1984\n---\nx").title == "1984"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("title: a: b", "line 2: mapping values are not allowed in this context"),
        ("x: {{date}}", "unhashable"),
        ("- a\n- b", "not a list of names and values"),
        ("x: 1\nx: &a [1]\ny: *a\nz: *a", "it repeats a part by reference"),
        ("x: !!python/object:os.system a", "could not determine a constructor"),
        ("x: 1.0e999", "metadata 'x' holds inf"),
        ('x: "\\ud800"', ""),
        ("x: " + "9" * 5_000, "Exceeds the limit"),
        ("x: " + "[" * 5_000, ""),
        ("x: " + "a" * (1 << 18), "more than 262,144 characters"),
    ],
)
def test_front_matter_that_cannot_be_read_stays_in_the_text_with_a_note(tmp_path, body, reason):
    text = f"---\n{body}\n---\n# Heading\n"
    path = write(tmp_path / "a.md", text)
    with pytest.warns(FileNote) as notes:
        found = list(read_documents(path))
    assert found == [Document("a.md", text, "Heading")]
    message = str(notes[0].message)
    assert message.startswith(f"{path}: its front matter cannot be read (")
    assert reason in message


def test_expanding_references_are_refused_at_once():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for one, before in zip("bcdefghij", "abcdefghi", strict=True):
        lines.append(f"{one}: &{one} [" + ",".join([f"*{before}"] * 9) + "]")
    assert "repeats a part" in read("\n".join(["---", *lines, "---", "x"])).note


def test_front_matter_that_does_not_end_is_text_with_a_note_and_a_rule_is_a_rule():
    assert "it does not end" in read("---\ntitle: x\n\ntext").note
    for text in ("---\n\nA rule above.\n", "----\nx: 1\n----\n", "text\n---\nx: 1\n---\n"):
        content = read(text)
        assert (content.text, content.note, content.metadata) == (text, "", {})


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("intro\n\n## Two ##\n# One", "Two"),
        ("#hashtag\n#\n# Real", "Real"),
        ("```sh\n# comment\n```\n# After", "After"),
        ("~~~~\n```\n# no\n~~~\n~~~~\n# After", "After"),
        ("Set text\n========\n", "Set text"),
        ("A paragraph\nof lines.\n---\nmore", ""),
        ("- item\n---\n# Real", "Real"),
        (
            "# **Bold** [link](http://x) `c++` [[Page|Shown]] snake_case",
            "Bold link c++ Shown snake_case",
        ),
        ("no heading", ""),
        ("", ""),
    ],
)
def test_the_first_heading_is_the_title(text, title):
    assert first_heading(text) == title
    assert (read(text).text, read(text).title) == (text, title)


NAMES = st.text(max_size=5).map("m-".__add__)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_any_metadata_written_as_yaml_is_read_back(metadata):
    # Quoted, as PyYAML writes texts plain that are dates of YAML 1.2.
    body = yaml.safe_dump(metadata, default_style='"')
    content = read(f"---\n{body}---\ntext")
    assert (content.note, content.metadata, content.text) == ("", metadata, "text")


@given(st.text(alphabet=st.sampled_from("-+:#=[]{}&*!|>'\"%@`, \n\tab01.~")))
def test_any_front_matter_gives_a_document(body):
    for fence in ("---", "+++"):
        content = read(f"{fence}\n{body}\n{fence}\nend")
        Document("x", content.text, content.title, content.metadata)
        assert content.text.endswith("end")
