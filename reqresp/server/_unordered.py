"""
Unordered: how a connection takes up requests whose replies can overtake each other.

A reply that waits between two frames, or that the responder has not made yet, is set aside, and
the next request is taken up.  The connection performs one reply at a time, so frames are never
interleaved.  This module must not know transports.
"""

from collections import deque
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from reqresp.server import _report
from reqresp.server._ahead import MAX_BYTES, MAX_REQUESTS
from reqresp.server._backlog import Backlog
from reqresp.server._frames import NO_REPLY, ReplyUnderWay
from reqresp.server._reply import AfterOthers
from reqresp.server._report import Place
from reqresp.server._state import State, Waiting
from reqresp.server._turns import QUANTUM_BYTES, QUANTUM_SECONDS, REQUESTS_PER_LOOK
from reqresp.server.config import ServerConfig
from reqresp.server.host import Cancellable
from reqresp.server.pushes import Pushed, can_send, is_within_frame
from reqresp.server.responders import check_steps
from reqresp.steps import Close, HalfClose, Hang, StartTLS, Steps

# A module-level name is looked up faster than an attribute of an Enum.
_REPLY, _TIMER = State.REPLY, State.TIMER

#: Steps that wait until all other replies are complete.
_LAST = (Close, HalfClose, Hang, StartTLS)


class UnorderedConnection(Pushed, Protocol):
    """What this needs of its connection."""

    backlog: Backlog
    config: ServerConfig
    notes: Any
    taken: int

    def awaits(self, state: State) -> bool:
        """Return whether the connection enters, or is in, the *state* of a wait."""

    def begin(self, steps: Steps, request: bytes | None) -> None:
        """Begin the reply to *request*; None: it was not asked for."""

    def perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of the reply under way; return whether it is complete."""

    def cannot_answer(self, failure: Failure) -> None:
        """Handle that the responder has failed to answer a request that is dropped."""

    def release(self) -> None:
        """Continue: the wait that held the connection is over."""


class _Taken:
    """
    A request that was taken up and is not answered.

    :param began: when it was taken up, by the clock of the counters.
    """

    __slots__ = ("awaited", "began", "ends", "failure", "number", "reply", "request", "steps")

    def __init__(self, number: int, request: bytes, began: float) -> None:
        self.number = number
        self.request = request
        self.began = began
        #: The timer or the Deferred that it waits for.
        self.awaited: Cancellable | None = None
        #: What the responder has answered, or why it has not.
        self.steps: Steps = ()
        self.failure: Failure | None = None
        #: What is left of its reply; None: it has not begun.
        self.reply: ReplyUnderWay | None = None
        #: Whether no request is taken up until its reply is complete.
        self.ends = False


class Unordered:
    """
    Takes up the requests of *connection*, and answers each as soon as its reply is there.

    At most `MAX_REQUESTS` are under way, or `MAX_BYTES` of them.  Once a reply has begun that ends
    the connection, what is sent or what is read, or that starts TLS, no request is taken up; the
    step that does so waits for all other replies, unless it is a reset.  A reply that starts TLS
    waits as a whole.
    """

    __slots__ = (
        *("_aside", "_connection", "_current", "_ending", "_last", "_places", "_ready", "_size"),
    )

    def __init__(self, connection: UnorderedConnection) -> None:
        self._connection = connection
        self._current: _Taken | None = None  # whose reply the connection performs
        self._aside: dict[int, _Taken] = {}  # all others, by number
        self._size = 0  # bytes of their requests
        self._ready: deque[_Taken] = deque()  # those of them that can go on
        self._last: deque[_Taken] = deque()  # those of them that wait for all others
        self._ending = 0  # replies until which no request is taken up
        self._places: list[Place] = []  # of what was answered in this turn

    @property
    def has_pending(self) -> bool:
        """Whether anything waits for its turn."""
        return bool(self._aside)

    @property
    def undelivered(self) -> int:
        """How many bytes a service has not received: there is none."""
        return 0

    # What the connection does

    def connect(self) -> None:
        """Do nothing: there is no service."""

    def end(self, *, is_reset: bool) -> None:
        """Do nothing, likewise."""

    def takes_up(self, data: bytes) -> bool:  # noqa: ARG002 (for those that forward)
        """Return that the next turn does not take up all requests in *data*."""
        return False

    def pass_on(self) -> State | None:
        """Return that a turn is needed."""
        return None

    def clear(self) -> None:
        """Drop everything."""
        if self._connection.awaits(_REPLY):
            self._connection.hold = None
        aside, self._aside = self._aside, {}
        self._current = None
        self._ready.clear()
        self._last.clear()
        for taken in aside.values():
            if taken.awaited is not None:
                _report.cancel(taken.awaited)

    def received(self, data: bytes) -> None:
        """Keep *data*, and take up what is in it if the connection waits for replies only."""
        self._connection.backlog.put(data)
        if self._has_room:
            self._release()

    def numbers(self, _first: int) -> list[Place]:
        """Return which requests are answered in the turn that begins, which adds them."""
        self._places = []
        return self._places

    def answer_requests(
        self, started: float, received: list[bytes], answered: list[bytes], steps: list[Steps]
    ) -> bool:
        """
        Perform what is ready and take up requests for a quantum; return whether none is left.

        The parameters are those of `Forwarder.answer_requests`.
        """
        connection, host = self._connection, self._connection.host
        if connection.awaits(_REPLY) and not is_within_frame(connection):
            connection.hold = None
        look = REQUESTS_PER_LOOK
        while self._perform(answered, steps):
            if len(received) >= look:
                look = len(received) + REQUESTS_PER_LOOK
                time = host.now()
                is_late = time - started > QUANTUM_SECONDS or time > host.turns.deadline
                is_much = sum(map(len, received)) >= QUANTUM_BYTES
                if (is_late or is_much) and connection.backlog.has_requests:
                    place = host.turns.add(connection.release)
                    connection.hold = Waiting(State.YIELDED, place)
                    return False
            if not self._begin_next(received):
                if self._aside:
                    connection.hold = Waiting(_REPLY)
                return not self._aside
        return False

    # Requests

    @property
    def _has_room(self) -> bool:
        """Whether a request may be taken up now."""
        is_full = len(self._aside) >= MAX_REQUESTS or self._size >= MAX_BYTES
        if self._ending or is_full:
            return False
        # Replies under way are of the framing before.
        return not (self._aside and self._connection.backlog.is_changing)

    def _begin_next(self, received: list[bytes]) -> bool:
        """Go on with a reply, or take up a request; return False if there is neither."""
        if self._ready:
            self._go_on(self._ready.popleft())
            return True
        if self._last and not self._waits_for_others():
            self._go_on(self._last.popleft())
            return True
        connection = self._connection
        if not self._has_room:
            return False
        request = next(connection.backlog.requests, None)
        if request is None:
            return connection.backlog.decode_more()
        connection.taken += 1
        received.append(request)
        counters = connection.host.counters
        began = 0.0 if counters is None else counters.now()
        if counters is not None:
            counters.unanswered += 1
        self._ask(_Taken(connection.taken, request, began))
        return True

    def _ask(self, taken: _Taken) -> None:
        """Ask the responder for the reply, which it makes now or later."""
        connection = self._connection
        answer = connection.config.responder.respond(taken.request, connection)
        if isinstance(answer, tuple):
            self._current = taken
            self._begin(taken, answer)
        elif not isinstance(answer, Deferred):
            check_steps(answer)  # raises
        elif connection.hold is not None:
            answer.addErrback(connection.cannot_answer)  # it was lost inside the responder
            _report.cancel(answer)
        else:
            taken.awaited = answer
            self._put_aside(taken)
            answer.addCallback(self._answer, taken).addErrback(self._cannot_answer, taken)

    def _answer(self, steps: Steps, taken: _Taken) -> None:
        if taken.number in self._aside:  # the connection has not ended meanwhile
            taken.steps = check_steps(steps)
            self._resume(taken)

    def _cannot_answer(self, failure: Failure, taken: _Taken) -> None:
        if taken.number not in self._aside:
            self._connection.cannot_answer(failure)
            return
        taken.failure = failure
        self._resume(taken)

    # Replies

    def _begin(self, taken: _Taken, steps: Steps) -> None:
        """Begin the reply to *taken* with *steps*, into which faults are injected."""
        connection = self._connection
        connection.begin(steps, taken.request)
        _, request, reported, performed = connection.reply
        performed = cast(Steps, performed)  # nothing is performed so far
        if not any(it.ends_requests or it.ends_sending or type(it) in _LAST for it in performed):
            return
        taken.ends = True
        self._ending += 1
        at = next((at for at, it in enumerate(performed) if type(it) in _LAST), None)
        if at is not None:
            if any(type(it) is StartTLS for it in performed):
                at = 0  # a client that was told to start TLS expects nothing else in the clear
            step: Any = AfterOthers(self._waits_for_others)
            performed = (*performed[:at], step, *performed[at:])
            connection.reply = iter(performed), request, reported, performed

    def _perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of a reply; return whether another one can follow."""
        connection, before = self._connection, len(answered)
        can_follow = connection.perform(answered, steps)
        if len(answered) > before:
            self._complete()
        can_follow = can_follow or self._set_aside()
        return can_follow and not (connection.pushed and can_send(connection))

    def _set_aside(self) -> bool:
        """Set the reply aside if it waits between two frames; return whether it does."""
        connection, taken = self._connection, self._current
        hold = connection.hold
        if taken is None or not isinstance(hold, Waiting) or is_within_frame(connection):
            return False
        if hold.state is _REPLY:
            self._last.append(taken)
        elif hold.state is _TIMER and hold.awaited is not None:
            taken.awaited = self._retimed(hold.awaited, taken)
        else:
            return False
        taken.reply, connection.reply = connection.reply, NO_REPLY
        connection.hold = self._current = None
        self._put_aside(taken)
        return True

    def _put_aside(self, taken: _Taken) -> None:
        self._aside[taken.number] = taken
        self._size += len(taken.request)

    def _retimed(self, call: Any, taken: _Taken) -> IDelayedCall:
        """Return what resumes *taken* when *call* would have released the connection."""
        clock = self._connection.host.clock
        seconds: float = call.getTime() - clock.seconds()
        call.cancel()
        return clock.callLater(max(0.0, seconds), self._resume, taken)

    def _resume(self, taken: _Taken) -> None:
        """Have the reply to *taken* go on in its turn."""
        taken.awaited = None
        self._ready.append(taken)
        self._release()

    def _release(self) -> None:
        if self._connection.awaits(_REPLY):
            self._connection.release()

    def _go_on(self, taken: _Taken) -> None:
        """Have the connection perform what is left of the reply to *taken*."""
        del self._aside[taken.number]
        self._size -= len(taken.request)
        self._current = taken
        if taken.failure is not None:
            taken.failure.raiseException()
        if taken.reply is None:
            self._begin(taken, taken.steps)
        else:
            self._connection.reply = taken.reply

    def _waits_for_others(self) -> bool:
        """Return whether other replies are under way than those that wait for all others."""
        return len(self._aside) > len(self._last)

    def _complete(self) -> None:
        """Note that the reply under way is complete."""
        taken, self._current = self._current, None
        if taken is None:
            return
        if taken.ends:
            self._ending -= 1
        overtaken = sum(number < taken.number for number in self._aside)
        self._places.append(Place(taken.number, overtaken))
        counters = self._connection.host.counters
        if counters is not None:
            counters.unanswered -= 1
            counters.count_replies(1, taken.began)
