"""
Connection: one client, from bytes to requests to steps.

It has a `Stream`, and must not know Twisted's transports.  A `ConnectionHost` provides what the
connections of a server share; endpoints, file formats and command lines are none of its business.

At any time a connection is in one `State`.  While something holds it, what arrives waits in its
`Backlog`.  Released, it goes on where it stopped, in turns: a turn performs steps and takes up
requests until something holds the connection, nothing is left, or a quantum is over.  Observers are
notified at the end of a turn, and only then the connection enters the state that follows.  So they
receive received, answered, failed and disconnected in this order, whatever Twisted calls from
inside a turn.  The table and the diagram of all states are in docs/connection.rst.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp._text import format_address
from reqresp.exchanges import Exchanges
from reqresp.faults import FaultInjector
from reqresp.framing import FrameError
from reqresp.server._backlog import SLICE, Backlog
from reqresp.server._fast_path import Batch
from reqresp.server._reply import Unframed, with_faults
from reqresp.server._state import ABORT, CLOSE, HANG, Hold, State
from reqresp.server._turns import QUANTUM_BYTES, QUANTUM_SECONDS
from reqresp.server.config import ServerConfig
from reqresp.server.host import ConnectionHost
from reqresp.steps import (
    Abort,
    Close,
    HalfClose,
    Hang,
    RuleReply,
    Send,
    Step,
    Steps,
    StopReading,
    Wait,
)
from reqresp.transport.stream import Reading, Stream, Writing

#: How often a connection is swept in one idle timeout.
SWEEPS_PER_TIMEOUT = 4
#: Requests between two looks at the time.
REQUESTS_PER_LOOK = 8

# A module-level name is looked up faster than an attribute of an Enum.
_IDLE, _TURN, _TIMER, _REPLY, _YIELDED, _FULL, _HANGING, _ENDED, _LOST = State
_WRITE, _WRITE_FULL = Writing.OPEN, Writing.FULL
_IGNORED = Reading.IGNORED

#: States in which the connection waits for the server, so that the client is not idle.
_BUSY = (_TIMER, _REPLY, _YIELDED)
#: States in which what arrives is dropped.
_DROPPING = (_HANGING, _ENDED, _LOST)

_NO_STEPS: Iterator[Step] = iter(())


@implementer(IProtocol, IHalfCloseableProtocol, IHandshakeListener, ILoggingContext)
class Connection:
    """
    Answers the requests of one client in their order; made by `ReqRespFactory`.

    :param host: the server.
    :param config: how it answers.
    :param peer: the client's address.
    """

    _log = Logger()

    __slots__ = (
        *("config", "notes", "number", "peer", "taken"),
        *("_backlog", "_batch", "_exchange", "_failure", "_hold", "_host", "_injector", "_last"),
        *("_quiet", "_since", "_state", "_steps", "_stream", "_undelivered"),
    )

    def __init__(self, host: ConnectionHost, config: ServerConfig, peer: IAddress) -> None:
        #: How requests are answered: the factory's config when the client connected.
        self.config = config
        self.peer = peer
        #: The connection's number; the factory's first is 1.
        self.number = 0
        #: How many requests were taken up.
        self.taken = 0
        #: What the responder keeps here for itself.
        self.notes: Any = None
        self._host = host
        self._state = _IDLE
        self._hold: Hold | None = None  # what holds it, or will once this turn is over
        self._stream = Stream(self)
        self._backlog = Backlog(config.decoder())
        self._batch: Batch | None = config.batch  # None once nothing can be sent
        self._steps = _NO_STEPS  # of the reply under way, not performed yet
        self._exchange: tuple[bytes, Steps] | None = None  # the one under way
        self._injector: FaultInjector | None = None  # where there are faults
        self._failure: Failure | None = None  # of the responder; ends the connection
        self._last = False  # no more is read: the client has ended its side, or the server drains
        self._since: float | None = None  # when the request under way was taken up, if counted
        self._quiet = 0  # sweeps since something happened
        self._undelivered = 0  # bytes, at the last sweep

    @property
    def state(self) -> State:
        """What holds the connection."""
        return self._state

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""
        return self._host.clock

    @property
    def is_busy(self) -> bool:
        """Whether a reply is awaited, or requests wait for their turn."""
        if self._state is _TIMER:
            return self._backlog.has_requests
        return self._state is _REPLY or self._state is _YIELDED

    # Events of the transport

    def makeConnection(self, transport: Any) -> None:
        self._stream.attach(transport)
        self.connectionMade()

    def connectionMade(self) -> None:
        self.number = self._host.opened(self)
        self._greet()

    def logPrefix(self) -> str:
        return "ReqResp"

    def dataReceived(self, data: bytes) -> None:
        self._quiet = 0
        if self._state is not _IDLE:
            self._receive_later(data)
            return
        if self._batch is None or len(data) > SLICE:
            self._backlog.put(data)
        elif self._answer_at_once(data):
            return
        self._count_received(data)
        self._go_on()

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        self._stream.handshake_completed()

    def readConnectionLost(self) -> None:
        self._stream.read_lost()

    def writeConnectionLost(self) -> None:
        self._stream.write_lost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stream.lost()
        if self._state is _TURN:  # whose observers have to be notified first
            self._drop()
            self._hold = Hold(_LOST, reason=reason)
            return
        self._state = _ENDED
        self._drop()
        self._lose(reason)

    # Events of the stream

    def filled(self) -> None:
        """Hold the connection until the stream accepts more."""
        if self._state is _IDLE:
            self._state = _FULL
        self._regulate()

    def resumed(self) -> None:
        """Go on if the stream held the connection."""
        if self._state is _FULL:
            self._go_on()
        else:
            self._regulate()

    def peer_ended(self) -> None:
        """Answer what was received, then close."""
        self.finish()

    # Events of the host

    def finish(self) -> None:
        """Read no more, answer what was received, then close."""
        self._last = True
        if self._state is _IDLE or self._state is _HANGING:
            self._close_finished()
        elif self._stream.is_shaking_hands and self._state is not _TURN:
            self._close_finished()  # the client can get no greeting any more
        else:
            self._regulate()

    def reset(self) -> None:
        """Reset the connection now."""
        self._stream.reset()

    def sweep(self) -> None:
        """Close the connection after `SWEEPS_PER_TIMEOUT` calls between which nothing happened."""
        self._quiet += 1
        undelivered = self._stream.undelivered
        if self._state in _BUSY or undelivered < self._undelivered:
            self._quiet = 0
        self._undelivered = undelivered
        if self._quiet <= SWEEPS_PER_TIMEOUT:
            return
        self._log.debug("{peer}: idle; closing", peer=format_address(self.peer))
        self._quiet = 0
        if undelivered or self._state is _ENDED:
            self._stream.reset()
        else:
            self._end(Stream.close)

    # Constant replies

    def _answer_at_once(self, data: bytes) -> bool:
        """
        Answer *data* if all its replies are constants, and return whether they are.

        If they are not, its requests wait in the backlog, and nothing was counted.
        """
        batch: Any = self._batch
        try:
            requests = self._backlog.decoder.feed(data)
        except FrameError as error:
            self._backlog.put_back(error.requests, error)
            return False
        wire = batch.answer(requests)
        if wire is None:
            self._backlog.put_back(requests)
            return False
        count = len(requests)
        self.taken += count
        host = self._host
        counters = host.counters
        began: float | None = None
        if counters is not None:
            # Each name that is looked up here costs every read some nanoseconds.
            counters.received += len(data)
            counters.sent += len(wire)
            counters.until_timed -= count
            if counters.until_timed < 0:
                began = counters.now()
        if wire:
            self._stream.transport.write(wire)
        if began is not None and counters is not None:
            counters.sampled(count, began)
        if count and host.events.reports_requests:
            self._state = _TURN
            self._report(requests, requests, batch.steps, self.taken - count + 1, len(data))
            self._state = _FULL if self._stream.writing is _WRITE_FULL else _IDLE
            if self._hold is not None or self._last or self._backlog.size:
                self._go_on()
        return True

    def _answer_slices(self, started: float, began: float) -> None:
        """Gather the replies to as much of the backlog as has constant ones and fits."""
        batch: Any = self._batch
        answered: list[bytes] = []
        size = sent = 0
        host, stream, backlog = self._host, self._stream, self._backlog
        while backlog.size and not stream.is_blocked:
            waiting = backlog.size
            requests = backlog.take_slice()
            wire = batch.answer(requests) if backlog.error is None else None
            if wire is None:
                backlog.put_back(requests, backlog.error)
                break
            stream.write(wire)
            sent += len(wire)
            answered += requests
            size += waiting - backlog.size
            if host.now() - started > QUANTUM_SECONDS:
                break
        if not answered:
            return
        first = self.taken + 1
        self.taken += len(answered)
        if (counters := host.counters) is not None:
            counters.sent += sent
            counters.answered(len(answered), began)
        self._report(answered, answered, batch.steps, first, size)

    # Turns

    def _go_on(self) -> None:
        """Work until something holds the connection, or nothing is left to do."""
        if self._state is _TURN or self._state is _ENDED or self._state is _LOST:
            return
        self._state = _TURN
        self._quiet = 0
        while self._state is _TURN:
            self._settle(self._turn())

    def _turn(self) -> bool:
        """Work for a quantum, notify the observers, and return whether nothing is left."""
        host = self._host
        counters = host.counters
        started = host.now()
        began = 0.0 if counters is None else counters.now()
        received: list[bytes] = []
        answered: list[bytes] = []
        steps: list[Steps] = []
        first = 0
        done = False
        try:
            if self._batch is not None and self._can_answer_slices:
                self._answer_slices(started, began)
            first = self.taken + (self._exchange is None)
            done = self._answer_requests(started, received, answered, steps)
            self._stream.flush()
        except BaseException:  # as the reactor does: whatever it is, it ends this connection alone
            self._failure = Failure()
        if received or answered:
            if counters is not None:
                self._since = counters.turned(len(received), len(answered), began, self._since)
            if host.events.reports_requests:
                self._report(received, answered, lambda _requests: steps, first)
        return done

    def _settle(self, done: bool) -> None:
        """Enter the state that follows a turn; stay in TURN if more can be done at once."""
        if self._failure is not None:
            self._fail(self._failure)
        elif self._hold is not None:
            self._enter(self._hold)
        elif self._stream.writing is not _WRITE and self._stream.is_blocked:
            self._state = _FULL
            self._regulate()
        elif not done:
            return  # an observer has released it
        elif self._backlog.error is not None:
            self._refuse(self._backlog.error)
        elif self._backlog.size:
            return  # more has arrived
        elif self._last:
            self._close_finished()
        else:
            self._state = _IDLE if self._stream.reading is not _IGNORED else _HANGING
            self._regulate()

    def _enter(self, hold: Hold) -> None:
        if hold.end is not None:
            self._end(hold.end)
        elif hold.reason is not None:
            self._lose(hold.reason)
        elif hold.state is _HANGING and self._last:
            self._close_finished()
        else:
            self._state = hold.state
            self._regulate()

    @property
    def _can_answer_slices(self) -> bool:
        return self._steps is _NO_STEPS and self._hold is None and self._backlog.is_undecoded

    def _answer_requests(
        self, started: float, received: list[bytes], answered: list[bytes], steps: list[Steps]
    ) -> bool:
        """Perform steps and take up requests for a quantum; return whether none is left."""
        backlog, now = self._backlog, self._host.now
        size = 0
        look = REQUESTS_PER_LOOK
        while self._perform(answered, steps):
            if size >= QUANTUM_BYTES or len(received) >= look:
                look = len(received) + REQUESTS_PER_LOOK
                is_over = size >= QUANTUM_BYTES or now() - started > QUANTUM_SECONDS
                if is_over and backlog.has_requests:
                    self._hold = Hold(_YIELDED, self._host.give_way(self._release))
                    return False
            request = backlog.take()
            if request is None:
                return True
            size += len(request) + 1
            self.taken += 1
            received.append(request)
            self._ask(request)
        return False

    # Requests

    def _ask(self, request: bytes) -> None:
        """Have the responder answer *request*, now or later."""
        answer = self.config.responder.respond(request, self)
        if isinstance(answer, tuple):
            self._begin(answer, request)
        elif isinstance(answer, Deferred):
            self._hold = Hold(_REPLY, answer)
            answer.addCallback(self._answer, request).addErrback(self._cannot_answer)
        else:
            raise TypeError(f"a responder gives steps, or a Deferred of them; not {answer!r}")

    def _answer(self, steps: Steps, request: bytes) -> None:
        if self._hold is None or self._hold.state is not _REPLY:
            return  # the connection has ended meanwhile
        if not isinstance(steps, tuple):
            raise TypeError(f"a responder's Deferred gives steps; not {steps!r}")
        self._begin(steps, request)
        self._release()

    def _cannot_answer(self, failure: Failure) -> None:
        if self._hold is not None and self._hold.state is _REPLY:
            self._failure = failure
            self._release()
        elif not failure.check(CancelledError):
            self._report_failure(failure)

    def _release(self) -> None:
        self._hold = None
        self._go_on()

    # Steps

    def _greet(self) -> None:
        """Perform what the responder says first, or inject faults into its silence."""
        config = self.config
        if config.faults:
            self._injector = FaultInjector(config.seed or 0, self.number, config.faults)
        try:
            steps = config.responder.greet(self)
            if steps or isinstance(steps, RuleReply):
                self._begin(steps, None)
            elif self._injector is not None and self._injector.affects_silence:
                self._begin((Wait(0),), None, on_connect_only=True)
            else:
                return
        except BaseException:  # as for replies
            self._failure = Failure()
        self._go_on()

    def _begin(self, steps: Steps, request: bytes | None, *, on_connect_only: bool = False) -> None:
        """Begin the reply to *request*; None: the greeting."""
        self._steps = iter(steps)
        if self._injector is not None or steps.__class__ is not tuple:
            steps = self._inject(steps, on_connect_only)
        self._exchange = None if request is None else (request, steps)

    def _inject(self, steps: Steps, on_connect_only: bool) -> Steps:
        """Inject faults into *steps*; return them with the names of the faults, and count these."""
        own = isinstance(steps, RuleReply) and steps.faults
        if own and self._injector is None:
            self._injector = FaultInjector(self.config.seed or 0, self.number)
        if self._injector is not None and not self._stream.drops_writes:
            changed, steps = with_faults(
                steps, self.config, self._injector, on_connect_only=on_connect_only
            )
            self._steps = iter(changed)
        counters = self._host.counters
        if counters is not None and isinstance(steps, RuleReply):
            counters.begun(steps.by, steps.injected)
        return steps

    def _perform(self, answered: list[bytes], steps: list[Steps]) -> bool:
        """Perform what is left of the reply under way; return whether it is complete."""
        stream = self._stream
        if self._hold is not None or self._failure is not None:
            return False
        if stream.writing is not _WRITE and stream.is_blocked:
            return False
        for step in self._steps:
            self._PERFORM[type(step)](self, step)
            if self._hold is not None:
                if self._hold.end is None:
                    return False
                break  # to end is the last step
            if stream.writing is not _WRITE and stream.is_blocked:
                return False
        self._steps = _NO_STEPS
        if self._exchange is not None:
            request, performed = self._exchange
            answered.append(request)
            steps.append(performed)
            self._exchange = None
        return self._hold is None

    def _send(self, step: Send) -> None:
        data = step.data if step.raw else self.config.framing.encode(step.data)
        counters = self._host.counters
        if counters is not None and not self._stream.drops_writes:
            counters.sent += len(data)
        self._stream.write(data)

    def _wait(self, step: Wait) -> None:
        self._hold = Hold(_TIMER, self._host.clock.callLater(step.seconds, self._release))

    def _close(self, _step: Close) -> None:
        self._hold = CLOSE

    def _abort(self, _step: Abort) -> None:
        self._hold = ABORT

    def _half_close(self, _step: HalfClose) -> None:
        self._batch = None
        if not self._stream.half_close():
            self._hold = CLOSE

    def _hang(self, _step: Hang) -> None:
        self._hold = HANG
        self._backlog.clear()

    def _stop_reading(self, _step: StopReading) -> None:
        self._stream.ignore()
        self._backlog.clear()

    def _raise(self, step: Unframed) -> None:
        raise step.error

    _PERFORM: ClassVar[dict[type[Any], Callable[[Any, Any], None]]] = {
        Send: _send,
        Wait: _wait,
        Close: _close,
        Abort: _abort,
        HalfClose: _half_close,
        Hang: _hang,
        StopReading: _stop_reading,
        Unframed: _raise,
    }

    # Reading

    def _receive_later(self, data: bytes) -> None:
        """Keep *data* until the connection is released, or drop it."""
        self._count_received(data)
        if self._state in _DROPPING or self._stream.reading is _IGNORED:
            return
        self._backlog.put(data)
        self._regulate()

    def _regulate(self) -> None:
        """Read from the client or pause, as things now stand."""
        if self._state is _ENDED or self._state is _LOST:
            return  # the stream reads on, to see the client's end
        stream = self._stream
        if (
            self._last
            or stream.writing is _WRITE_FULL
            or self._backlog.size > self.config.limits.max_waiting
        ):
            stream.pause()
        else:
            stream.resume()

    # Endings

    def _close_finished(self) -> None:
        """Close: everything that was received is answered."""
        if partial := len(self._backlog.decoder):
            self._log.info(
                "{peer}: closing within a request, of which {size} bytes came",
                peer=format_address(self.peer),
                size=partial,
            )
        self._end(Stream.close)

    def _refuse(self, error: FrameError) -> None:
        """Close over bytes that are no request."""
        self._log.warn("{peer}: {error}; closing", peer=format_address(self.peer), error=error)
        if self._host.counters is not None:
            self._host.counters.frame_errors += 1
        self._host.events.failed(self.peer, self.number, Failure(error))
        self._end(Stream.close)

    def _fail(self, failure: Failure) -> None:
        """Reset over what the responder raised, or gave that cannot be sent."""
        self._report_failure(failure)
        self._end(Stream.abort)

    def _end(self, end: Callable[[Stream], None]) -> None:
        """End the stream, unless the connection was lost while observers were notified."""
        hold, self._state = self._hold, _ENDED
        self._drop()
        if hold is not None and hold.reason is not None:
            self._lose(hold.reason)
        else:
            end(self._stream)

    def _lose(self, reason: Failure) -> None:
        self._state = _LOST
        self._host.lost(self, reason)

    def _drop(self) -> None:
        """Forget everything that was still to be done."""
        self._backlog.clear()
        self._steps = _NO_STEPS
        self._exchange = None
        hold, self._hold = self._hold, None
        if hold is None or hold.awaited is None:
            return
        try:
            hold.awaited.cancel()
        except BaseException:  # as the reactor does: the connection is lost, whatever this is
            self._log.failure("what a connection waited for cannot be cancelled")

    # Counting and notifying

    def _count_received(self, data: bytes) -> None:
        if self._host.counters is not None:
            self._host.counters.received += len(data)

    def _report(
        self,
        received: Sequence[bytes],
        answered: Sequence[bytes],
        steps: Callable[[Sequence[bytes]], Iterable[Steps]],
        first: int,
        size: int | None = None,
    ) -> None:
        events = self._host.events
        if received and events.reports_received:
            events.received(self.peer, self.number, received)
        if answered and events.reports_answered:
            by = self.config.responder.name
            events.answered(Exchanges(self.peer, self.number, first, answered, steps, by, size))

    def _report_failure(self, failure: Failure) -> None:
        if self._host.counters is not None:
            self._host.counters.responder_errors += 1
        by = self.config.responder.name
        if self._exchange is not None and isinstance(self._exchange[1], RuleReply):
            by = self._exchange[1].by
        self._log.failure(
            "{peer}: {by} failed; aborting", failure, peer=format_address(self.peer), by=by
        )
        self._host.events.failed(self.peer, self.number, failure)
