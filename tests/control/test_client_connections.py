"""The connections of a server in another process, as a test sees them."""

import socket
from typing import Any, cast

from reqresp.control import ControlClient, ControlError
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
            with self.assertRaisesRegex(ValueError, "expected raw=True"):
                two.send("framed", raw=cast(Any, False))
        self.assertFalse(two.is_open)
