"""An executor with the machines of a Ray cluster; imports Ray, the extra `ray`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError, WorkerError
from indexes.pipeline.executors.base import ATTEMPTS, TaskQueue
from indexes.pipeline.worker import (
    EmbeddingTask,
    EmbeddingWorker,
    TaskResult,
    WorkerSetup,
    portable,
)
from indexes.threads import cores

# Ray tells its makers nothing, whoever starts it here.
USAGE = "RAY_USAGE_STATS_ENABLED"
# How long all workers may take to start.
START_SECONDS = 600


class _Actor:
    """A worker as an actor of Ray; an error when it starts is told when it is asked."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._error: Exception | None = None
        try:
            self._worker = EmbeddingWorker(setup)
        except Exception as error:
            self._error = portable(error)

    def ready(self) -> Exception | None:
        """Return the error with which it could not start."""
        return self._error

    def run(self, task: EmbeddingTask) -> TaskResult:
        """Embed a task; see `EmbeddingWorker.run`."""
        return TaskResult(0, error=self._error) if self._error else self._worker.run(task)


@dataclass(frozen=True)
class RayExecutor:
    """Runs tasks in actors of Ray, one for each core that the cluster has.

    Without an address, a cluster of this machine alone is started, and ended afterwards. With one,
    such as `10.0.0.1:6379` or `auto`, that cluster is joined: its machines have to see the
    collection's folder under the same path, and need Retriever and the model. A machine that is
    lost loses nothing else: Ray starts its actors elsewhere, and they get its tasks.
    """

    address: str | None = None

    def run(
        self, setup: WorkerSetup, tasks: Iterator[EmbeddingTask], most: int
    ) -> Generator[TaskResult, None, None]:
        """Yield the results as they come; see `Executor.run`."""
        queue = TaskQueue(tasks)
        with _cluster(self.address) as ray:
            count = min(max(1, int(ray.cluster_resources().get("CPU", 1))), max(most, 1))
            # Ray restarts one whose process or machine is gone.
            remote = ray.remote(num_cpus=1, max_restarts=-1)(_Actor)
            actors = [remote.remote(setup) for _ in range(count)]
            try:
                yield from _results(ray, actors, queue)
            finally:
                for actor in actors:
                    ray.kill(actor)


def _results(ray: Any, actors: list[Any], queue: TaskQueue) -> Iterator[TaskResult]:
    # What is waited for: an actor that starts, for the first time or again, or its task.
    asked: dict[Any, tuple[Any, EmbeddingTask | None]] = {
        actor.ready.remote(): (actor, None) for actor in actors
    }
    idle, lost = list[Any](), 0
    while queue.read_ahead() or any(task for _, task in asked.values()):
        is_stuck = not any(task for _, task in asked.values())
        done, _ = ray.wait(list(asked), timeout=START_SECONDS if is_stuck else None)
        if not done:
            raise WorkerError(
                f"No worker could start on the Ray cluster in {START_SECONDS} s: other jobs use "
                "all of its cores. Run the same again when it is free."
            )
        actor, task = asked.pop(done[0])
        result: TaskResult | None = None
        try:
            answer = ray.get(done[0])
        except ray.exceptions.RayError as error:
            why = str(error).strip().splitlines()[0]
            if task is not None:
                queue.give_back(task, why)
            elif (lost := lost + 1) > ATTEMPTS * len(actors):
                raise WorkerError(f"No worker can start on the Ray cluster: {why}") from None
            asked[actor.ready.remote()] = actor, None
        else:
            if isinstance(answer, Exception):
                raise answer
            result = answer
            idle.append(actor)
        # An actor that is lost gets no task before it is there again.
        while idle and (following := queue.take()) is not None:
            chosen = idle.pop()
            asked[chosen.run.remote(following)] = chosen, following
        if result is not None:
            yield result


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Yield Ray, connected: as it is if it is connected, else to a cluster, or to one of its own.

    One of its own has no dashboard, listens on this machine only, and keeps its logs in a temporary
    folder that is removed afterwards.
    """
    os.environ.setdefault(USAGE, "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "--workers ray (workers='ray') needs Ray. Install it: "
            "pip install 'retriever-compare[ray]'"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    folder = None if address else tempfile.mkdtemp(prefix="retriever-ray-")
    try:
        if address:
            try:
                ray.init(address, **quiet)
            except Exception as error:  # of several libraries
                why = str(error).strip().splitlines()[0]
                raise WorkerError(
                    f"No Ray cluster answers at {address}: {why} Start one (ray start --head), or "
                    "use processes of this machine: --workers 4 (workers=4)."
                ) from None
        else:
            ray.init(
                num_cpus=cores(),
                include_dashboard=False,
                _temp_dir=folder,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        yield ray
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
