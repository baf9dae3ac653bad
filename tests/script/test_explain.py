"""Explain: a conversation with a script, written out without a server."""

from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script
from reqresp.script.explain import explain


class ExplainTests(SynchronousTestCase):
    """The text that `reqresp explain` prints."""

    maxDiff = None

    def explained(self, text: str, *requests: bytes) -> str:
        return explain(Script.parse(dedent(text).lstrip()), requests)

    def check(self, text: str, requests: list[bytes], expected: str) -> None:
        self.assertEqual(self.explained(text, *requests), dedent(expected).strip("\n"))

    def test_a_conversation(self) -> None:
        """Each request has its state, its rule, its steps and its faults."""
        self.check(
            """
            greeting = "hello"
            [[rule]]
            starts_with = "in "
            delay = 0.5
            reply = ["a", { template = "{0}", raw = true }]
            goto = "inside"
            [[rule]]
            when = "inside"
            equals = "note"
            silent = true
            [[rule]]
            when = "inside"
            do = [{ stop_reading = true }, { half_close = true }, { hang = true }]
            faults = [{ kind = "slicer", size = 3 }]
            [[fault]]
            kind = "latency"
            delay = 1
            probability = 0.25
            """,
            [b"in x", b"note", b"bye", b"more"],
            r"""
            a client connects
                greeting (line 1)
                > b'hello'
                faults: latency (probability 0.25)
            start: b'in x'
                rule[0] (line 2)
                wait 0.5 s
                > b'a'
                > b'in x', raw
                faults: latency (probability 0.25)
                new state: inside
            inside: b'note'
                rule[1] (line 7)
                silence
                faults: latency (probability 0.25)
            inside: b'bye'
                rule[2] (line 11)
                stop reading
                half-close
                hang
                faults: slicer, latency (probability 0.25)
            inside: b'more'
                not answered after stop reading
            """,
        )

    def test_a_miss(self) -> None:
        """A request that no rule matches has the nearest rules and the first byte that differs."""
        self.check(
            """
            [[rule]]
            equals = "STAT"
            reply = "+OK"
            [[rule]]
            starts_with = "USER"
            reply = "+OK"
            """,
            [b"STAS"],
            """
            start: b'STAS'
                no rule matches (the script has no unmatched)
                close
                nearest: rule[0] (line 1) equals, differs at byte 3
                    want 53 54 41 54 |STAT|
                    got  53 54 41 53 |STAS|
            """,
        )

    def test_a_rule_that_is_used_up(self) -> None:
        """A rule that would match but is used up is named."""
        self.check(
            """
            rule = [{ equals = "a", reply = "b", times = 1 }]
            unmatched = "what?"
            """,
            [b"a", b"a"],
            """
            start: b'a'
                rule[0] (line 1)
                > b'b'
            start: b'a'
                unmatched (line 2)
                > b'what?'
                rule[0] (line 1) matches, but is used up
            """,
        )

    def test_a_rule_of_another_state(self) -> None:
        """A rule that would match in another state is named with that state."""
        self.check(
            """
            rule = [
                { equals = "in", reply = "in", goto = "inside" },
                { when = "inside", equals = "work", reply = "done" },
            ]
            """,
            [b"work"],
            """
            start: b'work'
                no rule matches (the script has no unmatched)
                close
                rule[1] (line 3) matches, but in state inside
                nearest: rule[0] (line 2) equals, differs at byte 0
                    want 69 6e       |in|
                    got  77 6f 72 6b |work|
            """,
        )

    def test_what_cannot_be_framed(self) -> None:
        """A reply that cannot be framed is shown with the error, and resets the connection."""
        self.check(
            """
            framing = "netstring"
            reply_framing = "fixed:3"
            rule = [{ reply = { template = "{0}" } }]
            """,
            [b"abc", b"ab", b"c"],
            """
            start: b'abc'
                rule[0] (line 3)
                > b'abc'
            start: b'ab'
                rule[0] (line 3)
                > b'ab'
                    cannot be framed, connection reset: expected a payload of 3 bytes, found 2
            start: b'c'
                not answered after reset
            """,
        )

    def test_faults_of_connections(self) -> None:
        """Faults of the connection are shown when the client connects."""
        fault = '[[fault]]\non = "connect"\nkind = "reset_peer"'
        expected = "a client connects\n    faults: reset_peer"
        self.assertEqual(self.explained(fault), expected)

    def test_another_run_begins_anew(self) -> None:
        """Explaining a script changes no count in it."""
        script = Script.parse('rule = [{ reply = "once", times = 1 }]\nunmatched = "rest"')
        self.assertEqual(explain(script, [b"x"]), explain(script, [b"x"]))

    def test_other_triggers(self) -> None:
        """What follows if the client is malformed or idle, or another one is refused."""
        self.check(
            """
            [[rule]]
            on    = "idle"
            when  = "in"
            times = 1
            reply = { template = "bye {count}" }
            [[rule]]
            on    = "idle"
            reply = "who?"
            [[rule]]
            on = "malformed"
            when = "*"
            do = [{ send = "no" }, { abort = true }]
            [[rule]]
            on     = "refused"
            silent = true
            [[rule]]
            equals = "in"
            goto   = "in"
            silent = true
            [[rule]]
            when  = "in"
            close = true
            [[rule]]
            when  = "in"
            every = 2
            reply = { template = "tick {count}" }
            [[rule]]
            every = 3
            reply = "elsewhere"
            """,
            [b"in"],
            """
            start: b'in'
                rule[4] (line 16)
                silence
                new state: in
            every 2 s
                rule[6] (line 23)
                > b'tick 1'
            if bytes that are no request follow
                rule[2] (line 9)
                > b'no'
                reset
            if the client is then idle until a timeout
                rule[0] (line 1)
                > b'bye 1'
                close
            if another client is refused
                rule[3] (line 13)
                silence
                close
            """,
        )
        closed = self.explained('rule = [{ on = "idle", reply = "bye" }, { close = true }]', b"x")
        self.assertNotIn("idle", closed)

    def test_rules_with_names(self) -> None:
        """A rule with a name is shown with its name, its place and its line."""
        self.check(
            """
            [[rule]]
            name = "status"
            equals = "STAT"
            reply = "+OK"
            times = 1
            [[rule]]
            equals = "LIST"
            reply = "+OK"
            """,
            [b"STAT", b"LIST", b"STAT", b"STATS"],
            r"""
            start: b'STAT'
                status (rule[0], line 1)
                > b'+OK'
            start: b'LIST'
                rule[1] (line 6)
                > b'+OK'
            start: b'STAT'
                no rule matches (the script has no unmatched)
                close
                status (rule[0], line 1) matches, but is used up
                nearest: rule[1] (line 6) equals, differs at byte 0
                    want 4c 49 53 54 |LIST|
                    got  53 54 41 54 |STAT|
            start: b'STATS'
                not answered after close
            """,
        )
