"""Work in a background thread, one piece at a time."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Result = TypeVar("Result")
Work = Callable[[], Result]


class BackgroundWorker(Generic[Result]):
    """A background thread with at most one piece of work not fetched yet.

    The work sees the context variables of the owner, such as NumPy's error state. The thread starts
    with the first piece and ends with the `with` block. If an error or Ctrl-C ends the block, the
    running work is interrupted as Ctrl-C interrupts a main thread: at its next step in Python; the
    block waits for C code until then.
    """

    def __init__(self, name: str) -> None:
        self._submitted: SimpleQueue[Work[Result] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Result, None] | tuple[None, BaseException]] = SimpleQueue()
        context = contextvars.copy_context()
        # A daemon: a second Ctrl-C must be able to end the process.
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=name, daemon=True
        )
        self._busy = False

    def submit(self, work: Work[Result]) -> None:
        """Start a piece of work; the result of the one before must have been fetched."""
        if self._thread.ident is None:
            self._thread.start()
        self._busy = True
        self._submitted.put(work)

    def result(self) -> Result:
        """Wait for the work to end; return its result, or raise its error."""
        result, error = self._results.get()
        self._busy = False
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # without an error, it is one

    def __enter__(self) -> BackgroundWorker[Result]:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.ident is None:
            return
        if self._busy:
            thread = ctypes.c_ulong(self._thread.ident)
            interrupt = ctypes.py_object(KeyboardInterrupt)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, interrupt)
        self._submitted.put(None)
        self._thread.join()

    def _run(self) -> None:
        # It may be interrupted between two pieces as well.
        with contextlib.suppress(KeyboardInterrupt):
            while work := self._submitted.get():
                try:
                    done = work()
                except BaseException as error:
                    self._results.put((None, error))
                else:
                    self._results.put((done, None))
                    del done
                del work
