"""
Turns: how connections with much to do share the reactor with all others.

A connection gives way after a quantum of work and waits for its next turn here.  In one turn of the
reactor, as many of those that wait continue as fit into `TURN_BUDGET`; connections that begin to
work after that give way soon.  However many there are, a client that has just sent a request waits
little longer than that for them.  This module knows calls and clocks; it must not know connections.
"""

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Bytes of requests after which a connection gives way.
QUANTUM_BYTES = 4 * 1024
#: Seconds after which a connection gives way.
QUANTUM_SECONDS = 0.002
#: Seconds in one turn of the reactor for all connections that give way.
TURN_BUDGET = 0.01


class Turn:
    """The place of one connection in `Turns`."""

    __slots__ = ("_turns", "go_on")

    def __init__(self, turns: "Turns", go_on: Callable[[], None]) -> None:
        self._turns = turns
        self.go_on = go_on

    def cancel(self) -> None:
        """Remove the connection from `Turns`."""
        self._turns.remove(self)


class Turns:
    """
    The connections that gave way, in the order in which they continue.

    :param clock: returns the clock that starts the turns of the reactor.
    :param now: returns seconds of a monotonic clock, which measures the work.
    """

    def __init__(self, clock: Callable[[], IReactorTime], now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._waiting: dict[Turn, None] = {}
        self._call: IDelayedCall | None = None
        #: When all connections have to give way in this turn of the reactor, by *now*.
        self.deadline = inf

    def __len__(self) -> int:
        """Return how many connections wait."""
        return len(self._waiting)

    def add(self, go_on: Callable[[], None]) -> Turn:
        """Call *go_on* in another turn of the reactor, after those that wait already."""
        turn = Turn(self, go_on)
        self._waiting[turn] = None
        if self.deadline == inf:  # the first one in this turn of the reactor
            self.deadline = self._now() + TURN_BUDGET
        self._call_later()
        return turn

    def remove(self, turn: Turn) -> None:
        """Remove *turn*: its connection is not called."""
        self._waiting.pop(turn, None)
        call = self._call
        if call is not None and not self._waiting:
            self.deadline = inf
            self._call = None
            call.cancel()

    def _call_later(self) -> None:
        if self._waiting and self._call is None:
            self._call = self._clock().callLater(0, self._take)

    def _take(self) -> None:
        self._call = None
        deadline = self.deadline = self._now() + TURN_BUDGET
        try:
            for turn in [*self._waiting]:
                if turn not in self._waiting:
                    continue  # cancelled by one of those before it
                del self._waiting[turn]
                turn.go_on()
                if self._now() > deadline:
                    break
        finally:
            if not self._waiting:
                self.deadline = inf
            self._call_later()
