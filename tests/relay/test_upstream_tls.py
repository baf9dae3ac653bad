"""TLS between a relay and its service: what passes, and which handshakes fail."""

from typing import Any, cast

from attrs import evolve
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.logger import capturedLogs
from twisted.protocols.tls import TLSMemoryBIOFactory

from reqresp.relay._connecting import DELIVERY_SECONDS
from reqresp.relay.upstream import Upstream
from reqresp.relay.upstream_tls import ClientTLS
from reqresp.server.observers import Direction
from reqresp.transport.proxy_protocol import encode_binary
from tests.support.forwarded import ForwardedCase
from tests.support.issued import authority, contexts, stranger
from tests.support.relayed import RELAY_PORT, RelayedCase, Watcher


class TLSCase(RelayedCase):
    """A service that speaks TLS; the relay trusts *trusted* and expects the name *name*."""

    name = "localhost"
    trusted = staticmethod(authority)

    def wrapped(self, services: Any) -> Any:
        server, _ = contexts()
        return TLSMemoryBIOFactory(server, False, services, cast(Any, self.reactor))

    def upstream(self) -> Upstream:
        root = Certificate.loadPEM(self.trusted().cert_pem.bytes())
        creator = optionsForClientTLS(self.name, trustRoot=root)
        tls = ClientTLS(creator, cast(Any, self.reactor))
        return evolve(super().upstream(), tls=tls)

    def lines(self) -> list[str]:
        """Connect a client, and return the log lines about the service."""
        with capturedLogs() as events:
            self.client = self.connect()
        return [it["log_format"].format(**it) for it in events if "upstream" in it]


class TLSTests(TLSCase):
    """Bytes are plain for the client, and encrypted for the service."""

    def test_bytes_pass_both_ways(self) -> None:
        """Bytes that the client sends before the handshake is complete are kept."""
        client = self.reactor.connect_peer(RELAY_PORT)
        client.send(b"early")
        self.advance(0)
        [service] = self.services.made
        self.assertEqual(service.got, b"early")
        service.transport.write(b"reply")
        self.advance(0)
        self.assertEqual(client.received(), b"reply")

    def test_a_close_of_the_service_reaches_the_client_as_a_close(self) -> None:
        """Everything is delivered first."""
        client, service = self.connect_both()
        service.transport.write(b"x" * 300_000)
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual((len(client.received()), client.got_eof), (300_000, True))
        self.assertFalse(client.got_reset)

    def test_a_slow_client_gets_everything_before_a_close(self) -> None:
        """Also through a fault, which holds much of it when the service has left."""
        self.factory.fault("latency", stream="downstream", delay=1)
        client, service = self.connect_both()
        client.stop_reading()
        service.transport.write(b"x" * 2_000_000)
        service.transport.loseConnection()
        received = 0
        for _ in range(2 * int(DELIVERY_SECONDS)):
            self.advance(1)
            client.resume_reading(100_000)
            self.advance(0)
            received += len(client.received())
        self.assertFalse(client.got_reset)
        client.resume_reading(2_000_000)
        self.advance(1)
        received += len(client.received())
        self.assertEqual((received, client.got_eof, client.got_reset), (2_000_000, True, False))

    def test_a_service_that_leaves_without_close_notify_has_not_reset(self) -> None:
        """TCP ended in order: the client sees EOF."""
        client, service = self.connect_both()
        service.transport.transport.loseConnection()  # TCP, below TLS
        self.advance(2)
        self.assertTrue(client.got_eof)
        self.assertFalse(client.got_reset)

    def test_a_reset_of_the_service_reaches_the_client_as_a_reset(self) -> None:
        """A reset of TCP stays a reset."""
        client, service = self.connect_both()
        service.transport.transport.abortConnection()
        self.advance(2)
        self.assertTrue(client.got_reset)


class TLSObserverTests(TLSCase):
    """What observers receive of the end of TLS."""

    def setUp(self) -> None:
        self.watcher = Watcher()
        self.arguments = {"observers": [self.watcher]}
        super().setUp()

    def test_close_notify_is_eof(self) -> None:
        """TLS has no half-close: its end is EOF, and then the loss."""
        _client, service = self.connect_both()
        service.transport.write(b"bye")
        service.transport.loseConnection()
        self.advance(0)
        down = Direction.DOWNSTREAM
        self.assertEqual(self.watcher.events[2:5], [(down, b"bye"), (down, b""), ("ended", 1)])

    def test_the_end_of_tcp_is_eof(self) -> None:
        """A service that leaves without close_notify has ended its bytes, too."""
        _client, service = self.connect_both()
        service.transport.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.watcher.events[2:4], [(Direction.DOWNSTREAM, b""), ("ended", 1)])

    def test_a_reset_is_not_eof(self) -> None:
        """A reset below TLS is only a loss."""
        _client, service = self.connect_both()
        service.transport.transport.abortConnection()
        self.advance(2)
        self.assertEqual(self.watcher.events[2], ("ended", 1))

    def test_a_handshake_that_ends_is_not_eof(self) -> None:
        """Nothing has passed yet."""
        self.name = "other.test"
        self.setUp()
        self.lines()
        self.assertEqual(
            self.watcher.events, [("connected", 1), ("failed", 1), ("disconnected", 1)]
        )


class TLSHeaderTests(TLSCase):
    """A service that gets a PROXY header, and then TLS."""

    def wrapped(self, services: Any) -> Any:
        from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory

        return HAProxyWrappingFactory(super().wrapped(services))

    def upstream(self) -> Upstream:
        return evolve(super().upstream(), encode_header=encode_binary)

    def test_the_header_is_not_encrypted(self) -> None:
        """A balancer reads it before it knows of any TLS."""
        client, service = self.connect_both()
        client.send(b"GET")
        self.assertEqual(service.got, b"GET")


class UntrustedTests(TLSCase):
    """A certificate of an authority that the relay does not trust."""

    trusted = staticmethod(stranger)

    def test_one_line_says_that_tls_was_refused(self) -> None:
        """The client is reset, and the service sees nothing of it."""
        [line] = self.lines()
        self.assertRegex(line, "has a certificate that no trusted CA has signed, .*; resetting$")
        self.assertTrue(self.client.got_reset)
        self.assertEqual(self.factory.open, 0)


class WrongNameTests(TLSCase):
    """A certificate for another name."""

    name = "db.example"

    def test_one_line_says_so(self) -> None:
        """It differs from a certificate that is not trusted."""
        [line] = self.lines()
        self.assertRegex(line, "has a certificate for another name; resetting$")


class SilentTLSTests(TLSCase):
    """A service that accepts, and never answers the handshake."""

    def wrapped(self, services: Any) -> Any:
        return services

    def test_the_handshake_has_a_deadline(self) -> None:
        """The client is told after the time of a handshake."""
        with capturedLogs() as events:
            client = self.connect()
            self.advance(10)
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertRegex(line, "did not complete TLS in time; resetting$")
        self.assertTrue(client.got_reset)
        self.assertEqual(self.factory.open, 0)

    def test_a_service_that_closes_within_the_handshake_is_named(self) -> None:
        """Its end is not taken for a reply."""
        with capturedLogs() as events:
            client = self.connect()
            self.services.made[0].transport.loseConnection()
            self.advance(2)
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertRegex(line, "ended the connection within the TLS handshake; resetting$")
        self.assertTrue(client.got_reset)


#: Answers FAKE by itself, and forwards everything else.
SCRIPT = """
    framing = "resp"
    unmatched = { forward = true }
    [[rule]]
    equals = "FAKE"
    reply = "+fake"
"""


class TLSForwardingTests(TLSCase, ForwardedCase):
    """A service that speaks TLS."""

    respond = SCRIPT

    def test_requests_before_the_handshake_are_kept(self) -> None:
        """They are forwarded once it is complete; replies keep their order."""
        client = self.reactor.connect_peer(RELAY_PORT)
        client.send(b"GET 1\r\nFAKE\r\n")
        self.advance(0)
        [service] = self.services.made
        self.assertEqual(service.got, b"GET 1\r\n")
        service.transport.write(b":1\r\n")
        self.advance(0)
        self.assertEqual(client.received(), b":1\r\n+fake\r\n")

    def test_the_end_of_the_service(self) -> None:
        """Its close_notify closes the client, too."""
        client, service = self.connect_both()
        service.transport.loseConnection()
        self.advance(0)
        self.assertEqual((client.got_eof, client.got_reset), (True, False))


class UntrustedForwardingTests(TLSCase, ForwardedCase):
    """A service whose certificate nobody trusts."""

    respond = SCRIPT
    trusted = staticmethod(stranger)

    def test_the_client_is_reset(self) -> None:
        """One log line says why."""
        [line] = self.lines()
        self.assertIn("certificate", line)
        self.advance(1)
        self.assertTrue(self.client.got_reset)
