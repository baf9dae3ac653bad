"""How a test server treats clients that connect, switched while it runs."""

import socket
from contextlib import closing
from itertools import permutations
from time import monotonic

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script
from reqresp.testing import Server
from reqresp.transport.accept_modes import Accept, AcceptAfter, AcceptMode
from tests.support.descriptors import descriptors
from tests.support.live import PATIENCE

#: Seconds after which a client of these tests gives up.
SHORT = 0.3


def ask(client: socket.socket) -> bytes:
    """Send a request, and return what arrives."""
    client.sendall(b"a\n")
    return client.recv(100)


class AcceptingTests(SynchronousTestCase):
    """`Server.accepting`, which lets the port of a test server accept late, or never."""

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.end)
        self.server.on("a").reply("A")

    def connect(self, timeout: float = PATIENCE) -> socket.socket:
        """Return a client that connects within *timeout* seconds."""
        return socket.create_connection((self.server.host, self.server.port), timeout)

    def assert_held(self) -> None:
        """Assert that a client which connects gets no answer."""
        with self.assertRaises(TimeoutError):
            self.connect(SHORT)

    def test_late(self) -> None:
        """A client connects and can send, and is answered once it is accepted."""
        with closing(self.connect()) as before:
            self.server.accepting("late")
            with closing(self.connect()) as late:
                late.settimeout(SHORT)
                with self.assertRaises(TimeoutError):
                    ask(late)
                self.assertEqual(ask(before), b"A\r\n")
                late.settimeout(PATIENCE)
                self.server.accepting("now")
                self.assertEqual(late.recv(100), b"A\r\n")

    def test_hold(self) -> None:
        """``connect()`` times out; afterwards clients connect as before, and ours is not seen."""
        with closing(self.connect()) as before:
            self.assertEqual(ask(before), b"A\r\n")
            self.server.accepting("hold")
            self.assert_held()
            self.assert_held()
            self.assertEqual(ask(before), b"A\r\n")
            self.server.accepting("now")
            with closing(self.connect()) as after:
                self.assertEqual(ask(after), b"A\r\n")
            self.assertEqual(self.server.factory.accepted, 2)

    def test_hold_while_clients_wait(self) -> None:
        """Who waits already is accepted afterwards."""
        self.server.accepting("late")
        with closing(self.connect()) as late:
            self.server.accepting("hold")
            self.assert_held()
            self.server.accepting("now")
            self.assertEqual(ask(late), b"A\r\n")

    def test_refuse(self) -> None:
        """``connect()`` is refused, also after clients were held; the server can still end."""
        self.server.accepting("hold")
        self.server.accepting("refuse")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.server.accepting("hold")
        self.assert_held()

    def test_after_some_seconds(self) -> None:
        """A client that has connected is answered after that time, as are later ones."""
        self.server.accepting(after=0.05)
        for _ in range(2):
            with closing(self.connect()) as client:
                started = monotonic()
                self.assertEqual(ask(client), b"A\r\n")
                self.assertGreater(monotonic() - started, 0.03)
        self.server.accepting(after=1000)
        with closing(self.connect()) as client:
            client.sendall(b"a\n")
            self.server.accepting("now")
            self.assertEqual(client.recv(100), b"A\r\n")

    def test_refused_while_clients_wait(self) -> None:
        """Who waits already is accepted, and the port stays the same."""
        self.server.accepting("late")
        port = self.server.port
        with closing(self.connect()) as late:
            self.server.accepting("refuse")
            self.assertEqual(ask(late), b"A\r\n")
        with self.assertRaises(ConnectionRefusedError):
            self.connect()
        self.server.accepting("now")
        self.assertEqual(self.server.port, port)
        with closing(self.connect()) as after:
            self.assertEqual(ask(after), b"A\r\n")

    def test_the_end_in_each_mode(self) -> None:
        """A server ends, and its port is free, however it treats clients."""
        modes: list[AcceptMode] = [*Accept, AcceptAfter(1000)]
        for mode in modes:
            server = Server()
            server.accepting(mode)
            server.end()
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection((server.host, server.port), PATIENCE)

    def test_the_end_while_clients_wait(self) -> None:
        """A server ends that would accept a client later."""
        self.server.accepting(after=1000)
        with closing(self.connect()) as client:
            client.sendall(b"a\n")
            self.server.end()

    def test_many_switches(self) -> None:
        """No descriptor is left of them, and the server accepts as before."""
        modes: list[AcceptMode] = [*Accept, AcceptAfter(0.0)]
        with closing(self.connect()) as client:
            self.assertEqual(ask(client), b"A\r\n")
            before = descriptors()
            for _ in range(20):
                for one, other in permutations(modes, 2):
                    self.server.accepting(one)
                    self.server.accepting(other)
            self.server.accepting("now")
            self.assertEqual(descriptors(), before)
            self.assertEqual(len(self.server.connections), 1)
            with closing(self.connect()) as another:
                self.assertEqual(ask(another), b"A\r\n")

    def test_a_stopped_server(self) -> None:
        """It listens again when it accepts, and accepts at once after `start`."""
        self.server.accepting("refuse")
        self.server.stop()
        self.server.start()
        with closing(self.connect()) as client:
            self.assertEqual(ask(client), b"A\r\n")
        self.server.stop_listening()
        self.server.accepting("late")
        self.connect().close()

    def test_of_a_script(self) -> None:
        """A server begins as its script says."""
        server = Server(script=Script.parse('accept = "refuse"'))
        self.addCleanup(server.end)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port), PATIENCE)
        server.accepting("now")
        socket.create_connection((server.host, server.port), PATIENCE).close()

    def test_how_and_after(self) -> None:
        """One of them is expected."""
        with self.assertRaisesRegex(TypeError, "^expected either how or after$"):
            self.server.accepting()
        with self.assertRaisesRegex(TypeError, "^expected either how or after$"):
            self.server.accepting("now", after=1.0)
        expected = r"^test_accepting\.py:\d+: accepting\.after: expected seconds from 0 to 3600"
        with self.assertRaisesRegex(ValueError, expected):
            self.server.accepting(after=-1)

    def test_a_wrong_value(self) -> None:
        """The error has those that there are."""
        expected = (
            r"^test_accepting\.py:\d+: accepting: expected one of now, late, hold, refuse, found"
        )
        with self.assertRaisesRegex(ValueError, expected):
            self.server.accepting("never")  # type: ignore[arg-type]  # that is the test
