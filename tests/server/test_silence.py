"""Requests that silence, or the client's EOF, ends."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Limits, Pause, ReqRespFactory, Script, Table, UntilEnd, Wait
from reqresp.framing import Framing
from tests.support.wire import FakeReactor, Wire


class SilenceTests(SynchronousTestCase):
    """Connections with `Pause` or `UntilEnd`."""

    def connect(self, framing: Framing | None, source: Any = None, **arguments: Any) -> Wire:
        self.reactor = FakeReactor()
        if source is None:
            source = lambda request: b"<%b>" % request.data  # noqa: E731
        if framing is not None:
            arguments["framing"] = framing
        factory = ReqRespFactory(source, clock=self.reactor, **arguments)
        return Wire(factory, self.reactor)

    def test_a_pause_ends_a_request(self) -> None:
        """Each byte puts it off; a table of constants answers as a function does."""
        table = Table({b"abc": b"<abc>", b"d": b"<d>"}, otherwise=b"?")
        for source in (None, table):
            wire = self.connect(Pause(0.25), source)
            for piece in (b"a", b"b", b"c"):
                wire.send(piece)
                wire.wait(0.125)
            self.assertEqual(wire.received(), b"")
            wire.wait(0.125)
            self.assertEqual(wire.received(), b"<abc>")
            wire.wait(5)
            wire.send(b"d")
            wire.wait(0.25)
            self.assertEqual(wire.received(), b"<d>")

    def test_eof_ends_a_request_at_once(self) -> None:
        """The reply is sent, and then the connection closes, without waiting for the pause."""
        table = Table({b"ab\n": b"<ab\n>"})
        for framing in (Pause(9), UntilEnd()):
            for source in (None, table):
                wire = self.connect(framing, source)
                wire.send(b"ab")
                wire.wait(5)
                wire.send(b"\n")
                wire.send_eof()
                self.assertEqual((wire.received(), wire.is_open), (b"<ab\n>", False))
                self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_no_request(self) -> None:
        """A client that sends nothing gets nothing."""
        wire = self.connect(UntilEnd())
        wire.send_eof()
        self.assertEqual((wire.received(), wire.is_open), (b"", False))

    def test_what_comes_during_a_reply_is_joined(self) -> None:
        """It is the next request, also if EOF follows it."""
        for ends in (False, True):
            wire = self.connect(Pause(1), lambda request: (Wait(5), request.data + b";"))
            wire.send(b"a")
            wire.wait(1)
            wire.send(b"b")
            wire.wait(3)
            wire.send(b"c")
            if ends:
                wire.send_eof()
            wire.wait(2)
            self.assertEqual(wire.received(), b"a;")
            wire.wait(0 if ends else 1)
            wire.wait(5)
            self.assertEqual(wire.received(), b"bc;")
            self.assertEqual(wire.is_open, not ends)

    def test_a_connection_that_is_lost_leaves_no_timer(self) -> None:
        """The silence is measured no more."""
        wire = self.connect(Pause(1))
        wire.send(b"a")
        wire.reset()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_request_that_is_too_large(self) -> None:
        """The connection closes, as with other framings."""
        for framing in (Pause(1), UntilEnd()):
            wire = self.connect(framing, limits=Limits(max_request=3))
            wire.send(b"ab")
            wire.send(b"cd")
            self.assertEqual((wire.received(), wire.got_eof), (b"", True))

    def test_a_state_can_have_a_pause(self) -> None:
        """It is in force from the byte after the request that enters the state."""
        script = Script.parse("""
            [state.data]
            framing = "pause:0.5"
            [[rule]]
            equals = "go"
            reply = "ok"
            goto = "data"
            [[rule]]
            when = "data"
            reply = { template = "<{0}>" }
            goto = "start"
        """)
        wire = self.connect(None, script)
        wire.send(b"go\nab")
        wire.wait(0.25)
        wire.send(b"c")
        wire.wait(0.25)
        self.assertEqual(wire.received(), b"ok\r\n")
        wire.wait(0.25)
        self.assertEqual(wire.received(), b"<abc>\r\n")
        wire.send(b"go\n")
        self.assertEqual(wire.received(), b"ok\r\n")
        wire.send(b"x")
        wire.send_eof()
        self.assertEqual((wire.received(), wire.is_open), (b"<x>\r\n", False))
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_eof_before_its_state_is_entered(self) -> None:
        """It ends the request in the state that follows the reply under way."""
        for framing in ("eof", "pause:9"):
            script = Script.parse(f"""
                [state.body]
                framing = "{framing}"
                [[rule]]
                equals = "PUT"
                reply = "go"
                delay = 1
                goto = "body"
                [[rule]]
                when = "body"
                reply = {{ template = "got {{0}}" }}
            """)
            wire = self.connect(None, script)
            wire.send(b"PUT\nhello")
            wire.send_eof()
            wire.wait(1)
            self.assertEqual((wire.received(), wire.is_open), (b"go\r\ngot hello\r\n", False))
            self.assertEqual(self.reactor.getDelayedCalls(), [])
