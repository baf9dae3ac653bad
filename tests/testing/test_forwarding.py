"""Test servers that answer some requests and forward the others."""

import socket

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script, ScriptError
from reqresp.steps import Forward, Request
from reqresp.testing import MemoryServer, Server, serve

SCRIPT = """
    framing = "line"
    unmatched = { forward = true }
    [[rule]]
    equals = "stock"
    reply = "sold out"
"""


class ForwardingTests(SynchronousTestCase):
    """A server with an upstream, which is a test server as well."""

    def setUp(self) -> None:
        self.service = Server()
        self.addCleanup(self.service.end)
        self.service.on(starts_with="GET ").reply(template="value of {0}")
        self.upstream = ("127.0.0.1", self.service.port)

    def ask(self, server: Server, *requests: str) -> list[str]:
        """Send lines, and return as many lines."""
        with socket.create_connection((server.host, server.port), 10) as client:
            client.sendall("".join(f"{it}\n" for it in requests).encode())
            with client.makefile("r", newline="\r\n") as lines:
                return [next(lines).rstrip("\r\n") for _ in requests]

    def test_expectations_answer_and_forward(self) -> None:
        """One for every request forwards what no other one matches."""
        with serve(upstream=self.upstream, framing="line") as server:
            server.on().forward()
            server.expect("GET stock").reply("sold out")
            replies = self.ask(server, "GET a", "GET stock", "GET b")
            self.assertEqual(replies, ["value of GET a", "sold out", "value of GET b"])
            server.assert_received("GET a")
            self.assertIn("value of GET b", server.conversation())
        self.assertEqual([it.data for it in self.service.requests()], [b"GET a", b"GET b"])

    def test_a_script_forwards(self) -> None:
        """With upstream=, or with its own [upstream]; an expectation can forward, too."""
        with serve(upstream=self.upstream, script=Script.parse(SCRIPT)) as server:
            self.assertEqual(self.ask(server, "GET a", "stock"), ["value of GET a", "sold out"])
            server.on("stock").forward()
            self.service.on("stock").reply("7")
            self.assertEqual(self.ask(server, "stock"), ["7"])
        own = f'upstream = {{ address = "127.0.0.1:{self.service.port}" }}\n{SCRIPT}'
        with serve(script=Script.parse(own)) as server:
            self.assertEqual(self.ask(server, "GET a", "stock"), ["value of GET a", "sold out"])

    def test_a_function_forwards(self) -> None:
        """What it does not answer."""

        def respond(request: Request) -> bytes | Forward:
            return b"sold out" if request.data == b"stock" else Forward()

        with serve(upstream=self.upstream, respond=respond) as server:
            self.assertEqual(self.ask(server, "GET a", "stock"), ["value of GET a", "sold out"])

    def test_an_expectation_without_a_service(self) -> None:
        """The line of the test that cannot be is named."""
        with (
            serve(strict=False) as server,
            self.assertRaisesRegex(ScriptError, r"forward: expected a server with upstream="),
        ):
            server.on("a").forward()

    def test_a_framing_that_shows_no_end(self) -> None:
        """It is refused."""
        with self.assertRaisesRegex(ValueError, "shows where a reply ends.*found chunk"):
            Server(upstream=self.upstream, framing="chunk")

    def test_in_memory(self) -> None:
        """The service may listen on the same network."""
        service = MemoryServer(port=7001)
        service.on("GET a").reply("A")
        server = MemoryServer(
            port=7002, upstream=("127.0.0.1", 7001), framing="line", reactor=service.reactor
        )
        server.on().forward()
        server.on("GET b").reply("B")
        client = server.reactor.connect_peer(7002)
        client.send(b"GET a\nGET b\n")
        server.pump()
        self.assertEqual(client.received(), b"A\r\nB\r\n")
