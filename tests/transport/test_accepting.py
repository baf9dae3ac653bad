"""How a test server treats clients that connect, switched while it runs."""

import socket
from contextlib import closing

from twisted.trial.unittest import SynchronousTestCase

from reqresp.testing import Server
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

    def test_a_wrong_value(self) -> None:
        """The error has those that there are."""
        expected = "^accepting: expected one of now, late, hold, refuse, found"
        with self.assertRaisesRegex(ValueError, expected):
            self.server.accepting("never")
