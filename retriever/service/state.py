"""What one process of a service holds: its collections, the threads that answer, and who waits."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from indexes.errors import CollectionError, InputError, RefusedError, unknown_name
from retriever.collection import Collection
from retriever.records import Record
from retriever.service.metrics import Metrics
from retriever.service.problems import RETRY_AFTER, stopping, without_paths
from retriever.service.quick import QuickSearches, Shape
from retriever.service.settings import ServiceSettings
from retriever.service.writing import Writing

Result = TypeVar("Result")
_LOG = logging.getLogger(__name__)
# Encoded once by every model before the service says that it is ready.
WARM_UP = "ready"
# Why what is waited for is canceled, when it takes too long.
LATE = "late"


class ServiceState:
    """The collections of a service, by name, and a bounded number of threads that use them.

    Made in the process that answers, and opened there: models and catalogs are not shared with a
    parent process. Everything that reads a collection goes through `run`, everything that writes
    through `write`, so that requests that cannot be answered in time are refused.

    A process that does nothing else is `alone`: what it loaded at first stays, and is not looked
    through for garbage again, which took 75 ms and more.
    """

    def __init__(self, settings: ServiceSettings, *, alone: bool = False) -> None:
        self.settings, self._alone = settings, alone
        self.limits = settings.limits
        self.metrics = Metrics()
        self.collections: dict[str, Collection] = {}
        # How messages name a collection: clients need not know where it is.
        self.folders = {str(path): name for name, path in settings.by_name.items()}
        self.is_ready = False
        # What was wrong with those that could not be read; see `check_collections`.
        self._lost: dict[str, str] = {}
        self._quick, self._turn = QuickSearches(), asyncio.Lock()
        self._inside = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        """Open all collections, and start to load their models in the background."""
        self._executor = ThreadPoolExecutor(self.limits.workers, "retriever-answer")
        self._writers = ThreadPoolExecutor(len(self.settings.libraries), "retriever-write")
        for name, path in self.settings.by_name.items():
            self.collections[name] = Collection.open(path)
        self.writing = Writing(self.collections, self.limits.lock_seconds)
        self._executor.submit(self._warm_up)

    def _warm_up(self) -> None:
        for name, collection in self.collections.items():
            try:
                for index in collection.default_indexes():
                    collection.search(WARM_UP, index=index, k=1)
            except Exception as error:  # it answers what it can; a search says what is wrong
                _LOG.warning("%s: %s", name, error)
        if self._alone:
            gc.collect()
            gc.freeze()
        self.is_ready = True

    def check_collections(self) -> None:
        """Raise a CollectionError, logged once, if a collection cannot be read any more."""
        errors: dict[str, CollectionError] = {}
        for name, collection in self.collections.items():
            try:
                len(collection)
            except CollectionError as error:
                errors[name] = error
                if self._lost.get(name) != str(error):
                    _LOG.error("%s: %s", name, error)
        self._lost = {name: str(error) for name, error in errors.items()}
        if errors:
            raise next(iter(errors.values()))

    def close(self) -> None:
        """Stop the updates of indexes, wait for the running answers, and close the collections."""
        self.is_ready = False
        self.writing.stop()
        for executor in (self._executor, self._writers):
            executor.shutdown(cancel_futures=True)
        for collection in self.collections.values():
            collection.close()

    def name_of(self, library: str | None) -> str:
        """Return the name of the collection that a request means.

        Raises:
            UnknownNameError: it is not served.
            InputError: none is named, and there are several.
        """
        names = list(self.collections)
        if library is None:
            if len(names) == 1:
                return names[0]
            raise InputError(
                f"Say which collection by ?library=NAME. There are: {', '.join(names)}."
            )
        if library not in self.collections:
            raise unknown_name("collection", library, "this service", names)
        return library

    def public(self, text: str) -> str:
        """Return a message with the names of collections in place of their folders."""
        return without_paths(text, self.folders)

    def public_record(self, record: Record) -> Record:
        """Return a record with the names of collections in place of their folders in its notes."""
        return {**record, "notes": [self.public(note) for note in record["notes"]]}

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what a function that reads returns, called in a thread; see `Limits`.

        Raises:
            RefusedError: too many requests wait (429), or the answer takes too long (503).
        """
        return await self._in_time(self._submitted(self._executor, function))

    async def search(
        self,
        shape: Shape,
        function: Callable[[], Result],
        if_unchanged: Callable[[], Result | None],
    ) -> Result:
        """Return what a function that searches returns; see `QuickSearches`; errors as in `run`.

        `if_unchanged` does the same at once, or returns None if the collection has changed.
        """
        if self._quick.are_quick(shape):
            found = await self._in_turn(partial(self._quick.here, shape, if_unchanged))
            if found is not None:
                return found
        return await self.run(self._quick.timed(shape, function))

    async def _in_turn(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns, called in the event loop.

        Between two of them, the loop reads what has come, so that it is answered in that order:
        else the last request of a round waited for the whole next round.
        """
        self._enter()
        try:
            waits = self._turn.locked()
            async with self._turn:
                if not waits:
                    await asyncio.sleep(0)
                return function()
        finally:
            self._leave()

    async def write(self, function: Callable[[], Result]) -> Result:
        """Return what a function that writes returns; errors as in `run`."""
        return await self._in_time(self._submitted(self._writers, function))

    def _submitted(
        self, executor: ThreadPoolExecutor, function: Callable[[], Result]
    ) -> asyncio.Future[Result]:
        self._enter()
        try:
            job = executor.submit(function)
        except RuntimeError:  # it is being closed
            self._leave()
            raise stopping() from None
        # A thread that nobody waits for any more still counts, until it ends.
        job.add_done_callback(self._leave)
        return asyncio.wrap_future(job)

    def _enter(self) -> None:
        with self._lock:
            if self._inside >= self.limits.workers + self.limits.queue:
                self.metrics.refused.inc()
                raise RefusedError(
                    429,
                    f"{self._inside} requests are being answered or wait already. Try again later.",
                    retry_after=RETRY_AFTER,
                )
            self._inside += 1
        self.metrics.inside.inc()

    def _leave(self, _: Future[Any] | None = None) -> None:
        with self._lock:
            self._inside -= 1
        self.metrics.inside.dec()

    async def _in_time(self, future: asyncio.Future[Result]) -> Result:
        late = asyncio.get_running_loop().call_later(self.limits.seconds, future.cancel, LATE)
        try:
            return await future
        except asyncio.CancelledError as error:
            if error.args == (LATE,):
                raise RefusedError(
                    503,
                    f"The answer takes longer than {self.limits.seconds:g} s. Try again later, or "
                    "ask for less.",
                    retry_after=self.limits.seconds,
                ) from None
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise stopping() from None
        finally:
            late.cancel()
