"""A stream on real transports in memory, with an owner that records what it is notified of."""

import socket
from gc import get_referents
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from reqresp import EagerServer
from reqresp.transport.stream import LINGER, Phase, Reading, Stream, Writing, undelivered
from tests.support.stream_case import Encrypting, Owning, StreamTestCase
from tests.support.wire import FakeReactor, Wire

KIB = 1024


class WritingTests(StreamTestCase):
    """What is written, and when the owner has to stop."""

    def test_writes_are_gathered_until_the_flush(self) -> None:
        """The client receives all of them at once."""
        wire = self.connect()
        self.stream.write(b"a")
        self.stream.write(b"b")
        wire.turn()
        self.assertEqual(wire.received(), b"")
        self.stream.flush()
        wire.turn()
        self.assertEqual(wire.received(), b"ab")

    def test_much_that_is_gathered_leaves_without_a_flush(self) -> None:
        """What waits for a flush is bounded."""
        wire = self.connect()
        self.stream.write(b"x" * 64 * KIB)
        wire.turn()
        self.assertEqual(len(wire.received()), 64 * KIB)

    def test_the_owner_is_notified_of_a_full_transport(self) -> None:
        """And again when it accepts bytes."""
        wire = self.connect()
        wire.stop_reading()
        self.stream.write(b"x" * 100 * KIB)
        self.assertEqual(self.owner.events, ["filled"])
        self.assertTrue(self.stream.is_blocked)
        wire.read_on()
        self.assertEqual(self.owner.events, ["filled", "resumed"])
        self.assertIs(self.stream.writing, Writing.OPEN)


class ReadingTests(StreamTestCase):
    """Whether the transport reads."""

    def test_reading_pauses_and_resumes(self) -> None:
        """What arrives in between is received after it."""
        wire = self.connect()
        self.stream.pause()
        wire.send(b"a")
        self.assertEqual(self.owner.received, b"")
        self.stream.resume()
        wire.turn()
        self.assertEqual(self.owner.received, b"a")

    def test_reading_is_not_resumed_after_eof(self) -> None:
        """A transport that is resumed would report EOF again and again."""
        wire = self.connect()
        wire.send_eof()
        wire.turn()
        self.stream.pause()
        self.stream.resume()
        wire.turn()
        self.assertIs(self.stream.reading, Reading.EOF)
        self.assertFalse(wire.reading)
        self.assertEqual(self.owner.events, ["peer ended"])

    def test_what_is_ignored_is_not_resumed(self) -> None:
        """Reading starts again only to see the peer's end while the stream closes."""
        wire = self.connect()
        self.stream.ignore()
        self.stream.resume()
        self.assertFalse(wire.reading)
        self.stream.close()
        self.assertTrue(wire.reading)


class EndingTests(StreamTestCase):
    """How the connection ends."""

    def test_a_half_close_leaves_the_other_direction_open(self) -> None:
        """The client sees EOF, and what it sends is received."""
        wire = self.connect()
        self.stream.write(b"last")
        self.assertTrue(self.stream.half_close())
        wire.turn()
        self.assertEqual((wire.received(), wire.got_eof), (b"last", True))
        self.assertIs(self.stream.writing, Writing.ENDED)
        self.stream.write(b"dropped")
        wire.send(b"more")
        self.assertEqual((wire.received(), self.owner.received), (b"", b"more"))

    def test_a_closing_stream_waits_for_the_peer(self) -> None:
        """The peer has a second to end its side; then the connection is closed."""
        for is_ended_by_peer in (True, False):
            wire = self.connect()
            self.stream.write(b"last")
            self.stream.close()
            wire.turn()
            self.assertEqual((wire.received(), wire.got_eof), (b"last", True))
            self.assertIs(self.stream.phase, Phase.LINGERING)
            self.assertTrue(self.stream.has_deadline)
            if is_ended_by_peer:
                wire.send_eof()
            else:
                wire.wait(LINGER)
            wire.turn()
            self.assertIs(self.stream.phase, Phase.LOST)
            self.assertFalse(self.stream.has_deadline)
            self.assertEqual(self.owner.events, [])

    def test_a_lost_stream_notifies_nobody(self) -> None:
        """Whatever its transport still calls; its owner can be freed at once."""
        wire = self.connect()
        wire.reset()
        wire.turn()
        self.assertIs(self.stream.phase, Phase.LOST)
        self.stream.pauseProducing()
        self.stream.resumeProducing()
        self.stream.read_lost()
        self.assertEqual(self.owner.events, [])
        self.assertNotIn(self.owner, get_referents(self.stream))

    def test_a_second_ending_does_nothing(self) -> None:
        """Neither after a close nor after an abort."""
        for end in (Stream.close, Stream.abort):
            self.connect()
            end(self.stream)
            phase = self.stream.phase
            self.stream.abort()
            self.stream.close()
            self.assertIs(self.stream.phase, phase)
            self.reactor.advance(LINGER)
            self.reactor.advance(0)
            self.assertIs(self.stream.phase, Phase.LOST)


class Kernel(Stream):
    """A stream whose kernel has so many bytes left each time it is asked."""

    __slots__ = ()
    left: list[int] = []

    @property
    def undelivered(self) -> int:
        return self.left.pop(0) if self.left else 5


class DeliveryTests(StreamTestCase):
    """A reset waits for what the kernel still has to deliver."""

    def abort(self, *left: int, half_close: bool = False) -> Wire:
        Kernel.left = [*left]
        wire = self.connect(Kernel)
        self.stream.write(b"x")
        if half_close:
            self.stream.half_close()
            wire.turn()
        self.stream.abort()
        wire.turn()
        return wire

    def test_what_the_kernel_holds_is_given_time(self) -> None:
        """The reset comes when the client's kernel has acknowledged everything."""
        for half_close in (False, True):
            wire = self.abort(5, 5, 0, half_close=half_close)
            for _ in range(2):
                self.assertFalse(wire.got_reset)
                wire.wait(LINGER / 100)
            self.assertTrue(wire.got_reset)

    def test_an_eof_in_the_meantime_does_not_make_it_orderly(self) -> None:
        """A client that half-closes while it is waited for is reset all the same."""
        wire = self.abort(5, 0)
        wire.send_eof()
        self.assertTrue(wire.is_open)
        wire.wait(LINGER / 100)
        self.assertTrue(wire.got_reset)

    def test_time_is_bounded(self) -> None:
        """A client that takes nothing is reset after a second."""
        wire = self.abort()
        for _ in range(100):
            self.assertTrue(wire.is_open)
            wire.wait(LINGER / 100)
        self.assertTrue(wire.got_reset)

    def test_the_kernel_is_asked(self) -> None:
        """On a real socket, bytes that the peer has not taken count until it does."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        no_port = cast(Any, None)
        transport = tcp.Server(ours, Protocol(), ("", 0), no_port, 0, cast(Any, self.reactor))
        self.addCleanup(transport.connectionLost, Failure(CONNECTION_DONE))
        self.assertEqual(undelivered(transport), 0)
        transport.write(b"abc")
        self.assertEqual(undelivered(transport), 3)
        transport.doWrite()
        self.assertGreaterEqual(undelivered(transport), 3)
        theirs.recv(10)
        self.assertEqual(undelivered(transport), 0)


class HandshakeTests(SynchronousTestCase):
    """A stream on TLS waits for the handshake."""

    def setUp(self) -> None:
        self.owner = Owning(FakeReactor())
        self.stream = self.owner.stream
        self.transport = Encrypting()
        self.owner.makeConnection(self.transport)

    def test_the_owner_is_notified_when_it_is_completed(self) -> None:
        """Until then the stream is blocked, and reading goes on."""
        self.assertTrue(self.stream.is_blocked)
        self.assertEqual(self.transport.producerState, "producing")
        self.stream.handshake_completed()
        self.assertEqual(self.owner.events, ["resumed"])
        self.stream.handshake_completed()
        self.assertEqual(self.owner.events, ["resumed"])

    def test_a_peer_that_reads_nothing_is_not_read_from(self) -> None:
        """A full transport pauses reading; it is still full when the handshake is completed."""
        self.stream.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.stream.handshake_completed()
        self.assertEqual((self.stream.writing, self.owner.events), (Writing.FULL, []))
        self.stream.resumeProducing()
        self.assertEqual((self.stream.writing, self.owner.events), (Writing.OPEN, ["resumed"]))

    def test_reading_resumes_when_the_transport_is_empty(self) -> None:
        """The handshake can then go on."""
        self.stream.pauseProducing()
        self.stream.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")


class EagerWritingTests(WritingTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerReadingTests(ReadingTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerEndingTests(EndingTests):
    """The same on the eager transport."""

    transport = EagerServer


class EagerDeliveryTests(DeliveryTests):
    """The same on the eager transport."""

    transport = EagerServer
