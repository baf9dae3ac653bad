"""Rules that count the requests they answer."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress
from twisted.trial.unittest import SynchronousTestCase

from reqresp.expectations.expectation import BaseExpectation
from reqresp.script.predicates import Predicates
from reqresp.script.rule import Rule
from reqresp.steps import Send

PEER = IPv4Address("TCP", "127.0.0.1", 50000)


class Client:
    """What an expectation knows of a connection."""

    peer: IAddress = PEER
    number = 1
    taken = 1
    notes: Any = None
    config: Any = None


def expectation(
    times: int | None = None, when: frozenset[str] | None = None, *equals: bytes
) -> BaseExpectation:
    """Return an ``expect`` that answers ``1`` and ``2`` in turn."""
    rule = Rule(
        name="it",
        replies=[(Send(b"1"),), (Send(b"2"),)],
        predicates=Predicates(equals=equals),
        when=when,
    )
    return BaseExpectation("expect", '"a"', "expectation 1", rule, times)


class CountTests(SynchronousTestCase):
    """How often an expectation has answered."""

    def test_it_is_met_once_it_has_answered_often_enough(self) -> None:
        """Each answer counts, and the count chooses the reply."""
        it = expectation(2)
        self.assertEqual((it.is_met, repr(it)), (False, self.shown("received 0 of 2")))
        self.assertEqual(it.answer(b"a", Client()), (Send(b"1"),))
        self.assertFalse(it.is_met)
        self.assertEqual(it.answer(b"a", Client()), (Send(b"2"),))
        self.assertEqual((it.is_met, repr(it)), (True, self.shown("received 2 of 2")))

    def test_any_number_is_always_met(self) -> None:
        """Without a number of times, it is met from the start."""
        it = expectation()
        self.assertEqual((it.is_met, repr(it)), (True, self.shown("received 0")))

    def shown(self, count: str) -> str:
        return f'<BaseExpectation: expect "a" (expectation 1), {count}>'


class MatchTests(SynchronousTestCase):
    """Which requests an expectation is for."""

    def test_predicates_and_states_must_both_hold(self) -> None:
        """A request is for it in one of its states, if its predicates hold."""
        it = expectation(None, frozenset(["in"]), b"a")
        found = [
            (data, state)
            for data in (b"a", b"b")
            for state in ("start", "in")
            if it.matches(data, Client(), state)
        ]
        self.assertEqual(found, [(b"a", "in")])

    def test_generality(self) -> None:
        """It says whether it is for all states, and whether it is for all requests."""
        self.assertEqual(expectation().generality, (True, True))
        self.assertEqual(expectation(None, frozenset(["in"])).generality, (False, True))
        self.assertEqual(expectation(None, None, b"a").generality, (True, False))
