"""
BaseExpectation: a rule that counts the requests it answers, and how many it expects.

Must not know how it was made, which expectation answers a request, or how the server runs.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred

from reqresp.script.calls import Call
from reqresp.script.rule import Rule
from reqresp.script.variables import Notes
from reqresp.server.functions import Answer
from reqresp.server.responders import ConnectionContext
from reqresp.server.triggers import Trigger
from reqresp.steps import Steps


class BaseExpectation:
    """
    What a server answers to one kind of request, and how often it expects one.

    Something else than a request can trigger it, too; that is not expected any number of times.

    :param kind: ``on``, ``expect`` or ``expect_next``.
    :param wanted: the predicates as they were written, for messages.
    :param where: what tells it from others in messages, such as a line of a test.
    :param rule: what it does as the rule of a script does it.
    :param times: the number of requests that are expected; None: any number.
    """

    def __init__(self, kind: str, wanted: str, where: str, rule: Rule, times: int | None) -> None:
        #: ``on``, ``expect`` or ``expect_next``.
        self.kind = kind
        #: What tells it from others in messages, such as a line of a test.
        self.where = where
        #: The predicates as they were written.
        self.wanted = wanted
        #: The number of requests that are expected; None: any number.
        self.times = times
        #: The number of requests that it has answered.
        self.count = 0
        #: What it does as the rule of a script does it.
        self.rule = rule
        #: Answers after the steps of the rule; None: nothing does.
        self.function: Callable[[Call], Answer] | None = None
        self._counts: dict[str, int] = {}

    def __str__(self) -> str:
        return f"{self.kind} {self.wanted}"

    def __repr__(self) -> str:
        expected = "" if self.times is None else f" of {self.times}"
        return f"<{type(self).__name__}: {self} ({self.where}), received {self.count}{expected}>"

    @property
    def generality(self) -> tuple[bool, bool]:
        """Return whether it is for every state, and whether it is for every request there."""
        return self.rule.when is None, self.rule.predicates.is_empty

    @property
    def is_met(self) -> bool:
        """Whether it has answered as many requests as are expected."""
        return self.times is None or self.count >= self.times

    @property
    def does_nothing(self) -> bool:
        """Whether it neither sends nor changes anything, perhaps because it is not complete."""
        rule = self.rule
        return not (any(rule.all_steps) or any(rule.states_after) or rule.sets_variables)

    def matches(self, data: bytes, connection: ConnectionContext, state: str) -> bool:
        """Return whether it is for the request *data* in *state*, and can answer it."""
        is_for = self.is_for(Trigger.REQUEST, connection, state)
        return is_for and self.rule.predicates.hold(data, connection)

    def is_for(self, trigger: Trigger, connection: ConnectionContext, state: str) -> bool:
        """Return whether it is for *trigger* in *state*, and can answer; see `answer`."""
        rule = self.rule
        is_here = rule.trigger is trigger and (rule.when is None or state in rule.when)
        return is_here and not (rule.can_end and rule.is_used_up(self._counts_for(connection)))

    def answer(self, data: bytes, connection: ConnectionContext) -> Steps | Deferred[Steps]:
        """
        Count the request *data*, set variables, and return the steps that answer it.

        :param data: empty if something else than a request triggers it.
        :param connection: with the notes of rules.
        """
        rule, counts = self.rule, self._counts_for(connection)
        self.count += 1
        count = counts[rule.path] = counts.get(rule.path, 0) + 1
        if rule.sets_variables:
            rule.assign(count, data, connection)
        steps = rule.steps(count, data, connection, counts)
        if self.function is None:
            return steps

        def add(more: Steps) -> Steps:
            return steps.with_steps((*steps, *more))

        more = rule.called(self.function, data, connection)
        return add(more) if isinstance(more, tuple) else more.addCallback(add)

    def state_after(self, connection: ConnectionContext) -> str | None:
        """Return the state that follows its next answer; None: the state stays."""
        return self.rule.state_after(self._counts_for(connection).get(self.rule.path, 0) + 1)

    def _counts_for(self, connection: ConnectionContext) -> dict[str, int]:
        if not self.rule.per_connection:
            return self._counts
        notes: Notes = connection.notes
        return notes.counts
