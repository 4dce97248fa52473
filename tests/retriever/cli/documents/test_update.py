"""`update`, `add --sync`, `build --all` and `watch`: what they print, and how they exit."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from indexes.document import Document
from retriever import Collection
from retriever.cli.update import _filter
from tests.retriever.cli.conftest import CORPUS
from tests.support.commands import fail, invoke, misuse, objects, succeed
from tests.support.fresh import lock_holder
from tests.support.toy import Axes

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d "
# Seconds in which even a busy machine gets a step done.
GENEROUS = 300


@pytest.fixture
def notes(library):
    """A folder of two notes, which the collection `library` has."""
    Path("notes").mkdir()
    for name in ("owl", "elk"):
        Path(f"notes/{name}.md").write_text(f"an {name}")
    succeed("add", library, "notes")
    succeed("build", library, "bm25", "--lexical")
    return Path("notes")


def test_update_prints_one_line_and_logs_each_step_with_the_time(library, notes):
    (notes / "elk.md").unlink()
    (notes / "owl.md").write_text("an old owl")
    result = invoke("update", library, "notes")
    assert result.exit_code == 0
    assert result.stdout == (
        "0 new, 1 changed, 1 removed, 0 unchanged, 0 skipped; 2 of 2 indexes up to date; "
        "library/ has 4 documents\n"
    )
    logged = result.stderr.splitlines()
    assert all(re.match(TIME, line) for line in logged)
    assert [re.sub(TIME, "", line).split(" in ")[0] for line in logged] == [
        "0 new, 1 changed, 1 removed, 0 unchanged, 0 skipped",
        "floor: 1 embedded",
        "bm25: 0 embedded",
    ]
    assert '"elk.md"' not in succeed("search", library, "elk", "-i", "bm25", "--json")


def test_update_prints_a_summary_as_json_and_the_same_line_again_changes_nothing(library, notes):
    (notes / "fox.md").write_text("a fox")
    (first,) = objects(succeed("update", library, "notes", "--json"))
    (again,) = objects(succeed("update", library, "notes", "--json"))
    names = ("ok", "new", "changed", "unchanged", "removed", "skipped", "documents", "failures")
    assert [first[name] for name in names] == [True, 1, 0, 2, 0, 0, 6, []]
    assert [again[name] for name in names] == [True, 0, 0, 3, 0, 0, 6, []]
    assert [one["name"] for one in again["indexes"]] == ["floor", "bm25"]
    assert [one["embedded"] for one in again["indexes"]] == [0, 0]


def test_update_exits_with_3_if_single_documents_failed_and_all_else_was_done(library, notes):
    Path("more.jsonl").write_text('{"id": "a", "text": "a new one"}\n{"id": "b"}\n')
    result = invoke("update", library, "notes", "more.jsonl", "--json")
    (report,) = objects(result.stdout)
    assert (result.exit_code, report["ok"], report["new"], report["skipped"]) == (3, False, 1, 1)
    assert report["bad"] == ["more.jsonl:2: no 'text'"]
    assert "skipped more.jsonl:2: no 'text'\n" in result.stderr


def test_update_exits_with_1_if_an_index_could_not_be_built_and_builds_the_others(library, notes):
    with Collection.open(library) as collection:
        collection.build("own", Axes())
    (notes / "fox.md").write_text("a fox")
    for command in (("update", library, "notes"), ("build", library, "--all")):
        result = invoke(*command, "--json")
        (report,) = objects(result.stdout)
        assert (result.exit_code, report["ok"]) == (1, False)
        assert [one["name"] for one in report["indexes"]] == ["floor", "bm25"]
        assert [one["name"] for one in report["failures"]] == ["own"]
        assert "own: Index 'own' was made by an embedder of your own" in result.stderr


def test_update_refuses_a_source_that_is_empty_or_missing_unless_that_is_allowed(library, notes):
    for path in notes.iterdir():
        path.unlink()
    result = invoke("update", library, "notes")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(
        TIME + r"Error: notes has no documents now, and had 2 before: nothing was removed. "
        r"Look at it; if it is right, allow it \(--allow-empty\).\n",
        result.stderr,
    )
    notes.rmdir()
    assert "No file or folder 'notes'" in invoke("update", library, "notes").stderr
    done = succeed("update", library, "notes", "--allow-empty")
    assert done.startswith("0 new, 0 changed, 2 removed, 0 unchanged, 0 skipped; 2 of 2 indexes")


def test_update_knows_standard_input_by_a_name(library):
    for record, expected in ((1, "1 new, 0 changed, 0"), (2, "1 new, 0 changed, 1")):
        line = json.dumps({"id": f"n{record}", "text": "one"})
        done = succeed("update", library, "-", "--source", "crm", stdin=line)
        assert done.startswith(f"{expected} removed")
    assert "--source NAME" in invoke("update", library, "-", stdin=line).stderr


def test_update_waits_for_the_lock(library, notes):
    with lock_holder(Path(library)) as holder:
        for wait in ("0", "0.01"):
            result = invoke("update", library, "notes", "--wait", wait)
            assert (result.exit_code, "is being written to by" in result.stderr) == (1, True)
        holder.stdin.close()
        succeed("update", library, "notes", "--wait", str(GENEROUS))


def test_without_a_terminal_notes_have_the_time_too(library, notes, monkeypatch):
    Path("products.csv").write_text("sku,name,description\np1,Mug,A blue mug\n")
    said = invoke("update", library, "products.csv").stderr
    assert re.match(TIME + "note: products.csv: read sku as the id", said)
    monkeypatch.setenv("RETRIEVER_LIBRARY", library)
    first, second = invoke("update", "gone.csv").stderr.splitlines()
    taken = "note: LIBRARY was left out, so it is library/, the default of RETRIEVER_LIBRARY"
    assert re.fullmatch(TIME + taken, first)
    assert re.match(TIME + "Error: No file or folder 'gone.csv'", second)


def test_update_needs_a_collection():
    assert "Add documents to make one" in invoke("update", "nothing", "corpus.jsonl").stderr


def test_add_with_sync_removes_what_is_gone_and_builds_nothing(library, notes):
    Path("corpus.jsonl").write_text(CORPUS.splitlines()[0])
    assert succeed("add", library, "corpus.jsonl", "--sync") == (
        "0 new, 0 changed, 1 unchanged, 2 removed, 0 skipped; library/ has 3 documents\n"
    )
    with Collection.open(library) as collection:
        assert collection.index_info("floor").missing == 2  # the notes
    Path("corpus.jsonl").write_text("")
    assert "allow it (--allow-empty)" in fail("add", library, "corpus.jsonl", "--sync")
    assert "1 removed" in succeed("add", library, "corpus.jsonl", "--sync", "--allow-empty")


def test_build_all_brings_every_index_up_to_date(library, notes):
    succeed("build", library, "both", "--fuse", "floor", "--fuse", "bm25")
    assert succeed("build", library, "--all") == "2 of 2 indexes up to date\n"
    with Collection.open(library) as collection:
        assert [collection.index_info(name).missing for name in ("floor", "bm25")] == [0, 0]
    assert "omit NAME" in misuse("build", library, "floor", "--all")
    assert "omit NAME" in misuse("build", library, "--all", "--lexical")


def test_changes_of_the_collection_and_of_hidden_files_do_not_concern_a_watch(tmp_path):
    concerns = _filter(tmp_path / "notes" / "library", [tmp_path / "notes"])
    names = ("a.md", "sub/b.md", ".git/index", "sub/.c.md.swp", "library/catalog.db-wal")
    found = [concerns(1, str(tmp_path / "notes" / name)) for name in names]
    assert found == [True, True, False, False, False]


def test_changes_of_other_files_in_its_folder_do_not_concern_the_watch_of_a_file(tmp_path):
    (tmp_path / "shop.db").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "shop.db")
    concerns = _filter(tmp_path / "library", [tmp_path / "shop.db", tmp_path / "link.csv"])
    names = ("shop.db", "shop.db-wal", "link.csv", "shop.db2", "other.csv", "library/catalog.db")
    found = [concerns(1, str(tmp_path / name)) for name in names]
    assert found == [True, True, True, False, False, False]


@contextmanager
def watching(*arguments):
    """A running `retriever watch`, which is ended if it takes too long."""
    pytest.importorskip("watchfiles")
    command = [sys.executable, "-m", "retriever", "watch", *arguments, "--quiet", "0.05"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        limit = threading.Timer(GENEROUS, child.kill)
        limit.start()
        try:
            yield child
        finally:
            limit.cancel()
            child.kill()


def test_a_watch_reads_tables_by_their_columns_and_sees_that_one_is_replaced(library):
    Path("products.csv").write_text("sku,about\np1,a mug\np2,a lamp\n")
    named = ("--id", "sku", "--text", "about")
    with watching(library, "products.csv", *named) as child:
        assert "2 new" in next(line for line in child.stderr if "library/ has" in line)
        Path("other.csv").write_text("sku,about\np1,a blue mug\n")
        Path("other.csv").rename("products.csv")
        assert "1 changed, 1 removed" in next(x for x in child.stderr if "library/ has" in x)


def test_a_watch_updates_at_the_start_and_after_each_change_until_it_is_stopped(library, notes):
    (notes / "elk.md").unlink()
    with watching(library, "notes") as child:
        assert "1 removed" in next(line for line in child.stderr if "library/ has" in line)
        (notes / "fox.md").write_text("a fox")
        assert "1 new" in next(line for line in child.stderr if "library/ has" in line)
        for path in notes.iterdir():
            path.unlink()
        assert "nothing was removed" in next(line for line in child.stderr if "Error" in line)
        Path("cow").write_text("a cow")
        Path("cow").rename(notes / "cow.md")
        assert "1 new" in next(line for line in child.stderr if "library/ has" in line)
        child.send_signal(signal.SIGTERM)
        said = child.stderr.read()
        assert child.wait() == 0
    assert said.endswith("stopped\n")
    with Collection.open(library) as collection:
        assert collection.verify().ok
        assert collection.document("cow.md") == Document("cow.md", "a cow")
        assert collection.unknown_ids(["fox.md", "owl.md"]) == ["fox.md", "owl.md"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_watch_goes_on_after_a_name_that_is_not_utf8(library, notes):
    with watching(library, "notes") as child:
        assert "library/ has" in next(line for line in child.stderr if "library/ has" in line)
        Path(os.fsdecode(bytes(notes) + b"/bad\xff.md")).write_text("a bad name")
        assert "watching starts again" in next(x for x in child.stderr if "again" in x)
        assert "library/ has" in next(line for line in child.stderr if "library/ has" in line)
        (notes / "fox.md").write_text("a fox")
        assert "1 new" in next(line for line in child.stderr if "library/ has" in line)


@pytest.mark.model
def test_a_nightly_update_of_a_hundred_documents_embeds_what_has_changed():
    def write(texts):
        rows = (json.dumps({"id": n, "text": text}) for n, text in texts.items())
        Path("tickets.jsonl").write_text("\n".join(rows))

    animals = ("cat", "dog", "horse", "owl", "fish")
    texts = {n: f"The {animals[n % 5]} waits at the gate of farm {n}." for n in range(100)}
    write(texts)
    succeed("add", "library", "tickets.jsonl")
    succeed("build", "library", "bm25", "--lexical")
    succeed("build", "library", "glove", "--embedder", "static:glove-6b-50d")
    succeed("build", "library", "graph", "--vectors", "glove", "--ann", "HNSW8")
    del texts[7]
    texts |= {3: "A submarine sinks.", 100: "The volcano erupts."}
    write(texts)
    (report,) = objects(succeed("update", "library", "tickets.jsonl", "--json"))
    counts = [report[name] for name in ("ok", "new", "changed", "removed", "unchanged")]
    assert counts == [True, 1, 1, 1, 98]
    assert [one["embedded"] for one in report["indexes"]] == [0, 2, 0]
    for index in ("bm25", "glove", "graph"):
        for query, doc_id in (("submarine", "3"), ("volcano", "100")):
            (hit,) = objects(succeed("search", "library", query, "-i", index, "-k", "1", "--json"))
            assert hit["doc_id"] == doc_id
