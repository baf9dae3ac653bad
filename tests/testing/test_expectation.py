"""What a test wants answered."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from reqresp import Abort, Close, Line, Mixed, Netstring, ScriptError
from reqresp.server.responders import Reply
from reqresp.steps import Request
from reqresp.testing._base import BaseServer
from reqresp.testing._expectation import as_payload, as_predicates
from tests.support.wire import FakeReactor, Wire


class FakeCase(SynchronousTestCase):
    """A server in memory, and a client on its wire."""

    def serve(self, **what: Any) -> BaseServer:
        self.reactor = FakeReactor()
        self.server = BaseServer(self.reactor, **what)
        return self.server

    def connect(self) -> Wire:
        return Wire(self.server.factory, self.reactor)

    def ask(self, *requests: bytes) -> bytes:
        """Send lines on a new connection; give what came."""
        wire = self.connect()
        wire.send(b"".join(it + b"\r\n" for it in requests))
        return wire.received()


class StepTests(FakeCase):
    """Each method adds a step."""

    def test_replies_are_framed_one_by_one(self) -> None:
        """Text is UTF-8, bytes are themselves."""
        self.serve().on("a").reply("é", b"\xff").reply({"hex": "00"})
        self.assertEqual(self.ask(b"a"), b"\xc3\xa9\r\n\xff\r\n\x00\r\n")

    def test_raw_replies(self) -> None:
        """Are sent as they are, however they are written."""
        self.serve().on("a").reply("x", b"y", {"text": "z"}, raw=True).reply(hex="00ff", raw=True)
        self.assertEqual(self.ask(b"a"), b"xyz\x00\xff")

    def test_templates(self) -> None:
        """Groups of the pattern, and how often it was asked, are at hand."""
        self.serve().on(matches=r"TOP (?P<n>\d+)").reply(template="{n} {count}")
        self.assertEqual(self.ask(b"TOP 7", b"TOP 8"), b"7 1\r\n8 2\r\n")

    def test_nothing_is_silence(self) -> None:
        """And no fault of the client's."""
        self.serve().on("a")
        self.assertEqual(self.ask(b"a"), b"")
        self.assertEqual(self.server.problems(), "")

    def test_waiting(self) -> None:
        """What follows comes later."""
        self.serve().on("a").reply("1").wait(2).reply("2")
        wire = self.connect()
        wire.send(b"a\r\n")
        self.assertEqual(wire.received(), b"1\r\n")
        wire.wait(2)
        self.assertEqual(wire.received(), b"2\r\n")

    def test_endings(self) -> None:
        """Each is seen by the client."""
        server = self.serve()
        server.on("close").close()
        server.on("abort").abort()
        server.on("half").half_close()
        server.on("hang").hang()
        server.on("deaf").stop_reading()
        wires = {}
        for name in ("close", "abort", "half", "hang", "deaf"):
            wires[name] = self.connect()
            wires[name].send(f"{name}\r\nmore\r\n".encode())
        self.assertEqual([it for it in wires if wires[it].got_eof], ["close", "half"])
        self.assertEqual([it for it in wires if wires[it].got_reset], ["abort"])
        self.assertFalse(wires["deaf"].reading)
        self.assertEqual([it.connection for it in server.requests("more")], [3])

    def test_cycles(self) -> None:
        """One reply after the other, then again; each after a wait."""
        self.serve().on("a").cycle("1", ["2", b"3"]).wait(1).close()
        for expected in (b"1\r\n", b"2\r\n3\r\n", b"1\r\n"):
            wire = self.connect()
            wire.send(b"a\r\n")
            self.assertEqual(wire.received(), b"")
            wire.wait(1)
            self.assertEqual(wire.received(), expected)
            self.assertTrue(wire.got_eof)

    def test_faults(self) -> None:
        """They strike this reply alone; who looks is told."""
        self.serve().on("a").reply("1").fault("limit_data", bytes=1).fault("slow_close", delay=0)
        self.server.on("b").reply("2")
        self.assertEqual(self.ask(b"b", b"a"), b"2\r\n1")
        injected = [it.injected for it in self.server.exchanges]
        self.assertEqual(injected, [(), ("limit_data", "slow_close")])

    def test_states(self) -> None:
        """A conversation is in one; ``on`` and the others belong to all unless they say so."""
        server = self.serve()
        server.on("data").reply("go").goto("data")
        server.on(".", when="data").reply("ok").goto("start")
        server.on("x", when=["data", "other"]).reply("taken")
        server.on("x").reply("what?")
        self.assertEqual(
            self.ask(b"x", b"data", b"x", b".", b"x"), b"what?\r\ngo\r\ntaken\r\nok\r\nwhat?\r\n"
        )
        self.assertEqual(self.ask(b"x"), b"what?\r\n")  # each conversation has its own


class CallTests(FakeCase):
    """A function answers."""

    def test_what_functions_may_give(self) -> None:
        """The same as those of a factory."""
        replies: list[Reply] = [b"1", None, (b"2", b"3"), Close()]
        self.serve().on("a").call(lambda request: replies[request.number - 1])
        wire = self.connect()
        wire.send(b"a\r\n" * 5)
        self.assertEqual(wire.received(), b"1\r\n2\r\n3\r\n")
        self.assertTrue(wire.got_eof)

    def test_steps_before_it(self) -> None:
        """Are performed before."""
        self.serve().on("a").reply("first").call(lambda _request: b"then")
        self.assertEqual(self.ask(b"a"), b"first\r\nthen\r\n")
        self.assertRegex(self.server.exchanges[0].by, r"^on, test_stubs\.py:\d+$")

    def test_later(self) -> None:
        """A coroutine, or a Deferred."""
        fired: Deferred[bytes] = Deferred()

        async def function(request: Request) -> bytes:
            return await fired + request.data

        self.serve().expect("a").reply("first").call(function)
        wire = self.connect()
        wire.send(b"a\r\n")
        self.assertEqual(wire.received(), b"")
        fired.callback(b"then ")
        wire.turn()
        self.assertEqual(wire.received(), b"first\r\nthen a\r\n")
        self.assertEqual(self.server.problems(), "")


class MistakeTests(FakeCase):
    """They are told where they are made."""

    def mistake(self, call: Any, *arguments: Any, **keywords: Any) -> str:
        with self.assertRaises(ScriptError) as raised:
            call(*arguments, **keywords)
        place, message = str(raised.exception).split(": ", 1)
        self.assertRegex(place, r"^test_stubs\.py:\d+$")
        return message

    def test_the_line_of_the_test(self) -> None:
        """In which the expectation stands."""
        server = self.serve()
        with self.assertRaises(ScriptError) as raised:
            server.on("a").reply(template="{nobody}")
        line = raised.exception.__traceback__.tb_lineno
        self.assertIn(f"test_stubs.py:{line}: on[0].do[0].send", str(raised.exception))

    def test_steps_that_do_not_go_together(self) -> None:
        """Nothing is done behind an end; a cycle has no steps but some."""
        on = self.serve().on
        self.assertIn("expected no step after close", self.mistake(on("a").close().reply, "x"))
        self.assertIn("abort", self.mistake(on("a").cycle("x").abort))
        self.assertIn("seconds", self.mistake(on("a").wait, -1))
        self.assertIn("slicer", self.mistake(on("a").fault, "slice"))

    def test_what_cannot_be_framed(self) -> None:
        """Is told before anybody asks; also what no request can be."""
        on = self.serve().on
        self.assertIn("a line cannot contain a newline", self.mistake(on("a").reply, "x\ny"))
        self.assertIn("no request can match", self.mistake(on, "a\r\n"))
        on = self.serve(framing=Mixed(Netstring(), Line())).on
        self.assertIn("a line cannot contain a newline", self.mistake(on("a\n").reply, "x\ny"))

    def test_a_greeting_that_cannot_be_sent(self) -> None:
        """It is the server's line, then."""
        self.mistake(self.serve, greeting="a\nb")

    def test_unknown_predicates(self) -> None:
        """What a rule of a script may have besides is no predicate."""
        server = self.serve()
        methods: list[Any] = [server.on, server.expect, server.expect_next]
        for call in [*methods, server.requests, server.when]:
            with self.assertRaisesRegex(TypeError, "'start_with'; did you mean starts_with"):
                call(start_with="a")
        self.assertRaises(TypeError, server.on, "a", times=2)
        self.assertRaises(TypeError, server.on, "a", not_={"like": "b"})

    def test_expecting_nothing(self) -> None:
        """Nobody needs to say so."""
        for times in (0, -1):
            with self.assertRaisesRegex(ValueError, "times must be 1 or more"):
                self.serve().expect("a", times=times)


class WritingTests(SynchronousTestCase):
    """What a test writes, as a script has it."""

    def test_payloads(self) -> None:
        """Text, bytes, or a table."""
        self.assertEqual(as_payload("a"), "a")
        self.assertEqual(as_payload(b"\xff"), {"hex": "ff"})
        self.assertEqual(as_payload({"base64": "AA=="}), {"base64": "AA=="})
        self.assertEqual(as_payload("a", raw=True), {"text": "a", "raw": True})
        self.assertEqual(as_payload(b"a", raw=True), {"hex": "61", "raw": True})

    def test_predicates(self) -> None:
        """One of several, sizes, and what must not be."""
        self.assertEqual(
            as_predicates(("a", b"b"), {"size": {"min": 1}, "not_": {"contains": b"x"}}),
            {
                "equals": ["a", {"hex": "62"}],
                "size": {"min": 1},
                "not": {"contains": {"hex": "78"}},
            },
        )
        self.assertEqual(as_predicates(None, {"when": "a"}), {"when": "a"})


class AbortTests(FakeCase):
    """Steps of functions end connections, too."""

    def test_a_function_resets(self) -> None:
        """Once what it sent has left."""
        self.serve().on("a").call(lambda _request: (b"x", Abort()))
        wire = self.connect()
        wire.send(b"a\r\n")
        self.assertEqual(wire.received(), b"x\r\n")
        wire.wait(1)
        self.assertTrue(wire.got_reset)
