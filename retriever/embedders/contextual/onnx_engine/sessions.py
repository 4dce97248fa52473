"""Sessions of a graph in onnxruntime: of one thread, and of all."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from indexes.errors import ModelNotAvailableError
from indexes.storage.forking import in_child, keep
from indexes.threads import threads
from retriever.embedders.validation import first_line

# Errors only: onnxruntime warns about its graph optimizations.
QUIET = 3
# The properties that hold a session.
SESSIONS = ("single_threaded", "multi_threaded")

_OPEN: weakref.WeakSet[Sessions] = weakref.WeakSet()


class Sessions:
    """The sessions of a graph on the CPU, each opened on first use.

    Raises:
        ModelNotAvailableError: onnxruntime is not installed, or its import fails.
    """

    def __init__(self, graph: Path) -> None:
        self._graph = graph
        with importing("onnxruntime"):
            import onnxruntime
        self._engine: Any = onnxruntime
        in_child("onnxruntime", _leave_sessions)
        _OPEN.add(self)

    @cached_property
    def single_threaded(self) -> Any:
        """A session that computes in the thread of its caller."""
        return self._session(1)

    @cached_property
    def multi_threaded(self) -> Any:
        """A session that computes in all threads."""
        return self.single_threaded if threads() == 1 else self._session(threads())

    def _session(self, count: int) -> Any:
        """Open the graph for `count` threads, the caller's included."""
        if not self._graph.is_file():
            raise ModelNotAvailableError(
                f"{self._graph} was removed from the cache while it was open. Open the model again."
            )
        options = self._engine.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = count, 1
        options.log_severity_level = QUIET
        # Threads that wait do not spin: others need the cores, and so does the search afterwards.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return self._engine.InferenceSession(
            str(self._graph), options, providers=["CPUExecutionProvider"]
        )


def _leave_sessions() -> None:
    """Open all sessions again in this forked child, where their threads are dead."""
    for sessions in list(_OPEN):
        for name in SESSIONS:
            if session := vars(sessions).pop(name, None):
                keep(session)  # to destroy it is to join its threads


@contextmanager
def importing(package: str) -> Iterator[None]:
    """Translate the errors of an import into one that says what to install."""
    try:
        yield
    except (ImportError, OSError) as error:
        raise ModelNotAvailableError(
            f"{package} cannot be imported: {first_line(error)}. "
            f"Run: pip install {package}; or choose runtime torch."
        ) from None
