"""Connections through a load balancer that sends a PROXY header."""

import socket
import ssl
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from reqresp import (
    Answered,
    Close,
    Connected,
    Counters,
    Disconnected,
    EagerServer,
    HalfClose,
    Journal,
    Limits,
    Line,
    Observer,
    ReqRespFactory,
    Request,
    Script,
    Send,
    StopReading,
    Wait,
)
from reqresp.server.proxied import ProxiedFactory
from reqresp.testing import ThreadedReactor
from reqresp.transport.access import Access, Networks, parse_networks
from tests.support.conversation import Conversation
from tests.support.issued import contexts
from tests.support.live import PATIENCE, temporary
from tests.support.proxy_headers import binary, line, mutated_headers, raw
from tests.support.wire import FakeReactor, Wire

BALANCER = "10.0.0.1"
CLIENT = ("192.0.2.7", 56324)
HEADERS = {"v1": line(CLIENT), "v2": binary(CLIENT)}


def shout(request: Request) -> bytes:
    return request.data.upper()


class Peers(Observer):
    """Records the peers that connected, were refused and disconnected."""

    def __init__(self) -> None:
        self.met: list[IAddress] = []
        self.refused_for: list[tuple[IAddress, str]] = []
        self.left = 0

    def connected(self, peer: IAddress, connection: int) -> None:
        self.met.append(peer)

    def refused(self, peer: IAddress, reason: str) -> None:
        self.refused_for.append((peer, reason))

    def disconnected(self, peer: IAddress, connection: int, reason: Any) -> None:
        self.left += 1


class Ending(Factory):
    """Builds protocols that call *end* when they are made, and record what they receive."""

    def __init__(self, end: Callable[[Any], None], received: list[bytes]) -> None:
        self.end = end
        self.received = received

    def buildProtocol(self, addr: Any) -> Protocol:
        protocol = Protocol()
        protocol.connectionMade = lambda: self.end(protocol.transport)  # type: ignore[method-assign]
        protocol.dataReceived = self.received.append  # type: ignore[assignment, method-assign]
        return protocol


class Balanced(Conversation):
    """A server that trusts a balancer, and connections from that balancer."""

    def setUp(self) -> None:
        super().setUp()
        self.peers = Peers()

    def serve(self, respond: Any = None, timeout: float = 5.0, **options: Any) -> ProxiedFactory:
        options.setdefault("framing", Line())
        self.server = self.factory(respond, observers=[self.heard, self.peers], **options)
        return ProxiedFactory(
            self.server, server=self.server, trusted=parse_networks("10.0.0.0/8"), timeout=timeout
        )

    def arrive(self, factory: Any, host: str = BALANCER) -> Wire:
        """Connect from the balancer."""
        return self.join(factory, host)

    def logged(self, wire_of: Any) -> list[str]:
        """Return the warnings and errors that are logged while *wire_of* is called."""
        with capturedLogs() as events:
            wire_of()
        levels = (LogLevel.warn, LogLevel.error, LogLevel.critical)
        return [formatEvent(event) for event in events if event["log_level"] in levels]


class HeaderTests(Balanced):
    """A complete header, after which the client is served."""

    def test_the_request_comes_after_the_header(self) -> None:
        """A request may arrive in the header's segment, in another, or in single bytes."""
        for header in HEADERS.values():
            stream = header + b"hello\n"
            for pieces in (
                [stream],
                [header, b"hello\n"],
                [stream[at : at + 1] for at in range(len(stream))],
            ):
                wire = self.arrive(self.serve(shout))
                self.assertEqual(wire.received(), b"")
                wire.send(*pieces)
                self.assertEqual(wire.received(), b"HELLO\r\n")
                self.assertTrue(wire.is_open)

    def test_the_peer_is_the_client_in_the_header(self) -> None:
        """Observers and requests have the address from the header."""
        for header in HEADERS.values():
            factory = self.serve(lambda request: str(request.peer).encode())
            wire = self.arrive(factory)
            self.assertEqual(self.peers.met, [])
            wire.send(header + b"who\n")
            self.assertEqual(self.peers.met.pop(), IPv4Address("TCP", *CLIENT))
            self.assertIn(b"192.0.2.7", wire.received())

    def test_ipv6_and_unix_addresses(self) -> None:
        """A header can name an IPv6 address or a UNIX socket."""
        for header, client in (
            (line(("2001:db8::7", 1), ("::1", 2)), IPv6Address("TCP", "2001:db8::7", 1)),
            (binary(("2001:db8::7", 1), ("::1", 2)), IPv6Address("TCP", "2001:db8::7", 1)),
            (binary(b"/run/x", b""), UNIXAddress("/run/x")),
            (binary(b"", b""), UNIXAddress(None)),
        ):
            wire = self.arrive(self.serve())
            wire.send(header + b"x\n")
            self.assertEqual(self.peers.met.pop(), client)
            self.assertEqual(wire.received(), b"response\r\n")

    def test_small_replies_are_not_held_back(self) -> None:
        """Nagle's algorithm is off, whatever address the header names."""
        for header in (binary(b"/run/x", b""), HEADERS["v2"]):
            wire = Wire(self.serve(), self.reactor, BALANCER)  # a stock one
            wire.send(header)
            self.assertTrue(wire.is_nodelay)

    def test_checks_have_the_balancers_address(self) -> None:
        """The balancer's own health checks have the balancer's address."""
        for header in (raw(0x20, 0), raw(0x21, 0), b"PROXY UNKNOWN\r\n"):
            wire = self.arrive(self.serve())
            wire.send(header + b"check\n")
            self.assertEqual(self.peers.met.pop(), IPv4Address("TCP", BALANCER, 50000))
            self.assertEqual(wire.received(), b"response\r\n")

    def test_a_greeting_waits_for_the_header(self) -> None:
        """The greeting is sent only after the header has arrived."""
        factory = self.serve(Script.parse('greeting = "hello"\nrule = [{ reply = "x" }]'))
        wire = self.arrive(factory)
        self.assertEqual(wire.received(), b"")
        wire.send(HEADERS["v2"])
        self.assertEqual(wire.received(), b"hello\r\n")
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"x\r\n")

    def test_pipelined_requests_with_the_header(self) -> None:
        """All requests that arrive with the header are answered in order."""
        wire = self.arrive(self.serve(shout))
        wire.send(HEADERS["v1"] + b"".join(b"%d\n" % number for number in range(5000)))
        self.assertEqual(wire.received(), b"".join(b"%d\r\n" % number for number in range(5000)))

    def test_faults_of_what_clients_send(self) -> None:
        """They apply to what follows the header, not to the header."""
        for pieces in ((b"hello\n",), (b"he", b"llo\n")):
            factory = self.serve(shout)
            self.server.fault("latency", stream="upstream", delay=7)
            self.server.fault("limit_data", stream="upstream", bytes=6)
            wire = self.arrive(factory)
            wire.send(HEADERS["v2"] + pieces[0], *pieces[1:])
            wire.wait(6.9)
            self.assertEqual(wire.received(), b"")
            wire.wait(0.1)
            self.assertEqual(wire.received(), b"HELLO\r\n")
            self.assertTrue(wire.got_eof)

    def test_a_second_header_is_a_request(self) -> None:
        """Only the first header is read as one; a second one is data of the client."""
        wire = self.arrive(self.serve(shout))
        wire.send(HEADERS["v1"] * 2)
        self.assertEqual(wire.received(), HEADERS["v1"].upper())

    def test_the_timeout_ends_with_the_header(self) -> None:
        """The timeout applies only until the header is complete."""
        wire = self.arrive(self.serve())
        wire.send(HEADERS["v2"])
        wire.wait(60)
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"response\r\n")
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class EndingTests(Balanced):
    """Connections end as they do without a header."""

    def test_a_half_close_after_the_header(self) -> None:
        """A client that sends header, request and EOF at once gets a late reply."""
        for header in HEADERS.values():
            wire = self.arrive(self.serve(lambda request: (Wait(3), Send(b"late"))))
            wire.put(header + b"x\n")
            wire.send_eof()
            self.assertFalse(wire.got_eof)
            wire.wait(3)
            self.assertEqual(wire.received(), b"late\r\n")
            self.assertTrue(wire.got_eof)
            self.assertFalse(wire.is_open)

    def test_a_half_close_without_a_request(self) -> None:
        """EOF after a header and no request closes the connection."""
        wire = self.arrive(self.serve())
        wire.put(HEADERS["v1"])
        wire.send_eof()
        self.assertTrue(wire.got_eof)
        self.assertEqual((len(self.peers.met), self.peers.left), (1, 1))

    def test_a_client_that_closes_at_the_servers_eof(self) -> None:
        """The close after a half-close is reported after the replies, and none is unanswered."""
        for steps in ((HalfClose(), Close()), (HalfClose(), Wait(1), Close())):
            for data in (b"a\nb\n", b"a\n" * 3000):
                self.setUp()
                journal = Journal(now=self.reactor.seconds)
                factory = self.factory(
                    lambda _request, steps=steps: (Send(b"bye"), *steps),
                    observers=[self.heard, journal],
                    framing=Line(),
                )
                wire = self.arrive(
                    ProxiedFactory(factory, server=factory, trusted=parse_networks("10.0.0.0/8"))
                )
                wire.send(HEADERS["v2"] + data)
                wire.send_eof()
                wire.wait(1)
                wire.wait(1)
                self.assertFalse(wire.is_open)
                self.assertEqual(
                    [type(entry) for entry in journal.entries()],
                    [Connected, Answered, Disconnected],
                )
                self.assertEqual(self.heard.requests, [[b"a"]])
                self.assertEqual(wire.received(), b"bye\r\n")

    def test_the_server_reads_after_its_half_close(self) -> None:
        """After a half-close by the server, it continues to read."""
        wire = self.arrive(self.serve(lambda request: (Send(b"bye"), HalfClose())))
        wire.send(HEADERS["v1"] + b"x\n")
        self.assertEqual(wire.received(), b"bye\r\n")
        self.assertTrue(wire.got_eof)
        self.assertTrue(wire.is_open)

    def test_a_greeting_that_closes(self) -> None:
        """The greeting arrives, and data after the header is dropped."""
        script = 'greeting = { reply = "full", close = true }\nrule = [{ reply = "x" }]'
        wire = self.arrive(self.serve(Script.parse(script)))
        wire.send(HEADERS["v2"] + b"a\nb\n")
        self.assertEqual(wire.received(), b"full\r\n")
        self.assertTrue(wire.got_eof)
        wire.wait(1)
        self.assertFalse(wire.is_open)
        self.assertEqual(self.server.open, 0)

    def test_a_greeting_that_resets(self) -> None:
        """Data after the header is dropped, and the connection is reset."""
        script = 'greeting = { do = [{ abort = true }] }\nrule = [{ reply = "x" }]'
        wire = self.arrive(self.serve(Script.parse(script)))
        wire.send(HEADERS["v2"] + b"a\nb\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"")
        self.assertTrue(wire.got_reset)

    def test_a_client_that_does_not_read(self) -> None:
        """A client that does not read is not read from until it reads."""
        wire = self.arrive(self.serve(lambda request: b"x" * 100_000))
        wire.stop_reading()
        wire.send(HEADERS["v1"] + b"a\n" * 3)
        self.assertFalse(wire.reading)
        wire.read_on()
        self.assertEqual(len(wire.received()), 3 * 100_002)
        self.assertTrue(wire.reading)

    def test_a_client_that_disconnects(self) -> None:
        """A client that disconnects is subtracted once from the open connections."""
        wire = self.arrive(self.serve())
        wire.send(HEADERS["v1"])
        wire.reset()
        self.assertEqual((len(self.peers.met), self.peers.left), (1, 1))
        self.assertEqual(self.server.open, 0)

    def test_a_protocol_that_ends_when_built_receives_nothing(self) -> None:
        """A protocol that closes, resets or is lost when it is built receives no data."""

        received: list[bytes] = []
        endings: list[Any] = [
            lambda transport: transport.abortConnection(),
            lambda transport: transport.loseConnection(),
            lambda transport: transport.connectionLost(Failure(ConnectionLost())),
        ]
        for how in endings:
            server = self.factory()
            wire = self.arrive(
                ProxiedFactory(
                    Ending(how, received), server=server, trusted=parse_networks(BALANCER)
                )
            )
            wire.send(HEADERS["v1"] + b"rest")
            self.assertEqual(received, [])
            self.assertFalse(wire.is_open)
            self.assertEqual(server.open, 0)

    def test_a_factory_that_builds_nothing(self) -> None:
        """If the inner factory builds no protocol, the client is reset."""

        class Nothing(Factory):
            def buildProtocol(self, addr: Any) -> None:
                return None

        server = self.factory()
        wire = self.arrive(
            ProxiedFactory(Nothing(), server=server, trusted=parse_networks(BALANCER))
        )
        wire.send(HEADERS["v1"] + b"x")
        self.assertTrue(wire.got_reset)
        self.assertEqual(server.open, 0)


class EagerTests(HeaderTests, EndingTests):
    """The same on the eager transport."""

    transport = EagerServer


class RefusalTests(Balanced):
    """Clients that are refused."""

    def test_an_untrusted_peer_is_reset(self) -> None:
        """A peer that is not trusted is reset, whatever it sends, and its address is logged."""
        factory = self.serve()
        lines = self.logged(lambda: self.arrive(factory, "11.0.0.1"))
        wire = self.arrive(factory, "11.0.0.1")
        wire.send(HEADERS["v1"] + b"x\n")
        self.assertTrue(wire.got_reset)
        self.assertEqual((wire.received(), self.peers.met), (b"", []))
        reason = "it may not send PROXY headers"
        self.assertEqual(lines, [f"11.0.0.1:50000: refused, {reason} (1 refused in all)"])
        refused = (IPv4Address("TCP", "11.0.0.1", 50000), reason)
        self.assertEqual(self.peers.refused_for, [refused] * 2)

    def test_many_untrusted_peers_are_logged_rarely(self) -> None:
        """Many untrusted peers are all counted, but not all logged."""
        factory = self.serve()
        lines = self.logged(lambda: [self.arrive(factory, "11.0.0.1") for _ in range(50)])
        self.assertEqual((len(lines), self.server.refused), (1, 50))

    def test_no_peer_is_trusted_by_default(self) -> None:
        """Without networks to trust, every peer is refused."""
        server = self.factory()
        wire = self.arrive(ProxiedFactory(server, server=server, trusted=Networks()))
        self.assertTrue(wire.got_reset)

    def test_clients_are_limited_by_their_own_address(self) -> None:
        """The limit for a peer counts each client, not their common balancer."""
        factory = self.serve(limits=Limits(max_per_peer=1))
        first, again, other = (self.arrive(factory) for _ in range(3))
        first.send(line(CLIENT) + b"x\n")
        again.send(line(CLIENT) + b"x\n")
        other.send(line(("192.0.2.8", 1)) + b"x\n")
        self.assertEqual(first.received(), b"response\r\n")
        self.assertEqual(other.received(), b"response\r\n")
        self.assertTrue(again.got_reset)
        self.assertEqual(
            self.peers.refused_for,
            [
                (
                    IPv4Address("TCP", *CLIENT),
                    "it has 1 connections open, the limit for a peer",
                )
            ],
        )

    def test_access_is_by_the_clients_address(self) -> None:
        """Access lists apply to the client's address, not to the balancer's."""
        access = Access(parse_networks("192.0.2.0/24"), parse_networks("192.0.2.8"))
        factory = self.serve(access=access)
        for host, is_let_in in (("192.0.2.7", True), ("192.0.2.8", False), (BALANCER, False)):
            wire = self.arrive(factory)
            self.assertTrue(wire.is_open)
            wire.send(line((host, 1)) + b"x\n")
            self.assertEqual((wire.is_open, wire.got_reset), (is_let_in, not is_let_in))

    def test_checks_do_not_count_for_a_client(self) -> None:
        """The limit for a peer does not apply to the balancer's own connections."""
        factory = self.serve(limits=Limits(max_per_peer=1))
        check, client = self.arrive(factory), self.arrive(factory)
        check.send(raw(0x20, 0) + b"x\n")
        client.send(line(CLIENT) + b"x\n")
        late = self.arrive(factory)
        late.send(line(("192.0.2.8", 1)) + b"x\n")
        for wire in (check, client, late):
            self.assertEqual(wire.received(), b"response\r\n")

    def test_an_unknown_client_counts_as_a_connection(self) -> None:
        """A connection counts before its client is known, and still counts once afterwards."""
        factory = self.serve(limits=Limits(max_connections=2))
        first, second = self.arrive(factory), self.arrive(factory)
        third = self.arrive(factory)
        self.assertTrue(third.got_reset)
        self.assertEqual(
            self.peers.refused_for,
            [(IPv4Address("TCP", BALANCER, 50000), "2 connections are open, the limit")],
        )
        first.send(line(CLIENT) + b"x\n")
        self.assertEqual(first.received(), b"response\r\n")
        self.assertTrue(self.arrive(factory).got_reset)
        second.reset()
        self.assertTrue(self.arrive(factory).is_open)


class MalformedTests(Balanced):
    """A malformed header ends its connection, and is logged."""

    def assert_ended(self, lines: list[str], wire: Wire, wanted: list[str]) -> None:
        self.assertEqual(lines, [f"{BALANCER}:50000: {reason}; closing" for reason in wanted])
        self.assertFalse(wire.is_open)
        self.assertEqual(self.server.open, 0)
        self.assertEqual((wire.received(), self.peers.met), (b"", []))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_data_without_a_header(self) -> None:
        """Data without a header, such as from a client that bypasses the balancer, is refused."""
        wire = self.arrive(self.serve())
        lines = self.logged(lambda: wire.send(b"G", b"ET /\r\n"))
        self.assert_ended(lines, wire, ["not a PROXY header: it starts with b'G'"])
        self.assertTrue(wire.got_reset)

    def test_a_malformed_header(self) -> None:
        """The log line says what is wrong with the header."""
        wire = self.arrive(self.serve())
        lines = self.logged(lambda: wire.send(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\nx\n"))
        self.assert_ended(lines, wire, ["PROXY line: b'x' is not a port"])
        self.assertTrue(wire.got_reset)

    def test_malformed_headers_are_counted_and_one_a_second_is_logged(self) -> None:
        """A flood of them is one log line, and in the metrics."""
        counters = Counters()
        factory = self.serve(counters=counters)

        def flood() -> None:
            for _ in range(9):
                self.arrive(factory).send(b"nonsense\r\n")

        lines = self.logged(flood)
        self.assertEqual(len(lines), 1)
        self.assertEqual(counters.malformed, {"proxy_header": 9})

    def test_a_header_has_one_timeout(self) -> None:
        """The timeout does not start again with each byte."""
        for timeout, said in ((5.0, "5 s"), (3.5, "3.5 s")):
            wire = self.arrive(self.serve(timeout=timeout))

            def wait(wire: Wire = wire, timeout: float = timeout) -> None:
                wire.send(b"PRO")
                wire.wait(timeout - 0.5)
                wire.send(b"XY")
                self.assertTrue(wire.is_open)
                wire.wait(0.5)

            lines = self.logged(wait)
            self.assert_ended(lines, wire, [f"no PROXY header within {said}"])
            self.assertTrue(wire.got_reset)

    def test_a_loss_within_the_header(self) -> None:
        """EOF and a reset within the header are logged."""
        for end in (Wire.send_eof, Wire.reset):
            wire = self.arrive(self.serve())
            wire.send(HEADERS["v2"][:20])
            lines = self.logged(lambda wire=wire, end=end: end(wire))
            wanted = "disconnected within the PROXY header, after 20 bytes of it"
            self.assert_ended(lines, wire, [wanted])

    def test_a_port_check_is_not_a_warning(self) -> None:
        """A peer that connects and disconnects without a byte causes no warning."""
        for end in (Wire.send_eof, Wire.reset):
            wire = self.arrive(self.serve())
            self.assert_ended(self.logged(lambda wire=wire, end=end: end(wire)), wire, [])

    @settings(derandomize=True)
    @given(st.integers(0, 2**64), st.integers(1, 50))
    def test_mutated_headers(self, seed: int, size: int) -> None:
        """No mutated header raises an error, or leaves a connection or a timer."""
        random = Random(seed)  # noqa: S311 (the same seed has to give the same numbers)
        reactor = FakeReactor()
        server = ReqRespFactory(clock=reactor)
        factory = ProxiedFactory(server, server=server, trusted=parse_networks("10.0.0.0/8"))
        with capturedLogs() as events:
            for _ in range(10):
                data = mutated_headers(random)
                wire = Wire(factory, reactor, BALANCER)
                wire.send(*(data[at : at + size] for at in range(0, len(data), size)))
                wire.send_eof()
                wire.wait(6)
                self.assertFalse(wire.is_open)
        self.assertEqual(server.open, 0)
        self.assertEqual([event for event in events if "log_failure" in event], [])


class DrainTests(Balanced):
    """The server drains while headers are missing."""

    def test_an_unknown_client_is_reset(self) -> None:
        """A connection without a header is reset, and the drain waits until it has ended."""
        wire = self.arrive(self.serve())
        wire.send(HEADERS["v1"][:-1])
        drained = self.server.drain(5)
        self.assertNoResult(drained)
        self.assertEqual(self.logged(wire.turn), [])
        self.assertTrue(wire.got_reset)
        self.successResultOf(drained)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_request_that_has_arrived_is_answered(self) -> None:
        """A request is answered if its header had arrived unread when the drain began."""
        wire = self.arrive(self.serve(lambda request: (Wait(1), Send(b"late"))))
        wire.put(HEADERS["v1"] + b"x\n")
        drained = self.server.drain(5)
        wire.read_once()
        wire.turn()
        self.assertNoResult(drained)
        wire.wait(1)
        self.assertEqual(wire.received(), b"late\r\n")
        wire.send_eof()
        self.successResultOf(drained)

    def test_a_late_client_is_refused(self) -> None:
        """A client that connects during the drain is refused before its header is read."""
        factory = self.serve(lambda request: (Wait(9), Close()))
        wire = self.arrive(factory)
        wire.send(HEADERS["v1"] + b"x\n")
        self.server.drain(5)
        wire.turn()
        self.assertTrue(self.arrive(factory).got_reset)
        self.assertEqual(self.peers.refused_for[0][1], "the server is stopping")


class TLSClient:
    """The client's side of TLS on a `Wire`."""

    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        self.wire = wire
        self._from_server, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._from_server, self._to_server, server_hostname="localhost")

    def shake_hands(self, before: bytes = b"") -> None:
        """Start TLS; the first segment starts with *before*."""
        for _ in range(10):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._exchange(before)
                before = b""
            else:
                self._exchange()
                return

    def ask(self, data: bytes) -> bytes:
        """Send *data*, and return what is received in reply."""
        self.tls.write(data)
        self._exchange()
        return self.tls.read(1000)

    def _exchange(self, before: bytes = b"") -> None:
        data = before + self._to_server.read()
        self.wire.send(*([data] if data else []))
        self.wire.wait(0.001)  # Twisted gathers what it encrypts
        self._from_server.write(self.wire.received())


class StopReadingTests(Balanced):
    """`StopReading` drops requests that arrive in the segment of the header, too."""

    def test_a_request_that_stops_reading(self) -> None:
        """The requests after it are not answered."""
        factory = self.serve(lambda request: (Send(request.data), StopReading()))
        for header in HEADERS.values():
            wire = self.arrive(factory)
            wire.send(header + b"a\nb\n")
            wire.send(b"c\n")
            self.assertEqual(wire.received(), b"a\r\n")
            self.assertFalse(wire.reading)

    def test_a_greeting_that_stops_reading(self) -> None:
        """No request is answered."""
        script = Script.parse("greeting = { do = [{ send = 'hello' }, { stop_reading = true }] }")
        for data in (b"", b"a\nb\n"):
            wire = self.arrive(self.serve(script))
            wire.send(HEADERS["v1"] + data)
            self.assertEqual(wire.received(), b"hello\r\n")
            self.assertFalse(wire.reading)


class TLSTests(Balanced):
    """The header comes before TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.server_context, self.client_context = contexts()

    def over_tls(self, factory: Any) -> TLSMemoryBIOFactory:
        return TLSMemoryBIOFactory(
            self.server_context,
            False,
            factory,
            clock=self.reactor,
        )

    def serve_tls(self, **options: Any) -> ProxiedFactory:
        factory = self.serve(**options)
        factory.inner = self.over_tls(self.server)
        return factory

    def test_a_request(self) -> None:
        """The first TLS bytes may arrive in the header's segment."""
        for header in HEADERS.values():
            for pieces in ([header], [header[:5], header[5:]], []):
                wire = self.arrive(self.serve_tls())
                wire.send(*pieces)
                client = TLSClient(wire, self.client_context)
                client.shake_hands(b"" if pieces else header)
                self.assertEqual(client.ask(b"x\n"), b"response\r\n")
                self.assertEqual(self.peers.met[-1], IPv4Address("TCP", *CLIENT))

    def test_a_refusal(self) -> None:
        """TLS bytes after the header of a refused client are dropped."""
        factory = self.serve_tls(limits=Limits(max_per_peer=1))
        first = self.arrive(factory)
        first.send(HEADERS["v1"])
        second = self.arrive(factory)
        client = TLSClient(second, self.client_context)
        with self.assertRaises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        hello = client._to_server.read()
        self.assertEqual(self.logged(lambda: second.send(HEADERS["v1"] + hello))[1:], [])
        self.assertTrue(second.got_reset)
        self.assertTrue(first.is_open)

    def test_a_header_within_tls(self) -> None:
        """If the endpoint speaks TLS, the header is the first data within TLS."""
        factory = self.over_tls(self.serve())
        wire = self.arrive(factory)
        client = TLSClient(wire, self.client_context)
        client.shake_hands()
        self.assertEqual(client.ask(HEADERS["v2"] + b"x\n"), b"response\r\n")
        self.assertEqual(client.ask(b"y\n"), b"response\r\n")
        self.assertEqual(self.peers.met, [IPv4Address("TCP", *CLIENT)])

    def test_a_function_answers_after_a_header_within_tls(self) -> None:
        """The handshake is complete when the header arrives: a reply does not wait for it."""
        wire = self.arrive(self.over_tls(self.serve(lambda request: request.data)))
        client = TLSClient(wire, self.client_context)
        client.shake_hands()
        self.assertEqual(client.ask(HEADERS["v1"] + b"x\n"), b"x\r\n")


class UNIXTests(Balanced):
    """A balancer on the same machine can connect to a UNIX socket."""

    def test_a_client(self) -> None:
        """The peer is trusted, and the client has the address in the header."""
        running = ThreadedReactor()
        self.addCleanup(running.stop)
        path = str(temporary(self).joinpath("socket"))
        server = ReqRespFactory(
            lambda request: str(request.peer).encode(), framing=Line(), clock=running.reactor
        )
        factory = ProxiedFactory(server, server=server, trusted=Networks())
        port = running.call(running.reactor.listenUNIX, path, factory)
        with socket.socket(socket.AF_UNIX) as client, capturedLogs() as events:
            client.settimeout(PATIENCE)
            client.connect(path)
            client.sendall(HEADERS["v2"] + b"who\n")
            client.shutdown(socket.SHUT_WR)
            received = b""
            while data := client.recv(1000):
                received += data
        running.call(port.stopListening)
        running.call(server.drain, 0)
        self.assertIn(b"192.0.2.7", received)
        self.assertEqual([formatEvent(event) for event in events if event.get("isError")], [])


class FactoryTests(Balanced):
    """ProxiedFactory as a Twisted factory."""

    def test_the_inner_factory_starts_and_stops_with_it(self) -> None:
        """The inner factory is started and stopped once."""
        factory = self.serve()
        calls: list[str] = []
        self.server.startFactory = lambda: calls.append("start")  # type: ignore[method-assign]
        self.server.stopFactory = lambda: calls.append("stop")  # type: ignore[method-assign]
        factory.doStart()
        self.assertEqual(calls, ["start"])
        factory.doStop()
        self.assertEqual(calls, ["start", "stop"])

    def test_the_log_names_both_factories(self) -> None:
        """The log line about listening names both factories."""
        self.assertEqual(self.serve().logPrefix(), "ReqRespFactory (PROXY)")
