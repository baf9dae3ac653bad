"""A relay whose sides speak TLS: endings that come early, and half-closes."""

import ssl
from collections.abc import Callable
from typing import Any, cast

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from zope.interface import implementer

from reqresp.relay.upstream import Upstream
from reqresp.relay.upstream_tls import ClientTLS
from reqresp.server.observers import Direction
from reqresp.transport.tls import wrap
from tests.support.forwarded import ForwardedCase
from tests.support.issued import authority, contexts
from tests.support.relayed import RELAY_PORT, RelayedCase, Services, Watcher
from tests.support.tls_peer import TLSClient, TLSEnd

UP, DOWN = Direction.UPSTREAM, Direction.DOWNSTREAM


@implementer(IStreamClientEndpoint)
@frozen
class LateEndpoint:
    """An endpoint whose connection is made after a second."""

    clock: Any
    endpoint: Any

    def connect(self, factory: Any) -> "Deferred[Any]":
        """Connect *factory* later."""
        result: Deferred[Any] = Deferred(lambda _: call.cancel())
        call = self.clock.callLater(1, lambda: self.endpoint.connect(factory).chainDeferred(result))
        return result


@implementer(IStreamClientEndpoint)
class RefusingEndpoint:
    """An endpoint that is refused."""

    def connect(self, factory: Any) -> "Deferred[Any]":
        """Fail."""
        result: Deferred[Any] = Deferred()
        result.errback(Failure(Refused()))
        return result


class TLSClientCase(RelayedCase):
    """Clients speak TLS; the connection to the service takes a second."""

    def setUp(self) -> None:
        self.watcher = Watcher()
        self.arguments = {"observers": [self.watcher], **type(self).arguments}
        super().setUp()
        server, self.context = contexts()
        certificates: Any = server
        clock = cast(Any, self.reactor)
        self.reactor.listenTCP(RELAY_PORT, wrap(self.factory, certificates, clock))

    def upstream(self) -> Upstream:
        plain = super().upstream()
        return evolve(plain, endpoint=LateEndpoint(self.reactor, plain.endpoint))

    def hurry(self, data: bytes) -> TLSClient:
        """Return a client that has sent *data* and its end together with its handshake."""
        client = TLSClient(self.reactor.connect_peer(RELAY_PORT), self.context)
        last = client.shake_hands()
        client.peer.send(last + client.end.encrypt(data, is_last=True))
        return client


class EarlyEndTests(TLSClientCase):
    """A client that has sent everything, and its end, before the service is connected."""

    def test_the_service_gets_everything(self) -> None:
        """The bytes, then EOF; observers see them in this order."""
        self.hurry(b"request")
        self.assertEqual(self.services.made, [])
        self.advance(1)
        [service] = self.services.made
        self.assertEqual((service.got, service.eof, service.was_reset), (b"request", True, False))
        self.assertEqual(
            self.watcher.events[:4],
            [("connected", 1), ("opened", 1), (UP, b"request"), (UP, b"")],
        )
        service.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.watcher.events[4:], [("ended", 1), ("disconnected", 1)])
        self.assertEqual(self.factory.open, 0)

    def test_through_a_fault(self) -> None:
        """A fault holds the bytes and the end as of any client."""
        self.factory.fault("latency", stream="upstream", delay=2)
        self.hurry(b"request")
        self.advance(2)
        [service] = self.services.made
        self.assertEqual((service.got, service.eof), (b"", False))
        self.advance(2)
        self.assertEqual((service.got, service.eof), (b"request", True))

    def test_a_reset_stays_one(self) -> None:
        """The service is reset, and not told of an end."""
        client = TLSClient(self.reactor.connect_peer(RELAY_PORT), self.context)
        client.peer.send(client.shake_hands() + client.end.encrypt(b"request"))
        client.peer.reset()
        self.advance(2)
        [service] = self.services.made
        self.assertEqual((service.was_reset, self.factory.open), (True, 0))

    def test_an_end_without_bytes(self) -> None:
        """There is nothing to deliver: no connection to the service is made."""
        self.hurry(b"")
        self.advance(2)
        self.assertEqual((self.services.made, self.factory.open), ([], 0))

    def test_a_server_that_stops(self) -> None:
        """It waits for the service, and at the deadline gives up."""
        self.hurry(b"request")
        drained = self.factory.drain(0.5)
        self.advance(0.2)
        self.assertEqual(self.factory.open, 1)
        self.advance(0.5)
        self.assertEqual(self.factory.open, 0)
        self.successResultOf(drained)
        self.assertEqual(self.watcher.events, [("connected", 1), ("disconnected", 1)])

    def test_a_server_that_stops_later(self) -> None:
        """What was sent is delivered while the server drains."""
        self.hurry(b"request")
        self.factory.drain(10)
        self.advance(1)
        [service] = self.services.made
        self.assertEqual((service.got, service.eof), (b"request", True))


class RefusedTests(TLSClientCase):
    """The same client, of a service that refuses."""

    def upstream(self) -> Upstream:
        upstream = super().upstream()
        return evolve(upstream, endpoint=LateEndpoint(self.reactor, RefusingEndpoint()))

    def test_one_line_says_so(self) -> None:
        """The connection ends."""
        with capturedLogs() as events:
            self.hurry(b"request")
            self.advance(1)
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertRegex(line, "refused the connection; resetting$")
        self.assertEqual(self.watcher.events[1:], [("failed", 1), ("disconnected", 1)])
        self.assertEqual(self.factory.open, 0)


def secured(upstream: Upstream, clock: Any) -> Upstream:
    """Return *upstream* with TLS."""
    root = Certificate.loadPEM(authority().cert_pem.bytes())
    creator = optionsForClientTLS("localhost", trustRoot=root)
    return evolve(upstream, tls=ClientTLS(creator, clock))


class SilentServiceTests(TLSClientCase):
    """The same client, of a service that accepts, and never answers the TLS handshake."""

    def upstream(self) -> Upstream:
        return secured(super().upstream(), self.reactor)

    def test_one_line_says_so(self) -> None:
        """After the time of a handshake."""
        with capturedLogs() as events:
            self.hurry(b"request")
            self.advance(1)
            self.assertEqual(self.factory.open, 1)
            self.advance(10)
        [line] = [it["log_format"].format(**it) for it in events if "upstream" in it]
        self.assertRegex(line, "did not complete TLS in time; resetting$")
        self.assertEqual(self.watcher.events[1:], [("failed", 1), ("disconnected", 1)])
        self.assertEqual(self.factory.open, 0)


class RawTLSService(Protocol):
    """A service's end of TLS; *greet* is called once it has shaken hands."""

    transport: Any

    def __init__(self, context: ssl.SSLContext, greet: Callable[["RawTLSService"], None]) -> None:
        self.end = TLSEnd(context)
        self._greet = greet
        self._has_greeted = False

    def dataReceived(self, data: bytes) -> None:
        answer = self.end.take(data)
        if self.end.is_open and not self._has_greeted:
            self._has_greeted = True
            self._first = answer
            self._greet(self)
            return
        self.transport.write(answer)

    def send(self, data: bytes, *, is_last: bool = False) -> None:
        """Send *data*, with what is left of the handshake; if it *is_last*, with close_notify."""
        first, self._first = self._first, b""
        self.transport.write(first + self.end.encrypt(data, is_last=is_last))


class TLSServiceCase(RelayedCase):
    """A service that speaks TLS, version 1.2 or 1.3, and may half-close."""

    version = ssl.TLSVersion.TLSv1_3

    def greet(self, service: RawTLSService) -> None:
        """Do what the service does once it has shaken hands."""
        service.send(b"hello")

    def wrapped(self, services: Any) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue_cert("localhost").configure_cert(context)
        context.minimum_version = context.maximum_version = self.version
        services.protocol = lambda: RawTLSService(context, self.greet)
        services.buildProtocol = lambda _: self._build(services)
        return services

    def _build(self, services: Services) -> RawTLSService:
        made: Any = cast(Any, services).protocol()
        services.made.append(made)
        return cast(RawTLSService, made)

    def upstream(self) -> Upstream:
        return secured(super().upstream(), self.reactor)


class HalfCloseTests(TLSServiceCase):
    """EOF of a plain client, of a service that speaks TLS."""

    def test_a_late_reply(self) -> None:
        """The service gets close_notify, replies, and ends; the client gets all of it."""
        client = self.connect()
        service = cast(Any, self.services.made[-1])
        client.send(b"request")
        client.half_close()
        self.advance(1)
        self.assertEqual((service.end.got, service.end.eof), (b"request", True))
        self.advance(100)
        self.assertEqual((client.received(), client.got_eof), (b"hello", False))
        service.transport.write(service.end.encrypt(b"x" * 300_000))
        self.advance(100)
        self.assertEqual((len(client.received()), client.got_eof), (300_000, False))
        service.transport.write(service.end.encrypt(b"late", is_last=True))
        self.advance(0)
        self.assertEqual(client.received(), b"late")
        self.assertEqual((client.got_eof, client.got_reset, self.factory.open), (True, False, 0))

    def test_a_client_that_does_not_read(self) -> None:
        """Backpressure works after the half-close as before."""
        client = self.connect()
        service = cast(Any, self.services.made[-1])
        client.half_close()
        client.stop_reading()
        service.transport.write(service.end.encrypt(b"x" * 1_000_000))
        self.advance(1)
        self.assertGreater(len(service.transport.dataBuffer), 500_000)
        client.resume_reading()
        self.advance(1)
        self.assertEqual(len(client.received()), 1_000_005)

    def test_everything_is_sent_first(self) -> None:
        """The service gets what waits for it, then close_notify."""
        client = self.connect()
        service = cast(Any, self.services.made[-1])
        service.transport.pauseProducing()
        client.send(b"x" * 200_000)
        client.half_close()
        self.advance(1)
        service.transport.resumeProducing()
        self.advance(1)
        self.assertEqual((len(service.end.got), service.end.eof), (200_000, True))


class IdleHalfCloseTests(TLSServiceCase):
    """A service that never ends after close_notify."""

    def test_the_idle_timeout(self) -> None:
        """It ends both connections."""
        from reqresp import Limits

        self.factory.reconfigure(self.upstream(), limits=Limits(idle_timeout=30))
        client = self.connect()
        client.half_close()
        self.advance(20)
        self.assertEqual(self.factory.open, 1)
        for _ in range(40):
            self.advance(1)
        self.assertEqual((client.got_eof, self.factory.open), (True, 0))


class OldHalfCloseTests(HalfCloseTests):
    """The same with TLS 1.2."""

    version = ssl.TLSVersion.TLSv1_2


class EarlyServiceTests(TLSServiceCase):
    """A service whose greeting and end come before the client's TLS handshake is complete."""

    version = ssl.TLSVersion.TLSv1_2  # whose last message of the handshake is the server's

    def greet(self, service: RawTLSService) -> None:
        service.send(b"go away", is_last=True)

    def setUp(self) -> None:
        self.watcher = Watcher()
        self.arguments = {"observers": [self.watcher]}
        super().setUp()
        server, self.context = contexts()
        certificates: Any = server
        clock = cast(Any, self.reactor)
        self.reactor.listenTCP(RELAY_PORT, wrap(self.factory, certificates, clock))

    def test_the_client_gets_everything(self) -> None:
        """Once it has shaken hands; observers see the bytes before the end."""
        client = TLSClient(self.reactor.connect_peer(RELAY_PORT), self.context)
        self.advance(1)
        self.assertEqual(self.watcher.events, [("connected", 1), ("opened", 1)])
        client.peer.send(client.shake_hands())
        self.assertEqual((client.received(), client.end.eof), (b"go away", True))
        client.peer.close()
        self.assertEqual(
            self.watcher.events[2:],
            [(DOWN, b"go away"), (DOWN, b""), ("ended", 1), ("disconnected", 1)],
        )
        self.assertEqual(self.factory.open, 0)

    def test_a_client_that_leaves(self) -> None:
        """Nothing passes, and both ends are reported."""
        client = self.reactor.connect_peer(RELAY_PORT)
        self.advance(1)
        client.close()
        self.assertEqual(self.watcher.events[2:], [("ended", 1), ("disconnected", 1)])
        self.assertEqual(self.factory.open, 0)


class ForwardingEarlyEndTests(TLSClientCase, ForwardedCase):
    """The same client, of a server that forwards single requests."""

    respond = """
        framing = "line"
        unmatched = { forward = true }
    """

    def test_the_service_gets_the_requests(self) -> None:
        """Then the end; no replies are awaited."""
        self.hurry(b"a\nb\n")
        self.assertEqual(self.services.made, [])
        self.advance(1)
        [service] = self.services.made
        self.assertEqual((service.got, service.eof, service.was_reset), (b"a\nb\n", True, False))
        service.transport.loseConnection()
        self.advance(2)
        self.assertEqual(self.factory.open, 0)

    def test_an_end_without_requests(self) -> None:
        """No connection to the service is made."""
        self.hurry(b"")
        self.advance(2)
        self.assertEqual((self.services.made, self.factory.open), ([], 0))


class LateReplyTests(TLSServiceCase, ForwardedCase):
    """EOF of a plain client, of a server that forwards requests to a service that speaks TLS."""

    respond = """
        framing = "line"
        unmatched = { forward = true }
    """

    def greet(self, service: RawTLSService) -> None:
        service.send(b"")

    def test_a_late_reply(self) -> None:
        """The connection to the service stays open until each request has its reply."""
        client = self.connect()
        service = cast(Any, self.services.made[-1])
        client.send(b"request\n")
        client.half_close()
        self.advance(100)
        self.assertEqual((service.end.got, service.end.eof), (b"request\n", False))
        service.transport.write(service.end.encrypt(b"late\r\n"))
        self.advance(0)
        self.assertEqual((client.received(), client.got_eof), (b"late\r\n", True))
        self.assertTrue(service.end.eof)
