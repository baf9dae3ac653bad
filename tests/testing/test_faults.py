"""Faults of test servers that forward their clients to a service."""

import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from reqresp.faults import DirectedFault, Direction, Latency
from reqresp.script import ScriptError
from reqresp.testing import InMemoryReactor, MemoryServer, Server, ServerFault
from tests.support.live import PATIENCE
from tests.support.server_case import ServerCase


class ThreadedTests(SynchronousTestCase):
    """A server in a thread, and real sockets."""

    def setUp(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(PATIENCE)
        self.addCleanup(self.listening.close)
        self.server = Server(upstream=("127.0.0.1", self.listening.getsockname()[1]))
        self.addCleanup(self.server.end)

    def connected(self) -> tuple[socket.socket, socket.socket]:
        """Return the sockets of a new client and of the service."""
        client = socket.create_connection((self.server.host, self.server.port), PATIENCE)
        service, _ = self.listening.accept()
        for sock in (client, service):
            sock.settimeout(PATIENCE)
            self.addCleanup(sock.close)
        return client, service

    def test_it_holds_on_return_and_until_the_end_of_the_block(self) -> None:
        """Also for a connection that is open; what it holds is sent on then."""
        client, service = self.connected()
        with self.server.fault("latency", stream="upstream", delay=1000) as slow:
            client.sendall(b"late")
            service.settimeout(0.2)
            with self.assertRaises(TimeoutError):
                service.recv(100)
            service.settimeout(PATIENCE)
            slow.change(delay=0.1)
            self.assertEqual(service.recv(100), b"late")
            self.assertEqual(slow.fault, Latency(delay=0.1))
        self.assertEqual(self.server.faults, ())

    def test_a_reset(self) -> None:
        """A client gets the real thing."""
        client, _service = self.connected()
        self.server.fault("reset_peer", stream="downstream")
        with self.assertRaises(ConnectionResetError):
            client.recv(100)

    def test_wrong_arguments(self) -> None:
        """One line says what is expected; values name the line of the test."""
        with self.assertRaisesRegex(
            ValueError, "^unknown kind of fault 'latncy'; did you mean lat"
        ):
            self.server.fault("latncy", stream="upstream")
        with self.assertRaisesRegex(
            TypeError, "^latency: unknown parameter 'dely'; did you mean de"
        ):
            self.server.fault("latency", stream="upstream", dely=1)
        with self.assertRaisesRegex(
            ScriptError,
            r"^test_faults.py:\d+: fault.stream: expected upstream or downstream, found",
        ):
            self.server.fault("latency", stream="up", delay=1)
        slow = self.server.fault("latency", stream="upstream", delay=1)
        with self.assertRaisesRegex(
            ScriptError,
            r"^test_faults.py:\d+: change.delay: expected seconds from 0 to \d+, found -1",
        ):
            slow.change(delay=-1)
        with self.assertRaisesRegex(
            TypeError, "^latency: unknown parameter 'dealy'; did you mean de"
        ):
            slow.change(dealy=1)


class MemoryTests(SynchronousTestCase):
    """A server in memory, whose time the test moves."""

    def setUp(self) -> None:
        self.got: list[bytes] = []
        case = self

        class Service(Protocol):
            def dataReceived(self, data: bytes) -> None:
                case.got.append(data)

        self.reactor = InMemoryReactor()
        self.service_port = self.reactor.free_port()
        self.reactor.listenTCP(self.service_port, Factory.forProtocol(Service))
        self.server = self.serve()

    def serve(self, **arguments: Any) -> MemoryServer:
        """Return a server in front of the service."""
        upstream = "127.0.0.1", self.service_port
        return MemoryServer(reactor=self.reactor, upstream=upstream, **arguments)

    def test_they_are_listed(self) -> None:
        """In their order, with all that they have."""
        first = self.server.fault("latency", stream="upstream", delay=1)
        self.server.fault("corrupt", stream="downstream", name="noise", after_bytes=5)
        self.assertEqual([it.name for it in self.server.faults], ["latency", "noise"])
        self.assertIs(self.server.faults[1].stream, Direction.DOWNSTREAM)
        self.assertIsInstance(first, ServerFault)
        self.assertEqual(
            repr(first),
            "<ServerFault latency:"
            " Latency(probability=1.0, delay=1, jitter=0.0, since='turn'), upstream>",
        )
        self.server.faults[0].remove()
        first.remove()
        self.assertEqual([it.name for it in self.server.faults], ["noise"])

    def test_time(self) -> None:
        """It is the clock of the server."""
        client = self.server.connect(Protocol())
        self.server.fault("latency", stream="upstream", delay=5)
        assert client.transport is not None
        client.transport.write(b"a")
        self.server.advance(4)
        self.assertEqual(self.got, [])
        self.server.advance(1)
        self.assertEqual(self.got, [b"a"])

    def test_faults_from_the_beginning(self) -> None:
        """They are arguments of the server, with the seed that chooses connections."""
        slow = DirectedFault(
            fault=Latency(delay=5, probability=0.5), stream="upstream", name="slow"
        )
        counts = []
        for seed in (1, 1, 2):
            self.got.clear()
            server = self.serve(faults=[slow], seed=seed)
            self.assertEqual([it.name for it in server.faults], ["slow"])
            for number in range(20):
                client = server.connect(Protocol())
                assert client.transport is not None
                client.transport.write(b"%d," % number)
            server.pump()
            counts.append(b"".join(self.got))
        self.assertEqual(counts[0], counts[1])
        self.assertNotEqual(counts[0], counts[2])

    def test_faults_that_do_not_fit(self) -> None:
        """Replies need faults, and directions need directed faults."""
        with self.assertRaisesRegex(
            TypeError, r"^faults: expected DirectedFault\(...\) with upstream, found Latency\("
        ):
            self.serve(faults=[Latency(delay=1)])
        slow = DirectedFault(fault=Latency(delay=1), stream="downstream", name="slow")
        with self.assertRaisesRegex(ScriptError, "stream: expected upstream, what clients send:"):
            MemoryServer(faults=[slow])

    def test_a_server_without_a_service(self) -> None:
        """One line says what to do instead."""
        server = MemoryServer()
        for arguments, problem in (
            (
                {"stream": "downstream"},
                "stream: expected upstream, what clients send: only a relay",
            ),
            ({"stream": "upstream", "on": "reply"}, "on: expected one of on and stream, found"),
        ):
            with self.assertRaisesRegex(ScriptError, problem):
                server.fault("latency", delay=1, **arguments)
        self.assertEqual(server.faults, ())

    def test_a_server_with_a_service_only(self) -> None:
        """It has no replies, and needs a direction."""
        for arguments in ({}, {"on": "reply"}, {"on": "reply", "stream": "upstream"}):
            with self.assertRaisesRegex(TypeError, "^fault: the server forwards all bytes, and"):
                self.server.fault("latency", delay=1, **arguments)


class UploadTests(SynchronousTestCase):
    """A server that answers by itself, and reads slowly or not to the end."""

    def test_what_clients_send(self) -> None:
        """Faults of an argument, and added ones."""
        slow = DirectedFault(fault=Latency(delay=2), stream="upstream", name="slow")
        server = MemoryServer(faults=[slow], framing="line")
        server.on("STAT").reply("+OK")
        got: list[bytes] = []

        class Client(Protocol):
            def dataReceived(self, data: bytes) -> None:
                got.append(data)

            def connectionLost(self, reason: object = None) -> None:
                got.append(b"lost")

        client = server.connect(Client())
        assert client.transport is not None
        client.transport.write(b"STAT\r\n")
        server.advance(1.9)
        self.assertEqual(got, [])
        server.advance(0.1)
        self.assertEqual(got, [b"+OK\r\n"])
        [fault] = server.faults
        self.assertEqual((fault.name, fault.stream), ("slow", Direction.UPSTREAM))
        fault.remove()
        with server.fault("limit_data", stream="upstream", bytes=2) as cut:
            self.assertEqual(cut.stream, Direction.UPSTREAM)
            client.transport.write(b"STAT\r\n")
            server.pump()
        self.assertEqual(got, [b"+OK\r\n", b"lost"])
        with self.assertRaisesRegex(AssertionError, "ST"):
            server.verify()


class ReplyTests(SynchronousTestCase):
    """A server that answers by itself."""

    def setUp(self) -> None:
        self.server = MemoryServer()
        self.server.on("STAT").reply("+OK")
        self.got: list[bytes] = []
        case = self

        class Client(Protocol):
            def dataReceived(self, data: bytes) -> None:
                case.got.append(data)

        self.client = self.server.connect(Client())

    def received(self) -> bytes:
        """Return what the client has received since the last call."""
        got, self.got[:] = b"".join(self.got), []
        return got

    def asked(self) -> bytes:
        """Return what the client receives at once for a request."""
        assert self.client.transport is not None
        self.client.transport.write(b"STAT\r\n")
        self.server.pump()
        return self.received()

    def test_it_applies_to_an_open_connection(self) -> None:
        """From the next reply on, as it is changed, and until the end of the block."""
        self.assertEqual(self.asked(), b"+OK\r\n")
        with self.server.fault("latency", delay=5) as slow:
            self.assertEqual(self.asked(), b"")
            self.server.advance(5)
            self.assertEqual(self.received(), b"+OK\r\n")
            slow.change(delay=0)
            self.assertEqual(self.asked(), b"+OK\r\n")
            self.assertEqual([it.name for it in self.server.faults], ["latency"])
            self.assertIsNone(slow.stream)
            self.assertRegex(repr(slow), r"^<ServerFault latency: Latency\(.*\), reply>$")
        self.assertEqual(self.server.faults, ())
        self.assertEqual(self.asked(), b"+OK\r\n")
        self.assertIn("injected: latency", self.server.conversation())

    def test_those_of_the_beginning(self) -> None:
        """They are listed, changed and removed as well."""
        server = MemoryServer(faults=[Latency(delay=1)])
        [slow] = server.faults
        self.assertEqual((slow.name, slow.fault), ("latency", Latency(delay=1)))
        slow.change(delay=2)
        self.assertEqual(server.faults[0].fault, Latency(delay=2))
        slow.remove()
        self.assertEqual(server.faults, ())

    def test_wrong_arguments(self) -> None:
        """One line says what is expected; values name the line of the test."""
        with self.assertRaisesRegex(TypeError, "^latency: unknown parameter 'for_'"):
            self.server.fault("latency", delay=1, for_=1)
        with self.assertRaisesRegex(
            ScriptError, r"^test_faults.py:\d+: fault.on: expected reply or connect, found 'x'"
        ):
            self.server.fault("latency", delay=1, on="x")
        with self.assertRaisesRegex(TypeError, "^kind: expected the name .*, found 5"):
            self.server.fault(5)  # type: ignore[arg-type]
        with self.assertRaisesRegex(ScriptError, "fault.kind: expected the name .*, found 5"):
            self.server.on().fault(5)  # type: ignore[arg-type]


class ArrivalTests(ServerCase):
    """A latency that counts from the arrival of requests."""

    def test_of_the_server_and_of_an_expectation(self) -> None:
        """Also for a client that was connected before."""
        self.serve().on("a").reply("A")
        self.server.on("b").reply("B").fault("latency", delay=1, since="arrival")
        wire = self.connect()
        wire.send(b"a\nb\nb\n")
        self.assertEqual(wire.received(), b"A\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"B\r\nB\r\n")
        self.server.fault("latency", delay=1, since="arrival")
        wire.send(b"a\na\n")
        wire.wait(0.5)
        wire.send(b"a\n")
        wire.wait(0.5)
        self.assertEqual(wire.received(), b"A\r\nA\r\n")
        wire.wait(0.5)
        self.assertEqual(wire.received(), b"A\r\n")
