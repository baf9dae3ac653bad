"""StartTLS in memory: what is dropped, what is refused, and when the handshake begins."""

from typing import Any

from twisted.internet.interfaces import ISSLTransport
from zope.interface import directlyProvides

from reqresp import Line, ReqRespFactory, Script, Send, StartTLS, Table, Wait
from reqresp.script import ScriptError
from reqresp.server.responders import Reply
from tests.support.conversation import Conversation
from tests.support.unencrypted import Unencrypted
from tests.support.wire import Wire

REPLIES: dict[bytes, Reply] = {
    b"tls": (Send(b"go"), StartTLS(), Send(b"encrypted")),
    b"late": (Wait(1), Send(b"go"), StartTLS()),
    b"slow": (Wait(1), Send(b"slow")),
    b"a": b"A",
}


class TestStartTLS(Conversation):
    """A reply that starts TLS."""

    def serve(self, **options: Any) -> Wire:
        factory: ReqRespFactory = self.factory(Table(REPLIES), framing=Line(), **options)
        self.tls = factory.start_tls = Unencrypted()
        return self.join(factory)

    def test_the_steps_after_it(self) -> None:
        """They follow the handshake, and requests after them are answered."""
        wire = self.serve()
        wire.send(b"tls\n")
        self.assertEqual(wire.received(), b"go\r\nencrypted\r\n")
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"A\r\n")
        self.assertEqual(self.tls.started, [wire.protocol.peer])

    def test_requests_in_the_same_read_are_dropped(self) -> None:
        """Whole ones and the start of one: they are not taken up, and a line says so."""
        for rest in (b"a\na\n", b"a", b"a\n" * 3000):
            wire = self.serve()
            wire.send(b"tls\n" + rest)
            wire.send(b"a\n")
            self.assertEqual(wire.received(), b"go\r\nencrypted\r\nA\r\n")
            self.assertEqual(self.heard.requests[-2:], [[b"tls"], [b"a"]])

    def test_requests_during_a_wait_are_dropped(self) -> None:
        """All that arrives before the step is performed."""
        wire = self.serve()
        wire.send(b"late\n", b"a\n", b"a")
        wire.wait(1)
        wire.send(b"a\n")
        self.assertEqual(wire.received(), b"go\r\nA\r\n")

    def test_replies_that_overtake_each_other(self) -> None:
        """Those under way are sent in the clear, before the reply that starts TLS."""
        wire = self.serve(ordered=False)
        wire.send(b"slow\ntls\na\n")
        self.assertEqual((wire.received(), self.tls.started), (b"", []))
        wire.wait(1)
        self.assertEqual(wire.received(), b"slow\r\ngo\r\nencrypted\r\n")
        wire.send(b"slow\na\n")
        self.assertEqual(wire.received(), b"A\r\n")
        self.assertEqual(self.heard.requests, [[b"slow", b"tls"], [b"slow", b"a"]])

    def test_a_state_with_a_framing(self) -> None:
        """What was sent in the clear is dropped there, too."""
        script = Script.parse(
            '[state.b]\nframing = "netstring"\n[[rule]]\nequals = "tls"\n'
            'do = [{ send = "go" }, { start_tls = true }]\ngoto = "b"\n'
            '[[rule]]\nwhen = "b"\nequals = "a"\nreply = "A"\n'
        )
        factory = self.factory(script)
        factory.start_tls = Unencrypted()
        wire = self.join(factory)
        wire.send(b"tls\n1:a,1:")
        wire.send(b"1:a,")
        self.assertEqual(wire.received(), b"go\r\nA\r\n")

    def test_a_server_without_certificate(self) -> None:
        """The connection is reset after what was sent."""
        wire = self.serve()
        wire.factory.start_tls = None
        wire.send(b"tls\n")
        self.assertEqual(wire.received(), b"go\r\n")
        self.assertTrue(wire.got_reset)

    def test_a_connection_that_is_encrypted(self) -> None:
        """It is not encrypted twice, but reset."""
        wire = self.serve()
        directlyProvides(wire.transport, ISSLTransport)
        wire.send(b"tls\n")
        self.assertTrue(wire.got_reset)
        self.assertEqual(self.tls.started, [])

    def test_a_script_that_forwards(self) -> None:
        """Requests are forwarded ahead of replies, so it is refused at its key."""
        text = (
            'framing = "line"\nupstream = { address = "127.0.0.1:1" }\n'
            "unmatched = { forward = true }\n"
            '[greeting]\ndo = [{ send = "a" }, { start_tls = true }]\n'
            '[[rule]]\nequals = "x"\ndo = [{ start_tls = true }]\n'
            '[[rule]]\nequals = "y"\ncycle = ["a", { do = [{ start_tls = true }] }]\n'
        )
        with self.assertRaises(ScriptError) as caught:
            Script.parse(text)
        places = ("rule[0].do[0]", "rule[1].cycle[1].do[0]", "greeting.do[1]")
        self.assertEqual(
            sorted((it.path, it.message) for it in caught.exception.problems),
            sorted(
                (f"{it}.start_tls", "expected no start_tls in a script that forwards requests")
                for it in places
            ),
        )
