"""A control server in memory, whose ports open and close, with a service behind its proxies."""

from errno import EADDRINUSE
from typing import Any

from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError

from reqresp.control.control_site import make_control_site
from reqresp.services.environment import Environment
from reqresp.services.registry import Services
from reqresp.testing._memory_peer import MemoryPeer
from reqresp.testing._memory_reactor import HOST
from tests.support.asked import Answer, Asked
from tests.support.relayed import SERVICE_PORT, Service
from tests.support.relayed import Services as Behind
from tests.support.wire import FakeReactor

#: A proxy and a toxic, as they are shown.
REDIS = {
    "name": "redis",
    "listen": "127.0.0.1:26379",
    "upstream": "127.0.0.1:6379",
    "enabled": True,
    "toxics": [],
}
LATENCY = {
    "attributes": {"latency": 1000, "jitter": 0},
    "name": "latency_downstream",
    "type": "latency",
    "stream": "downstream",
    "toxicity": 1,
}


@frozen
class _Port:
    """A port that is open until it is closed."""

    reactor: "PortReactor"
    server: tuple[Any, ...]

    def getHost(self) -> IPv4Address:
        """Return where it listens."""
        return IPv4Address("TCP", self.server[3] or HOST, self.server[0])

    def stopListening(self) -> Deferred[None]:
        """Close it."""
        self.reactor.tcpServers.remove(self.server)
        return succeed(None)


class PortReactor(FakeReactor):
    """A network in memory in which a port has one listener."""

    def listenTCP(  # noqa: N802, Twisted's name
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        """Listen on *port*; 0: on a free one."""
        if any(it[0] == port for it in self.tcpServers if interface):
            error = OSError(EADDRINUSE, "Address already in use")
            raise CannotListenError(interface, port, error)
        interface = HOST if interface == "localhost" else interface
        server = (port or self.free_port(), factory, backlog, interface)
        self.tcpServers.append(server)
        return _Port(self, server)


class ProxiedCase(Asked):
    """A control server without services of its own."""

    def make_site(self) -> Any:
        self.reactor = PortReactor()
        self.behind = Behind()
        self.reactor.listenTCP(SERVICE_PORT, self.behind)
        self.services = Services(Environment(reactor=self.reactor, keeps_journal=True))
        return make_control_site(self.services, clock=self.reactor, pages={})

    def assert_answers(self, answer: Answer, status: int, value: Any) -> None:
        """Assert that *answer* has this status, and this JSON."""
        self.assertEqual((answer.status, answer.json), (status, value))

    def assert_refused(self, answer: Answer, status: int, error: str) -> None:
        """Assert that a request was refused as toxiproxy does it."""
        self.assert_answers(answer, status, {"error": error, "status": status})

    def create(self, name: str = "redis", **fields: Any) -> dict[str, Any]:
        """Create a proxy; return what the answer says."""
        upstream = f"127.0.0.1:{SERVICE_PORT}"
        listen = "localhost:26379"
        body = {"name": name, "listen": listen, "upstream": upstream, **fields}
        answer = self.ask("POST", "/proxies", body)
        self.assertEqual(answer.status, 201, answer.data)
        proxy: dict[str, Any] = answer.json
        return proxy

    def add(self, kind: str, stream: str = "downstream", **attributes: Any) -> None:
        """Add a toxic to the proxy ``redis``."""
        toxic = {"type": kind, "stream": stream, "attributes": attributes}
        answer = self.ask("POST", "/proxies/redis/toxics", toxic)
        self.assertEqual(answer.status, 200, answer.data)

    def is_up(self, port: int) -> bool:
        """Return whether something listens on *port*."""
        try:
            self.reactor.connect_peer(port).close()
        except ConnectionRefusedError:
            return False
        self.reactor.advance(0)
        return True

    def connect(self, port: int = 26379) -> tuple[MemoryPeer, Service]:
        """Return a client of a proxy, and the service's end of its connection."""
        client = self.reactor.connect_peer(port)
        self.reactor.advance(0)
        return client, self.behind.made[-1]
