"""
Futures: results of a server that a coroutine of asyncio can await.

Must not import asyncio before a caller has: the import takes long, and most tests do without.
"""

import sys
from collections.abc import Generator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class AwaitableFuture(Future[T]):
    """A ``concurrent.futures.Future`` that a coroutine of asyncio can await, too."""

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # takes long, and most tests do without

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "await needs a running event loop of asyncio; elsewhere call result(timeout)"
            ) from None
        return asyncio.wrap_future(self, loop=loop).__await__()


def is_in_event_loop() -> bool:
    """Return whether an event loop of asyncio runs in this thread."""
    asyncio = sys.modules.get("asyncio")  # its import takes long, and nobody else may need it
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
