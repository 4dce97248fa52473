"""The command: processes, signals, and a writer that works and is killed meanwhile."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from indexes.errors import InputError
from retriever import Collection
from retriever.service.serving import listening
from retriever.service.settings import ServiceSettings
from tests.retriever.service.test_search import found
from tests.support.commands import fail, misuse
from tests.support.services.clients import SECONDS, TOKEN, eventually, make_library


@contextmanager
def served(*arguments, **environment):
    """Start the command on a free port; yield its process, address and lines of its log."""
    command = [sys.executable, "-m", "retriever", "serve", *map(str, arguments), "--port", "0"]
    env = {**os.environ, **environment}
    lines = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        reading = threading.Thread(target=lambda: lines.extend(process.stderr))
        try:
            first = process.stderr.readline()
            at = re.search(r"http://\S+", first)
            assert at, first + process.stderr.read()
            reading.start()
            yield process, at[0], lines
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(SECONDS)
            reading.join(SECONDS)


def ask(address, body=None, headers=None):
    """Return the JSON of an answer; raises for one that is an error."""
    sent = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, sent, headers or {})
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def stop(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(SECONDS)


def test_the_command_serves_with_a_token_of_the_environment_and_stops_by_a_signal(folder):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = {"query": "kitten", "indexes": ["words"]}
    served_by = served(folder, "--write", "--access-log", RETRIEVER_TOKEN=TOKEN)
    with served_by as (process, address, lines):
        assert found(ask(f"{address}/search", body, headers)["answers"]) == {"words": ["cat"]}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{address}/search", body)
        assert stop(process) == 0
    log = "".join(lines)
    assert "POST /search 200" in log
    assert TOKEN not in log
    assert "Traceback" not in log


def test_several_processes_share_the_work_and_the_metrics(folder):
    with served(folder, "--workers", 2) as (process, address, lines):
        body = {"query": "kitten", "indexes": ["words"]}
        for _ in range(20):
            ask(f"{address}/search", body)
        with urllib.request.urlopen(f"{address}/metrics", timeout=SECONDS) as answer:
            shown = answer.read().decode()
        assert 'retriever_searches_total{index="words",library="notes"} 20.0' in shown
        # What another process writes is seen by all of them.
        with Collection.open(folder) as other:
            other.delete(["cat"])
        assert [found(ask(f"{address}/search", body)["answers"])["words"] for _ in range(9)] == [
            []
        ] * 9
        assert stop(process) == 0
    assert "Traceback" not in "".join(lines)


def test_what_cannot_be_served_is_one_sentence(folder, tmp_path):
    assert "none/ is not a collection" in fail("serve", str(tmp_path / "none"))
    assert "can be reached from other machines" in fail("serve", str(folder), "--host", "0.0.0.0")
    assert "needs a token" in fail("serve", str(folder), "--write")
    other = make_library(tmp_path / "more" / "notes")
    assert "Two collections are called 'notes'" in fail("serve", str(folder), str(other))
    (tmp_path / "token").write_text(TOKEN)
    assert "--no-token" in misuse(
        "serve", str(folder), "--no-token", "--token-file", str(tmp_path / "token")
    )


def test_the_protocol_of_the_socket_is_named_so_that_small_answers_are_sent_at_once(docs):
    with listening(ServiceSettings((docs,), port=0)) as sock:
        assert sock.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken_is_one_sentence(docs):
    with listening(ServiceSettings((docs,), port=0)) as sock:
        taken = ServiceSettings((docs,), port=sock.getsockname()[1])
        with pytest.raises(InputError, match="cannot be used: Address already in use. Choose"):
            with listening(taken):
                pass


# Adds, builds, deletes and compacts in a circle, until it is killed.
WRITER = """
import sys
from retriever import Collection, Document
with Collection.open(sys.argv[1]) as collection:
    print("writing", flush=True)
    while True:
        collection.add(Document(f"n{n}", f"kitten number {n}") for n in range(40))
        collection.build_all()
        collection.delete([f"n{n}" for n in range(40)])
        collection.compact()
"""


def soak(folder, seconds, kills):
    """Ask while a writer works and is killed; return the number of answers.

    Each is of one state: the first document, which always stays, is found, and the others are all
    there, or none, as far as `k` reaches.
    """
    with served(folder) as (process, address, lines):
        until, answers, killed = time.monotonic() + seconds, [], 0
        wrong = []

        def client():
            # One index alone is searched in the event loop, where that is quick.
            for indexes in itertools.cycle((["words", "fused"], ["words"])):
                if time.monotonic() >= until and killed >= kills:
                    return
                body = {"query": "kitten purrs content", "indexes": indexes, "k": 60}
                try:
                    said = found(ask(f"{address}/search", body)["answers"])
                except Exception as error:
                    wrong.append(repr(error))
                    return
                answers.append(said)
                if said["words"][0] != "cat" or len(said["words"]) not in (1, 41):
                    wrong.append(said)

        clients = [threading.Thread(target=client) for _ in range(3)]

        def asking():
            return any(one.is_alive() for one in clients)

        for one in clients:
            one.start()
        while (time.monotonic() < until or killed < kills) and not wrong:
            command = [sys.executable, "-c", WRITER, str(folder)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
                try:
                    assert writer.stdout.readline() == b"writing\n"
                    enough = len(answers) + 20
                    # When the time is over, nobody asks any more.
                    eventually(lambda: len(answers) > enough or not asking())  # noqa: B023
                finally:
                    writer.kill()
            killed += 1
        for one in clients:
            one.join(SECONDS)
        assert wrong == []
        assert stop(process) == 0
    assert "Traceback" not in "".join(lines)
    return len(answers)


def test_no_answer_fails_while_a_writer_adds_builds_compacts_and_is_killed(folder):
    assert soak(folder, 0, 2) > 40
    with Collection.open(folder) as collection:
        collection.repair()
        assert collection.verify().ok


@pytest.mark.skipif(os.environ.get("RETRIEVER_SOAK") != "1", reason="RETRIEVER_SOAK=1: an hour")
def test_an_hour_of_the_same(folder):
    assert soak(folder, 3_600, 100) > 10_000
