"""
Lame duck: the while between saying that a server will stop and stopping it.

Knows a clock; nothing of who says so, or of what goes on meanwhile.
"""

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater


class LameDuck:
    """
    Lets *seconds* pass, unless it is told that this is enough.

    :param clock: keeps the time; the reactor.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._waiting: Deferred[None] | None = None

    async def wait(self) -> None:
        """Let the time pass; none does where there is none to pass."""
        if not self.seconds:
            return
        self._waiting = deferLater(self._clock, self.seconds)
        try:
            await self._waiting
        except CancelledError:
            pass
        finally:
            self._waiting = None

    def end(self) -> None:
        """Wait no longer, if it does."""
        if self._waiting is not None:
            self._waiting.cancel()
