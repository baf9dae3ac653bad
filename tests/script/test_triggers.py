"""Rules that something other than a request triggers."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp import Access, EagerServer, Journal, Script, ScriptError, parse_networks
from reqresp.journal import Sent, as_json
from reqresp.journal.lines import PlainLines
from reqresp.server._refused import MAX_ANSWERED, MAX_SECONDS
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


class EndingTests(Scripted):
    """Rules that answer before a connection is ended by the server itself."""

    def test_an_idle_client_gets_a_farewell(self) -> None:
        """It is sent when the timeout is over, then the connection closes."""
        wire = self.script("""
            limits = { idle_timeout = 4 }
            rule   = [{ on = "idle", reply = "421 timeout" }, { reply = "yes" }]
        """)
        self.assertEqual(self.ask(wire, "a"), ["yes|"])
        wire.pass_seconds(4)
        self.assertEqual(wire.received(), b"")
        wire.pass_seconds(1)
        self.assertEqual(wire.received(), b"421 timeout\r\n")
        self.assertTrue(wire.got_eof)
        self.assertFalse(wire.got_reset)

    def test_a_farewell_has_steps_states_and_faults(self) -> None:
        """What arrives after it has begun is not answered."""
        wire = self.script("""
            seed   = 1
            limits = { idle_timeout = 4 }
            [[rule]]
            equals = "in"
            reply  = "ok"
            goto   = "in"
            [[rule]]
            on    = "idle"
            reply = "who are you?"
            [[rule]]
            on     = "idle"
            when   = "in"
            do     = [{ send = "bye" }, { wait = 2 }, { send = "!" }]
            faults = [{ kind = "latency", delay = 1 }]
        """)
        self.assertEqual(self.ask(wire, "in"), ["ok|"])
        wire.pass_seconds(5)
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(self.ask(wire, "in"), ["bye|"])
        wire.wait(2)
        self.assertEqual(wire.received(), b"!\r\n")
        self.assertTrue(wire.got_eof)

    def test_a_farewell_within_a_request(self) -> None:
        """A request that takes too long to arrive gets one, and is reported as unfinished."""
        for limits in ("idle_timeout = 4", "request_timeout = 4"):
            self.heard.events.clear()
            wire = self.script(f"""
                limits = {{ {limits} }}
                rule   = [{{ on = "idle", reply = "408 timeout" }}]
            """)
            wire.send(b"half a li")
            wire.pass_seconds(6)
            self.assertEqual(wire.received(), b"408 timeout\r\n")
            self.assertTrue(wire.got_eof)
            self.assertEqual(self.heard.events, ["connected", "incomplete", "disconnected"])

    def test_a_farewell_that_is_used_up(self) -> None:
        """The connection closes without one, in order."""
        factory = self.server("""
            limits = { idle_timeout = 4 }
            rule   = [{ on = "idle", reply = "bye", times = 1 }]
        """)
        for farewell in (b"bye\r\n", b""):
            wire = self.join(factory)
            wire.pass_seconds(5)
            self.assertEqual(wire.received(), farewell)
            self.assertTrue(wire.got_eof)

    def test_a_client_that_reads_nothing_gets_no_farewell(self) -> None:
        """It is reset, as without a rule."""
        wire = self.script(f"""
            limits = {{ idle_timeout = 4 }}
            rule   = [{{ on = "idle", reply = "bye" }}, {{ reply = "{"x" * 300_000}" }}]
        """)
        wire.stop_reading()
        wire.send(b"a\n")
        wire.pass_seconds(6)
        self.assertTrue(wire.got_reset)

    def test_malformed_bytes_are_answered(self) -> None:
        """The requests before them are answered first; what follows is not."""
        wire = self.script("""
            limits = { max_request = 8 }
            rule   = [{ on = "malformed", reply = "500 too long", delay = 1 }, { reply = "yes" }]
        """)
        wire.send(b"a\n" + b"b" * 20 + b"\nc\n")
        self.assertEqual(wire.received(), b"yes\r\n")
        wire.send(b"d\n")
        wire.wait(1)
        self.assertEqual(wire.received(), b"500 too long\r\n")
        self.assertTrue(wire.got_eof)
        self.assertFalse(wire.got_reset)
        self.assertEqual(self.heard.events, ["connected", "received", "answered", "failed"])

    def test_malformed_bytes_can_cause_a_reset(self) -> None:
        """The steps of the rule decide how the connection ends."""
        wire = self.script("""
            limits = { max_request = 8 }
            rule   = [{ on = "malformed", do = [{ send = "no" }, { abort = true }] }]
        """)
        wire.send(b"b" * 20)
        self.assertEqual(wire.received(), b"no\r\n")
        self.assertTrue(wire.got_reset)

    def test_faults_of_replies_do_not_keep_a_malformed_client(self) -> None:
        """Without a rule, the connection is closed at once, whatever the faults."""
        wire = self.script("""
            seed   = 1
            limits = { max_request = 8 }
            rule   = [{ reply = "yes" }]
            fault  = [{ kind = "blackhole" }]
        """)
        wire.send(b"b" * 20)
        self.assertTrue(wire.got_eof)


class EagerEndingTests(EndingTests):
    """The same on the eager transport."""

    transport = EagerServer


class RefusedTests(Scripted):
    """Rules that answer clients which are refused."""

    SCRIPT = """
        limits = { max_connections = 1 }
        rule   = [{ on = "refused", reply = "421 too many" }, { reply = "yes" }]
    """

    def test_a_client_over_the_limit_is_answered(self) -> None:
        """Its requests are not; the clients that are connected go on."""
        factory = self.server(self.SCRIPT)
        first, second = self.join(factory), self.join(factory)
        self.assertEqual(second.received(), b"421 too many\r\n")
        self.assertTrue(second.got_eof)
        self.assertFalse(second.got_reset)
        self.assertEqual(self.ask(first, "a"), ["yes|"])
        self.assertEqual((factory.accepted, factory.refused, factory.open), (1, 1, 1))

    def test_a_client_that_is_denied_is_answered(self) -> None:
        """The access list refuses as the limits do."""
        factory = self.server(self.SCRIPT, access=Access(deny=parse_networks("127.0.0.1")))
        wire = self.join(factory)
        self.assertEqual(wire.received(), b"421 too many\r\n")

    def test_the_first_are_reset(self) -> None:
        """A rule can reset; where none applies, the client is reset without an answer."""
        factory = self.server("""
            limits = { max_connections = 1 }
            rule = [
              { on = "refused", times = 1, do = [{ send = "busy" }, { abort = true }] },
              { on = "refused", times = 1, silent = true },
            ]
        """)
        self.join(factory)
        wires = [self.join(factory) for _ in range(3)]
        self.assertEqual([it.received() for it in wires], [b"busy\r\n", b"", b""])
        self.assertEqual([it.got_reset for it in wires], [True, False, True])
        self.assertTrue(wires[1].got_eof)

    def test_a_refused_client_takes_no_place(self) -> None:
        """While its answer takes long, another client can have a place that is free."""
        factory = self.server("""
            limits = { max_connections = 1, max_per_peer = 1 }
            rule = [{ on = "refused", delay = 5, reply = "busy" }, { reply = "yes" }]
        """)
        first, refused = self.join(factory), self.join(factory)
        first.reset()
        self.assertEqual(self.ask(self.join(factory), "a"), ["yes|"])
        refused.wait(5)
        self.assertEqual(refused.received(), b"busy\r\n")
        self.assertEqual(len(factory.connections), 1)

    def test_a_refused_client_ends_in_time(self) -> None:
        """However long its answer takes, and whatever it sends."""
        factory = self.server("""
            limits = { max_connections = 1 }
            rule = [{ on = "refused", do = [{ hang = true }] }]
        """)
        self.join(factory)
        wire = self.join(factory)
        wire.send(b"a\n" * 100_000)
        wire.wait(MAX_SECONDS - 1)
        self.assertTrue(wire.is_open)
        wire.wait(1)
        self.assertTrue(wire.got_reset)

    def test_few_are_answered_at_a_time(self) -> None:
        """Those beyond are reset at once, so that a crowd takes little."""
        factory = self.server("""
            limits = { max_connections = 1 }
            rule = [{ on = "refused", delay = 5, reply = "busy" }]
        """)
        self.join(factory)
        wires = [self.join(factory) for _ in range(MAX_ANSWERED)]
        self.assertTrue(self.join(factory).got_reset)
        wires[0].wait(5)
        self.assertEqual({wire.received() for wire in wires}, {b"busy\r\n"})
        wires[0].send_eof()
        self.assertFalse(self.join(factory).got_reset)

    def test_a_drain_waits_for_them(self) -> None:
        """It is over once their answers are sent; clients that come later are reset."""
        factory = self.server("""
            limits = { max_connections = 1 }
            rule = [{ on = "refused", delay = 5, reply = "busy" }]
        """)
        first, refused = self.join(factory), self.join(factory)
        drained: list[None] = []
        factory.drain(9).addCallback(drained.append)
        first.wait(0)
        self.assertTrue(self.join(factory).got_reset)
        first.send_eof()
        self.assertEqual(drained, [])
        refused.wait(5)
        self.assertEqual(refused.received(), b"busy\r\n")
        refused.send_eof()
        self.assertEqual(drained, [None])

    def test_they_are_in_the_journal(self) -> None:
        """The refusal, then a connection with a number of its own."""
        journal = Journal()
        factory = self.server(self.SCRIPT, observers=[journal])
        self.join(factory)
        self.join(factory).send_eof()
        entries = [as_json(it) for it in journal.entries()]
        self.assertEqual(
            [(it["event"], it.get("connection"), it.get("by")) for it in entries],
            [
                ("connected", 1, None),
                ("refused", None, None),
                ("connected", 2, None),
                ("sent", 2, "refused"),
                ("disconnected", 2, None),
            ],
        )


class EagerRefusedTests(RefusedTests):
    """The same on the eager transport."""

    transport = EagerServer


class JournalTests(Scripted):
    """What the rules send stands in the journal with its trigger."""

    def test_by(self) -> None:
        """A line each, in the journal and in the log."""
        journal = Journal()
        factory = self.server(
            """
            limits = { idle_timeout = 4, max_request = 8 }
            rule = [
              { on = "connect", reply = "hello" },
              { on = "idle", reply = "timeout" },
              { on = "malformed", reply = "no" },
            ]
            """,
            observers=[journal],
        )
        self.join(factory).pass_seconds(5)
        self.join(factory).send(b"x" * 20)
        lines = PlainLines(self.reactor.seconds)
        self.assertEqual(
            [line for it in journal.entries() if isinstance(it, Sent) for line in lines.entry(it)],
            [
                r"#1 > 'hello\r\n'  (greeting)",
                r"#1 > 'timeout\r\n'  (idle)",
                r"#2 > 'hello\r\n'  (greeting)",
                r"#2 > 'no\r\n'  (malformed)",
            ],
        )


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
            [
                '1: rule[0].on: expected "request" or "connect" or "idle" or "refused" or'
                " \"malformed\", found 'disconnect'"
            ],
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
