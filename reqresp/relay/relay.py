"""
Relay: one client and its own connection upstream, which bytes pass as they come.

Each of its two sides has a `Stream`.  Bytes, EOF and resets that arrive at one side leave at the
other.  A side is read from while the other accepts bytes.  It must not know what the bytes mean.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.faults.stages import Ending, Piece
from reqresp.relay._connecting import (
    DELIVERY_SECONDS,
    connect,
    report_end,
    report_failure,
    why_lost,
)
from reqresp.relay.upstream import Unreachable, Upstream
from reqresp.server.faulty_link import FaultyLink
from reqresp.server.host import SWEEPS_PER_TIMEOUT, ConnectionHost
from reqresp.server.observers import Direction, Unasked
from reqresp.server.pushes import PushError, check_room
from reqresp.server.stream_faults import StreamFaults, roll
from reqresp.transport.stream import Phase, Reading, Stream

# A module-level name is looked up faster than an attribute of an Enum: 0.3 us in CPython 3.11.
_OPEN = Phase.OPEN

#: While a server stops: seconds without a byte after which the last reply counts as complete.
QUIET_SECONDS = 0.1


@implementer(
    interfaces.IProtocol,
    interfaces.IHalfCloseableProtocol,
    interfaces.IHandshakeListener,
    interfaces.ILoggingContext,
)
class Side:
    """One of the two connections of *relay*; what arrives here goes in *direction*."""

    # Each client has two of them.
    __slots__ = (
        *("_early", "_loss", "_sink", "direction", "has_passed_eof", "is_open", "link", "other"),
        *("relay", "stream"),
    )

    other: "Side"

    def __init__(self, relay: "Relay", direction: Direction) -> None:
        self.relay = relay
        self.direction = direction
        self.stream = Stream(self)
        #: Whether it is connected, and was not lost.
        self.is_open = False
        #: What faults apply to what arrives here; None: none.
        self.link: FaultyLink | None = None
        self._sink: Any = None  # what arrives is written to it; None: not yet
        #: Whether EOF has arrived, and has left at the other side.
        self.has_passed_eof = False
        self._early = b""  # has arrived before the other side is ready
        self._loss: Failure | None = None  # it has come, and waits for the other side, as they do

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""
        return self.relay.host.clock

    @property
    def is_ready(self) -> bool:
        """Whether it is open, and its TLS handshake is complete."""
        return self.is_open and not self.stream.is_shaking_hands

    @property
    def may_send(self) -> bool:
        """Whether bytes of it can still pass: it is ready, or what it has sent waits."""
        return self.is_ready or self._loss is not None

    # Events of the transport

    def makeConnection(self, transport: Any) -> None:
        self.stream.attach(transport)
        self.connectionMade()

    def connectionMade(self) -> None:
        self.is_open = True
        self.relay.connected(self)
        if self.is_ready:
            self.relay.ready(self)

    def logPrefix(self) -> str:
        return "Relay"

    def dataReceived(self, data: bytes) -> None:
        relay, sink = self.relay, self._sink
        if self.stream.phase is not _OPEN:
            return  # it is closing: what still arrives is dropped
        if sink is None:
            self._early += data
            return
        relay.quiet = 0
        relay.has_passed = True
        relay.last = self.direction
        if relay.is_watched:
            relay.passed(self, data)
        sink.write(data)

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        self.stream.handshake_completed()
        self.relay.ready(self)

    def readConnectionLost(self) -> None:
        self.stream.read_lost()

    def writeConnectionLost(self) -> None:
        self.stream.write_lost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        was_passing = self.is_ready and self.stream.phase is _OPEN
        self.is_open = False
        self.stream.lost()
        reason = why_lost(self.stream, reason)
        is_orderly = bool(reason.check(ConnectionDone))
        if is_orderly and self._early and self.relay.awaits(self.other):
            # TLS has brought its last bytes and its end in one read.
            self._loss = reason
            return
        if was_passing and self.stream.reading is not Reading.EOF and is_orderly:
            self.relay.ended(self)  # as TLS ends: its half-close is not passed on
        self.relay.lost(self, reason)

    def release(self) -> None:
        """Report the loss that has waited for the other side, which is ready or lost."""
        reason, self._loss = self._loss, None
        if reason is None:
            return
        early, self._early = self._early, b""
        if self.other.is_ready:
            self.route()
            self.relay.passed(self, early)
            self._sink.write(early)
            self.relay.ended(self)
        self.relay.lost(self, reason)

    # Events of the stream

    def filled(self) -> None:
        """Stop reading from the other side."""
        self.other.regulate()

    def resumed(self) -> None:
        """Read from the other side again."""
        if self.other.link is not None:
            self.other.link.run()
        self.other.regulate()

    def peer_ended(self) -> None:
        """Pass EOF on."""
        self.relay.ended(self)
        if self.link is None:
            self.deliver(Ending.EOF)
        else:
            self.link.write(Ending.EOF)

    def regulate(self) -> None:
        """Read from this side if bytes can be written to the other."""
        if not self.is_ready or self.stream.phase is not _OPEN:
            return
        if not self.other.is_ready:
            self.stream.pause()
            return
        self.route()
        early, self._early = self._early, b""
        if early:
            self.dataReceived(early)
        if self.is_blocked if self.link is None else self.link.is_full:
            self.stream.pause()
        else:
            self.stream.resume()

    def route(self) -> None:
        """Pass what arrives through the link, or at once if it has nothing to do any more."""
        if self.link is not None and self.link.is_idle:
            self.link = None
        self._sink = self.other.stream.transport if self.link is None else self.link

    # What a link needs

    @property
    def is_blocked(self) -> bool:
        """Whether the other side accepts no bytes."""
        return self.other.stream.is_blocked

    def deliver(self, piece: Piece) -> None:
        """Have *piece*, which has arrived here, leave at the other side."""
        if isinstance(piece, bytes):
            self.other.stream.transport.write(piece)
            return
        if piece is not Ending.EOF:
            self.relay.end(piece)
            return
        self.has_passed_eof = True
        if self.other.has_passed_eof:
            self.relay.end(Ending.CLOSE)
        elif not self.other.stream.half_close(with_tls=self is self.relay.client):
            self.other.stream.close()

    def injected(self, name: str, kind: str) -> None:
        """Report that a fault affects the connection."""
        self.relay.injected(self, name, kind)


class Relay:
    """
    A client and its connection upstream; made by `RelayFactory`.

    :param host: the server.
    :param upstream: where to connect.
    :param unreachable: how the client's connection ends if that fails.
    :param peer: the client's address.
    :param faults: what goes wrong with what passes.
    """

    _log = Logger()

    #: No request of the client is known.
    unfinished = None

    def __init__(
        self,
        host: ConnectionHost,
        upstream: Upstream,
        unreachable: Unreachable,
        peer: IAddress,
        faults: StreamFaults,
    ) -> None:
        self.host = host
        self.peer = peer
        self.number = 0
        #: Bytes received from the client, and from the service for it, if the server counts.
        self.received = self.sent = 0
        self.taken = 0
        self.client = Side(self, Direction.UPSTREAM)
        self.server = Side(self, Direction.DOWNSTREAM)
        self.client.other, self.server.other = self.server, self.client
        self._upstream = upstream
        self._unreachable = unreachable
        self._faults = faults
        self._connecting: Deferred[Any] | None = None
        self._reason: Failure | None = None  # why the client's connection was lost
        #: The direction of the last bytes, and whether any have passed since a drain last looked.
        self.last = Direction.DOWNSTREAM
        self.has_passed = False
        #: Sweeps since bytes passed.
        self.quiet = 0
        #: Whether what passes is counted or reported.
        self.is_watched = host.counters is not None or host.events.reports_passed
        self._undelivered = 0  # bytes, at the last sweep
        self._call: IDelayedCall | None = None  # that ends the connections

    @property
    def is_connecting(self) -> bool:
        """Whether the connection to the service is being made, its TLS included."""
        return self.awaits(self.server)

    @property
    def is_busy(self) -> bool:
        """Whether the client waits for a reply, as far as is known, or for the connection."""
        return self.is_connecting or self.last is Direction.UPSTREAM

    def awaits(self, side: Side) -> bool:
        """Return whether *side* is not ready, and may become so."""
        if side.is_open:
            return side.stream.is_shaking_hands
        return side is self.server and self._connecting is not None

    @property
    def _sides(self) -> list[Side]:
        return [side for side in (self.client, self.server) if side.is_open]

    # Events of the sides

    def connected(self, side: Side) -> None:
        """Count the client, and connect upstream."""
        if side is self.client:
            self.number = self.host.opened(self)
            self.host.events.connected(self.peer, self.number)
            self._connect()
        else:
            self._connecting = None

    def ready(self, side: Side) -> None:
        """Read from both sides, once both are ready."""
        if side is self.server:
            self.host.events.upstream_opened(self.peer, self.number)
        if self._faults:
            self.use_faults()
        for it in (self.client, self.server):
            it.regulate()
            it.release()

    def passed(self, side: Side, data: bytes) -> None:
        """Count and report *data*, which leaves at the side opposite to *side*."""
        counters, events = self.host.counters, self.host.events
        if counters is not None and side is self.client:
            counters.received += len(data)
            self.received += len(data)
        elif counters is not None:
            counters.sent += len(data)
            self.sent += len(data)
        if events.reports_passed:
            events.passed(self.peer, self.number, side.direction, data)

    def ended(self, side: Side) -> None:
        """Report EOF, which has arrived at *side*."""
        events = self.host.events
        if events.reports_passed:
            events.passed(self.peer, self.number, side.direction, b"")

    def injected(self, side: Side, name: str, kind: str) -> None:
        """Count and report that a fault affects what arrives at *side*."""
        counters, events = self.host.counters, self.host.events
        if counters is not None:
            counters.faults[kind] += 1
        events.faulted(self.peer, self.number, side.direction, name)

    def use_faults(self) -> None:
        """Apply the faults as they are now, once both sides are ready, or while pieces are held."""
        is_passing = self.client.may_send and self.server.may_send
        for side in (self.client, self.server):
            if not is_passing and (side.link is None or side.link.has_ended):
                continue
            dice = roll(self._faults, side.direction, self.number)
            if side.link is None and dice:
                side.link = FaultyLink(side)
            if side.link is not None:
                side.link.use(dice)

    def lost(self, side: Side, reason: Failure) -> None:
        """End the other side, too: in order, or with a reset, as this one ended."""
        if self._connecting is not None:
            self._connecting.cancel()
        other = side.other
        if side is self.client:
            self._reason = reason
            self.host.events.client_ended(self.peer, self.number, reason)
        elif side.stream.is_shaking_hands:
            self._fail(reason)
        else:
            report_end(self.host, self.peer, self.number, self._upstream, reason)
        if other.link is not None:
            other.link.stop()  # what it holds has nowhere to go
        ending = Ending.CLOSE if reason.check(ConnectionDone) else Ending.RESET
        if side.link is None or side.link.has_ended or not other.is_open:
            self.end(ending)
        else:
            if ending is Ending.RESET:  # a close takes as long as without a link
                self._call_later(DELIVERY_SECONDS, partial(self._reset_if_blocked, side))
            side.link.write(ending)
        other.release()
        self._end_if_lost()

    def _reset_if_blocked(self, side: Side) -> None:
        """Reset the other side if it does not accept what *side*, which is lost, has sent."""
        if side.is_blocked:
            self.reset()
        else:
            self._call_later(DELIVERY_SECONDS, partial(self._reset_if_blocked, side))

    def end(self, ending: Ending) -> None:
        """End both sides, after what was written to them: in order, or with a reset."""
        for side in self._sides:
            if side.link is not None:
                side.link.stop()
        if ending is Ending.CLOSE:
            self._end(Stream.close)
        elif self._sides:
            self._end(Stream.abort)
            self._call_later(DELIVERY_SECONDS, self.reset)

    # The connection upstream

    def _connect(self) -> None:
        attempt = connect(self._upstream, self.peer, self.client.stream, self.server)
        self._connecting = attempt
        attempt.addBoth(self._settle)

    def _settle(self, result: Any) -> None:
        self._connecting = None
        if isinstance(result, Failure):
            self._fail(result)

    def _fail(self, failure: Failure) -> None:
        """Report that the service cannot be reached, and end the client's connection."""
        if not self.client.is_open and not self.client.may_send:
            return
        report_failure(
            self.host, self.peer, self.number, self._upstream, failure, self._unreachable
        )
        if self.client.is_open:
            self._unreachable.end(self.client.stream)
        self.client.release()

    # Events of the host

    def finish(self) -> None:
        """Close once the last bytes came from upstream and are delivered."""
        if self._call is None:
            self.has_passed = False
            self._call_later(QUIET_SECONDS, self._finish_if_quiet)

    def _finish_if_quiet(self) -> None:
        self._call = None
        if self.has_passed or self.is_busy or self._undelivered_now():
            self.finish()
        else:
            self._end(Stream.close)

    def push(self, data: bytes) -> None:
        """
        Send *data* to the client, among what comes from the service, and past all faults.

        :raises PushError: the client's side sends no more, is not ready, or its client does not
            receive what was sent before.
        """
        stream = self.client.stream
        if stream.drops_writes or not self.client.is_ready:
            raise PushError(f"connection {self.number}: it cannot send")
        check_room(self.number, stream.undelivered, data)
        self.quiet = 0
        self.sent += len(data)
        if self.host.counters is not None:
            self.host.counters.sent += len(data)
        stream.transport.write(data)
        self.host.events.sent(self.peer, self.number, data, Unasked.PUSH)

    def close(self) -> None:
        """Close both connections, after what was written to them."""
        self.end(Ending.CLOSE)

    def reset(self) -> None:
        """Reset both connections now."""
        self._end(Stream.reset)

    def sweep(self) -> None:
        """Close both connections after `SWEEPS_PER_TIMEOUT` calls between which no byte moved."""
        self.quiet += 1
        undelivered = self._undelivered_now()
        if undelivered < self._undelivered or any(it.stream.has_deadline for it in self._sides):
            self.quiet = 0
        self._undelivered = undelivered
        if self.quiet <= SWEEPS_PER_TIMEOUT:
            return
        self._log.debug("{peer}: idle; closing", peer=self.host.label(self.peer))
        self._end(Stream.reset if undelivered else Stream.close)

    def sweep_request(self) -> None:
        """Do nothing: a relay knows no requests."""

    def _undelivered_now(self) -> int:
        held = sum(it.link.held for it in (self.client, self.server) if it.link is not None)
        return held + sum(side.stream.undelivered for side in self._sides)

    def _end(self, end: Callable[[Stream], None]) -> None:
        self.client.release()
        for side in self._sides:
            end(side.stream)

    def _end_if_lost(self) -> None:
        if self._sides or self._reason is None:
            return
        self._cancel_call()
        # Once: the loss of one side can be reported while the other's is.
        reason, self._reason = self._reason, None
        self.host.lost(self, reason)

    def _call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self._cancel_call()
        self._call = self.host.clock.callLater(seconds, function)

    def _cancel_call(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
