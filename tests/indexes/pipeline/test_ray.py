"""Builds on Ray: started here, and on a cluster of several simulated machines."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import indexes.pipeline.structure_parts
import retriever.indexing.workers
from indexes.errors import WorkerError
from retriever import Collection, HashingEmbedder
from tests.indexes.pipeline.test_workers import CHILD, built, is_running, wait_for
from tests.support.models.fittable import Rare
from tests.support.toy import Axes
from tests.support.workers import (
    Absent,
    Deadly,
    Waiting,
    compass,
    files_of,
    library,
    small_tasks,
)

pytest.importorskip("ray", reason="needs the extra 'ray'")
pytestmark = [
    pytest.mark.exhaustive,
    # Ray's own, of files that it leaves open for its life.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    small_tasks(monkeypatch)


def test_ray_that_a_build_starts_leaves_nothing_behind(tmp_path):
    """The home folder stays empty, the temporary one as it was, and nobody listens outside."""
    (tmp_path / "home").mkdir()
    path = tmp_path / "library"
    library(path, compass(100, d5="!?")).close()
    before = set(Path(tempfile.gettempdir()).iterdir())
    env = {**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "retriever", "build", str(path), "vectors"]
    command += ["--embedder", "hashing", "--workers", "ray"]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "100 documents embedded" in done.stdout
    assert list((tmp_path / "home").iterdir()) == []
    after = set(Path(tempfile.gettempdir()).iterdir()) - before
    assert [path for path in after if path.name.startswith(("retriever-ray-", "ray"))] == []
    with Collection.open(path) as collection:
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
    plain = built(tmp_path / "plain", compass(100, d5="!?"), HashingEmbedder(), None)
    assert files_of(path) == plain


@pytest.fixture(scope="module")
def cluster():
    """Four machines: one that only leads, and three of one core."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    with (
        pytest.MonkeyPatch.context() as patched,
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
    ):
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("RAY_AUTH_MODE", "disabled")
        patched.setenv("RAY_TMPDIR", folder)
        patched.setenv("PYTHONPATH", str(ROOT))
        leads = {"num_cpus": 0, "include_dashboard": False}
        made = cluster_utils.Cluster(initialize_head=True, head_node_args=leads)
        for _ in range(3):
            made.add_node(num_cpus=1, include_dashboard=False)
        yield made
        made.shutdown()


def test_machines_of_a_cluster_write_the_same_files_though_one_is_lost(tmp_path, cluster):
    """One machine is gone in the middle of a task; and the worker of another one is killed."""
    documents = compass(100, d20="wait north", d60="die east", d61="wait up")
    expected = built(tmp_path / "plain", documents, Axes(), None)
    workers = f"ray:{cluster.address}"
    assert built(tmp_path / "killed", documents, Deadly(tmp_path), workers) == expected
    assert len(list(tmp_path.glob("died-*"))) == 1

    stopped = threading.Event()

    def lose_one():
        wait_for(lambda: list(tmp_path.glob("waits-*")))
        process = int(next(tmp_path.glob("waits-*")).name.partition("-")[2])
        parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        for node in list(cluster.worker_nodes):
            raylets = node.all_processes["raylet"]
            if parent in [one.process.pid for one in raylets]:
                cluster.remove_node(node, allow_graceful=False)
        wait_for(lambda: not is_running(process))
        while not stopped.is_set():
            for flag in tmp_path.glob("waits-*"):
                flag.unlink(missing_ok=True)
            time.sleep(0.05)

    loser = threading.Thread(target=lose_one)
    loser.start()
    try:
        found = built(tmp_path / "lost", documents, Waiting(tmp_path), workers)
    finally:
        stopped.set()
        loser.join()
    assert len(cluster.worker_nodes) == 2
    assert found == expected


def test_machines_read_for_a_fit_and_fill_a_structure(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(retriever.indexing.workers, "FITTED_PASSAGES", 0)
    monkeypatch.setattr(indexes.pipeline.structure_parts, "LEAST_NUMBERS", 0)
    monkeypatch.setattr(indexes.pipeline.structure_parts, "PART_ROWS", 100)
    small_tasks(monkeypatch, 200)
    words = {f"d{n}": "north " * (n % 23 + 1) + "east " * (n % 19 + 1) for n in range(400)}
    documents, found = compass(400, **words), []
    for workers in (None, f"ray:{cluster.address}"):
        with library(tmp_path / f"library-{workers is None}", documents) as collection:
            collection.build("rare", Rare(), ann="IVF2,SQ8", workers=workers)
            store = collection._store
            files = [store.embedding("rare").fitted.file, store.index("rare").file]
            assert collection.verify().ok
            found.append([(collection.path / file).read_bytes() for file in files])
            found[-1] += files_of(collection.path)
    assert found[0] == found[1]


@pytest.mark.model
def test_a_model_writes_the_same_files_with_as_many_threads(tmp_path, cluster, monkeypatch):
    from retriever import ContextualEmbedder

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray sets it for an actor of one core
    monkeypatch.setattr(ContextualEmbedder, "task_passages", 16)
    minilm = ContextualEmbedder("all-MiniLM-L6-v2", device="cpu", runtime="torch")
    documents = compass(40, d3="The sea is dark at night.", d30="An owl hunts at night. " * 40)
    here = built(tmp_path / "here", documents, minilm, 1)
    assert built(tmp_path / "ray", documents, minilm, f"ray:{cluster.address}") == here
    assert len(here[0]) > 40 * 384 * 4


def test_a_build_goes_on_where_a_killed_one_stopped(tmp_path, cluster):
    documents = compass(60, d40="wait up")
    path = tmp_path / "library"
    library(path, documents).close()
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(path), str(tmp_path), f"ray:{cluster.address}"]
    child = subprocess.Popen(command, env=env, cwd=ROOT, stdin=subprocess.DEVNULL)
    wait_for(lambda: list(tmp_path.glob("waits-*")))
    child.send_signal(signal.SIGKILL)
    child.wait()
    (flag,) = tmp_path.glob("waits-*")
    # Ray ends the workers of a driver that is gone.
    wait_for(lambda: not is_running(int(flag.name.partition("-")[2])))
    flag.unlink()
    with Collection.open(path) as collection:
        report = collection.build("vectors", Axes("waiting"), workers=2)
        assert report.embedded < 60
        assert collection.verify().ok
        assert collection.verify().leftovers == ()
    plain = built(tmp_path / "plain", documents, Axes("waiting"), None)
    assert files_of(path) == plain


def test_what_keeps_a_worker_from_loading_the_embedder_is_raised_here(tmp_path, cluster):
    with library(tmp_path / "library", compass(10)) as collection:
        with pytest.raises(ModuleNotFoundError, match="theirs"):
            collection.build("vectors", Absent(), workers=f"ray:{cluster.address}")


def test_a_cluster_that_does_not_answer_is_one_error(tmp_path):
    with library(tmp_path / "library", compass(10)) as collection:
        with pytest.raises(WorkerError, match="No Ray cluster answers at 127.0.0.1:1"):
            collection.build("vectors", Axes(), workers="ray:127.0.0.1:1")
        assert collection.index_names() == []
