"""The connections of a test server, as a test sees them."""

from typing import Any

from twisted.internet import error
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from reqresp import PushError
from reqresp.script import ScriptError
from reqresp.testing import MemoryServer, ServerConnection
from tests.support.ends import End


def got(client: End) -> bytes:
    """Return what *client* has received."""
    return b"".join(it for it in client.heard if isinstance(it, bytes))


class ConnectionTests(SynchronousTestCase):
    """`ServerConnections` of a server in memory."""

    def setUp(self) -> None:
        self.server = MemoryServer(strict=False)
        self.connections = self.server.connections

    def connect(self) -> tuple[ServerConnection, End]:
        """Connect a client; return both of its ends."""
        client = self.server.connect(End())
        return self.connections[-1], client

    def test_open_ones(self) -> None:
        """They stand in the order of their numbers; the number of all that there were goes on."""
        self.assertEqual((len(self.connections), self.connections.total), (0, 0))
        [(one, client), (two, _)] = [self.connect() for _ in range(2)]
        self.assertEqual([*self.connections], [one, two])
        self.assertEqual(self.connections[:1], [one])
        self.assertEqual((one.number, two.number), (1, 2))
        self.assertNotEqual(one.peer, two.peer)
        self.assertGreaterEqual(two.since, one.since)
        client.transport.loseConnection()
        self.server.pump()
        self.assertEqual([*self.connections], [two])
        self.assertEqual((one.is_open, two.is_open), (False, True))
        self.assertEqual(repr(self.connections), "<ServerConnections: 1 open of 2>")

    def test_requests(self) -> None:
        """Those of one connection, also after its end."""
        self.server.on().reply("ok")
        (one, client), (two, other) = self.connect(), self.connect()
        client.transport.write(b"a\nb\n")
        other.transport.write(b"c\n")
        self.server.pump()
        client.transport.loseConnection()
        self.server.pump()
        self.assertEqual([it.data for it in one.requests], [b"a", b"b"])
        self.assertEqual([it.data for it in two.requests], [b"c"])

    def test_state(self) -> None:
        """That of the script, or of the expectations; a closed connection has none."""
        self.server.on("login").reply("ok").goto("in")
        one, client = self.connect()
        self.assertEqual(one.state, "start")
        client.transport.write(b"login\n")
        self.server.pump()
        self.assertEqual(one.state, "in")
        client.transport.loseConnection()
        self.server.pump()
        with self.assertRaisesRegex(RuntimeError, "^connection 1 is closed$"):
            _ = one.state

    def test_send(self) -> None:
        """Payloads have frames unless they are raw, and come after the reply under way."""
        self.server.on("slow").wait(1).reply("done")
        one, client = self.connect()
        one.send("hello", {"hex": "21"})
        one.send("raw", raw=True)
        self.server.pump()
        self.assertEqual(got(client), b"hello\r\n!\r\nraw")
        client.transport.write(b"slow\n")
        self.server.pump()
        one.send("later")
        self.server.advance(1)
        self.assertEqual(got(client), b"hello\r\n!\r\nrawdone\r\nlater\r\n")

    def test_what_cannot_be_sent(self) -> None:
        """A payload that is not usable, too much of it, and a closed connection."""
        one, client = self.connect()
        for wrong in ("a\nb", {"template": "{0}"}, {"template": "{peer}"}):
            payload: Any = wrong
            with self.assertRaisesRegex(ScriptError, r"test_connections.py:\d+: send: "):
                one.send(payload)
        with self.assertRaises(PushError):
            one.send("a" * 2**21)
        client.transport.loseConnection()
        self.server.pump()
        with self.assertRaisesRegex(RuntimeError, "^connection 1 is closed$"):
            one.send("a")

    def test_broadcasts(self) -> None:
        """All payloads are sent to each client, or none."""
        self.server.state("b", framing="int8", reply_framing="int8")
        self.server.on("a").reply("ok").goto("b")
        (_, client), (_, other) = self.connect(), self.connect()
        other.transport.write(b"a\n")
        self.assertEqual(self.connections.broadcast("1", {"hex": "32", "raw": True}), 2)
        self.server.pump()
        for payloads, wrong in ((("1", "a\nb"), "delimiter"), (("1", "x" * 256), "at most 255")):
            with self.assertRaisesRegex(ScriptError, rf"test_connections.py:\d+: send: .*{wrong}"):
                self.connections.broadcast(*payloads)
        self.assertEqual(self.connections.broadcast("x", "a\nb", to="state:b"), 1)
        self.server.pump()
        self.assertEqual(got(client), b"1\r\n2")
        self.assertEqual(got(other), b"ok\r\n\x0112\x01x\x03a\nb")

    def test_a_client_that_does_not_read(self) -> None:
        """It is left out of the whole broadcast, and is not counted."""
        _, client = self.connect()
        client.transport.pauseProducing()
        self.assertEqual(self.connections.broadcast("a", "b" * 2**21), 0)
        self.server.pump()
        self.assertEqual(got(client), b"")

    def test_wrong_addressees(self) -> None:
        """The error names the argument; an object is no number."""
        one, _ = self.connect()
        for to in ("others", "state:", 5):
            with self.assertRaisesRegex(ScriptError, r'py:\d+: to: expected "all" or "state:NAME"'):
                self.connections.broadcast("a", to=to)  # type: ignore[arg-type]
        for wrong in (one, "1", 0):
            number: Any = wrong
            for call in (
                lambda number: self.connections.push("a", connection=number),
                self.connections.when_closed,
            ):
                with self.assertRaisesRegex(
                    ScriptError, r"py:\d+: connection: expected an integer >= 1, found "
                ):
                    call(number)

    def test_endings(self) -> None:
        """A close and a reset; on a closed connection they do nothing."""
        (one, client), (two, other) = self.connect(), self.connect()
        one.close()
        two.abort()
        self.server.pump()
        self.assertEqual((client.heard[-1], other.heard[-1]), (ConnectionDone, ConnectionLost))
        one.close()
        two.abort()

    def test_futures(self) -> None:
        """They are done once a connection was opened, or closed; the past counts."""
        opened, closed = self.connections.when_opened(2), self.connections.when_closed()
        self.assertTrue(closed.done())
        _, client = self.connect()
        closed, first = self.connections.when_closed(), self.connections.when_closed(1)
        self.assertFalse(opened.done() or closed.done() or first.done())
        two, _ = self.connect()
        self.assertEqual(opened.result(0), two)
        client.transport.loseConnection()
        self.server.pump()
        self.assertTrue(first.done())
        self.assertEqual(self.connections.when_opened().result(0).number, 1)
        self.assertFalse(closed.done())
        self.server.disconnect_all()
        self.assertTrue(closed.done())

    def test_assertion(self) -> None:
        """An open connection is an error with the conversation."""
        self.server.assert_no_open_connections()
        self.server.on("a").reply("b")
        _, client = self.connect()
        client.transport.write(b"a\n")
        with self.assertRaisesRegex(AssertionError, "^expected no open connection, found 1\n"):
            self.server.assert_no_open_connections()

    def test_stop_listening(self) -> None:
        """New clients are refused, and open connections go on, until `start`."""
        self.server.on("a").reply("b")
        _, client = self.connect()
        self.server.stop_listening()
        with self.assertRaises(error.ConnectionRefusedError):
            self.connect()
        client.transport.write(b"a\n")
        self.server.pump()
        self.assertEqual(got(client), b"b\r\n")
        self.server.start()
        self.connect()
        self.assertEqual(len(self.connections), 2)
