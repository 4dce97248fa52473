"""Writes of a service, one at a time for a collection, and updates of indexes in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from indexes.errors import LockedError, RetrieverError
from retriever.collection import Collection
from retriever.records import build_all_record

_LOG = logging.getLogger(__name__)
# How often an update tries again while another process writes, with a second in between.
MOST_TRIES = 600


class _Stopped(BaseException):
    """Ends an update where the service stops; what it has embedded is kept."""


@dataclass
class _Updating:
    """The update of a collection's indexes: whether one runs or follows, and the last result."""

    thread: threading.Thread | None = None
    again: bool = False
    last: dict[str, Any] = field(default_factory=dict)


class Writing:
    """Writes to some collections, by name, by threads of this process that wait for each other."""

    def __init__(self, collections: Mapping[str, Collection], seconds: float) -> None:
        self._collections, self._seconds = collections, seconds
        self._turns = {name: threading.Lock() for name in collections}
        self._updates = {name: _Updating() for name in collections}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    @contextmanager
    def turn(self, name: str) -> Iterator[Collection]:
        """Yield a collection to write to, when no other thread of this process does.

        Raises:
            LockedError: another one still does, after the service's bounded wait.
        """
        # The writer's lock of a collection waits for other threads as long as they write.
        if not self._turns[name].acquire(timeout=self._seconds):
            raise LockedError(
                f"{self._collections[name].path}/ is being written to by another request, or its "
                "indexes are being brought up to date. Wait for it to finish, and try again."
            )
        try:
            with self._collections[name].waiting(self._seconds):
                yield self._collections[name]
        finally:
            self._turns[name].release()

    def update(self, name: str) -> None:
        """Bring all indexes up to date in the background, after an update that runs."""
        updating = self._updates[name]
        with self._lock:
            updating.again = True
            if updating.thread is None and not self._stopping.is_set():
                updating.thread = threading.Thread(
                    target=self._update, args=(name,), name=f"retriever-update-{name}"
                )
                updating.thread.start()

    def update_record(self, name: str) -> dict[str, Any]:
        """Return whether an update of the indexes runs, and the result of the last one."""
        updating = self._updates[name]
        return {"running": updating.thread is not None, **updating.last}

    def stop(self) -> None:
        """End running updates at their next batch, and wait for that."""
        self._stopping.set()
        with self._lock:
            threads = [one.thread for one in self._updates.values() if one.thread is not None]
        for thread in threads:
            thread.join()

    def _update(self, name: str) -> None:
        updating, tries = self._updates[name], 0
        while True:
            with self._lock:
                if not updating.again or self._stopping.is_set():
                    updating.thread = None
                    return
                updating.again = False
            try:
                updating.last = self._build_all(name)
            except _Stopped:
                continue
            except LockedError as error:
                updating.last, tries = {"ok": False, "error": str(error)}, tries + 1
                updating.again |= not self._stopping.wait(1.0) and tries < MOST_TRIES
            except RetrieverError as error:
                updating.last = {"ok": False, "error": str(error)}
            except Exception:  # the next one starts from what was committed
                _LOG.exception("%s: the update of the indexes has failed", name)
                updating.last = {"ok": False, "error": "The update has failed; see the log."}

    def _build_all(self, name: str) -> dict[str, Any]:
        def go_on(*_: int) -> None:
            if self._stopping.is_set():
                raise _Stopped

        collection = self._collections[name]
        with self._turns[name]:
            built = collection.build_all(progress=go_on)
        return {"ok": built.ok, **build_all_record(built)}
