"""The choice of the expectation that answers, unexpected requests, and errors of handlers."""

from itertools import product
from typing import Any, cast

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import deferLater

from reqresp import Responder, Script
from reqresp.journal import Incomplete
from reqresp.steps import Request, Send, Steps
from tests.support.server_case import ServerCase
from twisted import __version__ as twisted_version

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


#: Arguments of an ``on``: for every state, and for some.
STATES: list[dict[str, Any]] = [{}, {"when": "start"}]


class OrderTests(ServerCase):
    """Tests for the order in which expectations are tried."""

    def test_the_order_of_kinds(self) -> None:
        """``expect_next`` is tried first, then ``expect``, then ``on``, whichever is made first."""
        server = self.serve()
        server.on("a").reply("on")
        server.expect("a").reply("expect")
        server.expect_next("a").reply("next")
        self.assertEqual(self.ask(b"a", b"a", b"a", b"a"), b"next\r\nexpect\r\non\r\non\r\n")
        self.assertEqual(server.problems(), "")

    def test_expect_next_is_in_order(self) -> None:
        """Each is expected its number of times, and other requests can come in between."""
        server = self.serve()
        server.expect_next("a", times=2).reply("1")
        server.expect_next("b").reply("2")
        server.on("x").reply("x")
        self.assertEqual(self.ask(b"a", b"x", b"a", b"b"), b"1\r\nx\r\n1\r\n2\r\n")
        self.assertEqual(server.problems(), "")

    def test_a_request_that_is_too_early(self) -> None:
        """The request of a later ``expect_next`` is unexpected until the earlier ones are met."""
        server = self.serve()
        server.expect_next("a").reply("1")
        server.expect_next("b").reply("2")
        self.assertEqual(self.ask(b"b"), b"")
        self.assertIn("a matching request was received out of order", server.problems())

    def test_expect_is_in_order(self) -> None:
        """A later ``expect`` of the same request answers when those before it are met."""
        server = self.serve()
        server.expect("a", times=2).reply("1")
        server.expect(starts_with="a").reply("2")
        self.assertEqual(self.ask(b"a", b"a", b"a"), b"1\r\n1\r\n2\r\n")

    def test_the_latest_on_answers(self) -> None:
        """A test can replace what a fixture answers, by the same predicates or by others."""
        server = self.serve()
        server.on().reply("any")
        server.on(starts_with="b").reply("b?")
        server.on("c").reply("c1")
        self.assertEqual(self.ask(b"b1", b"c"), b"b?\r\nc1\r\n")
        server.on("b1").reply("b1")
        server.on("c").reply("c2")
        self.assertEqual(self.ask(b"b1", b"b2", b"c", b"d"), b"b1\r\nb?\r\nc2\r\nany\r\n")
        server.on(starts_with="").reply("all")
        self.assertEqual(self.ask(b"b1", b"c"), b"all\r\nall\r\n")

    def test_the_latest_on_answers_whatever_its_predicates(self) -> None:
        """Of two that match, the one that was made later answers, for every pair of predicates."""
        kinds: list[dict[str, Any]] = [
            {"equals": "STAT"},
            {"equals": ["STAT", "LIST"]},
            {"equals": "stat", "ignore_case": True},
            {"starts_with": "ST"},
            {"starts_with": ""},
            {"ends_with": "AT"},
            {"contains": "TA"},
            {"matches": r"\w+"},
            {"size": 4},
            {"not_": {"equals": "QUIT"}},
            {"starts_with": "S", "size": {"max": 9}},
        ]
        for states in STATES:
            for earlier, later in product(kinds, kinds):
                server = self.serve()
                server.on(**earlier, **states).reply("earlier")
                server.on(**later, **states).reply("later")
                self.assertEqual(self.ask(b"STAT"), b"later\r\n", (earlier, later))

    def test_the_latest_default_answers(self) -> None:
        """An ``on`` without predicates replaces an earlier one, and no other."""
        for states in STATES:
            server = self.serve()
            server.on("a", **states).reply("a")
            server.on(**states).reply("earlier")
            server.on(**states).reply("later")
            self.assertEqual(self.ask(b"a", b"b"), b"a\r\nlater\r\n")

    def test_replacing_the_answer_for_a_state(self) -> None:
        """A later ``on`` replaces one for a state if it names the state, and not otherwise."""
        server = self.serve()
        server.on("a", when=["start", "other"]).reply("fixture")
        server.on("a").reply("for all states")
        self.assertEqual(self.ask(b"a"), b"fixture\r\n")
        server.on(starts_with="a", when="start").reply("test")
        self.assertEqual(self.ask(b"a"), b"test\r\n")

    def test_a_general_on_comes_last(self) -> None:
        """Without predicates, it answers what no other does; one for a state comes first."""
        server = self.serve()
        server.on("go", when="start").goto("in")
        server.on("a", when="in").reply("a in")
        server.on(when="in").reply("in")
        server.on("a").reply("a")
        server.on().reply("any")
        self.assertEqual(self.ask(b"a", b"b", b"go", b"a", b"b"), b"a\r\nany\r\na in\r\nin\r\n")

    def test_connections_share_expectations(self) -> None:
        """An expectation can be met on any connection."""
        server = self.serve()
        server.expect_next("a").reply("1")
        server.expect_next("a").reply("2")
        self.assertEqual([self.ask(b"a"), self.ask(b"a")], [b"1\r\n", b"2\r\n"])

    def test_expectations_can_be_added_later(self) -> None:
        """A new expectation is tried from then on, also if a handler makes it."""
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


class UnexpectedTests(ServerCase):
    """Tests for requests that nothing answers."""

    def test_the_connection_is_closed(self) -> None:
        """An unexpected request closes the connection after the earlier replies."""
        self.serve().on("a").reply("1")
        wire = self.connect()
        wire.send(b"a\r\nb\r\na\r\n")
        self.assertEqual(wire.received(), b"1\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn("1 unexpected request", self.server.problems())

    def test_a_server_that_is_not_strict(self) -> None:
        """The connection is closed, and only unmet expectations are problems."""
        server = self.serve(strict=False)
        server.expect("a")
        wire = self.connect()
        wire.send(b"b\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn(": 1 unmet expectation\n", server.problems())
        self.ask(b"a")
        self.assertEqual(server.problems(), "")

    def test_malformed_requests(self) -> None:
        """A malformed frame is a problem of a strict server."""
        for strict in (True, False):
            server = self.serve(framing="netstring", strict=strict)
            wire = self.connect()
            wire.send(b"nonsense")
            self.assertTrue(wire.got_eof)
            self.assertEqual("1 malformed request" in server.problems(), strict)


class UnfinishedTests(ServerCase):
    """Tests for requests that a client begins and does not finish."""

    def test_an_open_connection(self) -> None:
        """It is a problem of a strict server while it is unfinished, and an entry."""
        for strict in (True, False):
            server = self.serve(strict=strict)
            server.on("STAT").reply("+OK")
            wire = self.connect()
            wire.send(b"STAT")
            self.assertEqual("1 unfinished request" in server.problems(), strict)
            self.assertIn("#1 < b'STAT'  unfinished: no line end", server.conversation())
            entry = server.entries[-1]
            assert isinstance(entry, Incomplete)
            self.assertEqual((entry.connection, entry.data), (1, b"STAT"))
            self.assertEqual(entry.missing, "no line end")
            wire.send(b"\r\n")
            self.assertEqual(server.problems(), "")
            self.assertNotIsInstance(server.entries[-1], Incomplete)

    def test_a_connection_that_has_ended(self) -> None:
        """It is there once, however the client ended, and after complete requests."""
        for end in (lambda wire: wire.send_eof(), lambda wire: wire.reset()):
            server = self.serve()
            server.expect("A").reply("b")
            wire = self.connect()
            wire.send(b"A\r\nSTA", b"T")
            end(wire)
            self.assertIn(": 1 unfinished request\n", server.problems())
            found = [it.data for it in server.entries if isinstance(it, Incomplete)]
            self.assertEqual(found, [b"STAT"])

    def test_the_server_ends_the_connection(self) -> None:
        """What a client had begun when the server reset the connection is not a problem."""
        server = self.serve()
        server.on("A").abort()
        wire = self.connect()
        wire.send(b"A\r\nSTA")
        wire.wait(1)
        self.assertEqual(server.problems(), "")


class FallbackTests(ServerCase):
    """Tests for a script or a function that answers requests that no expectation matches."""

    def test_a_function(self) -> None:
        """A function receives the request, with its number."""
        server = self.serve(respond=lambda request: request.data * request.number)
        server.on("b").reply("stub")
        self.assertEqual(self.ask(b"a", b"b", b"c"), b"a\r\nstub\r\nccc\r\n")
        self.assertEqual(server.problems(), "")

    def test_a_script(self) -> None:
        """Expectations share the script's states; a request that no rule matches is unexpected."""
        server = self.serve(script=Script.parse(SCRIPT))
        server.expect("OUT", when="in").reply("bye").goto("start")
        wire = self.connect()
        wire.send(b"LOGIN\r\nWHO\r\nOUT\r\nWHO\r\n")
        self.assertEqual(wire.received(), b"hello\r\nwelcome\r\nyou\r\nbye\r\n")
        self.assertTrue(wire.got_eof)
        self.assertIn("1 unexpected request\n", server.problems())
        self.assertEqual([it.by for it in server.exchanges][1::2], ["rule[1]", "unmatched"])

    def test_the_seed_of_a_script(self) -> None:
        """A server has the seed of its script, unless the test passes another."""
        replies = {}
        for seed, given in ((7, {}), (8, {}), (8, {"seed": 7}), (None, {}), (None, {"seed": 0})):
            head = "" if seed is None else f"seed = {seed}\n"
            fault = '[[fault]]\nkind = "corrupt"\nbytes = 8\n[[rule]]\nreply = "0123456789"\n'
            self.serve(script=Script.parse(head + fault), **given)
            replies[seed, *given.values()] = self.ask(b"a")
        self.assertEqual(replies[7,], replies[8, 7])
        self.assertNotEqual(replies[7,], replies[8,])
        self.assertEqual(replies[None,], replies[None, 0])

    def test_a_script_and_a_function(self) -> None:
        """A server cannot have both."""
        with self.assertRaisesRegex(
            TypeError, "expected one of respond, script, replay; found respond and script"
        ):
            self.serve(script=Script.parse(SCRIPT), respond=lambda _request: b"")

    def test_a_greeting(self) -> None:
        """The greeting of a test, of one or more payloads, replaces the script's."""
        self.serve(script=Script.parse(SCRIPT), greeting=["a", b"b"])
        self.assertEqual(self.ask(), b"a\r\nb\r\n")

    def test_a_responder(self) -> None:
        """A responder greets, and its notes of a connection are not touched by states."""

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

    def test_constants_are_checked(self) -> None:
        """A reply of a script that cannot be framed raises when the server is made."""
        with self.assertRaises(ValueError):
            self.serve(script=Script.parse(SCRIPT), framing="fixed:3")


class ErrorTests(ServerCase):
    """Tests for what handlers raise: it resets the connection, is recorded, and is not logged."""

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
        self.assertIn(f"\nerror: {message} (request: b'b')", str(raised.exception))
        self.assertRegex(
            str(raised.exception), r"< b'b'  reset  \(on, test_responder\.py:\d+, raised \w+\)"
        )
        cause: BaseException | None = raised.exception.__cause__
        assert cause is not None
        self.assertIn(str(cause), message)
        self.assertEqual(self.flushLoggedErrors(), [])
        return cause

    def test_a_function_that_raises(self) -> None:
        """The traceback ends in the function that raised."""

        def function(_request: Request) -> None:
            raise ValueError("boom")

        traceback = self.raised("ValueError: boom", function).__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        assert traceback is not None
        self.assertEqual(traceback.tb_frame.f_code.co_name, "function")

    def test_an_error_after_a_while(self) -> None:
        """A coroutine can raise, and a Deferred can fail."""

        async def function(_request: Request) -> None:
            await deferLater(cast(Any, self.reactor), 0.5)
            raise ValueError("boom")

        self.assertIsNotNone(self.raised("ValueError: boom", function).__traceback__)
        self.raised("KeyError: 'x'", lambda _request: fail(KeyError("x")))

    def test_a_coroutine_that_raises_at_once(self) -> None:
        """The error is that of a function."""

        async def function(_request: Request) -> None:
            raise ValueError("boom")

        error = self.raised("ValueError: boom", function)
        if twisted_version != "24.7.0":  # which removes the traceback
            self.assertIsNotNone(error.__traceback__)

    def test_system_exit(self) -> None:
        """SystemExit is handled as any other exception."""

        def function(_request: Request) -> None:
            raise SystemExit("enough")

        self.raised("SystemExit: enough", function)

    def test_replies_that_cannot_be_framed(self) -> None:
        """A reply that the framing cannot express is an error of its handler."""
        newline = r"FrameError: expected a payload without the delimiter b'\n', found b'x\ny'"
        self.raised(newline, lambda _request: b"x\ny")
        self.raised(newline, lambda _request: succeed(b"x\ny"))
        self.raised("TypeError: expected bytes, a step, a tuple of these, or None; found 'x'", str_)

    def test_a_responder_that_returns_no_steps(self) -> None:
        """The error says what a responder returns."""

        class Wrong(Responder):
            def respond(self, data: bytes, connection: Any) -> Any:
                return [Send(data)]

        server = self.serve(respond=Wrong())
        self.ask(b"a")
        self.assertIn("TypeError: expected a tuple of steps", server.problems())
        self.assertIn("(responder, raised TypeError)", server.problems())

    def test_a_client_that_disconnects(self) -> None:
        """Its Deferred is cancelled, which is not an error."""
        self.serve().expect("a").call(lambda _request: Deferred())
        wire = self.connect()
        wire.send(b"a\r\n")
        wire.reset()
        self.assertEqual(self.server.problems(), "")
        self.assertIn("not answered", self.server.conversation())

    def test_an_error_without_a_request(self) -> None:
        """An error in the greeting ends the connection, and is a problem."""

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
    """Return text, which is not a reply."""
    return "x"
