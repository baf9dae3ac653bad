"""
ExpectationMaker: makes the expectations of a test server, and keeps them with its results.

Must not know how the server runs.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

from attrs import Factory, frozen

from reqresp.expectations.report import describe
from reqresp.expectations.results import ConnectionStates, Results
from reqresp.script.rule import EVERY_STATE
from reqresp.script.rule_parts import PayloadsLike, RuleParts
from reqresp.script.rules import Rules
from reqresp.server.functions import Answer
from reqresp.steps import Request
from reqresp.testing._expectation import ErrorsWithLine, Expectation, as_predicates

# As in _base.
__tracebackhide__ = True


@frozen
class ExpectationMaker:
    """
    Makes expectations.

    :param results: has those so far.
    :param states: of the conversations.
    :param parts: makes the parts of rules.
    :param hold: lets a request wait for the test.
    """

    _results: Results
    _states: Rules | ConnectionStates
    _parts: RuleParts
    _hold: Callable[[Request], Answer]
    _numbers: Iterator[int] = Factory(count)

    def add(
        self,
        kind: str,
        equals: PayloadsLike | None,
        arguments: Mapping[str, Any],
        times: int | None,
    ) -> Expectation:
        """
        Add the expectation of *arguments*, which are predicates and ``when``, after all others.

        :param kind: ``on``, ``expect`` or ``expect_next``.
        :param times: the number of requests that are expected; None: any number.
        :raises ScriptError: a value is not usable.
        :raises TypeError: a predicate is unknown.
        """
        predicates = {name: value for name, value in arguments.items() if name != "when"}
        when = arguments.get("when", EVERY_STATE)
        with ErrorsWithLine():
            parts = self._parts.naming(self._results.variables(self._states))
            parts = parts.in_states(parts.states(when), self._states.by_state)
        expectation = Expectation(
            kind,
            next(self._numbers),
            describe(equals, arguments),
            parts,
            self._hold,
            as_predicates(parts, equals, predicates),
            when,
            times,
        )
        # Not in the server's thread: a handler can do this, too, and a list is safe.
        self._results.expectations.append(expectation)
        return expectation
