"""Rules that something other than a request triggers."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Script, ScriptError
from tests.support.scripted import Scripted


class ConnectTests(Scripted):
    """Rules on ``connect``, of which ``greeting`` is the short form."""

    def test_a_rule_answers_a_client_that_connects(self) -> None:
        """It answers no request."""
        wire = self.script("""
            rule = [{ on = "connect", reply = "hello" }, { reply = "yes" }]
        """)
        self.assertEqual(wire.received(), b"hello\r\n")
        self.assertEqual(self.ask(wire, "a"), ["yes|"])

    def test_the_first_that_is_not_used_up_answers(self) -> None:
        """The greeting is the first; rules on ``connect`` follow in their order."""
        factory = self.server("""
            greeting = { reply = "first", times = 1, close = true }
            rule = [
              { on = "connect", reply = ["421 busy"], close = true, times = 2 },
              { on = "connect", reply = "220 ready" },
            ]
        """)
        replies = [self.join(factory).received() for _ in range(5)]
        self.assertEqual(
            replies,
            [b"first\r\n", *[b"421 busy\r\n"] * 2, *[b"220 ready\r\n"] * 2],
        )

    def test_the_first_clients_fail(self) -> None:
        """A greeting that is used up is silence, and the connection stays open."""
        factory = self.server("""
            greeting = { times = 2, do = [{ send = "421 busy" }, { abort = true }] }
            rule = [{ reply = "yes" }]
        """)
        for _ in range(2):
            wire = self.join(factory)
            self.assertEqual(wire.received(), b"421 busy\r\n")
            self.assertTrue(wire.got_reset)
        self.assertEqual(self.ask(self.join(factory), "a"), ["yes|"])

    def test_a_rule_changes_the_state(self) -> None:
        """Its reply has its faults, and its ``goto`` is taken."""
        wire = self.script("""
            seed = 1
            [[rule]]
            on     = "connect"
            reply  = "hello"
            goto   = "open"
            faults = [{ kind = "latency", delay = 2 }]
            [[rule]]
            when  = "open"
            reply = "opened"
        """)
        self.assertEqual(wire.received(), b"")
        wire.wait(2)
        self.assertEqual(wire.received(), b"hello\r\n")
        self.assertEqual(self.ask(wire, "a"), ["opened|"])

    def test_a_rule_of_another_state_does_not_answer(self) -> None:
        """A connection begins in the first state."""
        wire = self.script("""
            [[rule]]
            reply = "a"
            goto  = "other"
            [[rule]]
            on    = "connect"
            when  = "other"
            reply = "never"
        """)
        self.assertEqual(self.ask(wire, "x"), ["a|"])


class TriggerProblemTests(SynchronousTestCase):
    """Keys that fit no trigger."""

    def problems(self, text: str) -> list[str]:
        with self.assertRaises(ScriptError) as caught:
            Script.parse(text)
        return [it.removeprefix("script:") for it in str(caught.exception).split("\n")]

    def test_predicates_need_a_request(self) -> None:
        """All predicates of a rule are one problem."""
        self.assertEqual(
            self.problems("""
                [[rule]]
                on     = "connect"
                size   = 3
                not    = { equals = "a" }
                reply  = "hello"
            """),
            [
                "4: rule[0].size: expected no predicate, found size and not:"
                " there is no request on connect"
            ],
        )

    def test_a_forward_needs_a_request(self) -> None:
        """There is nothing to forward."""
        for table, key in (
            ("forward = true", "forward"),
            ("do = [{ forward = true }]", "do[0].forward"),
        ):
            self.assertEqual(
                self.problems(f'framing = "line"\nrule = [{{ on = "connect", {table} }}]'),
                [f"2: rule[0].{key}: expected no forward: there is no request on connect"],
            )

    def test_an_unknown_trigger(self) -> None:
        """The triggers are named."""
        self.assertEqual(
            self.problems('rule = [{ on = "disconnect", silent = true }]'),
            ['1: rule[0].on: expected "request" or "connect", found \'disconnect\''],
        )

    def test_times_of_a_greeting(self) -> None:
        """It is at least once."""
        self.assertEqual(
            self.problems('greeting = { reply = "a", times = 0 }'),
            ["1: greeting.times: expected an integer >= 1, found 0"],
        )

    def test_a_rule_after_one_that_always_answers(self) -> None:
        """Of two rules with the same trigger, the second never answers."""
        script = Script.parse("""
            rule = [
              { reply = "a" },
              { on = "connect", reply = "b" },
              { on = "connect", reply = "c" },
            ]
        """)
        self.assertEqual(
            [str(it) for it in script.warnings],
            [
                "script:5: rule[2]: never answers: rule[1] already answers every request that"
                " it matches"
            ],
        )
