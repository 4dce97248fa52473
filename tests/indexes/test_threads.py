"""Threads: the cores that a process may use, and how its threads share them."""

import math
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes import threads as policy
from indexes.threads import cgroup_quota, cores, sharing, threads
from tests.support.fresh import printed_by
from tests.support.laws import examples

CORES = len(os.sched_getaffinity(0))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        ({"proc/self/cgroup": "0::/\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2.0),
        (  # the outer group is the stricter one
            {
                "proc/self/cgroup": "0::/system.slice/docker-1.scope\n",
                "sys/fs/cgroup/system.slice/cpu.max": "150000 100000\n",
                "sys/fs/cgroup/system.slice/docker-1.scope/cpu.max": "400000 100000\n",
            },
            1.5,
        ),
        (  # v1: the path is the host's, the files are those of the container
            {
                "proc/self/cgroup": "3:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "2:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": ""}, math.inf),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path, files, quota):
    assert cgroup_quota(write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("quota", "expected"), [(0.5, 1), (1.2, min(2, CORES)), (64.0, CORES), (math.inf, CORES)]
)
def test_cores_are_limited_by_the_quota(monkeypatch, quota, expected):
    monkeypatch.setattr(policy, "_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert cores() == threads() == expected


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(1, 64), st.integers(1, 9))
def test_callers_at_the_same_time_share_the_cores(available, callers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy, "threads", lambda: available)
        entered, leave, counts = threading.Barrier(callers + 1), threading.Event(), []

        def compute():
            with sharing() as count:
                counts.append(count)
                entered.wait()
                leave.wait()

        running = [threading.Thread(target=compute) for _ in range(callers)]
        for thread in running:
            thread.start()
        entered.wait()
        with sharing() as count:
            assert count == max(1, available // (callers + 1))
        leave.set()
        for thread in running:
            thread.join()
        assert sorted(counts) == sorted(max(1, available // one) for one in range(1, callers + 1))
        with sharing() as count:  # all have left
            assert count == available


def test_faiss_computes_one_query_in_one_thread_and_restores_the_callers_number():
    import faiss

    from indexes.vectors.faiss_engine import kernels

    used = []
    for queries in (1, 5):
        with kernels.computing(queries):
            used.append(faiss.omp_get_max_threads())
    assert used == [1, threads()]
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        with pytest.raises(ZeroDivisionError), kernels.computing(1):
            raise ZeroDivisionError
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


BATCH = """
import sys
import numpy as np
from threadpoolctl import ThreadpoolController
from indexes import threads
from indexes.vectors.scores import rough_scores
blas = ThreadpoolController().select(user_api="blas", internal_api="openblas").lib_controllers
for library in blas:
    library.set_num_threads(int(sys.argv[1]))
threads.cores = lambda: int(sys.argv[2])
rough_scores(np.ones((9, 4), np.float32), np.ones((50, 4), np.float32), None)
print(*{library.num_threads for library in blas})
"""


@pytest.mark.parametrize(("own", "quota", "left"), [(3, 2, 2), (3, 1, 1), (1, 2, 1)])
def test_a_batch_is_multiplied_by_no_more_threads_than_a_quota_allows(own, quota, left):
    assert printed_by(BATCH, own, quota, OMP_NUM_THREADS="9").split() == [str(left)]
