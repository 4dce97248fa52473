"""A collection that the first layout wrote: it opens, is brought up to date once, and goes on."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from indexes.catalog import migrations
from indexes.errors import CollectionError, LockedError
from retriever import Collection, Document

ZIP = Path(__file__).parents[2] / "data" / "first_layout.zip"
# `car` was edited before it was built again, `gone` deleted; "later" is not embedded.
ANSWERS = {
    "a kitten purrs": [
        ("cat", 0.7698),
        ("river", 0.0),
        ("car", 0.0),
        ("tax", -0.204124),
        ("new", -0.218218),
    ],
    "the motor": [
        ("car", 0.707107),
        ("tax", 0.5),
        ("river", 0.471405),
        ("cat", 0.0),
        ("new", 0.0),
    ],
    "soft soil": [
        ("new", 0.534522),
        ("tax", 0.25),
        ("cat", 0.235702),
        ("river", 0.0),
        ("car", 0.0),
    ],
}
STEPS = "SELECT name FROM _sqlite_migrations ORDER BY name"


@pytest.fixture
def folder(tmp_path):
    """The collection as the first layout left it."""
    with zipfile.ZipFile(ZIP) as packed:
        packed.extractall(tmp_path)
    return tmp_path / "first-layout"


def ask(folder, sql):
    db = sqlite3.connect(folder / "catalog.db")
    try:
        return [row[0] for row in db.execute(sql)]
    finally:
        db.close()


def rounded(hits):
    return [(hit.doc_id, round(hit.score, 6) + 0.0) for hit in hits]


def test_it_opens_is_whole_and_is_brought_up_to_date_once(folder):
    assert ask(folder, STEPS) == [migrations.FIRST]
    with Collection.open(folder) as collection:
        assert len(collection) == 7
        checked = collection.verify()
        assert (checked.problems, checked.documents, checked.files) == ((), 7, 3)
    assert ask(folder, STEPS) == sorted(migrations.NAMES)
    generation = ask(folder, "SELECT generation FROM state")
    with Collection.open(folder) as collection:
        assert (collection.split, collection.info().fields) == (None, ())
    assert ask(folder, "SELECT generation FROM state") == generation
    assert not (folder / "writer.json").exists()


def test_its_documents_are_as_they_were(folder):
    with Collection.open(folder) as collection:
        assert list(collection.documents()) == [
            Document("cat", "A kitten purrs when it is content."),
            Document("car", "The motor hums."),
            Document(
                "tax",
                "The filing deadline is the end of April.",
                metadata={"source": "faq", "year": 2024},
            ),
            Document("river", "We sat on the grassy bank.", title="Along the river"),
            Document("empty", ""),
            Document("new", "Otters dig their dens into soft soil."),
            Document("later", "Not embedded yet when this was written."),
        ]
        assert collection.unknown_ids(["cat", "gone"]) == ["gone"]


@pytest.mark.parametrize("index", ["floor", "graph"])
@pytest.mark.parametrize("query", ANSWERS)
def test_its_indexes_answer_as_before(folder, index, query):
    with Collection.open(folder) as collection:
        hits = collection.search(query, index=index)
        assert rounded(hits) == ANSWERS[query]
        assert hits.notes == (
            f"1 document in {folder}/ is not in index '{index}' yet. "
            f"Run: retriever build {folder} {index}",
        )


def test_what_is_new_works_on_it(folder):
    with Collection.open(folder) as collection:
        where = {"year": {">=": 2020}, "source": "faq"}
        assert rounded(collection.search("the motor", index="graph", where=where)) == [("tax", 0.5)]
        collection.index_fields("year")
        assert rounded(collection.search("the motor", index="floor", where=where)) == [("tax", 0.5)]
        collection.build("bm25", lexical=True)
        hits = collection.search("motors and kittens", index="bm25")
        assert ({hit.doc_id for hit in hits}, hits.notes) == ({"car", "cat"}, ())
        assert collection.index_info("floor").building_memory is None
        assert collection.verify().ok


def test_work_goes_on_with_it(folder):
    with Collection.open(folder) as collection:
        cat = Document("cat", "A kitten purrs when it is content.")
        car = Document("car", "The car stands still.")
        added = collection.add([cat, car, Document("dog", "A puppy barks.")])
        assert (added.new, added.changed, added.unchanged) == (1, 1, 1)
        assert collection.verify().ok
        # `later`, `car` and `dog`; neither number nor key is used again.
        assert collection.build("floor").embedded == 3
        assert collection.build("graph").embedded == 0
        assert collection.verify().ok
        for index in ("floor", "graph"):
            hits = collection.search("A puppy barks.", index=index)
            assert (hits[0].doc_id, round(hits[0].score, 6), hits.notes) == ("dog", 1.0, ())
            assert len(hits) == 7
        assert collection.delete(["river"]) == 1
        assert collection.verify().ok
        before = [collection.search("the motor", index=name) for name in ("floor", "graph")]
        # `gone`, `river` and two old texts of `car`.
        assert collection.compact().rows == 4
        assert [collection.search("the motor", index=n) for n in ("floor", "graph")] == before
        assert "river" not in [hit.doc_id for hit in before[0]]
        assert collection.verify().ok
    keys = ask(folder, "SELECT key FROM passages ORDER BY key")
    assert keys == sorted(set(keys))
    assert min(keys[-2:]) > 8


@pytest.mark.parametrize("seal", ["document_seal", "passage_seal"])
def test_a_crash_on_the_way_leaves_the_first_layout_which_opens_at_the_next_try(
    folder, monkeypatch, seal
):
    true, calls = getattr(migrations, seal), []

    def breaks(*row):
        calls.append(row)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return true(*row)

    with monkeypatch.context() as broken:
        broken.setattr(migrations, seal, breaks)
        with pytest.raises(KeyboardInterrupt):
            Collection.open(folder)
    assert ask(folder, STEPS) == [migrations.FIRST]
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    assert not {"state", "texts", "documents_2"} & set(ask(folder, tables))
    assert ask(folder, "SELECT COUNT(text) FROM documents") == [7]
    with Collection.open(folder) as collection:
        assert collection.verify().ok
        assert rounded(collection.search("the motor", index="floor")) == ANSWERS["the motor"]


def test_who_is_writing_to_it_is_said(folder):
    code = (
        "import sys, pathlib\n"
        "from indexes.storage.files import writer_lock\n"
        "with writer_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=f"by process {holder.pid} on .* since 20"):
            Collection.open(folder)
        holder.kill()
    assert ask(folder, STEPS) == [migrations.FIRST]
    with Collection.open(folder) as collection:
        assert collection.verify().ok


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_where_it_may_not_be_written_to_it_says_that_it_must_be_once():
    code = """
import os, sys
from retriever import Collection, RetrieverError
Collection
os.setuid(65534)
try:
    Collection.open(sys.argv[1])
except RetrieverError as error:
    print(f"{type(error).__name__}: {error}")
"""
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(ZIP) as packed:
            packed.extractall(name)
        folder = Path(name) / "first-layout"
        for path in (Path(name), folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [sys.executable, "-c", code, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ask(folder, STEPS) == [migrations.FIRST]
    assert done.stdout == (
        f"{CollectionError.__name__}: {folder}/ was written by an older Retriever and must be "
        f"brought up to date once. Open it where it may be written to: retriever info {folder}\n"
    ), done.stderr
