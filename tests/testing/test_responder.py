"""Who answers in a test, and what came that nobody expected."""

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from reqresp import Responder, Script
from reqresp.steps import Request, Send, Steps
from tests.testing.test_expectation import FakeCase

SCRIPT = """
greeting = "hello"
[[rule]]
equals = "LOGIN"
reply = "welcome"
goto = "in"
[[rule]]
when = "in"
equals = "WHO"
reply = "you"
"""


class OrderTests(FakeCase):
    """The first that fits answers."""

    def test_the_head_of_what_is_to_come_next_is_first(self) -> None:
        """Then what is expected at any time, then stubs, whatever was written first."""
        server = self.serve()
        server.on("a").reply("on")
        server.expect("a").reply("expect")
        server.expect_next("a").reply("next")
        self.assertEqual(self.ask(b"a", b"a", b"a", b"a"), b"next\r\nexpect\r\non\r\non\r\n")
        self.assertEqual(server.problems(), "")

    def test_what_comes_next_comes_in_order(self) -> None:
        """So many times each; all else may come in between."""
        server = self.serve()
        server.expect_next("a", times=2).reply("1")
        server.expect_next("b").reply("2")
        server.on("x").reply("x")
        self.assertEqual(self.ask(b"a", b"x", b"a", b"b"), b"1\r\nx\r\n1\r\n2\r\n")
        self.assertEqual(server.problems(), "")

    def test_who_is_not_at_the_head_waits(self) -> None:
        """Its request is unexpected until then."""
        server = self.serve()
        server.expect_next("a").reply("1")
        server.expect_next("b").reply("2")
        self.assertEqual(self.ask(b"b"), b"")
        self.assertIn("it came, but not in its turn", server.problems())

    def test_of_the_same_kind_the_first_written_answers(self) -> None:
        """Stubs that follow never do; expectations when those before are met."""
        server = self.serve()
        server.expect("a", times=2).reply("1")
        server.expect(starts_with="a").reply("2")
        server.on("b").reply("3")
        server.on("b").reply("4")
        asked = self.ask(b"a", b"a", b"a", b"b", b"b")
        self.assertEqual(asked, b"1\r\n1\r\n2\r\n3\r\n3\r\n")

    def test_it_does_not_matter_who_asks(self) -> None:
        """ExpectationResponder are the server's, not the connection's."""
        server = self.serve()
        server.expect_next("a").reply("1")
        server.expect_next("a").reply("2")
        self.assertEqual([self.ask(b"a"), self.ask(b"a")], [b"1\r\n", b"2\r\n"])

    def test_while_traffic_runs(self) -> None:
        """What is added goes for what comes from then on; a handler may add, too."""
        server = self.serve()
        server.on("a").reply("1")
        wire = self.connect()

        def add(_request: Request) -> bytes:
            server.expect("c").reply("3")
            return b"2"

        wire.send(b"a\r\n")
        server.on("b").call(add)
        wire.send(b"b\r\nc\r\n")
        self.assertEqual(wire.received(), b"1\r\n2\r\n3\r\n")


class UnexpectedTests(FakeCase):
    """What nobody expects closes, and is noted."""

    def test_it_closes(self) -> None:
        """Behind what was answered before."""
        self.serve().on("a").reply("1")
        wire = self.connect()
        wire.send(b"a\r\nb\r\na\r\n")
        self.assertEqual(wire.received(), b"1\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn("1 unexpected request", self.server.problems())

    def test_unless_nobody_minds(self) -> None:
        """It closes just the same; what is missing is a problem still."""
        server = self.serve(strict=False)
        server.expect("a")
        wire = self.connect()
        wire.send(b"b\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn(": 1 expectation unmet\n", server.problems())
        self.ask(b"a")
        self.assertEqual(server.problems(), "")

    def test_what_is_no_request(self) -> None:
        """It is unexpected, too."""
        for strict in (True, False):
            server = self.serve(framing="netstring", strict=strict)
            wire = self.connect()
            wire.send(b"nonsense")
            self.assertTrue(wire.got_eof)
            self.assertEqual("1 malformed request" in server.problems(), strict)


class OtherwiseTests(FakeCase):
    """A script or a function answers what nothing else is said about."""

    def test_a_function(self) -> None:
        """It is told the request."""
        server = self.serve(respond=lambda request: request.data * request.number)
        server.on("b").reply("stub")
        self.assertEqual(self.ask(b"a", b"b", b"c"), b"a\r\nstub\r\nccc\r\n")
        self.assertEqual(server.problems(), "")

    def test_a_script(self) -> None:
        """Its states are those of expectations; what it does not know is unexpected."""
        server = self.serve(script=Script.parse(SCRIPT))
        server.expect("OUT", when="in").reply("bye").goto("start")
        wire = self.connect()
        wire.send(b"LOGIN\r\nWHO\r\nOUT\r\nWHO\r\n")
        self.assertEqual(wire.received(), b"hello\r\nwelcome\r\nyou\r\nbye\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn("1 unexpected request\n", server.problems())
        self.assertEqual([it.by for it in server.exchanges][1::2], ["rule[1]", "unexpected"])

    def test_both_exclude_each_other(self) -> None:
        """Nobody could say which is asked."""
        with self.assertRaisesRegex(TypeError, "respond and script exclude each other"):
            self.serve(script=Script.parse(SCRIPT), respond=lambda _request: b"")

    def test_a_greeting_of_the_test(self) -> None:
        """Instead of the script's; of several lines, if need be."""
        self.serve(script=Script.parse(SCRIPT), greeting=["a", b"b"])
        self.assertEqual(self.ask(), b"a\r\nb\r\n")

    def test_a_responder(self) -> None:
        """It greets, and what it notes of a connection is its own."""

        class Counting(Responder):
            def greet(self, connection: Any) -> Steps:
                connection.notes = 0
                return (Send(b"0"),)

            def respond(self, data: bytes, connection: Any) -> Steps:
                connection.notes += 1
                return (Send(b"%d" % connection.notes),)

        server = self.serve(respond=Counting())
        server.on("go").reply("gone").goto("there")
        server.on("x", when="there").reply("here")
        self.assertEqual(self.ask(b"x", b"go", b"x", b"y"), b"0\r\n1\r\ngone\r\nhere\r\n2\r\n")

    def test_its_constants_are_checked(self) -> None:
        """Before anybody asks."""
        with self.assertRaises(ValueError):
            self.serve(script=Script.parse(SCRIPT), framing="fixed:3")


class ErrorTests(FakeCase):
    """What handlers raise is noted, resets the connection, and is in no log."""

    def raised(self, message: str, function: Any) -> BaseException:
        server = self.serve()
        server.on("a").reply("1")
        server.on("b").call(function)
        wire = self.connect()
        wire.send(b"a\r\nb\r\na\r\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"1\r\n")
        self.assertTrue(wire.got_reset)
        with self.assertRaises(AssertionError) as raised:
            server._verify()
        self.assertIn(": 1 error\n", str(raised.exception))
        self.assertIn(f"\nerror: {message}, for b'b'", str(raised.exception))
        self.assertRegex(
            str(raised.exception), r"< b'b'  reset  \(on, test_expectations\.py:\d+, raised \w+\)"
        )
        cause: BaseException | None = raised.exception.__cause__
        assert cause is not None
        self.assertIn(str(cause), message)
        self.assertEqual(self.flushLoggedErrors(), [])
        return cause

    def test_at_once(self) -> None:
        """The traceback leads to the line that raised it."""

        def function(_request: Request) -> None:
            raise ValueError("boom")

        traceback = self.raised("ValueError: boom", function).__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        assert traceback is not None
        self.assertEqual(traceback.tb_frame.f_code.co_name, "function")

    def test_later(self) -> None:
        """By a coroutine, or through a Deferred."""

        async def function(_request: Request) -> None:
            raise ValueError("boom")

        self.assertIsNotNone(self.raised("ValueError: boom", function).__traceback__)
        self.raised("KeyError: 'x'", lambda _request: fail(KeyError("x")))

    def test_whatever_it_is(self) -> None:
        """An assertion, an exit."""

        def function(_request: Request) -> None:
            raise SystemExit("enough")

        self.raised("SystemExit: enough", function)

    def test_replies_that_cannot_be_sent(self) -> None:
        """Those of a template, too, which nobody could know before."""
        newline = r"FrameError: a payload cannot hold the delimiter b'\n': b'x\ny'"
        self.raised(newline, lambda _request: b"x\ny")
        self.raised(newline, lambda _request: succeed(b"x\ny"))
        self.raised("TypeError: a reply is bytes, a step, a tuple of these, or None; not 'x'", str_)

    def test_a_responder_that_gives_something_else(self) -> None:
        """It is told, as its type would have."""

        class Wrong(Responder):
            def respond(self, data: bytes, connection: Any) -> Any:
                return [Send(data)]

        server = self.serve(respond=Wrong())
        self.ask(b"a")
        self.assertIn("TypeError: a responder gives steps", server.problems())
        self.assertIn("(responder, raised TypeError)", server.problems())

    def test_a_client_that_leaves_meanwhile_is_no_error(self) -> None:
        """What it waited for is cancelled."""
        self.serve().expect("a").call(lambda _request: Deferred())
        wire = self.connect()
        wire.send(b"a\r\n")
        wire.reset()
        self.assertEqual(self.server.problems(), "")
        self.assertIn("not answered", self.server.conversation())

    def test_an_error_that_is_nobodys(self) -> None:
        """A fault that fails, for example, ends the connection and is told."""

        class Broken(Responder):
            def greet(self, connection: Any) -> Steps:
                raise ValueError("boom")

            def respond(self, data: bytes, connection: Any) -> Steps:
                return ()

        server = self.serve(respond=Broken())
        self.ask()
        self.assertIn("error: ValueError: boom\n", server.problems() + "\n")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


def str_(_request: Request) -> Any:
    """Forget that replies are bytes."""
    return "x"
