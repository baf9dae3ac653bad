"""Rule: what it says of itself."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from reqresp.framing import FrameError, Line
from reqresp.script.names import REPLY_SOURCES
from reqresp.script.rule import Rule
from reqresp.script.templates import read_template
from reqresp.script.variables import Variable
from reqresp.steps import Close, Send


class RuleTests(SynchronousTestCase):
    """A rule without a script."""

    def test_a_constant(self) -> None:
        """A reply is constant unless the rule counts, moves or sets something."""
        replies = [(Send(b"a"), Close())]
        self.assertEqual(Rule(name="r", replies=replies).constant, replies[0])
        changed: list[Any] = [{"times": 1}, {"goto": "x"}, {"variables": [Variable("v", b"")]}]
        for changes in changed:
            self.assertIsNone(Rule(name="r", replies=replies, **changes).constant)

    def test_what_its_templates_name(self) -> None:
        """The names in variables count, too; random ones need a seed."""
        template = read_template("{uuid}{count}", str.encode, REPLY_SOURCES)
        rule = Rule(name="r", replies=[()], variables=[Variable("v", template)])
        self.assertEqual(rule.names, {"uuid", "count"})
        self.assertTrue(rule.is_random)
        self.assertFalse(Rule(name="r", replies=[()]).is_random)

    def test_its_place(self) -> None:
        """Its name, its path and its line are its place."""
        rule = Rule(name="stat", path="rule[3]", line=7, replies=[()])
        self.assertEqual(rule.place, "stat, rule[3], line 7")

    def test_replies_that_cannot_be_framed(self) -> None:
        """What the framing refuses is found before it is sent."""
        with self.assertRaises(FrameError):
            Rule(name="r", replies=[(Send(b"a\nb"),)]).check(Line().encode)
