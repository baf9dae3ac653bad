"""
Forwarder: how a connection takes up requests that may be forwarded to a service.

While the service is asked, it takes up further requests, and keeps their answers in `Ahead`.  It
has the connection perform them, in order.  It must not know transports.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from reqresp.framing import Framed, FrameError, Framing, SilenceDecoder, feed_run, is_new, with_raw
from reqresp.server import _report
from reqresp.server._ahead import Ahead, Pending
from reqresp.server._backlog import SLICE, Backlog
from reqresp.server._state import Hold, State, Waiting
from reqresp.server._turns import QUANTUM_SECONDS, REQUESTS_PER_LOOK
from reqresp.server.config import ServerConfig
from reqresp.server.host import ConnectionHost
from reqresp.server.responders import check_steps
from reqresp.server.service import Service
from reqresp.steps import Steps
from reqresp.transport.stream import Stream

# A module-level name is looked up faster than an attribute of an Enum.
_UPSTREAM, _REPLY, _IDLE = State.UPSTREAM, State.REPLY, State.IDLE
_DROPPING = (State.HANGING, State.ENDED, State.LOST)  # what the service sends is dropped

#: What follows a turn while the service is waited for.
FOR_SERVICE = Waiting(_UPSTREAM)

# The requests of a read that are only forwarded, the steps that answer each, and their bytes.
_Run = tuple[Sequence[bytes], Steps, bytes]


class ForwardingConnection(Protocol):
    """What a forwarder needs of its connection."""

    backlog: Backlog
    config: ServerConfig
    framing: Framing
    hold: Hold | None
    host: ConnectionHost
    notes: Any
    number: int
    peer: IAddress
    sent: int
    stream: Stream
    taken: int

    @property
    def state(self) -> State:
        """What holds the connection."""

    def awaits(self, state: State) -> bool:
        """Return whether the connection enters, or is in, the *state* of a wait."""

    def begin(self, steps: Steps, request: bytes | None) -> None:
        """Begin the reply to *request*; None: it was not asked for."""

    def perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of the reply under way; return whether it is complete."""

    def cannot_answer(self, failure: Failure) -> None:
        """Handle that the responder has failed to answer a request that is dropped."""

    def end(self, end: Callable[[Stream], None]) -> None:
        """End the connection with *end*, or have that follow the turn under way."""

    def release(self) -> None:
        """Continue: the wait that held the connection is over."""


class Forwarder:
    """Takes up the requests of *connection*, and is the user of *service*."""

    __slots__ = ("_ahead", "_connection", "_forwards_runs", "_run")

    def __init__(self, connection: ForwardingConnection, service: Service) -> None:
        self._connection = connection
        self._ahead = Ahead(self, service, connection.config.framing)
        self._run: _Run | None = None  # to be taken up in the next turn
        # Whether the responder can say of many requests that they are only forwarded.
        responder = connection.config.responder
        has_ends = not isinstance(connection.backlog.decoder, SilenceDecoder)
        self._forwards_runs = has_ends and responder.answer_alike((), connection) is not None

    @property
    def host(self) -> ConnectionHost:
        """The server."""
        return self._connection.host

    @property
    def peer(self) -> IAddress:
        """The client's address."""
        return self._connection.peer

    @property
    def number(self) -> int:
        """The number of the client's connection."""
        return self._connection.number

    @property
    def stream(self) -> Stream:
        """The stream of the client's connection."""
        return self._connection.stream

    @property
    def has_pending(self) -> bool:
        """Whether anything waits for its turn."""
        return bool(self._ahead.pending)

    def numbers(self, first: int) -> int:
        """Return the number of the next request to be answered; *first* would be without this."""
        return first - self._ahead.requests

    @property
    def undelivered(self) -> int:
        """How many bytes the service has not received, as far as is known."""
        return self._ahead.undelivered

    # What the connection does

    def connect(self) -> None:
        """Begin to connect to the service."""
        self._ahead.connect()

    def clear(self) -> None:
        """Drop everything, and end the connection to the service."""
        self._ahead.clear()

    def end(self, *, is_reset: bool) -> None:
        """End the connection to the service as the client's has ended."""
        self._ahead.end(is_reset=is_reset)

    def received(self, data: bytes) -> None:
        """Take up what is in *data*, if the connection waits for the service only, or keep it."""
        is_taken = self._connection.state is _UPSTREAM and self.takes_up(data)
        if not is_taken:
            self._connection.backlog.put(data)
        if is_taken or self._ahead.room > 0:
            self.service_resumed()

    def takes_up(self, data: bytes) -> bool:
        """
        Return whether the next turn takes up all requests in *data*, which has arrived.

        They are all forwarded, whole and few enough.  This takes less time than one by one.
        """
        connection, ahead = self._connection, self._ahead
        backlog = connection.backlog
        is_next = not backlog.has_requests and backlog.error is None and is_new(backlog.decoder)
        is_held = connection.stream.is_blocked or ahead.is_first_ready
        has_faults = bool(connection.config.faults)  # which may change each reply in another way
        if not self._forwards_runs or has_faults or not is_next or is_held or len(data) > SLICE:
            return False
        if (room := ahead.room) <= 0:
            return False
        try:
            requests, raw = feed_run(backlog.decoder, data)
        except FrameError:
            requests = []
        if 0 < len(requests) <= room:
            steps = connection.config.responder.answer_alike(requests, connection)
            if steps is not None:
                self._run = requests, steps, raw
                return True
        backlog.decoder = with_raw(connection.config.decoder())  # which has not seen *data*
        return False

    def answer_requests(
        self, started: float, received: list[bytes], answered: list[bytes], steps: list[Steps]
    ) -> bool:
        """
        Perform what is ready and take up requests for a quantum; return whether none is left.

        :param started: when the turn has.
        :param received: requests that are taken up are added here.
        :param answered: requests whose reply is complete are added here, and its steps to *steps*.
        """
        connection, ahead = self._connection, self._ahead
        backlog = connection.backlog
        if self._run is not None:
            received += self._run[0]
            self._forward(self._run)
            connection.hold = FOR_SERVICE
            return False
        while self._perform_ready(answered, steps):
            if not backlog.has_requests:
                break
            if received and ahead.room > 0 and self._is_late(started):
                place = connection.host.turns.add(connection.release)
                connection.hold = Waiting(State.YIELDED, place)
                return False
            if not self._take(started, received):
                break
            if not ahead.is_first_ready and not backlog.has_requests:
                break
        else:
            return False
        if ahead.pending or (backlog.has_requests and not ahead.is_ending):
            connection.hold = Waiting(_UPSTREAM if ahead.asks_service else _REPLY)
            return False
        return True

    def pass_on(self) -> State | None:
        """
        Forward what `takes_up` has found, or send on the replies of the service.

        :returns: what holds the connection then; None: something else is to be done as well.
        """
        connection, ahead = self._connection, self._ahead
        if self._run is not None:
            self._forward(self._run)
            return _UPSTREAM
        backlog = connection.backlog
        if connection.config.faults or backlog.has_requests or backlog.error is not None:
            return None
        stream = connection.stream
        for replied in ahead.take_plain():
            stream.write(b"".join(replied.replies))
        stream.flush()
        if not ahead.pending:
            return _IDLE
        return _UPSTREAM if ahead.asks_service and not ahead.is_first_ready else None

    def _forward(self, run: _Run) -> None:
        """Forward the requests of a read."""
        requests, steps, raw = run
        self._run = None
        self._connection.taken += len(requests)
        self._ahead.put_all(requests, steps, raw)
        self._ahead.send()

    def _is_late(self, started: float) -> bool:
        """Return whether a turn that has *started* then is over."""
        host = self._connection.host
        time = host.now()
        return time - started > QUANTUM_SECONDS or time > host.turns.deadline

    # Requests

    def _take(self, started: float, received: list[bytes]) -> bool:
        """Take up requests as far as there is room for them; return whether there were any."""
        connection, ahead = self._connection, self._ahead
        backlog, before = connection.backlog, connection.taken
        while (room := ahead.room) > 0 and connection.hold is None:
            requests = [*islice(cast(Iterator[Framed], backlog.requests), room)]
            if not requests:
                if backlog.decode_more():
                    continue
                break
            steps = None
            if not connection.config.faults:  # which may change each reply in another way
                steps = connection.config.responder.answer_alike(requests, connection)
            if steps is None:
                self._ask_each(started, requests, received)
            else:
                connection.taken += len(requests)
                received += requests
                ahead.put_all(requests, steps, b"".join([it.raw for it in requests]))
            if not backlog.has_requests or self._is_late(started):
                break
        ahead.send()
        return connection.taken > before

    def _ask_each(self, started: float, requests: Sequence[Framed], received: list[bytes]) -> None:
        """Ask the responder for each of *requests*, until there is no more room."""
        connection, ahead = self._connection, self._ahead
        for place, request in enumerate(requests):
            is_look = place % REQUESTS_PER_LOOK == REQUESTS_PER_LOOK - 1
            if ahead.room <= 0 or (is_look and self._is_late(started)):
                connection.backlog.return_requests(requests[place:])
                return
            connection.taken += 1
            received.append(request)
            try:
                self._ask(request)
            except BaseException:  # it ends the connection after the requests before it
                ahead.put_failure(request, Failure())

    def _ask(self, request: Framed) -> None:
        connection = self._connection
        answer = connection.config.responder.respond(request, connection)
        if isinstance(answer, tuple):
            self._ahead.put(request, answer)
        elif not isinstance(answer, Deferred):
            check_steps(answer)  # raises
        elif connection.hold is not None:
            answer.addErrback(connection.cannot_answer)  # it was lost inside the responder
            _report.cancel(answer)
        else:
            pending = self._ahead.put_deferred(request, answer)
            answer.addCallback(self._answer, pending).addErrback(self._cannot_answer, pending)

    def _answer(self, steps: Steps, pending: Pending) -> None:
        if self._ahead.deferred is None:
            return  # the connection has ended meanwhile
        self._ahead.answer(pending, check_steps(steps))
        self._ahead.send()
        self.service_resumed()

    def _cannot_answer(self, failure: Failure, pending: Pending) -> None:
        if self._ahead.deferred is None:
            self._connection.cannot_answer(failure)
            return
        self._ahead.fail(pending, failure)
        self.service_resumed()

    # Answers

    def _perform_ready(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is ready, in order; return False if something holds the connection."""
        connection, ahead = self._connection, self._ahead
        while connection.perform(answered, steps):
            if not connection.config.faults and (replied := ahead.take_plain()):
                self._pass_replies(replied, answered, steps)
                continue
            pending = ahead.take()
            if pending is None:
                return True
            [answer] = pending.answers()
            connection.begin(answer, pending.requests[0] if pending.requests else None)
        return False

    def _pass_replies(
        self, replied: list[Pending], answered: list[bytes], steps: list[Steps]
    ) -> None:
        """Send the replies of the service as they came, in one write."""
        data = b"".join([frame for pending in replied for frame in pending.replies])
        connection = self._connection
        counters, events = connection.host.counters, connection.host.events
        if counters is not None and not connection.stream.drops_writes:
            counters.sent += len(data)
            connection.sent += len(data)
        connection.stream.write(data)
        for pending in replied:
            answered += pending.requests
            if events.reports_answered:
                steps += pending.answers()
            if counters is not None:
                _report.replies(connection, pending.steps or (), len(pending.requests))

    # Events of the service

    def service_sent(self, data: bytes) -> None:
        """Pass on what *data* completes, in its turn."""
        if self._is_dropping:
            return
        try:
            self._ahead.arrived(data)
        except FrameError as error:
            _report.not_a_reply(self._connection, self._ahead.service_name, error)
            self._ahead.ended(is_reset=True)
            self._ahead.end(is_reset=True)  # what it sends from now on means nothing
        self.service_resumed()

    def service_resumed(self) -> None:
        """Have the connection continue, if it waits for the service or for a responder."""
        connection = self._connection
        is_waiting = connection.awaits(_UPSTREAM) or connection.awaits(_REPLY)
        if is_waiting or connection.state is _IDLE:
            connection.release()

    def service_ended(self, *, is_reset: bool) -> None:
        """End as the service has ended, after what it has sent before."""
        if not self._is_dropping:
            self._ahead.ended(is_reset=is_reset)
            self.service_resumed()

    def service_failed(self, end: Callable[[Stream], None]) -> None:
        """End the connection with *end*: the service cannot be reached."""
        self._connection.end(end)

    @property
    def _is_dropping(self) -> bool:
        return self._connection.state in _DROPPING
