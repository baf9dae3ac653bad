"""
Futures: results of a server that asyncio can await, and calls that must not block its event loop.

Must not import asyncio before a caller has: the import takes long, and most tests do without.
"""

import sys
from collections.abc import Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

T = TypeVar("T")

# pytest shows the line of the test that called, and no frame of this module.
__tracebackhide__ = True


def running_loop() -> "AbstractEventLoop | None":
    """Return the event loop of asyncio that runs in this thread; None: none does."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop: AbstractEventLoop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop


def check_can_block(call: str, instead: str) -> None:
    """
    Check that *call* can wait in this thread.

    :param instead: what to do in a coroutine, for the message.
    :raises RuntimeError: an event loop runs in this thread, and would be blocked.
    """
    if running_loop() is not None:
        raise RuntimeError(
            f"{call} would block the running event loop, and every client in it: {instead}"
        )


class AwaitableFuture(Future[T]):
    """
    A ``concurrent.futures.Future`` that a coroutine of asyncio can await, too.

    `result` and `exception` raise RuntimeError if they would block a running event loop.
    """

    def __await__(self) -> Generator[Any, None, T]:
        loop = running_loop()
        if loop is None:
            raise RuntimeError(
                "await needs a running event loop of asyncio; elsewhere call result(timeout)"
            )
        import asyncio

        return asyncio.wrap_future(self, loop=loop).__await__()

    def result(self, timeout: float | None = None) -> T:
        if self.would_wait(timeout):
            check_can_block("result", "await the future")
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if self.would_wait(timeout):
            check_can_block("exception", "await the future")
        return super().exception(timeout)

    def would_wait(self, timeout: float | None) -> bool:
        """Return whether `result` would wait, for *timeout* seconds at most; None: for ever."""
        return not self.done() and (timeout is None or timeout > 0)
