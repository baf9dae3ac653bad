"""Expectations that are added to a server that runs, and removed from it."""

from typing import Any

from twisted.internet.defer import Deferred

from reqresp import RelayFactory, Script, ScriptError, tcp_upstream
from reqresp.expectations.live import (
    LOOK_SECONDS,
    VERIFY_TIMEOUT,
    AlreadyAnsweredError,
    Expectations,
    NoRequestsError,
)
from reqresp.journal import Journal
from reqresp.testing import BaseServer
from tests.support.expecting import Expecting
from tests.support.recorded import recorded
from tests.support.wire import Wire

STAT = {"kind": "expect", "equals": "STAT", "reply": "+OK 2 320"}

SCRIPT = """
[[rule]]
equals = "LOGIN"
reply = "welcome"
goto = "in"
[[rule]]
when = "in"
equals = "WHO"
reply = "you"
"""


class AddTests(Expecting):
    """Adding, changing and removing expectations while clients are connected."""

    def test_it_applies_at_once_to_open_connections(self) -> None:
        """Constants answer before it is added and after it is removed, and it answers between."""
        client = self.serve()
        self.assertEqual(self.ask(client, "STAT", "NOOP"), ["-ERR|", "+OK|"])
        number = self.expectations.add({"kind": "on", "equals": ["STAT", "NOOP"], "reply": "1"})
        self.assertEqual(self.ask(client, "STAT", "NOOP", "x"), ["1|", "1|", "-ERR|"])
        self.assertEqual(self.ask(self.another(), "NOOP"), ["1|"])
        self.expectations.remove(number)
        self.assertEqual(self.ask(client, "STAT", "NOOP"), ["-ERR|", "+OK|"])

    def test_half_a_request_has_come(self) -> None:
        """A request that begins before the expectation is added, and ends after, is for it."""
        client = self.serve()
        client.send(b"NO")
        self.expectations.add({"kind": "on", "equals": "NOOP", "reply": "1"})
        client.send(b"OP\r\n")
        self.assertEqual(client.received(), b"1\r\n")

    def test_the_order_is_that_of_the_fixture(self) -> None:
        """``expect_next`` comes first, then ``expect``, then the latest ``on``."""
        client = self.serve()
        for kind in ("on", "expect", "expect_next"):
            self.expectations.add({"kind": kind, "equals": "a", "reply": kind})
        self.expectations.add({"kind": "on", "equals": "a", "reply": "later"})
        self.assertEqual(self.ask(client, "a", "a", "a"), ["expect_next|", "expect|", "later|"])

    def test_all_keys_of_an_answer(self) -> None:
        """Templates, cycles, steps and faults answer as they do in a script."""
        client = self.serve()
        answers: dict[str, dict[str, Any]] = {
            "TOP (?P<n>[0-9]+)": {"reply": {"template": "{n} {count} {request}"}},
            "cycle": {"cycle": ["1", ["2", "3"]]},
            "do": {"do": [{"send": {"text": "raw", "raw": True}}, {"wait": 1}, {"send": "x"}]},
            "cut": {"reply": "abc", "faults": [{"kind": "limit_data", "bytes": 1}]},
        }
        for pattern, answer in answers.items():
            self.expectations.add({"kind": "on", "matches": pattern, **answer})
        self.assertEqual(self.ask(client, "TOP 7", "TOP 8"), ["7 1 1|", "8 2 2|"])
        self.assertEqual(self.ask(client, "cycle", "cycle", "cycle"), ["1|", "2|3|", "1|"])
        self.assertEqual(self.ask(client, "do"), ["raw"])
        client.wait(1)
        self.assertEqual(client.received(), b"x\r\n")
        self.assertEqual(self.ask(client, "cut"), ["a"])

    def test_states(self) -> None:
        """They share the states of a script, and without one connections have states, too."""
        client = self.serve(SCRIPT)
        self.expectations.add({"kind": "on", "equals": "JUMP", "silent": True, "goto": "in"})
        self.expectations.add({"kind": "on", "when": "in", "equals": "WHO", "reply": "me"})
        self.assertEqual(self.ask(client, "JUMP", "WHO"), ["", "me|"])
        client = self.serve()
        self.expectations.add({"kind": "on", "equals": "JUMP", "silent": True, "goto": "in"})
        self.expectations.add({"kind": "on", "when": "in", "equals": "WHO", "reply": "me"})
        self.assertEqual(self.ask(client, "WHO", "JUMP", "WHO"), ["-ERR|", "", "me|"])
        client.reset()
        self.assertEqual(self.ask(self.another(), "WHO"), ["-ERR|"])

    def test_a_list(self) -> None:
        """Each is listed as it was added, with its number and how often it was received."""
        client = self.serve()
        self.expectations.add(STAT | {"times": 2})
        self.expectations.add({"kind": "on", "reply": "any"})
        self.ask(client, "STAT", "x", "y")
        self.assertEqual(
            [*self.expectations.list()],
            [
                {**STAT, "times": 2, "id": 1, "received": 1, "met": False},
                {"kind": "on", "reply": "any", "id": 2, "received": 2, "met": True},
            ],
        )
        self.expectations.clear()
        self.assertEqual([*self.expectations.list()], [])
        self.assertEqual(self.expectations.add(STAT), 3)

    def test_a_change(self) -> None:
        """It keeps its place and its number, and can be changed until its first request."""
        client = self.serve()
        first = self.expectations.add({"kind": "expect_next", "equals": "a", "reply": "1"})
        self.expectations.add({"kind": "expect_next", "equals": "b", "reply": "2"})
        self.expectations.replace(first, {"kind": "expect_next", "equals": "c", "reply": "3"})
        self.assertEqual(self.ask(client, "c", "b"), ["3|", "2|"])
        with self.assertRaises(AlreadyAnsweredError) as raised:
            self.expectations.replace(first, STAT)
        self.assertEqual(
            str(raised.exception),
            'expected a change before the first request; expect_next "c" has already answered 1',
        )

    def test_a_change_with_problems(self) -> None:
        """All problems are in one error, and nothing has changed."""
        client = self.serve()
        number = self.expectations.add(STAT)
        wrong = {"kind": "expect", "equals": "a\nb", "delay": -1, "replies": "x"}
        for call in (self.expectations.add, lambda it: self.expectations.replace(number, it)):
            with self.assertRaises(ScriptError) as raised:
                call(wrong)
            paths = [it.path for it in raised.exception.problems]
            self.assertEqual(paths, [f"expectation.{it}" for it in ("replies", "equals", "delay")])
        self.assertEqual(self.ask(client, "STAT"), ["+OK 2 320|"])

    def test_unknown_numbers(self) -> None:
        """A number that no expectation has is a KeyError."""
        self.serve()
        with self.assertRaises(KeyError):
            self.expectations.remove(1)
        with self.assertRaises(KeyError):
            self.expectations.replace(1, STAT)

    def test_a_server_that_knows_no_requests(self) -> None:
        """A relay of all bytes refuses expectations, and says what would help."""
        expectations = Expectations("cache", Journal())
        upstream = tcp_upstream(self.reactor, "127.0.0.1", 6379)
        expectations.attach(RelayFactory(upstream, clock=self.reactor))
        for call in (lambda: expectations.add(STAT), lambda: expectations.requests({})):
            with self.assertRaises(NoRequestsError) as raised:
                call()
        self.assertIn("cache forwards all bytes, and knows no requests", str(raised.exception))
        self.assertIsNone(self.result_of(expectations.verify()))
        expectations.clear()

    def test_it_belongs_to_a_server(self) -> None:
        """Without one, an expectation cannot be read."""
        with self.assertRaises(RuntimeError):
            Expectations("service", Journal()).add(STAT)


class VerdictTests(Expecting):
    """What `Expectations.verify` returns, and when."""

    def test_the_text_is_that_of_the_fixture(self) -> None:
        """The same conversation has the same verdict, word for word."""
        script = "[[rule]]\nequals = 'USER ann'\nreply = '+OK'\n"
        client = self.serve(script)
        server = BaseServer(self.reactor, script=Script.parse(script))
        server.name = "service"
        where = server.expect("STAT", starts_with=["S", "T"], times=2).reply("+OK").where
        self.expectations.add(
            {
                "kind": "expect",
                "equals": "STAT",
                "starts_with": ["S", "T"],
                "times": 2,
                "reply": "+OK",
                "name": where,
            }
        )
        for each in (client, Wire(server.factory, self.reactor)):
            each.send(b"USER ann\r\nSTAT\r\nSTAS\r\n")
        self.assertIn("the nearest request differs at byte 3", server.problems())
        self.assertEqual(self.verdict(0), server.problems())

    def test_an_unmet_expectation(self) -> None:
        """The verdict says what is missing, and shows the conversation."""
        client = self.serve()
        self.expectations.add(STAT)
        self.ask(client, "NOOP")
        self.assertEqual(
            self.verdict(0),
            "reqresp service: 1 unmet expectation\n"
            "  #1 < b'NOOP'  > b'+OK\\r\\n'  (table)\n"
            'unmet: expect "STAT" (expectation 1): received 0 of 1',
        )

    def test_all_is_met(self) -> None:
        """There is no text."""
        client = self.serve()
        self.expectations.add(STAT)
        self.ask(client, "STAT")
        self.assertIsNone(self.verdict())

    def test_missing_requests_are_waited_for(self) -> None:
        """The verdict comes once all is met, or when the time is up."""
        client = self.serve()
        self.expectations.add(STAT | {"times": 2})
        verdicts: list[Deferred[Any]] = [self.expectations.verify() for _ in range(2)]
        client.send(b"STAT\r\n")
        self.reactor.pump([LOOK_SECONDS] * 10)
        self.assertNoResult(verdicts[0])
        client.send(b"STAT\r\n")
        self.reactor.pump([LOOK_SECONDS] * 10)
        self.assertEqual([self.successResultOf(it) for it in verdicts], [None, None])
        self.expectations.add(STAT)
        late = self.expectations.verify()
        self.reactor.pump([VERIFY_TIMEOUT / 10] * 30)
        self.assertIn("1 unmet expectation", self.successResultOf(late))

    def test_a_wait_looks_only_when_something_has_happened(self) -> None:
        """Until then it has one timer, for the end of its time; a removal ends it as well."""
        self.serve()
        number = self.expectations.add(STAT)
        self.reactor.pump([1] * 5)
        others = {it.getTime() for it in self.reactor.getDelayedCalls()}
        waiting = self.expectations.verify(600)
        self.reactor.pump([0] * 10)
        times = {it.getTime() for it in self.reactor.getDelayedCalls()} - others
        self.assertEqual(times, {self.reactor.seconds() + 600})
        self.expectations.remove(number)
        self.reactor.pump([LOOK_SECONDS] * 2)
        self.assertIsNone(self.successResultOf(waiting))

    def test_nobody_is_connected(self) -> None:
        """Without a client, only a timeout that was given is waited for."""
        self.serve().reset()
        self.expectations.add(STAT)
        self.assertIn("1 unmet expectation", self.verdict() or "")
        waiting = self.expectations.verify(3)
        self.reactor.pump([LOOK_SECONDS] * 10)
        self.another().send(b"STAT\r\n")
        self.reactor.pump([LOOK_SECONDS] * 10)
        self.assertIsNone(self.successResultOf(waiting))

    def test_a_request_that_no_rule_matches(self) -> None:
        """It is unexpected, with and without expectations, and stays a miss of the script."""
        for table in (None, STAT):
            client = self.serve(SCRIPT)
            if table is not None:
                self.expectations.add(table)
                self.ask(client, "STAT")
            client.send(b"LOGON\r\n")
            self.assertTrue(client.got_eof)
            text = self.verdict(0) or ""
            self.assertIn("reqresp service: 1 unexpected request\n", text)
            self.assertIn("< b'LOGON'  unexpected; connection closed", text)
            self.assertIsNone(self.verdict(0, strict=False))

    def test_framings_of_states(self) -> None:
        """Each reply is shown as it was sent, with and without expectations, and with faults."""
        script = """
            [state.b]
            reply_framing = "int8"
            [[rule]]
            equals = "a"
            reply  = "one"
            goto   = "b"
            [[rule]]
            when   = "b"
            reply  = "two"
            faults = [{ kind = "latency", delay = 0 }]
        """
        for table in (None, STAT):
            client = self.serve(script)
            if table is not None:
                self.expectations.add(table)
            client.send(b"a\nb\n")
            self.assertEqual(client.received(), b"one\r\n\x03two")
            text = self.expectations.conversation()
            self.assertIn(r"#1 < b'a'  > b'one\r\n'  (rule[0]", text)
            self.assertIn(r"#1 < b'b'  > b'\x03two'  (rule[1]", text)

    def test_unfinished_and_malformed_requests(self) -> None:
        """Both are problems of a strict verdict."""
        client = self.serve("framing = 'netstring'\n[[rule]]\nreply = 'x'\n")
        client.send(b"4:ab")
        self.another().send(b"nonsense")
        self.assertRegex(
            self.verdict(0) or "",
            "^reqresp service: 1 malformed request, 1 unfinished request\n(.*\n)*"
            "  #1 < b'4:ab'  +unfinished: 2 of 4 bytes",
        )

    def test_a_reply_that_is_still_under_way(self) -> None:
        """The verdict waits until it has been sent."""
        client = self.serve()
        self.expectations.add({"kind": "expect", "reply": "x", "delay": 0.5})
        client.send(b"a\r\nb\r\n")
        verdict = self.expectations.verify()
        self.reactor.pump([LOOK_SECONDS] * 20)
        self.assertNoResult(verdict)
        self.reactor.pump([LOOK_SECONDS] * 50)
        self.assertIsNone(self.successResultOf(verdict))

    def test_clear_forgets(self) -> None:
        """Nothing from before is in the next verdict."""
        client = self.serve(SCRIPT)
        self.expectations.add(STAT)
        client.send(b"LOGON\r\nx")
        self.assertIn("1 unexpected request, 1 unmet", self.verdict(0) or "")
        self.expectations.clear()
        self.assertIsNone(self.verdict(0))
        self.ask(self.another(), "LOGIN")
        self.assertEqual(
            self.expectations.conversation(), "#2 < b'LOGIN'  > b'welcome\\r\\n'  (rule[0])"
        )

    def test_a_journal_that_continues(self) -> None:
        """Only lines that were dropped are omitted: not those that were cleared or never there."""
        client = self.serve()
        self.ask(client, "NOOP")
        self.expectations.add(STAT)
        self.journal.clear()
        self.journal.continue_at(100)
        self.ask(client, "x")
        self.assertEqual(
            (self.verdict(0) or "").splitlines()[1], "  #1 < b'x'  > b'-ERR\\r\\n'  (table)"
        )

    def test_a_replay(self) -> None:
        """A client that deviates from the recording is a problem, until it is forgotten."""
        client = self.serve(recorded("> a", "< b"))
        client.send(b"x\r\n")
        self.assertIn("1 deviation", self.verdict(0) or "")
        self.expectations.clear()
        self.assertIsNone(self.verdict(0))


class RequestsTests(Expecting):
    """What `Expectations.requests` returns."""

    def test_matching_requests(self) -> None:
        """They fulfil the predicates, whatever has answered them."""
        client = self.serve()
        self.ask(client, "NOOP", "RETR 1", "RETR 2")
        found = self.result_of(self.expectations.requests({"starts_with": "RETR"}))
        self.assertEqual(
            [(it.data, it.connection, it.number) for it in found],
            [(b"RETR 1", 1, 2), (b"RETR 2", 1, 3)],
        )
        every = self.result_of(self.expectations.requests({"not": {"equals": "NOOP"}}))
        self.assertEqual(every, found)

    def test_requests_that_have_not_come(self) -> None:
        """As many as are asked for are waited for, and no longer than the timeout."""
        client = self.serve()
        self.ask(client, "a")
        waiting = self.expectations.requests({"equals": "a"}, times=2, timeout=1)
        self.reactor.pump([LOOK_SECONDS] * 10)
        self.assertNoResult(waiting)
        self.ask(client, "a")
        self.reactor.pump([LOOK_SECONDS] * 10)
        self.assertEqual(len(self.successResultOf(waiting)), 2)
        late = self.expectations.requests({"equals": "a"}, times=3, timeout=1)
        self.reactor.pump([0.1] * 20)
        self.assertEqual(len(self.successResultOf(late)), 2)

    def test_requests_without_a_reply(self) -> None:
        """A request that is not answered yet is found as well, once."""
        client = self.serve()
        self.expectations.add({"kind": "on", "equals": "slow", "do": [{"wait": 5}]})
        client.send(b"NOOP\r\nslow\r\n")
        for seconds in (0, 6):
            self.reactor.advance(seconds)
            found = self.expectations.requests({})
            for _ in range(9):
                self.reactor.advance(0)
            requests = [it.data for it in self.successResultOf(found)]
            self.assertEqual(requests, [b"NOOP", b"slow"])

    def test_wrong_predicates(self) -> None:
        """All problems are in one error; a state is no predicate of a request."""
        self.serve()
        with self.assertRaises(ScriptError) as raised:
            self.expectations.requests({"matches": "(", "size": -1, "when": "in"})
        self.assertEqual(
            [it.path for it in raised.exception.problems],
            ["request.when", "request.size", "request.matches"],
        )
