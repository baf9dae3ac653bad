"""
Forwarding: the connections to a service that a server of requests forwards some of them to.

It passes bytes between a client's connection and the service, and must not know what they mean.
"""

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.relay._connecting import (
    DELIVERY_SECONDS,
    connect,
    report_end,
    report_failure,
    why_lost,
)
from reqresp.relay.upstream import Unreachable, Upstream
from reqresp.server.observers import Direction
from reqresp.server.service import ServiceUser
from reqresp.transport.stream import Phase, Stream

# A module-level name is looked up faster than an attribute of an Enum.
_OPEN = Phase.OPEN


@frozen
class Forwarding:
    """
    A service that requests are forwarded to, for `reqresp.ReqRespFactory`.

    :param upstream: the service.
    :param unreachable: how a client's connection ends if the service cannot be reached.
    """

    upstream: Upstream
    unreachable: Unreachable = Unreachable.RESET

    @property
    def name(self) -> str:
        """What log lines call the service."""
        return self.upstream.name

    def connect(self, user: ServiceUser) -> "ForwardingSide":
        """Begin to connect *user* to the service."""
        side = ForwardingSide(user, self)
        side.connect()
        return side


@implementer(
    interfaces.IProtocol,
    interfaces.IHalfCloseableProtocol,
    interfaces.IHandshakeListener,
    interfaces.ILoggingContext,
)
class ForwardingSide:
    """The connection to the service that *user* forwards requests on."""

    def __init__(self, user: ServiceUser, forwarding: Forwarding) -> None:
        self._user = user
        self._forwarding = forwarding
        self.stream = Stream(self)
        self._early: list[bytes] = []  # written before the service is connected
        self._is_open = False
        self._is_ready = False  # to be written to
        self._is_paused = False
        self._is_over = False  # its end was reported, or the client's has come before it
        self._connecting: Deferred[Any] | None = None
        self._deadline: IDelayedCall | None = None

    @property
    def clock(self) -> IReactorTime:
        """The clock of the server."""
        return self._user.host.clock

    def connect(self) -> None:
        """Begin to connect."""
        user = self._user
        attempt = connect(self._forwarding.upstream, user.peer, user.stream, self)
        self._connecting = attempt
        attempt.addBoth(self._settle)

    def _settle(self, result: Any) -> None:
        self._connecting = None
        if isinstance(result, Failure):
            self._fail(result)

    def _fail(self, failure: Failure) -> None:
        if self._is_over:
            return
        self._is_over = True
        user, forwarding = self._user, self._forwarding
        unreachable = forwarding.unreachable
        report_failure(user.host, user.peer, user.number, forwarding.upstream, failure, unreachable)
        user.service_failed(unreachable.end)

    # What the client's connection does

    @property
    def is_blocked(self) -> bool:
        """Whether the service does not read."""
        return self._is_ready and self.stream.is_blocked

    @property
    def undelivered(self) -> int:
        """How many bytes were written that the service has not received, as far as is known."""
        return self.stream.undelivered if self._is_ready else 0

    def write(self, data: bytes) -> None:
        """Write *data*, now or as soon as the service is connected."""
        if self._is_ready:
            self.stream.transport.write(data)
        else:
            self._early.append(data)

    def pause(self) -> None:
        """Read no more until `resume` is called."""
        self._is_paused = True
        if self._is_ready:
            self.stream.pause()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if self._is_ready:
            self.stream.resume()

    def end(self, *, is_reset: bool) -> None:
        """End the connection: the client's has ended, or was reset."""
        was_over, self._is_over = self._is_over, True
        if self._early and not is_reset and not was_over:
            return  # TLS has brought the requests and the end in one read: they are still sent
        if self._connecting is not None:
            self._connecting.cancel()
        if not self._is_open:
            return
        if self._is_ready and not was_over:
            self._report_end(
                Direction.UPSTREAM, Failure(ConnectionAborted()) if is_reset else connectionDone
            )
        self._end_stream(Stream.abort if is_reset else Stream.close)

    def _end_stream(self, end: Callable[[Stream], None]) -> None:
        end(self.stream)
        if self._is_open and self._deadline is None:
            self._deadline = self.clock.callLater(DELIVERY_SECONDS, self._reset)

    def _reset(self) -> None:
        self._deadline = None
        self.stream.reset()

    # Events of the transport

    def makeConnection(self, transport: Any) -> None:
        self.stream.attach(transport)
        self.connectionMade()

    def connectionMade(self) -> None:
        self._is_open = True
        if not self.stream.is_shaking_hands:
            self._begin()

    def _begin(self) -> None:
        if self._is_ready:
            return
        early, self._early = b"".join(self._early), []
        if self._is_over:
            self.stream.transport.write(early)
            self._end_stream(Stream.close)
            return
        self._is_ready = True
        user = self._user
        user.host.events.upstream_opened(user.peer, user.number)
        if early:
            self.stream.transport.write(early)
        if self._is_paused:
            self.stream.pause()

    def logPrefix(self) -> str:
        return "Forwarding"

    def dataReceived(self, data: bytes) -> None:
        if self.stream.phase is _OPEN and not self._is_over:
            self._user.service_sent(data)

    def handshakeCompleted(self) -> None:  # noqa: N802, Twisted's name
        self.stream.handshake_completed()
        self._begin()

    def readConnectionLost(self) -> None:
        self.stream.read_lost()

    def writeConnectionLost(self) -> None:
        self.stream.write_lost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_open = False
        is_shaking_hands = self.stream.is_shaking_hands
        self.stream.lost()
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
        if is_shaking_hands:
            self._fail(reason)
        self._end_user(why_lost(self.stream, reason))

    def _end_user(self, reason: Failure) -> None:
        """Report the end of the service."""
        if self._is_over:
            return
        self._is_over = True
        self._report_end(Direction.DOWNSTREAM, reason)
        self._user.service_ended(is_reset=reason.check(ConnectionDone) is None)

    def _report_end(self, direction: Direction, reason: Failure) -> None:
        """Report the end of the connection, and EOF if it was no reset."""
        user = self._user
        events = user.host.events
        if reason.check(ConnectionDone) and events.reports_forwarded:
            events.forwarded(user.peer, user.number, direction, b"")
        report_end(user.host, user.peer, user.number, self._forwarding.upstream, reason)

    # Events of the stream

    def filled(self) -> None:
        """Do nothing: `is_blocked` is asked before each request."""

    def resumed(self) -> None:
        """Take up requests again."""
        self._user.service_resumed()

    def peer_ended(self) -> None:
        """End the client's connection after what has arrived."""
        self._end_user(connectionDone)
