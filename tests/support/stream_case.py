"""StreamTestCase: a stream on a real transport in memory, with an owner that records its calls."""

from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.interfaces import IHalfCloseableProtocol, INegotiated, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import classImplements, implementer

from reqresp.transport.stream import Stream
from tests.support.wire import FakeReactor, Wire


@implementer(IHalfCloseableProtocol)
class Owning(Protocol):
    """The protocol that has a stream, and that passes the transport's events on to it."""

    def __init__(self, clock: IReactorTime, kind: type[Stream] = Stream) -> None:
        self.clock = clock
        self.stream = kind(self)
        self.events: list[str] = []
        self.received = b""

    def connectionMade(self) -> None:
        self.stream.attach(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.stream.read_lost()

    def writeConnectionLost(self) -> None:
        self.stream.write_lost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.stream.lost()

    def filled(self) -> None:
        self.events.append("filled")

    def resumed(self) -> None:
        self.events.append("resumed")

    def peer_ended(self) -> None:
        self.events.append("peer ended")


class StreamTestCase(SynchronousTestCase):
    """One connection in memory."""

    transport: type[tcp.Server] = tcp.Server

    def setUp(self) -> None:
        self.reactor = FakeReactor()

    def connect(self, kind: type[Stream] = Stream) -> Wire:
        """Connect a client to an owner of a stream of this *kind*."""
        self.owner = Owning(self.reactor, kind)
        self.stream = self.owner.stream
        factory: Factory[Owning] = Factory()
        factory.buildProtocol = lambda _peer: self.owner  # type: ignore[method-assign,assignment]
        return Wire(factory, self.reactor, transport=self.transport)


class Encrypting(StringTransportWithDisconnection):
    """A transport that looks like one of TLS."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Do nothing: it has no socket."""


cast(Any, classImplements)(Encrypting, INegotiated)  # as little of it as a stream needs
