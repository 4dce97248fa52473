"""Output where the terminal or pipe cannot hold the text: replaced characters, escapes in JSON."""

import json
import os
import subprocess
import sys

import pytest

from retriever import Collection, Document, HashingEmbedder

# Runs commands in one process, each as the installed command would.
SCRIPT = """
import json, sys
from retriever.cli import cli
for command in json.loads(sys.argv[1]):
    try:
        cli(command, prog_name="retriever")
    except SystemExit as end:
        assert end.code in (0, 1), command
    print("===", flush=True)
"""
NAME = "猫 — ärger"
COMMANDS = [
    ["show", "library", NAME],
    ["show", "library", NAME, "--json"],
    ["search", "library", "schnurrt 猫", "-i", "floor"],
    ["search", "library", "schnurrt 猫", "-i", "floor", "-i", "words"],
    ["search", "library", "schnurrt 猫", "-i", "floor", "--json"],
    ["search", "library", "x", "-i", "floor", "--where", '"größe" = 猫'],
    ["add", "library", "größe.jsonl"],
    ["delete", "library", "größe"],
    ["info", "library"],
    ["verify", "library"],
    ["compare", "library", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", "--why", "2"],
    ["evaluate", "run.txt", "--qrels", "qrels.tsv"],
    ["word", "library", "schnurrt", "-i", "floor"],
    ["build", "library", "größe", "--lexical"],
]


@pytest.fixture
def library(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add(
            Document(name, f"Der Kater schnurrt {name}", NAME, {"größe": 1})
            for name in (NAME, "猫" * 30, "ids")
        )
        collection.build("floor", HashingEmbedder())
        collection.build("words", lexical=True)
    query = json.dumps({"_id": "q€", "text": "schnurrt 猫"}, ensure_ascii=False)
    (tmp_path / "queries.jsonl").write_text(query + "\n", "utf-8")
    (tmp_path / "qrels.tsv").write_text(f"q€\t{'猫' * 30}\t1\n", "utf-8")
    (tmp_path / "run.txt").write_text("q€ Q0 ids 1 1.0 größe\n", "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_text_that_the_output_cannot_hold_is_replaced(library, variables):
    encoding = variables.get("PYTHONIOENCODING", "ascii")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(COMMANDS)],
        cwd=library,
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in ended.stderr, ended.stderr.decode(encoding)
    by_command = ended.stdout.decode(encoding).split("===\n")
    assert (ended.returncode, len(by_command)) == (0, len(COMMANDS) + 1)
    assert "Der Kater schnurrt ?" in by_command[0]
    assert json.loads(by_command[1])["doc_id"] == NAME
    assert json.loads(by_command[4].splitlines()[0])["title"] == NAME
    assert by_command[1].isascii()
