"""Methods that can be awaited: each runs in a thread, so that an event loop is not blocked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def awaitable(
    method: Callable[Parameters, Result],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """Return a method that does the same when it is awaited, in a thread of the event loop's.

    Where the caller stops waiting, the thread goes on, and its result is lost.
    """

    @functools.wraps(method)
    async def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        import asyncio  # not where nothing is awaited: it takes 20 ms

        return await asyncio.to_thread(method, *arguments, **options)

    return run
