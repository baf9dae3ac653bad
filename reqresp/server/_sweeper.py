"""
Sweeper: looks at all connections several times in a timeout, instead of a timer for each.

It must not know what is looked for.
"""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from reqresp.server.host import SWEEPS_PER_TIMEOUT


class Sweeper:
    """
    Calls *sweep* `SWEEPS_PER_TIMEOUT` times in a timeout.

    :param clock: returns the clock.
    """

    def __init__(self, clock: Callable[[], IReactorTime], sweep: Callable[[], None]) -> None:
        self._clock = clock
        self._sweep = sweep
        self._timeout: float | None = None
        self._next: IDelayedCall | None = None

    def set(self, timeout: float | None) -> None:
        """
        Use *timeout*, in seconds, from now on; None: never sweep.

        The next sweep is not later than it was due: reloads in a row must not put it off for ever.
        """
        due = None if self._next is None else self._next.getTime()
        self.stop()
        self._timeout = timeout
        if due is not None:
            self._schedule(due)

    def start(self) -> None:
        """Sweep from now on, if that has not begun."""
        if self._next is None:
            self._schedule()

    def stop(self) -> None:
        """Sweep no more."""
        scheduled, self._next = self._next, None
        if scheduled is not None:
            scheduled.cancel()

    def _schedule(self, latest: float | None = None) -> None:
        if not self._timeout:
            return
        clock = self._clock()
        delay = self._timeout / SWEEPS_PER_TIMEOUT
        if latest is not None:
            delay = min(delay, max(0, latest - clock.seconds()))
        self._next = clock.callLater(delay, self._run)

    def _run(self) -> None:
        self._next = None
        self._schedule()
        self._sweep()
