"""Near misses: the rules that a request nearly matches."""

from twisted.trial.unittest import SynchronousTestCase

from reqresp.script.near_misses import compare, nearest
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule


def rules(*predicates: Predicates) -> list[Rule]:
    return [
        Rule(name=f"rule[{at}]", replies=[()], predicates=each)
        for at, each in enumerate(predicates)
    ]


class NearestTests(SynchronousTestCase):
    """The rules that a request agrees with for the most bytes."""

    def near(self, data: bytes, *predicates: Predicates, most: int = 3) -> list[tuple[str, int]]:
        return [(it.rule.name, it.at) for it in nearest(rules(*predicates), data, most)]

    def test_the_longest_agreement_comes_first(self) -> None:
        """The longest agreement comes first; a rule that differs at byte 0 is left out."""
        found = self.near(
            b"STAS",
            Predicates(equals=(b"STOP",)),
            Predicates(equals=(b"STAT",)),
            Predicates(equals=(b"QUIT",)),
        )
        self.assertEqual(found, [("rule[1]", 3), ("rule[0]", 2)])

    def test_one_is_returned_in_any_case(self) -> None:
        """If every rule differs at byte 0, one is returned all the same."""
        found = self.near(b"x", Predicates(equals=(b"a",)), Predicates(starts_with=(b"b",)))
        self.assertEqual(found, [("rule[0]", 0)])

    def test_at_most_so_many(self) -> None:
        """At most so many are returned, in file order if they agree equally long."""
        same = [Predicates(equals=(b"ab%d" % number,)) for number in range(9)]
        self.assertEqual(self.near(b"abc", *same, most=2), [("rule[0]", 2), ("rule[1]", 2)])

    def test_one_of_several_values_is_enough(self) -> None:
        """The nearest of a rule's values counts."""
        self.assertEqual(self.near(b"abx", Predicates(equals=(b"zz", b"abc"))), [("rule[0]", 2)])

    def test_too_short_and_too_long(self) -> None:
        """A value that is too short or too long differs where the shorter one ends."""
        self.assertEqual(self.near(b"ab", Predicates(equals=(b"abc",))), [("rule[0]", 2)])
        self.assertEqual(self.near(b"abc", Predicates(equals=(b"ab",))), [("rule[0]", 2)])
        self.assertEqual(self.near(b"ab", Predicates(starts_with=(b"abc",))), [("rule[0]", 2)])

    def test_what_holds_is_not_near(self) -> None:
        """A predicate that holds is not a near miss; case is ignored if the rule ignores it."""
        self.assertEqual(self.near(b"abc", Predicates(starts_with=(b"ab",), size=(9, 9))), [])
        self.assertEqual(self.near(b"ABC", Predicates(equals=(b"abc",), ignore_case=True)), [])

    def test_other_predicates_are_left_out(self) -> None:
        """Predicates other than equals and starts_with have no position and are left out."""
        self.assertEqual(self.near(b"abc", Predicates(matches=(b"a.*d",), contains=(b"x",))), [])


class CompareTests(SynchronousTestCase):
    """Two byte strings, aligned."""

    def test_both_are_aligned(self) -> None:
        """Both are shown in hex and as text."""
        self.assertEqual(
            compare(b"STAT", b"STAS\r\n", 3),
            ("want 53 54 41 54       |STAT|", "got  53 54 41 53 0d 0a |STAS..|"),
        )

    def test_long_ones_are_shown_around_the_difference(self) -> None:
        """Long values are shown from a few bytes before the difference."""
        want, got = compare(b"x" * 100 + b"a" * 100, b"x" * 100 + b"b" * 100, 100)
        self.assertEqual(want, "want " + "78 " * 4 + "61 " * 12 + "|xxxxaaaaaaaaaaaa|")
        self.assertEqual(got, "got  " + "78 " * 4 + "62 " * 12 + "|xxxxbbbbbbbbbbbb|")
