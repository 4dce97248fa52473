"""Tests of `add`, `show` and `delete`."""

import gzip
import json
from pathlib import Path

from retriever import Collection
from tests.support.commands import fail, invoke, misuse, objects
from tests.support.commands import succeed_silently as succeed
from tests.support.models.pictures import picture

ADDED = "3 new, 0 changed, 0 unchanged, 0 skipped; library/ has 3 documents\n"
BAD = '{"_id": "x"}\nnot json\n{"_id": "cat", "text": "again"}\n'


def test_add_prints_what_it_did(corpus):
    assert succeed("add", "library", "corpus.jsonl") == ADDED
    Path("corpus.jsonl").write_text(corpus.replace("soft", "loud"))
    assert succeed("add", "library", "corpus.jsonl") == (
        "0 new, 1 changed, 2 unchanged, 0 skipped; library/ has 3 documents\n"
    )
    assert objects(succeed("add", "library", "corpus.jsonl", "--json")) == [
        {"new": 0, "changed": 0, "unchanged": 3, "removed": 0, "skipped": 0, "documents": 3}
    ]


def test_add_takes_several_sources_of_every_kind():
    Path("notes").mkdir()
    Path("notes/a.md").write_text("a note")
    Path("table.csv").write_text("id,text\n1,one\n")
    Path("more.jsonl.gz").write_bytes(gzip.compress(b'{"id": 2, "text": "two"}\n'))
    assert succeed("add", "library", "corpus.jsonl", "notes", "table.csv", "more.jsonl.gz") == (
        "6 new, 0 changed, 0 unchanged, 0 skipped; library/ has 6 documents\n"
    )
    with Collection.open("library") as collection:
        ids = [document.doc_id for document in collection.documents()]
    assert ids == ["cat", "car", "tax", "a.md", "1", "2"]


def test_add_reads_standard_input(corpus):
    assert succeed("add", "library", "-", stdin=corpus) == ADDED
    assert succeed("add", "library", "-", stdin=gzip.compress(corpus.encode())).startswith("0 new")
    tsv = "id\ttext\nx\tan x\n"
    assert succeed("add", "library", "-", "--format", "tsv", stdin=tsv).startswith("1 new")


def test_add_takes_a_format_for_a_file_of_any_name(corpus):
    Path("corpus.dump").write_text(corpus)
    message = fail("add", "library", "corpus.dump")
    assert message.startswith("corpus.dump has the unknown extension '.dump'.")
    assert message.endswith(
        "pass the format with --format (jsonl, json, csv, tsv, parquet, xlsx, sqlite, text, "
        "markdown, html, pdf, docx, image)."
    )
    assert "3 new" in succeed("add", "library", "corpus.dump", "--format", "jsonl")
    assert "1 new" in succeed("add", "library", "corpus.dump", "--format", "text")


def test_bad_records_are_listed_with_file_and_line_and_nothing_is_kept(corpus):
    succeed("add", "library", "-", stdin='{"id": "old", "text": "old"}')
    Path("bad.jsonl").write_text(corpus + BAD)
    assert fail("add", "library", "bad.jsonl").splitlines() == [
        "3 bad records; nothing was kept:",
        "  bad.jsonl:4: no 'text'",
        "  bad.jsonl:5: not JSON: Expecting value at column 1",
        "  bad.jsonl:6: id 'cat' came before, at bad.jsonl:1",
        "Fix them, or skip bad records (--skip-bad, skip_bad=True).",
    ]
    with Collection.open("library") as collection:
        assert [document.doc_id for document in collection.documents()] == ["old"]


def test_skip_bad_keeps_the_good_and_lists_the_rest(corpus):
    Path("bad.jsonl").write_text(corpus + BAD + "no\n" * 10)
    result = invoke("add", "library", "bad.jsonl", "--skip-bad", "--json")
    assert result.exit_code == 0
    assert objects(result.stdout)[0]["skipped"] == 13
    notes = result.stderr.splitlines()
    assert notes[0] == "note: skipped bad.jsonl:4: no 'text'"
    assert (len(notes), notes[-1]) == (11, "note: skipped 3 more")


def test_nothing_is_kept_of_a_call_with_one_bad_source():
    Path("bad.jsonl").write_text("{}\n")
    assert "bad.jsonl:1: no id" in fail("add", "library", "corpus.jsonl", "bad.jsonl")
    Path("more.jsonl").write_text('{"_id": "cat", "text": "another cat"}\n')
    message = fail("add", "library", "corpus.jsonl", "more.jsonl")
    assert "more.jsonl:1: id 'cat' came before, at corpus.jsonl:1" in message
    with Collection.open("library") as collection:
        assert len(collection) == 0


def test_a_source_that_does_not_exist_leaves_no_collection_behind():
    assert fail("add", "library", "corpus.jsonl", "corpus.jsnl") == (
        "No file or folder 'corpus.jsnl'. Pass an existing path, or '-' for standard input."
    )
    assert not Path("library").exists()


def test_what_cannot_be_added_is_refused():
    assert fail("add", "corpus.jsonl", "corpus.jsonl").startswith(
        "corpus.jsonl is a file; expected the folder of a collection. On the command line, it"
    )
    Path("broken.jsonl.gz").write_bytes(b"not gzip")
    assert fail("add", "library", "broken.jsonl.gz").startswith("broken.jsonl.gz ends in .gz, but")
    Path("thesis").mkdir()
    Path("thesis/chapter.txt").write_text("precious")
    message = fail("add", "thesis", "corpus.jsonl")
    assert "thesis/ is not a collection: it has no catalog.db" in message
    assert misuse("add", "library").startswith("Give SOURCES to add; only --index-field")
    assert "'xml' is not one of 'jsonl', 'json', 'csv'" in misuse(
        "add", "lib", "a.xml", "--format", "xml"
    )


def test_show_prints_documents(library):
    assert succeed("show", library, "car") == (
        "car  Engines\nyear: 1999\n\nThe engine idles with a soft rumble.\n\n"
    )
    tax, car = objects(succeed("show", library, "tax", "car", "--json"))
    text = "The filing deadline is the end of April."
    assert tax == {"doc_id": "tax", "title": "", "text": text, "metadata": {"year": 2024}}
    text = "The engine idles with a soft rumble."
    assert car == {"doc_id": "car", "title": "Engines", "text": text, "metadata": {"year": 1999}}
    assert fail("show", library, "dog").startswith("No document 'dog' in library/. It has: car,")


def test_a_shown_document_cannot_steer_the_terminal_and_keeps_its_lines(library):
    evil = {
        "id": "evil",
        "title": "a\x1b[31m\ntitle",
        "text": "one\x1b]0;title\x07\r\n\n\ttwo\x9b2J\rthree",
        "na\x1bme": "va\x7flue\nid: cat",
    }
    succeed("add", library, "-", stdin=json.dumps(evil))
    assert succeed("show", library, "evil") == (
        "evil  a [31m title\nna me: va lue id: cat\n\none ]0;title \n\n\ttwo 2J three\n\n"
    )


def test_delete_removes_all_or_none(library):
    assert fail("delete", library, "cat", "dog").startswith("No document 'dog' in library/.")
    assert succeed("delete", library, "cat") == "deleted 1 document; library/ has 2\n"
    assert succeed("delete", library, "car", "tax") == "deleted 2 documents; library/ has 0\n"


def test_ids_to_delete_come_from_a_file_or_from_standard_input(library):
    Path("ids.txt").write_text("cat\n\ntax\n")
    printed = succeed("delete", library, "--ids", "ids.txt")
    assert printed == "deleted 2 documents; library/ has 1\n"
    printed = succeed("delete", library, "--ids", "-", stdin="car\n")
    assert printed == "deleted 1 document; library/ has 0\n"
    assert fail("delete", library, "--ids", "ids.txt").startswith("No documents 'cat', 'tax' in")
    assert fail("delete", library, "--ids", "none.txt").startswith("No file or folder 'none.txt'")


def test_documents_that_match_a_filter_are_deleted(library):
    result = invoke("delete", library, "--where", "year < 1900")
    assert result.stdout == "deleted 0 documents; library/ has 3\n"
    assert result.stderr == "note: No document matches the filter.\n"
    printed = succeed("delete", library, "--where", "source = web or year >= 2024")
    assert printed == "deleted 2 documents; library/ has 1\n"
    assert succeed("show", library, "car").startswith("car  Engines\n")


def test_delete_takes_exactly_one_selection(library):
    one = "Give one of these: DOC_IDS, --ids FILE, --where FILTER."
    assert misuse("delete", library) == one
    assert misuse("delete", library, "cat", "--where", "year = 1999") == one
    assert misuse("delete", library, "cat", "--ids", "ids.txt") == one
    assert misuse("delete", library, "--ids", "ids.txt", "--where", "year = 1999") == one
    assert fail("delete", library, "--where", "year") == (
        "The filter 'year': expected =, !=, <, <=, >, >=, 'in' or 'exists' after 'year' at "
        "character 5, found the end. Example: year >= 2020 and source in (faq, 'press release')"
    )
    assert succeed("verify", library) == "library/: intact; 3 documents, 3 vectors, 1 file\n"


def test_a_collection_is_made_with_a_split_and_fields():
    added = ("add", "library", "corpus.jsonl", "--split", "4/1", "--index-field", "year")
    result = invoke(*added, "--index-field", '"a.b".c', "--index-field", "a.b")
    notes = [f"note: No document has a field '{name}'.\n" for name in ('"a.b".c', "a.b")]
    assert (result.stdout, result.stderr) == (ADDED, "".join(notes))
    assert objects(succeed(*added, "--json"))[0]["unchanged"] == 3
    built = succeed("build", "library", "floor", "--embedder", "hashing")
    assert built.startswith("floor: 7 passages embedded in ")
    info = succeed("info", "library").splitlines()
    assert info[0].startswith("library/: 3 documents, catalog ")
    assert info[1:3] == [
        "7 passages: 4 words, overlapping by 1",
        'indexed fields: year, "a.b".c, a.b',
    ]
    (facts,) = objects(succeed("info", "library", "--json"))
    assert (facts["passages"], facts["split"]) == (7, "4 words, overlapping by 1")
    assert facts["fields"] == ["year", '"a.b".c', "a.b"]
    (hit,) = objects(succeed("search", "library", "soft rumble", "-k", "1", "--json"))
    assert (hit["doc_id"], hit["text"], hit["passage"]) == ("car", "with a soft rumble.", [17, 36])


def test_an_invalid_or_different_split_is_refused():
    assert fail("add", "library", "corpus.jsonl", "--split", "five") == (
        "Cannot split by 'five'; expected SIZE or SIZE/OVERLAP in words, the size from 1 to "
        "999,999,999 and the overlap below it. Write 200, 200/50, words:200/50 or sentences:200/50."
    )
    assert not Path("library").exists()
    succeed("add", "library", "corpus.jsonl")
    assert fail("add", "library", "corpus.jsonl", "--split", "sentences:5") == (
        "library/ splits none, and not into whole sentences up to 5 words: this is set when a "
        "collection is created. Leave split out, or create another collection."
    )


def test_images_of_a_table_are_added_searched_and_shown(tmp_path):
    library, table = str(tmp_path / "c"), tmp_path / "t.csv"
    (tmp_path / "red.png").write_bytes(picture())
    table.write_text("id,text,file\na,red wine,red.png\nb,,red.png\nc,blue,\nd,x,gone.png\n")
    message = fail("add", library, str(table), "--image", "file")
    assert "t.csv:5: gone.png: the image cannot be read (no such file or directory)." in message
    result = invoke("add", library, str(table), "--image", "file", "--skip-bad")
    assert result.stdout.startswith("3 new, 0 changed, 0 unchanged, 1 skipped")
    built = invoke("build", library, "floor", "--embedder", "hashing")
    assert "4 passages" in built.stdout
    assert built.stderr.splitlines()[-1].endswith(
        "'floor' is of texts: it has nothing of 1 document that has an image and no text."
    )
    found = objects(succeed("search", library, "red", "--json"))
    assert [(hit["doc_id"], hit.get("image")) for hit in found][:1] == [
        ("a", f"{tmp_path}/red.png")
    ]
    assert "image" not in next(hit for hit in found if hit["doc_id"] == "c")
    assert succeed("show", library, "b") == f"b\nimage: {tmp_path}/red.png\n\n"
    lines = succeed("info", library).splitlines()
    assert lines[1] == "images: 2"
    assert objects(succeed("show", library, "b", "c", "--json"))[0]["image"].endswith("red.png")
    again = ("add", library, str(table), "--image", "file", "--skip-bad")
    assert invoke(*again).stdout.startswith("0 new, 0 changed, 3 unchanged, 1 skipped")
    assert invoke(*again, "--copy-images").stdout.startswith("0 new, 2 changed, 1 unchanged")
    assert succeed("info", library).splitlines()[1] == f"images: 2 ({len(picture())} B copied)"
    (info,) = objects(succeed("info", library, "--json"))
    assert (info["images"], info["images_size"]) == (2, len(picture()))
    (tmp_path / "red.png").unlink()
    succeed("verify", library)
    copied = objects(succeed("show", library, "b", "--json"))[0]["image"]
    assert Path(copied).read_bytes() == picture()
