"""The kernel's part of a connection, compared with the kernel."""

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
    """Two ends of a connection in memory."""
    accepted: list[MemorySocket] = []
    client = MemorySocket(0, ("127.0.0.1", 1), lambda _port: accepted.append)
    client.connect_ex(("127.0.0.1", 2))
    client.connect_ex(("127.0.0.1", 2))
    return [client, *accepted]


def in_kernel() -> list[Any]:
    """Two ends of a real one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    for end in client, server:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return [client, server]


def perform(ends: list[Any], operation: str, who: int) -> object:
    """What an operation gives, or its error's name."""
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
        # That a connection is broken already is no news to who ends it.
        return errorcode[error.errno or 0] if operation in ("send", "receive") else None
    return None


class KernelTests(SynchronousTestCase):
    """Whatever two ends do to each other, they see what they would of the kernel."""

    @given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 1)), max_size=10))
    @settings(deadline=None, max_examples=200)
    def test_same_results(self, operations: list[tuple[str, int]]) -> None:
        """Data, ends and errors, in the same order, each told as often."""
        if sys.platform != "linux":
            raise SkipTest("other kernels tell of resets in their own ways")
        memory, kernel = in_memory(), in_kernel()
        try:
            for operation, who in operations:
                expected = perform(memory, operation, who)
                if kernel[who] is not None and expected in (b"ab", b"", "ECONNRESET"):
                    news = poll()  # what is on its way may take its time
                    news.register(kernel[who], POLLIN)
                    news.poll(5000)
                self.assertEqual(perform(kernel, operation, who), expected, operation)
        finally:
            for end in kernel:
                if end is not None:
                    end.close()


class SocketTests(SynchronousTestCase):
    """What is told without the kernel."""

    def test_room_is_bounded(self) -> None:
        """Who is not read can send so much, and more when something was read."""
        client, server = in_memory()
        self.assertEqual(client.send(bytes(CAPACITY + 1)), CAPACITY)
        self.assertFalse(client.is_writable)
        self.assertEqual(perform([client], "send", 0), "EAGAIN")
        self.assertTrue(server.is_writable)
        server.recv(1)
        self.assertTrue(client.is_writable)
        self.assertEqual(client.send(b"ab"), 1)

    def test_nothing_can_be_sent_always(self) -> None:
        """Twisted sends nothing when it has only an end to send."""
        client, _server = in_memory()
        client.send(bytes(CAPACITY))
        self.assertEqual(client.send(b""), 0)

    def test_nobody_listens(self) -> None:
        """The second look at a connection attempt tells that it was refused."""
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
        """Those that mean nothing here can be read again."""
        client, _server = in_memory()
        self.assertFalse(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.assertTrue(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
