"""Predicates: which requests match, compared with a second implementation in plain Python."""

from collections.abc import Iterable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from reqresp.script.predicates import Predicates
from reqresp.script.rule_index import Index
from tests.support.predicates import (
    ANY_PREDICATES,
    NESTED_PREDICATES,
    ONE,
    PROPERTY,
    REQUESTS,
    Ending,
    Head,
    by_hand,
    peer,
)


class HoldTests(SynchronousTestCase):
    """The requests that predicates match."""

    def check(self, rule: Predicates, fitting: Iterable[bytes], others: Iterable[bytes]) -> None:
        """Assert that *rule* holds for all *fitting* requests and for no *others*."""
        for data in fitting:
            self.assertTrue(rule.hold(data, ONE), data)
        for data in others:
            self.assertFalse(rule.hold(data, ONE), data)

    def test_no_predicates_match_everything(self) -> None:
        """Without predicates every request matches, the empty one included."""
        self.check(Predicates(), [b"", b"a"], [])

    def test_any_value_of_a_predicate_is_enough(self) -> None:
        """Any value of a predicate is enough, with each kind of comparison."""
        values = b"ab", b"c"
        self.check(Predicates(equals=values), [b"ab", b"c"], [b"", b"a", b"abc", b"AB"])
        self.check(Predicates(starts_with=values), [b"abc", b"c", b"cab"], [b"", b"a", b"ba", b"b"])
        self.check(Predicates(ends_with=values), [b"cab", b"c", b"bc"], [b"", b"b", b"ba", b"abb"])
        self.check(Predicates(contains=values), [b"xaby", b"xcy"], [b"", b"a", b"ba", b"xay"])
        self.check(Predicates(matches=(b"a+|bc", b"d")), [b"aa", b"bc", b"d"], [b"ac", b"ab", b""])

    def test_an_empty_value_is_one(self) -> None:
        """Each request starts with an empty value, and only the empty one equals it."""
        self.check(Predicates(equals=(b"",)), [b""], [b"a"])
        for kind in ("starts_with", "ends_with", "contains"):
            self.check(Predicates(**{kind: (b"",)}), [b"", b"a"], [])  # type: ignore[arg-type]  # any kind

    def test_a_size_has_two_bounds(self) -> None:
        """Both bounds of a size are inclusive; the upper one may be missing."""
        self.check(Predicates(size=(1, 2)), [b"a", b"ab"], [b"", b"abc"])
        self.check(Predicates(size=(2, None)), [b"ab", b"abc"], [b"", b"a"])
        self.check(Predicates(size=(0, 0)), [b""], [b"a"])

    def test_all_kinds_must_hold(self) -> None:
        """All predicates must hold; one that does not is enough to fail."""
        rule = Predicates(
            starts_with=(b"a",),
            ends_with=(b"b",),
            contains=(b"cc",),
            matches=(b"[abc]*",),
            size=(5, 9),
        )
        self.check(rule, [b"accab"], [b"bccab", b"accaa", b"acbab", b"accxb", b"accb"])

    def test_no_kind_of_unless_may_hold(self) -> None:
        """None of the predicates in *unless* may hold; an empty *unless* fails nothing."""
        rule = Predicates(unless=Predicates(equals=(b"a",), size=(3, None)))
        self.check(rule, [b"", b"b", b"ab"], [b"a", b"abc"])
        self.check(Predicates(equals=(b"a",), unless=Predicates()), [b"a"], [b"b"])

    def test_case_is_that_of_ascii(self) -> None:
        """0x80 never equals 0x81, nor 0xC0 0xE0."""
        for kind in ("equals", "starts_with", "ends_with", "contains", "matches"):
            for value in (b"Ab\xe0", b"aB\xe0"):
                rule = Predicates(ignore_case=True, **{kind: (value,)})  # type: ignore[arg-type]  # any kind
                self.check(rule, [b"ab\xe0", b"AB\xe0"], [b"ab\xc0", b"ab", b"xb\xe0"])
        self.check(Predicates(equals=(b"\x80",), ignore_case=True), [b"\x80"], [b"\x81", b"\x00"])

    def test_unless_has_the_case_of_the_rule(self) -> None:
        """The rule's ignore_case applies to *unless*, whatever its own value."""
        for inner in (True, False):
            unless = Predicates(equals=(b"A",), matches=(b"b",), ignore_case=inner)
            self.check(Predicates(unless=unless, ignore_case=True), [b"c"], [b"a", b"A", b"B"])
            self.check(Predicates(unless=unless), [b"a", b"B"], [b"A", b"b"])

    def test_a_template_is_filled_for_each_request(self) -> None:
        """A template is filled with the request and the connection, and compared like bytes."""
        rule = Predicates(equals=(Ending(b"A"), b"x"))
        self.check(rule, [b"A1", b"x"], [b"a1", b"A2", b"A"])
        self.assertTrue(rule.hold(b"A2", peer(2)))
        self.check(Predicates(ends_with=(Ending(b"A"),), ignore_case=True), [b"xa1"], [b"a2"])
        self.check(Predicates(unless=Predicates(contains=(Ending(b"A"),))), [b"a1"], [b"xA1x"])

    def test_a_template_is_filled_after_all_else_holds(self) -> None:
        """A template is filled only after all other predicates have held."""
        for rule in (
            Predicates(ends_with=(Head(),), size=(1, None)),
            Predicates(ends_with=(Head(),), matches=(b".+",)),
        ):
            self.check(rule, [b"aba", b"a"], [b"", b"ab"])

    def test_sets_within_sets(self) -> None:
        """One of *any_of* and each of *all_of* must hold; *unless* within *unless* is required."""
        a, b = Predicates(starts_with=(b"a",)), Predicates(ends_with=(b"b",))
        self.check(Predicates(any_of=(a, b)), [b"a", b"b", b"ab"], [b"", b"ba"])
        self.check(Predicates(all_of=(a, b)), [b"ab"], [b"", b"a", b"b", b"ba"])
        self.check(Predicates(unless=Predicates(unless=a)), [b"a"], [b"b"])
        self.check(Predicates(unless=Predicates(any_of=(a, b))), [b"ba"], [b"a", b"b", b"ab"])
        self.check(Predicates(unless=Predicates(all_of=(a, b))), [b"a", b"ba"], [b"ab"])
        folded = Predicates(any_of=(a, Predicates(unless=b)), ignore_case=True)
        self.check(folded, [b"AB", b"x"], [b"xB"])

    @settings(PROPERTY, max_examples=100)
    @given(NESTED_PREDICATES, REQUESTS, st.integers(1, 2))
    def test_any_nesting(self, rule: Predicates, data: bytes, number: int) -> None:
        """Sets in sets agree with the second implementation, alone and in an index."""
        expected = by_hand(rule, data, peer(number))
        self.assertEqual(rule.hold(data, peer(number)), expected)
        plain = Predicates(size=(0, None))
        found = [*Index([plain, rule, plain]).matching(data, peer(number))]
        self.assertEqual(found, [0, 1, 2] if expected else [0, 2])
        if expected:
            self.assertFalse(Index([rule]).misses([b"zz", data]))

    def test_a_bad_pattern_is_refused(self) -> None:
        """A pattern that RE2 refuses is refused, in *unless* too."""
        with self.assertRaises(ValueError):
            Predicates(matches=(b"a", b"("))
        with self.assertRaises(ValueError):
            Predicates(unless=Predicates(matches=(b"(",)))

    @PROPERTY
    @given(ANY_PREDICATES, REQUESTS, st.integers(1, 2))
    @example(Predicates(equals=(b"\xc0",), ignore_case=True), b"\xe0", 1)
    def test_they_agree_with_a_second_implementation(
        self, rule: Predicates, data: bytes, number: int
    ) -> None:
        """Any combination of predicates agrees with the second implementation."""
        self.assertEqual(rule.hold(data, peer(number)), by_hand(rule, data, peer(number)))


class ValueTests(SynchronousTestCase):
    """Predicates as values."""

    def test_the_first_pattern_that_matches_has_the_groups(self) -> None:
        """The first pattern that matches returns its groups, with names as bytes; else None."""
        rule = Predicates(matches=(b"a(?P<x>.)", b"(.)(.)"), ignore_case=True)
        self.assertEqual(rule.match(b"Ab")[b"x"], b"b")
        self.assertEqual(rule.match(b"xy").groups(), (b"x", b"y"))
        self.assertIsNone(rule.match(b"xyz"))
        self.assertIsNone(Predicates(equals=(b"a",)).match(b"a"))

    def test_equal_predicates_are_equal_values(self) -> None:
        """Equal predicates are equal values, and their representation shows what was passed."""
        one, same, other = (Predicates(matches=(each,)) for each in (b"a", b"a", b"b"))
        self.assertEqual((one, hash(one)), (same, hash(same)))
        self.assertNotEqual(one, other)
        self.assertNotIn("object at", repr(one))

    def test_a_single_predicate(self) -> None:
        """*unless* counts as another predicate."""
        self.assertTrue(Predicates(equals=(b"a", b"b"), ignore_case=True).is_single)
        for rule in (
            Predicates(),
            Predicates(equals=(b"a",), size=(1, 1)),
            Predicates(equals=(b"a",), unless=Predicates(equals=(b"b",))),
            Predicates(any_of=(Predicates(equals=(b"b",)),)),
        ):
            self.assertFalse(rule.is_single)
