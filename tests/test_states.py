"""States: conversations come to all of them, and to all rules, or the author is told."""

from collections.abc import Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.messages import Chosen, Send
from reqresp.payloads import SOURCES, Template
from reqresp.predicates import Predicates
from reqresp.rules import CLOSES, Rule, Rules
from reqresp.script import Script, ScriptError
from reqresp.states import check_states, never_answering

PROPERTY = settings(deadline=None, derandomize=True, max_examples=400)

#: All that is asked; no rule is about the last alone.
REQUESTS = [b"", b"a", b"A", b"b", b"ab", b"zz"]
#: How many requests a conversation has: enough for all that two rules are good for, and one more.
LONGEST = 3

NEEDLES = st.sampled_from([b"", b"a", b"A", b"b", b"ab"])
#: The same object each time, as in a script: templates are equal if they name the same.
REQUEST = Template((SOURCES["request"],))
STATES = st.sampled_from(["start", "s", "t"])


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly none."""
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
        name=st.none(),
        replies=st.just([(Send(b"x"),)]),
        predicates=PREDICATES,
        when=st.none() | st.frozensets(STATES, min_size=1, max_size=2),
        times=st.none() | st.none() | st.integers(1, 2),
        per_connection=st.booleans(),
        goto=st.none() | st.none() | STATES,
    ),
    max_size=5,
)


def named(rules: Sequence[Rule]) -> list[Rule]:
    """The same with names, as a script gives them."""
    names = [f"rule[{place}]" for place in range(len(rules))]
    return [
        Rule(
            name=name,
            replies=it.replies,
            predicates=it.predicates,
            when=it.when,
            times=it.times,
            per_connection=it.per_connection,
            goto=it.goto,
        )
        for name, it in zip(names, rules, strict=True)
    ]


def talk(rules: Rules, requests: Sequence[bytes]) -> tuple[set[str], set[str]]:
    """What answers *requests* on one connection, and the states that it comes to."""
    connection: Any = SimpleNamespace(taken=0, number=1, notes=None, peer=None)
    names, states = set(), {rules.state(connection)}
    for data in requests:
        connection.taken += 1
        steps = rules.respond(data, connection)
        assert isinstance(steps, Chosen)
        names.add(steps.by)
        states.add(rules.state(connection))
    return names, states


def every_talk(rules: Sequence[Rule], longest: int = LONGEST) -> tuple[set[str], set[str]]:
    """What answers, and the states there are, in any conversation."""
    book = Rules(rules, unmatched=Rule(name="unmatched", replies=CLOSES.replies))
    states = {state for rule in rules for state in (*(rule.when or ()), rule.goto) if state}
    # A state is there for the conversation alone, so that there are rules for it.
    book.states.update(Rules([], start=state).states | book.states for state in [])  # none
    names, reached = set[str](), set[str]()
    for requests in product(REQUESTS, repeat=longest):
        found = talk(book.anew(), requests)
        names |= found[0]
        reached |= found[1]
    assert reached <= states | {"start"}
    return names, reached
