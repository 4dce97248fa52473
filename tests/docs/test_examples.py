"""Tests of examples/: the scripts and the notebook run, and print what they promise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def run(script, *arguments, cwd):
    """Run an example in a folder; return the lines that it prints."""
    command = [sys.executable, EXAMPLES / script, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "cat.txt").write_text("A kitten purrs when it is content.")
    (tmp_path / "notes" / "tax.md").write_text("The filing deadline is in April.")
    return tmp_path / "notes"


def test_the_search_box_finds_by_meaning_and_takes_in_new_notes(notes, tmp_path):
    first = run("search_box.py", "notes", "why does my cat hum?", cwd=tmp_path)
    assert first[0] == "1  cat.txt  A kitten purrs when it is content."
    (notes / "car.txt").write_text("The engine idles with a soft rumble.")
    assert run("search_box.py", "notes", "motor noise", cwd=tmp_path)[0].startswith("1  car.txt  ")


def test_static_against_contextual_ends_in_a_verdict(tmp_path):
    (tmp_path / "documents.csv").write_text(
        "id,title,text\nd1,Boiler,The pilot light goes out.\nd2,Ferry,Crossing the river is cheap."
        "\nd3,Bread,Fold the dough four times.\n"
    )
    (tmp_path / "queries.csv").write_text(
        "query,id\nno hot water in the house,d1\na boat to the other side,d2\nbaking a loaf,d3\n"
    )
    printed = run("static_or_contextual.py", "documents.csv", "queries.csv", cwd=tmp_path)
    assert {"bm25", "static", "contextual", "fused"} <= set(" ".join(printed[:-1]).split())
    assert printed[-1].startswith("Verdict: contextual is not distinguishable, with so few queries")


def test_the_nightly_update_embeds_what_is_new(notes, tmp_path):
    first = run("nightly.py", "library", "notes", cwd=tmp_path)
    assert first[:2] == ["2 new, 0 changed, 0 removed", "2 embedded; 2 in the index"]
    assert first[2].startswith("nearest to a kitten: cat.txt (")
    (notes / "tax.md").write_text("The deadline is in May.")
    second = run("nightly.py", "library", "notes", cwd=tmp_path)
    assert second[:2] == ["0 new, 1 changed, 0 removed", "1 embedded; 2 in the index"]
    assert run("nightly.py", "library", "notes", cwd=tmp_path)[1] == "0 embedded; 2 in the index"


def test_the_notebook_is_valid_and_its_cells_run_in_order(tmp_path):
    notebook = json.loads((EXAMPLES / "walkthrough.ipynb").read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    # As it is kept: without the output of anybody's run.
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    script = "\n".join("".join(cell["source"]) for cell in cells)
    (tmp_path / "cells.py").write_text(script)
    run(tmp_path / "cells.py", cwd=tmp_path)
