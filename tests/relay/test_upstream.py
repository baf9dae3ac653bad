"""The connection to the service: addresses, TLS, PROXY headers, and why it fails."""

from errno import EHOSTUNREACH
from typing import Any, cast

from attrs import evolve
from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.relay.upstream import ATTEMPT_DELAY, Upstream, tcp_upstream, unix_upstream
from reqresp.testing import InMemoryReactor
from reqresp.transport.proxy_protocol import ProxyDecoder, encode_binary, encode_line
from tests.support.relayed import RELAY_PORT, RelayedCase


class ExplainTests(SynchronousTestCase):
    """Why a service cannot be reached, in words."""

    def explain(self, problem: Exception) -> str:
        """Return the words for *problem*."""
        return tcp_upstream(InMemoryReactor(), "192.0.2.1", 80).explain(Failure(problem))

    def test_each_kind_of_failure_has_its_words(self) -> None:
        """A person can tell a refusal, a timeout, a route and a name apart."""
        for problem, words in (
            (error.ConnectionRefusedError(), "refused the connection"),
            (error.TimeoutError(), "did not answer in time"),
            (error.TCPTimedOutError(), "did not answer in time"),
            (error.NoRouteError(), "is unreachable"),
            (error.ConnectError(osError=EHOSTUNREACH), "is unreachable"),
            (error.DNSLookupError(), "has a name that does not resolve"),
        ):
            self.assertEqual(self.explain(problem), words)

    def test_any_other_failure_is_shown_without_control_characters(self) -> None:
        """An error of the system is part of the line."""
        self.assertEqual(self.explain(ValueError("bad\n\x1b[2J")), r"failed: bad\n\x1b[2J")


class NameTests(SynchronousTestCase):
    """What log lines call a service."""

    def test_addresses_and_names(self) -> None:
        """An IPv6 address stands in brackets; a path begins with unix."""
        reactor = InMemoryReactor()
        for host, name in (
            ("192.0.2.1", "192.0.2.1:80"),
            ("::1", "[::1]:80"),
            ("db.example", "db.example:80"),
        ):
            self.assertEqual(tcp_upstream(reactor, host, 80).name, name)
        self.assertEqual(unix_upstream(reactor, "/run/s.sock").name, "unix:/run/s.sock")


class ProxyHeaderTests(RelayedCase):
    """A service that gets a PROXY header."""

    encode = staticmethod(encode_line)

    def upstream(self) -> Upstream:
        return evolve(super().upstream(), encode_header=self.encode)

    def test_the_header_names_the_client_before_its_first_byte(self) -> None:
        """It has the client's address, and the address that it connected to."""
        client, service = self.connect_both()
        client.send(b"GET")
        found = ProxyDecoder().feed(service.got)
        assert found is not None
        header, rest = found
        source, destination = cast(Any, header.source), cast(Any, header.destination)
        self.assertEqual((source.host, source.port), client.socket.name)
        self.assertEqual(destination.port, RELAY_PORT)
        self.assertEqual(rest, b"GET")


class BinaryProxyHeaderTests(ProxyHeaderTests):
    """The same in version 2."""

    encode = staticmethod(encode_binary)


@implementer(IHostnameResolver)
class TwoAddresses:
    """Resolves every name to two addresses."""

    def resolveHostName(  # noqa: N802, Twisted's name
        self,
        resolutionReceiver: Any,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Any = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> Any:
        """Report both of them."""
        resolutionReceiver.resolutionBegan(None)
        for address in ("192.0.2.1", "192.0.2.2"):
            resolutionReceiver.addressResolved(IPv4Address("TCP", address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolutionReceiver


@implementer(IReactorPluggableNameResolver)  # Twisted's own, only from 25.5 on
class Resolving(MemoryReactorClock):
    """A reactor that resolves every name to two addresses, and connects nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.nameResolver: Any = TwoAddresses()


class SeveralAddressesTests(SynchronousTestCase):
    """A name with two addresses."""

    def setUp(self) -> None:
        self.reactor = Resolving()
        endpoint = tcp_upstream(self.reactor, "db.example", 80, timeout=3).endpoint
        self.result = endpoint.connect(Factory.forProtocol(Protocol))
        self.upstream = tcp_upstream(self.reactor, "db.example", 80)

    def tried(self) -> list[str]:
        """Return the addresses that were tried."""
        return [host for host, *_ in self.reactor.tcpClients]

    def refuse(self, number: int) -> None:
        """Let the attempt with this number be refused."""
        factory: Any = self.reactor.tcpClients[number][2]
        factory.clientConnectionFailed(None, Failure(error.ConnectionRefusedError()))

    def test_the_second_follows_soon(self) -> None:
        """The first one that answers is used."""
        self.assertEqual(self.tried(), ["192.0.2.1"])
        self.reactor.advance(ATTEMPT_DELAY)
        self.assertEqual(self.tried(), ["192.0.2.1", "192.0.2.2"])
        self.refuse(0)
        factory: Any = self.reactor.tcpClients[1][2]
        factory.buildProtocol(None).makeConnection(StringTransport())
        self.successResultOf(self.result)

    def test_both_refuse(self) -> None:
        """That is the reason."""
        self.reactor.advance(ATTEMPT_DELAY)
        self.refuse(0)
        self.refuse(1)
        self.reactor.advance(ATTEMPT_DELAY)
        failure = self.failureResultOf(self.result)
        self.assertEqual(self.upstream.explain(failure), "refused the connection")

    def test_one_refuses_and_one_does_not_answer(self) -> None:
        """Each attempt has the whole time of a connection."""
        self.reactor.advance(ATTEMPT_DELAY)
        self.refuse(0)
        self.assertEqual([it[3] for it in self.reactor.tcpClients], [3, 3])
