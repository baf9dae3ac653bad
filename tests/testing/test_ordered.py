"""Test servers whose replies overtake each other."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script
from reqresp.testing import BaseServer, serve
from tests.support.live import PATIENCE, Client
from tests.support.server_case import ServerCase
from tests.support.wire import FakeReactor

SLOW = """
    {}
    [[rule]]
    equals = "slow"
    delay = 1
    reply = "slow"

    [[rule]]
    reply = "fast"
"""


class OrderedTests(ServerCase):
    """The argument, and the key of a script."""

    def replies(self, **arguments: Any) -> bytes:
        """Return what a client receives that sends two requests."""
        self.serve(**arguments)
        wire = self.connect()
        wire.send(b"slow\nnow\n")
        wire.wait(1)
        return wire.received()

    def test_a_script(self) -> None:
        """The argument replaces what the script says."""
        ordered, unordered = b"slow\r\nfast\r\n", b"fast\r\nslow\r\n"
        for key, argument, expected in (
            ("", None, ordered),
            ("ordered = true", None, ordered),
            ("ordered = false", None, unordered),
            ("ordered = false", True, ordered),
            ("", False, unordered),
        ):
            script = Script.parse(SLOW.format(key))
            self.assertEqual(self.replies(script=script, ordered=argument), expected, key)

    def test_held_requests(self) -> None:
        """Several of one client are held at once, and answered in any order."""
        self.serve(ordered=False).on().hold()
        wire = self.connect()
        held = [self.server.when_held() for _ in range(3)]
        wire.send(b"a\nb\n", b"c\n")
        for at in (2, 0, 1):
            request = held[at].result(0)
            request.reply(request.data.decode().upper())
        wire.turn()
        self.assertEqual(wire.received(), b"C\r\nA\r\nB\r\n")
        self.assertEqual([it.request.number for it in self.server.exchanges], [3, 1, 2])
        self.assertRegex(self.server.conversation(), r"(?s)c.*C.*a.*A.*b.*B")
        self.server._verify()

    def test_what_waits_at_the_end(self) -> None:
        """A request that is held is not answered, and the report says which one."""
        self.serve(ordered=False).on("a").hold()
        self.server.on("b").reply("B")
        wire = self.connect()
        wire.send(b"a\nb\n")
        self.assertEqual(wire.received(), b"B\r\n")
        self.assertRegex(self.server.conversation(), r"(?s)b.*B.*a.*")
        self.assertEqual([it.data for it in self.server.requests()], [b"b", b"a"])

    def test_it_excludes_a_replay(self) -> None:
        """What was recorded has an order; a service replies in order, too."""
        with self.assertRaisesRegex(TypeError, "found replay and ordered"):
            BaseServer(FakeReactor(), replay="no file", ordered=False)
        with self.assertRaisesRegex(
            ValueError, "ordered: expected true where requests are forwarded, found false"
        ):
            BaseServer(FakeReactor(), upstream="127.0.0.1:1", respond=lambda _: b"", ordered=False)


class LiveTests(SynchronousTestCase):
    """A server in a thread."""

    def test_overtaking(self) -> None:
        """A client that sends two requests receives the second reply first."""
        with serve(ordered=False) as server:
            server.on("slow").hold()
            server.on("fast").reply("fast")
            with Client((server.host, server.port)) as client:
                client.send(b"slow\nfast\n")
                self.assertEqual(client.receive(6), b"fast\r\n")
                server.next_request("slow", timeout=PATIENCE).reply("slow")
                self.assertEqual(client.receive(6), b"slow\r\n")
