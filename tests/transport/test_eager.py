"""The eager transport: what is sent at once, what waits, and what is left to Twisted."""

import sys
from errno import ECONNRESET, EMFILE, ENOBUFS, EPIPE, EWOULDBLOCK
from socket import AF_INET, AF_INET6, create_connection, create_server, socket
from subprocess import PIPE, Popen
from typing import Any, cast
from unittest import SkipTest

from twisted.internet import tcp
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPullProducer,
    IPushProducer,
    IReactorFDSet,
)
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import classImplements, directlyProvides, implementer

from reqresp.transport.eager import EagerPort, EagerServer, EagerServerEndpoint, EagerWrites


@implementer(IReactorFDSet)
class HandCranked(PosixReactorBase):
    """A POSIX reactor that a test turns by hand, and that polls nothing."""

    def __init__(self) -> None:
        self.reading: set[Any] = set()
        self.writing: set[Any] = set()
        super().__init__()

    def installWaker(self) -> None:  # noqa: N802, Twisted's name
        """Open nothing: no thread and no signal wakes this reactor."""

    def seconds(self) -> float:
        return 0.0

    def addReader(self, reader: Any) -> None:
        self.reading.add(reader)

    def addWriter(self, writer: Any) -> None:
        self.writing.add(writer)

    def removeReader(self, reader: Any) -> None:
        self.reading.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        self.writing.discard(writer)

    def turn(self) -> None:
        """Run due calls, and treat every socket as writable."""
        self.runUntilCurrent()
        for transport in list(self.writing):
            self._end(transport, transport.doWrite(), is_read=False)

    def read(self, transport: Any) -> None:
        """Treat *transport* as readable."""
        self._end(transport, transport.doRead(), is_read=True)

    def _end(self, transport: Any, reason: Any, *, is_read: bool) -> None:
        if reason:
            self._disconnectSelectable(transport, reason, is_read)


class FakeSocket:
    """A connected socket: the kernel accepts *room* bytes, and recv returns *arriving*."""

    def __init__(self, descriptor: int = 1000) -> None:
        self.descriptor = descriptor
        self.sent = b""
        self.sends = 0
        self.room = 2**30
        self.refusal = EWOULDBLOCK
        self.arriving: list[bytes] = []
        self.closed = False

    def send(self, data: bytes) -> int:
        self.sends += 1
        taken = bytes(data[: self.room])
        if data and not taken:
            raise OSError(self.refusal, "refused")
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    def recv(self, _most: int) -> bytes:
        if not self.arriving:
            raise OSError(EWOULDBLOCK, "nothing there")
        return self.arriving.pop(0)

    def close(self) -> None:
        self.closed = True

    def fileno(self) -> int:
        return self.descriptor

    def setblocking(self, _flag: bool) -> None: ...

    def setsockopt(self, *_option: object) -> None: ...

    def shutdown(self, _how: int) -> None: ...


@implementer(IHalfCloseableProtocol)
class Witness(Protocol):
    """A protocol that records its events."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost: list[object] = []

    def dataReceived(self, data: bytes) -> None:
        self.received.append(data)

    def readConnectionLost(self) -> None:
        self.lost.append(EOFError)

    def writeConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(type(reason.value))


@implementer(IPushProducer)
class Push:
    """A streaming producer that records its events."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def pauseProducing(self) -> None:
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.events.append("resume")

    def stopProducing(self) -> None:
        self.events.append("stop")


@implementer(IPullProducer)
class Pull:
    """A pull producer of fixed pieces; an empty piece means that none is ready."""

    def __init__(self, transport: EagerServer, *pieces: bytes) -> None:
        self.transport = transport
        self.pieces = list(pieces)
        self.stopped = False

    def resumeProducing(self) -> None:
        if self.pieces:
            self.transport.write(self.pieces.pop(0))
        else:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self.stopped = True


class LastWords(Pull):
    """A producer that writes when it is stopped."""

    def stopProducing(self) -> None:
        self.transport.write(b"last words")


class EagerStock(EagerWrites, tcp.Server):
    """A stock transport with eager writes, and nothing else of ours."""


class TransportCase(SynchronousTestCase):
    """One accepted connection on a fake socket."""

    def setUp(self) -> None:
        self.reactor = HandCranked()
        self.connect(EagerServer)

    def connect(self, transport_class: type[Any]) -> None:
        self.socket = FakeSocket()
        self.protocol = Witness()
        self.transport = transport_class(
            cast(socket, self.socket),
            self.protocol,
            ("127.0.0.1", 40000),
            EagerPort(0, Factory(), reactor=self.reactor),
            0,
            self.reactor,
        )
        self.protocol.makeConnection(self.transport)


class WriteTests(TransportCase):
    """What happens to written bytes."""

    def test_a_write_leaves_at_once(self) -> None:
        self.transport.write(b"reply")
        self.assertEqual(self.socket.sent, b"reply")
        self.assertEqual(self.reactor.writing, set())

    def test_what_the_kernel_does_not_take_follows_in_order(self) -> None:
        """A later write waits for the rest of an earlier one."""
        self.socket.room = 3
        self.transport.write(b"first")
        self.socket.room = 100
        self.transport.write(b"second")
        self.assertEqual(self.socket.sent, b"fir")
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"firstsecond")
        self.assertEqual(self.reactor.writing, set())

    def test_a_write_does_not_overtake_what_a_turn_left_over(self) -> None:
        self.socket.room = 1
        self.transport.write(b"first")
        self.socket.room = 2
        self.reactor.turn()
        self.socket.room = 100
        self.transport.write(b"second")
        self.assertEqual(self.socket.sent, b"fir")
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"firstsecond")

    def test_writes_are_eager_again_when_the_rest_has_left(self) -> None:
        self.socket.room = 1
        self.transport.write(b"first")
        self.socket.room = 100
        self.reactor.turn()
        self.transport.write(b"second")
        self.assertEqual(self.socket.sent, b"firstsecond")

    def test_a_full_kernel_is_no_error(self) -> None:
        """Neither EWOULDBLOCK nor ENOBUFS ends the connection."""
        for refusal in (EWOULDBLOCK, ENOBUFS):
            self.socket.room, self.socket.refusal = 0, refusal
            self.transport.write(b"reply")
            self.reactor.turn()
            self.reactor.read(self.transport)
            self.socket.room = 100
            self.reactor.turn()
        self.assertEqual(self.socket.sent, b"replyreply")
        self.assertEqual(self.protocol.lost, [])

    def test_an_empty_write_does_not_touch_the_socket(self) -> None:
        self.transport.write(b"")
        self.assertEqual(self.socket.sends, 0)
        self.assertEqual(self.reactor.writing, set())

    def test_what_is_not_bytes_is_refused(self) -> None:
        for data in (bytearray(b"x"), memoryview(b"x"), "x"):
            self.assertRaises(TypeError, self.transport.write, data)
        self.assertEqual(self.socket.sends, 0)

    def test_up_to_the_limit_of_one_send_a_write_is_eager(self) -> None:
        self.transport.write(b"x" * EagerServer.SEND_LIMIT)
        self.assertEqual(len(self.socket.sent), EagerServer.SEND_LIMIT)

    def test_a_longer_write_is_left_to_the_reactor(self) -> None:
        data = b"x" * (EagerServer.SEND_LIMIT + 1)
        self.transport.write(data)
        self.assertEqual(self.socket.sends, 0)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(self.socket.sent, data)

    def test_write_sequence_is_gathered_by_the_reactor(self) -> None:
        self.transport.write(b"first ")
        self.transport.writeSequence([b"second ", b"third"])
        self.assertEqual(self.socket.sent, b"first ")
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"first second third")
        self.assertEqual(self.socket.sends, 2)

    def test_after_start_tls_nothing_leaves_in_the_clear(self) -> None:
        self.transport.startTLS(CertificateOptions(), False)
        self.reactor.turn()
        self.transport.write(b"secret")
        self.reactor.turn()
        self.assertEqual(self.socket.sent[:1], b"\x16")
        self.assertNotIn(b"secret", self.socket.sent)

    def test_as_a_tls_server_nothing_leaves_in_the_clear(self) -> None:
        """A write waits for the handshake that the client begins, also after eager writes."""
        self.transport.write(b"ready")
        self.transport.startTLS(CertificateOptions(), True)
        self.transport.write(b"secret")
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"ready")

    def test_neither_a_producer_nor_a_partial_send_adds_an_attribute(self) -> None:
        """No attribute is added later: one would give each connection its own dict layout."""
        before = set(vars(self.transport))
        self.transport.registerProducer(Push(), True)
        self.socket.room = 1
        self.transport.write(b"x" * EagerServer.SEND_LIMIT)
        self.reactor.turn()
        self.assertEqual(set(vars(self.transport)), before)


class EndTests(TransportCase):
    """How a connection ends."""

    def test_what_was_written_leaves_before_the_close(self) -> None:
        self.socket.room = 1
        self.transport.write(b"first")
        self.transport.loseConnection()
        self.transport.write(b"second")
        self.socket.room = 100
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"firstsecond")
        self.assertEqual(self.protocol.lost, [ConnectionDone])
        self.assertTrue(self.socket.closed)

    def test_a_write_between_loss_and_close_is_sent(self) -> None:
        """As in Twisted, bytes written before the connection is closed are sent."""
        self.transport.loseConnection()
        self.transport.write(b"last")
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"last")
        self.assertEqual(self.protocol.lost, [ConnectionDone])

    def test_a_write_after_the_end_is_dropped(self) -> None:
        self.transport.loseConnection()
        self.reactor.turn()
        self.transport.write(b"late")
        self.assertEqual(self.socket.sent, b"")
        self.assertEqual(self.reactor.writing, set())

    def test_a_write_after_the_half_close_is_dropped(self) -> None:
        self.transport.write(b"last")
        self.transport.loseWriteConnection()
        self.reactor.turn()
        self.transport.write(b"late")
        self.assertEqual(self.socket.sent, b"last")

    def test_nothing_is_sent_after_an_abort(self) -> None:
        self.transport.abortConnection()
        self.transport.write(b"late")
        self.reactor.turn()
        self.assertEqual(self.socket.sends, 0)
        self.assertEqual(self.protocol.lost, [ConnectionAborted])


class Named(Witness):
    """A protocol that records what its transport is called when it is lost."""

    def __init__(self, name: str | None) -> None:
        super().__init__()
        self.name = name
        self.texts: list[str] = []

    def logPrefix(self) -> str:
        return self.name or super().logPrefix()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.texts.append(texts(cast(tcp.Server, self.transport)))


def texts(transport: tcp.Server) -> Any:
    """Return every text that a transport is called by."""
    return transport.logPrefix(), transport.logstr, repr(transport), transport.repstr


class TextTests(SynchronousTestCase):
    """The texts that a transport is called by, which are made when they are read."""

    def pair(self, name: str | None, client: tuple[object, ...]) -> list[tcp.Server]:
        """Return one of Twisted's transports and one of ours, accepted in the same way."""
        self.reactor = HandCranked()
        self.port = EagerPort(0, Factory(), reactor=self.reactor)
        self.port._realPortNumber = 9999
        made = []
        for kind in (tcp.Server, EagerServer):
            protocol = Named(name)
            sock = cast(socket, FakeSocket())
            made.append(kind(sock, protocol, client, self.port, 7, self.reactor))
            protocol.makeConnection(made[-1])
        return made

    def check(self, name: str | None, client: tuple[object, ...], prefix: str) -> None:
        stock, ours = self.pair(name, client)
        expected = prefix, prefix, "<Named #7 on 9999>", "<Named #7 on 9999>"
        self.port._realPortNumber = None  # it does not listen any more
        protocols: Any = stock.protocol, ours.protocol
        for transport, protocol in zip((stock, ours), protocols, strict=True):
            protocol.name = "another name"
            self.assertEqual(texts(transport), expected)
            transport.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(texts(transport), expected)
            self.assertEqual(protocol.texts, [expected])

    def test_they_are_those_of_twisted(self) -> None:
        """Before, during and after the loss, and after the port is closed."""
        self.check(None, ("127.0.0.1", 40000), "Named,7,127.0.0.1")

    def test_the_log_prefix_is_that_of_the_protocol(self) -> None:
        """It is asked for once, when the client is accepted."""
        self.check("Mine", ("::1", 40000, 0, 0), "Mine,7,::1")

    def test_they_can_be_replaced(self) -> None:
        for transport in self.pair(None, ("127.0.0.1", 40000)):
            transport.logstr, transport.repstr = "log", "representation"
            self.assertEqual(texts(transport), ("log", "log", "representation", "representation"))

    def test_nothing_of_twisteds_transport_is_missing(self) -> None:
        """Every attribute that Twisted sets is there, with an equal value."""
        for client in (("127.0.0.1", 40000), ("::1", 40000, 0, 0)):
            stock, ours = self.pair(None, client)
            own = {"socket", "fileno", "protocol"}
            for name in vars(stock).keys() - own:
                self.assertEqual(getattr(ours, name), getattr(stock, name), name)
            self.assertEqual(ours.getPeer(), stock.getPeer())

    def test_the_class_has_them_too(self) -> None:
        """Reading them from the class raises nothing."""
        self.assertEqual((EagerServer.logstr, EagerServer.repstr), ("", ""))


class Deaf(Protocol):
    """A protocol that does not declare that it handles half-closes."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def readConnectionLost(self) -> None:
        self.events.append(EOFError)

    def writeConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(type(reason.value))


class Adapted(Deaf):
    """A protocol for which another object handles half-closes."""

    def __conform__(self, interface: object) -> "Witness | None":
        if interface is not IHalfCloseableProtocol:
            return None
        self.adapter = Witness()
        return self.adapter


class EofTests(SynchronousTestCase):
    """What a protocol hears of an EOF."""

    def connect(self, protocol: Protocol) -> EagerServer:
        self.reactor = HandCranked()
        self.socket = FakeSocket()
        port = EagerPort(0, Factory(), reactor=self.reactor)
        sock = cast(socket, self.socket)
        transport = EagerServer(sock, protocol, ("127.0.0.1", 40000), port, 0, self.reactor)
        protocol.makeConnection(transport)
        self.socket.arriving = [b""]
        self.reactor.read(transport)
        return transport

    def test_a_class_that_handles_half_closes_is_told(self) -> None:
        """The connection stays, and writes on."""
        protocol = Witness()
        self.connect(protocol).write(b"late")
        self.assertEqual(protocol.lost, [EOFError])
        self.assertEqual(self.socket.sent, b"late")

    def test_an_instance_that_handles_half_closes_is_told(self) -> None:
        """Its class need not, and other instances of the class are not."""
        one, other = Deaf(), Deaf()
        directlyProvides(one, IHalfCloseableProtocol)
        for protocol in (one, other, one):
            protocol.events.clear()
            self.connect(protocol)
        self.assertEqual((one.events, other.events), ([EOFError], [ConnectionDone]))

    def test_a_class_that_handles_half_closes_from_now_on_is_told(self) -> None:
        """The answer for a class is not kept for ever."""

        class Later(Deaf):
            pass

        events = []
        for _ in range(2):
            protocol = Later()
            self.connect(protocol)
            events += protocol.events
            classImplements(Later, IHalfCloseableProtocol)
        self.assertEqual(events, [ConnectionDone, EOFError])

    def test_an_adapter_that_handles_half_closes_is_told(self) -> None:
        protocol = Adapted()
        self.connect(protocol)
        self.assertEqual((protocol.adapter.lost, protocol.events), ([EOFError], []))

    def test_a_protocol_that_raises_loses_its_connection(self) -> None:
        """The error is logged, and the reason of the loss."""

        class Raising(Witness):
            def readConnectionLost(self) -> None:
                raise ZeroDivisionError

        protocol = Raising()
        self.connect(protocol)
        self.assertEqual(protocol.lost, [ZeroDivisionError])
        self.assertTrue(self.socket.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_connection_is_lost_once(self) -> None:
        protocol = Witness()
        transport = self.connect(protocol)
        for _ in range(2):
            transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(protocol.lost, [EOFError, ConnectionDone])
        self.assertEqual(self.reactor.reading, set())


class FailedSendTests(TransportCase):
    """A send that fails with a reset, which the kernel reports once."""

    def setUp(self) -> None:
        super().setUp()
        self.socket.room, self.socket.refusal = 0, ECONNRESET

    def test_the_protocol_hears_of_it_after_its_write(self) -> None:
        self.transport.write(b"reply")
        self.assertEqual(self.protocol.lost, [])
        self.reactor.turn()
        self.assertEqual(self.protocol.lost, [ConnectionLost])

    def test_a_broken_pipe_is_a_lost_connection_too(self) -> None:
        self.socket.refusal = EPIPE
        self.transport.write(b"reply")
        self.reactor.turn()
        self.assertEqual(self.protocol.lost, [ConnectionLost])

    def test_the_socket_is_not_asked_again(self) -> None:
        """The socket is not read again: it would report a clean EOF."""
        self.transport.write(b"reply")
        self.socket.room = 100
        self.transport.write(b"another")
        self.reactor.turn()
        self.assertEqual(self.socket.sends, 1)
        self.assertEqual(self.protocol.lost, [ConnectionLost])

    def test_it_is_no_orderly_close_to_a_reader(self) -> None:
        """The connection is lost with an error, not half-closed, although recv returns EOF."""
        self.transport.write(b"reply")
        self.socket.arriving = [b""]
        self.reactor.read(self.transport)
        self.assertEqual(self.protocol.lost, [ConnectionLost])

    def test_what_came_before_it_is_delivered(self) -> None:
        self.transport.write(b"reply")
        self.socket.arriving = [b"request"]
        self.reactor.read(self.transport)
        self.assertEqual(self.protocol.received, [b"request"])
        self.assertEqual(self.protocol.lost, [])
        self.reactor.turn()
        self.assertEqual(self.protocol.lost, [ConnectionLost])

    def test_an_abort_in_its_wake_is_an_abort(self) -> None:
        self.transport.write(b"reply")
        self.transport.abortConnection()
        self.reactor.turn()
        self.assertEqual(self.protocol.lost, [ConnectionAborted])


class ProducerTests(TransportCase):
    """Producers are paused and resumed as in Twisted."""

    def test_a_streaming_producer_writes_eagerly(self) -> None:
        producer = Push()
        self.transport.registerProducer(producer, True)
        self.transport.write(b"x" * (self.transport.bufferSize + 1))
        self.assertEqual(len(self.socket.sent), self.transport.bufferSize + 1)
        self.assertEqual(producer.events, [])

    def test_it_is_paused_when_more_than_the_buffer_size_waits(self) -> None:
        producer = Push()
        self.transport.registerProducer(producer, True)
        self.socket.room = 1
        self.transport.write(b"x" * (self.transport.bufferSize + 2))
        self.assertEqual(producer.events, ["pause"])
        self.socket.room = 2**20
        self.reactor.turn()
        self.assertEqual(producer.events, ["pause", "resume"])

    def test_it_is_not_paused_when_as_much_as_the_buffer_size_waits(self) -> None:
        producer = Push()
        self.transport.registerProducer(producer, True)
        self.socket.room = 1
        self.transport.write(b"x" * (self.transport.bufferSize + 1))
        self.assertEqual(producer.events, [])

    def test_a_pull_producer_is_asked_again_when_its_piece_has_left(self) -> None:
        """A pull producer is asked once for each piece, after the last one was sent."""
        self.transport.registerProducer(Pull(self.transport, b"one ", b"two ", b"three"), False)
        seen = []
        for _ in range(4):
            seen.append(self.socket.sent)
            self.reactor.turn()
        self.assertEqual(seen, [b"", b"one ", b"one two ", b"one two three"])
        self.assertEqual(self.reactor.writing, set())

    def test_a_pull_producer_with_nothing_ready_is_asked_again(self) -> None:
        """A pull producer is asked although its header was sent at once."""
        self.transport.write(b"header ")
        self.transport.registerProducer(Pull(self.transport, b"", b"body"), False)
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"header body")

    def test_a_pull_producer_of_a_lost_connection_is_stopped(self) -> None:
        self.transport.loseConnection()
        self.reactor.turn()
        producer = Pull(self.transport)
        self.transport.registerProducer(producer, False)
        self.assertTrue(producer.stopped)
        self.assertEqual(self.reactor.writing, set())

    def test_what_a_producer_writes_as_it_is_stopped_is_dropped(self) -> None:
        """The connection is lost by then, although its socket is still open."""
        for transport_class in (EagerServer, EagerStock):
            with self.subTest(transport_class):
                self.connect(transport_class)
                self.transport.write(b"first")
                self.transport.registerProducer(LastWords(self.transport), True)
                self.transport.connectionLost(Failure(ConnectionDone()))
                self.assertEqual(self.socket.sent, b"first")

    def test_a_streaming_producer_alone_asks_for_no_turn(self) -> None:
        self.transport.registerProducer(Push(), True)
        self.assertEqual(self.reactor.writing, set())

    def test_a_second_producer_is_refused(self) -> None:
        """Whether it streams or is asked for more."""
        self.transport.registerProducer(Push(), True)
        for streaming in (True, False):
            self.assertRaises(RuntimeError, self.transport.registerProducer, Push(), streaming)


class FakeListener:
    """A listening socket whose process has no free descriptors until it closes one."""

    def __init__(self) -> None:
        self.accepted = FakeSocket()
        self._answers: list[Any] = [EMFILE, self.accepted, EWOULDBLOCK]

    def accept(self) -> tuple[FakeSocket, tuple[str, int]]:
        answer = self._answers.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, "refused")
        return answer, ("127.0.0.1", 40000)


class CrowdedListener:
    """
    A listening socket with an endless number of waiting clients.

    Their *descriptor* is open: Twisted before 26.10 sets a flag of it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def accept(self) -> tuple[FakeSocket, tuple[str, int]]:
        return FakeSocket(self._descriptor), ("127.0.0.1", 40000)


class PortTests(SynchronousTestCase):
    """Ports that really listen, on a reactor that is turned by hand."""

    def setUp(self) -> None:
        self.reactor = HandCranked()
        self.built: list[Witness] = []
        self.factory = Factory.forProtocol(self._build)

    def _build(self) -> Witness:
        self.built.append(Witness())
        return self.built[-1]

    def listen(self, interface: str) -> Any:
        endpoint = EagerServerEndpoint(self.reactor, 0, interface=interface)
        port = self.successResultOf(endpoint.listen(self.factory))
        self.addCleanup(self.close, port)
        return port

    def close(self, port: Any) -> None:
        stopped = port.stopListening()
        self.reactor.runUntilCurrent()
        self.successResultOf(stopped)

    def accept(self, port: Any) -> tuple[socket, EagerServer]:
        """Return both ends of a new connection to *port*."""
        host = port.getHost()
        client = create_connection((host.host, host.port), timeout=10)
        self.addCleanup(client.close)
        port.doRead()
        transport = cast(EagerServer, self.built[-1].transport)
        self.addCleanup(transport.connectionLost, Failure(ConnectionDone()))
        return client, transport

    def check(self, port: Any) -> None:
        client, transport = self.accept(port)
        transport.write(b"reply")
        self.assertEqual(client.recv(100), b"reply")
        self.assertTrue(transport.getTcpNoDelay())

    def test_it_is_represented_as_a_stock_transport_is(self) -> None:
        """The text names the protocol, the number of the connection, and the port."""
        port = self.listen("127.0.0.1")
        _, transport = self.accept(port)
        self.assertEqual(repr(transport), f"<Witness #0 on {port.getHost().port}>")

    def test_a_reply_reaches_an_ipv4_client_before_the_next_turn(self) -> None:
        self.check(self.listen("127.0.0.1"))

    def test_a_reply_reaches_an_ipv6_client_before_the_next_turn(self) -> None:
        try:
            create_server(("::1", 0), family=AF_INET6).close()
        except OSError as error:
            raise SkipTest(f"no IPv6 on this machine: {error}") from error
        port = self.listen("::1")
        self.check(port)
        self.assertEqual(port.getHost().host, "::1")

    def test_a_child_that_holds_the_socket_does_not_delay_the_end(self) -> None:
        """To close a socket sends nothing while another process has it; shutdown does."""
        client, transport = self.accept(self.listen("127.0.0.1"))
        command = [sys.executable, "-c", "import sys; print(end='.', flush=True); sys.stdin.read()"]
        with Popen(command, stdin=PIPE, stdout=PIPE, pass_fds=[transport.fileno()]) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.read(1)
            transport.write(b"reply")
            transport.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(client.recv(100), b"reply")
            self.assertEqual(client.recv(100), b"")
            self.assertIsNone(child.poll())

    def test_connections_to_an_adopted_socket_are_the_same(self) -> None:
        with create_server(("127.0.0.1", 0)) as made:
            made.setblocking(False)
            port = EagerPort._fromListeningDescriptor(
                self.reactor, made.fileno(), AF_INET, self.factory
            )
        port.startListening()
        self.addCleanup(self.close, port)
        self.check(port)

    def test_without_descriptors_a_client_is_closed_and_the_port_goes_on(self) -> None:
        """As in Twisted, a reserved descriptor is used to accept and close the client."""
        port = self.listen("127.0.0.1")
        listener = FakeListener()
        real, port.socket = port.socket, listener
        port.doRead()
        port.socket = real
        self.assertTrue(listener.accepted.closed)
        self.assertEqual(self.built, [])
        self.check(port)

    def test_a_crowd_is_accepted_a_hundred_at_a_time(self) -> None:
        """At most 100 clients are accepted in a turn, since refused ones hold descriptors."""
        port = self.listen("127.0.0.1")
        real, port.socket = port.socket, CrowdedListener(port.fileno())
        for turn in range(1, 4):
            port.doRead()
            self.assertEqual(len(self.built), turn * 100)
        port.socket = real

    def test_the_backlog_is_the_one_asked_for(self) -> None:
        endpoint = EagerServerEndpoint(self.reactor, 0, 7, "127.0.0.1")
        port = self.successResultOf(endpoint.listen(self.factory))
        self.addCleanup(self.close, port)
        self.assertEqual(cast(EagerPort, port).backlog, 7)

    def test_a_port_that_is_taken_fails_the_endpoint(self) -> None:
        taken = self.listen("127.0.0.1").getHost().port
        endpoint = EagerServerEndpoint(self.reactor, taken, interface="127.0.0.1")
        self.failureResultOf(endpoint.listen(self.factory), CannotListenError)
        self.flushWarnings()  # Twisted before 26.10 leaves it to Python to close the socket
