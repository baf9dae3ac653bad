"""The server in memory, with clients that are part of Twisted."""

import subprocess
import sys
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import ClientFactory, Factory, ReconnectingClientFactory
from twisted.mail.pop3 import AdvancedPOP3Client, ServerErrorResponse
from twisted.mail.smtp import SMTPSenderFactory
from twisted.protocols.memcache import MemCacheProtocol
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Request
from reqresp.testing._in_memory import MemoryServer
from tests.support.ends import End


class Reconnecting(ReconnectingClientFactory):
    """A client that connects again."""

    protocol = End
    jitter = 0
    noisy = False


class ClientTests(SynchronousTestCase):
    """Tests with real clients."""

    def setUp(self) -> None:
        self.server = MemoryServer(framing="line", greeting="+OK")

    def test_pop3(self) -> None:
        """A client receives replies when the test calls ``pump`` or ``advance``."""
        server = self.server
        server.on("CAPA").reply("-ERR")
        server.expect_next("USER ann").reply("+OK")
        server.expect_next("PASS secret").reply("+OK")
        server.expect_next("STAT").wait(0.5).reply("+OK 2 320")
        server.on("RETR 1").reply("+OK", "body", ".")
        server.expect("QUIT").reply("+OK").close()
        client: Any = server.connect(AdvancedPOP3Client())
        client.allowInsecureLogin = True
        login = client.login(b"ann", b"secret")
        server.pump()
        self.assertEqual(self.successResultOf(login), b"")
        stat, body = client.stat(), client.retrieve(0)
        server.advance(0.4)
        self.assertNoResult(stat)
        server.advance(0.1)
        self.assertEqual(self.successResultOf(stat), (2, 320))
        self.assertEqual(self.successResultOf(body), [b"body"])
        left = client.quit()
        server.pump()
        self.successResultOf(left)
        self.assertFalse(client.transport.connected)
        server.verify()

    def test_pop3_refused_and_reset(self) -> None:
        """The client reports an error reply and a reset."""
        server = self.server
        server.on("STAT").reply("-ERR no")
        server.on("NOOP").reply("+OK", raw=True).abort()
        client = server.connect(AdvancedPOP3Client())
        stat = client.stat()
        server.pump()
        self.failureResultOf(stat, ServerErrorResponse)
        noop = client.noop()
        server.pump()
        self.failureResultOf(noop, ConnectionLost)

    def test_smtp(self) -> None:
        """A client factory has a connector, and is notified of the end."""
        server = MemoryServer(greeting="220 hello", ignore_case=True)
        server.on(starts_with=["HELO", "MAIL", "RCPT", "RSET"]).reply("250 ok")
        server.on("DATA").reply("354 go on").goto("data")
        server.on(".", when="data").reply("250 taken").goto("start")
        server.on(when="data")
        server.expect("QUIT").reply("221 bye").close()
        sent: Deferred[Any] = Deferred()
        factory = SMTPSenderFactory(
            "ann@example.com", "bob@example.com", BytesIO(b"Subject: x\n\nhi\n"), sent
        )
        server.connect(factory)
        self.assertEqual(self.successResultOf(sent)[0], 1)
        server.assert_received("hi")
        server.verify()

    def test_memcache_timeout(self) -> None:
        """A client with the server's clock times out when the test lets the time pass."""
        server = MemoryServer()
        server.on("get a").reply("VALUE a 0 2", "hi", "END")
        server.on("get b").hang()
        client: Any = MemCacheProtocol(timeOut=10)
        client.callLater = server.clock.callLater
        server.connect(client)
        got = client.get(b"a")
        server.pump()
        self.assertEqual(self.successResultOf(got), (0, b"hi"))
        late = client.get(b"b")
        server.advance(9)
        self.assertNoResult(late)
        server.advance(1)
        self.failureResultOf(late)
        self.assertEqual(len(server.requests("get b")), 1)

    def test_no_reactor(self) -> None:
        """A test in memory does not import the global reactor, and opens no socket."""
        program = """
import socket, sys
from reqresp.testing import MemoryServer
from twisted.protocols.memcache import MemCacheProtocol
socket.socket.__init__ = None
with MemoryServer() as server:
    server.expect("get a").wait(60).reply("END")
    client = MemCacheProtocol()
    client.callLater = server.clock.callLater
    client.persistentTimeOut = 100
    got = server.connect(client).get(b"a")
    server.advance(60)
    print(got.result, "twisted.internet.reactor" in sys.modules)
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.stdout, done.stderr), ("(0, None) False\n", ""))


class ConnectTests(SynchronousTestCase):
    """Tests for the ways to connect a client."""

    def test_protocol(self) -> None:
        """``connect`` returns the protocol, which has received the greeting."""
        server, end = MemoryServer(greeting="hello"), End()
        self.assertIs(server.connect(end), end)
        self.assertEqual(end.heard, ["made", b"hello\r\n"])

    def test_factory(self) -> None:
        """``connect`` returns what a factory builds, or None."""
        server = MemoryServer()
        plain = server.connect(Factory.forProtocol(End))
        client = server.connect(ClientFactory.forProtocol(End))
        self.assertEqual([plain.heard, client.heard], [["made"], ["made"]])
        nothing = ClientFactory()
        nothing.buildProtocol = lambda _address: None  # type: ignore[method-assign, assignment]  # as some do
        self.assertIsNone(server.connect(nothing))

    def test_reactor(self) -> None:
        """Code that takes a reactor connects to the address of the server."""
        server = MemoryServer()
        server.expect("x").reply("y")

        async def ask(reactor: Any) -> list[Any]:
            where = HostnameEndpoint(reactor, server.host, server.port)
            end: End = await connectProtocol(where, End())
            end.transport.write(b"x\r\n")
            return end.heard

        asked = Deferred.fromCoroutine(ask(server.reactor))
        server.pump()
        self.assertEqual(self.successResultOf(asked), ["made", b"y\r\n"])
        server.verify()

    def test_port(self) -> None:
        """A test can choose the port, and the client can use any host name."""
        server = MemoryServer(port=110)
        self.assertEqual((server.port, server.name), (110, "127.0.0.1:110"))
        end = End()
        connectProtocol(HostnameEndpoint(server.reactor, "pop.example.com", 110), end)
        server.pump()
        self.assertEqual(end.heard, ["made"])

    def test_two_servers(self) -> None:
        """Two servers can share a reactor, and share nothing else."""
        first = MemoryServer()
        second = MemoryServer(reactor=first.reactor)
        self.assertNotEqual(first.port, second.port)
        second.connect(End())
        second.stop()
        first.connect(End()).transport.write(b"x\r\n")
        self.assertEqual((len(first.requests()), len(second.requests())), (1, 0))

    def test_stopped(self) -> None:
        """A stopped server resets and refuses; started again, it has the same port."""
        server = MemoryServer()
        port = server.port
        server.start()
        self.assertEqual(len(server.reactor.tcpServers), 1)
        end = server.connect(End())
        server.stop()
        self.assertEqual(end.heard, ["made", ConnectionLost])
        with self.assertRaisesRegex(Exception, "refused"):
            server.connect(End())
        server.start()
        self.assertEqual(server.connect(End()).heard, ["made"])
        self.assertEqual(server.port, port)

    def test_client_that_reconnects(self) -> None:
        """A factory that reconnects does so as the time passes."""
        server = MemoryServer()
        factory = Reconnecting()
        factory.clock = server.clock  # type: ignore[assignment]  # it needs no more than a clock
        first = server.connect(factory)
        server.disconnect_all()
        self.assertEqual(first.heard, ["made", ConnectionLost])
        server.stop()
        server.advance(2)
        self.assertEqual(server.factory.open, 0)
        server.start()
        server.advance(60)
        self.assertEqual(server.factory.open, 1)
        factory.stopTrying()


class AssertionTests(SynchronousTestCase):
    """Tests for assertions, and for what was received."""

    def setUp(self) -> None:
        self.server = MemoryServer()
        self.end = self.server.connect(End())

    def ask(self, data: bytes) -> None:
        """Write *data*, without ``pump``."""
        self.end.transport.write(data)

    def test_asking_pumps(self) -> None:
        """All methods that return what was received deliver the client's data before."""
        self.server.on(starts_with="").reply("ok")
        self.ask(b"a\r\n")
        self.assertEqual([it.data for it in self.server.requests()], [b"a"])
        self.ask(b"b\r\n")
        self.server.assert_received("b")
        self.ask(b"c\r\n")
        self.assertIn("b'c'", self.server.conversation())
        self.ask(b"d\r\n")
        self.assertEqual(self.server.exchanges[-1].request.data, b"d")

    def test_expectation_after_the_data(self) -> None:
        """An expectation can be added after data is written, before it is delivered."""
        self.ask(b"a\r\n")
        self.server.expect("a").reply("ok")
        self.server.verify()
        self.assertEqual(self.end.heard, ["made", b"ok\r\n"])

    def test_unexpected(self) -> None:
        """An unexpected request makes ``verify`` fail; the message has the conversation."""
        self.server.expect("STAT")
        self.ask(b"STAS\r\n")
        with self.assertRaises(AssertionError) as caught:
            self.server.verify()
        text = str(caught.exception)
        self.assertIn(f"reqresp {self.server.name}: 1 unexpected request, 1 unmet", text)
        self.assertIn("the nearest request differs at byte 3", text)
        self.assertIn("test_in_memory.py:", text)

    def test_assert_received(self) -> None:
        """A request is received at least once, or exactly as often as the test says."""
        self.server.on("a").reply("ok")
        with self.assertRaisesRegex(AssertionError, 'received "a" 0 times, expected at least 1'):
            self.server.assert_received("a")
        self.server.assert_received("a", times=0)
        self.ask(b"a\r\na\r\n")
        self.server.assert_received("a")
        self.server.assert_received("a", times=2)
        with self.assertRaisesRegex(AssertionError, 'received "a" 2 times, expected 1'):
            self.server.assert_received("a", times=1)
        with self.assertRaisesRegex(AssertionError, 'received "a" 2 times, expected 0'):
            self.server.assert_received("a", times=0)

    def test_context_manager(self) -> None:
        """The end of the block verifies, unless the block has raised."""
        with self.assertRaisesRegex(AssertionError, "unmet"), MemoryServer() as server:
            server.expect("a")
        with self.assertRaisesRegex(KeyError, "mine"), MemoryServer() as server:
            server.expect("a")
            raise KeyError("mine")

    def test_requests_in_a_handler(self) -> None:
        """A handler sees the requests so far, including the one that it answers."""
        seen: list[int] = []

        def handle(request: Request) -> bytes:
            seen.append(len(self.server.requests()))
            return b"ok"

        self.server.on(starts_with="").call(handle)
        self.ask(b"a\r\n")
        self.server.pump()
        self.ask(b"b\r\n")
        self.server.pump()
        self.assertEqual(len(seen), 2)
        self.assertEqual(self.end.heard, ["made", b"ok\r\n", b"ok\r\n"])

    def test_faults(self) -> None:
        """A slicer sends its pieces one at a time."""
        self.server.on("a").reply("abc").fault("slicer", size=2)
        self.ask(b"a\r\n")
        self.server.advance(1)
        self.assertEqual(self.end.heard, ["made", b"ab", b"c\r", b"\n"])

    def test_half_close(self) -> None:
        """A client that has ended its side still receives its reply."""
        self.server.on("a").wait(1).reply("late")
        self.ask(b"a\r\n")
        self.end.transport.loseWriteConnection()
        self.server.advance(1)
        self.assertEqual(self.end.heard[:2], ["made", b"late\r\n"])
