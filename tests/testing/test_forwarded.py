"""Test servers in front of a real service."""

import socket
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script, Table
from reqresp.script import ScriptError
from reqresp.server.upstream_settings import UpstreamSettings
from reqresp.testing import MemoryServer, Server, serve
from tests.support.live import PATIENCE
from tests.support.services import free_port


def asked(server: Any, request: bytes, size: int) -> bytes:
    """Return what a client of *server* gets for *request*."""
    with socket.create_connection((server.host, server.port), PATIENCE) as client:
        client.sendall(request)
        received = b""
        while len(received) < size and (data := client.recv(100)):
            received += data
        return received


class ThreadedTests(SynchronousTestCase):
    """A server in a thread, before another one."""

    def setUp(self) -> None:
        self.service = Server(respond=Table({b"a": b"1", b"b": b"2"}))
        self.addCleanup(self.service.end)

    def server(self, **arguments: Any) -> Server:
        """Return a server with the service as its upstream."""
        arguments.setdefault("upstream", (self.service.host, self.service.port))
        server = Server(**arguments)
        self.addCleanup(server.end)
        return server

    def test_all_bytes_are_forwarded(self) -> None:
        """The reply is the service's, and the test passes."""
        server = self.server()
        self.assertEqual(asked(server, b"a\nb\n", 6), b"1\r\n2\r\n")
        server.verify()
        self.assertIn("passed", server.conversation())
        self.assertIn(r"#1 < b'a\nb\n'", server.conversation())

    def test_how_a_service_is_written(self) -> None:
        """A pair, text, a name, settings."""
        port = self.service.port
        for upstream in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            ("localhost", port),
            UpstreamSettings(address=("127.0.0.1", port), timeout=3),
        ):
            self.assertEqual(asked(self.server(upstream=upstream), b"a\n", 3), b"1\r\n")

    def test_what_is_no_service(self) -> None:
        """One line says what is expected, before a client connects."""
        for upstream, expected in (
            ("localhost", "expected HOST:PORT"),
            (("localhost", 0), r"expected a host and a port .*; found \('localhost', 0\)$"),
            (("localhost", 65536), "expected a host and a port"),
            (("localhost", "80"), "expected a host and a port"),
            (("localhost", 80, 1), "expected a host and a port"),
        ):
            error = self.assertRaises(ValueError, self.server, upstream=upstream)
            self.assertRegex(str(error), f"^upstream: {expected}")
        with self.assertRaisesRegex(TypeError, r"^upstream: expected \(HOST, PORT\), .*, found \["):
            self.server(upstream=["localhost", 80])

    def test_with_tls_for_clients(self) -> None:
        """As for servers that answer."""
        server = self.server(tls=True)
        context = server.client_context
        assert context is not None
        with (
            socket.create_connection((server.host, server.port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(b"a\n")
            self.assertEqual(client.recv(100), b"1\r\n")

    def test_an_unreachable_service_fails_the_test(self) -> None:
        """The message names it; strict makes no difference."""
        port = free_port()
        for strict in (True, False):
            server = self.server(upstream=("127.0.0.1", port), strict=strict)
            with self.assertRaises(ConnectionResetError):
                asked(server, b"a\n", 1)
            error = self.assertRaises(AssertionError, server.verify)
            self.assertRegex(str(error), r"^reqresp \S+: 1 failed connection upstream\n")
            expected = f"upstream: 127.0.0.1:{port} refused the connection (connection 1)"
            self.assertIn(expected, str(error))

    def test_what_is_about_requests_is_refused(self) -> None:
        """All bytes are forwarded: nothing is known of requests."""
        server = self.server()
        calls: dict[str, Callable[[], object]] = {
            "on": lambda: server.on("a"),
            "expect": lambda: server.expect("a"),
            "expect_next": lambda: server.expect_next("a"),
            "requests": lambda: server.requests("a"),
        }
        for name, call in calls.items():
            error = self.assertRaises(TypeError, call)
            expected = f"{name}: the server forwards all bytes to 127.0.0.1:{self.service.port}"
            self.assertTrue(str(error).startswith(expected), error)

    def test_malformed_and_unfinished_requests_are_no_problem(self) -> None:
        """A relay knows no framing, so strict does not apply."""
        server = self.server()
        with socket.create_connection((server.host, server.port), PATIENCE) as client:
            client.sendall(b"no end of a line")
        server.verify()

    def test_some_requests_are_answered(self) -> None:
        """With a framing, an expectation answers, or forwards."""
        server = self.server(framing="line")
        server.on("a").reply("one")
        server.on("b").forward()
        self.assertEqual(asked(server, b"a\nb\n", 8), b"one\r\n2\r\n")
        server.verify()


class ScriptTests(SynchronousTestCase):
    """A script with ``[upstream]``."""

    def setUp(self) -> None:
        self.service = MemoryServer(respond=Table({b"a": b"1", b"b": b"2"}))

    def server(self, script: str, **arguments: Any) -> MemoryServer:
        """Return a server that is made of *script*."""
        return MemoryServer(reactor=self.service.reactor, script=Script.parse(script), **arguments)

    def ask(self, server: MemoryServer, request: bytes) -> bytes:
        """Return what a client of *server* gets for *request*."""
        peer = server.reactor.connect_peer(server.port)
        server.pump()
        peer.send(request)
        server.pump()
        return peer.received()

    def test_a_relay(self) -> None:
        """The script is enough, and its faults apply."""
        text = f'[upstream]\naddress = "127.0.0.1:{self.service.port}"\n'
        server = self.server(text)
        self.assertEqual(self.ask(server, b"a\n"), b"1\r\n")
        slow = '[[fault]]\nstream = "upstream"\nkind = "latency"\ndelay = 3\n'
        server = self.server(text + slow)
        peer = server.reactor.connect_peer(server.port)
        server.pump()
        peer.send(b"a\n")
        server.advance(2.9)
        self.assertEqual(peer.received(), b"")
        server.advance(0.2)
        self.assertEqual(peer.received(), b"1\r\n")

    def test_an_argument_replaces_the_upstream(self) -> None:
        """As an option does."""
        server = self.server(
            '[upstream]\naddress = "127.0.0.1:1"', upstream=("127.0.0.1", self.service.port)
        )
        self.assertEqual(self.ask(server, b"a\n"), b"1\r\n")

    def test_a_script_that_forwards_some_requests(self) -> None:
        """Its rules answer, and the rest is forwarded."""
        server = self.server(
            f'framing = "line"\n[upstream]\naddress = "127.0.0.1:{self.service.port}"\n'
            '[[rule]]\nequals = "a"\nreply = "one"\n[unmatched]\nforward = true'
        )
        self.assertEqual(self.ask(server, b"a\nb\n"), b"one\r\n2\r\n")
        server.verify()


class OtherServersTests(SynchronousTestCase):
    """Servers in memory, and those of a block."""

    def test_in_memory(self) -> None:
        """The service is on the same reactor."""
        service = MemoryServer(respond=Table({b"a": b"1"}))
        with MemoryServer(reactor=service.reactor, upstream=("127.0.0.1", service.port)) as server:
            peer = server.reactor.connect_peer(server.port)
            server.pump()
            peer.send(b"a\n")
            server.pump()
            self.assertEqual(peer.received(), b"1\r\n")

    def test_in_memory_without_a_service(self) -> None:
        """The test fails."""
        server = MemoryServer(upstream=("127.0.0.1", 9))
        server.reactor.connect_peer(server.port)
        server.pump()
        error = self.assertRaises(AssertionError, server.verify)
        self.assertIn("upstream: 127.0.0.1:9 refused the connection", str(error))

    def test_a_block(self) -> None:
        """``serve`` verifies at its end."""
        with (
            serve(respond=Table({b"a": b"1"})) as service,
            serve(upstream=(service.host, service.port)) as server,
        ):
            self.assertEqual(asked(server, b"a\n", 3), b"1\r\n")

    def test_a_forward_without_an_upstream(self) -> None:
        """It is refused when it is written."""
        server = MemoryServer()
        error = self.assertRaises(ScriptError, server.on("a").forward)
        self.assertIn("expected a server with upstream=(host, port)", str(error))
