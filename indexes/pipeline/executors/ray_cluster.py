"""An executor with the machines of a Ray cluster; imports Ray, the extra `ray`."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from indexes.errors import InputError, WorkerError
from indexes.pipeline.executors.base import (
    ATTEMPTS,
    Failure,
    R,
    T,
    TaskQueue,
    Worker,
    attempt,
    environment,
    portable,
)
from indexes.threads import cores

RAY = "ray"
# Ray tells its makers nothing, whoever starts it here.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
# How a cluster knows who may use it: else Ray writes a token into the home folder.
MODE, TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
# How long all workers may take to start.
START_SECONDS = 600
CONNECT_SECONDS = 5.0


class _Actor:
    """A worker as an actor of Ray; an error when it starts is returned when it is asked."""

    def __init__(self, setup: Callable[[], Worker[Any, Any]]) -> None:
        self._failure: Failure | None = None
        try:
            self._worker = setup()
        except Exception as error:
            self._failure = Failure(portable(error))

    def ready(self) -> Failure | None:
        """Return the error with which it could not start."""
        return self._failure

    def run(self, task: Any) -> Any:
        """Run a task; return its result, or a `Failure`."""
        return self._failure or attempt(self._worker, task)


@dataclass(frozen=True)
class RayExecutor:
    """Runs tasks in actors of Ray, one for each core that the cluster has.

    Without an address, a cluster of this machine alone is started, and ended afterwards. With one,
    such as `10.0.0.1:6379` or `auto`, that cluster is joined: its machines have to see the
    collection's folder under the same path, and need Retriever and the model. A machine that is
    lost loses nothing else: Ray starts its actors elsewhere, and they get its tasks.
    """

    address: str | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether workers may be on other machines: a cluster of our own is this one alone."""
        return self.address is not None

    def run(
        self, setup: Callable[[], Worker[T, R]], tasks: Iterator[T], most: int
    ) -> Generator[R, None, None]:
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


def _reason(message: str) -> str:
    """Return what went wrong: of an actor that could not be made, the end of its traceback."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return lines[-1 if "creation task" in lines[0] else 0] if lines else "no reason was given"


def _results(ray: Any, actors: list[Any], queue: TaskQueue[T]) -> Iterator[Any]:
    # What is waited for: an actor that starts, for the first time or again, or its task.
    asked: dict[Any, tuple[Any, T | None]] = {
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
        answer = None
        try:
            answer = ray.get(done[0])
        except ray.exceptions.RayError as error:
            why = _reason(str(error))
            if task is not None:
                queue.give_back(task, why)
            elif (lost := lost + 1) > ATTEMPTS * len(actors):
                raise WorkerError(f"No worker can start on the Ray cluster: {why}") from None
            asked[actor.ready.remote()] = actor, None
        else:
            if isinstance(answer, Failure):
                raise answer.error
            idle.append(actor)
        # An actor that is lost gets no task before it is there again.
        while idle and (following := queue.take()) is not None:
            chosen = idle.pop()
            asked[chosen.run.remote(following)] = chosen, following
        if answer is not None:
            yield answer


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[Any]:
    """Yield Ray, connected: as it is if it is already, else to a cluster, or to one of its own."""
    own = QUIET if address else {**QUIET, **_access()}
    try:
        with environment(own):
            import ray
    except ImportError:
        raise InputError(
            "--workers ray (workers='ray') needs Ray. Install it: "
            "pip install 'retriever-compare[ray]'"
        ) from None
    if ray.is_initialized():
        yield ray
        return
    with environment(own), _joined(ray, address) if address else _started(ray):
        yield ray


@contextlib.contextmanager
def _joined(ray: Any, address: str) -> Iterator[None]:
    """Connect to a cluster."""
    try:
        _reach(address)
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # of several libraries
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise WorkerError(
            f"No Ray cluster answers at {address}: {why}. Start one (ray start --head), or use "
            "processes of this machine: --workers 4 (workers=4)."
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _started(ray: Any) -> Iterator[None]:
    """Start a cluster of this machine alone.

    It has no dashboard, listens on the loopback interface, and lets only those in who have its
    token, which is in no file. Its own files are in a temporary folder, removed afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="retriever-ray-", ignore_cleanup_errors=True) as folder:
        ray.init(
            num_cpus=cores(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        try:
            yield
        finally:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raise an OSError in a few seconds if nobody listens at an address: Ray waits far longer."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def _access() -> dict[str, str]:
    """Return what lets only this process use its cluster, unless Ray was imported without that."""
    if MODE in os.environ or (RAY in sys.modules and not _token.cache_info().currsize):
        return {}
    return {MODE: "token", TOKEN: _token()}


@cache
def _token() -> str:
    """Return the token of the clusters of this process: Ray reads it when it is imported."""
    return secrets.token_hex(32)
