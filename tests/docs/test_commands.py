"""Tests of the pages whose commands and Python stand alone: each line of them runs.

Commands run in this process, in the order of the page, in one folder and on one collection for a
page. Models that the pages name are replaced by ones that take no time.
"""

import re
import shlex
import sqlite3
from pathlib import Path

import numpy as np
import pandas
import pytest

from indexes.errors import FileNote
from retriever import Collection
from tests.support.commands import invoke, objects, succeed
from tests.support.sources.documents import pdf
from tests.support.sources.tables import write_csv, write_jsonl, write_sqlite, write_xlsx

DOCS = Path(__file__).parent.parent.parent / "docs"
MODELS = {"contextual:all-MiniLM-L6-v2": "hashing", "static:glove-6b-50d": "hashing"}
PRODUCTS = {
    "sku": ["p1", "p2"],
    "name": ["Mug", "Lamp"],
    "description": ["A blue mug made to last.", "A red lamp for a small desk."],
    "active": [1, 0],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)


def blocks(page, language=""):
    """The blocks of a page in some language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return [text for name, text in found if name == language]


def commands(page):
    """The words of each command on a page, without comments."""
    lines = "".join(blocks(page)).splitlines()
    split = [shlex.split(line, comments=True) for line in lines if line.startswith("retriever ")]
    assert split
    return [words[1:] for words in split]


def run(page, **replaced):
    """Run the commands of a page, with some words replaced; return what they print to stderr."""
    said = []
    replaced = MODELS | replaced
    which = re.compile("|".join(map(re.escape, replaced)))
    for line in commands(page):
        words = [which.sub(lambda name: str(replaced[name[0]]), word) for word in line]
        result = invoke(*words)
        assert result.exit_code == 0, (words, result.output)
        said += result.stderr.splitlines()
    return said


def test_files_and_folders():
    for name, text in {
        "paper.pdf": "",
        "LICENSE": "You may copy this.",
        "src/a.py": "print('a')",
        "notes/a.py": "print('a')",
        "notes/b.py": "print('b')",
        "notes/budget.csv": "a,b\n1,2\n",
        "notes/Inbox.md": "",
        "notes/.hidden/x.md": "hidden",
        "notes/.x.md": "hidden",
        "notes/tax.md": next(text for text in blocks("files.md") if text.startswith("---")),
    }.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    Path("notes/tax.md").write_text(f"{Path('notes/tax.md').read_text()}\nFile it in April.")
    Path("paper.pdf").write_bytes(pdf("A search engine."))
    said = run("files.md")
    shown = "".join(text for text in blocks("files.md") if text.startswith("note: "))
    assert said == shown.splitlines()
    (where,) = re.findall(r'`--where "(.*?)"`', (DOCS / "files.md").read_text())
    (found,) = objects(succeed("list", "library", "--where", where, "--format", "jsonl"))
    assert found["doc_id"] == "tax.md"


def test_tables():
    write_csv(Path("products.csv"), PRODUCTS)
    write_xlsx(Path("products.xlsx"), PRODUCTS, "Products")
    write_sqlite(Path("shop.db"), PRODUCTS, "products")
    tickets = {"ticket_id": [1, 2], "subject": ["Mug", "Lamp"], "body": ["It broke.", "Dark."]}
    write_jsonl(Path("tickets.jsonl"), tickets | {"answer": ["Glue it.", "New bulb."]})
    run("tables.md")
    shown = next(text for text in blocks("tables.md") if text.startswith("note: "))
    assert invoke("add", "other", "products.csv").stderr == shown
    (code,) = blocks("tables.md", "python")
    names = {"query": "SELECT * FROM products", "connection": sqlite3.connect("shop.db")}
    with Collection.open("library") as library:
        with pytest.warns(FileNote, match="active as numbers"):
            exec(code, {"library": library, "pandas": pandas, **names})
        assert len(library) == 4
        assert library["p1"].metadata == {"active": 1}
    names["connection"].close()


@pytest.fixture
def library():
    """A collection with the documents and indexes that pages on searches name."""
    write_jsonl(
        Path("corpus.jsonl"),
        {
            "_id": ["4983", "5836", "7912"],
            "text": ["The Bank of England.", "Bank of a river.", "An engine on a river."],
            "year": [2019, 2020, 2021],
            "author": [{"name": name} for name in ("Ann", "Bob", "Cid")],
        },
    )
    succeed("add", "library", "corpus.jsonl")
    succeed("build", "library", "minilm", "--embedder", "hashing")
    succeed("build", "library", "bm25", "--lexical")


def test_searches(library):
    run("search.md")


def test_vectors(library):
    np.save("queries.npy", np.eye(3, 256, dtype=np.float32))
    write_jsonl(
        Path("queries.jsonl"), {"_id": ["a", "b", "c"], "text": ["bank", "river", "engine"]}
    )
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\na\t4983\t1\nb\t5836\t1\nc\t7912\t1\n")
    run("vectors.md")
    with Collection.open("backup") as backup:
        assert len(backup) == 3
        assert backup.index_names() == ["minilm", "bm25", "theirs"]
    assert len(Path("theirs.run").read_text().splitlines()) == 9


def test_settings(library):
    (text,) = blocks("settings.md", "toml")
    Path("retriever.toml").write_text(text)
    assert len(objects(succeed("search", "a river", "--json"))) == 3


@pytest.mark.model
def test_images():
    from tests.support.models.clip import digits_clip, unseen

    pictures, _ = unseen(9)
    Path("Pictures").mkdir()
    for number, picture in enumerate(pictures):
        Path(f"Pictures/{number}.png").write_bytes(picture)
    Path("query.jpg").write_bytes(pictures[0])
    Path("queries.jsonl").write_text('{"_id": "q", "text": "a photo of the digit one"}\n')
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1.png\t1\n")
    clip = digits_clip()
    run("images.md", **{"PATH-OR-NAME-OF-A-CLIP": clip, "PATH": clip, "~/Pictures": "Pictures"})


@pytest.mark.model
def test_rerankers(library):
    from tests.support.models.rerankers import cross_encoder

    model = cross_encoder(Path("model"))
    # ViLBERT and late interaction need other models: see tests/retriever/rerankers/.
    for words in commands("rerankers.md"):
        if not {"vilbert:FOLDER", "late-interaction:MODEL"} & set(words):
            succeed(*[word.replace("MODEL", str(model)) for word in words])
    features = {"features": np.ones((2, 4)), "bbox": np.ones((2, 4))}
    photo = features | {"image_width": 3, "image_height": 4}
    np.save("photo1.npy", np.array(photo, dtype=object), allow_pickle=True)
    exec(blocks("rerankers.md", "python")[1], {})
    assert np.load("features.npz")["counts"].tolist() == [2]


@pytest.mark.model
def test_sparse_vectors(library):
    from tests.support.models.sparse import splade

    run("sparse.md", MODEL=splade(Path("model")))


def test_every_page_with_commands_is_run():
    run_here = set(re.findall(r'"(\w+\.md)"', Path(__file__).read_text()))
    for page in DOCS.glob("*.md"):
        # A service runs until it is stopped, and is judged by click: see tests/retriever/service/.
        if page.name == "page.md":
            continue
        if re.search("^retriever (?!serve)", "".join(blocks(page.name)), re.MULTILINE):
            assert page.name in run_here
