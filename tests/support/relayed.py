"""A relay on the network in memory: a client and a service that a test controls byte by byte."""

from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.relay import RelayFactory
from reqresp.relay.upstream import Upstream, tcp_upstream
from reqresp.server.observers import Direction, Observer
from reqresp.testing._memory_peer import MemoryPeer
from reqresp.testing._memory_reactor import HOST, InMemoryReactor

SERVICE_PORT = 6379
RELAY_PORT = 6380


@implementer(IHalfCloseableProtocol)
class Service(Protocol):
    """The service's end of one connection: it records what arrives, and does what a test says."""

    transport: Any

    def __init__(self) -> None:
        self.got = b""
        self.eof = False
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def readConnectionLost(self) -> None:
        self.eof = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason

    @property
    def was_reset(self) -> bool:
        """Whether its connection was lost with a reset."""
        return self.lost is not None and not self.lost.check(ConnectionDone)


class Services(Factory):
    """Builds services, and keeps them in their order."""

    noisy = False
    protocol = Service

    def __init__(self) -> None:
        self.made: list[Service] = []

    def buildProtocol(self, addr: Any) -> Service:
        service = Service()
        self.made.append(service)
        return service


class Watcher(Observer):
    """Keeps the events of relays; EOF is no bytes."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def connected(self, peer: IAddress, connection: int) -> None:
        self.events.append(("connected", connection))

    def upstream_opened(self, peer: IAddress, connection: int) -> None:
        self.events.append(("opened", connection))

    def upstream_failed(self, peer: IAddress, connection: int, failure: Failure) -> None:
        self.events.append(("failed", connection))

    def passed(self, peer: IAddress, connection: int, direction: Direction, data: bytes) -> None:
        self.events.append((direction, data))

    def upstream_ended(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self.events.append(("ended", connection))

    def disconnected(self, peer: IAddress, connection: int, reason: Failure) -> None:
        self.events.append(("disconnected", connection))


class RelayedCase(SynchronousTestCase):
    """A relay in front of a service."""

    #: Arguments of the factory.
    arguments: dict[str, Any] = {}

    def setUp(self) -> None:
        self.reactor = InMemoryReactor()
        self.services = Services()
        self.serve()
        self.factory = RelayFactory(
            self.upstream(),
            clock=cast(Any, self.reactor),
            **self.arguments,
        )
        self.reactor.listenTCP(RELAY_PORT, self.factory)

    def serve(self) -> None:
        """Have the service listen."""
        self.reactor.listenTCP(SERVICE_PORT, self.wrapped(self.services))

    def wrapped(self, services: Factory) -> Any:
        """Return what listens for the service."""
        return services

    def upstream(self) -> Upstream:
        """Return where the relay connects to."""
        return tcp_upstream(self.reactor, HOST, SERVICE_PORT)

    def connect(self) -> MemoryPeer:
        """Return a new client, whose connection upstream is made."""
        client = self.reactor.connect_peer(RELAY_PORT)
        self.advance(0)
        return client

    def connect_both(self) -> tuple[MemoryPeer, Service]:
        """Return a new client, and the service's end of its connection upstream."""
        client = self.connect()
        return client, self.services.made[-1]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.reactor.advance(seconds)
