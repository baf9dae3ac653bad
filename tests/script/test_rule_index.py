"""Rule index: finds the rules that match, as if each were tried, at the cost of a few."""

from itertools import islice
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp._re2 import PatternSet
from reqresp.script.predicates import Predicates
from reqresp.script.rule_index import Index
from reqresp.server.responders import ConnectionContext
from tests.support.predicates import ANY_PREDICATES, ONE, PROPERTY, REQUESTS, Ending, by_hand, peer

MANY = 10_000

#: Functions that return predicates for the request ``k<number>;``, one for each kind of key.
INDEXED = {
    "equals": lambda number: Predicates(equals=(b"k%d;" % number,)),
    "equals, folded": lambda number: Predicates(equals=(b"K%d;" % number,), ignore_case=True),
    "starts_with": lambda number: Predicates(starts_with=(b"k%d;" % number,)),
    "starts_with, folded": lambda number: Predicates(
        starts_with=(b"K%d;" % number,), ignore_case=True
    ),
    "matches": lambda number: Predicates(matches=(b"k(%d);" % number,)),
    "matches, folded": lambda number: Predicates(matches=(b"K(%d);" % number,), ignore_case=True),
}

#: As `INDEXED`, with a key in sets within the predicates.
NESTED = {
    "any": lambda number: Predicates(
        any_of=(Predicates(equals=(b"k%d;" % number,)), Predicates(matches=(b"x%d" % number,)))
    ),
    "all": lambda number: Predicates(
        all_of=(Predicates(size=(1, 9)), Predicates(starts_with=(b"k%d;" % number,)))
    ),
}

#: One for each kind of key: all match ``a`` and not ``b``.
A_ONLY = [
    Predicates(equals=(b"a",)),
    Predicates(equals=(b"A",), ignore_case=True),
    Predicates(starts_with=(b"a",)),
    Predicates(starts_with=(b"A",), ignore_case=True),
    Predicates(matches=(b"a",)),
    Predicates(matches=(b"A",), ignore_case=True),
    Predicates(ends_with=(b"a",)),
    Predicates(contains=(b"a",)),
    Predicates(equals=(Ending(b""), b"a")),
    Predicates(equals=(b"a",), size=(1, 1)),
    Predicates(matches=(b".",), ends_with=(b"a",)),
    Predicates(unless=Predicates(equals=(b"b",))),
    Predicates(any_of=(Predicates(equals=(b"x",)), Predicates(starts_with=(b"a",)))),
    Predicates(any_of=(Predicates(ends_with=(b"x",)), Predicates(starts_with=(b"a",)))),
    Predicates(all_of=(Predicates(ends_with=(b"a",)), Predicates(matches=(b"a",)))),
]


class Counting:
    """Counts the requests that predicates and patterns are tried with."""

    def __init__(self) -> None:
        self.holds = self.sets = 0

    def patched(self, rules: list[Predicates]) -> Index:
        """Return an index of *rules* and start counting."""
        hold, matching = Predicates.hold, PatternSet.matching

        def counted_hold(rule: Predicates, data: bytes, connection: ConnectionContext) -> bool:
            self.holds += 1
            return hold(rule, data, connection)

        def counted_matching(patterns: PatternSet, data: bytes) -> list[int]:
            self.sets += 1
            return matching(patterns, data)

        with (
            mock.patch.object(Predicates, "hold", counted_hold),
            mock.patch.object(PatternSet, "matching", counted_matching),
        ):
            return Index(rules)


class OrderTests(SynchronousTestCase):
    """Which rules are found, and in which order."""

    def test_all_that_match_are_found_in_order(self) -> None:
        """All rules that match are found in order, whatever their keys."""
        for shift in range(len(A_ONLY)):
            rules = A_ONLY[shift:] + A_ONLY[:shift]
            self.assertEqual([*Index(rules).matching(b"a", ONE)], [*range(len(rules))])
            self.assertEqual([*Index(rules).matching(b"b", ONE)], [])

    def test_no_rules(self) -> None:
        """Without rules nothing is found."""
        self.assertEqual([*Index([]).matching(b"a", ONE)], [])

    def test_a_rule_is_found_once(self) -> None:
        """A rule is found once, however many of its values or patterns match."""
        rules = [
            Predicates(equals=(b"ab", b"ab", b"c")),
            Predicates(equals=(b"ab", b"AB"), ignore_case=True),
            Predicates(starts_with=(b"", b"a", b"ab", b"a", b"abc")),
            Predicates(matches=(b"a.", b".*", b"a.")),
        ]
        self.assertEqual([*Index(rules * 2).matching(b"ab", ONE)], [*range(8)])

    def test_equal_rules_are_all_found(self) -> None:
        """Rules with equal predicates are all found, in order."""
        for make in INDEXED.values():
            self.assertEqual([*Index([make(1)] * 3).matching(b"k1;", ONE)], [0, 1, 2])

    def test_rules_with_and_without_case(self) -> None:
        """Rules that differ only in ignore_case are different, even with the same pattern."""
        for kind in ("equals", "starts_with", "matches"):
            key: Any = {kind: (b"a",)}
            index = Index([Predicates(**key), Predicates(**key, ignore_case=True)] * 2)
            self.assertEqual([*index.matching(b"a", ONE)], [0, 1, 2, 3], kind)
            self.assertEqual([*index.matching(b"A", ONE)], [1, 3], kind)

    def test_templates(self) -> None:
        """A template is not a key, and is compared with the connection at hand."""
        index = Index([Predicates(equals=(Ending(b"a"), b"x")), Predicates(starts_with=(b"a",))])
        self.assertEqual([*index.matching(b"a2", peer(2))], [0, 1])
        self.assertEqual([*index.matching(b"a2", ONE)], [1])
        self.assertEqual([*index.matching(b"x", ONE)], [0])

    def test_too_many_patterns_are_refused(self) -> None:
        """Patterns that exceed the budget are refused; rules without patterns use no memory."""
        with self.assertRaises(ValueError):
            Index([INDEXED["matches"](number) for number in range(100)], budget=1000)
        Index(A_ONLY[:4], budget=0)

    @PROPERTY
    @given(st.lists(ANY_PREDICATES, max_size=8), st.lists(REQUESTS, max_size=4), st.integers(1, 2))
    def test_it_finds_what_trying_each_would(
        self, rules: list[Predicates], requests: list[bytes], number: int
    ) -> None:
        """The index finds the same rules as trying each one, for any rules."""
        index, who = Index(rules), peer(number)
        for data in requests:
            expected = [place for place, rule in enumerate(rules) if by_hand(rule, data, who)]
            self.assertEqual([*index.matching(data, who)], expected)


class CostTests(SynchronousTestCase):
    """What a search does, and what it avoids."""

    def test_one_of_many_is_found_without_trying_the_others(self) -> None:
        """With a key of any kind, one of many rules is found without trying the others."""
        for kind, make in INDEXED.items():
            counting = Counting()
            index = counting.patched([make(number) for number in range(MANY)])
            for number in (0, 1, MANY // 2, MANY - 1):
                self.assertEqual([*index.matching(b"k%d;" % number, ONE)], [number], kind)
            self.assertEqual([*index.matching(b"nothing", ONE)], [], kind)
            self.assertEqual((counting.holds, counting.sets), (0, 5 * ("matches" in kind)), kind)

    def test_sets_within_predicates_have_keys(self) -> None:
        """With a key within ``any`` or ``all``, only rules with the request's key are tried."""
        for kind, make in NESTED.items():
            counting = Counting()
            index = counting.patched([make(number) for number in range(MANY // 10)])
            self.assertEqual([*index.matching(b"k17;", ONE)], [17], kind)
            self.assertEqual([*index.matching(b"nothing", ONE)], [], kind)
            self.assertLessEqual(counting.holds, 3, kind)  # the rule, and the sets within it

    def test_other_predicates_are_tried_after_the_key(self) -> None:
        """The other predicates of a rule are tried only if its key matches."""
        counting = Counting()
        index = counting.patched(
            [
                Predicates(equals=(b"k%d" % (number // 2),), size=(number % 2 * 9, 9))
                for number in range(MANY)
            ]
        )
        self.assertEqual([*index.matching(b"k17", ONE)], [34])
        self.assertEqual(counting.holds, 2)

    def test_later_rules_are_not_tried(self) -> None:
        """Rules and patterns after the one that matches are not tried."""
        counting = Counting()
        general = [Predicates(contains=(b"x",))]
        index = counting.patched(
            general * 2 + [INDEXED["equals"](1)] + general * MANY + [INDEXED["matches"](1)]
        )
        self.assertEqual(next(index.matching(b"k1;", ONE)), 2)
        self.assertEqual((counting.holds, counting.sets), (2, 0))
        found = index.matching(b"k1;", ONE)
        self.assertEqual([*islice(found, 2)], [2, MANY + 3])
        self.assertEqual((counting.holds, counting.sets), (4 + MANY, 1))

    def test_lower_case_is_made_only_if_needed(self) -> None:
        """A request is converted to lower case at most once, and only if a rule ignores case."""
        for ignore_case, expected in ((False, 0), (True, 1)):
            folds = 0

            class Data(bytes):
                def lower(self) -> bytes:
                    nonlocal folds
                    folds += 1
                    return super().lower()

            keys = {"equals": (b"a",)}, {"starts_with": (b"a",)}, {"matches": (b"a",)}
            index = Index([Predicates(ignore_case=ignore_case, **key) for key in keys])  # type: ignore[arg-type]  # any kind
            self.assertEqual([*index.matching(Data(b"a"), ONE)], [0, 1, 2])
            self.assertEqual(folds, expected)
