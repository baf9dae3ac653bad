"""
ExpectationMaker: makes the expectations of a test server, and keeps them with its results.

Must not know how the server runs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from attrs import Factory, frozen

from reqresp._errors import FieldError
from reqresp._text import unknown
from reqresp.expectations.report import describe
from reqresp.expectations.results import ConnectionStates, Results
from reqresp.script.calls import Call
from reqresp.script.rule import EVERY_STATE
from reqresp.script.rule_parts import PayloadsLike, RuleParts
from reqresp.script.rules import Rules
from reqresp.server.functions import Answer
from reqresp.server.state_properties import PropertyArguments
from reqresp.server.triggers import Trigger
from reqresp.testing._expectation import ErrorsWithLine, Expectation, as_predicates

#: What `ExpectationMaker.add_event` can be for.
EVENTS = [it.value for it in Trigger if it not in (Trigger.REQUEST, Trigger.TIMER)]

# As in _base.
__tracebackhide__ = True


@frozen
class ExpectationMaker:
    """
    Makes expectations.  Each method adds one after all others, and returns it.

    They raise a `ScriptError` if a value is not usable.

    :param results: has those so far.
    :param states: of the conversations.
    :param parts: makes the parts of rules.
    :param hold: lets a request wait for the test.
    :param check: raises a `TypeError` if the server knows no requests; called with the method.
    """

    _results: Results
    _states: Rules | ConnectionStates
    _parts: RuleParts
    _hold: Callable[[Call], Answer]
    _check: Callable[[str], None]
    _numbers: Iterator[int] = Factory(count)

    def add(
        self,
        kind: str,
        equals: PayloadsLike | None,
        arguments: Mapping[str, Any],
        times: int | None,
    ) -> Expectation:
        """
        Add one for the requests of *arguments*, which are predicates and ``when``.

        :param kind: ``on``, ``expect`` or ``expect_next``.
        :param times: the number of requests that are expected; None: any number.
        :raises TypeError: a predicate is unknown.
        """
        self._check(kind)
        predicates = {name: value for name, value in arguments.items() if name != "when"}
        with ErrorsWithLine():
            parts, states = self._parts_in(arguments.get("when", EVERY_STATE))
            _check_times(parts, times)
        keys = {"predicates": as_predicates(parts, equals, predicates), "when": states}
        return self._keep(kind, describe(equals, arguments), parts, times, keys)

    def add_event(self, event: str, when: str | Sequence[str], times: int | None) -> Expectation:
        """
        Add one for an *event*, which is one of `EVENTS`.

        :param times: how often it answers; None: without limit.
        """
        self._check("on_event")
        with ErrorsWithLine():
            if event not in EVENTS:
                raise FieldError("event", unknown("event", str(event), EVENTS))
            parts, states = self._parts_in(when)
            keys = {"trigger": Trigger(event), "when": states, "times": parts.times(times)}
        return self._keep("on_event", describe(event, {}), parts, None, keys)

    def add_timer(
        self, seconds: float, jitter: float, when: str | Sequence[str], times: int | None
    ) -> Expectation:
        """
        Add one that sends every so many *seconds*.

        :param jitter: seconds that each time comes later at most.
        :param times: how often it sends to each client; None: without limit.
        """
        self._check("every")
        with ErrorsWithLine():
            parts, states = self._parts_in(when)
            number = next(self._numbers)
            keys = {
                "trigger": Trigger.TIMER,
                "timer": parts.timer(f"every[{number}]", seconds, jitter),
                "when": states,
                "times": parts.times(times),
                "per_connection": True,
                "path": f"every[{number}]",
            }
        return self._keep("every", str(seconds), parts, None, keys)

    def describe_state(self, name: str, properties: Mapping[str, Any]) -> None:
        """
        Have *properties* in the state *name* of a server without a script.

        :raises TypeError: a property is unknown.
        """
        for it in properties:
            if it not in PropertyArguments.__annotations__:
                raise TypeError(unknown("property", it, PropertyArguments.__annotations__))
        with ErrorsWithLine("state"):
            self._results.states.describe(name, self._parts.properties(**properties))

    def _parts_in(self, when: str | Sequence[str]) -> tuple[RuleParts, frozenset[str] | None]:
        """Return what makes the parts of rules for the states *when*, and these states."""
        parts = self._parts.naming(self._results.variables(self._states))
        states = parts.states(when)
        return parts.in_states(states, self._states.by_state), states

    def _keep(
        self,
        kind: str,
        wanted: str,
        parts: RuleParts,
        times: int | None,
        keys: Mapping[str, Any],
    ) -> Expectation:
        made = Expectation(kind, next(self._numbers), wanted, parts, self._hold, times, keys)
        # Not in the server's thread: a handler can do this, too, and a list is safe.
        self._results.expectations.append(made)
        return made


def _check_times(parts: RuleParts, times: int | None) -> None:
    try:
        parts.times(times)
    except FieldError as error:
        if times != 0:
            raise
        advice = "to assert that none is received, call assert_received(..., times=0)"
        raise FieldError(error.field, f"{error.problem}; {advice}") from None
