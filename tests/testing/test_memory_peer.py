"""A client in memory that a test controls byte by byte."""

from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing._memory_peer import MemoryPeer
from reqresp.testing._memory_reactor import InMemoryReactor
from tests.support.ends import End, HalfCloseable


class MemoryPeerTests(SynchronousTestCase):
    """Tests for `MemoryPeer`, with a protocol of Twisted at the other end."""

    def connect(self, server: Any = None, transport: Any = None) -> MemoryPeer:
        """Return a client of the protocol *server*."""
        self.server = server or End()
        self.reactor = InMemoryReactor()
        if transport is not None:
            self.reactor.server_transport = transport
        factory: Any = Factory()
        factory.buildProtocol = lambda _address: self.server
        self.reactor.listenTCP(7, factory)
        return self.reactor.connect_peer(7)

    def test_pieces_are_received_one_by_one(self) -> None:
        """The server receives each piece in a read of its own."""
        self.connect().send(b"a", b"bc")
        self.assertEqual(self.server.heard, ["made", b"a", b"bc"])

    def test_a_server_that_does_not_read(self) -> None:
        """What a peer sends is accepted, however much it is, and read later."""
        peer = self.connect()
        self.server.transport.pauseProducing()
        peer.send(bytes(10**6))
        self.assertEqual(self.server.heard, ["made"])
        self.server.transport.resumeProducing()
        self.reactor.advance(0)
        self.assertEqual(sum(map(len, self.server.heard[1:])), 10**6)

    def test_received_data(self) -> None:
        """Each call returns what has been received since the last one."""
        peer = self.connect()
        self.assertEqual(peer.received(), b"")
        self.server.transport.write(bytes(10**6))
        self.reactor.advance(0)
        self.assertEqual(len(peer.received()), 10**6)
        self.assertEqual(peer.received(), b"")

    def test_half_close(self) -> None:
        """The server sees EOF, and can still send."""
        peer = self.connect(HalfCloseable())
        peer.half_close()
        self.server.transport.write(b"late")
        self.reactor.advance(0)
        self.assertEqual(self.server.heard, ["made", "read lost"])
        self.assertEqual(peer.received(), b"late")

    def test_close(self) -> None:
        """The server sees an orderly end if everything was received, else a reset."""
        self.connect().close()
        self.assertEqual(self.server.heard, ["made", ConnectionDone])
        peer = self.connect()
        self.server.transport.write(b"unread")
        self.reactor.advance(0)
        peer.close()
        self.assertEqual(self.server.heard, ["made", ConnectionLost])

    def test_reset(self) -> None:
        """The server sees a reset."""
        self.connect().reset()
        self.assertEqual(self.server.heard, ["made", ConnectionLost])

    def test_the_end_of_the_server(self) -> None:
        """A peer distinguishes EOF from a reset."""
        peer = self.connect()
        self.assertEqual((peer.got_eof, peer.got_reset), (False, False))
        self.server.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual((peer.got_eof, peer.got_reset), (True, False))
        peer = self.connect()
        self.server.transport.abortConnection()
        self.reactor.advance(0)
        self.assertEqual((peer.got_eof, peer.got_reset), (False, True))

    def test_a_slow_reader(self) -> None:
        """A peer that stops reading accepts only as many bytes as it says."""
        peer = self.connect()
        peer.stop_reading(3)
        self.server.transport.write(b"abcdef")
        self.reactor.advance(0)
        self.assertEqual(peer.received(), b"abc")
        self.reactor.advance(0)
        self.assertEqual(peer.received(), b"")
        peer.resume_reading(2)
        self.assertEqual(peer.received(), b"de")
        peer.resume_reading()
        self.assertEqual(peer.received(), b"f")

    def test_nothing_listens(self) -> None:
        """Connecting to a port without a listener is refused."""
        self.assertRaises(ConnectionRefusedError, InMemoryReactor().connect_peer, 7)

    def test_the_address_of_the_client(self) -> None:
        """The server sees the address that the test chooses."""
        self.connect()
        self.reactor.connect_peer(7, ("192.0.2.1", 99))
        peer = self.server.transport.getPeer()
        self.assertEqual((peer.host, peer.port), ("192.0.2.1", 99))

    def test_the_transport_of_the_server(self) -> None:
        """A test can choose the class of the transports, and finds the last one."""
        self.connect(transport=tcp.Server)
        self.assertIs(type(self.reactor.accepted), tcp.Server)
        self.assertIs(self.reactor.accepted, self.server.transport)
