"""
Timers: what a connection sends at times, beside the replies to its requests.

Each `Timer` that the responder has for the state of the connection runs on its own.  Its steps are
performed one after another, each `Send` between two frames of everything else.  A timer takes no
steps while its last ones are under way, or while the client does not read: what waits is bounded,
and nothing that was taken is lost.  This module must not know replies.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from reqresp.faults.dice import SeededDice
from reqresp.server import pushes
from reqresp.server._actions import ACTIONS, Performer
from reqresp.server._frames import ends
from reqresp.server._reply import Replier, prepare
from reqresp.server._state import Hold, State, Waiting
from reqresp.server.observers import Unasked
from reqresp.server.triggers import Timer
from reqresp.steps import Send, Step, Wait
from reqresp.transport.stream import Writing

#: Holds a connection while a frame of a timer is sent in part.
WITHIN_FRAME = Waiting(State.TIMER)


class Timed(Performer, pushes.Pushed, Replier, Protocol):
    """What timers need of a connection."""

    notes: Any
    taken: int

    def fail(self, failure: Failure) -> None:
        """End the connection after this turn: the responder has failed."""

    def go_on(self) -> None:
        """Work until something holds the connection, or nothing is left to do."""

    def hold_with(self, hold: Hold) -> None:
        """Have *hold* follow this turn, and cancel what the connection waits for."""


class Timers:
    """
    The timers of *connection*.

    Call `update` when its state may have changed, and `stop` when it ends.
    """

    __slots__ = ("_connection", "_finishing", "_running", "_wanted", "within")

    def __init__(self, connection: Timed) -> None:
        self._connection = connection
        self._wanted: Sequence[Timer] = ()
        self._running: dict[Timer, _Running] = {}
        self._finishing: list[_Running] = []  # stopped ones, whose steps are under way
        #: Of which timer a frame is sent in part; until it ends, nothing else is sent.
        self.within: _Running | None = None

    def update(self) -> None:
        """
        Start the timers of the state that the connection is in, and stop the others.

        If all connections are in one state, do so for each of them.
        """
        connection = self._connection
        if self._update() and connection.config.responder.shares_state:
            everyone: Iterable[Any] = connection.host.everyone
            for each in everyone:
                if each.timers is not None:
                    each.timers._update()

    def _update(self) -> bool:
        """Return whether the state has other timers than before."""
        connection = self._connection
        wanted = connection.config.responder.timers(connection)
        if wanted is self._wanted:
            return False
        self._wanted = wanted
        for timer in self._running.keys() - {*wanted}:
            stopped = self._running.pop(timer)
            stopped.stop()
            self._finishing.append(stopped)
        self._finishing = [it for it in self._finishing if it.is_under_way]
        for timer in wanted:
            if timer not in self._running:
                self._running[timer] = _Running(timer, connection, self)
        return True

    def stop(self) -> None:
        """Stop all timers."""
        self.within = None
        for it in (*self._running.values(), *self._finishing):
            it.end()


class _Running:
    """One timer of one connection."""

    def __init__(self, timer: Timer, connection: Timed, timers: Timers) -> None:
        self._timer = timer
        self._connection = connection
        self._timers = timers
        seed = f"{connection.config.seed or 0}/{connection.number}/{timer.name}"
        self._dice = SeededDice(seed) if timer.jitter else None
        self._since = connection.host.clock.seconds()
        self._ticks = 0
        self._next: IDelayedCall | None = None
        # The steps under way that are left; None: there are none.
        self._left: Iterator[Step] | None = None
        self._wait: IDelayedCall | None = None
        self._ends: set[int] = set()  # bytes of these steps at the end of each frame
        self._sent = 0  # bytes of these steps
        self._frame = b""  # what was sent of the frame under way
        self._schedule()

    @property
    def is_under_way(self) -> bool:
        """Whether steps are being performed."""
        return self._left is not None

    def stop(self) -> None:
        """Take no more steps; those under way are performed to their end."""
        _cancel(self._next)

    def end(self) -> None:
        """Perform no more steps: the connection ends."""
        self.stop()
        _cancel(self._wait)
        self._left = None

    # The time

    def _schedule(self) -> None:
        """Have the next tick when it is due: late ticks are left out, and none comes early."""
        clock, timer = self._connection.host.clock, self._timer
        now = clock.seconds()
        self._ticks = max(self._ticks, int((now - self._since) / timer.seconds)) + 1
        jitter = 0.0 if self._dice is None else timer.jitter * self._dice.random()
        due = self._since + self._ticks * timer.seconds + jitter
        self._next = clock.callLater(max(0.0, due - now), self._tick)

    def _tick(self) -> None:
        """Take the steps for now, unless the last ones are under way or the client reads none."""
        connection = self._connection
        self._schedule()
        stream = connection.stream
        if stream.drops_writes:
            self.stop()
        if self._left is not None or stream.writing is not Writing.OPEN:
            return
        try:
            steps = connection.config.responder.tick(self._timer, connection)
            if steps is None:
                self.stop()  # for good: it is used up
                return
            performed, reported = prepare(connection, steps, None)
            self._ends = {*ends(reported, connection.framing)}
        except BaseException:  # as for replies
            connection.fail(Failure())
            connection.go_on()
            return
        self._left, self._sent, self._frame = iter(performed), 0, b""
        self._perform()
        connection.go_on()

    # The steps

    def _perform(self) -> None:
        """Perform what is left, up to a wait or to a step that waits for the end of a frame."""
        connection = self._connection
        for step in self._left or ():
            if isinstance(step, Wait):
                clock = connection.host.clock
                self._wait = clock.callLater(step.seconds, self._waited)
                return
            if self._timers.within is not self:
                size = len(step.data) if isinstance(step, Send) else 0
                unsent = pushes.Unsent(size, partial(self._do_next, step), between_frames=True)
                connection.pushed = (*connection.pushed, unsent)
                return
            self._do(step)
        self._left = None
        if self._timers.within is self:
            self._timers.within = None

    def _do_next(self, step: Step) -> None:
        self._do(step)
        self._perform()

    def _waited(self) -> None:
        connection = self._connection
        self._wait = None
        if self._timers.within is not self:
            self._perform()
        else:  # the rest of its frame comes before anything else
            self._timers.within = None
            if connection.hold is WITHIN_FRAME:
                connection.hold = None
            unsent = pushes.Unsent(0, self._complete, between_frames=True)
            connection.pushed = (unsent, *connection.pushed)
        connection.go_on()

    def _complete(self) -> None:
        self._timers.within = self
        self._perform()

    def _do(self, step: Step) -> None:
        connection = self._connection
        if not isinstance(step, Send):
            hold = ACTIONS[type(step)](connection, step)
            if hold is not None:
                self.end()
                connection.hold_with(hold)
            return
        framing = connection.framing
        data = step.data if step.raw else framing.encode(step.data)
        pushes.write(connection, data)
        self._sent += len(data)
        self._frame += data
        is_within = self._sent not in self._ends
        self._timers.within = self if is_within else None
        if not is_within:
            frame, self._frame = self._frame, b""
            connection.host.events.sent(connection.peer, connection.number, frame, Unasked.TIMER)


def _cancel(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
