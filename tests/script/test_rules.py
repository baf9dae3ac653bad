"""Rules: which rule answers, in which state and how often, on a real server."""

from types import SimpleNamespace
from typing import Any

from twisted.logger import capturedLogs

from reqresp import EagerServer, FrameError, Script, Send
from reqresp.script.rule import Rule
from reqresp.script.rules import Rules
from reqresp.steps import RuleReply
from tests.support.scripted import Scripted


def explained(reply: RuleReply) -> str:
    """Return the explanation of a *reply* to a request that no rule matches."""
    assert reply.explain is not None
    return reply.explain()


class ChoiceTests(Scripted):
    """The first rule that matches answers."""

    def test_file_order_decides_whatever_the_kind(self) -> None:
        """The first rule in the file answers, whatever kind of predicate it has."""
        rules = {
            "contains": 'contains = "bc"',
            "matches": "matches = 'a.c'",
            "equals": 'equals = "abc"',
            "starts_with": 'starts_with = "a"',
            "size": "size = 3",
        }
        for first in rules:
            order = [first, *(name for name in rules if name != first)]
            text = "".join(f'[[rule]]\n{rules[name]}\nreply = "{name}"\n' for name in order)
            self.assertEqual(self.ask(self.script(text), "abc"), [f"{first}|"])

    def test_times(self) -> None:
        """After `times` replies on the whole server, the next rule answers."""
        factory = self.server("""
            rule = [{ equals = "a", reply = "one", times = 2 }, { equals = "a", reply = "rest" }]
        """)
        first, second = self.join(factory), self.join(factory)
        self.assertEqual(self.ask(first, "a"), ["one|"])
        self.assertEqual(self.ask(second, "a", "a"), ["one|", "rest|"])
        self.assertEqual(self.ask(first, "a"), ["rest|"])

    def test_times_can_count_for_each_connection(self) -> None:
        """With scope "connection", each client gets the first reply."""
        factory = self.server("""
            [[rule]]
            times = 1
            scope = "connection"
            reply = "first"
            [[rule]]
            reply = "again"
        """)
        for wire in (self.join(factory), self.join(factory)):
            self.assertEqual(self.ask(wire, "a", "a"), ["first|", "again|"])

    def test_a_cycle_begins_again(self) -> None:
        """The replies of a cycle come in turn, for all clients together."""
        factory = self.server('rule = [{ cycle = ["a", ["b", "c"]] }]')
        first, second = self.join(factory), self.join(factory)
        self.assertEqual(self.ask(first, "x"), ["a|"])
        self.assertEqual(self.ask(second, "x"), ["b|c|"])
        self.assertEqual(self.ask(first, "x"), ["a|"])

    def test_a_cycle_of_a_connection(self) -> None:
        """With scope "connection", each client sees the cycle from its start."""
        factory = self.server('rule = [{ cycle = ["a", "b"], scope = "connection" }]')
        for wire in (self.join(factory), self.join(factory)):
            self.assertEqual(self.ask(wire, "x", "x", "x"), ["a|", "b|", "a|"])

    def test_a_cycle_can_be_used_up(self) -> None:
        """A cycle ends after `times` replies, at any position."""
        wire = self.script("""
            rule = [{ cycle = ["a", "b"], times = 3 }, { reply = "rest" }]
        """)
        self.assertEqual(self.ask(wire, *"xxxx"), ["a|", "b|", "a|", "rest|"])

    def test_servers_count_for_themselves(self) -> None:
        """Two servers of one script count for themselves."""
        script = Script.parse('rule = [{ reply = "once", times = 1 }, { reply = "rest" }]')
        for _ in range(2):
            wire = self.join(self.factory(script))
            self.assertEqual(self.ask(wire, "x", "x"), ["once|", "rest|"])

    def test_an_unmatched_request_closes(self) -> None:
        """An unmatched request closes the connection; whether to log it is up to observers."""
        wire = self.script('rule = [{ equals = "a", reply = "b" }]')
        with capturedLogs() as events:
            wire.send(b"a\nx\na\n")
        self.assertEqual(wire.received(), b"b\r\n")
        self.assertTrue(wire.got_eof)
        self.assertEqual(events, [])

    def test_a_reply_knows_the_place_of_its_rule(self) -> None:
        """A reply names the rule, where it is in the script, and its line."""
        script = Script.parse(
            '[[rule]]\nequals = "a"\nname = "first"\nreply = "A"\n'
            '[[rule]]\nequals = "b"\nreply = { template = "{request}" }\n'
            '[unmatched]\nreply = "?"'
        )
        self.assertEqual(
            [self.reply(script, data).place for data in (b"a", b"b", b"c")],
            ["first, rule[0], line 1", "rule[1], line 5", "unmatched, line 8"],
        )

    def test_a_miss_explains_itself(self) -> None:
        """A reply to a request that no rule matches names the rule that nearly does."""
        script = Script.parse("""
            start = "out"
            rule = [
                { equals = "hello", reply = "A" },
                { equals = "once", times = 1, reply = "B" },
                { equals = "login", goto = "in", reply = "C" },
                { when = "in", starts_with = "get ", reply = "D" },
            ]
        """)
        for data, text in (
            (b"help", "nearest: rule[0], line 4, equals differs at byte 3"),
            (b"once", "rule[1], line 5, is used up"),
            (b"get a", "rule[3], line 7, matches in state in"),
        ):
            self.assertEqual(explained(self.reply(script, b"once", data)), text)
        self.assertIsNone(self.reply(script, b"hello").explain)
        patterns = Script.parse("rule = [{ matches = 'a+', reply = 'A' }]")
        self.assertEqual(explained(self.reply(patterns, b"b")), "")

    def reply(self, script: Script, *requests: bytes) -> RuleReply:
        """Return the reply to the last of *requests* on a new connection."""
        connection: Any = SimpleNamespace(taken=0, number=1, notes=None, peer=None, config=None)
        rules = script.rules.anew()
        *_, reply = [rules.respond(data, connection) for data in requests]
        assert isinstance(reply, RuleReply)
        return reply

    def test_unmatched(self) -> None:
        """An `unmatched` answer has the keys of any answer, and nothing is logged."""
        wire = self.script('unmatched = { cycle = ["what?", "what??"] }')
        with capturedLogs() as events:
            self.assertEqual(self.ask(wire, "x", "y", "z"), ["what?|", "what??|", "what?|"])
        self.assertEqual(events, [])


class StateTests(Scripted):
    """The state of a conversation."""

    TEXT = """
        start = "out"
        rule = [
            { equals = "in", reply = "welcome", goto = "inside" },
            { when = "inside", equals = "out", reply = "bye", goto = "out" },
            { when = "inside", reply = "you are inside" },
            { when = "*", equals = "state", reply = "never seen inside" },
            { when = ["out", "inside"], reply = "you are out" },
        ]
    """

    def test_a_state_is_the_connections(self) -> None:
        """Each connection has its own state."""
        factory = self.server(self.TEXT)
        first, second = self.join(factory), self.join(factory)
        self.assertEqual(
            self.ask(first, "x", "in", "x"), ["you are out|", "welcome|", "you are inside|"]
        )
        self.assertEqual(self.ask(second, "x"), ["you are out|"])
        self.assertEqual(self.ask(first, "out", "x"), ["bye|", "you are out|"])

    def test_every_state_has_the_rules_of_all(self) -> None:
        """A rule with `when = "*"` is in every state, in file order with the others."""
        wire = self.script(self.TEXT)
        self.assertEqual(self.ask(wire, "state", "in"), ["never seen inside|", "welcome|"])
        self.assertEqual(self.ask(wire, "state"), ["you are inside|"])

    def test_pipelined_requests_are_matched_in_turn(self) -> None:
        """Pipelined requests are matched one by one, each in the state that the one before left."""
        wire = self.script(self.TEXT)
        wire.send(b"in\nx\nout\nx\n")
        expected = b"welcome\r\nyou are inside\r\nbye\r\nyou are out\r\n"
        self.assertEqual(wire.received(), expected)

    def test_goto_happens_when_its_rule_is_chosen(self) -> None:
        """The state changes when the rule is chosen, even if its reply is delayed."""
        wire = self.script("""
            [[rule]]
            equals = "in"
            reply = "welcome"
            delay = 1
            goto = "inside"
            [[rule]]
            when = "inside"
            reply = "inside"
        """)
        wire.send(b"in\nx\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(1)
        self.assertEqual(wire.received(), b"welcome\r\ninside\r\n")

    def test_a_greeting_can_change_the_state(self) -> None:
        """A greeting can change the state of the first request."""
        wire = self.script("""
            greeting = { reply = "hello", goto = "greeted" }
            rule = [{ when = "greeted", reply = "yes" }, { reply = "no" }]
        """)
        self.assertEqual(self.ask(wire, "x"), ["hello|yes|"])

    def test_after_a_close_nothing_is_matched(self) -> None:
        """A request after a close is not matched and uses up no rule."""
        factory = self.server("""
            rule = [{ equals = "q", reply = "bye", close = true }, { reply = "once", times = 1 }]
        """)
        wire = self.join(factory)
        wire.send(b"q\nx\n")
        self.assertEqual(wire.received(), b"bye\r\n")
        self.assertEqual(self.ask(self.join(factory), "x"), ["once|"])


class GreetingTests(Scripted):
    """The greeting."""

    def test_is_sent_at_once(self) -> None:
        """It is sent at once, and is not an exchange."""
        wire = self.script('greeting = "hello"')
        self.assertEqual(wire.received(), b"hello\r\n")
        self.assertEqual(self.heard.events, ["connected"])

    def test_a_delayed_one_holds_up_the_replies(self) -> None:
        """Replies wait for a greeting that is delayed."""
        wire = self.script("""
            greeting = { reply = "hello", delay = 2 }
            rule = [{ reply = "yes" }]
        """)
        wire.send(b"x\n")
        self.assertEqual(wire.received(), b"")
        wire.wait(2)
        self.assertEqual(wire.received(), b"hello\r\nyes\r\n")

    def test_can_be_several_lines_filled_in(self) -> None:
        """A greeting can have several payloads, and templates with the peer and the connection."""
        factory = self.server(
            'greeting = ["a", { template = "{peer} {connection} {request} {count}" }]'
        )
        self.join(factory)
        self.assertEqual(self.join(factory).received(), b"a\r\n127.0.0.1:50000 2 0 2\r\n")

    def test_can_be_a_payload_or_an_answer(self) -> None:
        """A table is a payload or an answer, depending on its keys."""
        for greeting in ('{ hex = "6869" }', '{ reply = "hi" }', '[{ hex = "6869" }]', '"hi"'):
            self.assertEqual(self.script(f"greeting = {greeting}").received(), b"hi\r\n")

    def test_can_end_it(self) -> None:
        """A greeting can close the connection."""
        wire = self.script('greeting = { reply = "busy", close = true }')
        self.assertEqual(wire.received(), b"busy\r\n")
        self.assertTrue(wire.got_eof)

    def test_can_reset(self) -> None:
        """A greeting can reset the connection."""
        wire = self.script("greeting = { do = [{ abort = true }] }")
        self.assertTrue(wire.got_reset)

    def test_one_that_cannot_be_framed_resets(self) -> None:
        """A greeting that cannot be framed is logged and resets the connection."""
        wire = self.script("""
            reply_framing = "fixed:10"
            greeting = [{ template = "{peer}" }]
        """)
        self.assertTrue(wire.got_reset)
        self.assertEqual(len(self.flushLoggedErrors(FrameError)), 1)


class EagerGreetingTests(GreetingTests):
    """The same on the eager transport."""

    transport = EagerServer


class KeptTests(Scripted):
    """Order, half-close, drain and limits hold with delays and faults."""

    TEXT = """
        seed = 7
        [[rule]]
        equals = "slow"
        reply = "slow"
        delay = 1
        faults = [{ kind = "slicer", size = 1, delay = 0.1 }]
        [[rule]]
        reply = { template = "{0}" }
        [[fault]]
        kind = "latency"
        delay = 0.5
    """

    def test_replies_keep_their_order(self) -> None:
        """Replies keep their order, however long and in however many pieces one is sent."""
        wire = self.script(self.TEXT)
        wire.send(b"a\nslow\nb\n")
        for _ in range(100):
            wire.wait(0.1)
        self.assertEqual(wire.received(), b"a\r\nslow\r\nb\r\n")

    def test_a_half_closed_client_gets_all(self) -> None:
        """A client that has half-closed receives all replies, then EOF."""
        wire = self.script(self.TEXT)
        wire.send(b"slow\nb\n")
        wire.send_eof()
        self.assertFalse(wire.got_eof)
        for _ in range(100):
            wire.wait(0.1)
        self.assertEqual(wire.received(), b"slow\r\nb\r\n")
        self.assertTrue(wire.got_eof)

    def test_a_drain_waits(self) -> None:
        """A drain waits for the replies to requests that were received."""
        factory = self.server(self.TEXT)
        wire = self.join(factory)
        wire.send(b"slow\nb\n")
        drained = factory.drain(10)
        for _ in range(50):
            wire.wait(0.1)
        self.assertEqual(wire.received(), b"slow\r\nb\r\n")
        wire.send_eof()
        self.successResultOf(drained)

    def test_too_much_that_waits_is_not_read(self) -> None:
        """A script's limit on waiting requests applies while a reply is delayed."""
        wire = self.script("limits.max_waiting = 100\n" + self.TEXT)
        wire.send(b"slow\n", *[b"x" * 50 + b"\n"] * 4)
        self.assertFalse(wire.reading)
        for _ in range(100):
            wire.wait(0.1)
        self.assertTrue(wire.reading)
        self.assertEqual(wire.received().count(b"\r\n"), 5)


class EagerKeptTests(KeptTests):
    """The same on the eager transport."""

    transport = EagerServer


class ConstantsTests(Scripted):
    """Constant replies that are sent together are those that the rules would choose."""

    def both(self, text: str, *requests: str) -> None:
        """Compare the replies to all requests at once with those to one after the other."""
        at_once = self.script(text)
        at_once.send("".join(f"{request}\n" for request in requests).encode())
        with_fault = self.script(text + '[[fault]]\nkind = "latency"\ndelay = 0\n')
        one_by_one = "".join(self.ask(with_fault, *requests)).replace("|", "\r\n")
        self.assertEqual(at_once.received().decode(), one_by_one)
        self.assertEqual(at_once.got_eof, with_fault.got_eof)

    def test_the_first_rule_that_matches_answers(self) -> None:
        """The first rule that matches answers, even if it has no constant reply."""
        text = """
            ignore_case = true
            [[rule]]
            starts_with = "ab"
            cycle = ["1", "2"]
            [[rule]]
            equals = ["abc", "x", "y"]
            reply = "exact"
            [[rule]]
            equals = ["x", "z"]
            not = { contains = "z" }
            reply = "second"
            [[rule]]
            equals = "q"
            reply = "bye"
            close = true
        """
        self.both(text, "x", "abc", "X", "y", "abc", "Q", "x")
        self.both(text, "x", "z", "x")
        self.both(text, "y", "nothing", "y")

    def test_nothing_is_counted_or_forgotten(self) -> None:
        """Rules with a count or a goto are asked for each request."""
        for rules in (
            '[[rule]]\nequals = "x"\ntimes = 2\nreply = "a"\n[[rule]]\nreply = "b"\n',
            '[[rule]]\nequals = "x"\ngoto = "t"\nreply = "a"\n[[rule]]\nwhen = "t"\nreply = "b"\n',
            '[[rule]]\nequals = { template = "{connection}" }\nreply = "a"\n'
            '[[rule]]\nequals = "1"\nreply = "b"\n[[rule]]\nreply = "c"\n',
        ):
            self.both(rules, "x", "1", "x", "x", "1")

    def test_faults_of_a_rule(self) -> None:
        """The faults of a rule are injected into replies that would be constant without them."""
        fault = '{ kind = "limit_data", bytes = 1 }'
        wire = self.script(f'rule = [{{ equals = "a", reply = "abc", faults = [{fault}] }}]')
        wire.send(b"a\n")
        self.assertEqual((wire.received(), wire.got_eof), (b"a", True))

    def test_observers_see_the_rule(self) -> None:
        """Observers see the rule of a constant reply."""
        wire = self.script('rule = [{ equals = "a", reply = "b" }]')
        wire.send(b"a\na\n")
        self.assertEqual([exchange.by for exchange in self.heard.exchanges], ["rule[0]"] * 2)


class RulesTests(Scripted):
    """Rules that are made in Python."""

    def test_a_constant_that_cannot_be_framed_is_named(self) -> None:
        """A constant reply that cannot be framed names its rule when a server is made."""
        rules = Rules([Rule(name="greedy", replies=[(Send(b"a\nb"),)])])
        with self.assertRaisesRegex(FrameError, "^greedy: "):
            self.lines(rules)

    def test_a_reply_has_the_name_of_its_rule(self) -> None:
        """Observers see which rule answered."""
        wire = self.script(
            'rule = [{ equals = "a", reply = "b" }, { reply = { template = "{0}" } }]'
        )
        self.ask(wire, "a", "x")
        chosen: Any = [exchange.steps for exchange in self.heard.exchanges]
        self.assertEqual([steps.by for steps in chosen], ["rule[0]", "rule[1]"])
        self.assertEqual(chosen, [(Send(b"b"),), (Send(b"x"),)])
