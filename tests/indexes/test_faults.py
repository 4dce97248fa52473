"""A writer dies, loses power, or fails at every durable step; and is stopped by its user.

Every step is tried of each case that is run. All modes (see `faults_steps.MODES`) of all operations
are run where RETRIEVER_SOAK is set; else `flicker` and `full` are left out, and of operations that
are much like `add` and `build` also others.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from indexes.errors import LockedError
from retriever import Collection, Document
from tests.support.faults import disk as faults_disk
from tests.support.faults import runner as faults
from tests.support.faults import sqlite_steps as faults_sqlite
from tests.support.toy import Axes, refused

ROOT = Path(__file__).parents[2]
SOAK = bool(os.environ.get("RETRIEVER_SOAK"))
USUAL = ["kill", "torn", "power", "ENOSPC", "EIO"]
FEWER = {
    **dict.fromkeys(
        ("create", "edit", "rebuild", "delete", "compact", "drop", "tune"), ("kill", "power")
    ),
    **dict.fromkeys(("delete-where", "words-worn"), ()),
    **{
        "edit-again": ("kill",),
        "words": ("kill", "power", "EIO"),
        "terms": ("kill", "power"),
        "terms-worn": ("kill",),
        "fit": ("power",),
        "refit": ("kill",),
        "rename": ("kill",),
        "copy": ("kill",),
        "import": ("power",),
        "workers": ("kill", "ENOSPC"),
        "workers-refit": ("kill",),
        "sync": ("kill", "power"),
        "update": ("kill",),
    },
}


def reaches_sqlite():
    try:
        faults_sqlite.default_vfs()
    except (AttributeError, ImportError, OSError):
        return False
    return hasattr(os, "fork")


def modes_of(operation):
    return list(faults.MODES) if SOAK else FEWER.get(operation, USUAL)


@pytest.mark.skipif(not reaches_sqlite(), reason="needs fork, and SQLite as a shared library")
@pytest.mark.parametrize("operation", [name for name in faults.OPERATIONS if modes_of(name)])
def test_a_fault_at_any_step_leaves_the_state_before_or_after(operation):
    modes = modes_of(operation)
    run = ["python", "-m", "tests.support.faults.runner", operation]
    command = [sys.executable, *run[1:], ",".join(modes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    failed = [
        f"{' '.join(failure['what'])}: {failure['wrong']}\n"
        f"    again: {' '.join(run)} {failure['mode']} {failure['step']}"
        for failure in report["failures"]
    ]
    assert not failed, "\n".join([f"{len(failed)} of {report['ran']}:", *failed])
    assert all(report["ran"][mode]["cases"] > 0 for mode in modes)


def left(disk, place, kept):
    """What is left of the files of a disk, where what was not synced is kept or not."""
    disk.lose_power(lambda: kept, place)
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_a_power_cut_takes_what_was_not_synced(tmp_path):
    root = tmp_path / "disk"
    root.mkdir()
    (root / "old").write_bytes(b"kept")
    disk = faults_disk.Disk(root)
    disk.change(str(root / "new"), faults_disk.File())
    disk.node(str(root / "new")).write(0, b"synced, but nobody has synced its name")
    disk.node(str(root / "new")).sync()
    disk.node(str(root / "old")).write(4, b" lost")
    assert left(disk, tmp_path / "1", False) == {"old": b"kept"}
    disk.node(str(root)).sync()
    disk.replace(str(root / "new"), str(root / "old"))
    written = b"synced, but nobody has synced its name"
    assert left(disk, tmp_path / "2", True) == {"old": written}
    assert left(disk, tmp_path / "3", False) == {"old": b"kept", "new": written}


DIRECTIONS = [Document(str(n), "north" + " north" * (n % 3) + " east" * (n % 4)) for n in range(10)]

# Commits after every batch of four; says so when it waits, and waits to be stopped.
CHILD = """
import signal, sys, time
import indexes.pipeline.builder, indexes.ingest.batches
from retriever import Collection, Document
from tests.support.toy import Axes

signal.signal(signal.SIGINT, signal.default_int_handler)
indexes.ingest.batches.BATCH_RECORDS = 4
indexes.pipeline.builder.FIRST_BATCH = indexes.pipeline.builder.LARGEST_BATCH = 4
indexes.pipeline.builder.COMMIT_SECONDS = 0.0

def wait():
    print("waiting", flush=True)
    time.sleep(60)

class Waiting(Axes):
    def encode_documents(self, texts):
        if len(self.seen) >= 8:
            wait()
        return super().encode_documents(texts)

def endless():
    for number in range(10):
        if number == 9:
            wait()
        yield Document(str(number), "north" if number % 2 else "east")

with Collection.open(sys.argv[2]) as library:
    if sys.argv[1] == "build":
        library.build("axes", Waiting())
    else:
        library.add(endless())
"""


def stopped(command, library, signal_number, while_waiting=lambda child: None):
    """Run a child until it waits, then send it a signal; its exit status and error output."""
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", CHILD, command, str(library)]
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT) as child:
        assert child.stdout.readline() == "waiting\n", child.stderr.read()
        while_waiting(child)
        child.send_signal(signal_number)
        said = child.communicate(timeout=300)[1]
    return child.returncode, said


def interrupt(command, library):
    status, said = stopped(command, library, signal.SIGINT)
    assert status == -signal.SIGINT
    assert said.endswith("KeyboardInterrupt\n")


@pytest.fixture
def directions(tmp_path):
    with Collection.create(tmp_path / "library") as library:
        library.add(DIRECTIONS)
    return tmp_path / "library"


def answers(folder):
    with Collection.open(folder) as library:
        library.use("axes", Axes())
        checked = library.verify()
        assert (checked.ok, checked.leftovers) == (True, ())
        found = library.search_many(["north", "north east", "east"], k=20)
        return [[(hit.doc_id, hit.score) for hit in hits] for hits in found]


def check_only_the_rest_is_embedded(folder):
    """Finish a build that was stopped after eight texts; compare with an uninterrupted one."""
    embedder = Axes()
    with Collection.open(folder) as library:
        report = library.build("axes", embedder)
        library.delete([])  # the next writer sweeps what the merge has replaced
    assert report.embedded == len(embedder.seen)
    assert embedder.seen == [document.text for document in DIRECTIONS[8:]]
    with Collection.create(folder.with_name("other")) as other:
        other.add(DIRECTIONS)
        other.build("axes", Axes())
    assert answers(folder) == answers(other.path)


def test_the_lock_of_a_killed_build_is_taken_over_and_only_the_rest_is_embedded(directions):
    def check_lock(child):
        with Collection.open(directions) as library:
            holder = f"by process {child.pid} on .* since 20"
            refused(LockedError, holder, library.build, "axes", Axes())

    status, _ = stopped("build", directions, signal.SIGKILL, check_lock)
    assert status == -signal.SIGKILL
    assert (directions / "writer.json").exists()
    check_only_the_rest_is_embedded(directions)
    assert not (directions / "writer.json").exists()


def test_after_ctrl_c_in_a_build_only_the_rest_is_embedded(directions):
    interrupt("build", directions)
    check_only_the_rest_is_embedded(directions)


def test_after_ctrl_c_in_an_add_what_was_committed_is_kept(tmp_path):
    folder = tmp_path / "library"
    Collection.create(folder).close()
    interrupt("add", folder)
    records = [Document(str(n), "north" if n % 2 else "east") for n in range(10)]
    embedder = Axes()
    with Collection.open(folder) as library:
        assert library.verify().ok
        assert list(library.documents()) == records[:8]
        library.build("axes", embedder)
        assert embedder.seen == [document.text for document in records[:8]]
        added = library.add(records)
        assert (added.new, added.changed, added.unchanged) == (2, 0, 8)
        library.build("axes")
        assert embedder.seen[8:] == [document.text for document in records[8:]]
