"""
Connection: one client, from bytes to requests to steps.

It has a `Stream` and a `ConnectionHost`, and must not know transports, endpoints and file formats.

At any time a connection is in one `State`.  While something holds it, what arrives waits in its
`Backlog`.  Released, it continues where it stopped, in turns: a turn performs steps and takes up
requests until something holds the connection, nothing is left, or a quantum is over.  Observers are
notified at the end of a turn, and only then the connection enters the state that follows: the order
of events does not depend on what Twisted calls when.  See docs/connection.rst for all states.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet import interfaces
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.faults import FaultInjector
from reqresp.framing import FrameError, SilenceDecoder, Unfinished, is_new
from reqresp.server import _report, _timeouts, pushes
from reqresp.server._actions import ACTIONS
from reqresp.server._backlog import SLICE
from reqresp.server._fast_path import MAX_KNOWN_BYTES, NOTHING_KNOWN, Answered
from reqresp.server._forwarder import FOR_SERVICE, Forwarder
from reqresp.server._frames import NO_REPLY, ReplyUnderWay
from reqresp.server._intake import Intake, use_stream_faults
from reqresp.server._reactions import refuse_bytes, say
from reqresp.server._reply import prepare, use_faults
from reqresp.server._slices import AT_ONCE, answer_slices
from reqresp.server._state import Ended, Hold, Lost, State, Waiting
from reqresp.server._state_backlog import make_backlog
from reqresp.server._timers import WITHIN_FRAME, Timers
from reqresp.server._turns import QUANTUM_BYTES, QUANTUM_SECONDS, REQUESTS_PER_LOOK
from reqresp.server._unordered import Unordered
from reqresp.server.config import ServerConfig
from reqresp.server.host import ConnectionHost
from reqresp.server.observers import Unasked
from reqresp.server.responders import check_steps
from reqresp.server.service import Service
from reqresp.server.triggers import Trigger
from reqresp.steps import Send, Steps
from reqresp.transport.stream import Reading, Stream, Writing

# A module-level name is looked up faster than an attribute of an Enum.
_IDLE, _TURN, _TIMER, _REPLY, _UPSTREAM, _YIELDED, _FULL, _HANGING, _ENDED, _LOST = State
_WRITE, _WRITE_FULL = Writing.OPEN, Writing.FULL
_READ, _EOF, _IGNORED = Reading.OPEN, Reading.EOF, Reading.IGNORED

_DROPPING = (_HANGING, _ENDED, _LOST)  # what arrives is dropped


@implementer(
    interfaces.IProtocol,
    interfaces.IHalfCloseableProtocol,
    interfaces.IHandshakeListener,
    interfaces.ILoggingContext,
)
class Connection:
    """
    Answers the requests of one client in their order; made by `ReqRespFactory`.

    :param host: the server.
    :param config: how it answers.
    :param peer: the client's address.
    :param service: where requests are forwarded to; None: nowhere.
    """

    __slots__ = (
        *("backlog", "begun", "config", "taker", "framing", "hold", "host", "injector"),
        *("notes", "number", "peer", "pushed", "quiet", "received", "sent", "stream", "taken"),
        *("timers", "undelivered", "_is_unseen", "_known", "_last", "reply", "_since", "_state"),
        *("_unknown", "intake"),
    )

    def __init__(
        self,
        host: ConnectionHost,
        config: ServerConfig,
        peer: IAddress,
        service: Service | None = None,
    ) -> None:
        self.config = config  # the factory's when the client connected
        self.peer = peer
        self.number = 0  #: the connection's; the factory's first is 1
        self.taken = 0  #: how many requests were taken up
        #: Bytes received from the client and handed to its transport, if the server counts.
        self.received = self.sent = 0
        self.notes: Any = None  #: what the responder keeps here for itself
        self.host = host
        self._is_unseen = host.counters is None and not host.events.reports_requests
        self._state = _IDLE
        #: What holds it, or will once this turn is over.
        self.hold: Hold | None = None
        self.stream = Stream(self)
        self.framing = config.framing  # in force, as the state of the conversation says
        self.backlog = make_backlog(self, is_forwarded=service is not None)
        #: Takes up requests in its own way; None: they are answered one after another.
        self.taker: Forwarder | Unordered | None = None
        if service is not None:
            self.taker = Forwarder(self, service)
        elif not config.ordered:
            self.taker = Unordered(self)
        # Reads that need no decoder: none while a request has begun, or the stream is not open.
        self._known: Mapping[bytes, bytes | None] = NOTHING_KNOWN
        self._unknown: bytes | None = None  # what answers other reads, likewise
        self.reply: ReplyUnderWay = NO_REPLY  # the one that is performed
        self.pushed: Sequence[pushes.Unsent] = ()  # to be sent after the frame under way
        self.timers: Timers | None = None  # if the responder has some
        self.injector: FaultInjector | None = None  # if there are faults
        self.intake: Intake | None = None  # what bytes pass before they come here; None: nothing
        self._last = False  # no more is read: EOF came, or the server drains
        self._since: float | None = None  # when the request under way was taken up, if counted
        self.quiet = self.undelivered = 0  # sweeps since something happened; bytes at the last one
        # Of a request that has begun: how many came before it, and the sweeps since.
        self.begun: tuple[int, int] | None = None

    @property
    def state(self) -> State:
        """What holds the connection."""
        return self._state

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""
        return self.host.clock

    @property
    def is_busy(self) -> bool:
        """Whether a reply is awaited, or requests wait for their turn."""
        waits = self.backlog.has_requests or self._has_pending
        is_held = self._state is _REPLY or self._state is _UPSTREAM or self._state is _YIELDED
        return is_held or (self._state is _TIMER and waits)

    @property
    def unfinished(self) -> Unfinished | None:
        """
        The request that the client has begun and not finished, as far as is known.

        None once requests are dropped: the connection hangs, has stopped reading, or ends.
        """
        return self.backlog.unfinished

    # Events of the transport

    def makeConnection(self, transport: Any) -> None:
        self.stream.attach(transport)
        self.connectionMade()

    def connectionMade(self) -> None:
        self.number = self.host.opened(self)
        self._state = _TURN  # what an observer or the responder does to the connection waits
        self.host.events.connected(self.peer, self.number)
        if self.taker is not None and self.hold is None:
            self.taker.connect()
        if self.hold is None and not self._last:
            say(self, self.host.first_trigger)
            if self.config.responder.has_timers and self.host.first_trigger is Trigger.CONNECT:
                self.time()
        self._state = _IDLE
        if self.hold is not None or self.reply is not NO_REPLY or self.pushed:
            self.go_on()
        elif self._last:
            self.finish()
        if self.host.stream_faults:
            use_stream_faults(self)

    def logPrefix(self) -> str:
        return "ReqResp"

    def dataReceived(self, data: bytes) -> None:
        self.quiet = 0
        if self._state is not _IDLE:
            self._receive_later(data)
            return
        # The fast path.  Each call and each object that it needs costs a read some nanoseconds.
        count, requests, is_whole = 1, None, True
        wire = self._known.get(data, self._unknown) if len(data) <= MAX_KNOWN_BYTES else None
        if wire is None:
            answered = self._answer_at_once(data)
            if answered is None:
                self._count_received(data)
                self.go_on()
                return
            requests, wire, is_whole = answered
            count = len(requests)
        self.taken += count
        stream = self.stream
        if self._is_unseen and stream.is_eager:  # nothing happens before or after the write
            stream.transport.write(wire)
            return
        host, counters = self.host, self.host.counters
        if counters is not None:
            counters.received += len(data)
            counters.sent += len(wire)
            self.received += len(data)
            self.sent += len(wire)
            counters.until_timed -= count
            began = counters.now() if counters.until_timed < 0 else None
        self._state = _TURN  # a layer may report EOF, a loss or more data from inside the write
        if wire:
            try:
                self.stream.transport.write(wire)
            except BaseException:  # as in a turn
                self.fail(Failure())
        if counters is not None and began is not None:
            counters.time_sample(count, began)
        if host.events.reports_requests and count:
            peer, number, config = self.peer, self.number, self.config
            first = self.taken - count + 1
            if requests is None:
                found = config.batch.learned.get(data)  # type: ignore[union-attr]  # it is known
                requests = found or (data,)
            try:
                host.events.report_at_once(peer, number, config, first, requests, data, is_whole)
            except BaseException:  # as in Events
                host.events.failed_at_once()
        self._state = _FULL if self.stream.writing is _WRITE_FULL else _IDLE
        if self.hold is not None or self._last or self.backlog.waiting or self.pushed:
            self.go_on()

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        self.stream.handshake_completed()
        if self.host.stream_faults or self.intake is not None:
            use_stream_faults(self)

    def readConnectionLost(self) -> None:
        self.stream.read_lost()

    def writeConnectionLost(self) -> None:
        self.stream.write_lost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.stream.lost()
        if self.taker is not None:
            self.taker.end(is_reset=reason.check(ConnectionDone) is None)
        if self._state is _ENDED:  # everything was dropped and reported when it ended
            self._lose(reason)
            return
        unfinished = _report.find_unfinished(self)
        if self._state is _TURN:  # whose observers have to be notified first
            failure = getattr(self.hold, "failure", None)
            self._drop()
            self.hold = Lost(reason, failure, unfinished)
            return
        self._state = _ENDED
        self._drop()
        _report.incomplete(self, unfinished)
        self._lose(reason)

    # Events of the stream

    def filled(self) -> None:
        """Hold the connection until the stream accepts more."""
        if self._state is _IDLE:
            self._state = _FULL
        self.regulate()

    def resumed(self) -> None:
        """Continue if the connection, or what was pushed, was held by the stream."""
        if self._state is _FULL or self.pushed:
            self.go_on()
        else:
            self.regulate()

    def peer_ended(self) -> None:
        """Answer what was received, then close; first let EOF pass faults, as bytes do."""
        if self.intake is not None and self.intake.delays_end():
            return
        if self.backlog.decoder.__class__ is SilenceDecoder:
            self._last = True
            self.end_request()
        self.finish()

    def end_request(self) -> None:
        """Take up the request that silence, or the end of the client, has completed."""
        if self.backlog.end_request():
            self.go_on()

    # Events of the host

    def finish(self) -> None:
        """Read no more, answer what was received, then close."""
        if self._state is _LOST:
            return
        self._last = True
        is_idle = self._state is _IDLE or self._state is _HANGING
        if is_idle or (self.stream.is_shaking_hands and self._state is not _TURN):
            # In a handshake, a greeting waits that the client will not receive any more.
            self.close_finished()
        else:
            self.regulate()

    def reset(self) -> None:
        """Reset the connection now."""
        self.stream.reset()

    push, send = pushes.push, pushes.push_frame

    def close(self) -> None:
        """Answer no more, deliver what was sent, and close."""
        self.end(Stream.close)

    def sweep(self) -> None:
        """Close the connection if it is idle; called several times in an idle timeout."""
        _timeouts.sweep(self)

    def sweep_request(self) -> None:
        """Close the connection if a request takes too long to arrive; called likewise."""
        _timeouts.sweep_request(self)

    def reconfigure(self, config: ServerConfig) -> None:
        """Answer the next requests as *config* says: another responder, or other faults."""
        self.config = config
        self._known, self._unknown = NOTHING_KNOWN, None
        use_faults(self)
        self.time()

    def end(self, end: Callable[[Stream], None]) -> None:
        """End the connection with *end*, or have that follow the turn under way."""
        if self._state is not _TURN:
            if self._state is not _ENDED and self._state is not _LOST:
                self._end(end)
        elif not isinstance(self.hold, Lost):
            self.hold_with(Ended(end))

    def time(self) -> None:
        """Run the timers that the responder has for the state, if it has any."""
        if self.timers is None and self.config.responder.has_timers:
            self.timers = Timers(self)
        if self.timers is not None:
            self.timers.update()

    # Constant replies

    def _answer_at_once(self, data: bytes) -> Answered | None:
        """
        Return the requests in *data*, and the bytes that answer them, if all are constants.

        If they are not, the requests wait in the backlog, and nothing was counted.
        """
        if self.taker is not None and self.taker.takes_up(data):
            return None
        batch, decoder, size = self.config.batch, self.backlog.decoder, len(data)
        is_much = size > AT_ONCE and (size > SLICE or self.host.events.reports_requests)
        if batch is None or is_much or self.stream.writing is not _WRITE:
            self.backlog.put(data)
            return None
        was_new = self._known is batch.known or is_new(decoder)
        try:
            requests = decoder.feed(data)
        except FrameError as error:
            self.backlog.put_back(error.requests, error)
            return None
        wire = batch.answer(requests)
        if wire is None:
            self.backlog.put_back(requests)
            return None
        if not getattr(decoder, "is_new", False):  # as is_new, without a call
            self._known, self._unknown = NOTHING_KNOWN, None
            return requests, wire, False
        self._known, self._unknown = batch.known, batch.unknown
        if len(requests) == 1 and was_new and wire is not batch.otherwise:
            batch.learn(data, requests[0], wire)
        return requests, wire, was_new

    # Turns

    def go_on(self) -> None:
        """Work until something holds the connection, or nothing is left to do."""
        if self._state is _TURN or self._state is _ENDED or self._state is _LOST:
            return
        if self.timers is not None and self.timers.within is not None:
            return  # it calls this once its frame is complete
        self._state = _TURN
        self.quiet = 0
        self._known, self._unknown = NOTHING_KNOWN, None  # until a read ends with a request
        if self.taker is not None and self._is_unseen and self._passes_on(self.taker):
            return
        while self._state is _TURN:
            done = self._turn()
            if self.timers is not None:
                self.timers.update()
            self._settle(done)

    def _passes_on(self, taker: Forwarder | Unordered) -> bool:
        """Do what a turn does if it only forwards or sends on; return whether that was all."""
        stream = self.stream
        if stream.reading is not _READ or stream.writing is not _WRITE or self._last:
            return False
        if self.reply is not NO_REPLY or self.pushed or self.timers or self.intake:
            return False
        try:
            following = taker.pass_on()
        except BaseException:  # as in a turn
            self.fail(Failure())
            return False
        has_more = self._last or self.pushed or self.backlog.has_requests
        if following is None or has_more or self.hold is not None or stream.writing is not _WRITE:
            return False  # a turn does what has come meanwhile
        if following is _UPSTREAM:
            self.hold = FOR_SERVICE
        self._state = following
        return True

    def _turn(self) -> bool:
        """Work for a quantum, notify the observers, and return whether nothing is left."""
        host = self.host
        counters = host.counters
        started = host.now()
        began = 0.0 if counters is None else counters.now()
        received: list[bytes] = []
        answered: list[bytes] = []
        steps: list[Steps] = []
        first: int | Sequence[_report.Place] = 0
        done = False
        try:
            if self.pushed and pushes.can_send(self):
                pushes.send(self)
                if self.timers is not None and self.timers.within is not None:
                    self.hold = self.hold or WITHIN_FRAME
            if self.config.batch is not None and self._can_answer_slices:
                answer_slices(self, self.config.batch, started, began)
            first = self.taken if self.reply[1] is not None else self.taken + 1
            if self.taker is None:
                done = self._answer_requests(started, received, answered, steps)
            else:
                first = self.taker.numbers(first)
                done = self.taker.answer_requests(started, received, answered, steps)
            self.stream.flush()
        except BaseException:  # as the reactor does: any error ends only this connection
            self.fail(Failure())
        if received or answered:
            if counters is not None and first.__class__ is int:
                self._since = counters.count_turn(len(received), len(answered), began, self._since)
            if host.events.reports_requests:
                _report.requests(self, received, answered, steps, first)
        return done

    def _settle(self, done: bool) -> None:
        """Enter the state that follows a turn; stay in TURN if more can be done at once."""
        if self.pushed and pushes.can_send(self):
            return  # an observer, or a responder, has pushed it
        holds_end = self.intake is not None and self.intake.holds_end
        if self.hold is not None:
            self._enter(self.hold)
        elif self.stream.writing is not _WRITE and self.stream.is_blocked:
            self._state = _FULL
            self.regulate()
        elif not done:
            return  # an observer has released it
        elif self.backlog.error is not None:
            refuse_bytes(self, self.backlog.error)
        elif self.backlog.has_requests or self._has_pending:
            return  # more has arrived
        elif self.stream.reading is _EOF and not holds_end and self.backlog.end_request():
            return  # it is in the framing of a state that was entered after EOF
        elif self._last:
            self.close_finished()
        else:
            self._state = _IDLE if self.stream.reading is not _IGNORED else _HANGING
            self.regulate()

    def _enter(self, hold: Hold) -> None:
        if isinstance(hold, Waiting):
            if hold.state is _HANGING and self._last:
                self.close_finished()
            else:
                self._state = hold.state
                self.regulate()
            return
        if hold.failure is not None:
            _report.failure(self, hold.failure, self.reply[2])
        if isinstance(hold, Lost):
            _report.incomplete(self, hold.unfinished)
            self._lose(hold.reason)
        else:
            self._end(hold.end)

    @property
    def _has_pending(self) -> bool:
        """Whether requests were taken up, or the service has sent something, ahead of its turn."""
        return self.taker is not None and self.taker.has_pending

    @property
    def _can_answer_slices(self) -> bool:
        is_free = self.hold is None and self.reply is NO_REPLY and not self._has_pending
        return is_free and self.backlog.is_undecoded and not self.stream.drops_writes

    def _answer_requests(
        self, started: float, received: list[bytes], answered: list[bytes], steps: list[Steps]
    ) -> bool:
        """Perform steps and take up requests for a quantum; return whether none is left."""
        backlog, now, turns = self.backlog, self.host.now, self.host.turns
        size = 0
        look = REQUESTS_PER_LOOK
        while self.perform(answered, steps):
            if size >= QUANTUM_BYTES or len(received) >= look:
                look = len(received) + REQUESTS_PER_LOOK
                time = now()
                is_late = time - started > QUANTUM_SECONDS or time > turns.deadline
                if (size >= QUANTUM_BYTES or is_late) and backlog.has_requests:
                    self.hold = Waiting(_YIELDED, turns.add(self.release))
                    return False
            request = next(backlog.requests, None)
            if request is None:
                if backlog.decode_more():
                    continue
                return True
            size += len(request) + 1
            self.taken += 1
            received.append(request)
            self._ask(request)
        return False

    # Requests

    def _ask(self, request: bytes) -> None:
        """Pass *request* to the responder, which answers it now or later."""
        answer = self.config.responder.respond(request, self)
        if isinstance(answer, tuple):
            self.begin(answer, request)
        elif isinstance(answer, Deferred) and self.hold is not None:
            answer.addErrback(self.cannot_answer)  # the connection was lost inside the responder
            _report.cancel(answer)
        elif isinstance(answer, Deferred):
            self.hold = Waiting(_REPLY, answer)
            answer.addCallback(self._answer, request).addErrback(self.cannot_answer)
        else:
            check_steps(answer)  # raises

    def _answer(self, steps: Steps, request: bytes) -> None:
        if self.awaits(_REPLY):  # the connection has not ended meanwhile
            self.begin(check_steps(steps), request)
            self.release()

    def awaits(self, state: State) -> bool:
        """Return whether the connection enters, or is in, the *state* of a wait."""
        return isinstance(self.hold, Waiting) and self.hold.state is state

    def cannot_answer(self, failure: Failure) -> None:
        if self.awaits(_REPLY):
            self.hold = None
            self.fail(failure)
            self.go_on()
        elif failure.check(CancelledError):
            return
        elif self._state is _LOST:
            _report.late_failure(self, failure)
        elif self._state is _TURN:  # whose observers have to be notified first
            self.fail(failure)
        else:
            _report.failure(self, failure, self.reply[2])

    def fail(self, failure: Failure) -> None:
        """End the connection after this turn: the responder has failed."""
        if isinstance(self.hold, Lost):
            self.hold = self.hold._replace(failure=failure)
        else:
            self.hold_with(Ended(Stream.abort, failure))

    def release(self) -> None:
        """Continue: the wait that held the connection is over."""
        self.hold = None
        self.go_on()

    # Steps

    def say_farewell(self) -> None:
        """Send what the responder has for a connection that times out, then close."""
        self._last = True
        self._state = _TURN
        say(self, Trigger.IDLE)
        self._state = _IDLE
        self.go_on()

    def begin(
        self,
        steps: Steps,
        request: bytes | None,
        by: Unasked | None = None,
        is_silence: bool = False,
    ) -> None:
        """Begin the reply to *request*; None: there is none, and it is sent *by* something else."""
        performed = steps
        if self.injector is not None or steps.__class__ is not tuple:
            performed, steps = prepare(self, steps, request, is_silence)
        left = iter(performed)
        if by is not None and self.host.events.reports_sent:
            left = _report.Told(self, left, by)
        self.reply = left, request, steps, performed

    def perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of the reply under way; return whether it is complete."""
        stream, counters = self.stream, self.host.counters
        if self.hold is not None or (stream.writing is not _WRITE and stream.is_blocked):
            return False
        left, request, reported, _ = self.reply
        for step in left:
            if type(step) is Send:  # as most steps are: without another call
                data = step.data if step.raw else self.framing.encode(step.data)
                if counters is not None and not stream.drops_writes:
                    counters.sent += len(data)
                    self.sent += len(data)
                stream.write(data)
            elif (hold := ACTIONS[type(step)](self, step)) is not None:
                self.hold = hold
            if self.hold is not None:
                if isinstance(self.hold, Waiting):
                    return False
                break  # to end is the last step
            if stream.writing is not _WRITE and stream.is_blocked:
                return False
        self.reply = NO_REPLY
        if request is not None:
            answered.append(request)
            steps.append(reported)
        return self.hold is None and not self.pushed

    # Reading

    def _receive_later(self, data: bytes) -> None:
        """Keep *data* until the connection is released, or drop it."""
        self._count_received(data)
        if self._state in _DROPPING or self.stream.reading is _IGNORED:
            return
        if self.taker is None:
            self.backlog.put(data)
        else:
            self.taker.received(data)
        self.regulate()

    def regulate(self) -> None:
        """Resume or pause reading, as the state requires."""
        if self._state is _ENDED or self._state is _LOST:
            return  # the stream reads on, to see the client's end
        stream = self.stream
        is_too_much = self.backlog.size > self.config.limits.max_waiting
        is_blocked = self._last or is_too_much or stream.writing is _WRITE_FULL
        if self.intake is not None:
            self.intake.block(is_blocked)
        elif is_blocked:
            stream.pause()
        else:
            stream.resume()

    # Endings

    def hold_with(self, new: Hold) -> None:
        """Have *new* follow this turn, and nothing else."""
        hold, self.hold = self.hold, new
        if isinstance(hold, Waiting) and hold.awaited is not None:
            _report.cancel(hold.awaited)

    def close_finished(self, end: Callable[[Stream], None] = Stream.close) -> None:
        """End the connection: everything that was received is answered, or will not be."""
        unfinished = _report.find_unfinished(self)
        self._state = _TURN  # an observer may lose or drain the connection
        _report.incomplete(self, unfinished)
        self._end(end)

    def _end(self, end: Callable[[Stream], None]) -> None:
        """End the stream, unless the connection was lost while observers were notified."""
        hold, self._state = self.hold, _ENDED
        self._drop()
        if isinstance(hold, Lost):
            self._lose(hold.reason)
        else:
            end(self.stream)

    def _lose(self, reason: Failure) -> None:
        self._state = _LOST
        self.hold = None
        self.host.lost(self, reason)

    def _drop(self) -> None:
        """Drop all pending work."""
        if self.intake is not None:
            self.intake.stop()
        self.backlog.clear()
        if self.taker is not None:
            self.taker.clear()
        self.reply = NO_REPLY
        self.pushed = ()
        if self.timers is not None:
            self.timers.stop()
        hold, self.hold = self.hold, None
        if isinstance(hold, Waiting) and hold.awaited is not None:
            _report.cancel(hold.awaited)

    def _count_received(self, data: bytes) -> None:
        if self.host.counters is not None:
            self.host.counters.received += len(data)
            self.received += len(data)
