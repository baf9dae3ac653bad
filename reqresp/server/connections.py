"""
Gathering: the connections of a server, from the first to the last.

Sees that the idle ones are found, and that all of them end in order when the server stops.  It
knows nothing of what they say.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from reqresp.server.connection import SWEEPS, Connection


class Arrival(Protocol):
    """A connection that was accepted, and whose client is not known yet."""

    @property
    def transport(self) -> Any:
        """What it came on."""

    def finish(self) -> None:
        """End: all that has arrived was read, and did not tell who the client is."""


class Gathering(Factory):
    """
    A factory that keeps its connections together.

    :param clock: keeps the time of waits and time-outs; the global reactor unless given.
    """

    def __init__(self, clock: IReactorTime | None) -> None:
        self.connections: set[Connection] = set()
        #: Those who will be connections, and take as much place.
        self.arrivals: set[Arrival] = set()
        self._clock = clock
        self._idle_timeout: float | None = None
        self._sweeps: LoopingCall | None = None
        self._draining: list[Deferred[None]] = []
        self._deadlines: list[IDelayedCall] = []
        self._is_finishing = False

    @property
    def clock(self) -> IReactorTime:
        """What keeps the time."""
        if self._clock is None:
            # Late: to import the reactor is to install it.
            from twisted.internet import reactor

            self._clock = cast(IReactorTime, reactor)
        return self._clock

    def arrived(self, arrival: Arrival) -> None:
        """Count a connection whose client is not known yet."""
        self.arrivals.add(arrival)

    @contextmanager
    def settling(self, arrival: Arrival) -> Iterator[None]:
        """Count an *arrival* no more, which within this becomes a connection, or is gone."""
        self.arrivals.discard(arrival)
        try:
            yield
        finally:
            self._end_if_alone()  # no sooner: a drain is not over while this is under way

    def _add(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self._sweeps is None:
            self._start_sweeping()

    def _end_if_alone(self) -> None:
        if self.connections:
            return
        self._stop_sweeping()
        if self.arrivals:
            return
        for deadline in self._deadlines:
            if deadline.active():
                deadline.cancel()
        self._deadlines.clear()
        self._is_finishing = False
        draining, self._draining = self._draining, []
        for drained in draining:
            drained.callback(None)

    # Idle connections

    def _sweep_each(self, idle_timeout: float | None) -> None:
        """Close the connections that are idle for so many seconds from now on."""
        self._idle_timeout = idle_timeout
        self._stop_sweeping()
        if self.connections:
            self._start_sweeping()

    def _start_sweeping(self) -> None:
        if not self._idle_timeout:
            return
        self._sweeps = LoopingCall(self._sweep)
        self._sweeps.clock = self.clock
        self._sweeps.start(self._idle_timeout / SWEEPS, now=False)

    def _stop_sweeping(self) -> None:
        if self._sweeps is not None:
            self._sweeps.stop()
            self._sweeps = None

    def _sweep(self) -> None:
        for connection in [*self.connections]:
            connection.sweep()

    # Draining

    def drain(self, seconds: float) -> Deferred[None]:
        """
        Answer what was received, then close; reset what is not done after *seconds*.

        Clients that connect from the next turn of the reactor on are refused; stop listening first.
        Call it again, with less, to hasten it.

        :returns: fires when no connection is left.
        """
        drained: Deferred[None] = Deferred()
        self._draining.append(drained)
        if not self.connections and not self.arrivals:
            self._end_if_alone()
            return drained
        # A turn later: what has arrived by now is read first.
        self._deadlines.append(self.clock.callLater(0, self._finish))
        self._deadlines.append(self.clock.callLater(seconds, self._abort))
        return drained

    def _finish(self) -> None:
        self._is_finishing = True
        for each in [*self.arrivals, *self.connections]:
            each.finish()

    def _abort(self) -> None:
        for each in [*self.arrivals, *self.connections]:
            each.transport.abortConnection()
