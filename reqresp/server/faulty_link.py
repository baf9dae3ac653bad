"""
FaultyLink: one direction of a connection, with faults between its two ends.

Moves pieces through a `DelayLine` as time passes.  A direction without faults has no link.
"""

from collections.abc import Mapping
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from reqresp.faults import Dice
from reqresp.faults.delay_line import DelayLine
from reqresp.faults.stages import NEVER, Piece, StageOwner
from reqresp.server.stream_faults import StreamFault


class Source(Protocol):
    """The side at which the pieces arrive."""

    @property
    def clock(self) -> IReactorTime:
        """The clock that times the pieces."""

    @property
    def is_blocked(self) -> bool:
        """Whether the other side accepts no bytes."""

    def deliver(self, piece: Piece) -> None:
        """Have *piece* leave at the other side."""

    def regulate(self) -> None:
        """Read if there is room, and only then."""

    def injected(self, name: str, kind: str) -> None:
        """Handle that a fault affects the connection, for the first time."""


class FaultyLink:
    """What is on its way from *source* to the other side."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dice: dict[StageOwner, Dice] = {}
        self._line = DelayLine(lambda owner: self._dice[owner], self)
        self._injected: list[StageOwner] = []  # not reported yet
        self._is_running = False
        self._timer: IDelayedCall | None = None
        self._due = NEVER  # when the timer is due
        self._reached = -NEVER  # the same of the last one that was

    @property
    def held(self) -> int:
        """How many bytes are on their way."""
        return self._line.held

    @property
    def is_full(self) -> bool:
        """Whether no more should be read."""
        return self._line.is_full

    @property
    def has_ended(self) -> bool:
        """Whether both directions have ended."""
        return self._line.has_ended

    @property
    def is_idle(self) -> bool:
        """Whether it has no faults, and nothing is on its way."""
        return self._line.is_idle and not self._is_running

    def use(self, dice: Mapping[StreamFault, Dice]) -> None:
        """Have these faults from now on, each with its dice."""
        self._dice = dict(dice.items())
        self._line.use([*dice], self._now())
        self.run()

    def write(self, piece: Piece) -> None:
        """Take *piece*, which has arrived."""
        self._line.put(piece, self._now())
        self.run()

    def run(self) -> None:
        """Deliver what is due."""
        if self._is_running:
            return  # the call that is under way goes on
        self._is_running = True
        try:
            while (piece := self._take()) is not None:
                self._report()
                self._source.deliver(piece)
        finally:
            self._is_running = False
        self._report()
        self._set_timer()
        self._source.regulate()

    def drop(self) -> None:
        """Drop what is on its way, and go on with what comes next."""
        self._line.drop()
        self._set_timer()

    def stop(self) -> None:
        """Drop everything: there is nowhere to deliver it."""
        self._line.stop()
        self._cancel_timer()

    # Events of the line

    def injected(self, owner: StageOwner) -> None:
        self._injected.append(owner)

    def woken(self) -> None:
        if not self._is_running:
            self._set_timer()

    def _take(self) -> Piece | None:
        now = self._now()
        if self._source.is_blocked:
            self._line.block()
        else:
            self._line.unblock(now)
        return self._line.take(now)

    def _report(self) -> None:
        # An observer may change the faults, but not while the line moves pieces.
        injected, self._injected = self._injected, []
        for owner in injected:
            self._source.injected(owner.directed.name, owner.directed.fault.kind)

    # Time

    def _now(self) -> float:
        # Rounded, a timer can be early by as much as floats are apart.
        return max(self._source.clock.seconds(), self._reached)

    def _set_timer(self) -> None:
        due = self._line.due()
        if self._timer is not None and due == self._due:
            return
        self._cancel_timer()
        if due == NEVER:
            return
        self._due = due
        self._timer = self._source.clock.callLater(max(0.0, due - self._now()), self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        self._reached = self._due
        self.run()

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
