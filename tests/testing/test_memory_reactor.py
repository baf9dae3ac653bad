"""The reactor in memory, with Twisted's transports at both ends of its connections."""

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
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing import _memory_reactor as memory_reactor
from reqresp.testing._memory_reactor import InMemoryReactor
from reqresp.testing._memory_socket import CAPACITY
from tests.support.ends import End, HalfCloseable


class Client(ClientFactory):
    """Builds one protocol; records its events."""

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
    """A push producer that records the calls."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def pauseProducing(self) -> None:
        self.heard.append("pause")

    def resumeProducing(self) -> None:
        self.heard.append("resume")

    def stopProducing(self) -> None:
        self.heard.append("stop")


class ReactorCase(SynchronousTestCase):
    """A test case with a reactor, and two protocols to connect."""

    def setUp(self) -> None:
        self.reactor = InMemoryReactor()

    def connected(self, client: Any = None, server: Any = None) -> tuple[Any, Any]:
        """Return two protocols that are connected."""
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
    """Tests for connecting."""

    def test_nothing_moves_by_itself(self) -> None:
        """Data and connections move only during ``advance``, also by 0 seconds."""
        self.reactor.listenTCP(7, _factory(End()))
        client = End()
        self.reactor.connectTCP("127.0.0.1", 7, Client(client))
        self.assertEqual(client.heard, [])
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made"])
        client.transport.write(b"x")
        self.assertEqual(client.heard, ["made"])

    def test_addresses(self) -> None:
        """The local address of one end is the remote address of the other."""
        client, server = self.connected()
        self.assertEqual(client.transport.getHost(), server.transport.getPeer())
        self.assertEqual(client.transport.getPeer(), server.transport.getHost())
        self.assertEqual(server.transport.getHost().port, 7)
        self.assertIn("End #0 on 7", repr(server.transport))

    def test_any_name(self) -> None:
        """Every host name leads to the listener on the port."""
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
        """Connecting to a port without a listener is refused."""
        factory = Client(End())
        self.reactor.connectTCP("127.0.0.1", 7, factory)
        self.reactor.advance(0)
        self.assertEqual(factory.heard, ["started", ConnectionRefusedError])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_two_listeners_on_a_port(self) -> None:
        """The last listener receives the connections, so a test need not stop the first."""
        first, second = End(), End()
        self.reactor.listenTCP(7, _factory(first))
        self.connected(server=second)
        self.assertEqual((first.heard, second.heard), ([], ["made"]))

    def test_connect_again(self) -> None:
        """A connector can connect again, as reconnecting factories do."""
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
        """If the server's factory builds no protocol, the client is disconnected."""
        client = End()
        self.reactor.listenTCP(7, _factory(None))
        self.reactor.connectTCP("127.0.0.1", 7, Client(client))
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", ConnectionDone])

    def test_bind_address(self) -> None:
        """A client can choose its address."""
        server = End()
        self.reactor.listenTCP(7, _factory(server))
        self.reactor.connectTCP("127.0.0.1", 7, Client(End()), bindAddress=("127.0.0.1", 99))
        self.reactor.advance(0)
        self.assertEqual(server.transport.getPeer().port, 99)

    def test_records_of_the_base_class(self) -> None:
        """It has the records of ``MemoryReactor``."""
        factory = Client(End())
        connector = self.reactor.connectTCP("127.0.0.1", 7, factory, 5)
        self.assertEqual(self.reactor.tcpClients, [("127.0.0.1", 7, factory, 5, None)])
        self.assertEqual(self.reactor.connectors, [connector])


class EndingTests(ReactorCase):
    """Tests for the ways in which connections end."""

    def test_orderly_end(self) -> None:
        """Data that was written before the end is received first."""
        client, server = self.connected()
        client.transport.write(b"bye")
        client.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(server.heard, ["made", b"bye", ConnectionDone])
        self.assertEqual(client.heard, ["made", ConnectionDone])
        self.assertFalse(self.reactor.getReaders() or self.reactor.getWriters())

    def test_reset(self) -> None:
        """Data that has arrived is read before the reset is seen."""
        client, server = self.connected()
        server.transport.write(b"half")
        server.transport.abortConnection()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", b"half", ConnectionLost])
        self.assertEqual(server.heard, ["made", ConnectionAborted])

    def test_half_close(self) -> None:
        """One direction ends, and the other continues."""
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

    def test_write_to_a_closed_end(self) -> None:
        """Data sent to a closed end is answered by a reset, which the next write finds."""
        client, server = self.connected(HalfCloseable())
        server.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", "read lost"])
        for _ in range(2):
            client.transport.write(b"x")
            self.reactor.advance(0)
        self.assertEqual(client.heard, ["made", "read lost", ConnectionLost])

    def test_protocol_raises(self) -> None:
        """An error of a protocol is raised to the test, and ends only its connection."""
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
    """Tests for backpressure and segments."""

    def test_backpressure(self) -> None:
        """A producer is paused while the other end does not read."""
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
        """Data written in one turn arrives together, data of two turns apart."""
        client, server = self.connected()
        server.transport.write(b"a")
        server.transport.write(b"b")
        self.reactor.callLater(1, server.transport.write, b"c")
        self.reactor.callLater(1, self.reactor.callLater, 0, server.transport.write, b"d")
        self.reactor.advance(1)
        self.assertEqual(client.heard, ["made", b"ab", b"c", b"d"])


class TimeTests(ReactorCase):
    """Tests for the time, which a test controls."""

    def test_each_call_at_its_time(self) -> None:
        """Each call is made at its time, and its consequences come before later calls."""
        client, server = self.connected()
        heard: list[Any] = []

        def record(what: Any) -> None:
            heard.append((what, self.reactor.seconds()))

        client.dataReceived = record
        self.reactor.callLater(3, record, "late")
        self.reactor.callLater(1, server.transport.write, b"data")
        self.reactor.advance(5)
        self.assertEqual(heard, [(b"data", 1), ("late", 3)])
        self.assertEqual(self.reactor.seconds(), 5)

    def test_calls_can_be_cancelled_and_moved(self) -> None:
        """A call can cancel or delay another one that is due in the same turn."""
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
        """The time passes after the call that calls ``advance``."""
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
        """An error is raised to the test, and the next ``advance`` continues from there."""
        heard: list[float] = []
        self.reactor.callLater(1, lambda: 1 / 0)
        self.reactor.callLater(2, lambda: heard.append(self.reactor.seconds()))
        with self.assertRaises(ZeroDivisionError):
            self.reactor.advance(3)
        self.reactor.advance(0)
        self.assertEqual((heard, self.reactor.seconds()), ([2], 3))

    def test_no_rest(self) -> None:
        """Protocols that never stop sending are an error, so that the test does not hang."""

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
        """A coroutine of a client runs during ``advance``."""

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
