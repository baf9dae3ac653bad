"""
Turns: how connections with much to do share the reactor with all others.

A connection gives way after a quantum of work and waits for its next turn here.  All connections
that work in one turn of the reactor share `TURN_BUDGET`: as many of those that wait continue as fit
into it, and those that begin to work after it is used up give way soon.  However many there are, a
client that has just sent a request waits little longer than that for them.  This module knows calls
and clocks; it must not know connections.
"""

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IReactorTime

#: Bytes of requests after which a connection gives way.
QUANTUM_BYTES = 4 * 1024
#: Seconds after which a connection gives way.
QUANTUM_SECONDS = 0.002
#: Requests between two looks at the time.
REQUESTS_PER_LOOK = 8
#: Constant replies after which a connection gives way: observers can take longer for them than it.
QUANTUM_REPLIES = 1024
#: Seconds in one turn of the reactor for all connections with much to do.
TURN_BUDGET = 0.005


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
        #: When all connections have to give way in this turn of the reactor, by *now*.
        self.deadline = inf

    def __len__(self) -> int:
        """Return how many connections wait."""
        return len(self._waiting)

    def add(self, go_on: Callable[[], None]) -> Turn:
        """Call *go_on* in another turn of the reactor, after those that wait already."""
        turn = Turn(self, go_on)
        self._waiting[turn] = None
        self.share()
        return turn

    def remove(self, turn: Turn) -> None:
        """Remove *turn*: its connection is not called."""
        self._waiting.pop(turn, None)

    def share(self) -> None:
        """Begin the budget of this turn of the reactor, unless it has begun."""
        if self.deadline == inf:
            self.deadline = self._now() + TURN_BUDGET
            self._clock().callLater(0, self._go_on)

    def _go_on(self) -> None:
        """Let those that wait go on, in a new turn of the reactor."""
        self.deadline = inf
        if not self._waiting:
            return
        self.share()
        for turn in [*self._waiting]:
            if turn not in self._waiting:
                continue  # cancelled by one of those before it
            del self._waiting[turn]
            turn.go_on()
            if self._now() > self.deadline:
                return
