"""Sockets in memory, compared with those of the kernel."""

import socket
import struct
import sys
from errno import ECONNREFUSED, EINPROGRESS, errorcode
from select import POLLIN, poll
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from reqresp.testing._memory_socket import CAPACITY, MemorySocket

OPERATIONS = ["send", "send", "send", "receive", "receive", "end", "close", "abort"]


def in_memory() -> list[Any]:
    """Return two ends of a connection in memory."""
    accepted: list[MemorySocket] = []
    client = MemorySocket(0, ("127.0.0.1", 1), lambda _port: accepted.append)
    client.connect_ex(("127.0.0.1", 2))
    client.connect_ex(("127.0.0.1", 2))
    return [client, *accepted]


def in_kernel() -> list[Any]:
    """Return two ends of a connection of the kernel."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    for end in client, server:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return [client, server]


def perform(ends: list[Any], operation: str, who: int) -> object:
    """Return the result of an operation, or the name of its error."""
    end = ends[who]
    if end is None:
        return None
    try:
        match operation:
            case "send":
                return end.send(b"ab")
            case "receive":
                return end.recv(2)
            case "end":
                end.shutdown(socket.SHUT_WR)
            case "close":
                ends[who] = None
                end.close()
            case "abort":
                ends[who] = None
                linger = struct.pack("ii", 1, 0)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                end.close()
    except OSError as error:
        # Ending a broken connection raises on some ends only.
        return errorcode[error.errno or 0] if operation in ("send", "receive") else None
    return None


class KernelTests(SynchronousTestCase):
    """Tests with random operations on both kinds of sockets."""

    @given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 1)), max_size=10))
    @settings(max_examples=200)
    def test_same_results(self, operations: list[tuple[str, int]]) -> None:
        """Data, EOF and errors are the same, in the same order, each as often."""
        if sys.platform != "linux":
            raise SkipTest("the sockets in memory report resets as Linux does")
        memory, kernel = in_memory(), in_kernel()
        try:
            for operation, who in operations:
                expected = perform(memory, operation, who)
                if kernel[who] is not None and expected in (b"ab", b"", "ECONNRESET"):
                    arrival = poll()  # the kernel may take some time to deliver it
                    arrival.register(kernel[who], POLLIN)
                    arrival.poll(5000)
                self.assertEqual(perform(kernel, operation, who), expected, operation)
        finally:
            for end in kernel:
                if end is not None:
                    end.close()


class SocketTests(SynchronousTestCase):
    """Tests without the kernel."""

    def test_capacity(self) -> None:
        """An end can send up to the capacity, and more when the other end has read."""
        client, server = in_memory()
        self.assertEqual(client.send(bytes(CAPACITY + 1)), CAPACITY)
        self.assertFalse(client.is_writable)
        self.assertEqual(perform([client], "send", 0), "EAGAIN")
        self.assertTrue(server.is_writable)
        server.recv(1)
        self.assertTrue(client.is_writable)
        self.assertEqual(client.send(b"ab"), 1)

    def test_send_nothing(self) -> None:
        """Sending no bytes never fails: Twisted does it before it ends a connection."""
        client, _server = in_memory()
        client.send(bytes(CAPACITY))
        self.assertEqual(client.send(b""), 0)

    def test_no_listener(self) -> None:
        """The second call to connect reports that the connection was refused."""
        client = MemorySocket(0, ("127.0.0.1", 1), lambda _port: None)
        self.assertEqual(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
        self.assertEqual(client.connect_ex(("127.0.0.1", 2)), EINPROGRESS)
        self.assertEqual(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), ECONNREFUSED)
        self.assertEqual(client.connect_ex(("127.0.0.1", 2)), ECONNREFUSED)

    def test_names(self) -> None:
        """The accepted end has the address that was connected to; a client can choose its own."""
        client, server = in_memory()
        self.assertEqual(client.getsockname(), ("127.0.0.1", 1))
        self.assertEqual(server.getsockname(), ("127.0.0.1", 2))
        client.bind(("10.0.0.1", 0))
        self.assertEqual(client.getsockname(), ("10.0.0.1", 1))
        client.bind(("10.0.0.1", 7))
        self.assertEqual(client.getsockname(), ("10.0.0.1", 7))

    def test_options_are_kept(self) -> None:
        """An option without an effect can be read again."""
        client, _server = in_memory()
        self.assertFalse(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.assertTrue(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
