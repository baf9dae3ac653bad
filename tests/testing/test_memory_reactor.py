"""The reactor in memory: Twisted's transports at both ends, and time in a test's hands."""

from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,  # noqa: A004, Twisted's own
)
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from reqresp.testing import _memory_reactor as memory_reactor
from reqresp.testing._memory_reactor import InMemoryReactor
from reqresp.testing._memory_socket import CAPACITY


class End(Protocol):
    """Notes what it hears."""

    transport: Any

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def connectionMade(self) -> None:
        self.heard.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.heard.append(reason.type)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(End):
    """Hears of either side's end."""

    def readConnectionLost(self) -> None:
        self.heard.append("read lost")

    def writeConnectionLost(self) -> None:
        self.heard.append("write lost")


class Client(ClientFactory):
    """Builds the one protocol; notes how connecting went."""

    def __init__(self, end: Protocol | None) -> None:
        self.end = end
        self.heard: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        return self.end

    def startedConnecting(self, connector: Any) -> None:
        self.heard.append("started")

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: N802, Twisted
        self.heard.append(reason.type)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.heard.append(("lost", reason.type))


class Producer:
    """A push producer that notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def pauseProducing(self) -> None:
        self.heard.append("pause")

    def resumeProducing(self) -> None:
        self.heard.append("resume")

    def stopProducing(self) -> None:
        self.heard.append("stop")


class ReactorCase(SynchronousTestCase):
    """A reactor, and two ends that can be connected."""

    def setUp(self) -> None:
        self.reactor = InMemoryReactor()

    def connected(self, client: Any = None, server: Any = None) -> tuple[Any, Any]:
        """Two ends that are connected."""
        client, server = client or End(), server or End()
        self.reactor.listenTCP(7, _factory(server))
        self.reactor.connectTCP("127.0.0.1", 7, Client(client))
        self.reactor.advance(0)
        return client, server


def _factory(end: Protocol | None) -> Any:
    factory: Any = Factory()
    factory.buildProtocol = lambda _address: end
    return factory


class ConnectingTests(ReactorCase):
    """Who reaches whom."""

    def test_nothing_moves_by_itself(self) -> None:
        """Only when time passes, be it none."""
        self.reactor.listenTCP(7, _factory(End()))
        client = End()
        self.reactor.connectTCP("127.0.0.1", 7, Client(client))
        self.assertEqual(client.heard, [])
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made"])
        client.transport.write(b"x")
        self.assertEqual(client.heard, ["made"])

    def test_both_know_each_other(self) -> None:
        """The addresses of one end are those of the other, the other way round."""
        client, server = self.connected()
        self.assertEqual(client.transport.getHost(), server.transport.getPeer())
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())
        self.assertEqual(server.transport.getHost().port, 7)
        self.assertIn("End #0 on 7", repr(server.transport))

    def test_any_name_leads_here(self) -> None:
        """Programs that resolve names need not be told of the test."""
        server = End()
        self.reactor.listenTCP(7, _factory(server))
        connecting = connectProtocol(HostnameEndpoint(self.reactor, "example.com", 7), End())
        self.reactor.advance(0)
        self.assertEqual(self.successResultOf(connecting).heard, ["made"])
        other = End()
        self.reactor.connectTCP("pop.example.com", 7, Client(other))
        self.reactor.advance(0)
        self.assertEqual(other.heard, ["made"])

    def test_refused(self) -> None:
        """Nobody listens on that port."""
        factory = Client(End())
        self.reactor.connectTCP("127.0.0.1", 7, factory)
        self.reactor.advance(0)
        self.assertEqual(factory.heard, ["started", ConnectionRefusedError])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_the_last_to_listen_on_a_port_has_it(self) -> None:
        """A test that listens again need not stop first."""
        first, second = End(), End()
        self.reactor.listenTCP(7, _factory(first))
        self.connected(server=second)
        self.assertEqual((first.heard, second.heard), ([], ["made"]))

    def test_connect_again(self) -> None:
        """A connector connects a second time, as reconnecting factories want."""
        client = End()
        factory = Client(client)
        self.reactor.listenTCP(7, _factory(End()))
        connector = self.reactor.connectTCP("127.0.0.1", 7, factory)
        self.reactor.advance(0)
        connector.disconnect()
        self.reactor.advance(0)
        self.assertEqual(factory.heard, ["started", ("lost", ConnectionDone)])
        connector.connect()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", ConnectionDone, "made"])

    def test_server_builds_no_protocol(self) -> None:
        """The client's connection is made, and ends."""
        client = End()
        self.reactor.listenTCP(7, _factory(None))
        self.reactor.connectTCP("127.0.0.1", 7, Client(client))
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", ConnectionDone])

    def test_bind_address(self) -> None:
        """A client may choose where it comes from."""
        server = End()
        self.reactor.listenTCP(7, _factory(server))
        self.reactor.connectTCP("127.0.0.1", 7, Client(End()), bindAddress=("127.0.0.1", 99))
        self.reactor.advance(0)
        self.assertEqual(server.transport.getPeer().port, 99)

    def test_it_records_as_its_base_does(self) -> None:
        """Tests written for MemoryReactor find what they look for."""
        factory = Client(End())
        connector = self.reactor.connectTCP("127.0.0.1", 7, factory, 5)
        self.assertEqual(self.reactor.tcpClients, [("127.0.0.1", 7, factory, 5, None)])
        self.assertEqual(self.reactor.connectors, [connector])


class EndingTests(ReactorCase):
    """How connections end."""

    def test_in_order(self) -> None:
        """What was written before arrives first."""
        client, server = self.connected()
        client.transport.write(b"bye")
        client.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(server.heard, ["made", b"bye", ConnectionDone])
        self.assertEqual(client.heard, ["made", ConnectionDone])
        self.assertFalse(self.reactor.getReaders() or self.reactor.getWriters())

    def test_reset(self) -> None:
        """What has arrived is read; then the other end hears of a loss."""
        client, server = self.connected()
        server.transport.write(b"half")
        server.transport.abortConnection()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", b"half", ConnectionLost])
        self.assertEqual(server.heard, ["made", ConnectionAborted])

    def test_half_close(self) -> None:
        """One side ends, the other goes on."""
        client, server = self.connected(HalfCloseable(), HalfCloseable())
        client.transport.write(b"all")
        client.transport.loseWriteConnection()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", "write lost"])
        self.assertEqual(server.heard, ["made", b"all", "read lost"])
        server.transport.write(b"late")
        server.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", "write lost", b"late", "read lost"])

    def test_write_to_who_is_gone(self) -> None:
        """It is answered by a reset, which a half-closeable end finds out at its next write."""
        client, server = self.connected(HalfCloseable())
        server.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", "read lost"])
        for _ in range(2):
            client.transport.write(b"x")
            self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", "read lost", ConnectionLost])

    def test_protocol_raises(self) -> None:
        """A test sees the error; the connection is lost with it, and others go on."""
        client, server = self.connected()
        other = End()
        self.reactor.listenTCP(8, _factory(other))
        self.reactor.connectTCP("127.0.0.1", 8, Client(End()))
        self.reactor.advance(0)
        client.dataReceived = lambda _data: 1 / 0
        server.transport.write(b"x")
        with self.assertRaises(ZeroDivisionError):
            self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", ZeroDivisionError])
        self.reactor.advance(0)
        self.assertEqual(server.heard, ["made", ConnectionDone])
        self.assertEqual(other.heard, ["made"])


class FlowTests(ReactorCase):
    """Who does not read is not written to for ever."""

    def test_backpressure(self) -> None:
        """A producer is paused when the other side does not read, and resumed when it does."""
        client, server = self.connected()
        server.transport.pauseProducing()
        producer = Producer()
        client.transport.registerProducer(producer, True)
        client.transport.write(bytes(2 * CAPACITY + 1))
        self.reactor.advance(0)
        self.assertEqual(producer.heard, ["pause"])
        self.assertEqual(server.heard, ["made"])
        server.transport.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(producer.heard, ["pause", "resume"])
        self.assertEqual(sum(map(len, server.heard[1:])), 2 * CAPACITY + 1)

    def test_segments(self) -> None:
        """What is written in different turns arrives so, what is written in one may merge."""
        client, server = self.connected()
        server.transport.write(b"a")
        server.transport.write(b"b")
        self.reactor.callLater(1, server.transport.write, b"c")
        self.reactor.callLater(1, self.reactor.callLater, 0, server.transport.write, b"d")
        self.reactor.advance(1)
        self.assertEqual(client.heard, ["made", b"ab", b"c", b"d"])


class TimeTests(ReactorCase):
    """Time passes as a test says."""

    def test_each_call_at_its_time(self) -> None:
        """However far time is advanced, and what a call brings about comes before later calls."""
        client, server = self.connected()
        heard: list[Any] = []

        def note(what: Any) -> None:
            heard.append((what, self.reactor.seconds()))

        client.dataReceived = note
        self.reactor.callLater(3, note, "late")
        self.reactor.callLater(1, server.transport.write, b"data")
        self.reactor.advance(5)
        self.assertEqual(heard, [(b"data", 1), ("late", 3)])
        self.assertEqual(self.reactor.seconds(), 5)

    def test_calls_can_be_cancelled_and_moved(self) -> None:
        """By each other, even in the same turn."""
        heard: list[str] = []
        second: Any = None
        self.reactor.callLater(1, lambda: second.cancel())
        second = self.reactor.callLater(1, heard.append, "cancelled")
        moved: Any = self.reactor.callLater(1, heard.append, "moved")
        moved.delay(1)
        self.reactor.advance(1)
        self.assertEqual(heard, [])
        self.reactor.advance(1)
        self.assertEqual(heard, ["moved"])

    def test_advance_from_within(self) -> None:
        """Time passes once the caller is done."""
        heard: list[Any] = []

        def within() -> None:
            self.reactor.callLater(1, heard.append, "due")
            self.reactor.advance(2)
            heard.append("within")

        self.reactor.callLater(0, within)
        self.reactor.advance(0)
        self.assertEqual(heard, ["within", "due"])
        self.assertEqual(self.reactor.seconds(), 2)

    def test_an_error_stops_time(self) -> None:
        """It is raised to the test; the next advance goes on from there."""
        heard: list[float] = []
        self.reactor.callLater(1, lambda: 1 / 0)
        self.reactor.callLater(2, lambda: heard.append(self.reactor.seconds()))
        with self.assertRaises(ZeroDivisionError):
            self.reactor.advance(3)
        self.reactor.advance(0)
        self.assertEqual((heard, self.reactor.seconds()), ([2], 3))

    def test_no_rest(self) -> None:
        """Ends that talk for ever are an error, not a test that hangs."""

        class Echo(End):
            def dataReceived(self, data: bytes) -> None:
                self.transport.write(data)

        client, _server = self.connected(Echo(), Echo())
        client.transport.write(b"x")
        with (
            patch.object(memory_reactor, "MAX_TURNS", 100),
            self.assertRaisesRegex(RuntimeError, "100"),
        ):
            self.reactor.advance(0)

    def test_coroutines(self) -> None:
        """A client's coroutine is driven by time that passes."""

        async def flow() -> bytes:
            end = await connectProtocol(HostnameEndpoint(self.reactor, "example.com", 7), End())
            end.transport.write(b"hello")
            self.reactor.advance(0)
            return b"done"

        server = End()
        self.reactor.listenTCP(7, _factory(server))
        done = Deferred.fromCoroutine(flow())
        self.reactor.advance(0)
        self.assertEqual(self.successResultOf(done), b"done")
        self.assertEqual(server.heard, ["made", b"hello"])
