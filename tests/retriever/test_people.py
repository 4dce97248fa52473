"""An app developer, a researcher and a data engineer, with files of theirs and shell commands."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from retriever import Collection

COMMAND = Path(sys.executable).parent / "retriever"
HUNDRED = range(100)
COLORS = ("blue", "green", "red", "white", "black")
THINGS = ("mug", "lamp", "chair", "kettle", "clock")
# A name for each of a hundred texts.
FIRST = ("al", "be", "ce", "do", "eu", "fa", "gi", "ho", "im", "ju")
LAST = ("bara", "cato", "dine", "fero", "gula", "hema", "jilo", "kuru", "lopa", "miro")
NAMES = [f"{first}{last}" for last in LAST for first in FIRST]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line, **options):
    """Run a line of the shell, in which `retriever` is the installed command; it must succeed."""
    done = start(line, **options)
    output, errors = done.communicate()
    assert done.returncode == 0, errors
    return output


def start(line, **options):
    """Start a line of the shell with as few variables as cron sets."""
    kept = {name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ}
    return subprocess.Popen(
        ["/bin/sh", "-c", line],
        env={"PATH": f"{COMMAND.parent}:/usr/bin:/bin", "RETRIEVER_LIBRARY": "", **kept},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def hits(output):
    return [json.loads(line) for line in output.splitlines()]


def write_products():
    with Path("products.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sku", "name", "description"])
        for n in HUNDRED:
            what = f"{COLORS[n % 5]} {THINGS[n // 5 % 5]}"
            about = f"A {what}, from the workshop of {NAMES[n].title()}; made to last."
            rows.writerow([f"P-{n:03}", what.title(), about])


def ticket(n, body=""):
    body = body or f"The {THINGS[n % 5]} of {NAMES[n % 100].title()} broke on its second day."
    return {"ticket_id": n, "subject": f"Ticket on a {THINGS[n % 5]}", "body": body}


def write_tickets(tickets):
    text = "".join(f"{json.dumps(one)}\n" for one in tickets)
    Path("tickets.jsonl").write_text(text)


def write_notes():
    Path("notes").mkdir()
    for n in HUNDRED:
        fields = {"title": f"Note {n}", "tags": f"[{COLORS[n % 5]}, home]"}
        fields |= {"created": f"2024-{n % 9 + 1}-3"}
        front = "".join(f"{name}: {value}\n" for name, value in fields.items())
        Path(f"notes/note-{n}.md").write_text(
            f"---\n{front}---\n\nAsk {NAMES[n].title()} about it.\n"
        )


def test_an_app_developer_finds_products_tickets_and_notes_as_they_are():
    write_products()
    write_tickets(map(ticket, HUNDRED))
    write_notes()
    added, _, found = run(
        "retriever add library products.csv tickets.jsonl notes;"
        "retriever build library bm25 --lexical;"
        "retriever search library 'ask Docato' --json -k 3"
    ).split("\n", 2)
    assert added == "300 new, 0 changed, 0 unchanged, 0 skipped; library/ has 300 documents"
    note, *others = hits(found)
    assert (note["doc_id"], note["title"]) == ("note-13.md", "Note 13")
    assert note["metadata"] == {"tags": ["white", "home"], "created": "2024-05-03"}
    assert {hit["doc_id"] for hit in others} == {"P-013", "13"}


def test_a_researcher_compares_two_systems_on_questions_in_a_database():
    write_tickets(map(ticket, HUNDRED))
    with closing(sqlite3.connect("study.db")) as study, study:
        study.execute("CREATE TABLE questions (number INTEGER, asked TEXT, split TEXT)")
        rows = [(n, f"who sold to {NAMES[n]}", ("train", "test")[n % 2]) for n in HUNDRED]
        study.executemany("INSERT INTO questions VALUES (?, ?, ?)", rows)
    judged = "".join(f"{n}\t{n}\t1\n" for n in HUNDRED)
    Path("qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
    run("retriever add library tickets.jsonl --id ticket_id --title subject --text body")
    run("retriever build library bm25 --lexical; retriever build library words --embedder hashing")
    systems = hits(
        run(
            "retriever compare library --queries study.db --query-id number --query-text asked "
            "--sql \"SELECT number, asked FROM questions WHERE split = 'test'\" "
            "--qrels qrels.tsv -m RR@10 --baseline words --latex table.tex --json"
        )
    )
    assert {one["name"]: one["queries"] for one in systems} == {"bm25": 50, "words": 50}
    (bm25,) = (one["quality"]["RR@10"] for one in systems if one["name"] == "bm25")
    assert bm25 == 1
    assert "bm25" in Path("table.tex").read_text()


def test_a_data_engineer_runs_a_nightly_job_that_is_killed_and_run_again(folder):
    library, tickets = folder / "library", folder / "tickets.jsonl"
    columns = "--id ticket_id --title subject --text body"
    job = f"retriever update {library} {tickets} {columns} --json --wait 60"
    write_tickets(map(ticket, HUNDRED))
    run(f"retriever add library tickets.jsonl {columns}; retriever build library bm25 --lexical")
    tonight = [ticket(n, "A comet was sold." if n == 7 else "") for n in range(1, 101)]
    write_tickets(tonight)
    (first,), (again,) = (hits(run(job, cwd="/")) for _ in range(2))
    counts = ("ok", "new", "changed", "removed", "unchanged")
    assert [first[name] for name in counts] == [True, 1, 1, 1, 98]
    assert [again[name] for name in counts] == [True, 0, 0, 0, 100]
    write_tickets(ticket(n, f"Comet {n} was sold.") for n in range(50, 150))
    with start(f"exec {job}", cwd="/") as killed:
        next(killed.stderr)  # the documents are changed, no index is yet
        killed.send_signal(signal.SIGKILL)
    (last,) = hits(run(job, cwd="/"))
    assert (last["ok"], last["documents"]) == (True, 100)
    assert [one["name"] for one in last["indexes"]] == ["bm25"]
    with Collection.open(library) as collection:
        assert collection.verify().ok
        assert sorted(map(int, (one.doc_id for one in collection))) == [*range(50, 150)]
        assert collection.search("comet 99", k=1)[0].doc_id == "99"
