"""A request of a server in another process, which waits for the test."""

import socket
from concurrent.futures import CancelledError

from reqresp import Close, Send, Wait
from reqresp.control import ControlClient, ControlError
from reqresp.script import ScriptError
from tests.support.live import PATIENCE
from tests.support.steered import Steered


class HeldTests(Steered):
    """Requests that wait, and what answers them."""

    def setUp(self) -> None:
        super().setUp()
        self.client = ControlClient(self.url)

    def connect(self, *requests: bytes) -> socket.socket:
        """Return a client that has sent *requests*, lines."""
        address = ("127.0.0.1", self.server.port)
        client = socket.create_connection(address, PATIENCE)
        self.addCleanup(client.close)
        client.sendall(b"".join(it + b"\n" for it in requests))
        return client

    def test_holding(self) -> None:
        """The test looks at each request, and answers it while its client waits."""
        self.client.on("STAT").reply("wait").hold()
        wire = self.connect(b"STAT", b"STAT", b"NOOP")
        request = self.client.next_request(timeout=PATIENCE)
        self.assertEqual((request.data, request.request.number), (b"STAT", 1))
        self.assertEqual(request.peer, self.client.connections[0].peer)
        self.assertEqual(len(self.client.requests("STAT")), 1)
        request.reply("+OK", b"\xff", hex="00")
        second = self.client.next_request("STAT", timeout=PATIENCE)
        second.answer(b"a", Wait(0.001), Send(b"b", raw=True), Close())
        received = b"".join(iter(lambda: wire.recv(100), b""))
        self.assertEqual(received, b"wait\r\n+OK\r\n\xff\r\n\x00\r\nwait\r\na\r\nb")
        for answer in (request.reply, request.answer):
            with self.assertRaisesRegex(ControlError, "connection 1: request 1 no longer waits"):
                answer(b"late")
        self.assertIn("b'STAT', connection 1", repr(request))

    def test_without_an_expectation(self) -> None:
        """All requests wait that nothing else answers, and each is given once."""
        none = self.client.when_held("never")
        future = self.client.when_held()
        self.client.on("NOOP").reply("+OK")
        one, two = self.connect(b"NOOP", b"a"), self.connect(b"b")
        first = future.result(PATIENCE)
        second = self.client.next_request(timeout=PATIENCE)
        self.assertEqual({first.data, second.data}, {b"a", b"b"})
        with self.assertRaisesRegex(
            AssertionError, r"no request waits for the test: expected any request\n#1 < b'NOOP'"
        ):
            self.client.next_request(timeout=0.05)
        self.assertTrue(none.cancel())
        with self.assertRaises(CancelledError):
            none.result(0)
        for request in (first, second):
            request.reply(request.data)
        self.assertEqual(one.makefile("rb").read(8), b"+OK\r\na\r\n")
        self.assertEqual(two.makefile("rb").read(3), b"b\r\n")

    def test_variables(self) -> None:
        """A reply can name those that expectations set."""
        self.client.on(matches="(?P<name>.+)").set(who="{name}").hold()
        wire = self.connect(b"ann")
        self.client.next_request(timeout=PATIENCE).reply(template="hello {who}")
        with wire.makefile("rb") as stream:
            self.assertEqual(stream.read(11), b"hello ann\r\n")

    def test_a_request_that_nobody_wants_any_more(self) -> None:
        """A future that is cancelled takes no request from those that wait later."""
        gone = self.client.when_held()
        gone.cancel()
        self.connect(b"a")
        self.assertEqual(self.client.next_request(timeout=PATIENCE).data, b"a")

    def test_wrong_arguments(self) -> None:
        """They name the line of the test, and the request still waits."""
        self.client.on().hold()
        wire = self.connect(b"a")
        request = self.client.next_request(timeout=PATIENCE)
        with self.assertRaisesRegex(ScriptError, r"held\.py:\d+: reply\.do\[0\]\.send: unknown"):
            request.reply(template="{nobody}")
        with self.assertRaisesRegex(ScriptError, r"held\.py:\d+: reply\.do\[0\]\.to: expected"):
            request.reply("x", to="nobody")
        with self.assertRaisesRegex(ScriptError, r"held\.py:\d+: next_request\.matches: invalid"):
            self.client.next_request(matches="(")
        with self.assertRaisesRegex(TypeError, "answer: expected bytes or a step, found 'x'"):
            request.answer("x")  # type: ignore[arg-type]
        for method in (self.client.next_request, self.client.wait_for_close):
            with self.assertRaisesRegex(ScriptError, r"held\.py:\d+: \w+\.timeout: expected .*'1'"):
                method(timeout="1")  # type: ignore[arg-type]
        request.answer()
        self.connect(b"b")
        self.client.next_request("b", timeout=PATIENCE).reply("B")
        wire.settimeout(0)
        with self.assertRaises(BlockingIOError):
            wire.recv(1)
