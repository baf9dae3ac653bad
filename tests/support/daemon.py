"""Services that ``twistd reqresp`` would make, on a reactor in memory."""

from typing import Any

import twisted.internet
from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.daemon.exits import WrongUseError
from reqresp.daemon.options import Options
from reqresp.daemon.service import ReqRespService
from reqresp.server.factory import ReqRespFactory
from reqresp.services.registry import Services
from reqresp.services.service import Service as Served
from reqresp.tap import makeService
from reqresp.testing import InMemoryReactor


def parsed(*arguments: str) -> Options:
    """Return the options of a command line, as twistd parses them."""
    options = Options()
    options.parseOptions(arguments)
    return options


def refusal(*arguments: str) -> str:
    """Return the one line with which *arguments* are refused."""
    try:
        parsed(*arguments)
    except WrongUseError as error:
        return str(error)
    raise AssertionError(f"{arguments} were accepted")


@frozen
class Made:
    """A service, and its reactor."""

    service: ReqRespService
    reactor: Any

    @property
    def services(self) -> Services:
        """The services that it serves."""
        services = self.service.services
        assert services is not None
        return services

    @property
    def served(self) -> Served:
        """The only one of them."""
        [served] = self.services
        return served

    @property
    def factory(self) -> ReqRespFactory:
        """The factory of a service that answers requests."""
        factory = self.served.factory
        assert isinstance(factory, ReqRespFactory)
        return factory


class Making(SynchronousTestCase):
    """Makes services, and connects to them."""

    def make(self, *arguments: str) -> Made:
        """Return the service of *arguments*, on a reactor in memory."""
        reactor = InMemoryReactor()
        # The reactor is a module that trial or pytest has put in place.
        __import__("twisted.internet.reactor")
        self.patch(twisted.internet, "reactor", reactor)
        service = makeService(parsed(*arguments))
        assert isinstance(service, ReqRespService)
        return Made(service, reactor)

    def connect(self, made: Made, host: str = "192.0.2.1") -> tuple[Any, StringTransport]:
        """Connect a client; return the server's protocol, and the transport with what was sent."""
        peer = IPv4Address("TCP", host, 1234)
        transport = StringTransport(peerAddress=peer)
        protocol = made.served.factory.buildProtocol(peer)
        assert protocol is not None
        protocol.makeConnection(transport)
        return protocol, transport

    def replies(self, made: Made, data: bytes) -> bytes:
        """Return what a client receives that sends *data*, then closes."""
        protocol, transport = self.connect(made)
        protocol.dataReceived(data)
        protocol.connectionLost(Failure(ConnectionDone()))
        value: bytes = transport.value()
        return value

    def logged(self) -> list[Any]:
        """Return the list of events that are logged from now on."""
        events: list[Any] = []
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return events
