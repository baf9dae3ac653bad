"""Reachability: states that no conversation reaches and rules that never answer are reported."""

from collections.abc import Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.script import Script, ScriptError
from reqresp.script.names import REQUEST_SOURCES
from reqresp.script.predicates import Predicates
from reqresp.script.reachability import check_states, never_answering
from reqresp.script.rule import CLOSES, Rule
from reqresp.script.rules import Rules
from reqresp.script.templates import read_template
from reqresp.server.triggers import Trigger
from reqresp.steps import RuleReply, Send

PROPERTY = settings(derandomize=True, max_examples=100)

#: All requests; no rule names only the last one.
REQUESTS = [b"", b"a", b"A", b"b", b"ab", b"zz"]
#: Requests in a conversation: enough to use up two rules, and one more.
LONGEST = 3

NEEDLES = st.sampled_from([b"", b"a", b"A", b"b", b"ab"])
#: One object, as in a script: templates with the same sources are equal.
REQUEST = read_template("{request}", str.encode, REQUEST_SOURCES)
STATES = st.sampled_from(["start", "s", "t"])


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for mostly empty tuples."""
    return st.just(()) | st.just(()) | st.lists(values, min_size=1, max_size=2).map(tuple)


PREDICATES = st.builds(
    Predicates,
    equals=some(NEEDLES | st.just(REQUEST)),
    starts_with=some(NEEDLES),
    contains=some(st.just(b"a")),
    matches=some(st.sampled_from([b"a.*", b"(?s).*"])),
    size=st.none() | st.none() | st.sampled_from([(0, None), (1, 1)]),
    ignore_case=st.booleans(),
    unless=st.none() | st.none() | st.builds(Predicates, equals=some(NEEDLES)),
)
RULES = st.lists(
    st.builds(
        Rule,
        name=st.just(""),
        replies=st.just([(Send(b"x"),)]),
        trigger=st.sampled_from([Trigger.REQUEST, Trigger.REQUEST, Trigger.CONNECT]),
        predicates=PREDICATES,
        when=st.none() | st.frozensets(STATES, min_size=1, max_size=2),
        times=st.none() | st.none() | st.integers(1, 2),
        per_connection=st.booleans(),
        goto=st.none() | st.none() | STATES,
    ),
    max_size=5,
)


#: Rules that name every state.
LAST = Rule(
    name="last",
    replies=[()],
    predicates=Predicates(equals=(b"never asked",)),
    when=frozenset(["start", "s", "t"]),
)


def named(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules with names as a script has them."""
    names = [f"rule[{place}]" for place in range(len(rules))]
    return [
        *(evolve(rule, name=name, path=name) for rule, name in zip(rules, names, strict=True)),
        LAST,
    ]


def talk(book: Rules, requests: Sequence[bytes]) -> tuple[set[str], set[str]]:
    """Return the rules that answer *requests* on one connection, and the states reached."""
    connection: Any = SimpleNamespace(taken=0, number=1, notes=None, peer=None, config=None)
    states = {book.state(connection)}
    greeting = book.react(Trigger.CONNECT, connection)
    names = {greeting.by} if isinstance(greeting, RuleReply) else set[str]()
    states.add(book.state(connection))
    for data in requests:
        connection.taken += 1
        steps = book.respond(data, connection)
        assert isinstance(steps, RuleReply)
        names.add(steps.by)
        states.add(book.state(connection))
    return names, states


def every_talk(rules: Sequence[Rule]) -> tuple[set[str], set[str]]:
    """Return the rules that answer, and the states reached, in all conversations."""
    book = Rules(rules, unmatched=Rule(name="unmatched", replies=CLOSES.replies))
    talks = [talk(book.anew(), requests) for requests in product(REQUESTS, repeat=LONGEST)]
    return set.union(*(names for names, _ in talks)), set.union(*(states for _, states in talks))


def warned(rules: Sequence[Rule], start: str = "start") -> dict[str, list[str]]:
    """Return the rules that never answer, each with the rules that answer instead."""
    found = never_answering(start, rules)
    return {rule.name: [it.name for it in instead] for rule, instead in found}


def state_problems(rules: Sequence[Rule]) -> list[str]:
    """Return the problems with the states of *rules*."""
    messages: list[str] = []
    check_states("start", rules, [], lambda _path, message: messages.append(message))
    return messages


class FuzzedTests(SynchronousTestCase):
    """All results agree with every possible conversation of a few requests."""

    @PROPERTY
    @given(RULES)
    def test_a_rule_with_a_warning_never_answers(self, some_rules: list[Rule]) -> None:
        """A rule with a warning never answers, and the rules named are before it."""
        rules = named(some_rules)
        never = warned(rules)
        if never:
            names, _ = every_talk(rules)
            self.assertEqual(names & {*never}, set())
        order = [rule.name for rule in rules]
        for name, instead in never.items():
            self.assertTrue(instead)
            self.assertEqual(instead, sorted({*instead}, key=order.index))
            self.assertLess(order.index(instead[-1]), order.index(name))

    @PROPERTY
    @given(
        st.lists(
            st.builds(
                Rule,
                name=st.just(""),
                replies=st.just([()]),
                predicates=st.builds(Predicates, equals=some(NEEDLES)),
                when=st.none() | st.just(frozenset(["start"])),
                times=st.sampled_from([None, None, 1]),
            ),
            max_size=4,
        )
    )
    def test_rules_without_a_warning_answer(self, some_rules: list[Rule]) -> None:
        """For rules with `equals` alone the warnings are complete: all others answer something."""
        rules = [rule for rule in named(some_rules) if rule is not LAST]
        if sum(rule.times or 0 for rule in rules) < LONGEST:
            self.assertEqual({rule.name for rule in rules} - every_talk(rules)[0], {*warned(rules)})

    @PROPERTY
    @given(RULES)
    def test_an_unreachable_state_is_never_reached(self, some_rules: list[Rule]) -> None:
        """A state that is reported as unreachable is reached in no conversation."""
        rules = named(some_rules)
        messages = state_problems(rules)
        if messages:
            _, reached = every_talk(rules)
            unreached = {f"no rule goes to the state {state!r}" for state in ("s", "t")}
            self.assertLessEqual({*messages}, unreached)
            for state in reached:
                self.assertNotIn(f"no rule goes to the state {state!r}", messages)


class ScriptTestCase(SynchronousTestCase):
    """Reads whole scripts."""

    def problems(self, text: str) -> list[str]:
        """Return the problems of a script that does not load."""
        with self.assertRaises(ScriptError) as caught:
            Script.parse(text)
        return str(caught.exception).split("\n")

    def warnings(self, *rules: str, before: str = "") -> list[str]:
        """Return the warnings of a script with these silent rules, each on its own line."""
        text = "".join(f"\n    {{ silent = true, {rule} }}," for rule in rules)
        return [str(it) for it in Script.parse(f"{before}\nrule = [{text}\n]").warnings]

    def assert_warned(self, *rules: str, before: str = "") -> None:
        """Assert that the last rule, and no other, never answers because of the first."""
        last = len(rules) - 1
        self.assertEqual(
            self.warnings(*rules, before=before),
            [
                f"script:{last + 3}: rule[{last}]: never answers:"
                " rule[0] already answers every request that it matches"
            ],
        )


class NeverAnsweringTests(ScriptTestCase):
    """Rules that never answer."""

    def test_equal_predicates(self) -> None:
        """A rule with equal predicates never answers, whatever the predicates are."""
        for rule in (
            'equals = "a"',
            'starts_with = ["a", "b"]',
            "matches = 'a(.)'",
            'contains = { template = "{peer}" }, size = { min = 1, max = 3 }',
            'ends_with = "a", not = { equals = "a" }',
        ):
            self.assert_warned(rule, rule)
            self.assert_warned(rule, 'equals = "z"', rule, before="ignore_case = true")

    def test_equal_bytes(self) -> None:
        """Values that are written differently but are the same bytes are equal."""
        self.assert_warned('equals = "a"', 'equals = { hex = "61" }')

    def test_after_a_rule_that_matches_everything(self) -> None:
        """No rule answers after one that matches every request, whether it ignores case or not."""
        for case in ("", ", ignore_case = true"):
            for rule in ('equals = "a"', "size = 3", "matches = '.'", "ignore_case = true"):
                self.assert_warned(f"scope = 'server' {case}", rule)

    def test_a_subset_of_the_values(self) -> None:
        """A rule whose values an earlier rule has too never answers, in any order."""
        self.assert_warned('equals = ["a", "b", "c"]', 'equals = ["c", "a"]')
        self.assert_warned('equals = ["a", "b"]', 'equals = "b", size = 1')
        self.assert_warned('equals = "A", ignore_case = true', 'equals = "a"')
        self.assert_warned('equals = "a", ignore_case = true', 'equals = "A", ignore_case = true')

    def test_several_rules_together(self) -> None:
        """Several rules together can answer everything, each in another state."""
        (warning,) = self.warnings(
            'when = "b", equals = "x", goto = "start"',
            'equals = "x", goto = "b"',
            'when = ["b", "start"], equals = "x"',
        )
        self.assertTrue(
            warning.endswith("rule[0] and rule[1] already answer every request that it matches"),
            warning,
        )

    def test_rules_that_may_answer(self) -> None:
        """There is no warning for a rule that has requests of its own or takes over later."""
        for first, second in (
            ('equals = "a"', 'equals = ["a", "b"]'),
            ('equals = "a", size = 1', 'equals = "a"'),
            ('equals = "a"', 'equals = "A", ignore_case = true'),
            ('equals = "a"', 'equals = "a", ignore_case = true'),
            ('equals = "a"', 'starts_with = "a"'),
            ('starts_with = "a"', 'equals = "b"'),
            ('times = 1, equals = "a"', 'equals = "a"'),
            ("times = 1", 'equals = "a"'),
            ('times = 1, scope = "connection"', 'equals = "a"'),
            ('equals = "a", not = { size = 1 }', 'equals = "a"'),
            ('equals = { template = "{peer}" }', 'equals = { template = "{connection}" }'),
            ("matches = 'a(.)'", "matches = 'a.'"),
            ("size = 1", "size = 2"),
            ('goto = "b"', 'when = "b"'),
            ('goto = "b", equals = "a"', 'when = ["b", "start"], equals = "a"'),
            ('equals = "b"', 'when = "*"'),
        ):
            self.assertEqual(self.warnings(first, second), [], (first, second))

    def test_in_some_of_its_states(self) -> None:
        """There is no warning for a rule that answers in some of its states."""
        rules = ['equals = "x", goto = "b"', 'when = ["b", "start"], equals = "x"']
        self.assertEqual(self.warnings(*rules), [])
        self.assertEqual(len(self.warnings('when = "*"', rules[0], rules[1])), 2)

    def test_the_same_warnings_each_time(self) -> None:
        """The warnings come in the order of the rules, whatever the hash seed."""
        rules = [f'when = "{state}", goto = "{state}"' for state in "abcdefgh"]
        rules = ['when = "*", equals = "x", goto = "a"', *rules, 'when = ["h", "c", "a", "e"]']
        for state, following in zip("abcdefgh", "bcdefgha", strict=True):
            rules.append(f'when = "{state}", equals = "y", goto = "{following}"')
        with self.assertRaises(ScriptError):  # only `a` is reached: the others follow it
            self.warnings(*rules[:9])
        found = self.warnings(*rules)
        self.assertEqual(len(found), 9)
        self.assertIn("rule[1] and rule[3] and rule[5] and rule[8] already answer every", found[0])


class StatesTests(ScriptTestCase):
    """The states of a script."""

    def test_a_goto_to_an_unknown_state(self) -> None:
        """A goto to an unknown state is a problem, with the similar state or all states."""
        text = """
            greeting = { reply = "hi", goto = "dta" }
            unmatched = { close = true, goto = "x" }
            [[rule]]
            silent = true
            goto = "data"
            [[rule]]
            when = "data"
            silent = true
            goto = "*"
        """
        self.assertEqual(
            self.problems(text),
            [
                "script:2: greeting.goto: unknown state 'dta'; did you mean data?",
                "script:3: unmatched.goto: unknown state 'x'; expected one of: start, data",
                "script:10: rule[1].goto: unknown state '*'; expected one of: start, data",
            ],
        )

    def test_a_state_that_no_rule_goes_to(self) -> None:
        """A state that no rule goes to is reported once, where it is first named."""
        text = """
            rule = [
                { when = "a", silent = true },
                { when = ["a", "b"], silent = true },
            ]
        """
        self.assertEqual(
            self.problems(text),
            [
                "script:3: rule[0].when: no rule goes to the state 'a'",
                "script:4: rule[1].when: no rule goes to the state 'b'",
            ],
        )

    def test_states_that_only_lead_to_each_other(self) -> None:
        """States that only lead to each other cannot be reached."""
        text = """
            rule = [
                { when = "a", silent = true, goto = "b" },
                { when = "b", silent = true, goto = "a" },
            ]
        """
        self.assertEqual(len(self.problems(text)), 2)

    def test_all_ways_to_a_state(self) -> None:
        """A state is reached from the start, from every state, by the greeting, or by unmatched."""
        last = '{ when = "a", silent = true }'
        for rule, more in (
            ('{ silent = true, goto = "a" }', ""),
            ('{ when = "*", silent = true, goto = "a" }', ""),
            ("{ silent = true }", 'greeting = { silent = true, goto = "a" }'),
            ("{ silent = true }", 'unmatched = { silent = true, goto = "a" }'),
            ("{ silent = true }", 'start = "a"'),
            ('{ silent = true, goto = "b" }, { when = "b", silent = true, goto = "a" }', ""),
        ):
            Script.parse(f"{more}\nrule = [{rule}, {last}]")

    def test_the_start_is_a_state(self) -> None:
        """The start is a state even if no rule names it."""
        text = 'start = "s"\nrule = [{ silent = true, goto = "s" }]'
        self.assertEqual({*Script.parse(text).rules.states}, {"s"})

    def test_the_start_is_one_state(self) -> None:
        """The start cannot be "*"."""
        self.assertEqual(
            self.problems('start = "*"'),
            ['script:1: start: expected one state, found "*", which means every state'],
        )

    def test_every_state_and_another(self) -> None:
        """ "*" cannot be combined with other states."""
        self.assertEqual(
            self.problems('rule = [{ silent = true, when = ["*", "start"] }]'),
            ['script:1: rule[0].when: expected states, or "*" alone'],
        )
