"""Requests that wait for the test to answer them."""

from twisted.internet.error import ConnectionDone
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Close, Send, Wait
from reqresp.script import ScriptError
from reqresp.testing import MemoryServer
from tests.support.ends import End


def got(client: End) -> bytes:
    """Return what *client* has received."""
    return b"".join(it for it in client.heard if isinstance(it, bytes))


class HeldTests(SynchronousTestCase):
    """`MemoryServer.next_request`, and `HeldRequest`."""

    def setUp(self) -> None:
        self.server = MemoryServer()
        self.client = self.server.connect(End())

    def send(self, data: bytes) -> None:
        self.client.transport.write(data)
        self.server.pump()

    def test_reply(self) -> None:
        """The client waits until the test replies; what follows waits, too."""
        self.server.on().hold()
        self.send(b"a\nb\n")
        request = self.server.next_request()
        self.assertEqual((request.data, request.connection), (b"a", 1))
        self.assertEqual(request.peer, self.server.connections[0].peer)
        self.assertEqual(got(self.client), b"")
        request.reply("one", template="<{0}>")
        self.server.pump()
        self.assertEqual(got(self.client), b"one\r\n<a>\r\n")
        self.server.next_request("b").answer(b"two", Wait(1), Send(b"three", raw=True), Close())
        self.server.advance(1)
        self.assertEqual(got(self.client), b"one\r\n<a>\r\ntwo\r\nthree")
        self.assertIs(self.client.heard[-1], ConnectionDone)
        self.server.verify()

    def test_a_reply_to_others(self) -> None:
        """It is sent to other clients, as one of an expectation is; then this one has no reply."""
        self.server.on().hold()
        other = self.server.connect(End())
        self.send(b"a\n")
        request = self.server.next_request()
        with self.assertRaisesRegex(ScriptError, r'to: expected "others", "all" or "state:NAME"'):
            request.reply("x", to="nobody")
        request.reply("joined", template="{0}", to="others")
        self.server.pump()
        self.assertEqual((got(self.client), got(other)), (b"", b"joined\r\na\r\n"))

    def test_variables(self) -> None:
        """A reply can name those that are set when it is made."""
        self.server.on(matches="(?P<name>.+)").set(
            who="{name|upper}", last={"template": "{name}", "scope": "server"}
        ).hold()
        self.send(b"ann\n")
        request = self.server.next_request()
        with self.assertRaisesRegex(ScriptError, "reply: unknown name 'when'"):
            request.reply(template="{when}")
        request.reply(template="{who} {last}")
        self.server.pump()
        self.assertEqual(got(self.client), b"ANN ann\r\n")

    def test_without_an_expectation(self) -> None:
        """Then all requests are held that nothing else answers, from that call on."""
        self.server.on("b").reply("B")
        future = self.server.when_held()
        self.send(b"b\na\n")
        future.result(0).reply("A")
        self.server.pump()
        self.assertEqual(got(self.client), b"B\r\nA\r\n")
        with self.assertRaisesRegex(
            AssertionError, "^no request waits for the test: expected any request\n"
        ):
            self.server.next_request()
        self.server.verify()

    def test_predicates(self) -> None:
        """They choose among those that wait; each is given once."""
        self.server.on().hold()
        other = self.server.connect(End())
        self.send(b"a1\n")
        other.transport.write(b"b1\n")
        self.server.pump()
        self.assertEqual(self.server.next_request(starts_with="b").data, b"b1")
        with self.assertRaisesRegex(AssertionError, "expected starts_with='b'"):
            self.server.next_request(starts_with="b")
        self.assertEqual(self.server.next_request().data, b"a1")

    def test_a_future_that_was_cancelled(self) -> None:
        """It takes no request from one that is waited for."""
        first, second = self.server.when_held(), self.server.when_held()
        first.cancel()
        self.send(b"a\n")
        self.assertEqual(second.result(0).data, b"a")

    def test_after_other_steps(self) -> None:
        """The steps before are performed first."""
        self.server.on("a").reply("wait").hold()
        self.send(b"a\n")
        self.server.next_request().reply("done")
        self.server.pump()
        self.assertEqual(got(self.client), b"wait\r\ndone\r\n")

    def test_what_cannot_be_answered(self) -> None:
        """A second time, and after the end of the connection; a wrong payload changes nothing."""
        self.server.on().hold()
        self.send(b"a\nb\n")
        request = self.server.next_request()
        with self.assertRaisesRegex(ScriptError, r"test_held.py:\d+: reply: "):
            request.reply("a\nb")
        request.reply("A")
        with self.assertRaisesRegex(RuntimeError, "^b'a' on connection 1: was answered$"):
            request.reply("again")
        request = self.server.next_request()
        self.client.transport.abortConnection()
        self.server.pump()
        ended = "its connection has ended"
        with self.assertRaisesRegex(RuntimeError, f"^b'b' .*: {ended}$"):
            request.answer()
        self.assertEqual(repr(request), f"<HeldRequest b'b', connection 1, {ended}>")


class ClearTests(SynchronousTestCase):
    """`BaseServer.clear`."""

    def test_clear(self) -> None:
        """Expectations are removed, those that are unmet as well; others can be added."""
        server = MemoryServer(strict=False)
        client = server.connect(End())
        kept = server.on("a").reply("A")
        unmet = server.expect("b").reply("B")
        server.clear(unmet)
        server.verify()
        with self.assertRaisesRegex(ValueError, "^expected an expectation of this server, found <"):
            server.clear(unmet)
        client.transport.write(b"a\n")
        server.pump()
        self.assertEqual(got(client), b"A\r\n")
        server.clear()
        server.on("a").reply("new").fault("slicer", size=1)
        client.transport.write(b"a\n")
        server.advance(1)
        self.assertEqual((got(client), kept.count), (b"A\r\nnew\r\n", 1))
