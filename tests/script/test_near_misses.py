"""Which rules a request fits nearly."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script.near_misses import compare, nearest
from reqresp.script.predicates import Predicates
from reqresp.script.rules import Rule


def rules(*predicates: Predicates) -> list[Rule]:
    return [
        Rule(name=f"rule[{at}]", replies=[()], predicates=each)
        for at, each in enumerate(predicates)
    ]


class NearestTests(SynchronousTestCase):
    """The rules that a request agrees with longest."""

    def near(self, data: bytes, *predicates: Predicates, most: int = 3) -> list[tuple[str, int]]:
        return [(it.rule.name, it.at) for it in nearest(rules(*predicates), data, most)]

    def test_the_longest_agreement_comes_first(self) -> None:
        """What differs from its first byte on is not near."""
        found = self.near(
            b"STAS",
            Predicates(equals=(b"STOP",)),
            Predicates(equals=(b"STAT",)),
            Predicates(equals=(b"QUIT",)),
        )
        self.assertEqual(found, [("rule[1]", 3), ("rule[0]", 2)])

    def test_one_is_told_in_any_case(self) -> None:
        """Even if nothing agrees, somebody wonders what was expected."""
        found = self.near(b"x", Predicates(equals=(b"a",)), Predicates(starts_with=(b"b",)))
        self.assertEqual(found, [("rule[0]", 0)])

    def test_not_more_than_asked_for(self) -> None:
        """In file order where they agree as long."""
        same = [Predicates(equals=(b"ab%d" % number,)) for number in range(9)]
        self.assertEqual(self.near(b"abc", *same, most=2), [("rule[0]", 2), ("rule[1]", 2)])

    def test_one_of_several_values_is_enough(self) -> None:
        """The nearest of a rule's values counts."""
        self.assertEqual(self.near(b"abx", Predicates(equals=(b"zz", b"abc"))), [("rule[0]", 2)])

    def test_too_short_and_too_long(self) -> None:
        """They differ where one of them ends."""
        self.assertEqual(self.near(b"ab", Predicates(equals=(b"abc",))), [("rule[0]", 2)])
        self.assertEqual(self.near(b"abc", Predicates(equals=(b"ab",))), [("rule[0]", 2)])
        self.assertEqual(self.near(b"ab", Predicates(starts_with=(b"abc",))), [("rule[0]", 2)])

    def test_what_holds_is_not_near(self) -> None:
        """It was another predicate that failed; case is folded where the rule does."""
        self.assertEqual(self.near(b"abc", Predicates(starts_with=(b"ab",), size=(9, 9))), [])
        self.assertEqual(self.near(b"ABC", Predicates(equals=(b"abc",), ignore_case=True)), [])

    def test_other_kinds_are_left_out(self) -> None:
        """Of a pattern, nobody knows where it differs."""
        self.assertEqual(self.near(b"abc", Predicates(matches=(b"a.*d",), contains=(b"x",))), [])


class CompareTests(SynchronousTestCase):
    """Two byte strings, one below the other."""

    def test_both_stand_below_each_other(self) -> None:
        """In hex and as text."""
        self.assertEqual(
            compare(b"STAT", b"STAS\r\n", 3),
            ("want 53 54 41 54       |STAT|", "got  53 54 41 53 0d 0a |STAS..|"),
        )

    def test_long_ones_are_shown_around_the_difference(self) -> None:
        """A few bytes before it, more behind it."""
        want, got = compare(b"x" * 100 + b"a" * 100, b"x" * 100 + b"b" * 100, 100)
        self.assertEqual(want, "want " + "78 " * 4 + "61 " * 12 + "|xxxxaaaaaaaaaaaa|")
        self.assertEqual(got, "got  " + "78 " * 4 + "62 " * 12 + "|xxxxbbbbbbbbbbbb|")
