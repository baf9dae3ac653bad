"""Served: a test case with services that listen on a network in memory."""

import errno
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.services.answers import Loaded, load
from reqresp.services.definition import Definition
from reqresp.services.environment import Environment, make_listeners
from reqresp.services.reading import parse_services
from reqresp.services.registry import Services
from tests.support.wire import FakeReactor, Wire


@frozen
class Network:
    """The ports that are open, by the descriptions of their endpoints."""

    open: dict[str, "MemoryPort"] = field(factory=dict)
    #: Descriptions at which nothing can listen.
    broken: set[str] = field(factory=set)


@define(eq=False)
class MemoryPort:
    """An open port."""

    network: Network
    name: str
    factory: Any

    def getHost(self) -> IPv4Address:
        number = self.name.rpartition(":")[2]
        return IPv4Address("TCP", "127.0.0.1", int(number))

    def stopListening(self) -> None:
        del self.network.open[self.name]


@implementer(IStreamServerEndpoint)
@frozen
class MemoryEndpoint:
    """An endpoint of the network, which can be listened on once at a time."""

    network: Network
    name: str
    make_port: Any = MemoryPort

    def listen(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: N803, the interface names it
        if self.name in self.network.open or self.name in self.network.broken:
            error = OSError(errno.EADDRINUSE, "Address already in use")
            return fail(CannotListenError("127.0.0.1", 0, error))
        port = self.make_port(self.network, self.name, protocolFactory)
        self.network.open[self.name] = port
        return succeed(port)


class Served(SynchronousTestCase):
    """Services in memory: `network` has their ports, and `ask` connects to one."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.network = Network()
        self.environment = Environment(
            reactor=self.reactor,
            listeners=lambda it: make_listeners(
                it, lambda spec: MemoryEndpoint(self.network, spec.name)
            ),
            keeps_journal=True,
            has_counters=True,
        )
        self.services = Services(self.environment)

    def definitions(self, text: str, base: Path = Path()) -> list[Definition]:
        """Return what a services file with this *text* defines."""
        return parse_services(text, "services.toml", base)

    def loaded(self, text: str, base: Path = Path()) -> list[tuple[Definition, Loaded]]:
        """Return what a services file with this *text* defines, and the files that it names."""
        return [(it, load(it)) for it in self.definitions(text, base)]

    def start(self, text: str) -> None:
        """Start the services of *text*."""
        self.services.start(self.loaded(text))
        for service in self.services:
            if service.definition.is_enabled:
                self.successResultOf(service.enable())

    def connect(self, name: str) -> Wire:
        """Return a client of the service *name*, which listens."""
        service = self.services[name]
        port = self.network.open[service.definition.listen[0].name]
        return Wire(port.factory, self.reactor)

    def ask(self, name: str, request: bytes = b"x\n") -> bytes:
        """Return what a new client of the service *name* receives for *request*."""
        wire = self.connect(name)
        wire.send(request)
        return wire.received()
