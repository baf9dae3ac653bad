"""
Intake: what the bytes of a client pass before its connection has them, if faults apply to them.

It stands between a transport and a connection, as the protocol of the transport.  A connection to
whose bytes no fault applies has none.  It must not know requests.
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet import interfaces
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.faults import Direction
from reqresp.faults.stages import Ending, Piece
from reqresp.server._state import State
from reqresp.server.faulty_link import FaultyLink
from reqresp.server.host import ConnectionHost
from reqresp.server.stream_faults import roll
from reqresp.transport.stream import Phase, Stream, set_protocol


class Receiver(Protocol):
    """What an intake needs of its connection."""

    host: ConnectionHost
    #: What bytes pass before they are received; None: nothing.
    intake: "Intake | None"
    number: int
    peer: IAddress
    #: Sweeps since something happened.
    quiet: int
    stream: Stream

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""

    def dataReceived(self, data: bytes) -> None:
        """Handle *data*, which the client has sent."""

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        """Handle that the TLS handshake is complete."""

    def readConnectionLost(self) -> None:
        """Handle EOF."""

    def writeConnectionLost(self) -> None:
        """Handle that our EOF has left."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Handle that the connection is lost."""

    def logPrefix(self) -> str:
        """Return what names the connection in the log."""

    def peer_ended(self) -> None:
        """Answer what was received, then close."""

    @property
    def state(self) -> State:
        """What holds the connection."""

    def close_finished(self, end: Callable[[Stream], None]) -> None:
        """End the connection with *end*, and report the request that it ends within."""

    def end(self, end: Callable[[Stream], None]) -> None:
        """End the connection with *end* after the turn under way."""

    def fail(self, failure: Failure) -> None:
        """End the connection after this turn, because of *failure*."""

    def go_on(self) -> None:
        """Work until something holds the connection, or nothing is left to do."""

    def regulate(self) -> None:
        """Resume or pause reading, as the state requires."""


def use_stream_faults(receiver: Receiver) -> None:
    """Apply the faults of the host to what arrives from now on, and to what is on its way."""
    intake, stream = receiver.intake, receiver.stream
    if intake is None and not receiver.host.stream_faults:
        return
    if stream.phase is not Phase.OPEN or stream.is_shaking_hands:
        return
    dice = roll(receiver.host.stream_faults, Direction.UPSTREAM, receiver.number)
    if intake is None and dice:
        intake = receiver.intake = Intake(receiver)
        set_protocol(stream.transport, intake)
    if intake is not None:
        intake.link.use(dice)
        receiver.regulate()


@implementer(
    interfaces.IProtocol,
    interfaces.IHalfCloseableProtocol,
    interfaces.IHandshakeListener,
    interfaces.ILoggingContext,
)
class Intake:
    """What is on its way from a client to *receiver*, its connection."""

    __slots__ = ("_has_passed_end", "_receiver", "holds_end", "is_blocked", "link")

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.link = FaultyLink(self)
        #: Whether the connection accepts no bytes.
        self.is_blocked = True
        #: Whether EOF is on its way.
        self.holds_end = False
        self._has_passed_end = False

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""
        return self._receiver.clock

    # Events of the transport

    def makeConnection(self, transport: object) -> None:
        """Do nothing: it replaces the protocol of a transport that is connected."""

    def connectionMade(self) -> None:
        """Do nothing, likewise."""

    def dataReceived(self, data: bytes) -> None:
        self._receiver.quiet = 0
        self.link.write(data)

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        self._receiver.handshakeCompleted()

    def readConnectionLost(self) -> None:
        self._receiver.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self._receiver.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._receiver.connectionLost(reason)

    def logPrefix(self) -> str:
        return self._receiver.logPrefix()

    # Events of the connection

    def block(self, is_blocked: bool) -> None:
        """Hold bytes back while the connection *is_blocked*; it accepts them otherwise."""
        self.is_blocked = is_blocked
        self.link.run()

    def delays_end(self) -> bool:
        """Return whether EOF has to pass; `Receiver.peer_ended` is called again when it has."""
        if self._has_passed_end:
            return False
        self.holds_end = True
        self.link.write(Ending.EOF)
        return True

    def drop(self) -> bool:
        """Drop what is on its way; return whether there were any bytes."""
        had_any = self.link.held > 0
        self.link.drop()
        return had_any

    def stop(self) -> None:
        """Drop what is on its way, and step aside: the connection ends."""
        self.link.stop()
        self._step_aside()

    # What a link needs

    def deliver(self, piece: Piece) -> None:
        """Have *piece*, which has arrived, received by the connection."""
        receiver = self._receiver
        if isinstance(piece, bytes):
            self._pass(piece)
        elif piece is Ending.EOF:
            self.holds_end, self._has_passed_end = False, True
            receiver.peer_ended()
        else:
            self._cut(Stream.close if piece is Ending.CLOSE else Stream.abort)

    def regulate(self) -> None:
        """Read if there is room, and only then; step aside if there is nothing to do any more."""
        receiver = self._receiver
        if receiver.intake is not self:
            return
        if self.link.is_idle:
            self._step_aside()
            receiver.regulate()
        elif self.link.is_full:
            receiver.stream.pause()
        else:
            receiver.stream.resume()

    def injected(self, name: str, kind: str) -> None:
        """Count and report that a fault affects the connection."""
        receiver = self._receiver
        host = receiver.host
        if host.counters is not None:
            host.counters.faults[kind] += 1
        host.events.faulted(receiver.peer, receiver.number, Direction.UPSTREAM, name)

    def _pass(self, data: bytes) -> None:
        try:
            self._receiver.dataReceived(data)
        except BaseException:  # as the reactor does: any error ends only this connection
            self._receiver.fail(Failure())
            self._receiver.go_on()

    def _cut(self, end: Callable[[Stream], None]) -> None:
        if self._receiver.state is State.TURN:
            self._receiver.end(end)
        else:
            self._receiver.close_finished(end)

    def _step_aside(self) -> None:
        self._receiver.intake = None
        stream = self._receiver.stream
        if stream.phase is not Phase.LOST:
            set_protocol(stream.transport, self._receiver)
