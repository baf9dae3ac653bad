"""The connection to the service: addresses, TLS, PROXY headers, and why it fails."""

from errno import EHOSTUNREACH
from typing import Any, cast

from attrs import evolve
from twisted.internet import error
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.relay.upstream import Upstream, tcp_upstream, unix_upstream
from reqresp.transport.proxy_protocol import ProxyDecoder, encode_binary, encode_line
from tests.support.relayed import RELAY_PORT, RelayedCase


class ExplainTests(SynchronousTestCase):
    """Why a service cannot be reached, in words."""

    def explain(self, problem: Exception) -> str:
        """Return the words for *problem*."""
        return tcp_upstream(MemoryReactorClock(), "192.0.2.1", 80).explain(Failure(problem))

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
        reactor = MemoryReactorClock()
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
