"""Rule parts: what a rule consists of, made from Python values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import Factory, define
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp._errors import FieldError
from reqresp.faults.faults import LimitData, PlacedFault
from reqresp.framing import Line, Mixed, Netstring
from reqresp.script.names import REPLY_SOURCES
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule, SendTemplate
from reqresp.script.rule_parts import RuleParts
from reqresp.steps import Send, Wait
from tests.support.live import temporary


@define
class Client:
    """What a predicate or a template sees of a connection."""

    peer: IAddress = Factory(lambda: IPv4Address("TCP", "192.0.2.1", 1234))
    number: int = 1
    taken: int = 1
    notes: Any = None
    config: Any = None


class PartsTestCase(SynchronousTestCase):
    """Has the parts for a server that uses lines."""

    parts = RuleParts(Line())

    def assert_refused(self, call: Callable[..., Any], *arguments: Any, **expected: str) -> None:
        """The call raises `FieldError` for the *field* with the *problem*."""
        with self.assertRaises(FieldError) as raised:
            call(*arguments)
        found = {"field": raised.exception.field, "problem": raised.exception.problem}
        self.assertEqual(found, expected)


class PredicatesTests(PartsTestCase):
    """Predicates from a dictionary."""

    def test_one_value_or_several(self) -> None:
        """Text is UTF-8, bytes are taken as they are, a mapping has the keys of a payload."""
        self.assertEqual(
            self.parts.predicates({"equals": "é", "starts_with": (b"\xff", {"hex": "00"})}),
            Predicates(equals=("é".encode(),), starts_with=(b"\xff", b"\x00")),
        )

    def test_sizes(self) -> None:
        """A size is one number, or a mapping with a minimum and a maximum."""
        self.assertEqual(self.parts.predicates({"size": 3}), Predicates(size=(3, 3)))
        self.assertEqual(self.parts.predicates({"size": {"min": 1}}), Predicates(size=(1, None)))

    def test_negation_and_case(self) -> None:
        """`not_` takes a dictionary; the case is ignored by default if the parts say so."""
        ignoring = RuleParts(Line(), ignore_case=True)
        self.assertEqual(
            ignoring.predicates({"not_": {"contains": "x"}}),
            Predicates(unless=Predicates(contains=(b"x",), ignore_case=True), ignore_case=True),
        )
        self.assertFalse(ignoring.predicates({"equals": "a", "ignore_case": False}).ignore_case)

    def test_a_template(self) -> None:
        """It is filled for each request."""
        predicates = self.parts.predicates({"equals": {"template": "from {peer}"}})
        self.assertTrue(predicates.hold(b"from 192.0.2.1:1234", Client()))
        self.assertFalse(predicates.hold(b"from 192.0.2.2:1234", Client()))

    def test_a_value_that_is_not_usable(self) -> None:
        """The field is the name of the predicate, with the position in a list."""
        for values, field, problem in (
            (
                {"equals": ["a", {"hex": "0"}]},
                "equals[1]",
                "expected pairs of hex digits, found '0'",
            ),
            (
                {"equals": 1},
                "equals",
                "expected a string or a table, found 1",
            ),
            ({"contains": []}, "contains", "expected at least one element, found an empty list"),
            (
                {"equals": {"hexx": "00"}},
                "equals.hexx",
                "unknown key 'hexx'; did you mean hex?",
            ),
            (
                {"equals": {"text": "a", "raw": True}},
                "equals",
                "expected no raw: it is only for what is sent",
            ),
            (
                {"starts_with": "a\n"},
                "starts_with",
                r"no request can match: a request ends at b'\n' and does not contain it",
            ),
            ({"matches": "("}, "matches", "invalid RE2 pattern '(': missing ): ("),
            (
                {"matches": "(?P<peer>.)"},
                "matches",
                "expected another name for the group peer: it is reserved",
            ),
            (
                {"matches": {"template": "{0}"}},
                "matches",
                "expected no template: this key takes only fixed bytes",
            ),
            ({"size": -1}, "size", "expected a size >= 0, found -1"),
            ({"size": "1"}, "size", "expected a number of bytes or a table, found '1'"),
            (
                {"not_": {"size": {"min": 2, "max": 1}}},
                "not_.size",
                "expected max >= min, found min 2 and max 1",
            ),
            ({"not_": "a"}, "not_", "expected a table, found 'a'"),
            ({"ignore_case": 1}, "ignore_case", "expected true or false, found 1"),
        ):
            self.assert_refused(self.parts.predicates, values, field=field, problem=problem)

    def test_an_unknown_predicate(self) -> None:
        """It is a TypeError, as for any unknown keyword argument."""
        for values in ({"start_with": "a"}, {"not_": {"start_with": "a"}}):
            with self.assertRaisesRegex(TypeError, "'start_with'; did you mean starts_with"):
                self.parts.predicates(values)


class StatesTests(PartsTestCase):
    """The states of a rule."""

    def test_one_or_several_or_every_state(self) -> None:
        """``"*"`` is every state."""
        self.assertEqual(self.parts.states("a"), {"a"})
        self.assertEqual(self.parts.states(["a", "b"]), {"a", "b"})
        self.assertIsNone(self.parts.states("*"))

    def test_what_is_no_state(self) -> None:
        """An empty list, another type, or a state besides ``"*"``."""
        problem = 'expected states, or "*" alone'
        self.assert_refused(self.parts.states, [], field="when", problem=problem)
        self.assert_refused(self.parts.states, ["a", "*"], field="when", problem=problem)
        self.assert_refused(
            self.parts.states, ["a", 1], field="when", problem="expected a string, found 1"
        )


class StepsTests(PartsTestCase):
    """The steps of a reply."""

    def test_payloads(self) -> None:
        """A payload is framed unless it, or the caller, says that it is raw."""
        self.assertEqual(self.parts.send("é"), Send("é".encode()))
        self.assertEqual(self.parts.send(b"a\nb", raw=True), Send(b"a\nb", raw=True))
        self.assertEqual(self.parts.send({"text": "a", "raw": True}), Send(b"a", raw=True))

    def test_a_file(self) -> None:
        """Its name is relative to the base."""
        base = temporary(self)
        Path(base, "a.txt").write_bytes(b"content")
        self.assertEqual(RuleParts(Line(), base=base).send({"file": "a.txt"}), Send(b"content"))

    def test_a_template_with_the_groups_of_a_pattern(self) -> None:
        """A rule with both fills in what the pattern found."""
        predicates = self.parts.predicates({"matches": r"TOP (?P<n>\d+)"})
        step = self.parts.send({"template": "{n} {count}"}, predicates)
        self.assertIsInstance(step, SendTemplate)
        rule = Rule(name="it", replies=[(step,)], predicates=predicates)
        self.assertEqual(rule.steps(2, b"TOP 7", Client()), (Send(b"7 2"),))

    def test_a_payload_that_is_not_usable(self) -> None:
        """The field is the one that the caller names."""
        newline = (
            "a line cannot contain a newline (the framing adds the line ending); for several lines"
            ' use a list, such as ["one", "two"]'
        )
        self.assert_refused(self.parts.send, "a\nb", field="send", problem=newline)
        with self.assertRaises(FieldError) as raised:
            self.parts.send({"template": "{n}"}, field="reply")
        self.assertEqual(
            str(raised.exception),
            f"reply: unknown name 'n'; expected one of: {', '.join(REPLY_SOURCES)}",
        )

    def test_requests_and_replies_of_different_framings(self) -> None:
        """Predicates are checked against the requests, payloads against the replies."""
        parts = RuleParts(Mixed(Netstring(), Line()))
        self.assertEqual(parts.predicates({"equals": "a\n"}), Predicates(equals=(b"a\n",)))
        self.assertRaises(FieldError, parts.send, "a\n")

    def test_waiting(self) -> None:
        """Seconds are a number >= 0."""
        self.assertEqual(self.parts.wait(0.5), Wait(0.5))
        self.assert_refused(
            self.parts.wait, -1, field="wait", problem="expected seconds >= 0, found -1"
        )
        self.assert_refused(
            self.parts.wait,
            "1",
            field="wait",
            problem="expected seconds, a number up to 1000000000, found '1'",
        )


class FaultTests(PartsTestCase):
    """The faults of a rule."""

    def test_a_fault(self) -> None:
        """It has the parameters that it has in a script."""
        self.assertEqual(
            self.parts.fault("it", "limit_data", {"bytes": 1}),
            PlacedFault("it", LimitData(bytes=1)),
        )

    def test_what_is_no_fault(self) -> None:
        """An unknown kind or parameter, a missing parameter, or a value out of range."""
        for kind, parameters, field, problem in (
            ("latncy", {}, "kind", "unknown kind 'latncy'; did you mean latency?"),
            ("latency", {}, "delay", "the key is missing"),
            ("latency", {"dely": 1}, "dely", "unknown key 'dely'; did you mean delay?"),
            (
                "latency",
                {"delay": -1},
                "delay",
                "expected seconds from 0 to 1000000000, found -1",
            ),
        ):
            self.assert_refused(
                self.parts.fault, "it", kind, parameters, field=field, problem=problem
            )
