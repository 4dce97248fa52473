"""Queries that arrive together, answered together.

While one batch of a kind is computed, further queries of that kind wait, and are then computed as
one batch: no query waits for others to come. See section 4.3 of Crankshaw et al. 2017, "Clipper:
A Low-Latency Online Prediction Serving System".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from retriever.service.problems import stopping

# Answers some queries, in order.
AnswerMany = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass
class _Waiting:
    """Queries of one kind, with the futures of their answers."""

    queries: deque[tuple[Any, asyncio.Future[Any]]] = field(default_factory=deque)
    running: int = 0


class Batches:
    """Answers queries of the same kind in batches of at most `most`, one of a kind at a time.

    Used from the event loop's thread alone; the batches are computed in the threads of `executor`.
    """

    def __init__(self, executor: Executor, most: int, observe: Callable[[int], object]) -> None:
        self._executor, self._most, self._observe = executor, most, observe
        self._kinds: dict[Hashable, _Waiting] = {}

    def ask(self, kind: Hashable, query: Any, answer: AnswerMany) -> asyncio.Future[Any]:
        """Return the future answer to a query; `answer` is the same for all queries of a kind."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._kinds.setdefault(kind, _Waiting())
        waiting.queries.append((query, future))
        # Alone, each goes its own way.
        if not waiting.running or self._most == 1:
            self._start(kind, waiting, answer)
        return future

    def _start(self, kind: Hashable, waiting: _Waiting, answer: AnswerMany) -> None:
        taken: list[tuple[Any, asyncio.Future[Any]]] = []
        while waiting.queries and len(taken) < self._most:
            query, future = waiting.queries.popleft()
            if not future.done():  # nobody waits for it any more
                taken.append((query, future))
        if taken:
            self._observe(len(taken))
            waiting.running += 1
            self._submit(taken, answer, lambda: self._ended(kind, waiting, answer))
        elif not waiting.running:
            self._kinds.pop(kind, None)

    def _ended(self, kind: Hashable, waiting: _Waiting, answer: AnswerMany) -> None:
        waiting.running -= 1
        self._start(kind, waiting, answer)

    def _submit(
        self,
        taken: Sequence[tuple[Any, asyncio.Future[Any]]],
        answer: AnswerMany,
        ended: Callable[[], object],
    ) -> None:
        loop = asyncio.get_running_loop()
        job = self._executor.submit(answer, [query for query, _ in taken])
        job.add_done_callback(
            lambda done: loop.call_soon_threadsafe(self._settle, taken, done, answer, ended)
        )

    def _settle(
        self,
        taken: Sequence[tuple[Any, asyncio.Future[Any]]],
        done: Future[Sequence[Any]],
        answer: AnswerMany,
        ended: Callable[[], object],
    ) -> None:
        error = stopping() if done.cancelled() else done.exception()
        if error is not None and len(taken) > 1 and not done.cancelled():
            # It may be the fault of one: each is asked alone.
            for one in taken:
                self._submit([one], answer, bool)
        else:
            answers = done.result() if error is None else [None]
            for (_, future), result in zip(taken, answers, strict=True):
                if future.done():
                    continue
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        ended()
