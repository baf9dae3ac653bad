"""The connections of a server in another process, as a test sees them."""

import socket
import sys
from typing import Any

from reqresp.control import ControlClient, ControlError
from reqresp.script import ScriptError
from tests.support.live import PATIENCE
from tests.support.steered import Steered


class ConnectionTests(Steered):
    """The connections of the service ``default``."""

    def test_connections(self) -> None:
        """A test sees the open ones, sends bytes as they are, and closes or resets them."""
        address = ("127.0.0.1", self.server.port)
        with (
            socket.create_connection(address, PATIENCE) as first,
            socket.create_connection(address, PATIENCE) as second,
        ):
            for client in (first, second):
                client.sendall(b"NOOP\n")
                self.assertEqual(client.recv(100), b"+OK\r\n")
            one, two = ControlClient(self.url).connections
            peer: Any = one.peer
            self.assertEqual((peer.host, peer.port), first.getsockname())
            self.assertEqual([it.data for it in one.requests], [b"NOOP"])
            self.assertTrue(one.is_open)
            one.send("421 bye", b"\xff", raw=True)
            one.close()
            received = b"".join(iter(lambda: first.recv(100), b""))
            self.assertEqual(received, b"421 bye\xff")
            two.abort()
            with self.assertRaises(ConnectionResetError):
                second.recv(100)
            two.abort()
            with self.assertRaisesRegex(ControlError, "no open connection has the number"):
                two.send("late", raw=True)
        self.assertFalse(two.is_open)

    def test_frames_states_and_all_clients(self) -> None:
        """Bytes are framed unless they are raw, and sent to one, to all, or to those in a state."""
        client = ControlClient(self.url)
        client.on("in").goto("inside").reply("in")
        with self.connect(b"NOOP", b"+OK\r\n") as first, self.connect(b"in", b"in\r\n") as second:
            one, two = client.connections
            self.assertEqual((one.state, two.state), ("start", "inside"))
            one.send("a", {"hex": "ff", "raw": True})
            client.push("b", connection=two.number)
            self.assertEqual(client.broadcast("c", "d", raw=True), 2)
            self.assertEqual(client.broadcast("e", to="state:inside"), 1)
            one.send("f", raw=True)
            two.close()
            self.assertEqual(first.makefile("rb").read(6), b"a\r\n\xffcd")
            received = b"".join(iter(lambda: second.recv(100), b""))
            self.assertEqual(received, b"b\r\ncde\r\n")
            line = sys._getframe().f_lineno + 2
            with self.assertRaises(ScriptError) as raised:
                one.send("a\nb")
            self.assertIn(f"connections.py:{line}: send.data: ", str(raised.exception))
            with self.assertRaisesRegex(ScriptError, r"broadcast\.to: expected"):
                client.broadcast("a", to="everyone")
            client.wait_for_close(two)
            with self.assertRaisesRegex(ControlError, "connection 2 is closed"):
                _ = two.state

    def test_all_or_nothing(self) -> None:
        """If one payload cannot be sent, none is, to one client or to several."""
        client = ControlClient(self.url)
        with self.connect(b"NOOP", b"+OK\r\n") as wire:
            [connection] = client.connections
            for send in (client.broadcast, connection.send):
                with self.assertRaisesRegex(ScriptError, r"py:\d+: (broadcast|send)\.data: "):
                    send("half", "a\nb")
                with self.assertRaisesRegex(ScriptError, r"(broadcast|send)\.data\[1\]: expected"):
                    send("half", {"hex": "f"})
            self.assertEqual(client.broadcast(), 0)
            connection.send()
            connection.send("whole", "too")
            self.assertEqual(wire.recv(100), b"whole\r\ntoo\r\n")

    def test_waiting_for_connections(self) -> None:
        """Clients that connect and leave are waited for, by a call or in a future."""
        client = ControlClient(self.url)
        self.assertEqual((client.connections.total, len(client.connections)), (0, 0))
        client.assert_no_open_connections()
        opened, closed = client.connections.when_opened(2), None
        with self.connect(), self.connect() as second:
            two = client.wait_for_connection(2, timeout=PATIENCE)
            self.assertEqual((two, opened.result(PATIENCE)), (client.connections[1],) * 2)
            peer: Any = two.peer
            self.assertEqual((peer.host, peer.port), second.getsockname())
            self.assertEqual(client.connections.total, 2)
            closed = client.connections.when_closed(two.number)
            for wait, problem in (
                (lambda: client.wait_for_connection(3, timeout=0.05), "expected 3, found 2"),
                (lambda: client.wait_for_close(two, timeout=0.05), "connection 2 is open"),
                (
                    lambda: client.assert_no_open_connections(timeout=0.05),
                    "expected no open connection, found 2",
                ),
            ):
                with self.assertRaisesRegex(AssertionError, problem):
                    wait()
            self.assertFalse(closed.done())
        client.wait_for_close(two, timeout=PATIENCE)
        closed.result(PATIENCE)
        client.wait_for_close(timeout=PATIENCE)
        client.connections.when_closed().result(PATIENCE)
        self.assertEqual(client.wait_for_connection(2), two)  # it was
        client.clear()
        self.assertEqual(client.connections.total, 0)
        with self.assertRaisesRegex(ScriptError, r"py:\d+: wait_for_connection\.timeout: "):
            client.wait_for_connection(timeout=-1)

    def test_how_clients_connect(self) -> None:
        """A service stops and starts, refuses clients, and lets them wait."""
        client = ControlClient(self.url)
        client.accepting("refuse")
        with self.assertRaises(ConnectionError):
            self.ask(b"NOOP")
        client.accepting(after=0.01)
        self.assertEqual(self.ask(b"NOOP"), b"+OK\r\n")
        client.stop()
        with self.assertRaises(ConnectionRefusedError):
            self.ask(b"NOOP")
        client.start()
        client.accepting("now")
        self.assertEqual(self.ask(b"NOOP"), b"+OK\r\n")
        with self.connect(b"NOOP", b"+OK\r\n") as wire:
            client.disconnect_all()
            with self.assertRaises(ConnectionResetError):
                wire.recv(1)
        wrong: Any = "soon"
        with self.assertRaisesRegex(ScriptError, r"py:\d+: accepting: expected one of now, late"):
            client.accepting(wrong)
        with self.assertRaisesRegex(ScriptError, r"py:\d+: accepting\.after: expected"):
            client.accepting(after=-1)
        with self.assertRaisesRegex(TypeError, "expected either how or after"):
            client.accepting()

    def connect(self, request: bytes = b"", reply: bytes = b"") -> socket.socket:
        """Return a client that has sent a *request*, a line, and received the *reply*."""
        client = socket.create_connection(("127.0.0.1", self.server.port), PATIENCE)
        self.addCleanup(client.close)
        client.sendall(request + b"\n" if request else b"")
        received = b""
        while len(received) < len(reply):
            received += client.recv(len(reply) - len(received))
        self.assertEqual(received, reply)
        return client
