"""Lines of the access log: who asked for what, and the answer; never a query, header or token."""

from __future__ import annotations

import logging

from starlette.types import Scope

from retriever.report.terminal.escape import one_line

LOG = logging.getLogger("retriever.service.access")
LONGEST_PATH = 200


def log_access(scope: Scope, status: int, seconds: float) -> None:
    """Log one request; its path without the part after `?`, in one line."""
    client = scope.get("client")
    path = one_line(scope["path"])[:LONGEST_PATH].encode("ascii", "backslashreplace").decode()
    where = client[0] if client else "-"
    LOG.info("%s %s %s %d %.1f ms", where, scope["method"], path, status, seconds * 1000)
