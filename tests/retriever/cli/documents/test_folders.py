"""A folder of notes from the installed command, as a user has one: added, filtered, searched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import fail, invoke, objects, succeed
from tests.support.models.pictures import picture
from tests.support.sources.documents import docx, pdf

SUBJECTS = ("tax", "garden", "travel", "recipes")
STATES = ("open", "done")


def retriever(*arguments):
    """Run the installed command; return its standard output and its notes."""
    command = [Path(sys.executable).parent / "retriever", *arguments]
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[4]), os.getenv("PYTHONPATH")]))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()


@pytest.fixture
def notes():
    """A hundred notes with front matter, as Obsidian keeps them, and what lies around them."""
    folder = Path("notes")
    for number in range(100):
        subject = SUBJECTS[number % 4]
        path = folder / subject / f"{number:03}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            "---",
            f"title: Note {number} on {subject}" if number % 3 else "# no title",
            f"tags: [{subject}, {STATES[number % 2]}]",
            f"created: 2024-{number % 12 + 1}-{number % 28 + 1}",
            f"priority: {number % 5}",
            "aliases:",
            "---",
            "",
            f"# Heading {number}",
            "",
            f"What I know about {subject}, in {number} words.",
        ]
        path.write_text("\n".join(lines))
    (folder / ".obsidian").mkdir()
    (folder / ".obsidian" / "app.json").write_text("{}")
    (folder / ".trash").mkdir()
    (folder / "Inbox.md").write_text("")
    (folder / "Later.md").write_text("\n\n")
    (folder / "Template.md").write_text("---\ntitle: {{title}}\n---\nA template.")
    (folder / "script.py").write_text("print()")
    (folder / "other.py").write_text("print()")
    (folder / "budget.csv").write_text("id,text\n1,one\n")
    (folder / "README").write_text("How I keep my notes.")
    (folder / "page.html").write_text("<title>Saved page</title><p>Compost needs air.</p>")
    (folder / "paper.pdf").write_bytes(pdf("Mulch keeps the soil moist.", title="On mulch"))
    (folder / "letter.docx").write_bytes(docx("Dear neighbor, about the hedge."))
    (folder / "photo.png").write_bytes(picture())
    return folder


def test_a_folder_of_notes_is_added_filtered_and_searched(notes):
    out, said = retriever("add", "library", "notes")
    assert out == ("106 new, 0 changed, 0 unchanged, 6 skipped; library/ has 106 documents\n")
    assert said == [
        "note: notes/Template.md: its front matter cannot be read (line 2: found unhashable "
        "key) and is a part of the text",
        "note: skipped notes/Inbox.md: empty (0 bytes)",
        "note: skipped notes/Later.md: no text",
        "note: skipped notes/budget.csv: a table (.csv), whose rows are documents; add it by its "
        "own name",
        "note: skipped 2 files, notes/other.py, notes/script.py: unknown extension .py; to read "
        "such files as text, give format text",
        "note: skipped notes: 2 hidden files and folders",
    ]
    out = succeed("show", "library", "--json", "garden/001.md", "travel/006.md", "paper.pdf")
    first, second, third = objects(out)
    assert first["title"] == "Note 1 on garden"
    assert first["metadata"] == {"tags": ["garden", "done"], "created": "2024-02-02", "priority": 1}
    assert first["text"].startswith("# Heading 1\n\nWhat I know")
    assert second["title"] == "Heading 6"
    assert (third["title"], third["text"]) == ("On mulch", "Mulch keeps the soil moist.")
    succeed("build", "library", "words", "--lexical")
    where = "tags = garden and tags = done and created >= '2024-06-01' and priority < 3"
    out, said = retriever("search", "library", "garden", "-k", "50", "--json", "--where", where)
    found = [hit["doc_id"] for hit in objects(out)]
    expected = [
        f"garden/{number:03}.md"
        for number in range(1, 100, 4)
        if number % 12 + 1 >= 6 and number % 5 < 3
    ]
    assert sorted(found) == expected
    for query, doc_id in {
        "compost": "page.html",
        "mulch": "paper.pdf",
        "hedge": "letter.docx",
    }.items():
        out = succeed("search", "library", query, "--json")
        assert objects(out)[0]["doc_id"] == doc_id


def test_an_edited_note_is_one_changed_document_and_an_emptied_one_is_skipped(notes):
    succeed("add", "library", "notes")
    note = notes / "tax" / "000.md"
    note.write_text(note.read_text().replace("priority: 0", "priority: 9"))
    (notes / "garden" / "001.md").write_text("")
    assert succeed("add", "library", "notes").startswith("0 new, 1 changed, 104 unchanged, 7 skip")
    assert (
        objects(succeed("show", "library", "tax/000.md", "--json"))[0]["metadata"]["priority"] == 9
    )


def test_a_folder_without_a_document_says_what_was_skipped():
    Path("code").mkdir()
    Path("code/a.py").write_text("print()")
    Path("code/b.txt").write_text("")
    assert fail("add", "library", "code").splitlines() == [
        "code has no document; skipped:",
        "  code/a.py: unknown extension .py; to read such files as text, give format text",
        "  code/b.txt: empty (0 bytes)",
    ]
    assert succeed("add", "library", "code", "--format", "text").startswith("1 new")


def test_skipped_files_of_one_reason_are_one_note_and_bad_ones_are_named():
    Path("notes").mkdir()
    for number in range(1_200):
        Path(f"notes/{number:04}.py").write_text("x")
    Path("notes/a.txt").write_text("x")
    Path("notes/b.txt").write_bytes(b"caf\xe9")
    assert fail("add", "library", "notes").splitlines() == [
        "1 bad record; nothing was kept:",
        "  notes/b.txt: invalid UTF-8 at byte 4. Save it as UTF-8",
        "Fix them, or skip bad records (--skip-bad, skip_bad=True).",
    ]
    done = invoke("add", "library", "notes", "--skip-bad", "--json")
    assert objects(done.stdout)[0]["skipped"] == 1_201
    assert done.stderr.splitlines() == [
        "note: skipped notes/b.txt: invalid UTF-8 at byte 4. Save it as UTF-8",
        "note: skipped 1,000 files, notes/0000.py, notes/0001.py, notes/0002.py and 997 more: "
        "unknown extension .py; to read such files as text, give format text",
        "note: skipped 200 more",
    ]
